package caddymodule

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/storage/badgerstore"
)

// timedSite is a gate on a real connection, whose time the test moves, before an app that is a function.
type timedSite struct {
	t      *testing.T
	url    string
	realm  *auth.Realm
	cookie string

	returned func() // called when the gate has returned, unless it is nil

	mu  sync.Mutex
	now time.Time
}

func newTimedSite(t *testing.T, app http.HandlerFunc) *timedSite {
	t.Helper()
	s := &timedSite{t: t, now: time.Now()}
	a := &App{Storage: &Storage{Dir: filepath.Join(t.TempDir(), "mfa")}}
	if err := a.prepare(caddy.NewReplacer()); err != nil {
		t.Fatal(err)
	}
	store, err := badgerstore.Open(t.Context(), badgerstore.Options{Dir: a.settings.dir, Now: s.time})
	if err != nil {
		t.Fatal(err)
	}
	state, err := auth.NewState(t.Context(), auth.Options{Store: store, Secrets: [][]byte{[]byte("a secret of thirty-two bytes or more")}, Now: s.time})
	if err != nil {
		t.Fatal(err)
	}
	s.realm = a.realm(state)
	a.live.Store(&live{realm: s.realm})
	gate := &Gate{app: a, now: s.time, site: auth.Requirement{Mode: auth.ModeSignedIn}, faults: faultLog{log: zap.NewNop()}}
	next := caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error { app(w, r); return nil })
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := gate.ServeHTTP(w, caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, nil), next); err != nil {
			t.Error(err)
		}
		if s.returned != nil {
			s.returned()
		}
	}))
	t.Cleanup(func() {
		server.Close()
		if err := state.Close(); err != nil {
			t.Error(err)
		}
	})
	s.url = server.URL
	s.cookie = auth.CookieSession + "=" + signInTo(t, s.realm, "127.0.0.1", "alice")
	return s
}

func (s *timedSite) time() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

func (s *timedSite) add(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = s.now.Add(d)
}

// looked returns when every stream has been looked at.
func (s *timedSite) looked() {
	s.t.Helper()
	from := s.realm.Beat()
	eventually(s.t, "streams are looked at", func() bool { return s.realm.Beat() >= from+2 })
}

func (s *timedSite) get() *http.Response {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), "GET", s.url, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Cookie", s.cookie)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { res.Body.Close() })
	if res.StatusCode != http.StatusOK {
		s.t.Fatal(res.Status)
	}
	return res
}

// stay says a word and then nothing, as long as it may.
func stay(w http.ResponseWriter, r *http.Request) {
	io.WriteString(w, "hello\n")
	w.(http.Flusher).Flush()
	<-r.Context().Done()
}

func TestStreamsEndWithTime(t *testing.T) { // S55, S73
	for _, c := range []struct {
		name string
		pass func(s *timedSite)
	}{
		{"idle", func(s *timedSite) { s.add(time.Hour) }},
		{"lifetime", func(s *timedSite) {
			for range 48 {
				if _, _, err := s.realm.Session(s.t.Context(), "127.0.0.1", strings.TrimPrefix(s.cookie, auth.CookieSession+"=")); err != nil {
					s.t.Fatal(err)
				}
				s.add(30 * time.Minute)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newTimedSite(t, stay)
			body := bufio.NewReader(s.get().Body)
			if _, err := body.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
			c.pass(s)
			if _, err := body.ReadString('\n'); err == nil || errors.Is(err, io.EOF) {
				t.Errorf("got %v", err)
			}
			eventually(t, "nothing is left", func() bool { return s.realm.Streams() == 0 })
		})
	}
}

// upgrade takes the connection over, and reads what comes.
func upgrade(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Connection", "Upgrade")
	w.Header().Set("Upgrade", "websocket")
	w.WriteHeader(http.StatusSwitchingProtocols)
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	early, _ := rw.Reader.Peek(rw.Reader.Buffered()) // of a client who has the header already
	io.Copy(conn, io.MultiReader(bytes.NewReader(early), conn))
}

// dial opens what upgrade answers.
func (s *timedSite) dial() (net.Conn, *bufio.Reader) {
	s.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(time.Minute))
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nCookie: "+s.cookie+"\r\n\r\n")
	back := bufio.NewReader(conn)
	res, err := http.ReadResponse(back, nil)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		s.t.Fatalf("%v, %v", res, err)
	}
	return conn, back
}

// Whoever works through a WebSocket is not idle; a browser that answers pings is.
func TestWebSocketKeepsItsSessionWhileItIsUsed(t *testing.T) { // S55
	for _, c := range []struct {
		name, sent string
		want       bool
	}{
		{"messages", frame(text, 5), true},
		{"answers to pings", frame(pong, 5), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newTimedSite(t, upgrade)
			conn, back := s.dial()
			lives := true
			for range 3 {
				s.add(25 * time.Minute)
				_, err := io.WriteString(conn, c.sent)
				if err == nil {
					_, err = io.ReadFull(back, make([]byte, len(c.sent)))
				}
				lives = lives && err == nil
				s.looked()
			}
			_, _, err := s.realm.PeekSession(t.Context(), "127.0.0.1", strings.TrimPrefix(s.cookie, auth.CookieSession+"="))
			if (err == nil) != c.want {
				t.Errorf("the session: %v", err)
			}
			if c.want && !lives {
				t.Error("the WebSocket has ended")
			}
			s.add(2 * time.Hour)
			if _, err := back.ReadByte(); err == nil || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the WebSocket goes on: %v", err)
			}
			eventually(t, "nothing is left", func() bool { return s.realm.Streams() == 0 })
		})
	}
}

// A handler that does not care sends nothing more, and its client is not told that this was all.
func TestHandlerThatIgnoresTheEnd(t *testing.T) { // S73
	free, wrote := make(chan struct{}), make(chan error, 3)
	s := newTimedSite(t, func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "hello\n")
		w.(http.Flusher).Flush()
		<-free
		_, err := io.WriteString(w, "secret\n")
		wrote <- err
		_, err = w.(io.ReaderFrom).ReadFrom(strings.NewReader("secret\n"))
		wrote <- err
		wrote <- http.NewResponseController(w).Flush()
	})
	res := s.get()
	s.add(2 * time.Hour)
	eventually(t, "the stream has ended", func() bool { return s.realm.Streams() == 0 })
	close(free)
	body, err := io.ReadAll(res.Body)
	if err == nil || string(body) != "hello\n" {
		t.Errorf("got %q, %v", body, err)
	}
	for range 3 {
		if err := <-wrote; !errors.Is(err, context.Canceled) {
			t.Errorf("a write says %v", err)
		}
	}
}

// The next request on a connection is not harmed by what became of the session of the one before.
func TestEndComesTooLate(t *testing.T) {
	s := newTimedSite(t, func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "hello\n")
		w.(http.Flusher).Flush()
	})
	for range 3 {
		body, err := io.ReadAll(s.get().Body)
		if err != nil || string(body) != "hello\n" {
			t.Fatalf("got %q, %v", body, err)
		}
	}
	w := &deadlines{}
	late := &stream{w: w, watch: s.watch()}
	late.leave()
	late.end()
	late.end()
	if w.set != 0 {
		t.Errorf("%d deadlines are set on a connection that is somebody else's", w.set)
	}
	early := &stream{w: w, watch: s.watch()}
	early.end()
	early.end()
	early.leave()
	if w.set != 2 {
		t.Errorf("%d deadlines are set, want one each way", w.set)
	}
	if n := s.realm.Streams(); n != 0 {
		t.Errorf("%d streams are left", n)
	}
}

// deadlines counts those that are set.
type deadlines struct {
	http.ResponseWriter
	set int
}

func (d *deadlines) SetReadDeadline(time.Time) error  { d.set++; return nil }
func (d *deadlines) SetWriteDeadline(time.Time) error { d.set++; return nil }

func (s *timedSite) watch() *auth.Stream {
	s.t.Helper()
	session, _, err := s.realm.Session(s.t.Context(), "127.0.0.1", strings.TrimPrefix(s.cookie, auth.CookieSession+"="))
	if err != nil {
		s.t.Fatal(err)
	}
	return s.realm.Watch(session, &auth.Requirement{Mode: auth.ModeSignedIn}, nil, func() {})
}
