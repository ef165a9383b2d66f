package auth_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// TestConfirmTheAddressOfAnAdmin: somebody with an app confirms the address that an admin set, by the rules of a change. It stays the admin's:
// a reset does not take it away.
func TestConfirmTheAddressOfAnAdmin(t *testing.T) { // S58
	r := newMailRig(t)
	ctx := t.Context()
	if _, _, err := r.AddUser(ctx, auth.NewUser{Name: "alice", Email: aliceMail, Password: password}); err != nil {
		t.Fatal(err)
	}
	b := newBrowser()
	r.must(b, auth.StepVerify)(r.SignIn(ctx, b.v, "alice", password, ""))
	r.must(b, auth.StepEnroll)(r.BeginEnroll(ctx, b.v, auth.MethodTOTP))
	app := appOf(r, r.progress(b))
	wrong := []byte("000000")
	if _, err := r.FinishEnroll(ctx, b.v, auth.MethodTOTP, "", wrong); !errors.Is(err, auth.ErrRejected) {
		t.Fatalf("a wrong code: %v", err)
	}
	if events := r.events(); !slices.Contains(events, auth.EventSetupFailed) || slices.Contains(events, auth.EventWrongAnswer) {
		t.Errorf("a code that was mistyped during set-up: %v", events)
	}
	r.must(b, auth.StepRecovery)(r.FinishEnroll(ctx, b.v, auth.MethodTOTP, "", []byte(app.now())))
	r.clock.Add(time.Minute)
	r.must(b, auth.StepDone)(r.ConfirmRecoveryCodes(ctx, b.v))
	r.clear()
	invalid := (*auth.Invalid)(nil)
	if _, err := r.Change(ctx, b.v, auth.Change{Op: auth.ChangeOff}, ""); !errors.As(err, &invalid) || invalid.ID != "invalid.off.unconfirmed" {
		t.Errorf("turning it off: %v", err)
	}

	// What was just set up proves nothing: the app is asked for first.
	r.must(b, auth.StepVerify)(r.Change(ctx, b.v, auth.Change{Op: auth.ChangeAddress, Address: aliceMail, Same: false}, ""))
	r.noMail("before two kinds are proven")
	r.must(b, auth.StepEnroll)(r.Prove(ctx, b.v, auth.MethodTOTP, []byte(app.now())))
	out := r.must(b, auth.StepDone)(r.FinishEnroll(ctx, b.v, auth.MethodEmail, "", []byte(codeOf(t, r.letter(aliceMail, "Confirm")))))
	if out.Changed != auth.ChangeConfirm {
		t.Errorf("changed %q", out.Changed)
	}
	if u := r.user("alice"); u.Email != aliceMail || !u.EmailConfirmed || u.EmailOwn {
		t.Errorf("%q, confirmed %t, own %t", u.Email, u.EmailConfirmed, u.EmailOwn)
	}
	if events := r.events(); !slices.Contains(events, auth.EventAddressConfirmed) || slices.Contains(events, auth.EventAddressChanged) {
		t.Errorf("the trail: %v", events)
	}

	// A change to another one that only says that it is the same is no less of a change.
	r.clock.Add(time.Minute)
	r.must(b, auth.StepEnroll)(r.Change(ctx, b.v, auth.Change{Op: auth.ChangeAddress, Address: malloryMail, Same: true}, ""))
	out = r.must(b, auth.StepDone)(r.FinishEnroll(ctx, b.v, auth.MethodEmail, "", []byte(codeOf(t, r.letter(malloryMail, "Confirm")))))
	if u := r.user("alice"); out.Changed != auth.ChangeAddress || !u.EmailOwn {
		t.Errorf("changed %q, own %t", out.Changed, u.EmailOwn)
	}
	r.letter(aliceMail, "address changed")
}

// unconfirmed makes alice, with the address that an admin set, and signs her in by an app that was just set up.
func (r *rig) unconfirmed(address string) (*browser, app) {
	r.t.Helper()
	ctx := r.t.Context()
	if _, _, err := r.AddUser(ctx, auth.NewUser{Name: "alice", Email: address, Password: password}); err != nil {
		r.t.Fatal(err)
	}
	b := newBrowser()
	r.must(b, auth.StepVerify)(r.SignIn(ctx, b.v, "alice", password, ""))
	a, _ := r.enroll(b)
	r.clock.Add(time.Minute)
	r.clear()
	return b, a
}

// TestTurnOffNamesWhatHelps: nobody is sent to confirm an address who could not turn it off then.
func TestTurnOffNamesWhatHelps(t *testing.T) {
	r := newMailRig(t)
	ctx := t.Context()
	b, _ := r.unconfirmed(aliceMail)
	refused := func(realm *auth.Realm, want string) {
		t.Helper()
		invalid := (*auth.Invalid)(nil)
		if _, err := realm.Change(ctx, b.v, auth.Change{Op: auth.ChangeOff}, ""); !errors.As(err, &invalid) || invalid.ID != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	refused(r.Realm, "invalid.off.unconfirmed")
	r.mark("alice")
	refused(r.Realm, "invalid.off.barred")
	refused(r.realm(func(c *auth.Config) { // where mail is no method another password does not help
		c.Methods = slices.DeleteFunc(slices.Clone(c.Methods), func(m auth.Method) bool { return m.Name() == auth.MethodEmail })
	}), "invalid.off.unmailed")
}
