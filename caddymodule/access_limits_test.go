package caddymodule

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

func TestAccessTokenLimitsAtTheGate(t *testing.T) { // S70, S75
	s := newSite(t)
	s.serve(`http://:{port} {
	mfa
	reverse_proxy {app}
}
`)
	issued, _ := bearer(t, "localhost", "alice", func(n *auth.NewAccessToken) {
		n.Hosts, n.Paths, n.Methods = []string{"localhost", "b.localhost"}, []string{"/api/*", "/feed"}, []string{"GET", "PUT"}
	})
	header := bearerHeader(issued.Token)
	for _, c := range []struct {
		method, host, target string
		ok                   bool
	}{
		{"GET", "localhost", "/api/a?b=/../c", true},
		{"GET", "b.localhost:8080", "/api/", true},
		{"PUT", "B.localhost", "/feed?x", true},
		{"GET", "localhost", "/api/caf%C3%A9", true},
		{"GET", "localhost", "/", false},
		{"GET", "localhost", "/api", false},
		{"GET", "localhost", "/apis/a", false},
		{"GET", "localhost", "/feed/", false},
		{"GET", "c.localhost", "/api/a", false},
		{"GET", "a.b.localhost", "/api/a", false},
		{"GET", "127.0.0.1", "/api/a", false},
		{"POST", "localhost", "/api/a", false},
		{"HEAD", "localhost", "/api/a", false},
		{"OPTIONS", "localhost", "/api/a", false},
		{"get", "localhost", "/api/a", false},
		// Other spellings of what is allowed.
		{"GET", "localhost", "/%61pi/a", false},
		{"GET", "localhost", "/api%2fa", false},
		{"GET", "localhost", "//api/a", false},
		{"GET", "localhost", "/./api/a", false},
		{"GET", "localhost", "/API/a", false},
		{"GET", "localhost", "/x/../api/a", false},
		// Ways out of it.
		{"GET", "localhost", "/api/../admin", false},
		{"GET", "localhost", "/api/%2e%2e/admin", false},
		{"GET", "localhost", "/api/..%2fadmin", false},
		{"GET", "localhost", "/api/..;/admin", false},
		{"GET", "localhost", `/api/..%5cadmin`, false},
		{"GET", "localhost", "/api//evil.example.com", false},
		{"GET", "localhost", "/api/%252e%252e/admin", false},
		{"GET", "localhost", "/api/a;b", false},
		{"GET", "localhost", "/api/%00", false},
		{"GET", "localhost", "/api/%3f", false},
		{"GET", "localhost", "/api/%c0%ae%c0%ae/admin", false},
		{"GET", "localhost", "/api/%e0%80%ae%e0%80%ae/admin", false},
		{"GET", "localhost", "/api/%ff", false},
		{"GET", "localhost", "/api/%7f", false},
	} {
		r, _ := http.NewRequest(c.method, "http://localhost", nil)
		r.Host, r.URL.Opaque = c.host, c.target
		if strings.HasPrefix(c.target, "//") {
			r.URL.Opaque, r.URL.Path = "", c.target
		}
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Set(name, value)
		res := s.send(r)
		if ok := res.StatusCode == http.StatusOK; ok != c.ok {
			t.Errorf("%s %s%s: %s", c.method, c.host, c.target, res.Status)
		}
		if !c.ok && c.method != "HEAD" {
			refusedToken(t, res, http.StatusForbidden, "token_not_allowed")
		}
	}
	got := arrived(t, s.get("/api/a", header, "X-Http-Method-Override: DELETE", "X_HTTP_Method: DELETE", "X-Method.Override: DELETE", "X-Http-Method-Other: a"))
	for name := range got.Header {
		if overrides(name) {
			t.Errorf("the app may take the method from %s", name)
		}
	}
	if got.Header.Get("X-Http-Method-Other") == "" {
		t.Error("another header is gone, too")
	}
}

func TestAccessTokensAndRules(t *testing.T) {
	s := newSite(t)
	gate := `{address} {
	mfa {
		%s
		rule /fresh {
			max_age 1h
		}
		rule /strong {
			require webauthn totp
		}
		rule /scripted/* {
			require webauthn
			tokens allow
		}
		rule /people/* {
			tokens deny
		}
		rule /ops {
			allow group:ops
		}
		rule /bobs {
			allow bob
		}
	}
	reverse_proxy {app}
}
`
	s.serve(fmt.Sprintf(gate, ""))
	issued, _ := bearer(t, "localhost", "alice", nil, "ops")
	header := bearerHeader(issued.Token)
	const taken, notTaken, notAllowed = "", "token_not_taken", "token_not_allowed"
	for _, site := range []struct {
		says string
		want map[string]string
	}{
		{"", map[string]string{
			"/": taken, "/fresh": notTaken, "/strong": notTaken, "/scripted/a": taken, "/people/a": notTaken, "/ops": taken, "/bobs": notAllowed,
		}},
		{"require webauthn", map[string]string{
			"/": notTaken, "/fresh": notTaken, "/scripted/a": taken, "/scripted//a": notTaken, "/%73cripted/a": notTaken, "/people/a": notTaken, "/ops": notTaken,
		}},
		{"require webauthn\n\t\ttokens allow", map[string]string{
			"/": taken, "/fresh": notTaken, "/strong": notTaken, "/scripted/a": taken, "/people/a": notTaken, "/ops": taken, "/bobs": notAllowed,
		}},
		{"tokens deny", map[string]string{"/": notTaken, "/fresh": notTaken, "/scripted/a": taken, "/ops": notTaken}},
		{"allow bob\n\t\ttokens allow", map[string]string{"/": notAllowed, "/scripted/a": notAllowed, "/ops": taken}},
	} {
		s.serve(fmt.Sprintf(gate, site.says))
		for path, code := range site.want {
			t.Run(site.says+" "+path, func(t *testing.T) {
				res := s.get(path, header, asPage)
				if code == taken {
					clean(t, arrived(t, res), issued.Token)
					return
				}
				refusedToken(t, res, http.StatusForbidden, code)
			})
		}
	}
	t.Run("report only", func(t *testing.T) {
		s.serve(fmt.Sprintf(gate, "report_only"))
		for _, h := range []string{header, bearerHeader("mfa_x")} {
			got := arrived(t, s.get("/people/a", h))
			clean(t, got, issued.Token)
			if got.Header.Get("Remote-User") != "" {
				t.Errorf("got %v", got.Header)
			}
		}
		if got := arrived(t, s.get("/", header)); got.Header.Get("Remote-User") != "alice" {
			t.Errorf("got %v", got.Header)
		}
	})
}
