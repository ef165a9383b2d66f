package auth_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/storage"
)

const newPassword = "quite another sentence"

func TestResetForNobody(t *testing.T) { // S88
	r := newMailRig(t)
	ctx := t.Context()
	r.reader("alice")
	if err := r.SetDisabled(ctx, "alice", true); err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.AddUser(ctx, auth.NewUser{Name: "bob", Email: bobMail, Password: password}); err != nil {
		t.Fatal(err)
	}
	r.clear()
	before := r.records("")
	for _, typed := range []string{
		"alice", aliceMail, "bob", bobMail, "nobody", "nobody@example.com", "", " ", "@", "a\r\nb", string(make([]byte, 300)), "bob@example.com, alice@example.com",
	} {
		if err := r.Forgot(ctx, stranger(1).v, typed); err != nil {
			t.Errorf("%q: %v", typed, err)
		}
	}
	r.state.AwaitResets()
	for k := range r.records("") {
		if _, ok := before[k]; !ok {
			t.Errorf("stored %s", k)
		}
	}
	r.noMail("to nobody")
}

func TestResetIsThrottledByAddress(t *testing.T) { // S15, S88
	for _, name := range []string{"alice", "nobody"} {
		t.Run(name, func(t *testing.T) {
			r := newMailRig(t)
			r.reader("alice")
			b, taken := stranger(1), 0
			for range 40 {
				err := r.Forgot(t.Context(), b.v, name)
				switch {
				case err == nil:
					taken++
				case errors.Is(err, auth.ErrBusy):
					taken++ // as many at once as there may be; it was counted
				case !throttled(err):
					t.Fatal(err)
				}
			}
			if taken != 30 {
				t.Errorf("%d were taken", taken)
			}
		})
	}
}

func TestResetsAreCapped(t *testing.T) { // S15
	r := newMailRig(t)
	r.reader("alice")
	r.clock.Add(time.Hour)
	race(100, func(i int) error { return r.Forgot(t.Context(), stranger(byte(i)).v, "alice") })
	for i := range 20 {
		if err := r.Forgot(t.Context(), stranger(byte(100+i)).v, aliceMail); err != nil && !errors.Is(err, auth.ErrBusy) {
			t.Fatal(err)
		}
	}
	r.state.AwaitResets()
	for range 3 {
		r.letter(aliceMail, "password")
	}
	r.noMail("over the limit")
}

func TestResetDemandsTheSecondMethod(t *testing.T) { // S85, S56
	t.Parallel()
	for _, second := range []string{auth.MethodTOTP, auth.MethodRecovery, auth.MethodWebAuthn} {
		t.Run(second, func(t *testing.T) {
			r := newMailRig(t)
			ctx := t.Context()
			p, d := r.member("alice"), stick()
			keyed := r.keyBrowser()
			r.must(keyed, auth.StepVerify)(r.SignIn(ctx, keyed.v, "alice", password, ""))
			r.must(keyed, auth.StepDone)(r.Prove(ctx, keyed.v, auth.MethodTOTP, []byte(p.now())))
			r.clock.Add(time.Minute)
			r.addKey(keyed, d)
			invited, err := r.Invite(ctx, "alice")
			if err != nil {
				t.Fatal(err)
			}
			mailedInvite := tokenOf(t, r.letter(aliceMail, "invitation"), "invite")
			r.clock.Add(20 * time.Minute)
			half := stranger(9)
			r.must(half, auth.StepVerify)(r.SignIn(ctx, half.v, "alice", password, ""))
			r.clear()

			b := r.keyBrowser()
			token := r.asks(b, " Alice ", aliceMail)
			if !r.signedIn(keyed) {
				t.Fatal("asking ended a session")
			}
			var invalid *auth.Invalid
			if _, err := r.ResetPassword(ctx, b.v, token, "short"); !errors.As(err, &invalid) || invalid.Field != "password" {
				t.Errorf("a short password: %v", err)
			}
			r.must(b, auth.StepVerify)(r.ResetPassword(ctx, b.v, token, newPassword))
			r.letter(aliceMail, "Password changed")
			for name, who := range map[string]*browser{"home": p.home, "keyed": keyed, "resetting": b} {
				if r.signedIn(who) {
					t.Errorf("%s is signed in", name)
				}
			}
			if _, err := r.Prove(ctx, half.v, auth.MethodTOTP, []byte(p.now())); !errors.Is(err, auth.ErrNoFlow) {
				t.Errorf("a sign-in that was begun with the old password: %v", err)
			}
			for name, dead := range map[string]string{"printed": invited.Token, "mailed": mailedInvite} {
				if _, err := r.OpenInvitation(ctx, stranger(8).v, dead, ""); !errors.Is(err, auth.ErrToken) {
					t.Errorf("the %s invitation: %v", name, err)
				}
			}
			if len(r.keys("browser/")) > 0 {
				t.Error("browsers are still known")
			}
			if _, err := r.SignIn(ctx, stranger(7).v, "alice", password, ""); !errors.Is(err, auth.ErrRejected) {
				t.Errorf("the old password: %v", err)
			}
			got := r.progress(b)
			if got.Purpose != auth.PurposeReset || got.Mail != nil || got.Method == auth.MethodEmail || slices.Contains(got.Others, auth.MethodEmail) || len(got.Enrollable) > 0 {
				t.Errorf("progress %+v", got)
			}
			if _, err := r.SendCode(ctx, b.v); !errors.Is(err, auth.ErrStep) {
				t.Errorf("a code by mail: %v", err)
			}
			if _, err := r.Prove(ctx, b.v, auth.MethodEmail, []byte("000000")); !errors.Is(err, auth.ErrStep) {
				t.Errorf("an answer to a code by mail: %v", err)
			}
			if _, err := r.BeginEnroll(ctx, b.v, auth.MethodTOTP); !errors.Is(err, auth.ErrStep) {
				t.Errorf("another app: %v", err)
			}

			// Until something else has signed in, no sign-in takes mail.
			other := stranger(6)
			r.must(other, auth.StepVerify)(r.SignIn(ctx, other.v, "alice", newPassword, ""))
			if _, err := r.SendCode(ctx, other.v); !errors.Is(err, auth.ErrStep) {
				t.Errorf("a code at the next sign-in: %v", err)
			}
			switch second {
			case auth.MethodTOTP:
				r.must(b, auth.StepDone)(r.Prove(ctx, b.v, second, []byte(p.now())))
			case auth.MethodRecovery:
				r.must(b, auth.StepDone)(r.Prove(ctx, b.v, second, []byte(p.codes[0])))
			default:
				a, err := r.Ask(ctx, b.v, second)
				if err != nil {
					t.Fatal(err)
				}
				answer, err := d.Get(a.Public)
				if err != nil {
					t.Fatal(err)
				}
				r.must(b, auth.StepDone)(r.ProveAsked(ctx, b.v, second, answer, a.Sealed))
			}
			if !r.signedIn(b) || r.user("alice").MailedPassword {
				t.Error("not signed in, or mail is still barred")
			}
			r.letter(aliceMail, "New sign-in")
			r.clock.Add(time.Hour)
			other = stranger(5)
			r.must(other, auth.StepVerify)(r.SignIn(ctx, other.v, "alice", newPassword, ""))
			r.must(other, auth.StepVerify)(r.SendCode(ctx, other.v))
			r.must(other, auth.StepDone)(r.Prove(ctx, other.v, auth.MethodEmail, []byte(r.sentCode(aliceMail))))
		})
	}
}

func TestMailboxAloneDoesNotSignIn(t *testing.T) { // S85
	for name, allowed := range map[string]bool{"as it is": false, "where that is enough": true} {
		t.Run(name, func(t *testing.T) {
			r := newMailRig(t, withoutCodes)
			if allowed {
				r.change = resetMailOnly
				r.reopen(secret)
			}
			ctx := t.Context()
			r.reader("alice")
			b := stranger(1)
			token := r.asks(b, aliceMail, aliceMail)
			if allowed {
				r.must(b, auth.StepVerify)(r.ResetPassword(ctx, b.v, token, newPassword))
				r.must(b, auth.StepDone)(r.Prove(ctx, b.v, auth.MethodEmail, []byte(r.sentCode(aliceMail))))
				// Where it stops being enough, the password is still one that came by mail.
				r.change = withoutCodes
				r.reopen(secret)
				r.clock.Add(time.Hour)
				other := stranger(2)
				r.must(other, auth.StepAskAdmin)(r.SignIn(ctx, other.v, "alice", newPassword, ""))
				return
			}
			r.must(b, auth.StepAskAdmin)(r.ResetPassword(ctx, b.v, token, newPassword))
			if !r.progress(b).MailOnly {
				t.Error("does not say why")
			}
			other := stranger(2)
			r.must(other, auth.StepAskAdmin)(r.SignIn(ctx, other.v, "alice", newPassword, ""))
			r.letter(aliceMail, "Password changed")
			r.noMail("barred")
			// Resetting again does not help, nor does what an admin opens without knowing.
			r.must(b, auth.StepAskAdmin)(r.ResetPassword(ctx, b.v, r.asks(b, "alice", aliceMail), "a third sentence of mine"))
			in, err := r.Invite(ctx, "alice")
			if err != nil {
				t.Fatal(err)
			}
			r.must(other, auth.StepAskAdmin)(r.SignIn(ctx, other.v, "alice", "a third sentence of mine", ""))
			if _, err := r.BeginEnroll(ctx, b.v, auth.MethodTOTP); err == nil {
				t.Error("the reset sets up an app in the window of an invitation")
			}
			r.clear()
			owner := newBrowser()
			r.must(owner, auth.StepPassword)(r.OpenInvitation(ctx, owner.v, in.Token, ""))
			r.must(owner, auth.StepVerify)(r.AcceptInvitation(ctx, owner.v, "", password))
			r.must(owner, auth.StepDone)(r.Prove(ctx, owner.v, auth.MethodEmail, []byte(r.sentCode(aliceMail))))
		})
	}
}

// TestMailboxSetsUpNothing: a password that came by mail is no authority to set up a method, whenever the window was opened.
func TestMailboxSetsUpNothing(t *testing.T) { // S85
	t.Parallel()
	t.Run("reset, then reset-mfa", func(t *testing.T) {
		r := newMailRig(t)
		ctx := t.Context()
		r.member("alice")
		b := stranger(1)
		r.must(b, auth.StepVerify)(r.ResetPassword(ctx, b.v, r.asks(b, "alice", aliceMail), newPassword))
		if err := r.ResetMFA(ctx, "alice"); err != nil {
			t.Fatal(err)
		}
		r.index("reset-mfa", nil)
		r.clear()
		if _, err := r.BeginEnroll(ctx, b.v, auth.MethodTOTP); err == nil {
			t.Error("the reset goes on")
		}
		r.must(b, auth.StepAskAdmin)(r.SignIn(ctx, b.v, "alice", newPassword, ""))
		for _, m := range []string{auth.MethodTOTP, auth.MethodWebAuthn} {
			if _, err := r.BeginEnroll(ctx, b.v, m); !errors.Is(err, auth.ErrStep) {
				t.Errorf("%s: %v", m, err)
			}
		}
		if _, err := r.SendCode(ctx, b.v); !errors.Is(err, auth.ErrStep) {
			t.Errorf("a code: %v", err)
		}
		r.noMail("to the mailbox")
		// Whoever gets the admin's link may.
		in, err := r.Invite(ctx, "alice")
		if err != nil {
			t.Fatal(err)
		}
		owner := newBrowser()
		r.must(owner, auth.StepPassword)(r.OpenInvitation(ctx, owner.v, in.Token, ""))
		r.must(owner, auth.StepVerify)(r.AcceptInvitation(ctx, owner.v, "", password))
		r.enroll(owner)
	})
	t.Run("window, then reset", func(t *testing.T) {
		// An address that was confirmed while mail was no method is no second one; the window is open.
		r := newMailRig(t)
		ctx := t.Context()
		r.reader("alice")
		if err := r.ResetMFA(ctx, "alice"); err != nil {
			t.Fatal(err)
		}
		b := stranger(1)
		r.must(b, auth.StepVerify)(r.SignIn(ctx, b.v, "alice", password, ""))
		r.must(b, auth.StepRecovery)(r.Prove(ctx, b.v, auth.MethodEmail, []byte(r.sentCode(aliceMail))))
		if u := r.user("alice"); !u.EnrollUntil.IsZero() {
			t.Error("the window stays open beside a confirmed address")
		}
		if _, err := r.Invite(ctx, "alice"); err != nil { // opens it
			t.Fatal(err)
		}
		r.clock.Add(time.Hour)
		b = stranger(2)
		r.must(b, auth.StepAskAdmin)(r.ResetPassword(ctx, b.v, r.asks(b, "alice", aliceMail), newPassword))
		if u := r.user("alice"); !u.EnrollUntil.IsZero() {
			t.Error("a reset leaves the window open")
		}
		if _, err := r.BeginEnroll(ctx, b.v, auth.MethodTOTP); !errors.Is(err, auth.ErrStep) {
			t.Errorf("an app: %v", err)
		}
	})
}

// TestPasskeyDoesNotVouchForAMailedPassword: its owner signs in without knowing that somebody reset the password. That must not make
// the mailbox enough for whoever did.
func TestPasskeyDoesNotVouchForAMailedPassword(t *testing.T) { // S85
	r := newMailRig(t)
	ctx := t.Context()
	p, d := r.member("alice"), phone()
	home := r.keyBrowser()
	r.must(home, auth.StepVerify)(r.SignIn(ctx, home.v, "alice", password, ""))
	r.must(home, auth.StepDone)(r.Prove(ctx, home.v, auth.MethodTOTP, []byte(p.now())))
	r.clock.Add(time.Minute)
	r.addKey(home, d)
	r.clock.Add(time.Hour)

	b := stranger(1)
	r.must(b, auth.StepVerify)(r.ResetPassword(ctx, b.v, r.asks(b, "alice", aliceMail), newPassword))
	home = r.keyBrowser()
	r.must(home, auth.StepDone)(r.passkey(home, d))
	r.must(b, auth.StepVerify)(r.SignIn(ctx, b.v, "alice", newPassword, ""))
	if _, err := r.SendCode(ctx, b.v); !errors.Is(err, auth.ErrStep) {
		t.Errorf("password and code, both by mail: %v", err)
	}
}

func TestResetTokens(t *testing.T) {
	t.Parallel()
	setUp := func(t *testing.T) (*rig, *browser, string) {
		r := newMailRig(t)
		r.member("alice")
		b := stranger(1)
		return r, b, r.asks(b, "alice", aliceMail)
	}
	for name, wait := range map[string]time.Duration{"at the end": time.Hour - time.Nanosecond, "too late": time.Hour} {
		t.Run(name, func(t *testing.T) {
			r, b, token := setUp(t)
			r.clock.Add(wait)
			_, err := r.ResetPassword(t.Context(), b.v, token, newPassword)
			if ok := wait < time.Hour; ok != (err == nil) || !ok && !errors.Is(err, auth.ErrToken) {
				t.Error(err)
			}
		})
	}
	t.Run("newer kills older", func(t *testing.T) {
		r, b, token := setUp(t)
		newer := r.asks(b, aliceMail, aliceMail)
		if _, err := r.ResetPassword(t.Context(), b.v, token, newPassword); !errors.Is(err, auth.ErrToken) {
			t.Error(err)
		}
		r.must(b, auth.StepVerify)(r.ResetPassword(t.Context(), b.v, newer, newPassword))
	})
	t.Run("once, in parallel", func(t *testing.T) {
		r, _, token := setUp(t)
		won, errs := race(50, func(i int) error {
			_, err := r.ResetPassword(t.Context(), stranger(byte(i)).v, token, newPassword)
			return err
		})
		for _, err := range errs {
			if err != nil && !errors.Is(err, auth.ErrToken) && !errors.Is(err, auth.ErrBusy) && !errors.Is(err, storage.ErrConflict) {
				t.Errorf("unexpected: %v", err)
			}
		}
		if won != 1 {
			t.Errorf("%d of 50 succeeded", won)
		}
	})
	for name, change := range map[string]func(context.Context, *rig) error{
		"sessions revoked": func(ctx context.Context, r *rig) error { _, err := r.RevokeSessions(ctx, "alice", ""); return err },
		"disabled": func(ctx context.Context, r *rig) error {
			return errors.Join(r.SetDisabled(ctx, "alice", true), r.SetDisabled(ctx, "alice", false))
		},
		"reset-mfa": func(ctx context.Context, r *rig) error { return r.ResetMFA(ctx, "alice") },
		"deleted":   func(ctx context.Context, r *rig) error { return r.DeleteUser(ctx, "alice") },
	} {
		t.Run(name, func(t *testing.T) {
			r, b, token := setUp(t)
			if err := change(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			if _, err := r.ResetPassword(t.Context(), b.v, token, newPassword); !errors.Is(err, auth.ErrToken) {
				t.Error(err)
			}
		})
	}
}
