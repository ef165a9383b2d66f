package auth_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/internal/method/authenticator"
)

// asked is what a page shows of a challenge of keys, and what stands in its seal.
type asked struct {
	AllowCredentials []struct {
		ID         string   `json:"id"`
		Type       string   `json:"type"`
		Transports []string `json:"transports"`
	} `json:"allowCredentials"`
}

func (r *rig) askedFor(name, typed string) (auth.Ask, asked, *browser) {
	r.t.Helper()
	b := r.second(name, typed)
	a, err := r.Ask(r.t.Context(), b.v, auth.MethodWebAuthn)
	if err != nil {
		r.t.Fatal(err)
	}
	var got asked
	if err := json.Unmarshal(a.Public, &got); err != nil || len(got.AllowCredentials) == 0 {
		r.t.Fatalf("%s: %v", a.Public, err)
	}
	return *a, got, b
}

func TestUntoldKeys(t *testing.T) { // S47, S88
	r := newRig(t)
	d := stick()
	_, home := r.keyPerson("alice", d)
	r.addKey(home, &authenticator.Device{Origin: origin, Transports: []string{"internal"}, Attachment: "platform"})
	r.person("bob")
	r.Realm = r.realm(onePage)
	ctx := t.Context()
	seen := map[string]bool{}
	for _, name := range []string{"alice", "bob", "nobody", "somebody"} {
		_, first, _ := r.askedFor(name, password)
		r.clock.Add(time.Minute)
		_, again, _ := r.askedFor(" "+strings.ToUpper(name), "not the password")
		r.clock.Add(time.Minute)
		if fmt.Sprint(first) != fmt.Sprint(again) {
			t.Errorf("%s: %v with the right password, %v with a wrong one", name, first, again)
		}
		for _, c := range first.AllowCredentials {
			if seen[c.ID] || len(c.ID) < 20 {
				t.Errorf("%s: %v", name, first)
			}
			seen[c.ID] = true
		}
		if n := len(first.AllowCredentials); name == "alice" && n != 2 || n > 3 {
			t.Errorf("%s has %d keys", name, n)
		}
	}
	for _, typed := range []string{"not the password", password} {
		r.clock.Add(time.Minute)
		a, _, b := r.askedFor("alice", typed)
		if strings.Contains(a.Sealed, r.user("alice").ID) || strings.Contains(string(a.Public), r.user("alice").ID) {
			t.Error("the page shows the user's ID")
		}
		answer, err := d.Get(a.Public)
		if err != nil {
			t.Fatal(err)
		}
		out, err := r.ProveAsked(ctx, b.v, auth.MethodWebAuthn, answer, a.Sealed)
		if right := typed == password; right != (err == nil && out.Step == auth.StepDone) || !right && !errors.Is(err, auth.ErrRejected) {
			t.Errorf("with %q: %+v, %v", typed, out, err)
		}
		if _, err := r.ProveAsked(ctx, b.v, auth.MethodWebAuthn, answer, a.Sealed); !errors.Is(err, auth.ErrRejected) && !errors.Is(err, auth.ErrNoFlow) {
			t.Errorf("again: %v", err)
		}
	}
	if !r.signedIn(home) {
		t.Error("the person's own session ended")
	}
}
