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
