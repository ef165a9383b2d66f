package loginui

import (
	"maps"
	"net/http"
	"slices"
	"testing"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

func TestForgedPostRefused(t *testing.T) { // S61
	r := newRig(t)
	signedIn, _ := r.account()
	prepared := r.browser()
	prepared.get("/.mfa/login")
	cookies := map[string]map[string]string{
		"none":     {},
		"pre-flow": prepared.cookies,
		"forged":   {auth.CookieFlow: "forged", auth.CookieSession: "forged"},
		"session":  {auth.CookieSession: signedIn.cookies[auth.CookieSession]},
	}
	tests := map[string]struct {
		headers map[string]string
		allowed []string // with these cookies
	}{
		"same origin":              {map[string]string{"Sec-Fetch-Site": "same-origin"}, []string{"none", "pre-flow", "forged", "session"}},
		"typed by the user":        {map[string]string{"Sec-Fetch-Site": "none"}, []string{"none", "pre-flow", "forged", "session"}},
		"other site":               {map[string]string{"Sec-Fetch-Site": "cross-site"}, nil},
		"sibling":                  {map[string]string{"Sec-Fetch-Site": "same-site", "Origin": "https://" + host}, nil},
		"own origin":               {map[string]string{"Origin": "https://" + host}, []string{"none", "pre-flow", "forged", "session"}},
		"other origin":             {map[string]string{"Origin": "https://evil.example"}, nil},
		"other port":               {map[string]string{"Origin": "https://" + host + ":8443"}, nil},
		"opaque origin":            {map[string]string{"Origin": "null"}, nil},
		"neither header":           {nil, []string{"pre-flow", "session"}},
		"only an own Referer":      {map[string]string{"Referer": "https://" + host + "/.mfa/login"}, []string{"pre-flow", "session"}},
		"method override, foreign": {map[string]string{"Sec-Fetch-Site": "cross-site", "X-HTTP-Method-Override": "GET"}, nil},
	}
	for name, tt := range tests {
		for kind, jar := range cookies {
			for path := range routes {
				if routes[path].post == nil || path == "/logout" { // signing out would end the session under test
					continue
				}
				b := &browser{r, maps.Clone(jar), tt.headers}
				allowed := slices.Contains(tt.allowed, kind)
				if path == continuePath && tt.headers["Sec-Fetch-Site"] == "" && tt.headers["Origin"] == "" {
					allowed = false // a cookie says nothing against a page of another host below the same domain
				}
				if got := b.post("/.mfa" + path); (got.StatusCode != http.StatusForbidden) != allowed {
					t.Errorf("%s, cookies %s, %s: %s", name, kind, path, got.Status)
				}
			}
		}
	}
	evil := &browser{r, signedIn.cookies, map[string]string{"Sec-Fetch-Site": "cross-site"}}
	evil.want(evil.post("/.mfa/logout"), 403, "did not come from here")
	signedIn.want(signedIn.get("/.mfa/session"), 200, `"signed_in":true`)
}

func TestCookiesRefused(t *testing.T) {
	r := newRig(t)
	r.addAlice()
	refusing := func() *browser { // keeps nothing
		b := r.browser()
		b.cookies = map[string]string{}
		return b
	}
	b := refusing()
	b.want(b.post("/.mfa/login", "name", "alice", "password", password), 303, "/.mfa/enroll?check=cookies")
	b.want(b.get("/.mfa/enroll?check=cookies"), 200) // this one kept it
	b = refusing()
	b.want(b.get("/.mfa/enroll?check=cookies"), 400, "refuses cookies", `href="/.mfa/login"`)
	b.want(b.get("/.mfa/verify/totp?check=cookies"), 400, "refuses cookies")
	b = refusing()
	b.want(b.get("/.mfa/invite?check=cookies"), 400, "refuses cookies")
}
