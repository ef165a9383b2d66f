package caddymodule

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

func TestPortal(t *testing.T) { // S59, S60, S62
	s := newSite(t)
	s.serve(portalSites, portalOption)
	const path = "/deep/a%2Fb?x=1&to=//evil.example&y=%26#"
	want := strings.TrimSuffix(path, "#")

	// Somebody who is signed in nowhere comes to the portal, with a cookie of that host that binds the way back.
	b := newRoamer(s)
	login := led(t, b.open("one", want), b.url("auth", "/.mfa/login?to="))
	if b.jar["one.localhost"][auth.CookieFlow] == "" || len(b.jar) != 1 {
		t.Errorf("cookies %v", b.jar)
	}
	res := b.do("GET", login, "")
	page := bodyOf(t, res)
	if policy := res.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "form-action 'self' "+b.url("one", "")+"; ") {
		t.Errorf("policy %s", policy)
	}
	if res.StatusCode != http.StatusOK || !strings.Contains(page, "to continue to <strong>one.localhost</strong>") {
		t.Errorf("%s\n%s", res.Status, page)
	}
	if again := led(t, newRoamer(s).open("one", "/"), b.url("auth", "/.mfa/login?to=")); again == login {
		t.Error("the target says nothing of the path")
	}

	// Once there is a session at the portal, one redirect leads back, and one to the page.
	b.jar["auth.localhost"][auth.CookieSession] = signIn(t, "auth.localhost", "alice")
	back := led(t, b.do("GET", login, ""), b.url("one", "/.mfa/handover?code="))
	res = b.do("GET", back, "")
	if led(t, res, want); res.Header.Get("Location") != want || res.Header.Get("Cache-Control") != "no-store" || res.Header.Get("Referrer-Policy") != "same-origin" {
		t.Errorf("%v", res.Header)
	}
	got := arrived(t, b.open("one", want))
	if got.URI != want || got.Header.Get("Remote-User") != "alice" || strings.Contains(got.Header.Get("Cookie"), "__Host-") {
		t.Errorf("the app got %+v", got)
	}

	// The next host asks for nothing.
	res, hops := b.follow(b.open("two", "/x"))
	if got := arrived(t, res); got.URI != "/x" || got.Header.Get("Remote-User") != "alice" || len(hops) != 3 {
		t.Errorf("the app got %+v after %v", got, hops)
	}
	// Each host has a cookie of its own, and no other's counts there.
	for _, from := range []string{"auth", "one", "two"} {
		for _, at := range []string{"auth", "one", "two"} {
			c := newRoamer(s)
			c.jar[at+".localhost"] = map[string]string{auth.CookieSession: b.jar[from+".localhost"][auth.CookieSession]}
			if in := strings.Contains(bodyOf(t, c.open(at, "/.mfa/session")), `"signed_in":true`); in != (from == at) {
				t.Errorf("the cookie of %s at %s: signed in is %v", from, at, in)
			}
		}
	}

	// To admins it is one session.
	realm, err := running(t).Realm(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	views, err := listSessions(t.Context(), call{realm: realm}, nameInput{"alice"})
	if err != nil || len(views) != 1 || views[0].Host != "auth.localhost" || strings.Join(views[0].Hosts, " ") != "one.localhost two.localhost" {
		t.Errorf("%+v %v", views, err)
	}

	// Signing out at one host signs out everywhere.
	led(t, b.do("POST", b.url("two", "/.mfa/logout"), ""), b.url("auth", "/.mfa/login?signed_out=1"))
	for _, at := range []string{"one", "two"} {
		led(t, b.open(at, "/"), b.url("auth", "/.mfa/login?to="))
	}
	if in := bodyOf(t, b.open("auth", "/.mfa/session")); !strings.Contains(in, `"signed_in":false`) {
		t.Errorf("at the portal: %s", in)
	}
}

// A code is for one browser on one host, once.
func TestHandoverStolen(t *testing.T) { // S30, S65
	s := newSite(t)
	s.serve(portalSites, portalOption)
	alice := signedIn(s, "alice")
	code := func() string {
		t.Helper()
		login := led(t, alice.open("one", "/x"), alice.url("auth", "/.mfa/login?to="))
		return led(t, alice.do("GET", login, ""), alice.url("one", "/.mfa/handover?code="))
	}
	none := func(b *roamer, host string) {
		t.Helper()
		if b.jar[host+".localhost"][auth.CookieSession] != "" {
			t.Errorf("a session on %s", host)
		}
	}
	t.Run("by another browser", func(t *testing.T) {
		mallory, stolen := newRoamer(s), code()
		mallory.open("one", "/")
		led(t, mallory.do("GET", stolen, ""), "/x") // where the gate asks mallory to sign in
		none(mallory, "one")
		led(t, alice.do("GET", stolen, ""), "/") // used up, and alice begins anew
		none(alice, "one")
	})
	t.Run("on another host", func(t *testing.T) {
		stolen := code()
		alice.open("two", "/")
		led(t, alice.do("GET", strings.Replace(stolen, "one.", "two.", 1), ""), "/")
		none(alice, "two")
	})
	t.Run("by a browser without cookies", func(t *testing.T) {
		stolen := code()
		check := led(t, newRoamer(s).do("GET", stolen, ""), "/.mfa/handover?check=cookies&to=%2Fx")
		if res := newRoamer(s).open("one", check); res.StatusCode != http.StatusBadRequest || !strings.Contains(bodyOf(t, res), "Your browser refuses cookies") {
			t.Error(res.Status)
		}
		led(t, alice.open("one", check), "/x")
		led(t, alice.open("one", "/.mfa/handover?check=cookies&to=//evil.example"), "/")
		led(t, alice.do("GET", stolen, ""), "/")
	})
	t.Run("by a script, a HEAD or a POST", func(t *testing.T) {
		stolen := code()
		if res := alice.do("GET", stolen, "", "Sec-Fetch-Mode: no-cors"); res.StatusCode != http.StatusForbidden {
			t.Error(res.Status)
		}
		for _, method := range []string{"HEAD", "POST"} {
			if res := alice.do(method, stolen, ""); res.StatusCode != http.StatusMethodNotAllowed {
				t.Errorf("%s: %s", method, res.Status)
			}
		}
		none(alice, "one")
		led(t, alice.do("GET", stolen, ""), "/x") // it was used by none of them
		led(t, alice.do("GET", stolen, ""), "/")
		arrived(t, alice.open("one", "/"))
	})
	t.Run("made for a script", func(t *testing.T) {
		login := led(t, alice.open("two", "/x"), alice.url("auth", "/.mfa/login?to="))
		if res := alice.do("GET", login, "", "Sec-Fetch-Mode: no-cors"); res.StatusCode != http.StatusForbidden || res.Header.Get("Location") != "" {
			t.Error(res.Status)
		}
	})
	t.Run("brought to somebody else", func(t *testing.T) { // whose session the sender would get
		mallory := newRoamer(s)
		login := led(t, mallory.open("one", "/evil"), mallory.url("auth", "/.mfa/login?to="))
		bob := signedIn(s, "bob")
		res, hops := bob.follow(bob.do("GET", login, ""))
		if got := arrived(t, res); got.URI != "/evil" || got.Header.Get("Remote-User") != "bob" || len(hops) != 6 {
			t.Errorf("%+v after %v", got, hops)
		}
		led(t, mallory.do("GET", hops[0], ""), "/")
		none(mallory, "one")
	})
	t.Run("begun in many tabs at once", func(t *testing.T) { // each seal binds anew, and all arrive
		dave := signedIn(s, "dave")
		tabs := make([]*http.Response, 20)
		for i := range tabs {
			tabs[i] = dave.open("one", "/x")
		}
		hops := 0
		for ; hops < 10 && slices.ContainsFunc(tabs, func(r *http.Response) bool { return r.StatusCode == http.StatusSeeOther }); hops++ {
			for i, res := range tabs {
				if res.StatusCode == http.StatusSeeOther {
					to, err := res.Request.URL.Parse(res.Header.Get("Location"))
					if err != nil {
						t.Fatal(err)
					}
					tabs[i] = dave.do("GET", to.String(), "")
				}
			}
		}
		for _, res := range tabs {
			if got := arrived(t, res); got.Header.Get("Remote-User") != "dave" || hops > 6 {
				t.Errorf("%+v after %d", got, hops)
			}
		}
	})
	t.Run("begun in two tabs at once", func(t *testing.T) {
		carol := signedIn(s, "carol")
		first := led(t, carol.open("one", "/first"), carol.url("auth", "/.mfa/login?to="))
		delete(carol.jar["one.localhost"], auth.CookieFlow) // the second was sent before the first was answered
		carol.open("one", "/second")
		res, hops := carol.follow(carol.do("GET", first, ""))
		if got := arrived(t, res); got.URI != "/first" || len(hops) > 5 {
			t.Errorf("%s after %v", got.URI, hops)
		}
	})
}

// The portal leads nowhere but to what a gate has sealed.
func TestPortalLeadsNowhereElse(t *testing.T) { // S65
	s := newSite(t)
	s.serve(portalSites, portalOption)
	b := signedIn(s, "alice")
	sealed := led(t, b.open("one", "/x"), b.url("auth", "/.mfa/login?to="))
	good, err := url.Parse(sealed)
	if err != nil {
		t.Fatal(err)
	}
	to := good.Query().Get("to")
	for name, forged := range map[string]string{
		"an address": "https://evil.example/", "of a gated host": b.url("one", "/"), "another host's": "//evil.example", "a path": "/x",
		"a script": "javascript:alert(1)", "changed": to[:len(to)-2] + "AA", "cut": to[1:], "more": to + "A", "sealed as a cookie": b.jar["one.localhost"][auth.CookieFlow],
	} {
		for _, page := range []string{"/.mfa/login?to=", "/.mfa/step-up?max_age=86400&to="} {
			res := b.do("GET", b.url("auth", page+url.QueryEscape(forged)), "")
			where := res.Header.Get("Location")
			if forged == "/x" && where == "/x" { // of the portal's own host, where there is nothing
				continue
			}
			if res.StatusCode == http.StatusSeeOther && where != "/.mfa/security" {
				t.Errorf("%s: %s leads to %q", name, page, where)
			}
			if body := bodyOf(t, res); strings.Contains(body, "evil.example") || strings.Contains(res.Header.Get("Content-Security-Policy"), "evil") {
				t.Errorf("%s: %s", name, body)
			}
		}
	}
	led(t, b.do("GET", sealed, ""), b.url("one", "/.mfa/handover?code="))
	// What a gate seals is a path of its own host, however it is written.
	for _, path := range []string{"//evil.example/", "/%5Cevil.example", "/a/..;/b"} {
		res, _ := b.follow(b.open("two", path))
		if got := res.Request.URL; got.Host != "two.localhost:"+s.port {
			t.Errorf("%s leads to %s", path, got)
		}
	}
}

// A host that nobody told the gate of gets 421, and never a code.
func TestForeignHosts(t *testing.T) { // S71
	s := newSite(t)
	s.serve("http://auth.localhost:{port} {\n\tmfa_portal\n}\nhttp://:{port} {\n\tmfa {\n\t\tpublic /open\n\t}\n\treverse_proxy {app}\n}\n", portalOption)
	b := signedIn(s, "alice")
	for _, host := range []string{"three.localhost", "a.one.localhost", "evil.example", "a.b.apps.localhost", "apps.localhost", "127.0.0.1"} {
		for _, path := range []string{"/", "/.mfa/login", "/.mfa/handover?code=x", "/.mfa/session"} {
			res := b.do("GET", b.url("one", path), "", "Host: "+host+":"+s.port, "X-Forwarded-Proto: https")
			want := http.StatusMisdirectedRequest
			if host == "evil.example" {
				want = http.StatusForbidden // it came without HTTPS
			}
			if res.StatusCode != want || len(res.Cookies()) > 0 || res.Header.Get("Location") != "" {
				t.Errorf("%s%s: %s %v", host, path, res.Status, res.Header)
			}
		}
	}
	for _, host := range []string{"one", "two", "x.apps", "ONE"} {
		res, _ := b.follow(b.open(host, "/"))
		if host == "x.apps" {
			res, _ = b.confirm(res)
		}
		if got := arrived(t, res); got.Header.Get("Remote-User") != "alice" {
			t.Errorf("%s: %+v", host, got)
		}
	}
	arrived(t, b.do("GET", b.url("three", "/open"), "")) // which is for everybody
	if res := b.do("GET", b.url("auth", "/"), "", "Host: auth.localhost.:"+s.port); res.StatusCode == http.StatusSeeOther {
		t.Error(res.Header)
	}
}

func TestStands(t *testing.T) {
	for _, c := range []struct {
		pattern, host string
		want          bool
	}{
		{"app.example.com", "app.example.com", true},
		{"app.example.com", "x.app.example.com", false},
		{"*.example.com", "app.example.com", true},
		{"*.example.com", "*.example.com", true},
		{"*.example.com", "example.com", false},
		{"*.example.com", ".example.com", false},
		{"*.example.com", "a.b.example.com", false},
		{"*.example.com", "a;sandbox.example.com", false},
		{"*.example.com", "a@b.example.com", false},
		{"*.example.com", "app.example.com.", false},
		{"*.example.com", "app.example.comx", false},
		{"app.example.com", "*.example.com", false},
		{"*.localhost", "one.localhost", true},
	} {
		if got := stands(c.pattern, c.host); got != c.want {
			t.Errorf("%s for %s: %v", c.pattern, c.host, got)
		}
	}
}

func TestPortalPaths(t *testing.T) {
	s := newSite(t)
	s.serve(portalSites, portalOption)
	b := signedIn(s, "alice")
	res, _ := b.follow(b.open("one", "/"))
	arrived(t, res)
	for path, want := range map[string]string{
		"/.mfa/security": b.url("auth", "/.mfa/security"), "/.mfa": b.url("auth", "/.mfa"), "/.mfa/": b.url("auth", "/.mfa/"),
		"/.mfa/logout": b.url("auth", "/.mfa/logout"), "/.mfa/verify/totp": b.url("auth", "/.mfa/verify/totp"),
		"/.mfa/login": "/", "/.mfa/login?to=/x": "/x", "/.mfa/login?to=//evil.example": "/", "/.mfa/security?to=//evil.example": b.url("auth", "/.mfa/security"),
	} {
		if got := b.open("one", path).Header.Get("Location"); got != want {
			t.Errorf("%s leads to %q, want %q", path, got, want)
		}
	}
	led(t, newRoamer(s).open("one", "/.mfa/login?to=/x"), b.url("auth", "/.mfa/login?to="))
	led(t, b.do("POST", b.url("one", "/.mfa/security/off"), "confirm=DISABLE"), b.url("auth", "/.mfa/security/off"))
	if res := b.do("POST", b.url("one", "/.mfa/logout"), "", "Sec-Fetch-Site: same-site"); res.StatusCode != http.StatusForbidden {
		t.Errorf("another host signs out: %s", res.Status)
	}
	if res := b.open("one", "/.mfa/nothing"); res.StatusCode != http.StatusNotFound {
		t.Error(res.Status)
	}
	if body := bodyOf(t, b.open("one", "/.mfa/session")); !strings.Contains(body, `"user":"alice"`) {
		t.Error(body)
	}
	led(t, b.open("auth", "/"), "/.mfa/security")
	if body := bodyOf(t, b.open("auth", "/.mfa/security")); !strings.Contains(body, "Used at one.localhost</p>") {
		t.Error(body)
	}
	for _, path := range []string{"/x", "/.well-known/webauthn", "/.mfa/handover"} {
		if res := b.open("auth", path); res.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s", path, res.Status)
		}
	}
	t.Run("programs learn where people sign in", func(t *testing.T) {
		res := newRoamer(s).do("GET", b.url("one", "/x?secret=1"), "", "Sec-Fetch-Mode: cors")
		login := b.url("auth", "/.mfa/login")
		if body := bodyOf(t, res); res.StatusCode != http.StatusUnauthorized || body != `{"error":"sign_in_required","login":"`+login+"\"}\n" ||
			res.Header.Get("WWW-Authenticate") != `MFA login="`+login+`"` || len(res.Cookies()) > 0 {
			t.Errorf("%s %v\n%s", res.Status, res.Header, body)
		}
	})
}

// A rule that asks for more is met at the portal, and the way back brings the proof along.
func TestStepUpAtThePortal(t *testing.T) {
	s := newSite(t)
	s.serve("http://auth.localhost:{port} {\n\tmfa_portal\n}\nhttp://one.localhost:{port}, http://two.localhost:{port} {\n"+
		"\tmfa {\n\t\trule /fresh {\n\t\t\trequire totp\n\t\t}\n\t\trule /admin {\n\t\t\trequire password recovery\n\t\t\tmax_age 1m\n\t\t}\n\t}\n\treverse_proxy {app}\n}\n", portalOption)
	b := signedIn(s, "alice")
	res, _ := b.follow(b.open("one", "/admin")) // the password was proven just now
	if got := arrived(t, res); got.URI != "/admin" {
		t.Errorf("%+v", got)
	}
	to := led(t, b.open("one", "/fresh"), b.url("auth", "/.mfa/step-up?methods=totp&to=")) // set up, which is no proof
	res = b.do("GET", to, "")
	page := bodyOf(t, res)
	if !strings.Contains(page, "Confirm that it is you") || !strings.Contains(res.Header.Get("Content-Security-Policy"), "form-action 'self' "+b.url("one", "")+";") {
		t.Errorf("%s\n%s", res.Status, page)
	}
	if res := b.do("GET", b.url("one", "/fresh"), "", "Sec-Fetch-Mode: cors"); !strings.Contains(bodyOf(t, res), `"login":"`+b.url("auth", "/.mfa/step-up?methods=totp")+`"`) {
		t.Error(res.Status)
	}
}

// A connection to one host ends when somebody signs out on another.
func TestSignOutEndsStreamsElsewhere(t *testing.T) { // S73
	s := newSite(t)
	s.app.Config.Handler = http.HandlerFunc(echo)
	s.serve(portalSites, portalOption)
	b := signedIn(s, "alice")
	for _, host := range []string{"one", "two"} {
		b.follow(b.open(host, "/"))
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cookie := http.Header{"Cookie": {auth.CookieSession + "=" + b.jar["one.localhost"][auth.CookieSession]}}
	client := &http.Client{Transport: s.http.Transport}
	c, _, err := websocket.Dial(ctx, "ws://one.localhost:"+s.port+"/ws", &websocket.DialOptions{HTTPClient: client, HTTPHeader: cookie})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	if err := c.Write(ctx, websocket.MessageText, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Read(ctx); err != nil {
		t.Fatal(err)
	}
	b.do("POST", b.url("two", "/.mfa/logout"), "")
	if _, _, err := c.Read(ctx); err == nil { // returns when the connection is cut
		t.Error("the socket goes on")
	}
}
