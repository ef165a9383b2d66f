package auth_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// demand makes a realm over the same people, in which policies are in force.
func (r *rig) demand(policies ...auth.Policy) {
	r.t.Helper()
	r.Realm = r.realm(func(c *auth.Config) { c.Policies = policies })
}

var keysOnly = auth.Policy{Name: "Keys for admins", For: []auth.Principal{{Group: "admins"}}, Methods: []string{auth.MethodWebAuthn}}

// TestPolicyAsksBeforeTheSessionOpens: who lacks what a policy demands proves what there is, and then sets it up.
func TestPolicyAsksBeforeTheSessionOpens(t *testing.T) {
	r := newRig(t)
	alice, bob := r.person("alice", "admins"), r.person("bob")
	r.demand(keysOnly)
	b := newBrowser()
	r.signIn(bob, b)

	b = newBrowser()
	b.v.Origin = "https://" + host // keys are bound to it
	r.must(b, auth.StepVerify)(r.SignIn(t.Context(), b.v, "alice", password, "/x"))
	out := r.must(b, auth.StepEnroll)(r.Prove(t.Context(), b.v, auth.MethodTOTP, []byte(alice.now())))
	if !slices.Equal(out.Policies, []string{"Keys for admins"}) {
		t.Errorf("policies %q", out.Policies)
	}
	if r.signedIn(b) {
		t.Fatal("signed in without a key")
	}
	p, err := r.Progress(t.Context(), b.v)
	if err != nil || !slices.Equal(p.Enrollable, []string{auth.MethodWebAuthn}) {
		t.Errorf("may set up %q, %v", p.Enrollable, err)
	}
	if _, err := r.BeginEnroll(t.Context(), b.v, auth.MethodTOTP); !errors.Is(err, auth.ErrStep) {
		t.Errorf("another app instead of a key: %v", err)
	}
}

// TestPolicyMetIsTheOnlyWayIn: whoever has a key signs in with it, and not with the weaker app beside it.
func TestPolicyMetIsTheOnlyWayIn(t *testing.T) {
	r := newRig(t)
	alice := r.person("alice")
	apps := auth.Policy{Name: "Apps", Methods: []string{auth.MethodTOTP}}
	r.demand(apps, auth.Policy{Name: "Either"})
	b := newBrowser()
	r.must(b, auth.StepVerify)(r.SignIn(t.Context(), b.v, "alice", password, ""))
	p, err := r.Progress(t.Context(), b.v)
	if err != nil || p.Method != auth.MethodTOTP || !slices.Equal(p.Others, []string{auth.MethodRecovery}) {
		t.Fatalf("asks for %q, else %q, %v", p.Method, p.Others, err)
	}
	r.must(b, auth.StepDone)(r.Prove(t.Context(), b.v, auth.MethodTOTP, []byte(alice.now())))
	r.clock.Add(time.Minute)
	ids := r.apps("alice")
	var refused *auth.Invalid
	_, err = r.Change(t.Context(), b.v, auth.Change{Op: auth.ChangeRemove, Credential: ids[0]}, "")
	if !errors.As(err, &refused) || !strings.Contains(refused.Text, "Apps, Either") {
		t.Errorf("removing the last app: %v", err)
	}
}

// TestPolicyGrace: people hear of a policy at a sign-in, and have until then plus the grace.
func TestPolicyGrace(t *testing.T) {
	r := newRig(t)
	alice := r.person("alice", "admins")
	soft := keysOnly
	soft.Grace = 7 * 24 * time.Hour
	r.demand(soft)
	r.clock.Add(30 * 24 * time.Hour) // nobody was there to hear
	heard := r.clock.Now()
	signIn := func() auth.Outcome {
		b := newBrowser()
		b.v.Origin = "https://" + host
		r.must(b, auth.StepVerify)(r.SignIn(t.Context(), b.v, "alice", password, ""))
		out, err := r.Prove(t.Context(), b.v, auth.MethodTOTP, []byte(alice.now()))
		if err != nil {
			t.Fatal(err)
		}
		r.clock.Add(time.Minute)
		return out
	}
	for _, wait := range []time.Duration{0, 3 * 24 * time.Hour} {
		r.clock.Add(wait)
		out := signIn()
		if out.Step != auth.StepDone || !slices.Equal(out.Policies, []string{soft.Name}) || !out.Due.Equal(heard.Add(soft.Grace)) {
			t.Fatalf("step %d, policies %q, due %v", out.Step, out.Policies, out.Due)
		}
	}
	r.clock.Add(heard.Add(soft.Grace).Sub(r.clock.Now()))
	if out := signIn(); out.Step != auth.StepEnroll {
		t.Errorf("after the grace: step %d", out.Step)
	}
	// A date is not brought forward by a grace, and not put off by one that has run out.
	dated := soft
	dated.From = r.clock.Now().Add(24 * time.Hour)
	r.demand(dated)
	if out := signIn(); out.Step != auth.StepDone || !out.Due.Equal(dated.From) {
		t.Errorf("before the date: step %d, due %v", out.Step, out.Due)
	}
	r.clock.Add(24 * time.Hour)
	if out := signIn(); out.Step != auth.StepEnroll {
		t.Errorf("from the date: step %d", out.Step)
	}
}

// TestLastTwoRemovedAtOnceUnderAPolicy: one of two removals finds the other's, and is refused.
func TestLastTwoRemovedAtOnceUnderAPolicy(t *testing.T) { // S91
	r := newMailRig(t)
	alice := r.member("alice")
	b := newBrowser()
	r.signIn(alice, b)
	r.add(b)
	r.Realm = r.realm(func(c *auth.Config) { c.Policies = []auth.Policy{{Name: "Two factors"}} })
	ids := r.apps("alice")
	var wg sync.WaitGroup
	errs := make([]error, 2)
	for i := range errs {
		wg.Go(func() {
			_, errs[i] = r.Change(t.Context(), b.v, auth.Change{Op: auth.ChangeRemove, Credential: ids[i]}, "")
		})
	}
	wg.Wait()
	if left := r.apps("alice"); len(left) != 1 {
		t.Errorf("%d apps left; %v", len(left), errs)
	}
}

// TestPasskeyIsNoWayAroundAPolicy: two kinds at one touch are not the app that is demanded.
func TestPasskeyIsNoWayAroundAPolicy(t *testing.T) {
	r := newRig(t)
	d := phone()
	p, _ := r.keyPerson("alice", d)
	b := r.keyBrowser()
	r.must(b, auth.StepDone)(r.passkey(b, d))
	r.demand(auth.Policy{Name: "Apps", Methods: []string{auth.MethodTOTP}})
	b = r.keyBrowser()
	out := r.must(b, auth.StepVerify)(r.passkey(b, d))
	if out.Method != auth.MethodTOTP || r.signedIn(b) {
		t.Fatalf("asks for %q, signed in %v", out.Method, r.signedIn(b))
	}
	r.must(b, auth.StepDone)(r.Prove(t.Context(), b.v, auth.MethodTOTP, []byte(p.now())))
}
