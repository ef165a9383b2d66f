package loginui

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestRoutes asks everything of every route, as a stranger.
func TestRoutes(t *testing.T) {
	r := newMailRig(t)
	const again = "303 /.mfa/login?again=1"
	tests := map[string]struct{ get, post string }{ // POST of an empty form
		"":                     {"303 /.mfa/security", "405"},
		"/":                    {"303 /.mfa/security", "405"},
		"/login":               {"200", "422"},
		"/verify/email":        {again, again},
		"/verify/email/send":   {"303 /.mfa/verify/email", again},
		"/verify/totp":         {again, again},
		"/verify/webauthn":     {again, again},
		"/verify/recovery":     {again, again},
		"/verify/password":     {again, again},
		"/enroll":              {again, again},
		"/enroll/email":        {again, again},
		"/enroll/email/send":   {"303 /.mfa/enroll/email", again},
		"/enroll/totp":         {again, again},
		"/enroll/webauthn":     {again, again},
		"/recovery-codes":      {again, again},
		"/recovery-used":       {"303 /.mfa/login", "405"},
		"/upgrade":             {"303 /", "303 /"},
		"/invite":              {"200", "422"},
		"/more-time":           {again, again},
		"/link":                {"200", "422"},
		"/guest":               {"200", "422"},
		"/forgot":              {"200", "422"},
		"/reset":               {"200", "422"},
		"/not-me":              {"200", "422"},
		"/stop-reset":          {"200", "422"},
		"/ask-admin":           {again, "405"},
		"/security":            {"303 /.mfa/login?to=%2F.mfa%2Fsecurity", "405"},
		"/security/add":        {"303 /.mfa/security", "303 /.mfa/login?to=%2F.mfa%2Fsecurity"},
		"/security/rename":     {"303 /.mfa/security", "303 /.mfa/login?to=%2F.mfa%2Fsecurity"},
		"/security/remove":     {"303 /.mfa/security", "303 /.mfa/login?to=%2F.mfa%2Fsecurity"},
		"/security/email":      {"303 /.mfa/security", "303 /.mfa/login?to=%2F.mfa%2Fsecurity"},
		"/security/replace":    {"303 /.mfa/security", "303 /.mfa/login?to=%2F.mfa%2Fsecurity"},
		"/security/password":   {"303 /.mfa/security", "303 /.mfa/login?to=%2F.mfa%2Fsecurity"},
		"/security/name":       {"303 /.mfa/security", "303 /.mfa/login?to=%2F.mfa%2Fsecurity"},
		"/security/first":      {"303 /.mfa/security", "303 /.mfa/login?to=%2F.mfa%2Fsecurity"},
		"/security/codes":      {"303 /.mfa/security", "303 /.mfa/login?to=%2F.mfa%2Fsecurity"},
		"/security/codes/view": {"303 /.mfa/security", "303 /.mfa/login?to=%2F.mfa%2Fsecurity"},
		"/security/off":        {"303 /.mfa/security", "303 /.mfa/login?to=%2F.mfa%2Fsecurity"},
		"/security/sessions":   {"303 /.mfa/security", "303 /.mfa/login?to=%2F.mfa%2Fsecurity"},
		"/security/activity":   {"303 /.mfa/login?to=%2F.mfa%2Fsecurity", "405"},
		"/remind":              {"303 /.mfa/login", "405"},
		"/logout":              {"303 /.mfa/login", "303 /.mfa/login?signed_out=1"},
		"/session":             {"200", "405"},
		"/resend":              {"303 /.mfa/login", "303 /.mfa/login"},
		"/session.js":          {"200", "405"},
		"/signed-in":           {"303 /.mfa/login?to=%2F.mfa%2Fsigned-in", "405"},
		"/step-up":             {"303 /.mfa/login", "303 /.mfa/login"},
		"/language":            {"303 /.mfa/security", "400"},
		"/continue":            {"303 /.mfa/login", "303 /.mfa/login"},

		"/security/tokens":        {"303 /.mfa/security", "303 /.mfa/login?to=%2F.mfa%2Fsecurity"},
		"/security/links/revoke":  {"303 /.mfa/security", "303 /.mfa/login?to=%2F.mfa%2Fsecurity"},
		"/security/tokens/revoke": {"303 /.mfa/security", "303 /.mfa/login?to=%2F.mfa%2Fsecurity"},
	}
	if want, got := slices.Sorted(maps.Keys(routes)), slices.Sorted(maps.Keys(tests)); !slices.Equal(want, got) {
		t.Errorf("routes %q, tested %q", want, got)
	}
	short := func(a answer) string {
		return strings.TrimSpace(strings.Fields(a.Status)[0] + " " + a.Header.Get("Location"))
	}
	for path, want := range tests {
		b := r.browser()
		got := b.get("/.mfa" + path)
		if short(got) != want.get {
			t.Errorf("GET %s: %s, want %s", path, short(got), want.get)
		}
		head := r.browser().send(b.request(http.MethodHead, "/.mfa"+path, ""))
		if short(head) != want.get || head.body != "" || head.Header.Get("Content-Length") == "" {
			t.Errorf("HEAD %s: %s, %d bytes of body", path, short(head), len(head.body))
		}
		if got := r.browser().post("/.mfa" + path); short(got) != want.post {
			t.Errorf("POST %s: %s, want %s", path, short(got), want.post)
		}
		allow := "GET, HEAD, POST"
		if want.post == "405" {
			allow = "GET, HEAD"
		}
		for _, method := range []string{"PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "get", "X"} { // S66, S74
			got := b.send(b.request(method, "/.mfa"+path, ""))
			if got.StatusCode != http.StatusMethodNotAllowed || got.Header.Get("Allow") != allow {
				t.Errorf("%s %s: %s, Allow %q", method, path, got.Status, got.Header.Get("Allow"))
			}
		}
	}
}

func TestNotFound(t *testing.T) {
	b := newRig(t).browser()
	for _, path := range []string{"/nope", "/login/", "/login.html", "/Login", "//login", "/static", "/static/", "/static/mfa.css", "/static/..", "/verify/", "/%00"} {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT"} {
			if got := b.send(b.request(method, "/.mfa"+path, "")); got.StatusCode != http.StatusNotFound {
				t.Errorf("%s %s: %s", method, path, got.Status)
			}
		}
	}
	b.want(b.get("/.mfa/nope"), 404, "Page not found", `href="/.mfa/login"`)
	signedIn, _ := b.account()
	b.want(signedIn.get("/.mfa/nope"), 404, `href="/.mfa/security"`)
}

func TestPrefix(t *testing.T) {
	r := newRig(t)
	for _, prefix := range []string{"mfa", "/", "/mfa/", "//mfa", "/a//b", "/a b", "/ä", "/a?b", "/a/../b", "/.", "/a%20b", `/a"b`} {
		if _, err := New(r.realm, Options{Prefix: prefix}); err == nil {
			t.Errorf("%q was taken", prefix)
		}
	}
	p, err := New(r.realm, Options{Prefix: "/auth/portal"})
	if err != nil {
		t.Fatal(err)
	}
	r.Portal = p
	b := r.browser()
	b.want(b.get("/auth/portal/login"), 200, `action="/auth/portal/login"`, `src="/auth/portal/static/mfa.`)
	if got := p.LoginURL("/a b"); got != "/auth/portal/login?to=%2Fa+b" {
		t.Error(got)
	}
}

func TestStatic(t *testing.T) {
	b := newRig(t).browser()
	for _, name := range []string{"mfa.css", "mfa.js", "webauthn.js", "icon.svg"} {
		path := "/.mfa/static/" + asset(name).name
		got := b.want(b.get(path), 200)
		if got.Header.Get("Content-Type") != asset(name).media || got.body != string(asset(name).body) {
			t.Errorf("%s: %q, %d bytes", path, got.Header.Get("Content-Type"), len(got.body))
		}
		req := b.request(http.MethodGet, path, "")
		req.Header.Set("Accept-Encoding", "br, gzip")
		if got := b.send(req); got.Header.Get("Content-Encoding") != "gzip" || got.Header.Get("Vary") != "Accept-Encoding" || len(got.body) != len(asset(name).zipped) {
			t.Errorf("%s: %v", path, got.Header)
		}
		if got := b.post(path); got.StatusCode != http.StatusMethodNotAllowed || got.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("POST %s: %s", path, got.Status)
		}
	}
}

// TestSignInPageSize: the page and all that it loads, on the wire: what a server may send before the first answer comes back (ten
// segments; RFC 6928).
func TestSignInPageSize(t *testing.T) {
	b := newRig(t).browser()
	req := b.request(http.MethodGet, "/.mfa/login?to=%2Fdeep%3Fa%3Db", "")
	req.Header.Set("Accept-Encoding", "gzip")
	page := b.send(req)
	sum := len(page.body)
	for _, name := range []string{"mfa.js", "webauthn.js", "icon.svg"} {
		sum += len(asset(name).zipped)
	}
	if sum > 14<<10 {
		t.Errorf("%d bytes", sum)
	}
	t.Logf("%d bytes, %d of them HTML", sum, len(page.body))
}

func TestSecurityHeadersWithoutHTTPS(t *testing.T) { // S63
	tests := map[string]struct {
		host   string
		secure bool
		want   string
	}{
		"https":             {"dash.example.com", true, "max-age=31536000"},
		"http":              {"dash.example.com", false, ""},
		"localhost":         {"localhost", true, ""},
		"name of localhost": {"app.localhost", true, ""},
		"IPv4 loopback":     {"127.0.0.1", true, ""},
		"IPv6 loopback":     {"::1", true, ""},
		"looks like it":     {"notlocalhost", true, "max-age=31536000"},
	}
	for name, tt := range tests {
		h := http.Header{}
		setHeaders(h, tt.host, tt.secure)
		if got := h.Get("Strict-Transport-Security"); got != tt.want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// TestAskingIsNoSignOfLife: a tab that is left open asks whether the session goes on, and reads its icon. Neither keeps it going.
func TestAskingIsNoSignOfLife(t *testing.T) { // S55
	r := newRig(t)
	b, _ := r.account()
	first := b.want(b.get("/.mfa/session"), 200, `"signed_in":true`).body
	for range 5 {
		r.pass(11 * time.Minute)
		if again := b.get("/.mfa/session").body; again != first {
			t.Fatalf("first it says %s, then %s", first, again)
		}
		b.want(b.get("/.mfa/static/"+asset("icon.svg").name), 200)
	}
	r.pass(6 * time.Minute)
	b.want(b.get("/.mfa/session"), 200, `"signed_in":false`)
}
