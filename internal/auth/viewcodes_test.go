package auth_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/internal/method"
)

var viewCodes = auth.Change{Op: auth.ChangeViewCodes}

// keepCodes is a configuration in which recovery codes can be seen again.
func keepCodes(c *auth.Config) {
	for i, m := range c.Methods {
		if m.Name() == auth.MethodRecovery {
			c.Methods[i] = method.NewRecovery().KeepCodes().CheapForTests()
		}
	}
}

// viewable reports whether the account says that its codes can be seen.
func (r *rig) viewable(name string) bool {
	r.t.Helper()
	a, err := r.User(r.t.Context(), name)
	if err != nil {
		r.t.Fatal(err)
	}
	return a.May[auth.ChangeViewCodes] == nil
}

// TestCodesAreSeenAgain: after two fresh proofs, and the owner hears of it.
func TestCodesAreSeenAgain(t *testing.T) { // S58, S77, S80
	t.Parallel()
	r := newMailRig(t, keepCodes)
	ctx := t.Context()
	p := r.member("alice")
	b := signedInAgain(r, p)
	if !r.viewable("alice") {
		t.Error("the account does not say so")
	}
	r.clear()
	r.clock.Add(10 * time.Minute)
	silent := func(when string) {
		t.Helper()
		if got := r.progress(b); got.Step != auth.StepVerify || got.RecoveryList != nil {
			t.Errorf("%s: step %d, %d codes", when, got.Step, len(got.RecoveryList))
		}
		if slices.Contains(r.events(), auth.EventRecoverySeen) || slices.ContainsFunc(r.subjects(), func(s string) bool { return strings.Contains(s, "shown") }) {
			t.Errorf("%s: told", when)
		}
		if _, err := r.ConfirmRecoveryCodes(ctx, b.v); !errors.Is(err, auth.ErrStep) {
			t.Errorf("%s: confirmed: %v", when, err)
		}
	}
	r.must(b, auth.StepVerify)(r.Change(ctx, b.v, auth.Change{Op: auth.ChangeViewCodes, Told: true, Done: true}, "/x"))
	silent("before any proof")
	r.must(b, auth.StepVerify)(r.Prove(ctx, b.v, auth.MethodPassword, []byte(password)))
	silent("with one kind")
	r.must(b, auth.StepRecovery)(r.Prove(ctx, b.v, auth.MethodTOTP, []byte(p.now())))
	says(t, r.letter(aliceMail, "Recovery codes shown"), "alice", "192.0.2.1")
	if got := r.progress(b); !slices.Equal(got.RecoveryList, p.codes) || got.Change.Op != auth.ChangeViewCodes {
		t.Fatalf("shows %q, want %q", got.RecoveryList, p.codes)
	}
	for key, value := range r.records("") {
		for _, code := range p.codes {
			if strings.Contains(value, code) || strings.Contains(value, strings.ReplaceAll(code, "-", "")) {
				t.Fatalf("%s holds a code", key)
			}
		}
	}
	if _, err := r.MakeRecoveryCodes(ctx, b.v); !errors.Is(err, auth.ErrStep) {
		t.Errorf("made a new set: %v", err)
	}

	other := stranger(1) // what is used is listed no more
	r.must(other, auth.StepVerify)(r.SignIn(ctx, other.v, "alice", password, ""))
	r.must(other, auth.StepDone)(r.Prove(ctx, other.v, auth.MethodRecovery, []byte(p.codes[3])))
	if got := r.progress(b); !slices.Equal(got.RecoveryList, slices.Delete(slices.Clone(p.codes), 3, 4)) {
		t.Errorf("shows %q", got.RecoveryList)
	}

	r.clear()
	r.clock.Add(9 * time.Minute)
	r.must(b, auth.StepVerify)(r.Change(ctx, b.v, viewCodes, "")) // begun anew: as fresh as the first
	r.must(b, auth.StepVerify)(r.Prove(ctx, b.v, auth.MethodPassword, []byte(password)))
	r.must(b, auth.StepRecovery)(r.Prove(ctx, b.v, auth.MethodTOTP, []byte(p.now())))
	r.letter(aliceMail, "Recovery codes shown")
	r.noMail("for looking once more")
	old := *b
	if out := r.must(b, auth.StepDone)(r.ConfirmRecoveryCodes(ctx, b.v)); out.Changed != auth.ChangeViewCodes {
		t.Errorf("changed %q", out.Changed)
	}
	if !r.signedIn(b) || r.signedIn(&old) {
		t.Error("the session has no new token")
	}
	if _, err := r.Progress(ctx, old.v); !errors.Is(err, auth.ErrNoFlow) {
		t.Errorf("shown for longer: %v", err)
	}
	if n := len(slices.DeleteFunc(r.events(), func(e string) bool { return e != auth.EventRecoverySeen })); n != 2 {
		t.Errorf("audited %d times", n)
	}
	if a, err := r.User(ctx, "alice"); err != nil || a.RecoveryLeft != 9 {
		t.Errorf("%d codes left, %v", a.RecoveryLeft, err)
	}
}

// TestCodesLookedAtForLong: whoever left the page open can leave it, and sees nothing more.
func TestCodesLookedAtForLong(t *testing.T) { // S58
	t.Parallel()
	r := newMailRig(t, keepCodes)
	ctx := t.Context()
	p := r.member("alice")
	b := signedInAgain(r, p)
	r.clock.Add(5 * time.Minute)
	r.must(b, auth.StepRecovery)(r.Change(ctx, b.v, viewCodes, ""))
	r.letter(aliceMail, "Recovery codes shown")
	r.clock.Add(5 * time.Minute) // of the proofs; the flow has five more
	if got := r.progress(b); got.Step != auth.StepVerify || got.RecoveryList != nil {
		t.Errorf("step %d, %d codes", got.Step, len(got.RecoveryList))
	}
	left := *b
	r.must(&left, auth.StepDone)(r.ConfirmRecoveryCodes(ctx, left.v))

	b = stranger(1)
	r.signIn(p, b)
	r.clock.Add(8 * time.Minute)
	r.must(b, auth.StepRecovery)(r.Change(ctx, b.v, viewCodes, ""))
	r.letter(aliceMail, "Recovery codes shown")
	r.clock.Add(2 * time.Minute)
	r.clear()
	r.must(b, auth.StepVerify)(r.Prove(ctx, b.v, auth.MethodPassword, []byte(password)))
	r.must(b, auth.StepRecovery)(r.Prove(ctx, b.v, auth.MethodTOTP, []byte(p.now())))
	r.noMail("twice in one go")
}

func TestCodesThatCannotBeSeen(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		made func(*auth.Config) // the configuration of the set
		now  func(*auth.Config)
		do   func(*rig, *person)
		want string
	}{
		{"switched off", keepCodes, nil, nil, "not shown again here"},
		{"never switched on", nil, nil, nil, "not shown again here"},
		{"no recovery codes here", keepCodes, func(c *auth.Config) {
			c.Methods = slices.DeleteFunc(c.Methods, func(m auth.Method) bool { return m.Name() == auth.MethodRecovery })
		}, nil, "not shown again here"},
		{"made as hashes", nil, keepCodes, nil, "made before codes could be shown again"},
		{"used up", keepCodes, keepCodes, func(r *rig, p *person) {
			for _, code := range p.codes {
				b := newBrowser()
				r.must(b, auth.StepVerify)(r.SignIn(t.Context(), b.v, "alice", password, ""))
				r.must(b, auth.StepDone)(r.Prove(t.Context(), b.v, auth.MethodRecovery, []byte(code)))
			}
		}, "All of your recovery codes are used"},
		{"none", func(c *auth.Config) {
			c.Methods = slices.DeleteFunc(c.Methods, func(m auth.Method) bool { return m.Name() == auth.MethodRecovery })
		}, keepCodes, nil, "You have no recovery codes"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			r := newMailRig(t)
			r.Realm = r.realm(row.made)
			p := r.member("alice")
			b := signedInAgain(r, p)
			r.Realm = r.realm(row.now)
			if row.do != nil {
				row.do(r, p)
			}
			var refused *auth.Invalid
			if _, err := r.Change(t.Context(), b.v, viewCodes, ""); !errors.As(err, &refused) || !strings.Contains(refused.Text, row.want) {
				t.Errorf("want %q, got %v", row.want, err)
			}
			if r.viewable("alice") {
				t.Error("the account says that they can")
			}
			if len(p.codes) > 0 && row.name != "used up" && row.name != "no recovery codes here" { // they work all the same
				b := newBrowser()
				r.must(b, auth.StepVerify)(r.SignIn(t.Context(), b.v, "alice", password, ""))
				r.must(b, auth.StepDone)(r.Prove(t.Context(), b.v, auth.MethodRecovery, []byte(p.codes[0])))
			}
		})
	}
}

// TestCodesOfSomebodyElse: nothing that a request says leads to another's codes.
func TestCodesOfSomebodyElse(t *testing.T) { // S87
	t.Parallel()
	r := newMailRig(t, keepCodes)
	ctx := t.Context()
	alice, bob := r.member("alice"), r.member("bob")
	a, b := signedInAgain(r, alice), stranger(1)
	r.signIn(bob, b)
	theirs := r.find("alice", func(c auth.Credential) bool { return c.Method == auth.MethodRecovery })
	r.must(b, auth.StepRecovery)(r.Change(ctx, b.v, auth.Change{Op: auth.ChangeViewCodes, Credential: theirs.ID}, ""))
	if got := r.progress(b); !slices.Equal(got.RecoveryList, bob.codes) {
		t.Errorf("bob sees %q", got.RecoveryList)
	}
	r.must(a, auth.StepRecovery)(r.Change(ctx, a.v, viewCodes, ""))
	for name, v := range map[string]func(*auth.Visit){
		"with bob's session":  func(v *auth.Visit) { v.Session = b.v.Session },
		"without a session":   func(v *auth.Visit) { v.Session = "" },
		"under another host":  func(v *auth.Visit) { v.Host = "wiki.example.com" },
		"with another's flow": func(v *auth.Visit) { v.Flow = b.v.Flow },
	} {
		visit := a.v
		v(&visit)
		if got, err := r.Progress(ctx, visit); !errors.Is(err, auth.ErrNoFlow) || got.RecoveryList != nil {
			t.Errorf("%s: %d codes, %v", name, len(got.RecoveryList), err)
		}
		if _, err := r.ConfirmRecoveryCodes(ctx, visit); !errors.Is(err, auth.ErrNoFlow) {
			t.Errorf("%s: confirmed: %v", name, err)
		}
	}
	if err := r.SetDisabled(ctx, "alice", true); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Progress(ctx, a.v); !errors.Is(err, auth.ErrNoFlow) {
		t.Errorf("of somebody who is disabled: %v", err)
	}
}

// TestViewEndsWithItsSet: the page is about the codes that its owner was told of, and about no other.
func TestViewEndsWithItsSet(t *testing.T) { // S34
	t.Parallel()
	for name, do := range map[string]func(*rig, *person){
		"switched off meanwhile": func(r *rig, _ *person) { r.Realm = r.realm(nil) },
		"a new set": func(r *rig, p *person) {
			b := stranger(1)
			r.signIn(p, b)
			r.must(b, auth.StepRecovery)(r.Change(t.Context(), b.v, auth.Change{Op: auth.ChangeCodes}, ""))
			r.must(b, auth.StepRecovery)(r.MakeRecoveryCodes(t.Context(), b.v))
			r.must(b, auth.StepDone)(r.ConfirmRecoveryCodes(t.Context(), b.v))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newMailRig(t, keepCodes)
			p := r.member("alice")
			b := signedInAgain(r, p)
			r.must(b, auth.StepRecovery)(r.Change(t.Context(), b.v, viewCodes, ""))
			do(r, p)
			if got, err := r.Progress(t.Context(), b.v); !errors.Is(err, auth.ErrNoFlow) || got.RecoveryList != nil {
				t.Errorf("%d codes, %v", len(got.RecoveryList), err)
			}
			if !r.signedIn(b) {
				t.Error("the session ended")
			}
		})
	}
}

// TestNotMeSuspendsCodesThatWereSeen: the set is older than the event, but whoever was in the account knows it.
func TestNotMeSuspendsCodesThatWereSeen(t *testing.T) { // S80
	t.Parallel()
	r := newMailRig(t, keepCodes)
	ctx := t.Context()
	p := r.member("alice")
	b := signedInAgain(r, p)
	r.clear()
	r.must(b, auth.StepRecovery)(r.Change(ctx, b.v, viewCodes, ""))
	if err := r.NotMe(ctx, stranger(1).v, notMe(t, r.letter(aliceMail, "Recovery codes shown"))); err != nil {
		t.Fatal(err)
	}
	if set := r.find("alice", func(c auth.Credential) bool { return c.Method == auth.MethodRecovery }); !set.Disabled {
		t.Error("the codes work")
	}
	if len(r.apps("alice")) != 1 || r.find("alice", func(c auth.Credential) bool { return c.Method == auth.MethodTOTP }).Disabled {
		t.Error("the app went, too")
	}
	back := stranger(2)
	r.must(back, auth.StepVerify)(r.ResetPassword(ctx, back.v, tokenOf(t, r.letter(aliceMail, "password"), "reset"), newPassword))
	if _, err := r.Prove(ctx, back.v, auth.MethodRecovery, []byte(p.codes[0])); !errors.Is(err, auth.ErrStep) {
		t.Errorf("a code that was seen: %v", err)
	}
	r.must(back, auth.StepDone)(r.Prove(ctx, back.v, auth.MethodTOTP, []byte(p.now())))
}

// TestViewingRevivesNoCode: that the set was shown is noted in the record from which a code is burned at that moment.
func TestViewingRevivesNoCode(t *testing.T) { // S33, S91
	t.Parallel()
	r := newMailRig(t, keepCodes)
	ctx := t.Context()
	p := r.member("alice")
	b := signedInAgain(r, p)
	for i, code := range p.codes[:8] {
		other := stranger(byte(i))
		r.must(other, auth.StepVerify)(r.SignIn(ctx, other.v, "alice", password, ""))
		won, errs := race(2, func(n int) error {
			if n == 0 {
				_, err := r.Prove(ctx, other.v, auth.MethodRecovery, []byte(code))
				return err
			}
			out, err := r.Change(ctx, b.v, viewCodes, "")
			if err == nil && out.Step != auth.StepRecovery {
				return fmt.Errorf("step %d", out.Step)
			}
			return err
		})
		if won != 2 {
			t.Fatalf("%v", errs)
		}
		again := stranger(byte(100 + i))
		r.must(again, auth.StepVerify)(r.SignIn(ctx, again.v, "alice", password, ""))
		if _, err := r.Prove(ctx, again.v, auth.MethodRecovery, []byte(code)); !errors.Is(err, auth.ErrRejected) {
			t.Fatalf("code %d a second time: %v", i, err)
		}
		if a, err := r.User(ctx, "alice"); err != nil || a.RecoveryLeft != 9-i {
			t.Fatalf("after %d: %d left, %v", i+1, a.RecoveryLeft, err)
		}
	}
}
