package caddymodule

import (
	"net/http"
	"strings"
	"testing"
)

// A gate that is never asked for its sign-in pages lets nobody in, so it does not start.
func TestGateWithoutItsPages(t *testing.T) {
	const refused = "only some paths of localhost lead to mfa, and its sign-in pages below "
	for _, c := range []struct {
		name, sites string
		options     []string
		want        string // of the error, "" for none
		page        string // of the portal, if not /.mfa/login
	}{
		{"handle with a path", "{address} {\n\thandle /admin/* {\n\t\tmfa\n\t}\n\thandle {\n\t\trespond open\n\t}\n}\n", nil, refused + "/.mfa", ""},
		{"handle_path", "{address} {\n\thandle_path /admin/* {\n\t\tmfa\n\t}\n}\n", nil, refused, ""},
		{"route with a path", "{address} {\n\troute /admin/* {\n\t\tmfa\n\t}\n}\n", nil, refused, ""},
		{"a named matcher", "{address} {\n\t@admin {\n\t\tpath /admin/*\n\t\tmethod GET\n\t}\n\thandle @admin {\n\t\tmfa\n\t}\n}\n", nil, refused, ""},
		{"a regular expression", "{address} {\n\t@admin path_regexp ^/admin/\n\thandle @admin {\n\t\tmfa\n\t}\n}\n", nil, refused, ""},
		{"an address with a path", "{address}/admin/* {\n\tmfa\n}\n", nil, refused, ""},
		{"deep inside", "{address} {\n\troute {\n\t\thandle /a/* {\n\t\t\thandle /a/b/* {\n\t\t\t\tmfa\n\t\t\t}\n\t\t}\n\t}\n}\n", nil, refused, ""},
		{"a named route", "&(gate) {\n\tmfa\n}\n{address} {\n\thandle /admin/* {\n\t\tinvoke gate\n\t}\n}\n", nil, refused, ""},
		{"another prefix", "{address} {\n\thandle /admin/* {\n\t\tmfa\n\t}\n}\n", []string{"path /sign-in"}, refused + "/sign-in", ""},
		{"another site's gate is no help", "{address} {\n\thandle /admin/* {\n\t\tmfa\n\t}\n}\nhttp://b.localhost:{port} {\n\tmfa\n}\n", nil, refused, ""},
		{"the pages go elsewhere", "{address} {\n\thandle /.mfa/* {\n\t\trespond other\n\t}\n\thandle /admin/* {\n\t\tmfa\n\t}\n}\n", nil, refused, ""},
		{"any host", "http://:{port} {\n\thandle /admin/* {\n\t\tmfa\n\t}\n}\n", nil, "only some paths of a site lead to mfa", ""},
		{"a wildcard", "http://*.localhost:{port} {\n\thandle /admin/* {\n\t\tmfa\n\t}\n}\n", nil, "only some paths of *.localhost lead to mfa", ""},

		{"a prefix inside", "{address} {\n\thandle /admin/* {\n\t\tmfa\n\t}\n}\n", []string{"path /admin/.mfa"}, "", "/admin/.mfa/login"},
		{"a prefix inside handle_path", "{address} {\n\thandle_path /admin/* {\n\t\tmfa\n\t}\n}\n", []string{"path /admin/.mfa"}, "", "/admin/.mfa/login"},
		{"a gate further out", "{address} {\n\tmfa\n\thandle /admin/* {\n\t\tmfa {\n\t\t\tallow alice\n\t\t}\n\t}\n}\n", nil, "", ""},
		{"gates in every block", "{address} {\n\thandle /admin/* {\n\t\tmfa {\n\t\t\tallow alice\n\t\t}\n\t}\n\thandle {\n\t\tmfa\n\t}\n}\n", nil, "", ""},
		{"a gate for the pages", "{address} {\n\thandle /.mfa/* {\n\t\tmfa\n\t}\n\thandle /admin/* {\n\t\tmfa\n\t}\n}\n", nil, "", ""},
		{"paths with the pages", "{address} {\n\t@gated path /admin/* /.mfa/*\n\thandle @gated {\n\t\tmfa\n\t}\n}\n", nil, "", ""},
		{"an expression with the pages", "{address} {\n\t@gated path_regexp ^/(admin|[.]mfa)/\n\thandle @gated {\n\t\tmfa\n\t}\n}\n", nil, "", ""},
		{"all but some paths", "{address} {\n\t@rest not path /static/*\n\thandle @rest {\n\t\tmfa\n\t}\n}\n", nil, "", ""},
		{"a matcher of another kind", "{address} {\n\t@get method GET HEAD POST\n\thandle @get {\n\t\tmfa\n\t}\n}\n", nil, "", ""},
		{"a handle without matcher", "{address} {\n\thandle {\n\t\tmfa\n\t}\n}\n", nil, "", ""},
		{"a host inside", "http://*.localhost:{port}, {address} {\n\t@here host localhost\n\thandle @here {\n\t\tmfa\n\t}\n}\n", nil, "", ""},
		{"a path with a placeholder", "{address} {\n\t@gated path {env.MFA_TEST_PATHS}\n\thandle @gated {\n\t\tmfa\n\t}\n}\n", nil, "", ""},
		{"routes that invoke each other", "&(a) {\n\tinvoke b\n\tmfa\n}\n&(b) {\n\thandle /loop {\n\t\tinvoke a\n\t}\n}\n{address} {\n\tinvoke a\n}\n", nil, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("MFA_TEST_PATHS", "/.mfa/*")
			s := newSite(t)
			err := s.load(c.sites, c.options...)
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Fatalf("got %v, want %q", err, c.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if c.page == "" {
				c.page = "/.mfa/login"
			}
			if res := s.get(c.page, asPage); res.StatusCode != http.StatusOK {
				t.Errorf("the sign-in page: %s", res.Status)
			}
			if strings.Contains(s.logged(), "only some paths lead to mfa") {
				t.Error("a warning without a reason")
			}
		})
	}
}

// After a rewrite nobody can tell which paths arrive: it may be right, and is only warned of.
func TestGateBehindARewriteIsWarnedOf(t *testing.T) {
	for _, c := range []struct{ name, site, option, page string }{
		{"right", "{address} {\n\thandle_path /app/* {\n\t\thandle /admin/* {\n\t\t\tmfa\n\t\t}\n\t}\n}\n", "path /app/admin/.mfa", "/app/admin/.mfa/login"},
		{"wrong", "{address} {\n\turi strip_prefix /app\n\thandle /admin/* {\n\t\tmfa\n\t}\n}\n", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			s.serve(c.site, c.option)
			if n := strings.Count(s.logged(), "only some paths lead to mfa"); n != 1 {
				t.Errorf("warned %d times", n)
			}
			if c.page == "" {
				return
			}
			if res := s.get(c.page, asPage); res.StatusCode != http.StatusOK {
				t.Errorf("the sign-in page: %s", res.Status)
			}
		})
	}
}

func TestTwoGatesInOneBlock(t *testing.T) {
	for name, site := range map[string]string{
		"of a site":    "{address} {\n\tmfa {\n\t\tpublic /a\n\t}\n\trespond /b no\n\tmfa {\n\t\tallow alice\n\t}\n}\n",
		"of any host":  "http://:{port} {\n\tmfa\n\trespond /b no\n\tmfa\n}\n",
		"of a handle":  "{address} {\n\thandle {\n\t\tmfa\n\t\trespond /b no\n\t\tmfa\n\t}\n}\n",
		"in a route":   "{address} {\n\troute {\n\t\tmfa\n\t\trewrite /a /b\n\t\tmfa\n\t}\n}\n",
		"from imports": "(gate) {\n\tmfa\n}\n{address} {\n\timport gate\n\timport gate\n}\n",
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			if err := s.load(site); err == nil || !strings.Contains(err.Error(), "two mfa directives in the same block") {
				t.Errorf("got %v", err)
			}
		})
	}
}

// Hosts that nobody could sign in on, and circles. A Caddyfile shows most of it, and JSON, or a matcher inside a site, the same when Caddy
// starts.
func TestHostsWithoutAPortal(t *testing.T) {
	const (
		inside = "http://:{port} {\n\t@a host a.localhost\n\thandle @a {\n\t\tmfa\n\t}\n\t@b host b.localhost\n\thandle @b {\n\t\tmfa\n\t}\n}\n"
		home   = "http://auth.localhost:{port} {\n\tmfa_portal\n}\n"
		one    = "http://one.localhost:{port} {\n\thandle {\n\t\tmfa\n\t}\n}\n"
	)
	for _, c := range []struct {
		name, sites string
		options     []string
		want        string // of the error, "" for none
	}{
		{"two", inside, nil, "mfa stands on several hosts, a.localhost and b.localhost, and a session counts on one host only"},
		{"a wildcard", "http://*.localhost:{port} {\n\thandle {\n\t\tmfa\n\t}\n}\n", nil, "mfa stands on *.localhost, which is many hosts"},
		{"in error routes", plainGate + "http://b.localhost:{port} {\n\thandle_errors {\n\t\tmfa\n\t}\n}\n", nil, "mfa stands on several hosts"},
		{"any name beside one", "http://:{port} {\n\tmfa\n}\n" + one, nil, "on a site that answers to any name"},
		{"any name that is another", "http://:{port} {\n\tmfa\n}\n" + one, []string{"url https://dash.example.com"}, "mfa stands on several hosts, one.localhost and dash.example.com"},
		{"any name that is the one", "http://:{port} {\n\tmfa\n}\n" + one, []string{"url http://one.localhost:{port}"}, ""},
		{"any name alone", "http://:{port} {\n\tmfa\n}\n", nil, ""},
		{"one host twice", plainGate + "http://localhost:{port}/a/* {\n\thandle {\n\t\tmfa\n\t}\n}\n", []string{"path /a/.mfa"}, ""},
		{"one inside a wildcard", "http://*.localhost:{port} {\n\t@here host one.localhost\n\thandle @here {\n\t\tmfa\n\t}\n}\n", nil, ""},
		{"a name that redirects", plainGate + "http://www.localhost:{port} {\n\tredir http://localhost:{port}{uri}\n}\n", nil, ""},
		{"placeholders", "http://{env.MFA_TEST_A}:{port}, http://{env.MFA_TEST_B}:{port} {\n\thandle {\n\t\tmfa\n\t}\n}\n", nil, "mfa stands on several hosts"},

		{"two beyond ASCII", "http://bücher.localhost:{port} {\n\tmfa\n}\nhttp://bûcher.localhost:{port} {\n\tmfa\n}\n", nil, "mfa stands on several hosts, xn--"},
		{"beyond ASCII", home + "http://bücher.apps.localhost:{port}, http://BÜCHER2.apps.localhost:{port} {\n\tmfa\n}\n", []string{portalOption}, ""},
		{"not listed", home + inside, []string{portalOption}, "mfa stands on a.localhost, and the option portal does not list that host"},
		{"no site", one, []string{portalOption}, "no site there has mfa_portal"},
		{"no site at all", "", []string{portalOption}, ""},
		{"its site gated", "http://auth.localhost:{port} {\n\thandle {\n\t\tmfa\n\t}\n}\n", []string{portalOption}, "auth.localhost is the portal, and mfa would stand before the pages"},
		{"before its pages", "http://:{port} {\n\tmfa\n\tmfa_portal\n}\n", []string{portalOption}, "auth.localhost is the portal, and mfa would stand before the pages"},
		{"its site elsewhere", one + "http://*.other.localhost:{port} {\n\thandle {\n\t\tmfa_portal\n\t}\n}\n", []string{portalOption}, "mfa_portal stands on *.other.localhost"},
		{"a matcher before its pages", one + "http://auth.localhost:{port} {\n\thandle /x/* {\n\t\tmfa_portal\n\t}\n}\n", []string{portalOption}, "mfa_portal stands on auth.localhost"},
		{"the wildcard of a list", home + "http://*.apps.localhost:{port} {\n\tmfa\n}\n", []string{portalOption}, ""},
		{"a wildcard around the list", home + "http://*.localhost:{port} {\n\tmfa\n}\n", []string{portalOption}, ""},
		{"its site inside a wildcard", one + "http://*.localhost:{port} {\n\t@auth host auth.localhost\n\thandle @auth {\n\t\tmfa_portal\n\t}\n\thandle {\n\t\tmfa\n\t}\n}\n", []string{portalOption}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("MFA_TEST_A", "a.localhost")
			t.Setenv("MFA_TEST_B", "b.localhost")
			s := newSite(t)
			err := s.load(c.sites, c.options...)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
