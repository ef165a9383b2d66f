package caddymodule

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

func TestStreamsEndWithTheSession(t *testing.T) { // S73
	l := newLiveSite(t)
	l.serveLive()
	ctx := context.Background()
	realm := running(t).live.Load().realm
	alice, session := l.person("alice")
	bob, _ := l.person("bob")
	kinds := map[string][]string{ // and what the client says
		"/ws": nil, "/events": {"Accept: text/event-stream"}, "/events?for=fetch": nil, "/silent": nil, "/chunked": nil, "/sized": nil,
	}
	for version := range l.clients {
		var hers, his []*talk
		for path, headers := range kinds {
			if version == "HTTP/2.0" && path == "/ws" {
				continue // Go's server offers it to those only who set GODEBUG
			}
			hers = append(hers, l.connect(version, path, alice, headers...))
			his = append(his, l.connect(version, path, bob, headers...))
		}
		public := l.connect(version, "/public/events", alice)
		eventually(t, version+": all but the public one are watched", func() bool { return l.streams() == len(hers)+len(his) })
		if _, err := realm.RevokeSessions(ctx, "alice", session); err != nil {
			t.Fatal(err)
		}
		// Those of the app end, whether the client reads or not.
		eventually(t, version+": the app is rid of her requests", func() bool { return l.open.Load() == int64(len(his)+1) })
		for _, s := range hers {
			s.ended(t)
		}
		for _, s := range append(his, public) {
			if !strings.HasSuffix(s.what, "/silent") {
				s.goesOn(t)
			}
			s.close()
		}
		eventually(t, version+": nothing is left", func() bool { return l.streams() == 0 && l.open.Load() == 0 })
		if err := realm.DeleteUser(ctx, "alice"); err != nil {
			t.Fatal(err)
		}
		alice, session = l.person("alice")
	}
	// No upstream was blamed for it: one failure would be enough to be without any (max_fails).
	res := l.request(ctx, "HTTP/1.1", "GET", "/", nil, http.Header{"Cookie": {strings.TrimPrefix(bob, "Cookie: ")}})
	arrived(t, res)
	if strings.Contains(l.logged(), "panic") {
		t.Error("something panicked")
	}
	if !strings.Contains(l.logged(), "ended the streams of a session") {
		t.Error("nothing is logged")
	}
}

func TestWhatEndsStreams(t *testing.T) { // S54, S56, S73
	l := newLiveSite(t)
	l.serveLive()
	ctx := context.Background()
	realm := func() *auth.Realm { return running(t).live.Load().realm }
	for _, c := range []struct {
		name string
		end  func(t *testing.T, user, cookie string) error
	}{
		{"sign-out", func(t *testing.T, _, cookie string) error {
			r, err := http.NewRequest("POST", "https://"+liveHost+"/.mfa/logout", nil)
			if err != nil {
				return err
			}
			r.Header = http.Header{"Cookie": {strings.TrimPrefix(cookie, "Cookie: ")}, "Sec-Fetch-Site": {"same-origin"}, "Content-Type": {"application/x-www-form-urlencoded"}}
			res, err := l.clients["HTTP/1.1"].Transport.RoundTrip(r)
			if err == nil && res.StatusCode != http.StatusSeeOther {
				t.Error(res.Status)
			}
			return err
		}},
		{"end of all sessions", func(_ *testing.T, user, _ string) error { _, err := realm().RevokeSessions(ctx, user, ""); return err }},
		{"disabling", func(_ *testing.T, user, _ string) error { return realm().SetDisabled(ctx, user, true) }},
		{"deleting", func(_ *testing.T, user, _ string) error { return realm().DeleteUser(ctx, user) }},
		{"reset", func(_ *testing.T, user, _ string) error { return realm().ResetMFA(ctx, user) }},
		{"loss of the group", func(_ *testing.T, user, _ string) error {
			_, err := realm().ChangeGroups(ctx, user, nil, []string{"ops"})
			return err
		}},
		{"disabling after a reload", func(_ *testing.T, user, _ string) error {
			l.serve(l.gated, "name Reloaded")
			return realm().SetDisabled(ctx, user, true)
		}},
		{"removing mfa", func(*testing.T, string, string) error {
			return caddy.Load([]byte(`{"admin":{"disabled":true,"config":{"persist":false}}}`), true)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			user := "user-" + strings.ReplaceAll(c.name, " ", "-")
			cookie, _ := l.person(user)
			before := realm()
			streams := []*talk{l.connect("HTTP/1.1", "/ws", cookie), l.connect("HTTP/1.1", "/silent", cookie), l.connect("HTTP/2.0", "/events", cookie)}
			if err := c.end(t, user, cookie); err != nil {
				t.Fatal(err)
			}
			for _, s := range streams {
				s.ended(t)
			}
			eventually(t, "nothing is left", func() bool { return before.Streams() == 0 })
		})
	}
	released(t, l.dir)
	if strings.Contains(l.logged(), "panic") {
		t.Error("something panicked")
	}
}

// Streams of a config that is gone go on until their session ends.
func TestStreamsOutliveAReload(t *testing.T) { // S73
	l := newLiveSite(t)
	l.serveLive()
	alice, _ := l.person("alice")
	var streams []*talk
	for version := range l.clients {
		if version != "HTTP/3.0" { // of which Caddy ends the connections, with any handler
			streams = append(streams, l.connect(version, "/events", alice))
		}
	}
	streams = append(streams, l.connect("HTTP/1.1", "/ws", alice))
	for _, name := range []string{"First", "Second"} {
		l.serve(l.gated, "name "+name)
		for _, s := range streams {
			s.goesOn(t)
		}
	}
	if _, err := running(t).live.Load().realm.RevokeSessions(context.Background(), "alice", ""); err != nil {
		t.Fatal(err)
	}
	for _, s := range streams {
		s.ended(t)
	}
	eventually(t, "nothing is left", func() bool { return l.streams() == 0 })
}

// What the app says after the session has ended reaches nobody, though it was asked before.
func TestLateAnswerReachesNobody(t *testing.T) { // S73
	l := newLiveSite(t)
	l.serveLive()
	realm := running(t).live.Load().realm
	alice, session := l.person("alice")
	bob, _ := l.person("bob")
	type answer struct {
		body string
		err  error
	}
	ask := func(version, cookie string) chan answer {
		got := make(chan answer, 1)
		r, err := http.NewRequest("POST", "https://"+liveHost+"/late", strings.NewReader("a question"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Cookie", strings.TrimPrefix(cookie, "Cookie: "))
		go func() {
			res, err := l.clients[version].Transport.RoundTrip(r)
			if err != nil {
				got <- answer{err: err}
				return
			}
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			got <- answer{string(body), err}
		}()
		return got
	}
	hers, his := map[string]chan answer{}, map[string]chan answer{}
	for version := range l.clients {
		hers[version], his[version] = ask(version, alice), ask(version, bob)
	}
	eventually(t, "all have asked", func() bool { return l.open.Load() == 6 })
	if _, err := realm.RevokeSessions(context.Background(), "alice", session); err != nil {
		t.Fatal(err)
	}
	from := realm.Beat()
	eventually(t, "some time passes", func() bool { return realm.Beat() > from })
	close(l.release)
	for version := range l.clients {
		if got := <-hers[version]; got.err == nil || strings.Contains(got.body, "late") {
			t.Errorf("%s: she got %q, %v", version, got.body, got.err)
		}
		if got := <-his[version]; got.err != nil || got.body != "late\n" {
			t.Errorf("%s: he got %q, %v", version, got.body, got.err)
		}
	}
	eventually(t, "nothing is left", func() bool { return l.streams() == 0 })
}

func TestManyStreamsEndAtOnce(t *testing.T) { // S73
	l := newLiveSite(t)
	l.serveLive()
	alice, _ := l.person("alice")
	var streams []*talk
	for i := range 60 {
		version := []string{"HTTP/1.1", "HTTP/2.0", "HTTP/3.0"}[i%3]
		streams = append(streams, l.connect(version, "/silent", alice))
	}
	if err := running(t).live.Load().realm.SetDisabled(context.Background(), "alice", true); err != nil {
		t.Fatal(err)
	}
	for _, s := range streams {
		s.ended(t)
	}
	eventually(t, "nothing is left", func() bool { return l.streams() == 0 && l.open.Load() == 0 })
	if n := strings.Count(l.logged(), "ended the streams of a session"); n > 10 {
		t.Errorf("logged %d times", n)
	}
}

func TestUploadsEndWithTheSession(t *testing.T) { // S73
	l := newLiveSite(t)
	l.serveLive()
	alice, _ := l.person("alice")
	bob, _ := l.person("bob")
	var sinks []*io.PipeWriter
	done := make(chan error, len(l.clients))
	for version, client := range l.clients {
		endless, sink := io.Pipe()
		sinks = append(sinks, sink)
		r, err := http.NewRequestWithContext(t.Context(), "POST", "https://"+liveHost+"/upload", endless)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Cookie", strings.TrimPrefix(alice, "Cookie: "))
		go func() {
			res, err := client.Transport.RoundTrip(r)
			if err == nil {
				res.Body.Close()
				err = fmt.Errorf("%s: %s", version, res.Status)
			} else {
				err = nil
			}
			done <- err
		}()
		go io.WriteString(sink, "a beginning") // and nothing after it
	}
	eventually(t, "all have begun", func() bool { return l.open.Load() == 3 && l.streams() == 3 })
	if err := running(t).live.Load().realm.SetDisabled(context.Background(), "alice", true); err != nil {
		t.Fatal(err)
	}
	eventually(t, "nothing is left", func() bool { return l.streams() == 0 && l.open.Load() == 0 })
	for _, sink := range sinks { // for which some clients wait
		sink.CloseWithError(io.ErrUnexpectedEOF)
	}
	for range l.clients {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	// No upstream was blamed for it.
	arrived(t, l.request(t.Context(), "HTTP/1.1", "GET", "/", nil, http.Header{"Cookie": {strings.TrimPrefix(bob, "Cookie: ")}}))
}

// Over HTTP/3 a request without a length may have a body, which the transport of Caddy's proxy reads in a goroutine of its own, also while
// the response becomes a stream.
func TestBodyIsReadWhileAStreamBegins(t *testing.T) {
	s := newSite(t)
	s.serve(plainGate)
	value := signIn(t, "localhost", "alice")
	realm, err := running(t).Realm(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	session, _, err := realm.Session(t.Context(), "localhost", value)
	if err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "http://localhost/", io.NopCloser(endless{}))
		r.ContentLength, r.ProtoMajor = -1, 3
		p := &passage{}
		p.ResponseWriter = httptest.NewRecorder()
		r = p.bind(realm, &auth.Requirement{Mode: auth.ModeSignedIn}, session, r)
		done, stop := make(chan any), make(chan struct{})
		go func() {
			defer func() { done <- recover() }()
			for b := make([]byte, 1); ; {
				select {
				case <-stop:
					return
				default:
					_, _ = r.Body.Read(b)
				}
			}
		}()
		p.Flush()
		close(stop)
		if why := <-done; why != nil {
			t.Fatalf("a goroutine that is not the handler's panics: %v", why)
		}
		p.leave()
	}
}

// endless is a body that never ends.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }
