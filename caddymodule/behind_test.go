package caddymodule

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What stands behind the gate works as it does without one.

func TestPlaceholders(t *testing.T) {
	s := newSite(t)
	s.serve(`{address} {
	mfa {
		public /public
	}
	log {
		output file ` + s.log + `.access
	}
	respond "{http.auth.user.id}|{http.auth.user.name}|{http.auth.user.display_name}|{http.auth.user.email}|{http.auth.user.groups}|{http.vars.mfa.passage}"
}
`)
	cookie := sessionCookie(signIn(t, "localhost", "alice", "dev", "ops"))
	for target, want := range map[string]string{
		"/":       "alice|alice|The alice|alice@example.com|dev,ops|",
		"/public": "|||||",
	} {
		body, _ := io.ReadAll(s.get(target, cookie).Body)
		if got := string(body); got != want {
			t.Errorf("%s: got %q, want %q", target, got, want)
		}
	}
	s.get("/private", asPage)
	eventually(t, "the access log has three lines", func() bool {
		b, _ := os.ReadFile(s.log + ".access")
		return strings.Count(string(b), `"uri":`) == 3
	})
	b, _ := os.ReadFile(s.log + ".access")
	if n := strings.Count(string(b), `"user_id":"alice"`); n != 1 {
		t.Errorf("%d lines name alice\n%s", n, b)
	}
	if strings.Contains(string(b), strings.TrimPrefix(cookie, "Cookie: ")) { // S78
		t.Error("the session's cookie is in the access log")
	}
}

func TestErrorRoutes(t *testing.T) {
	s := newSite(t)
	s.serve(`{address} {
	mfa {
		public /healthz
		allow alice
	}
	reverse_proxy {app}
	handle_errors {
		respond "site: {err.status_code} {err.message} {http.request.header.Cookie}"
	}
}
`)
	alice := sessionCookie(signIn(t, "localhost", "alice"))
	bob := sessionCookie(signIn(t, "localhost", "bob"))
	for _, c := range []struct {
		name, target, header, header2 string
		status                        int
		want                          string
	}{
		{"denied", "/", bob, asPage, 403, "site: 403 mfa: You are signed in, but this page is for other people. "},
		{"denied to a program", "/", bob, asScript, 403, "site: 403"},
		{"ambiguous", "/a/..;/b", alice, asPage, 400, "site: 400"},
		{"not signed in is no error", "/", asPage, "X-A: b", 303, ""},
		{"nor for a program", "/", asScript, "X-A: b", 401, `{"error":"sign_in_required","login":"/.mfa/login"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			res := s.get(c.target, c.header, c.header2)
			body, _ := io.ReadAll(res.Body)
			if res.StatusCode != c.status || !strings.HasPrefix(string(body), c.want) {
				t.Errorf("%s %q", res.Status, body)
			}
			if strings.Contains(string(body), "__Host-mfa") { // S60
				t.Error("an error route sees our cookie")
			}
		})
	}
	arrived(t, s.get("/", alice))
}

// A handler before the gate may fail, and then the error routes get the request as the client sent it. A gate there cleans it, and
// knows who was refused by the first one.
func TestGateInErrorRoutes(t *testing.T) {
	s := newSite(t)
	s.serve(`{address} {
	@limited header X-Limited yes
	@down path /down
	route {
		error @limited 429
		mfa {
			public /a
			allow alice
		}
		reverse_proxy @down 127.0.0.1:1
		reverse_proxy {app}
	}
	handle_errors 403 {
		mfa {
			allow alice
		}
		reverse_proxy {app}
	}
	handle_errors {
		mfa
		reverse_proxy {app} {
			header_up X-Id {http.auth.user.id}
			header_up X-Status {err.status_code}
		}
	}
}
`)
	alice := sessionCookie(signIn(t, "localhost", "alice"))
	bob := sessionCookie(signIn(t, "localhost", "bob"))
	for _, c := range []struct {
		name, target, header, header2 string
		want                          int
		user, status                  string // that the app behind the error routes was told
	}{
		{"before the gate", "/", "X-Limited: yes", alice, 200, "alice", "429"},
		{"before the gate, a stranger", "/", "X-Limited: yes", asPage, 303, "", ""},
		{"before the gate, a program", "/", "X-Limited: yes", asScript, 401, "", ""},
		{"before the gate, for the pages", "/.mfa/login", "X-Limited: yes", asPage, 200, "", ""},
		{"behind the gate", "/down", alice, asPage, 200, "alice", "502"},
		{"by the gate, and passed", "/a/..;/b", bob, asPage, 200, "bob", "400"},
		{"by the gate, and refused again", "/", bob, asPage, 403, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			res := s.get(c.target, c.header, c.header2, "Remote-User: mallory")
			if res.StatusCode != c.want {
				t.Fatal(res.Status)
			}
			if c.user == "" {
				body, _ := io.ReadAll(res.Body)
				if c.want == http.StatusForbidden && !strings.Contains(string(body), "You are signed in as bob, but") {
					t.Errorf("%s", body)
				}
				return
			}
			got := arrived(t, res)
			if got.Header.Get("Remote-User") != c.user || got.Header.Get("X-Id") != c.user || got.Header.Get("X-Status") != c.status || got.Header.Get("Cookie") != "" { // S67
				t.Errorf("got %v", got.Header)
			}
		})
	}
}

// An admin may put a second, stricter gate further in. Both must let the request pass.
func TestGateInsideAGate(t *testing.T) {
	s := newSite(t)
	s.serve(`{address} {
	mfa {
		public /public/*
	}
	handle /admin/* {
		mfa {
			allow group:admins
		}
		reverse_proxy {app} {
			header_up X-Id {http.auth.user.id}
		}
	}
	handle /public/in/* {
		mfa
		reverse_proxy {app} {
			header_up X-Id {http.auth.user.id}
		}
	}
	handle {
		reverse_proxy {app} {
			header_up X-Id {http.auth.user.id}
		}
	}
}
`)
	admin := sessionCookie(signIn(t, "localhost", "alice", "admins"))
	user := sessionCookie(signIn(t, "localhost", "bob"))
	for _, c := range []struct {
		target, header string
		want           int
	}{
		{"/", user, 200},
		{"/admin/x", admin, 200},
		{"/admin/x", user, 403},
		{"/admin/x", asPage, 303},
		{"/public/x", asPage, 200},
		{"/public/in/x", asPage, 303},
		{"/public/in/x", user, 200},
	} {
		t.Run(c.target, func(t *testing.T) {
			res := s.get(c.target, c.header)
			if res.StatusCode != c.want {
				t.Fatal(res.Status)
			}
			if c.want == 200 && c.header != asPage {
				got := arrived(t, res)
				if want := map[string]string{admin: "alice", user: "bob"}[c.header]; got.Header.Get("Remote-User") != want || got.Header.Get("X-Id") != want || got.Header.Get("Cookie") != "" {
					t.Errorf("got %v", got.Header)
				}
			}
		})
	}
}

func TestRewritesBeforeTheGate(t *testing.T) {
	s := newSite(t)
	s.serve(`{address} {
	uri strip_prefix /app
	rewrite /old /new?x=1
	mfa {
		public /public
	}
	reverse_proxy {app}
}
`)
	cookie := sessionCookie(signIn(t, "localhost", "alice"))
	if res := s.get("/app/page?q=1", asPage); res.Header.Get("Location") != "/.mfa/login?to=%2Fapp%2Fpage%3Fq%3D1" {
		t.Errorf("sent to %s", res.Header.Get("Location"))
	}
	if got := arrived(t, s.get("/app/page?q=1", cookie)); got.URI != "/page?q=1" {
		t.Errorf("the app got %s", got.URI)
	}
	if got := arrived(t, s.get("/app/public", asPage)); got.URI != "/public" {
		t.Errorf("the app got %s", got.URI)
	}
	if res := s.get("/app/a%2f..%2fpublic", cookie); res.StatusCode != http.StatusBadRequest {
		t.Error(res.Status)
	}
	// The portal is where the client asked for it, and nowhere else.
	if res := s.get("/.mfa/login", asPage); res.StatusCode != http.StatusOK {
		t.Error(res.Status)
	}
	if res := s.get("/app/.mfa/login", asPage); res.StatusCode != http.StatusSeeOther {
		t.Errorf("a rewritten path reached the portal: %s", res.Status)
	}
}

func TestWebSocketAndStreamPass(t *testing.T) {
	s := newSite(t)
	next := make(chan struct{})
	stream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			conn, rw, _ := http.NewResponseController(w).Hijack()
			defer conn.Close()
			io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSet-Cookie: __Host-mfa=x\r\nSet-Cookie: a=1\r\n\r\n")
			line, _ := rw.ReadString('\n')
			io.WriteString(conn, r.Header.Get("Remote-User")+" said "+line)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			w.(http.Flusher).Flush()
			<-next
		}
	}))
	defer stream.Close()
	s.serve("{address} {\n\tmfa\n\treverse_proxy " + stream.Listener.Addr().String() + "\n}\n")
	cookie := sessionCookie(signIn(t, "localhost", "alice"))

	t.Run("events come one by one", func(t *testing.T) {
		br := bufio.NewReader(s.get("/", cookie).Body)
		for i := range 3 {
			if line, err := br.ReadString('\n'); err != nil || line != fmt.Sprintf("data: %d\n", i) {
				t.Fatalf("%q, %v", line, err)
			}
			br.ReadString('\n')
			next <- struct{}{}
		}
	})
	t.Run("the tunnel carries both ways", func(t *testing.T) {
		conn, err := net.Dial("tcp", "127.0.0.1:"+s.port)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: localhost:%s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n%s\r\n\r\n", s.port, cookie)
		br := bufio.NewReader(conn)
		res, err := http.ReadResponse(br, nil)
		if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
			t.Fatalf("%v %v", res, err)
		}
		if got := res.Header["Set-Cookie"]; len(got) != 1 || got[0] != "a=1" {
			t.Errorf("cookies %q", got)
		}
		io.WriteString(conn, "hello\n")
		if line, err := br.ReadString('\n'); err != nil || line != "alice said hello\n" {
			t.Errorf("%q, %v", line, err)
		}
	})
}

func TestLargeFilesPass(t *testing.T) {
	s := newSite(t)
	dir := t.TempDir()
	want := strings.Repeat("0123456789abcdef", 1<<18)
	if err := os.WriteFile(filepath.Join(dir, "big"), []byte(want), 0o600); err != nil {
		t.Fatal(err)
	}
	s.serve("{address} {\n\troot " + dir + "\n\tmfa\n\tfile_server\n}\n")
	cookie := sessionCookie(signIn(t, "localhost", "alice"))
	body, err := io.ReadAll(s.get("/big", cookie).Body)
	if err != nil || string(body) != want {
		t.Errorf("%d bytes, %v", len(body), err)
	}
	part := s.get("/big", cookie, "Range: bytes=16-31")
	if body, _ := io.ReadAll(part.Body); part.StatusCode != http.StatusPartialContent || string(body) != "0123456789abcdef" {
		t.Errorf("%s %q", part.Status, body)
	}
}

func TestMetrics(t *testing.T) {
	s := newSite(t)
	s.serve(plainGate + "http://metrics.localhost:{port} {\n\tmetrics\n}\n")
	cookie := sessionCookie(signIn(t, "localhost", "alice"))
	count := func() map[string]int {
		body, _ := io.ReadAll(s.get("/", "Host: metrics.localhost:"+s.port).Body)
		counts := map[string]int{}
		for line := range strings.Lines(string(body)) {
			var n int
			if rest, ok := strings.CutPrefix(line, `caddy_mfa_requests_total{decision="`); ok {
				decision, value, _ := strings.Cut(rest, `"} `)
				fmt.Sscan(value, &n)
				counts[decision] = n
			}
		}
		return counts
	}
	before := count()
	s.serve(plainGate + "http://metrics.localhost:{port} {\n\tmetrics\n}\n") // registers once more
	arrived(t, s.get("/", cookie))
	s.get("/", asPage)
	s.get("/", asScript)
	s.get("/.mfa/login", asPage)
	after := count()
	for decision, want := range map[string]int{"allow": 1, "sign_in": 2, "portal": 1, "deny": 0} {
		if got := after[decision] - before[decision]; got != want {
			t.Errorf("%s: %d more, want %d", decision, got, want)
		}
	}
}
