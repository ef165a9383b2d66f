package caddymodule

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

func TestViewsHoldNoSecret(t *testing.T) { // S78
	const secret = "do-not-show"
	moment := time.Date(2026, 1, 2, 3, 4, 5, 6, time.FixedZone("", 3600))
	u := &auth.User{
		ID: secret, Name: "alice", DisplayName: "Alice", Email: "alice@example.com", Groups: []string{"ops"},
		Handle: []byte(secret), Created: moment, Enrolled: []string{auth.MethodPassword}, Tokens: map[auth.Purpose]string{auth.PurposeInvite: secret},
	}
	account := &auth.Account{User: *u, Credentials: []auth.Credential{{
		ID: "c1", Method: auth.MethodTOTP, Label: "Phone", Data: []byte(secret), Secret: []byte(secret), Created: moment,
	}}}
	session := &auth.Session{
		ID: "s1", Token: secret, UserID: secret, Host: "dash.example.com", Parent: secret, Created: moment,
		Proofs: []auth.Proof{{Method: auth.MethodPassword, Credential: secret}, {Method: auth.MethodTOTP}},
	}
	for _, view := range []any{viewUser(u), viewAccount(account), viewSession(session)} {
		b, err := json.Marshal(view)
		if err != nil {
			t.Fatal(err)
		}
		encoded, err := json.Marshal([]byte(secret))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b, []byte(secret)) || bytes.Contains(b, encoded) {
			t.Errorf("a %T shows a secret: %s", view, b)
		}
		if !strings.Contains(string(b), `"created":"2026-01-02T02:04:05Z"`) {
			t.Errorf("a %T shows another time: %s", view, b)
		}
	}
}

func TestAccountState(t *testing.T) {
	for _, row := range []struct {
		name string
		user auth.User
		want string
	}{
		{"nothing yet", auth.User{}, stateInvited},
		{"a password", auth.User{Enrolled: []string{"password"}}, stateIncomplete},
		{"a password and codes", auth.User{Enrolled: []string{"password", "recovery"}}, stateIncomplete},
		{"everything", auth.User{Enrolled: []string{"password", "recovery", "totp"}}, stateActive},
		{"shut out", auth.User{Enrolled: []string{"password", "totp"}, Disabled: true}, stateDisabled},
	} {
		if got := accountState(&row.user); got != row.want {
			t.Errorf("%s: %s, want %s", row.name, got, row.want)
		}
	}
}

func FuzzDecodeStrict(f *testing.F) {
	for _, seed := range []string{`{"name": "alice"}`, `{"name": "alice", "groups": ["ops"]}`, `{} {}`, `{"x": 1}`, "null", "{\"name\": \"\xff\"}", `{"name": "a", "name": "b"}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var v addInput
		err := decodeStrict(in, &v)
		if err == nil && !json.Valid(in) {
			t.Errorf("%q was taken", in)
		}
		if err != nil && strings.ContainsAny(printable(err.Error()), "\n\x1b") {
			t.Errorf("%q is refused in more than a line: %q", in, err)
		}
	})
}
