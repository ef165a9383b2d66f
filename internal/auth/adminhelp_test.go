package auth_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// TestMailboxThiefAndTheAdmin: whoever reads the mailbox and has set a password by it gets nothing from what an admin does about it.
func TestMailboxThiefAndTheAdmin(t *testing.T) { // S85
	t.Parallel()
	r := newMailRig(t)
	ctx := t.Context()
	r.member("alice")
	thief := stranger(1)
	const theirs = "what the thief chose"
	r.must(thief, auth.StepVerify)(r.ResetPassword(ctx, thief.v, r.asks(thief, "alice", aliceMail), theirs))
	if !r.user("alice").MailedPassword {
		t.Fatal("not marked")
	}
	if err := r.ResetMFA(ctx, "alice"); err != nil {
		t.Fatal(err)
	}
	r.clear()
	in, err := r.Invite(ctx, "alice")
	if err != nil || in.Token == "" || in.MailedTo != "" {
		t.Fatalf("%+v, %v", in, err)
	}
	r.noMail("the invitation")
	r.must(thief, auth.StepAskAdmin)(r.SignIn(ctx, thief.v, "alice", theirs, ""))
	if _, err := r.BeginEnroll(ctx, thief.v, auth.MethodTOTP); !errors.Is(err, auth.ErrStep) {
		t.Errorf("an app in the window of the invitation: %v", err)
	}
	b := newBrowser()
	r.must(b, auth.StepPassword)(r.OpenInvitation(ctx, b.v, in.Token, ""))
	r.must(b, auth.StepVerify)(r.AcceptInvitation(ctx, b.v, "", newPassword))
	if r.user("alice").MailedPassword {
		t.Error("still marked")
	}
	r.must(b, auth.StepRecovery)(r.Prove(ctx, b.v, auth.MethodEmail, []byte(r.sentCode(aliceMail))))
	r.must(b, auth.StepRecovery)(r.MakeRecoveryCodes(ctx, b.v))
	r.must(b, auth.StepDone)(r.ConfirmRecoveryCodes(ctx, b.v))
	if !r.signedIn(b) {
		t.Error("the owner is not in")
	}
	if _, err := r.SignIn(ctx, stranger(2).v, "alice", theirs, ""); !errors.Is(err, auth.ErrRejected) {
		t.Errorf("the thief's password: %v", err)
	}
}

// TestMailedInvitationKeepsTheMark: it went to the very mailbox that set the password, so it shows nothing more.
func TestMailedInvitationKeepsTheMark(t *testing.T) { // S85
	t.Parallel()
	for name, marked := range map[string]bool{"marked": true, "not": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newMailRig(t)
			ctx := t.Context()
			if _, _, err := r.AddUser(ctx, auth.NewUser{Name: "alice", Email: aliceMail}); err != nil {
				t.Fatal(err)
			}
			step := auth.StepRecovery
			if marked {
				r.mark()
				step = auth.StepAskAdmin
			}
			b := stranger(1)
			r.must(b, auth.StepPassword)(r.OpenInvitation(ctx, b.v, tokenOf(t, r.letter(aliceMail, "invitation"), "invite"), ""))
			r.must(b, step)(r.AcceptInvitation(ctx, b.v, "", newPassword))
			if got := r.user("alice").MailedPassword; got != marked {
				t.Errorf("marked afterwards: %v", got)
			}
			_, err := r.BeginEnroll(ctx, b.v, auth.MethodTOTP)
			if marked && !errors.Is(err, auth.ErrStep) {
				t.Errorf("an app: %v", err)
			}
		})
	}
}

// TestAdminsResetIsTold: an intruder may have talked the admin into it. The owner's link shuts what the reset has opened.
func TestAdminsResetIsTold(t *testing.T) { // S80
	t.Parallel()
	r := newMailRig(t)
	ctx := t.Context()
	r.member("alice")
	if err := r.ResetMFA(ctx, "alice"); err != nil {
		t.Fatal(err)
	}
	m := r.letter(aliceMail, "An administrator reset")
	says(t, m, "alice", "1 March 2026")
	if strings.Contains(m.Text+m.HTML, "invalid") {
		t.Errorf("an address that is none: %s", m.Text)
	}
	if r.user("alice").EnrollUntil.IsZero() {
		t.Fatal("no window is open")
	}
	r.clock.Add(time.Minute)
	thief := stranger(1)
	r.must(thief, auth.StepVerify)(r.SignIn(ctx, thief.v, "alice", password, ""))
	r.enroll(thief)
	r.clear()
	if err := r.NotMe(ctx, stranger(2).v, notMe(t, m)); err != nil {
		t.Fatal(err)
	}
	u := r.user("alice")
	if u.Blocked.IsZero() || !u.EnrollUntil.IsZero() || r.signedIn(thief) {
		t.Errorf("blocked %v, window until %v, the thief is in: %v", u.Blocked, u.EnrollUntil, r.signedIn(thief))
	}
	r.index("given back", map[string]string{aliceMail: "alice"})
	if theirs := r.find("alice", func(c auth.Credential) bool { return c.Method == auth.MethodTOTP }); !theirs.Disabled {
		t.Error("the thief's app works")
	}
	if _, err := r.SignIn(ctx, stranger(3).v, "alice", password, ""); !isBlocked(err) {
		t.Errorf("signing in: %v", err)
	}
	t.Run("where mail is no method", func(t *testing.T) { // then giving the address back does not shut the window by itself
		t.Parallel()
		r := newMailRig(t, func(c *auth.Config) {
			c.Methods = slices.DeleteFunc(c.Methods, func(m auth.Method) bool { return m.Name() == auth.MethodEmail })
		})
		ctx, b := t.Context(), newBrowser()
		if _, _, err := r.AddUser(ctx, auth.NewUser{Name: "alice", Email: aliceMail}); err != nil {
			t.Fatal(err)
		}
		r.must(b, auth.StepPassword)(r.OpenInvitation(ctx, b.v, tokenOf(t, r.letter(aliceMail, "invitation"), "invite"), ""))
		r.must(b, auth.StepEnroll)(r.AcceptInvitation(ctx, b.v, "", password))
		r.enroll(b)
		r.clock.Add(time.Minute)
		if err := r.ResetMFA(ctx, "alice"); err != nil {
			t.Fatal(err)
		}
		if err := r.NotMe(ctx, stranger(2).v, notMe(t, r.letter(aliceMail, "An administrator reset"))); err != nil {
			t.Fatal(err)
		}
		if u := r.user("alice"); u.Blocked.IsZero() || !u.EnrollUntil.IsZero() {
			t.Errorf("blocked %v, window until %v", u.Blocked, u.EnrollUntil)
		}
	})
}

// TestNoticeOfTheMomentOfTheAddress: what an intruder hears of at an address that is theirs since that very moment does not make the
// owner's link void, which is about it.
func TestNoticeOfTheMomentOfTheAddress(t *testing.T) { // S80
	t.Parallel()
	for name, ownersFirst := range map[string]bool{"the owner's first": true, "the intruder's first": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newMailRig(t)
			ctx := t.Context()
			x := r.raid(false)
			r.must(x.thief, auth.StepEnroll)(r.Change(ctx, x.thief.v, auth.Change{Op: auth.ChangeAddress, Address: malloryMail}, ""))
			code := codeOf(t, r.letter(malloryMail, "Confirm"))
			r.must(x.thief, auth.StepDone)(r.FinishEnroll(ctx, x.thief.v, auth.MethodEmail, "", []byte(code)))
			owners := notMe(t, r.letter(aliceMail, "address changed"))
			b := stranger(67)
			r.must(b, auth.StepVerify)(r.SignIn(ctx, b.v, "alice", password, ""))
			r.must(b, auth.StepDone)(r.Prove(ctx, b.v, auth.MethodTOTP, []byte(x.theirs.now())))
			theirs := notMe(t, r.letter(malloryMail, "New sign-in"))
			r.clock.Add(time.Minute)
			if ownersFirst {
				if err := r.NotMe(ctx, stranger(1).v, owners); err != nil {
					t.Fatal(err)
				}
				if err := r.NotMe(ctx, stranger(2).v, theirs); !errors.Is(err, auth.ErrToken) {
					t.Errorf("the intruder's: %v", err)
				}
			} else {
				if err := r.NotMe(ctx, stranger(2).v, theirs); err != nil {
					t.Fatal(err)
				}
				r.index("the intruder's", map[string]string{malloryMail: "alice"})
				if err := r.NotMe(ctx, stranger(1).v, owners); err != nil {
					t.Errorf("the owner's: %v", err)
				}
			}
			r.index("in the end", map[string]string{aliceMail: "alice"})
		})
	}
}

// TestNewCodesAreTold: whoever made them made a way to sign in.
func TestNewCodesAreTold(t *testing.T) { // S80, S34
	t.Parallel()
	r := newMailRig(t)
	ctx := t.Context()
	p, thief := r.member("alice"), stranger(1)
	r.signIn(p, thief)
	r.clear()
	r.must(thief, auth.StepRecovery)(r.Change(ctx, thief.v, auth.Change{Op: auth.ChangeCodes}, ""))
	r.must(thief, auth.StepRecovery)(r.MakeRecoveryCodes(ctx, thief.v))
	codes := r.progress(thief).RecoveryList
	r.noMail("before they work")
	r.must(thief, auth.StepDone)(r.ConfirmRecoveryCodes(ctx, thief.v))
	m := r.letter(aliceMail, "New recovery codes")
	says(t, m, "alice", "198.51.100.1")
	r.clock.Add(time.Minute)
	if err := r.NotMe(ctx, stranger(2).v, notMe(t, m)); err != nil {
		t.Fatal(err)
	}
	if set := r.find("alice", func(c auth.Credential) bool { return c.Method == auth.MethodRecovery }); !set.Disabled {
		t.Error("the set works")
	}
	if err := r.SetDisabled(ctx, "alice", false); err != nil { // an admin lifts the block, and only that
		t.Fatal(err)
	}
	r.must(thief, auth.StepVerify)(r.SignIn(ctx, thief.v, "alice", password, ""))
	if _, err := r.Prove(ctx, thief.v, auth.MethodRecovery, []byte(codes[0])); err == nil {
		t.Error("signed in by a code of theirs")
	}
	b := stranger(3)
	r.must(b, auth.StepVerify)(r.SignIn(ctx, b.v, "alice", password, ""))
	r.must(b, auth.StepDone)(r.Prove(ctx, b.v, auth.MethodTOTP, []byte(p.now())))
}

// TestAddressThatIsGivenBackIsWhoseItWas: an admin's is written to again, one that the person gave is not.
func TestAddressThatIsGivenBackIsWhoseItWas(t *testing.T) {
	t.Parallel()
	for name, own := range map[string]bool{"the admin's": false, "their own": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newMailRig(t)
			ctx := t.Context()
			p, address := r.member("alice"), aliceMail
			move := func(b *browser, to string) {
				r.must(b, auth.StepEnroll)(r.Change(ctx, b.v, auth.Change{Op: auth.ChangeAddress, Address: to}, ""))
				r.must(b, auth.StepDone)(r.FinishEnroll(ctx, b.v, auth.MethodEmail, "", []byte(codeOf(t, r.letter(to, "Confirm")))))
				r.clock.Add(time.Minute)
			}
			if own {
				address = "alice@example.org"
				move(signedInAgain(r, p), address)
				r.clear()
			}
			thief := stranger(1)
			r.signIn(p, thief)
			move(thief, malloryMail)
			if u := r.user("alice"); !u.EmailOwn || u.Email != malloryMail {
				t.Fatalf("%q, own %v", u.Email, u.EmailOwn)
			}
			if err := r.NotMe(ctx, stranger(2).v, notMe(t, r.letter(address, "address changed"))); err != nil {
				t.Fatal(err)
			}
			if u := r.user("alice"); u.Email != address || !u.EmailConfirmed || u.EmailOwn != own {
				t.Errorf("%q, confirmed %v, own %v", u.Email, u.EmailConfirmed, u.EmailOwn)
			}
			if err := r.SetDisabled(ctx, "alice", false); err != nil {
				t.Fatal(err)
			}
			want := address
			if own {
				want = ""
			}
			if in, err := r.Invite(ctx, "alice"); err != nil || in.MailedTo != want {
				t.Errorf("invitation to %q, %v", in.MailedTo, err)
			}
		})
	}
}

func TestAddressThatTakesNoMail(t *testing.T) {
	t.Parallel()
	r := newMailRig(t)
	var invalid *auth.Invalid
	_, in, err := r.AddUser(t.Context(), auth.NewUser{Name: "alice", Email: "alice@[192.0.2.1]"})
	if !errors.As(err, &invalid) || invalid.Field != "email" || in.Token != "" {
		t.Errorf("%+v, %v", in, err)
	}
	if left := slices.Concat(r.keys("user"), r.keys("token/"), r.keys("mail/")); len(left) > 0 {
		t.Errorf("stored %q", left)
	}
}
