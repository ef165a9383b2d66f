package caddymodule

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// Where the portal leads people, and whom it asks first.

// A name that only a wildcard lists may be somebody else's: no code is made for it until the person says that they go there.
func TestPortalAsksBelowAWildcard(t *testing.T) { // S65
	s := newSite(t)
	s.serve("http://auth.localhost:{port} {\n\tmfa_portal\n}\nhttp://*.apps.localhost:{port} {\n\tmfa\n\treverse_proxy {app}\n}\n", portalOption)
	b := signedIn(s, "alice")
	const path = "/deep/a%2Fb?x=1&y=%26"
	for range 2 {
		res, hops := b.follow(b.open("x.apps", path))
		if last := hops[len(hops)-1]; !strings.HasPrefix(last, b.url("auth", "/.mfa/login?to=")) || len(hops) != 1 {
			t.Errorf("led over %v", hops)
		}
		if policy := res.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "form-action 'self' "+b.url("x.apps", "")+"; ") {
			t.Errorf("policy %s", policy)
		}
		if page := bodyOf(t, res); !strings.Contains(page, "<h1>Continue to x.apps.localhost?</h1>") {
			t.Errorf("%s\n%s", res.Status, page)
		}
	}
	res, hops := b.confirm(b.follow1(b.open("x.apps", path)))
	if got := arrived(t, res); got.URI != path || got.Header.Get("Remote-User") != "alice" || len(hops) != 2 {
		t.Errorf("%+v after %v", got, hops)
	}
	delete(b.jar["x.apps.localhost"], auth.CookieSession) // once is enough, in this session and for this host
	res, _ = b.follow(b.open("x.apps", "/again"))
	arrived(t, res)
	res, _ = b.follow(b.open("y.apps", "/"))
	if page := bodyOf(t, res); !strings.Contains(page, "Continue to y.apps.localhost?") {
		t.Errorf("%s\n%s", res.Status, page)
	}
	// The link was begun in another browser: asked once, and led round once more.
	mallory := newRoamer(s)
	login := led(t, mallory.open("z.apps", "/evil"), mallory.url("auth", "/.mfa/login?to="))
	res, hops = b.confirm(b.do("GET", login, ""))
	if got := arrived(t, res); got.URI != "/evil" || got.Header.Get("Remote-User") != "alice" {
		t.Errorf("%+v after %v", got, hops)
	}
	led(t, mallory.do("GET", hops[0], ""), "/")
	if mallory.jar["z.apps.localhost"][auth.CookieSession] != "" {
		t.Error("mallory has a session")
	}
	// A script of such a host, or a form there, confirms nothing.
	carol := signedIn(s, "carol")
	login = led(t, carol.open("x.apps", "/"), carol.url("auth", "/.mfa/login?to="))
	to := login[strings.Index(login, "?")+1:]
	for _, h := range []string{"Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: iframe"} {
		if res := carol.do("POST", carol.url("auth", "/.mfa/continue"), to, h); res.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %s to %s", h, res.Status, res.Header.Get("Location"))
		}
	}
}

// People are led back to a port under which apps are served, whatever a client says: the one that it came by, or that of the portal.
func TestPortalLeadsToKnownPorts(t *testing.T) { // S65
	s := newSite(t)
	s.serve(portalSites, portalOption)
	b := signedIn(s, "alice")
	for name, c := range map[string]struct{ host, origin string }{
		"its own":        {"one.localhost:" + s.port, b.url("one", "")},
		"none":           {"one.localhost", "http://one.localhost"},
		"another":        {"one.localhost:1", "http://one.localhost"},
		"another, high":  {"one.localhost:65535", "http://one.localhost"},
		"no port at all": {"one.localhost:99999", "http://one.localhost"},
		"the usual one":  {"one.localhost:80", "http://one.localhost"},
		"a name":         {"one.localhost:1@evil.example", ""},
	} {
		for _, path := range []string{"/x", "/.mfa/login?to=/x", "/.mfa/step-up?max_age=60&to=/x"} {
			res := b.do("GET", b.url("one", path), "", "Host: "+c.host)
			where, err := url.Parse(res.Header.Get("Location"))
			if err != nil {
				t.Fatal(err)
			}
			target, ok := openTarget(t, where.Query().Get("to"))
			if ok != (c.origin != "") || target.Origin != c.origin {
				t.Errorf("%s: %s leads to %q by %s", name, path, target.Origin, where)
			}
			delete(b.jar, "one.localhost")
		}
	}
	// Where something before Caddy has another port, the portal has it, too.
	s.serve(portalSites, strings.Replace(portalOption, "{port}", "8443", 1))
	for host, origin := range map[string]string{"one.localhost:8443": "http://one.localhost:8443", "one.localhost:8444": "http://one.localhost"} {
		where, err := url.Parse(b.do("GET", b.url("one", "/x"), "", "Host: "+host).Header.Get("Location"))
		if err != nil {
			t.Fatal(err)
		}
		if target, _ := openTarget(t, where.Query().Get("to")); target.Origin != origin {
			t.Errorf("%s leads to %q", host, target.Origin)
		}
	}
}

// openTarget is what a gate of the running config sealed.
func openTarget(t *testing.T, to string) (auth.Target, bool) {
	t.Helper()
	realm, err := running(t).Realm(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return realm.OpenTarget(to)
}
