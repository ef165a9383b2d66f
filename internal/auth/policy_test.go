package auth_test

import (
	"errors"
	"slices"
	"strings"
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
	won, errs := race(2, func(i int) error {
		_, err := r.Change(t.Context(), b.v, auth.Change{Op: auth.ChangeRemove, Credential: ids[i]}, "")
		return err
	})
	var refused *auth.Invalid
	if !errors.As(errors.Join(errs...), &refused) || !strings.Contains(refused.Text, "Two factors") || won != 1 {
		t.Errorf("%d of 2 were made: %v", won, errs)
	}
	if left := r.apps("alice"); len(left) != 1 {
		t.Errorf("%d apps left", len(left))
	}
}

// TestOffAndRemovalAtOnceUnderAPolicy: nor do turning it off and a removal add up to nothing.
func TestOffAndRemovalAtOnceUnderAPolicy(t *testing.T) { // S91
	t.Parallel()
	r := newMailRig(t)
	p := r.member("alice")
	b := signedInAgain(r, p)
	r.Realm = r.realm(func(c *auth.Config) { c.Policies = []auth.Policy{{Name: "Two factors"}} })
	ids := r.apps("alice")
	won, errs := race(20, func(i int) error {
		c := auth.Change{Op: auth.ChangeOff}
		if i%2 == 0 {
			c = auth.Change{Op: auth.ChangeRemove, Credential: ids[0]}
		}
		_, err := r.Change(t.Context(), b.v, c, "")
		return err
	})
	for _, err := range errs {
		var refused *auth.Invalid
		if !errors.As(err, &refused) || !strings.Contains(refused.Text, "Two factors") {
			t.Errorf("not refused for the policy: %v", err)
		}
	}
	if left := r.apps("alice"); won != 0 || len(left) != 1 {
		t.Errorf("%d were made, %d apps left", won, len(left))
	}
}

// TestPoliciesThatNoMethodMeetsAlone: whoever must have a key and an app signs in with both.
func TestPoliciesThatNoMethodMeetsAlone(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ctx := t.Context()
	d := phone()
	alice, _ := r.keyPerson("alice", d)
	r.demand(auth.Policy{Name: "Keys", Methods: []string{auth.MethodWebAuthn}}, auth.Policy{Name: "Apps", Methods: []string{auth.MethodTOTP}}, auth.Policy{Name: "Any"})
	b := r.keyBrowser()
	out := r.must(b, auth.StepVerify)(r.SignIn(ctx, b.v, "alice", password, ""))
	if p := r.progress(b); out.Method != auth.MethodWebAuthn || !slices.Equal(p.Others, []string{auth.MethodTOTP, auth.MethodRecovery}) {
		t.Fatalf("asks for %q, else %q", out.Method, p.Others)
	}
	out = r.must(b, auth.StepVerify)(r.Prove(ctx, b.v, auth.MethodTOTP, []byte(alice.now())))
	if p := r.progress(b); out.Method != auth.MethodWebAuthn || !slices.Equal(p.Others, []string{auth.MethodRecovery}) || r.signedIn(b) {
		t.Fatalf("then for %q, else %q, signed in %v", out.Method, p.Others, r.signedIn(b))
	}
	r.must(b, auth.StepDone)(r.Prove(ctx, b.v, auth.MethodRecovery, []byte(alice.codes[0])))
}

// TestStrictestPolicyWins: what everybody may choose from is less for whom a stricter policy is for, and no step is made twice.
func TestStrictestPolicyWins(t *testing.T) {
	t.Parallel()
	keys := auth.Policy{Name: "Keys", Methods: []string{auth.MethodWebAuthn}}
	apps := auth.Policy{Name: "Apps", Methods: []string{auth.MethodTOTP}}
	letters := auth.Policy{Name: "Letters", Methods: []string{auth.MethodEmail}}
	later := auth.Policy{Name: "Later", Methods: []string{auth.MethodTOTP}, Grace: time.Hour}
	for _, row := range []struct {
		name     string
		policies []auth.Policy
		offered  []string
		named    []string
	}{
		{"looser first", []auth.Policy{{Name: "Any"}, keys}, []string{auth.MethodWebAuthn}, []string{"Any", "Keys"}},
		{"stricter first", []auth.Policy{keys, {Name: "Any"}}, []string{auth.MethodWebAuthn}, []string{"Keys", "Any"}},
		{"not yet", []auth.Policy{{Name: "Any"}, later}, []string{auth.MethodWebAuthn, auth.MethodTOTP}, []string{"Any"}},
		{"one after the other", []auth.Policy{apps, keys}, []string{auth.MethodTOTP}, []string{"Apps", "Keys"}},
		{"one cannot be set up", []auth.Policy{letters, apps}, []string{auth.MethodTOTP}, []string{"Letters", "Apps"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.demand(row.policies...)
			if _, _, err := r.AddUser(t.Context(), auth.NewUser{Name: "alice", Password: password}); err != nil {
				t.Fatal(err)
			}
			b := r.keyBrowser()
			out := r.must(b, auth.StepEnroll)(r.SignIn(t.Context(), b.v, "alice", password, ""))
			if p := r.progress(b); !slices.Equal(p.Enrollable, row.offered) || !slices.Equal(out.Policies, row.named) {
				t.Errorf("offered %q, want %q; named %q, want %q", p.Enrollable, row.offered, out.Policies, row.named)
			}
		})
	}
}

// TestPolicyNamesItself: before anything is set up, where what was set up is of no use, and with why it applies.
func TestPolicyNamesItself(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ctx := t.Context()
	if _, _, err := r.AddUser(ctx, auth.NewUser{Name: "bob", Groups: []string{"ops", "admins"}, Password: password}); err != nil {
		t.Fatal(err)
	}
	both := auth.Policy{
		Name: "Two factors", Grace: time.Hour,
		For: []auth.Principal{{Group: "nobody"}, {Group: "admins"}, {User: "bob"}, {User: "alice"}},
	}
	r.demand(keysOnly, both, auth.Policy{Name: "Not for bob", For: []auth.Principal{{User: "alice"}}})
	b := r.keyBrowser()
	out := r.must(b, auth.StepEnroll)(r.SignIn(ctx, b.v, "bob", password, ""))
	if p := r.progress(b); !slices.Equal(out.Policies, []string{keysOnly.Name}) || !slices.Equal(p.Policies, out.Policies) {
		t.Errorf("first set-up: %q, then %q", out.Policies, p.Policies)
	}
	a, err := r.User(ctx, "bob")
	if err != nil || len(a.Duties) != 2 {
		t.Fatalf("%+v, %v", a.Duties, err)
	}
	if d := a.Duties[1]; d.Name != "Two factors" || !slices.Equal(d.Because, []auth.Principal{{Group: "admins"}, {User: "bob"}}) ||
		d.Met || d.MetBy != nil || !d.Heard.IsZero() || d.Overdue(r.clock.Now()) {
		t.Errorf("%+v", d)
	}

	r.person("alice")
	r.demand(auth.Policy{Name: "Apps", Methods: []string{auth.MethodTOTP}})
	if a, err := r.User(ctx, "alice"); err != nil || len(a.Duties) != 1 || a.Duties[0].Because != nil || !slices.Equal(a.Duties[0].MetBy, []string{auth.MethodTOTP}) {
		t.Errorf("%+v, %v", a.Duties, err)
	}
}

// TestPolicyOfAKeyForAnotherSite: an app that works is no way in there, and whoever is sent to an admin hears which policy says so.
func TestPolicyOfAKeyForAnotherSite(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ctx := t.Context()
	d := phone()
	r.keyPerson("alice", d)
	if _, err := r.ChangeGroups(ctx, "alice", []string{"admins"}, nil); err != nil {
		t.Fatal(err)
	}
	r.Realm = r.realm(func(c *auth.Config) {
		withoutCodes(c)
		c.Policies = []auth.Policy{keysOnly}
	})
	b := newBrowser()
	b.v.Host, b.v.Origin = "wiki.example.org", "https://wiki.example.org"
	r.must(b, auth.StepAskAdmin)(r.SignIn(ctx, b.v, "alice", password, ""))
	if p := r.progress(b); !slices.Equal(p.Policies, []string{keysOnly.Name}) || !slices.Equal(p.Elsewhere, []string{host}) {
		t.Errorf("policies %q, keys for %q", p.Policies, p.Elsewhere)
	}
}

// TestMethodSwitchedOff: whole methods go, whoever has set them up.
func TestMethodSwitchedOff(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ctx := t.Context()
	alice := r.person("alice")
	home := alice.home
	r.Realm = r.realm(func(c *auth.Config) {
		c.Methods = slices.DeleteFunc(c.Methods, func(m auth.Method) bool { return m.Name() == auth.MethodTOTP })
		c.Policies = []auth.Policy{{Name: "Two factors"}}
	})
	b := r.keyBrowser()
	out := r.must(b, auth.StepVerify)(r.SignIn(ctx, b.v, "alice", password, ""))
	if p := r.progress(b); out.Method != auth.MethodRecovery || len(p.Others) > 0 || len(p.Enrollable) > 0 {
		t.Errorf("asks for %q, else %q; may set up %q", out.Method, p.Others, p.Enrollable)
	}
	if _, err := r.Prove(ctx, b.v, auth.MethodTOTP, []byte(alice.now())); !errors.Is(err, auth.ErrStep) {
		t.Errorf("a code of the app: %v", err)
	}
	var refused *auth.Invalid
	if _, err := r.Change(ctx, home.v, auth.Change{Op: auth.ChangeAdd, Method: auth.MethodTOTP}, ""); !errors.As(err, &refused) {
		t.Errorf("another app: %v", err)
	}
	if a, err := r.User(ctx, "alice"); err != nil || len(a.Duties) != 1 || a.Duties[0].Met {
		t.Errorf("the app meets a policy: %+v, %v", a.Duties, err)
	}
	// The codes stand in, and then something that counts is set up.
	out = r.must(b, auth.StepEnroll)(r.Prove(ctx, b.v, auth.MethodRecovery, []byte(alice.codes[0])))
	if p := r.progress(b); !slices.Equal(p.Enrollable, []string{auth.MethodWebAuthn}) || !slices.Equal(out.Policies, []string{"Two factors"}) {
		t.Errorf("may set up %q for %q", p.Enrollable, out.Policies)
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
