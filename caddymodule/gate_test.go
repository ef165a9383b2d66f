package caddymodule

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
)

func TestGate(t *testing.T) {
	s := newSite(t)
	s.serve(plainGate)
	cookie := sessionCookie(signIn(t, "localhost", "alice", "ops", "dev"))

	t.Run("a page is sent to sign in and back", func(t *testing.T) {
		res := s.get("/a/b?c=d&e=%2f", asPage)
		if res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != "/.mfa/login?to=%2Fa%2Fb%3Fc%3Dd%26e%3D%252f" {
			t.Errorf("%s to %s", res.Status, res.Header.Get("Location"))
		}
		if res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("Cache-Control %q", res.Header.Get("Cache-Control"))
		}
	})
	t.Run("a program is told where to sign in", func(t *testing.T) {
		res := s.get("/api", asScript)
		var body struct{ Error, Login string }
		if err := json.NewDecoder(res.Body).Decode(&body); err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != http.StatusUnauthorized || body.Error != "sign_in_required" || body.Login != "/.mfa/login" ||
			res.Header.Get("Www-Authenticate") != `MFA login="/.mfa/login"` || res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s %+v %v", res.Status, body, res.Header)
		}
	})
	t.Run("whatever the program asks for", func(t *testing.T) {
		for _, method := range []string{"HEAD", "POST", "PUT", "PATCH", "DELETE", "PROPFIND"} {
			r, _ := http.NewRequest(method, "http://localhost/api", nil)
			r.Header.Set("Sec-Fetch-Mode", "cors")
			r.Header.Set("Accept", "text/html, */*")
			res := s.send(r)
			if res.StatusCode != http.StatusUnauthorized || res.Header.Get("Www-Authenticate") != `MFA login="/.mfa/login"` ||
				res.Header.Get("Cache-Control") != "no-store" || res.Header.Get("Content-Type") != "application/json" {
				t.Errorf("%s: %s %v", method, res.Status, res.Header)
			}
		}
	})
	t.Run("a preflight opens nothing", func(t *testing.T) { // S74
		r, _ := http.NewRequest("OPTIONS", "http://localhost/api", nil)
		r.Header.Set("Origin", "https://evil.example.com")
		r.Header.Set("Access-Control-Request-Method", "DELETE")
		if res := s.send(r); res.StatusCode != http.StatusUnauthorized {
			t.Error(res.Status)
		}
	})
	t.Run("a method override changes nothing", func(t *testing.T) { // S75
		r, _ := http.NewRequest("POST", "http://localhost/api", nil)
		r.Header.Set("X-Http-Method-Override", "OPTIONS")
		if res := s.send(r); res.StatusCode != http.StatusUnauthorized {
			t.Error(res.Status)
		}
	})
	t.Run("an upgrade is authenticated", func(t *testing.T) { // S73
		if res := s.get("/ws", "Connection: Upgrade", "Upgrade: websocket", asPage); res.StatusCode != http.StatusUnauthorized {
			t.Error(res.Status)
		}
	})
	t.Run("a forged cookie counts for nothing", func(t *testing.T) {
		for _, v := range []string{"x", "", strings.Repeat("A", 5000), "MTc5NTMxNjE3N3wBAQEB"} {
			if res := s.get("/", asPage, sessionCookie(v)); res.StatusCode != http.StatusSeeOther {
				t.Errorf("%.20q: %s", v, res.Status)
			}
		}
	})
	t.Run("a session of another host counts for nothing", func(t *testing.T) {
		if res := s.get("/", asPage, sessionCookie(signIn(t, "other.localhost", "bob"))); res.StatusCode != http.StatusSeeOther {
			t.Error(res.Status)
		}
	})
	t.Run("the app learns who it is, and only from the gate", func(t *testing.T) { // S60, S67, S68
		got := arrived(t, s.get("/a?b", cookie+"; a=1; b=2", "Remote-User: mallory", "Remote_groups: admins", "Remote.Name: M", "Remote-Email: m@example.com",
			"Connection: keep-alive, Remote-User, Remote-Groups", "Forwarded: for=192.0.2.9", "X-Original-URL: /admin", "X-Rewrite-Url: /admin"))
		for name, want := range map[string]string{
			"Remote-User": "alice", "Remote-Name": "The alice", "Remote-Email": "alice@example.com", "Remote-Groups": "dev,ops",
			"Forwarded": "", "X-Original-Url": "", "X-Rewrite-Url": "", "Cookie": "a=1; b=2",
		} {
			if v := strings.Join(got.Header.Values(name), "|"); v != want {
				t.Errorf("%s is %q, want %q", name, v, want)
			}
		}
		for name := range got.Header {
			if strings.ContainsAny(name, "_.") {
				t.Errorf("%s came through", name)
			}
		}
	})
	t.Run("the app cannot set our cookies", func(t *testing.T) { // S60
		res := s.get("/", cookie)
		arrived(t, res)
		if got := res.Header["Set-Cookie"]; !slices.Equal(got, []string{"app=1"}) {
			t.Errorf("got %q", got)
		}
	})
	t.Run("bodies and trailers pass", func(t *testing.T) { // S68
		r, _ := http.NewRequest("POST", "http://localhost/", io.NopCloser(strings.NewReader(strings.Repeat("x", 1<<20))))
		r.Header["Cookie"] = []string{strings.TrimPrefix(cookie, "Cookie: ")}
		r.Trailer = http.Header{"X-Checksum": {"1"}, "Remote-User": {"mallory"}}
		got := arrived(t, s.send(r))
		if len(got.Body) != 1<<20 || got.Trailer.Get("X-Checksum") != "1" || got.Trailer["Remote-User"] != nil {
			t.Errorf("%d bytes, trailers %v", len(got.Body), got.Trailer)
		}
	})
	t.Run("another spelling of the portal is a path like any other", func(t *testing.T) {
		for _, target := range []string{"/.MFA/login", "/%2emfa/login", "//.mfa/login"} {
			if res := s.get(target, asPage); res.StatusCode != http.StatusSeeOther {
				t.Errorf("%s: %s", target, res.Status)
			}
		}
	})
	t.Run("the portal is reached without a session", func(t *testing.T) {
		res := s.get("/.mfa/login", asPage)
		if body, _ := io.ReadAll(res.Body); res.StatusCode != http.StatusOK || !strings.Contains(string(body), "Sign in") {
			t.Errorf("%s\n%s", res.Status, body)
		}
	})
	t.Run("the portal knows the session", func(t *testing.T) {
		res := s.get("/.mfa/session", cookie)
		if body, _ := io.ReadAll(res.Body); !strings.Contains(string(body), `"alice"`) {
			t.Errorf("%s\n%s", res.Status, body)
		}
	})
}

func TestPlainHTTP(t *testing.T) {
	s := newSite(t)
	s.serve(`http://:{port} {
	mfa {
		public /healthz
	}
	reverse_proxy {app}
}
`)
	for _, c := range []struct {
		name    string
		headers []string
		want    int
	}{
		{"localhost", []string{"Host: localhost"}, http.StatusSeeOther},
		{"below localhost", []string{"Host: app.localhost:8080"}, http.StatusSeeOther},
		{"loopback", []string{"Host: 127.0.0.1"}, http.StatusSeeOther},
		{"loopback of IPv6", []string{"Host: [::1]:8080"}, http.StatusSeeOther},
		{"a name", []string{"Host: dash.example.com"}, http.StatusForbidden},
		{"a name that looks like localhost", []string{"Host: localhost.example.com"}, http.StatusForbidden},
		{"claimed by a stranger", []string{"Host: dash.example.com", "X-Forwarded-Proto: https"}, http.StatusForbidden}, // S69
	} {
		t.Run(c.name, func(t *testing.T) {
			res := s.get("/", append(c.headers, asPage)...)
			body, _ := io.ReadAll(res.Body)
			if res.StatusCode != c.want {
				t.Fatalf("%s\n%s", res.Status, body)
			}
			if c.want == http.StatusForbidden && !strings.Contains(string(body), "This site needs HTTPS") {
				t.Errorf("%s", body)
			}
			if portal := s.get("/.mfa/login", append(c.headers, asPage)...); (portal.StatusCode == http.StatusOK) != (c.want == http.StatusSeeOther) {
				t.Errorf("portal: %s", portal.Status)
			}
		})
	}
	t.Run("public paths pass", func(t *testing.T) { arrived(t, s.get("/healthz", "Host: dash.example.com")) })
	t.Run("a program gets JSON", func(t *testing.T) {
		res := s.get("/", "Host: dash.example.com", asScript)
		if body, _ := io.ReadAll(res.Body); res.StatusCode != http.StatusForbidden || !strings.Contains(string(body), `"https_required"`) {
			t.Errorf("%s\n%s", res.Status, body)
		}
	})
}

func TestBehindTrustedProxy(t *testing.T) { // S69
	s := newSite(t)
	s.trusted = "127.0.0.0/8"
	s.serve("http://:{port} {\n\tmfa\n\treverse_proxy {app}\n}\n")
	for _, c := range []struct {
		name  string
		proto []string
		want  int
	}{
		{"https", []string{"X-Forwarded-Proto: https"}, http.StatusSeeOther},
		{"in capitals", []string{"X-Forwarded-Proto: HTTPS"}, http.StatusSeeOther},
		{"http", []string{"X-Forwarded-Proto: http"}, http.StatusForbidden},
		{"silent", nil, http.StatusForbidden},
		{"two values", []string{"X-Forwarded-Proto: https", "X-Forwarded-Proto: http"}, http.StatusForbidden},
		{"a list", []string{"X-Forwarded-Proto: https, http"}, http.StatusForbidden},
		{"nonsense", []string{"X-Forwarded-Proto: httpsx"}, http.StatusForbidden},
	} {
		t.Run(c.name, func(t *testing.T) {
			if res := s.get("/", append(c.proto, "Host: dash.example.com", asPage)...); res.StatusCode != c.want {
				t.Error(res.Status)
			}
		})
	}
	t.Run("a session passes", func(t *testing.T) {
		cookie := sessionCookie(signIn(t, "dash.example.com", "alice"))
		got := arrived(t, s.get("/", "Host: Dash.Example.com:443", "X-Forwarded-Proto: https", cookie))
		if got.Header.Get("Remote-User") != "alice" {
			t.Errorf("got %v", got.Header)
		}
	})
}

func TestRules(t *testing.T) {
	s := newSite(t)
	s.serve(`{address} {
	@probe header X-Probe yes
	@static path *.css
	mfa {
		public /healthz /assets/* @probe @static
		allow group:ops carol
	}
	reverse_proxy {app}
}
`)
	ops := sessionCookie(signIn(t, "localhost", "alice", "ops"))
	named := sessionCookie(signIn(t, "localhost", "carol"))
	other := sessionCookie(signIn(t, "localhost", "bob", "dev"))

	for _, c := range []struct {
		target string
		header string
		want   int
	}{
		{"/", ops, http.StatusOK},
		{"/", named, http.StatusOK},
		{"/", other, http.StatusForbidden},
		{"/", asPage, http.StatusSeeOther},
		{"/healthz", asPage, http.StatusOK},
		{"/healthz?x=/../", asPage, http.StatusOK},
		{"/assets/a/b.css", asPage, http.StatusOK},
		{"/assets/caf%C3%A9.css", asPage, http.StatusOK},
		{"/x", "X-Probe: yes", http.StatusOK},
		{"/style.css", asPage, http.StatusOK},
		{"/%E2%9C%93.css?x;y", asPage, http.StatusOK},
		// Weaker rules must match every reading (S70).
		{"/%61ssets/a.js", asPage, http.StatusSeeOther},
		{"/assets%2fa.js", asPage, http.StatusSeeOther},
		{"//assets/a.js", asPage, http.StatusSeeOther},
		{"/assets//evil/x", asPage, http.StatusSeeOther},
		{"/assets;x/a.js", asPage, http.StatusSeeOther},
		{"/healthz/", asPage, http.StatusSeeOther},
		{"/admin/users;x.css", asPage, http.StatusSeeOther},
		{"/admin/users;x.css", ops, http.StatusOK}, // what the site itself asks for is enough
		{"/admin/users;x.css", other, http.StatusForbidden},
		{"/admin/users%3Bx.css", asPage, http.StatusSeeOther},
		{"/admin/users%3Fx.css", asPage, http.StatusSeeOther},
		{"/admin/users%23x.css", asPage, http.StatusSeeOther},
		{"/admin/users%0Ax.css", asPage, http.StatusSeeOther},
		{"/admin/users%FFx.css", asPage, http.StatusSeeOther},
		{"/admin/users%C0%AFx.css", ops, http.StatusBadRequest},
		{"/x;y", "X-Probe: yes", http.StatusUnauthorized},
		// And these are nobody's business, signed in or not.
		{"/assets/../secret", ops, http.StatusBadRequest},
		{"/assets/..%2fsecret", asPage, http.StatusBadRequest},
		{"/assets/%2e%2e/secret", asPage, http.StatusBadRequest},
		{"/assets/..;/secret", asPage, http.StatusBadRequest},
		{"/assets/..%5csecret", ops, http.StatusBadRequest},
		{"/assets%252f", ops, http.StatusBadRequest},
		{"/assets/%00", ops, http.StatusBadRequest},
	} {
		t.Run(c.target+" "+c.header[:6], func(t *testing.T) {
			res := s.get(c.target, c.header, "Remote-User: mallory")
			if res.StatusCode != c.want {
				body, _ := io.ReadAll(res.Body)
				t.Fatalf("%s, want %d\n%s", res.Status, c.want, body)
			}
			if c.want == http.StatusOK {
				if got := arrived(t, res); got.Header.Get("Remote-User") == "mallory" { // S67, on public paths too
					t.Error("the client's own Remote-User came through")
				}
			}
		})
	}
	t.Run("public requests are anonymous", func(t *testing.T) {
		if got := arrived(t, s.get("/healthz", ops+"; a=1")); got.Header.Get("Remote-User") != "" || got.Header.Get("Cookie") != "a=1" {
			t.Errorf("got %v", got.Header)
		}
	})
	t.Run("the refusal is a page for people", func(t *testing.T) {
		body, _ := io.ReadAll(s.get("/", other, asPage).Body)
		for _, want := range []string{"You may not see this page", "You are signed in as bob, but", `href="/.mfa/security"`, "Security page and sign-out</a>"} {
			if !strings.Contains(string(body), want) {
				t.Errorf("no %q in\n%s", want, body)
			}
		}
		if res := s.get("/.mfa/security", other, asPage); res.StatusCode != http.StatusOK {
			t.Errorf("the Security page: %s", res.Status)
		}
	})
	t.Run("the refusal is JSON for programs", func(t *testing.T) {
		body, _ := io.ReadAll(s.get("/", other, asScript).Body)
		if !strings.Contains(string(body), `"error":"forbidden"`) {
			t.Errorf("%s", body)
		}
	})
}
