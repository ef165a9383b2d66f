package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// slow is a request that takes its time.
type slow struct {
	method, path string
	length       int64  // of the body as it is announced; -1: it is not
	sent         string // of the body, of which no more comes if that is not all
}

func (s slow) String() string { return fmt.Sprintf("%s %s of %d bytes", s.method, s.path, s.length) }

// ask sends the request, and returns what becomes of it.
func (l *liveSite) ask(ctx context.Context, version, cookie string, s slow) <-chan error {
	l.t.Helper()
	r, err := http.NewRequestWithContext(ctx, s.method, "https://"+liveHost+s.path, nil)
	if err != nil {
		l.t.Fatal(err)
	}
	r.Header.Set("Cookie", strings.TrimPrefix(cookie, "Cookie: "))
	if r.ContentLength = s.length; s.length != 0 {
		body, sink := io.Pipe()
		r.Body = body
		context.AfterFunc(ctx, func() { sink.CloseWithError(io.ErrUnexpectedEOF) })
		go func() {
			if io.WriteString(sink, s.sent); s.length == int64(len(s.sent)) {
				sink.Close()
			}
		}()
	}
	done := make(chan error, 1)
	go func() {
		res, err := l.clients[version].Transport.RoundTrip(r)
		if err == nil {
			_, err = io.Copy(io.Discard, res.Body)
			res.Body.Close()
			if err == nil && res.StatusCode != http.StatusOK {
				err = fmt.Errorf("got %s", res.Status)
			}
		}
		done <- err
	}()
	return done
}

// A request ends with its session whatever its method, whether its body comes or not, and whether the app says something or not.
func TestSlowRequestsEndWithTheSession(t *testing.T) { // S73
	for _, version := range []string{"HTTP/1.1", "HTTP/2.0", "HTTP/3.0"} {
		t.Run(version, func(t *testing.T) {
			l := newLiveSite(t)
			l.serveLive()
			realm := running(t).live.Load().realm
			alice, session := l.person("alice")
			bob, _ := l.person("bob")
			ctx, cancel := context.WithCancel(t.Context())
			t.Cleanup(cancel)
			hers, his, whole := map[string]<-chan error{}, map[string]<-chan error{}, map[string]bool{}
			for _, s := range []slow{
				{"GET", "/upload", -1, "a beginning"},
				{"HEAD", "/upload", -1, "a beginning"},
				{"DELETE", "/upload", -1, "a beginning"},
				{"POST", "/upload", 100, "a beginning"},
				{"PUT", "/late", 100, "a beginning"},
				{"GET", "/late", 100, "a beginning"},
				{"POST", "/late", 5, "whole"},
				{"GET", "/late", 0, ""},
				{"HEAD", "/late", 0, ""},
			} {
				hers[s.String()] = l.ask(ctx, version, alice, s)
				his[s.String()] = l.ask(ctx, version, bob, s)
				whole[s.String()] = s.length == int64(len(s.sent))
			}
			eventually(t, "all have begun", func() bool { return l.open.Load() == int64(len(hers)+len(his)) })
			from := realm.Beat()
			eventually(t, "the first beat has passed", func() bool { return realm.Beat() > from })
			if _, err := realm.RevokeSessions(context.Background(), "alice", session); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the app is rid of her requests", func() bool { return l.open.Load() == int64(len(his)) })
			from = realm.Beat()
			eventually(t, "streams are looked at", func() bool { return realm.Beat() >= from+2 })
			if n := l.open.Load(); n != int64(len(his)) {
				t.Errorf("of his %d requests %d are left", len(his), n)
			}
			close(l.release)
			for what, done := range his {
				if whole[what] { // a server waits for the rest of the others
					if err := <-done; err != nil {
						t.Errorf("his %s: %v", what, err)
					}
				}
			}
			// No upstream was blamed for it.
			arrived(t, l.request(t.Context(), "HTTP/1.1", "GET", "/", nil, http.Header{"Cookie": {strings.TrimPrefix(bob, "Cookie: ")}}))
			cancel() // some clients wait for the rest of what they send
			for what, done := range hers {
				if err := <-done; err == nil {
					t.Errorf("her %s was answered", what)
				}
			}
			eventually(t, "nothing is left", func() bool { return l.streams() == 0 && l.open.Load() == 0 })
			if strings.Contains(l.logged(), "panic") {
				t.Error("something panicked")
			}
		})
	}
}

// A handler that does not read what comes learns of the end, too.
func TestUnreadBodyEndsWithTheSession(t *testing.T) { // S73
	begun, over := make(chan struct{}), make(chan error, 3)
	var conns []net.Conn
	s := newTimedSite(t, func(_ http.ResponseWriter, r *http.Request) {
		begun <- struct{}{}
		<-r.Context().Done()
		over <- context.Cause(r.Context())
	})
	for _, head := range []string{"GET / HTTP/1.1\r\nTransfer-Encoding: chunked", "POST / HTTP/1.1\r\nContent-Length: 100", "GET / HTTP/1.1"} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		conn.SetDeadline(time.Now().Add(time.Minute))
		io.WriteString(conn, head+"\r\nHost: 127.0.0.1\r\nCookie: "+s.cookie+"\r\n\r\n")
		<-begun
		conns = append(conns, conn)
	}
	s.add(2 * time.Hour)
	for _, conn := range conns {
		if err := <-over; !errors.Is(err, context.Canceled) {
			t.Errorf("a request ends with %v", err)
		}
		if got, err := io.ReadAll(conn); os.IsTimeout(err) || len(got) > 0 {
			t.Errorf("got %q, %v", got, err)
		}
	}
}

// A connection that its handler gave to somebody else is watched until it is closed.
func TestUpgradeOutlivesItsHandler(t *testing.T) { // S73
	taken, returned := make(chan net.Conn, 2), make(chan struct{}, 2)
	s := newTimedSite(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "websocket")
		w.WriteHeader(http.StatusSwitchingProtocols)
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		taken <- conn
		context.AfterFunc(t.Context(), func() { conn.Close() })
		go io.Copy(conn, conn)
	})
	s.returned = func() { returned <- struct{}{} }
	client, back := s.dial()
	conn := <-taken
	<-returned
	io.WriteString(client, frame(text, 5))
	if _, err := io.ReadFull(back, make([]byte, 11)); err != nil {
		t.Fatal(err)
	}
	if n := s.realm.Streams(); n != 1 {
		t.Errorf("%d streams are watched, want 1", n)
	}
	conn.Close()
	if n := s.realm.Streams(); n != 0 {
		t.Errorf("%d streams are left", n)
	}
	_, back = s.dial()
	<-taken
	<-returned
	s.add(2 * time.Hour)
	if _, err := back.ReadByte(); err == nil || os.IsTimeout(err) {
		t.Errorf("the connection goes on: %v", err)
	}
	eventually(t, "nothing is left", func() bool { return s.realm.Streams() == 0 })
}
