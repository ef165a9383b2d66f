package auth_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// raid is what happens to alice: somebody signs in with what was hers, sets up an app and makes the account theirs.
type raid struct {
	*person
	thief   *browser
	theirs  app
	signin  string // tokens of the notices, in the order in which they came
	added   string
	address string // "" unless it was changed
	later   string // of a notice that went to the intruder
}

func (r *rig) raid(takeAddress bool) *raid {
	r.t.Helper()
	ctx := r.t.Context()
	x := &raid{person: r.member("alice"), thief: stranger(66)}
	r.signIn(x.person, x.thief)
	x.signin = notMe(r.t, r.letter(aliceMail, "New sign-in"))
	x.theirs = r.addApp(x.thief)
	x.added = notMe(r.t, r.letter(aliceMail, "New way"))
	if !takeAddress {
		return x
	}
	r.must(x.thief, auth.StepEnroll)(r.Change(ctx, x.thief.v, auth.Change{Op: auth.ChangeAddress, Address: malloryMail}, ""))
	r.must(x.thief, auth.StepDone)(r.FinishEnroll(ctx, x.thief.v, auth.MethodEmail, "", []byte(codeOf(r.t, r.letter(malloryMail, "Confirm")))))
	x.address = notMe(r.t, r.letter(aliceMail, "address changed"))
	r.clock.Add(time.Minute)
	other := stranger(67)
	r.must(other, auth.StepVerify)(r.SignIn(ctx, other.v, "alice", password, ""))
	r.must(other, auth.StepDone)(r.Prove(ctx, other.v, auth.MethodTOTP, []byte(x.theirs.now())))
	x.later = notMe(r.t, r.letter(malloryMail, "New sign-in"))
	r.clock.Add(time.Minute)
	r.index("raided", map[string]string{malloryMail: "alice"})
	return x
}

// TestIntrudersPasswordIsRefused: by a reset from within the mailbox, for example.
func TestIntrudersPasswordIsRefused(t *testing.T) {
	r := newMailRig(t)
	ctx := t.Context()
	p := r.member("alice")
	b := stranger(1)
	r.must(b, auth.StepVerify)(r.ResetPassword(ctx, b.v, r.asks(b, "alice", aliceMail), "what the intruder chose"))
	if err := r.NotMe(ctx, stranger(2).v, notMe(t, r.letter(aliceMail, "Password changed"))); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Prove(ctx, b.v, auth.MethodTOTP, []byte(p.now())); !errors.Is(err, auth.ErrNoFlow) {
		t.Errorf("the intruder's reset goes on: %v", err)
	}
	if err := r.SetDisabled(ctx, "alice", false); err != nil { // an admin lifts the block, and only that
		t.Fatal(err)
	}
	for _, old := range []string{password, "what the intruder chose"} {
		if _, err := r.SignIn(ctx, stranger(3).v, "alice", old, ""); !errors.Is(err, auth.ErrRejected) || isBlocked(err) {
			t.Errorf("%q: %v", old, err)
		}
	}
}

// TestLinksOfTheIntruder: what the intruder is told at an address of their own undoes nothing that the owner did.
func TestLinksOfTheIntruder(t *testing.T) {
	t.Parallel()
	t.Run("after the owner's", func(t *testing.T) {
		for _, own := range []string{"sign-in", "address"} {
			r := newMailRig(t)
			ctx := t.Context()
			x := r.raid(true)
			token := x.signin
			if own == "address" {
				token = x.address
			}
			if err := r.NotMe(ctx, stranger(1).v, token); err != nil {
				t.Fatal(err)
			}
			before := r.records("user/")
			if err := r.NotMe(ctx, stranger(2).v, x.later); !errors.Is(err, auth.ErrToken) {
				t.Errorf("%s: the intruder's link: %v", own, err)
			}
			if !sameRecords(before, r.records("user/")) {
				t.Errorf("%s: it changed something", own)
			}
			r.index(own, map[string]string{aliceMail: "alice"})
		}
	})
	t.Run("before the owner's", func(t *testing.T) {
		r := newMailRig(t)
		ctx := t.Context()
		x := r.raid(true)
		if err := r.NotMe(ctx, stranger(1).v, x.later); err != nil {
			t.Fatal(err)
		}
		r.index("the intruder's", map[string]string{malloryMail: "alice"})
		r.clear() // of the link that was mailed for the way back
		r.clock.Add(time.Hour)
		// With a mailbox and an app that are older than that event, the intruder comes back.
		b := stranger(2)
		r.must(b, auth.StepVerify)(r.ResetPassword(ctx, b.v, r.asks(b, "alice", malloryMail), "what the intruder chose"))
		r.must(b, auth.StepDone)(r.Prove(ctx, b.v, auth.MethodTOTP, []byte(x.theirs.now())))
		if err := r.NotMe(ctx, stranger(3).v, x.address); err != nil {
			t.Fatalf("the owner's link: %v", err)
		}
		if r.signedIn(b) {
			t.Error("the intruder stays")
		}
		r.index("the owner's", map[string]string{aliceMail: "alice"})
		if err := r.Forgot(ctx, b.v, malloryMail); err != nil {
			t.Fatal(err)
		}
		own := stranger(4)
		r.must(own, auth.StepVerify)(r.ResetPassword(ctx, own.v, tokenOf(t, r.letter(aliceMail, "password"), "reset"), newPassword))
		r.must(own, auth.StepDone)(r.Prove(ctx, own.v, auth.MethodTOTP, []byte(x.now())))
	})
}

// TestOldAddressIsTakenMeanwhile: then the account has none.
func TestOldAddressIsTakenMeanwhile(t *testing.T) {
	r := newMailRig(t)
	ctx := t.Context()
	x := r.raid(true)
	other := r.member("bob")
	b := signedInAgain(r, other)
	r.must(b, auth.StepEnroll)(r.Change(ctx, b.v, auth.Change{Op: auth.ChangeAddress, Address: aliceMail}, ""))
	r.must(b, auth.StepDone)(r.FinishEnroll(ctx, b.v, auth.MethodEmail, "", []byte(codeOf(t, r.letter(aliceMail, "Confirm")))))
	r.clear()
	if err := r.NotMe(ctx, stranger(1).v, x.address); err != nil {
		t.Fatal(err)
	}
	r.index("taken", map[string]string{aliceMail: "bob"})
	if u := r.user("alice"); u.Email != "" || slices.Contains(u.Enrolled, auth.MethodEmail) {
		t.Errorf("user %+v", u)
	}
	if err := r.Forgot(ctx, stranger(2).v, "alice"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.SignIn(ctx, stranger(3).v, "alice", password, ""); !isBlocked(err) {
		t.Errorf("signing in: %v", err)
	}
	r.state.AwaitResets()
	r.noMail("an account without an address")
}
