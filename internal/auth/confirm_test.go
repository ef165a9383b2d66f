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
	ctx, b := t.Context(), r.halfIn(aliceMail)
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
	b := r.halfIn(address)
	a, _ := r.enroll(b)
	r.clock.Add(time.Minute)
	r.clear()
	return b, a
}

// beginsAddress begins a change of the address, up to the code, which it returns.
func (r *rig) beginsAddress(b *browser, a app, op auth.ChangeOp, typed, to string) string {
	r.t.Helper()
	ctx := r.t.Context()
	out, err := r.Change(ctx, b.v, auth.Change{Op: op, Address: typed}, "")
	if err == nil && out.Step == auth.StepVerify {
		b.take(out)
		out, err = r.Prove(ctx, b.v, auth.MethodTOTP, []byte(a.now()))
	}
	r.must(b, auth.StepEnroll)(out, err)
	r.clock.Add(time.Minute)
	return codeOf(r.t, r.letter(to, "Confirm"))
}

// since are the events of the address after the first n of the trail.
func (r *rig) since(n int) []string {
	return slices.DeleteFunc(r.events()[n:], func(e string) bool { return e != auth.EventAddressConfirmed && e != auth.EventAddressChanged })
}

// TestConfirmWhatIsNoMoreTheAddress: whether a code confirms the address or changes it is decided when it is typed, by what the address is then.
func TestConfirmWhatIsNoMoreTheAddress(t *testing.T) { // S80
	for _, row := range []struct {
		name  string
		other string // what another browser makes the address meanwhile
		want  auth.ChangeOp
		event string
	}{
		{"another one", malloryMail, auth.ChangeAddress, auth.EventAddressChanged},
		{"confirmed meanwhile", aliceMail, auth.ChangeConfirm, auth.EventAddressConfirmed},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newMailRig(t)
			ctx := t.Context()
			b, a := r.unconfirmed(aliceMail)
			c := newBrowser()
			r.must(c, auth.StepVerify)(r.SignIn(ctx, c.v, "alice", password, ""))
			r.must(c, auth.StepDone)(r.Prove(ctx, c.v, auth.MethodTOTP, []byte(a.now())))
			r.clock.Add(time.Minute)
			code := r.beginsAddress(b, a, auth.ChangeAddress, aliceMail, aliceMail)
			if p := r.progress(b); !p.Change.Same {
				t.Error("it does not begin as a confirmation")
			}
			r.clear()
			later := r.beginsAddress(c, a, auth.ChangeAddress, row.other, row.other)
			r.must(c, auth.StepDone)(r.FinishEnroll(ctx, c.v, auth.MethodEmail, "", []byte(later)))
			if p, same := r.progress(b), row.want == auth.ChangeConfirm; p.Change.Same != same {
				t.Errorf("the page that waits says %t of the same address", p.Change.Same)
			}
			r.clear()
			n := len(r.events())
			out := r.must(b, auth.StepDone)(r.FinishEnroll(ctx, b.v, auth.MethodEmail, "", []byte(code)))
			changes := row.want == auth.ChangeAddress
			if u := r.user("alice"); out.Changed != row.want || u.Email != aliceMail || !u.EmailConfirmed || u.EmailOwn != changes {
				t.Errorf("changed %q, address %q, confirmed %t, own %t", out.Changed, u.Email, u.EmailConfirmed, u.EmailOwn)
			}
			if got := r.since(n); !slices.Equal(got, []string{row.event}) {
				t.Errorf("the trail: %v", got)
			}
			if !changes {
				r.noMail("of a confirmation")
				return
			}
			r.letter(malloryMail, "address changed")
		})
	}
}

// TestConfirmInAnotherSpelling: what FoldEmail takes for one address is one. It stays the admin's in their spelling, to which the code goes.
func TestConfirmInAnotherSpelling(t *testing.T) {
	const set = "Alice@Example.com"
	r := newMailRig(t)
	ctx := t.Context()
	b, a := r.unconfirmed(set)
	code := r.beginsAddress(b, a, auth.ChangeAddress, aliceMail, set)
	n := len(r.events())
	out := r.must(b, auth.StepDone)(r.FinishEnroll(ctx, b.v, auth.MethodEmail, "", []byte(code)))
	if u := r.user("alice"); out.Changed != auth.ChangeConfirm || u.Email != set || !u.EmailConfirmed || u.EmailOwn {
		t.Errorf("changed %q, address %q, confirmed %t, own %t", out.Changed, u.Email, u.EmailConfirmed, u.EmailOwn)
	}
	if got := r.since(n); !slices.Equal(got, []string{auth.EventAddressConfirmed}) {
		t.Errorf("the trail: %v", got)
	}
	r.noMail("of a confirmation")
	for _, typed := range []string{set, aliceMail, "ALICE@EXAMPLE.COM"} {
		invalid := (*auth.Invalid)(nil)
		if _, err := r.Change(ctx, b.v, auth.Change{Op: auth.ChangeAddress, Address: typed}, ""); !errors.As(err, &invalid) || invalid.ID != "invalid.email.same" {
			t.Errorf("a change to %s: %v", typed, err)
		}
	}
}

// TestConfirmOfAStalePage: what is confirmed already is done, and what is the address no more does nothing; no flow begins and no mail goes.
func TestConfirmOfAStalePage(t *testing.T) {
	r := newMailRig(t)
	ctx := t.Context()
	b, a := r.unconfirmed(aliceMail)
	r.presses(b, malloryMail, "")
	code := r.beginsAddress(b, a, auth.ChangeConfirm, "ALICE@example.com", aliceMail)
	r.must(b, auth.StepDone)(r.FinishEnroll(ctx, b.v, auth.MethodEmail, "", []byte(code)))
	r.presses(b, aliceMail, auth.ChangeConfirm)
	r.presses(b, "ALICE@example.com", auth.ChangeConfirm)
	r.presses(b, malloryMail, "")
	r.presses(b, "", "")
	if _, err := r.Change(ctx, newBrowser().v, auth.Change{Op: auth.ChangeConfirm, Address: aliceMail}, ""); !errors.Is(err, auth.ErrNoSession) {
		t.Errorf("of somebody who is not signed in: %v", err)
	}
}

// presses confirms an address that needs none, or is not the person's.
func (r *rig) presses(b *browser, address string, want auth.ChangeOp) {
	r.t.Helper()
	events := len(r.events())
	out, err := r.Change(r.t.Context(), b.v, auth.Change{Op: auth.ChangeConfirm, Address: address}, "/to")
	if err != nil || out.Step != auth.StepDone || out.Changed != want || out.To != "/to" || len(out.Cookies) > 0 {
		r.t.Errorf("confirming %q: %+v, %v", address, out, err)
	}
	if flows := r.records("flow/"); len(flows) > 0 || len(r.events()) != events {
		r.t.Errorf("confirming %q began something", address)
	}
	r.noMail("of " + address)
}

// TestConfirmedEventsAreAlike: by a sign-in or by a change, a confirmed address stands in the trail with the same fields.
func TestConfirmedEventsAreAlike(t *testing.T) {
	r := newMailRig(t)
	r.reader("bob") // by a sign-in
	b, a := r.unconfirmed(aliceMail)
	code := r.beginsAddress(b, a, auth.ChangeAddress, aliceMail, aliceMail)
	r.must(b, auth.StepDone)(r.FinishEnroll(t.Context(), b.v, auth.MethodEmail, "", []byte(code)))
	for _, name := range []string{"alice", "bob"} {
		u := r.user(name)
		events, err := r.Activity(t.Context(), u.ID)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(events, func(e auth.Event) bool { return e.Name == auth.EventAddressConfirmed })
		if i < 0 {
			t.Fatalf("%s: none", name)
		}
		e := events[i]
		if e.User != name || e.Method != "" || len(e.Methods) > 0 || e.Label != "" || e.Session != "" || e.Addr != b.v.Addr.String() {
			t.Errorf("%s: %+v", name, e)
		}
	}
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
	r.mark()
	refused(r.Realm, "invalid.off.barred")
	refused(r.realm(func(c *auth.Config) { // where mail is no method another password does not help
		c.Methods = slices.DeleteFunc(slices.Clone(c.Methods), func(m auth.Method) bool { return m.Name() == auth.MethodEmail })
	}), "invalid.off.unmailed")
}
