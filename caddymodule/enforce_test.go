package caddymodule

import (
	"reflect"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// TestPoliciesAsWritten: what an admin writes is what is enforced.
func TestPoliciesAsWritten(t *testing.T) {
	a := &App{Enforce: []Policy{
		{Name: "Two factors"},
		{
			Name: "Keys for admins", For: []string{"group:admins", "Alice"}, Methods: []string{"webauthn"},
			From: "2027-01-01", Grace: caddy.Duration(14 * 24 * time.Hour),
		},
		{Name: "Apps", Methods: []string{"totp"}, From: "2027-01-01T08:00:00+02:00"},
	}}
	if err := a.prepare(caddy.NewReplacer()); err != nil {
		t.Fatal(err)
	}
	want := []auth.Policy{
		{Name: "Two factors"},
		{
			Name: "Keys for admins", For: []auth.Principal{{Group: "admins"}, {User: "alice"}}, Methods: []string{"webauthn"},
			From: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC), Grace: 14 * 24 * time.Hour,
		},
		{Name: "Apps", Methods: []string{"totp"}, From: time.Date(2027, 1, 1, 6, 0, 0, 0, time.UTC)},
	}
	if !reflect.DeepEqual(a.settings.policies, want) {
		t.Errorf("%+v", a.settings.policies)
	}
}

// TestViewableCodes: off unless it is switched on.
func TestViewableCodes(t *testing.T) {
	for _, row := range []struct {
		name     string
		recovery *Recovery
		keeps    bool
	}{{"default", nil, false}, {"empty", &Recovery{}, false}, {"on", &Recovery{Viewable: true}, true}} {
		a := &App{Recovery: row.recovery}
		if err := a.prepare(caddy.NewReplacer()); err != nil {
			t.Fatal(err)
		}
		codes, ok := a.settings.methods[len(a.settings.methods)-1].(auth.Viewable)
		if !ok || codes.KeepsCodes() != row.keeps {
			t.Errorf("%s: keeps codes: %v", row.name, !row.keeps)
		}
	}
}
