package caddymodule

import (
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// With codes by mail alone there is nothing to set up: a link would lead the first admin to an account without a second method.
func TestNoSetupLinkWithMailAlone(t *testing.T) {
	const link, add = "open this link to create the first admin account", "caddy mfa user add NAME --email ADDRESS"
	s := newSite(t)
	s.serve(plainGate, "methods email recovery", "smtp log", "url https://example.com")
	if log := s.logged(); strings.Contains(log, link) || !strings.Contains(log, add) {
		t.Errorf("with mail alone the log says %s", log)
	}
	s.serve(plainGate, "methods totp recovery")
	if !strings.Contains(s.logged(), link) {
		t.Error("no set-up link once there is something to set up")
	}
}

func TestSetupLink(t *testing.T) {
	for _, c := range []struct {
		name, sites string
		options     []string
		want        string
	}{
		{"of the site", plainGate, nil, "http://localhost:{port}/.mfa/invite#"},
		{"of the option url", plainGate, []string{"url https://mfa.example.com/", "path /sign-in"}, "https://mfa.example.com/sign-in/invite#"},
		{"of any host", "http://:{port} {\n\tmfa\n}\n", nil, "http://localhost:{port}/.mfa/invite#"},
		{"of the portal", portalSites, []string{portalOption}, "http://auth.localhost:{port}/.mfa/invite#"},
		{"not of a site without a gate", "http://a.localhost:{port} {\n\trespond a\n}\nhttp://b.localhost:{port} {\n\tmfa\n}\n", nil, "http://b.localhost:{port}/.mfa/invite#"},
		{"over HTTPS", "https://dash.example.com:{port} {\n\ttls internal\n\tmfa\n}\n", nil, "https://dash.example.com:{port}/.mfa/invite#"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			s.serve(c.sites, c.options...)
			s.serve(c.sites, c.options...)
			want := `"link":"` + strings.ReplaceAll(c.want, "{port}", s.port)
			if n := strings.Count(s.logged(), want); n != 1 {
				t.Errorf("logged %d times: %s\n%s", n, want, s.logged())
			}
		})
	}
}

func TestNoSetupLinkOnceThereIsAUser(t *testing.T) {
	s := newSite(t)
	s.serve(plainGate)
	signIn(t, "localhost", "alice")
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	before := strings.Count(s.logged(), "first admin account")
	s.serve(plainGate)
	if after := strings.Count(s.logged(), "first admin account"); before != 1 || after != before {
		t.Errorf("logged %d times, then %d", before, after)
	}
}
