package e2e

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
)

// wire sends a request as it is written, byte for byte, and returns the answer. "{host}" is the site's.
func wire(t *testing.T, s *rig.Server, lines ...string) (*http.Response, string) {
	t.Helper()
	conn, err := net.Dial("tcp", "127.0.0.1:"+s.Port)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second)) // a hang fails here
	text := strings.ReplaceAll(strings.Join(lines, "\r\n"), "{host}", "localhost:"+s.Port)
	if !strings.Contains(text, "\r\n\r\n") {
		text += "\r\n\r\n"
	}
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(lines[0], " ")
	res, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%q: %v", lines[0], err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%q: %v", lines[0], err)
	}
	return res, string(body)
}

// tricksSite has a part for everybody, a part for admins, and an app behind all of it that answers any path.
func tricksSite(t *testing.T) (s *rig.Server, alice string) {
	t.Helper()
	s = start(t, rig.Config{Caddyfile: ruled("public /open/*", "rule /admin/* {\n\t\t\tallow group:admins\n\t\t}", "rule /vault/* {\n\t\t\trequire webauthn\n\t\t}")})
	_, v := enrolled(t, s, "alice")
	return s, "Cookie: " + sessionCookie + "=" + v.Cookie(sessionCookie)
}

// TestPathTricks writes the paths of the admins, and of a rule that asks for more, in every way in which somebody may read them so; and what
// is open to all in every way that leads elsewhere.
func TestPathTricks(t *testing.T) { // S70
	t.Parallel()
	s, alice := tricksSite(t)
	reached := func(target string, headers ...string) (bool, int) {
		t.Helper()
		res, body := wire(t, s, append([]string{"GET " + target + " HTTP/1.1", "Host: {host}", "Connection: close", "Sec-Fetch-Mode: cors"}, headers...)...)
		return strings.Contains(body, "Example app"), res.StatusCode
	}
	for _, part := range []string{"admin", "vault"} {
		first := string(part[0])
		for _, target := range []string{
			"/P/x", "/P/", "/p-upper/x", "/%CODE/x", "//P/x", "///P//x", "/./P/x", "/P/./x", "/open/../P/x", "/open/..%2fP/x", "/open/%2e%2e/P/x",
			"/open/..;/P/x", "/open/..;a=b/P/x", "/P;x/y", "/;x/P/y", "/;/P/y", "/open\\..\\P/x", "/open/%5c..%5cP/x", "/P%2fx", "/P%2Fx", "/P%252fx", "/P/%2e/x", "/P%00/x",
			"/P/x%23", "/P/x?y", "/P/?", "/%2561dmin/x", "/P/x;y.css", "/P/%3bx", "/P%3bx/y", "//host/P/x", "//host@evil/P/x", "/\x7fP/x", "/P/x%0a", "/P\t/x", "/P%01/x", "/%01P/x",
			"http://{host}/P/x", "http://{host}//P/x", "http://evil.example.com/P/x", "HTTP://{host}/P/x", "http://{host}/open/../P/x", "http://user@{host}/P/x",
			"x:http://{host}/P/x", "x:P/x", "x:/P/x", "x:///P/x", "http:P/x", "http:/P/x", "/P/x#", "/P/x%c0%af", "/open/%c0%ae%c0%ae/P/x", "/P/../P/x", "/.//P/x", "/P/x/..;/x",
		} {
			target = strings.NewReplacer("/p-upper/", "/"+strings.ToUpper(part)+"/", "%CODE", "%"+map[string]string{"a": "61", "v": "76"}[first]+part[1:], "P", part).Replace(target)
			through, status := reached(target, alice)
			if through || status >= 500 {
				t.Errorf("%q: status %d, reached the app: %v", target, status, through)
			}
		}
	}
	for target, want := range map[string]bool{
		"/open/x": true, "/OPEN/x": true, "/open/a%20b": true, "/open/caf%C3%A9": true, "/open/a%2Fb": true, "/open/x?a=/../": true, "http://{host}/open/x": true,
		"/%6fpen/x": false, "//open/x": false, "/open//x": false, "/open;x/y": false, "/open/x;y": false, "/open/..;/x": false, "/open/../x": false, "/open/%2e%2e/x": false,
		"/open/x%00": false, "/open/x%0a": false, "/open/x%23y": false, "/open/x%3fy": false, "/openx": false, "/open": false, "/x/open/y": false, "*": false,
		"http://{host}/x/open/": false, "//open/open/x": false,
	} {
		if through, status := reached(target); through != want || status >= 500 {
			t.Errorf("a stranger at %q: status %d, reached the app: %v", target, status, through)
		}
	}
}

// TestMethodTricks asks in the name of other methods, and with none that anybody knows.
func TestMethodTricks(t *testing.T) { // S74, S75
	t.Parallel()
	s, alice := tricksSite(t)
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "PROPFIND", "get", "X", "CONNECT"} {
		for _, header := range []string{"X-HTTP-Method-Override: OPTIONS", "X-Method-Override: GET", "X-HTTP-Method: HEAD", "Access-Control-Request-Method: GET", "Upgrade: websocket"} {
			for _, who := range []string{"X-Nobody: 1", alice} {
				res, body := wire(t, s, method+" /admin/x HTTP/1.1", "Host: {host}", "Connection: close", "Origin: https://evil.example.com", header, who, "Content-Length: 0")
				if strings.Contains(body, "Example app") || res.StatusCode < 300 || res.StatusCode >= 500 && res.StatusCode != http.StatusNotImplemented {
					t.Errorf("%s with %s: %s", method, header, res.Status)
				}
			}
		}
	}
}

// TestHeaderTricks says who somebody is in every spelling, in headers, in trailers and by way of Connection, with a session and on a path for all.
func TestHeaderTricks(t *testing.T) { // S67, S68
	t.Parallel()
	s, alice := tricksSite(t)
	for _, names := range [][]string{
		{"Remote-User", "Remote-Groups", "Remote-Email", "Remote-Name"}, {"remote-user", "REMOTE-GROUPS"}, {"Remote_User", "remote_groups"}, {"Remote.User", "Remote.Groups"}, {"Remote_User", "Remote-User"},
		{"Remote-User ", "Remote-Groups\t"},
	} {
		for _, connection := range []string{"close", "close, Remote-User", "close, remote_user, Remote-Groups", "close, X-A, REMOTE-USER"} {
			for _, who := range []string{alice, "X-Nobody: 1"} {
				lines := []string{"POST /headers HTTP/1.1", "Host: {host}", "Connection: " + connection, who, "Transfer-Encoding: chunked", "Trailer: Remote-User, Remote-Groups", "TE: trailers"}
				if who != alice {
					lines[0] = "POST /open/../headers HTTP/1.1"
				}
				for _, n := range names {
					lines = append(lines, n+": mallory")
				}
				lines = append(lines, "", "1", "x", "0", "Remote-User: mallory", "Remote-Groups: admins", "", "")
				res, body := wire(t, s, lines...)
				var got rig.Received
				if res.StatusCode != 200 || json.Unmarshal([]byte(body), &got) != nil {
					if who == alice && res.StatusCode != 400 { // a name that is none is a bad request
						t.Errorf("%q: %s", names, res.Status)
					}
					continue
				}
				for _, h := range []http.Header{got.Header, got.Trailer} {
					for name, values := range h {
						if strings.Contains(strings.Join(values, ","), "mallory") || strings.Contains(strings.Join(values, ","), "admins") {
							t.Errorf("%q, Connection %s: the app got %s: %q", names, connection, name, values)
						}
					}
				}
				if user := got.Header["Remote-User"]; len(user) != 1 || user[0] != "alice" {
					t.Errorf("%q, Connection %s: Remote-User is %q", names, connection, user)
				}
			}
		}
	}
}

// TestTargetTricks asks a person who has signed in to be led elsewhere.
func TestTargetTricks(t *testing.T) { // S65
	t.Parallel()
	s, alice := tricksSite(t)
	for _, to := range []string{
		"https://evil.example.com/", "//evil.example.com", "///evil.example.com", `/\evil.example.com`, `\/evil.example.com`, `\\evil.example.com`, "/%5cevil.example.com", "/%2fevil.example.com/", "https:evil.example.com",
		"javascript:alert(1)", "data:text/html,x", "/\t/evil.example.com", "/\n/evil.example.com", " //evil.example.com", "/..//evil.example.com", "/.//evil.example.com", "http://localhost@evil.example.com/",
		"//localhost@evil.example.com", "/.mfa/logout", "/.mfa/../.mfa/logout", "/.mfa/login?to=//evil.example.com", "////", "/;//evil.example.com", "//%65vil.example.com", "/%0d%0aLocation:%20https://evil.example.com",
	} {
		for _, page := range []string{"/.mfa/login?to=", "/.mfa/login?to=%2Fa&to=", "/.mfa/remind?to=", "/.mfa/recovery-used?to=", "/.mfa/upgrade?to=", "/.mfa/step-up?max_age=60&to="} {
			res, body := wire(t, s, "GET "+page+url.QueryEscape(to)+" HTTP/1.1", "Host: {host}", "Connection: close", "Sec-Fetch-Mode: navigate", alice)
			lead := res.Header.Get("Location")
			u, err := url.Parse(lead)
			if err != nil || u.Host != "" || u.Scheme != "" || strings.HasPrefix(lead, "//") || strings.ContainsAny(lead, "\\\r\n\t") || strings.Contains(lead, "logout") || res.StatusCode >= 500 ||
				strings.Contains(body, `"//evil`) || strings.Contains(body, `"https://evil`) {
				t.Errorf("%s%q: %s to %q", page, to, res.Status, lead)
			}
		}
	}
}

// TestHostTricks names hosts that are not the site's.
func TestHostTricks(t *testing.T) { // S71
	t.Parallel()
	s, alice := tricksSite(t)
	for _, lines := range [][]string{
		{"Host: evil.example.com"}, {"Host: evil.example.com:{port}"}, {"Host: {host}", "Host: evil.example.com"}, {"Host: localhost@evil.example.com"}, {"Host: evil.example.com#localhost"},
		{"Host: {host}.evil.example.com"}, {"Host: {host}", "X-Forwarded-Host: evil.example.com", "X-Forwarded-Proto: https", "Forwarded: host=evil.example.com"},
		{"Host: {host}", "X-Host: evil.example.com", "X-Original-URL: /open/x", "X-Rewrite-URL: /open/x"}, {"Host:"}, {"Host: [::1]"}, {"Host: localhost."},
	} {
		for i := range lines {
			lines[i] = strings.ReplaceAll(lines[i], "{port}", s.Port)
		}
		res, body := wire(t, s, append([]string{"GET /admin/x HTTP/1.1", "Connection: close", "Sec-Fetch-Mode: navigate", alice}, lines...)...)
		if lead := res.Header.Get("Location"); strings.Contains(body, "Example app") || strings.Contains(lead, "evil") || res.StatusCode >= 500 {
			t.Errorf("%q: %s to %q", lines, res.Status, lead)
		}
	}
}
