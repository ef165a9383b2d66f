package caddymodule

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// TestPoliciesArePrinted: what an admin reads of each state that a policy can be in for somebody.
func TestPoliciesArePrinted(t *testing.T) {
	here := time.Local
	time.Local = time.UTC
	t.Cleanup(func() { time.Local = here })
	now := time.Date(2027, 1, 10, 12, 0, 0, 0, time.UTC)
	day := 24 * time.Hour
	keys := auth.Policy{Name: "Keys", Methods: []string{auth.MethodWebAuthn}}
	with := func(change func(*auth.Policy)) auth.Policy {
		p := keys
		change(&p)
		return p
	}
	for _, row := range []struct {
		name string
		duty auth.Duty
		want []string // lines, spaces as one
		json string
	}{
		{"met", auth.Duty{Policy: auth.Policy{Name: "Two factors"}, Met: true, MetBy: []string{"totp", "webauthn"}},
			[]string{"1 policy applies to alice, and nothing is left to do.", "Two factors", "Because: it is for everybody", "Asks for: webauthn or totp", "State: met, by totp and webauthn"},
			`{"name":"Two factors","because":[],"methods":["webauthn","totp"],"met":true,"met_by":["totp","webauthn"],"overdue":false}`},
		{"met early", auth.Duty{Policy: with(func(p *auth.Policy) { p.From = now.Add(day) }), Met: true, MetBy: []string{"webauthn"}, Due: now.Add(day)},
			[]string{"State: met, by webauthn, before it is due", "From: 2027-01-11 12:00 UTC"},
			`{"name":"Keys","because":[],"methods":["webauthn"],"met":true,"met_by":["webauthn"],"from":"2027-01-11T12:00:00Z","due":"2027-01-11T12:00:00Z","overdue":false}`},
		{"at once", auth.Duty{Policy: keys, Because: []auth.Principal{{Group: "ops"}, {User: "alice"}}},
			[]string{"1 policy applies to alice; not met: 1.", "Because: alice is in the group ops, and it names alice", "Asks for: webauthn", "State: NOT MET: at the next sign-in alice must set it up"},
			`{"name":"Keys","because":["group:ops","alice"],"methods":["webauthn"],"met":false,"met_by":[],"overdue":true}`},
		{"overdue", auth.Duty{Policy: with(func(p *auth.Policy) { p.From = now.Add(-day) }), Due: now.Add(-day)},
			[]string{"State: NOT MET, overdue since 2027-01-09 12:00 UTC: at the next sign-in alice must set it up"},
			`{"name":"Keys","because":[],"methods":["webauthn"],"met":false,"met_by":[],"from":"2027-01-09T12:00:00Z","due":"2027-01-09T12:00:00Z","overdue":true}`},
		{"from a date", auth.Duty{Policy: with(func(p *auth.Policy) { p.From = now.Add(day) }), Due: now.Add(day)},
			[]string{"State: not met, due 2027-01-11 12:00 UTC: until then alice is reminded at each sign-in"},
			`{"name":"Keys","because":[],"methods":["webauthn"],"met":false,"met_by":[],"from":"2027-01-11T12:00:00Z","due":"2027-01-11T12:00:00Z","overdue":false}`},
		{"not heard of", auth.Duty{Policy: with(func(p *auth.Policy) { p.Grace = 14 * day }), Due: now.Add(14 * day)},
			[]string{"State: not met, due 14 days after the next sign-in, at which alice is told", "Grace: 14 days; alice has not heard of it yet"},
			`{"name":"Keys","because":[],"methods":["webauthn"],"met":false,"met_by":[],"grace_seconds":1209600,"overdue":false}`},
		{"not heard of, and later", auth.Duty{Policy: with(func(p *auth.Policy) { p.Grace, p.From = 36*time.Hour, now.Add(30*day) }), Due: now.Add(30 * day)},
			[]string{"State: not met, due 36 hours after the next sign-in, and not before 2027-02-09 12:00 UTC"},
			`{"name":"Keys","because":[],"methods":["webauthn"],"met":false,"met_by":[],"from":"2027-02-09T12:00:00Z","grace_seconds":129600,"overdue":false}`},
		{"heard of", auth.Duty{Policy: with(func(p *auth.Policy) { p.Grace = day }), Heard: now.Add(-time.Hour), Due: now.Add(23 * time.Hour)},
			[]string{"State: not met, due 2027-01-11 11:00 UTC: until then alice is reminded at each sign-in", "Grace: 1 day; alice first heard of it 2027-01-10 11:00 UTC"},
			`{"name":"Keys","because":[],"methods":["webauthn"],"met":false,"met_by":[],"grace_seconds":86400,"heard":"2027-01-10T11:00:00Z","due":"2027-01-11T11:00:00Z","overdue":false}`},
	} {
		t.Run(row.name, func(t *testing.T) {
			a := auth.Account{User: auth.User{Name: "alice"}, Duties: []auth.Duty{row.duty}}
			v := viewPolicies(now, &a, []string{"webauthn", "totp", "recovery"})
			b, err := json.Marshal(v.Policies[0])
			if err != nil || string(b) != row.json {
				t.Errorf("%s, %v", b, err)
			}
			var out strings.Builder
			printPolicies(&out, now, &v)
			var lines []string
			for line := range strings.Lines(out.String()) {
				lines = append(lines, strings.Join(strings.Fields(line), " "))
			}
			for _, want := range row.want {
				if !slices.Contains(lines, want) {
					t.Errorf("no line %q in\n%s", want, out.String())
				}
			}
		})
	}
}

// TestPoliciesPrintNothingRaw: an admin's own names are no reason to trust them.
func TestPoliciesPrintNothingRaw(t *testing.T) { // S79
	a := auth.Account{
		User:   auth.User{Name: "alice", Enrolled: []string{"totp", "password"}},
		Duties: []auth.Duty{{Policy: auth.Policy{Name: "Keys\x1b[2J"}}},
	}
	v := viewPolicies(time.Now(), &a, []string{"webauthn"})
	var out strings.Builder
	printPolicies(&out, time.Now(), &v)
	if strings.Contains(out.String(), "\x1b") || !strings.Contains(out.String(), "Switched off, though alice has set them up: totp\n") {
		t.Errorf("%q", out.String())
	}
}

// TestCommandsTellOfPolicies: with a server and without one, before somebody has heard of a policy and after.
func TestCommandsTellOfPolicies(t *testing.T) {
	m := newMachine(t)
	configure := func(options string) {
		m.configure("{\n\tadmin " + m.admin + "\n\tauto_https off\n\tmfa {\n" + options + "\n\t}\n}\n\n" + m.base() + " {\n\tbind 127.0.0.1\n\tmfa\n\trespond hello\n}\n")
	}
	configure("")
	stop := m.serve()
	alice, _ := m.signUp("alice", "--group", "ops")
	stop()
	configure(`enforce "Keys for operators" {
			for     group:ops
			methods webauthn
			grace   14d
		}
		enforce "Two factors"
		enforce "Apps" {
			methods totp
			from    2999-01-01
		}
		enforce "Others" {
			for bob
		}`)
	const before = `(?s)^3 policies apply to alice; not met: 1\.\n\nKeys for operators\n  Because: +alice is in the group ops\n  Asks for: +webauthn\n` +
		`  State: +not met, due 14 days after the next sign-in, at which alice is told\n  Grace: +14 days; alice has not heard of it yet\n\n` +
		`Two factors\n  Because: +it is for everybody\n  Asks for: +webauthn or totp\n  State: +met, by totp\n\n` +
		`Apps\n.*  State: +met, by totp, before it is due\n  From: +2999-01-01 00:00 UTC\n\nBeside any policy, `
	check(t, commandRow{out: before}, m.run("", "mfa", "user", "policy", "alice"))
	m.serve()
	check(t, commandRow{out: before}, m.run("", "mfa", "user", "policy", "alice"))

	var v policiesView
	if _, err := alice.SignIn(t.Context(), rig.NewVisitor(m.base()), "/"); err != nil {
		t.Fatal(err)
	}
	m.must(&v, "mfa", "user", "policy", "alice", "--json")
	if p := v.Policies[0]; p.Heard.IsZero() || !p.Due.Equal(p.Heard.Add(14*24*time.Hour)) || p.Overdue {
		t.Errorf("%+v", p)
	}
}
