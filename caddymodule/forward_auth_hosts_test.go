package caddymodule

import (
	"net/http"
	"strings"
	"testing"
)

// It answers for the hosts that are named to it, and says nothing of others: neither public paths nor pages, and never a yes.
func TestForwardAuthOfOtherHosts(t *testing.T) { // S71
	named := `http://:{port} {
	mfa_forward_auth {
		public /public/*
		hosts DASH.example.com wiki.example.org
	}
}
`
	usual := strings.Replace(named, "\t\thosts DASH.example.com wiki.example.org\n", "", 1)
	const portal = "http://auth.localhost:{port} {\n\tmfa_portal\n}\n"
	for _, c := range []struct {
		name, sites, option string
		ours, foreign       []string
	}{
		{"by name", named, "url https://dash.example.com", []string{"dash.example.com", "Wiki.Example.org:8443"}, []string{"evil.example", "example.com", "x.dash.example.com", "127.0.0.1", "localhost", "[::1]"}},
		{"by the address", usual, "url https://dash.example.com", []string{"dash.example.com"}, []string{"wiki.example.org", "evil.example", "localhost"}},
		{"by the portal", portal + usual, portalOption, []string{"one.localhost", "two.localhost"}, []string{"x.apps.localhost", "auth.localhost", "evil.example", "localhost"}},
		{"by name, of the portal", portal + strings.Replace(named, "DASH.example.com wiki.example.org", "one.localhost", 1), portalOption, []string{"one.localhost"}, []string{"two.localhost", "x.apps.localhost"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			s.trusted = "127.0.0.0/8"
			s.serve(c.sites, c.option)
			status := func(at, host, path string) int {
				headers := question("GET", "https://"+host+path, asPage)
				if at == "/ext-authz" || strings.HasPrefix(at, "/.mfa") {
					at, headers = strings.TrimSuffix(at+path, "-"), []string{"Host: " + host, "X-Forwarded-Proto: https", asPage}
				}
				return s.get(at, headers...).StatusCode
			}
			for _, host := range c.ours {
				for at, want := range map[string]int{"/forward-auth": 200, "/auth-request": 200, "/ext-authz": 200} {
					if got := status(at, host, "/public/x"); got != want {
						t.Errorf("%s about %s: %d, want %d", at, host, got, want)
					}
				}
				if got := status("/forward-auth", host, "/a"); got != http.StatusSeeOther {
					t.Errorf("about a page of %s: %d", host, got)
				}
			}
			for _, host := range c.foreign {
				for _, path := range []string{"/public/x", "/a"} {
					for at, want := range map[string]int{"/forward-auth": 421, "/auth-request": 403, "/auth-request/answer": 421, "/ext-authz": 421} {
						if host == "auth.localhost" && at == "/ext-authz" {
							continue // another site answers
						}
						if got := status(at, host, path); got != want {
							t.Errorf("%s about %s%s: %d, want %d", at, host, path, got, want)
						}
					}
				}
				for _, page := range []string{"/.mfa/login", "/.mfa/handover?code=x", "/.mfa/session"} {
					if got := status(page, host, ""); got != 421 && host != "auth.localhost" {
						t.Errorf("%s on %s: %d", page, host, got)
					}
				}
			}
		})
	}
}
