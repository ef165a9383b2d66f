package caddymodule

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// What a Caddyfile cannot say, and JSON can.
func TestRulesThatAreRefused(t *testing.T) {
	const whole = "would open the whole site to everybody"
	for _, c := range []struct{ name, rule, want string }{
		{"public and reporting", `{"public": true, "report_only": true, "match": [{"path": ["/a"]}]}`, "nothing to report"},
		{"nothing said", `{}`, "a rule says public, allow, require or max_age"},
		{"both", `{"public": true, "allow": ["alice"], "match": [{"path": ["/a"]}]}`, "a rule is either public"},
		{"no matcher", `{"public": true}`, whole},
		{"an empty matcher set", `{"public": true, "match": [{"path": ["/a"]}, {}]}`, whole},
		{"star", `{"public": true, "match": [{"path": ["*"]}]}`, whole},
		{"slash star", `{"public": true, "match": [{"path": ["/*"]}]}`, whole},
		{"slash two stars", `{"public": true, "match": [{"path": ["/**"]}]}`, whole},
		{"two stars", `{"public": true, "match": [{"path": ["**"]}]}`, whole},
		{"star slash star", `{"public": true, "match": [{"path": ["*/*"]}]}`, whole},
		{"beside another path", `{"public": true, "match": [{"path": ["/a", "/*"]}]}`, whole},
		{"in a later set", `{"public": true, "match": [{"path": ["/a"]}, {"path": ["/*"]}]}`, whole},
		{"a wrong path", `{"public": true, "match": [{"path": "/*"}]}`, "loading matchers"},

		{"a part of the site", `{"public": true, "match": [{"path": ["/a/*", "*.css", "/"]}]}`, ""},
		{"narrowed by another matcher", `{"public": true, "match": [{"path": ["/*"], "header": {"X-Probe": ["yes"]}}]}`, ""},
		{"not public", `{"allow": ["alice"], "match": [{"path": ["/*"]}]}`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var rule Rule
			if err := json.Unmarshal([]byte(c.rule), &rule); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
			defer cancel()
			err := rule.provision(ctx, new(App), auth.Requirement{Mode: auth.ModeSignedIn})
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
