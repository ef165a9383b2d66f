package e2e

import (
	"bufio"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
)

// TestBehindOtherProxies runs the configurations of docs/proxies with the real programs.
func TestBehindOtherProxies(t *testing.T) { // S60, S67, S69, S70, S73, S76
	for _, name := range slices.Sorted(maps.Keys(proxies)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := startProxy(t, name)
			alice, v := addUser(t, p.Server, "alice"), rig.NewVisitor(p.URL)
			page, err := alice.SignIn(t.Context(), v, "/a?b=c")
			if err != nil {
				t.Fatal(err)
			}
			if page.URL.RequestURI() != "/a?b=c" || page.Heading() != "Example app" {
				t.Fatalf("signing in led to %s: %s", page.URL, page.Text())
			}
			stranger := rig.NewVisitor(p.URL)

			t.Run("identity", func(t *testing.T) { p.tells(t, v, stranger) })
			t.Run("strangers", func(t *testing.T) { p.refuses(t, stranger) })
			t.Run("hosts", func(t *testing.T) { p.keepsHostsApart(t, v) })
			t.Run("bodies", func(t *testing.T) { p.carries(t, v) })
			t.Run("WebSocket", func(t *testing.T) {
				conn, _, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(p.URL, "http")+"/ws", &websocket.DialOptions{HTTPHeader: http.Header{"Cookie": {v.Cookies()}}})
				if err != nil {
					t.Fatal(err)
				}
				defer conn.CloseNow()
				if err := conn.Write(t.Context(), websocket.MessageText, []byte("hello")); err != nil {
					t.Fatal(err)
				}
				if _, said, err := conn.Read(t.Context()); err != nil || string(said) != "echo hello" {
					t.Errorf("%q, %v", said, err)
				}
			})
			t.Run("large cookies", func(t *testing.T) {
				req := p.request(t, "/headers", "Cookie: big="+strings.Repeat("x", 7000))
				if got := p.received(t, v, req); got.Header.Get("Cookie") != "big="+strings.Repeat("x", 7000) {
					t.Errorf("%d bytes", len(got.Header.Get("Cookie")))
				}
			})
			t.Run("the end of the session", func(t *testing.T) {
				if _, err := v.Post(t.Context(), "/.mfa/logout", nil); err != nil {
					t.Fatal(err)
				}
				if page, err := v.Fetch(t.Context(), "/headers"); err != nil || page.Status != http.StatusUnauthorized {
					t.Errorf("%d, %v", page.Status, err)
				}
			})
			t.Run("without Caddy", func(t *testing.T) {
				p.Stop()
				for _, path := range []string{"/headers", "/headers?open=1"} {
					if page, err := v.Fetch(t.Context(), path); err != nil || page.Status < 500 {
						t.Errorf("%s: %d %s, %v", path, page.Status, page.Body, err)
					}
				}
			})
		})
	}
}

// TestHAProxyWithoutAnAnswer lets the script fail, and something else than mfa answer it. HAProxy goes on after a script that fails.
func TestHAProxyWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	for name, changes := range map[string][]string{
		"the script fails":           {"local headers = {}", `error("no")`},
		"the script is told nothing": {"/forward-auth", "/.mfa/session"}, // which is answered with 200
	} {
		t.Run(name, func(t *testing.T) {
			p := startProxy(t, "haproxy", changes...)
			page, err := rig.NewVisitor(p.URL).Fetch(t.Context(), "/headers?open=1")
			if err != nil || page.Status != http.StatusServiceUnavailable {
				t.Errorf("%d %s, %v", page.Status, page.Body, err)
			}
		})
	}
}

// request is a request of a script, with headers "Name: value" in just that spelling.
func (p *proxy) request(t *testing.T, path string, headers ...string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header[name] = append(req.Header[name], value)
	}
	return req
}

// received is what the app got of a request that must reach it.
func (p *proxy) received(t *testing.T, v *rig.Visitor, req *http.Request) (got rig.Received) {
	t.Helper()
	page, err := v.Do(req, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(page.Body, &got); err != nil || page.Status != http.StatusOK || got.URI == "" {
		t.Fatalf("did not reach the app: %d %v\n%s", page.Status, page.Header, page.Body)
	}
	return got
}

// tells checks what the app learns: all of it from Caddy. Alice has no name to show, no address and no groups.
func (p *proxy) tells(t *testing.T, v, stranger *rig.Visitor) {
	spoof := []string{
		"Remote-User: mallory", "remote-name: Mallory", "REMOTE-EMAIL: mallory@example.com", "Remote-Groups: admins", "Remote_User: mallory", "remote_groups: admins",
		"Connection: keep-alive, Remote-User, Remote-Groups", "Remote.User: mallory", "Remote_Name: ", "Remote-Assertion: a.b.c", "remote_assertion: a.b.c", "Forwarded: for=192.0.2.9", "X-Original-URL: /headers?open=1", "X-Rewrite-URL: /admin",
	}
	for _, c := range []struct {
		name, path, user string
		visitor          *rig.Visitor
		spoof            []string
	}{
		{"signed in", "/headers", "alice", v, spoof},
		{"signed in, with empty ones", "/headers", "alice", v, []string{"Remote-User: ", "Remote-Groups: "}},
		{"public", "/headers?open=1", "", v, spoof},
		{"public, a stranger", "/headers?open=1", "", stranger, spoof},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := p.received(t, c.visitor, p.request(t, c.path, append(c.spoof, "Cookie: theme=dark")...))
			for name, values := range got.Header {
				folded := strings.ToLower(strings.NewReplacer("_", "-", ".", "-").Replace(name))
				value, want := strings.Join(values, "|"), ""
				switch folded {
				case "remote-user":
					want = c.user
				case "remote-name", "remote-email", "remote-groups", "remote-assertion", "forwarded", "x-original-url", "x-rewrite-url":
				default:
					continue
				}
				if value != want || strings.ContainsAny(name, "_.") {
					t.Errorf("%s is %q, want %q", name, value, want)
				}
			}
			if c.user != "" && got.Header.Get("Remote-User") == "" {
				t.Error("the app learns nothing")
			}
			if got.Header.Get("Cookie") != "theme=dark" {
				t.Errorf("cookies %q", got.Header["Cookie"])
			}
			if got.Header.Get("X-Forwarded-For") != "127.0.0.1" || got.Header.Get("X-Forwarded-Proto") != "http" {
				t.Errorf("the app is told of %q by %q", got.Header["X-Forwarded-For"], got.Header["X-Forwarded-Proto"])
			}
		})
	}
}

// refuses checks that no words of a stranger open anything.
func (p *proxy) refuses(t *testing.T, stranger *rig.Visitor) {
	for _, headers := range [][]string{
		{"X-Forwarded-Uri: /headers?open=1"},
		{"X-Forwarded-Uri: "},
		{"x-forwarded-uri: /headers?open=1", "X_Forwarded_Uri: /headers?open=1"},
		{"X-Original-URL: http://localhost/headers?open=1", "X-Original-Method: GET"},
		{"X-Forwarded-Method: OPTIONS", "X-Forwarded-Proto: https", "X-Forwarded-Host: localhost"},
		{"X-Forwarded-Prefix: /headers?open=1", "X-Rewrite-URL: /headers?open=1"},
		{"Remote-User: alice", "X-Forwarded-For: 127.0.0.1"},
		{"Connection: X-Forwarded-Uri, X-Forwarded-Host, X-Forwarded-Method"},
	} {
		page, err := stranger.Do(p.request(t, "/headers", append(headers, "Sec-Fetch-Mode: cors")...), false)
		if err != nil {
			t.Fatal(err)
		}
		if page.Status != http.StatusUnauthorized || string(page.Body) != `{"error":"sign_in_required","login":"/.mfa/login"}`+"\n" ||
			page.Header.Get("Www-Authenticate") != `MFA login="/.mfa/login"` || page.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%q: %d %v\n%s", headers, page.Status, page.Header, page.Body)
		}
	}
	for path, want := range map[string]int{
		"/headers/../headers?open=1": 400, "/%2e%2e/headers?open=1": 400, "/headers%5c?open=1": 400, "/.mfa/%2e%2e/headers?open=1": 400, "/mfa-ask": 404,
	} {
		page, err := stranger.Do(p.request(t, path, "Sec-Fetch-Mode: cors"), false)
		if err != nil {
			t.Fatal(err)
		}
		if page.Status == http.StatusOK || page.Status != want && want == 400 && !strings.HasPrefix(path, "/.mfa") {
			t.Errorf("%s: %d, want %d", path, page.Status, want)
		}
	}
	page, err := stranger.Post(t.Context(), "/admin/save", map[string][]string{"text": {"x"}})
	if err != nil || page.Status != http.StatusSeeOther || !strings.HasSuffix(page.Header.Get("Location"), "/.mfa/login?to=%2Fadmin%2Fsave") {
		t.Errorf("a form: %d to %s, %v", page.Status, page.Header.Get("Location"), err)
	}
}

// keepsHostsApart uses a session on a host that it is not for.
func (p *proxy) keepsHostsApart(t *testing.T, v *rig.Visitor) {
	port := p.URL[strings.LastIndexByte(p.URL, ':'):]
	for name, head := range map[string]string{
		"another host":                        "GET /headers HTTP/1.1\r\nHost: wiki.localhost" + port,
		"another host by the whole address":   "GET http://wiki.localhost" + port + "/headers HTTP/1.1\r\nHost: localhost" + port,
		"another host, said to be its own":    "GET /headers HTTP/1.1\r\nHost: wiki.localhost" + port + "\r\nX-Forwarded-Host: localhost",
		"another host, with its own about it": "GET /headers HTTP/1.1\r\nHost: wiki.localhost" + port + "@localhost" + port,
		"two hosts":                           "GET /headers HTTP/1.1\r\nHost: wiki.localhost" + port + "\r\nHost: localhost" + port,
	} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(p.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "%s\r\nCookie: %s\r\nSec-Fetch-Mode: cors\r\nConnection: close\r\n\r\n", head, v.Cookies())
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if body, _ := io.ReadAll(res.Body); res.StatusCode < 400 || strings.Contains(string(body), "alice") {
			t.Errorf("%s: %s\n%s", name, res.Status, body)
		}
	}
}

// carries sends a large body through.
func (p *proxy) carries(t *testing.T, v *rig.Visitor) {
	const size = 8 << 20
	h := sha256.New()
	req, err := http.NewRequestWithContext(t.Context(), "POST", p.URL+"/upload", io.TeeReader(io.LimitReader(rig.Pattern(), size), h))
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = size
	page, err := v.Do(req, false)
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("%d %x", size, h.Sum(nil)); page.Status != http.StatusOK || string(page.Body) != want {
		t.Errorf("%d %s, want %s", page.Status, page.Body, want)
	}
	page, err = v.Post(t.Context(), "/admin/save", map[string][]string{"text": {"hello"}})
	if err != nil || page.Status != http.StatusOK || !strings.Contains(page.Text(), "hello") {
		t.Errorf("a form: %d, %v", page.Status, err)
	}
}

// TestJourneyBehindNginx signs in and out in a browser that sees nothing but nginx.
func TestJourneyBehindNginx(t *testing.T) {
	t.Parallel()
	p := startProxy(t, "nginx")
	alice := addUser(t, p.Server, "alice")
	if _, err := alice.SignIn(t.Context(), rig.NewVisitor(p.URL), "/"); err != nil {
		t.Fatal(err)
	}
	p.Server.URL = p.URL
	b := open(t, p.Server)
	b.visit("/a?b=c")
	b.sees("Sign in")
	b.signIn(alice)
	b.reads("alice")
	if said := eval[string](b, stay); said != "echo hello, 0" {
		t.Errorf("its connections say %q", said)
	}
	b.visit("/")
	b.press("Sign out")
	b.sees("Sign in")
	b.visit("/")
	b.sees("Sign in")
}

// TestProxiesInTheGuide compares the guide with the files that are tested.
func TestProxiesInTheGuide(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile("../docs/guide.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("../docs/proxies/*")
	if err != nil || len(files) < 4 {
		t.Fatalf("%q, %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(guide), "\n"+string(text)+"```\n") {
			t.Errorf("%s is not in the guide as it is", file)
		}
	}
}
