package auth_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/storage"
)

func TestNotMeEndsEverything(t *testing.T) {
	r := newMailRig(t)
	ctx := t.Context()
	x := r.raid(true)
	in, err := r.Invite(ctx, "alice")
	if err != nil {
		t.Fatal(err)
	}
	reset := r.asks(stranger(3), "alice", malloryMail)
	half := stranger(4)
	r.must(half, auth.StepVerify)(r.SignIn(ctx, half.v, "alice", password, ""))
	r.clear()
	if err := r.NotMe(ctx, stranger(5).v, x.signin); err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string]*browser{"home": x.home, "the intruder": x.thief} {
		if r.signedIn(b) {
			t.Errorf("%s is signed in", name)
		}
	}
	if _, err := r.Prove(ctx, half.v, auth.MethodTOTP, []byte(x.theirs.now())); !errors.Is(err, auth.ErrNoFlow) {
		t.Errorf("a sign-in that was begun: %v", err)
	}
	if _, err := r.OpenInvitation(ctx, half.v, in.Token, ""); !errors.Is(err, auth.ErrToken) {
		t.Errorf("an invitation: %v", err)
	}
	if _, err := r.ResetPassword(ctx, half.v, reset, newPassword); !errors.Is(err, auth.ErrToken) {
		t.Errorf("a reset: %v", err)
	}
	if left := slices.Concat(r.keys("browser/"), r.keys("user-session/")); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	r.index("restored", map[string]string{aliceMail: "alice"})
	a, err := r.User(ctx, "alice")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range a.Credentials {
		own := c.Created.Before(a.User.Blocked)
		if c.Disabled == own {
			t.Errorf("%s of %v: disabled %v; the event was at %v", c.Method, c.Created, c.Disabled, a.User.Blocked)
		}
	}
	if n := len(r.apps("alice")); n != 2 {
		t.Errorf("%d apps", n)
	}
	if !slices.Contains(r.events(), auth.EventNotMe) {
		t.Error("not audited")
	}
	if _, err := r.SignIn(ctx, stranger(6).v, "alice", password, ""); !isBlocked(err) {
		t.Errorf("signing in: %v", err)
	}
	if err := r.NotMe(ctx, stranger(5).v, x.signin); !errors.Is(err, auth.ErrToken) {
		t.Errorf("used twice: %v", err)
	}

	// The way back: the mailbox, which has got a link for it, and what is older than the event. The intruder's app is no such thing.
	b := stranger(8)
	r.must(b, auth.StepVerify)(r.ResetPassword(ctx, b.v, tokenOf(t, r.letter(aliceMail, "password"), "reset"), newPassword))
	if _, err := r.SignIn(ctx, stranger(6).v, "alice", newPassword, ""); !isBlocked(err) {
		t.Errorf("signing in with a new password alone: %v", err)
	}
	if _, err := r.Prove(ctx, b.v, auth.MethodTOTP, []byte(x.theirs.now())); !errors.Is(err, auth.ErrRejected) {
		t.Errorf("the intruder's app: %v", err)
	}
	if _, err := r.SendCode(ctx, b.v); !errors.Is(err, auth.ErrStep) {
		t.Errorf("a code by mail: %v", err)
	}
	if r.user("alice").Blocked.IsZero() {
		t.Error("unblocked before anything was proven")
	}
	r.must(b, auth.StepDone)(r.Prove(ctx, b.v, auth.MethodTOTP, []byte(x.now())))
	if !r.signedIn(b) || !r.user("alice").Blocked.IsZero() {
		t.Error("still blocked")
	}
	r.clock.Add(time.Minute)
	b = stranger(9)
	r.must(b, auth.StepVerify)(r.SignIn(ctx, b.v, "alice", newPassword, ""))
	r.must(b, auth.StepDone)(r.Prove(ctx, b.v, auth.MethodTOTP, []byte(x.now())))
}

func isBlocked(err error) bool {
	var hint *auth.Hint
	return errors.Is(err, auth.ErrRejected) && errors.As(err, &hint) && strings.Contains(hint.Text, "blocked")
}

func TestBlockedSignInByPasskey(t *testing.T) {
	r := newMailRig(t)
	ctx := t.Context()
	p, d := r.member("alice"), phone()
	home := r.keyBrowser()
	r.must(home, auth.StepVerify)(r.SignIn(ctx, home.v, "alice", password, ""))
	r.must(home, auth.StepDone)(r.Prove(ctx, home.v, auth.MethodTOTP, []byte(p.now())))
	r.clock.Add(time.Minute)
	r.addKey(home, d)
	r.clear()
	r.clock.Add(time.Hour)
	r.signIn(p, stranger(1))
	if err := r.NotMe(ctx, stranger(2).v, notMe(t, r.letter(aliceMail, "New sign-in"))); err != nil {
		t.Fatal(err)
	}
	b := r.keyBrowser()
	if _, err := r.passkey(b, d); !isBlocked(err) {
		t.Errorf("a passkey: %v", err)
	}
	if _, err := r.SignIn(ctx, b.v, "alice", "not the password", ""); isBlocked(err) || !errors.Is(err, auth.ErrRejected) {
		t.Errorf("a wrong password: %v", err) // does not say more than elsewhere
	}
	// The key is older than the event, so with the mailbox it is the way back.
	b = r.keyBrowser()
	r.must(b, auth.StepVerify)(r.ResetPassword(ctx, b.v, tokenOf(t, r.letter(aliceMail, "password"), "reset"), newPassword))
	answer, sealed := r.answered(b, d)
	r.must(b, auth.StepDone)(r.ProveAsked(ctx, b.v, auth.MethodWebAuthn, answer, sealed))
}

func TestAdminUnblocks(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"enable", "invitation", "reset-mfa"} {
		t.Run(how, func(t *testing.T) {
			r := newMailRig(t)
			ctx := t.Context()
			x := r.raid(false)
			if err := r.NotMe(ctx, stranger(2).v, x.added); err != nil {
				t.Fatal(err)
			}
			r.clock.Add(time.Hour)
			b := stranger(3)
			switch how {
			case "enable":
				if err := r.SetDisabled(ctx, "alice", false); err != nil {
					t.Fatal(err)
				}
				r.must(b, auth.StepVerify)(r.SignIn(ctx, b.v, "alice", password, ""))
				if _, err := r.Prove(ctx, b.v, auth.MethodTOTP, []byte(x.theirs.now())); !errors.Is(err, auth.ErrRejected) {
					t.Errorf("the intruder's app: %v", err)
				}
				r.must(b, auth.StepDone)(r.Prove(ctx, b.v, auth.MethodTOTP, []byte(x.now())))
			case "invitation":
				in, err := r.Invite(ctx, "alice")
				if err != nil {
					t.Fatal(err)
				}
				if _, err := r.SignIn(ctx, b.v, "alice", password, ""); !isBlocked(err) {
					t.Errorf("before it is accepted: %v", err)
				}
				r.must(b, auth.StepPassword)(r.OpenInvitation(ctx, b.v, in.Token, ""))
				r.must(b, auth.StepVerify)(r.AcceptInvitation(ctx, b.v, "", newPassword))
				if _, err := r.Prove(ctx, b.v, auth.MethodTOTP, []byte(x.theirs.now())); !errors.Is(err, auth.ErrRejected) {
					t.Errorf("the intruder's app: %v", err)
				}
				r.must(b, auth.StepDone)(r.Prove(ctx, b.v, auth.MethodTOTP, []byte(x.now())))
			default:
				if err := r.ResetMFA(ctx, "alice"); err != nil {
					t.Fatal(err)
				}
				if _, err := r.SignIn(ctx, b.v, "alice", password, ""); !errors.Is(err, auth.ErrRejected) {
					t.Errorf("the password, which the intruder knows: %v", err)
				}
				in, err := r.Invite(ctx, "alice")
				if err != nil || in.MailedTo != "" {
					t.Fatalf("mailed to %q, %v", in.MailedTo, err)
				}
				r.must(b, auth.StepPassword)(r.OpenInvitation(ctx, b.v, in.Token, ""))
				r.must(b, auth.StepVerify)(r.AcceptInvitation(ctx, b.v, "", newPassword))
				r.must(b, auth.StepRecovery)(r.Prove(ctx, b.v, auth.MethodEmail, []byte(r.sentCode(aliceMail))))
			}
			if !r.user("alice").Blocked.IsZero() {
				t.Error("still blocked")
			}
		})
	}
}

func TestNotMeLink(t *testing.T) {
	t.Parallel()
	for name, wait := range map[string]time.Duration{"at the end": 7*24*time.Hour - time.Nanosecond, "too late": 7 * 24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			r := newMailRig(t)
			p := r.member("alice")
			b := stranger(1)
			r.must(b, auth.StepVerify)(r.SignIn(t.Context(), b.v, "alice", password, ""))
			r.must(b, auth.StepDone)(r.Prove(t.Context(), b.v, auth.MethodTOTP, []byte(p.now())))
			token := notMe(t, r.letter(aliceMail, "New sign-in"))
			r.clock.Add(wait)
			err := r.NotMe(t.Context(), stranger(2).v, token)
			if ok := wait < 7*24*time.Hour; ok != (err == nil) || !ok && !errors.Is(err, auth.ErrToken) {
				t.Error(err)
			}
		})
	}
	t.Run("once, in parallel", func(t *testing.T) {
		r := newMailRig(t)
		x := r.raid(true)
		won, errs := race(50, func(i int) error { return r.NotMe(t.Context(), stranger(byte(i)).v, x.address) })
		for _, err := range errs {
			if err != nil && !errors.Is(err, auth.ErrToken) && !errors.Is(err, storage.ErrConflict) {
				t.Errorf("unexpected: %v", err)
			}
		}
		if won != 1 {
			t.Errorf("%d of 50 succeeded", won)
		}
		r.index("restored", map[string]string{aliceMail: "alice"})
	})
	t.Run("deleted user", func(t *testing.T) {
		r := newMailRig(t)
		x := r.raid(true)
		if err := r.DeleteUser(t.Context(), "alice"); err != nil {
			t.Fatal(err)
		}
		for _, token := range []string{x.signin, x.address, x.later} {
			if err := r.NotMe(t.Context(), stranger(1).v, token); !errors.Is(err, auth.ErrToken) {
				t.Error(err)
			}
		}
		r.index("deleted", nil)
	})
	t.Run("epochs that an intruder bumps", func(t *testing.T) {
		r := newMailRig(t)
		ctx := t.Context()
		x := r.raid(true)
		b := stranger(1)
		r.clock.Add(time.Hour)
		r.must(b, auth.StepVerify)(r.ResetPassword(ctx, b.v, r.asks(b, "alice", malloryMail), "what the intruder chose"))
		r.must(b, auth.StepDone)(r.Prove(ctx, b.v, auth.MethodTOTP, []byte(x.theirs.now())))
		for _, token := range []string{x.address, x.added, x.signin} { // each undoes more than the one before
			if err := r.NotMe(ctx, stranger(2).v, token); err != nil {
				t.Error(err)
			}
		}
		if r.signedIn(b) {
			t.Error("the intruder is signed in")
		}
		r.index("restored", map[string]string{aliceMail: "alice"})
		if err := r.SetDisabled(ctx, "alice", false); err != nil {
			t.Fatal(err)
		}
		if _, err := r.SignIn(ctx, stranger(3).v, "alice", "what the intruder chose", ""); !errors.Is(err, auth.ErrRejected) {
			t.Errorf("the intruder's password: %v", err)
		}
	})
}

// signedInAgain is home with fresh proofs.
func signedInAgain(r *rig, p *person) *browser {
	r.t.Helper()
	r.signIn(p, p.home)
	return p.home
}
