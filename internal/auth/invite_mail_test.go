package auth_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

func TestMailedInvitationConfirmsTheAddress(t *testing.T) {
	for name, mailed := range map[string]bool{"mailed": true, "printed": false} {
		t.Run(name, func(t *testing.T) {
			r := newMailRig(t)
			ctx := t.Context()
			_, in, err := r.AddUser(ctx, auth.NewUser{Name: "alice", Email: aliceMail})
			if err != nil || in.MailedTo != aliceMail {
				t.Fatalf("%+v, %v", in, err)
			}
			token := tokenOf(t, r.letter(aliceMail, "invitation"), "invite")
			if token == in.Token {
				t.Fatal("the mail holds the link that is printed")
			}
			use, other := in.Token, token
			if mailed {
				use, other = token, in.Token
			}
			half := stranger(1) // opened, and not accepted
			r.must(half, auth.StepPassword)(r.OpenInvitation(ctx, half.v, other, ""))
			b := newBrowser()
			r.must(b, auth.StepPassword)(r.OpenInvitation(ctx, b.v, use, ""))
			if !mailed {
				out := r.must(b, auth.StepVerify)(r.AcceptInvitation(ctx, b.v, "", newPassword))
				if out.Method != auth.MethodEmail {
					t.Errorf("asks for %q", out.Method)
				}
				r.index("printed", nil)
				r.sentCode(aliceMail)
			} else {
				r.must(b, auth.StepRecovery)(r.AcceptInvitation(ctx, b.v, "", newPassword))
				r.index("mailed", map[string]string{aliceMail: "alice"})
				r.must(b, auth.StepRecovery)(r.MakeRecoveryCodes(ctx, b.v))
				r.must(b, auth.StepDone)(r.ConfirmRecoveryCodes(ctx, b.v))
				s, _, err := r.Session(ctx, host, b.v.Session)
				if err != nil || !auth.Kinds(s.Proofs).MultiFactor() || slices.ContainsFunc(s.Proofs, func(p auth.Proof) bool { return !p.Enrolled }) {
					t.Errorf("session %+v, %v", s, err)
				}
			}
			for name, dead := range map[string]string{"used": use, "the other": other} {
				if _, err := r.OpenInvitation(ctx, newBrowser().v, dead, ""); !errors.Is(err, auth.ErrToken) {
					t.Errorf("%s: %v", name, err)
				}
			}
			if _, err := r.AcceptInvitation(ctx, half.v, "", "a third sentence of mine"); err == nil {
				t.Error("the other, opened before, still sets a password")
			}
		})
	}
}

func TestNewerInvitationKillsBothOlder(t *testing.T) {
	r := newMailRig(t)
	ctx := t.Context()
	_, in, err := r.AddUser(ctx, auth.NewUser{Name: "alice", Email: aliceMail})
	if err != nil {
		t.Fatal(err)
	}
	mailed := tokenOf(t, r.letter(aliceMail, "invitation"), "invite")
	r.change = func(c *auth.Config) { c.Mail = nil } // mail was switched off meanwhile
	r.reopen(secret)
	if again, err := r.Invite(ctx, "alice"); err != nil || again.MailedTo != "" {
		t.Fatalf("%+v, %v", again, err)
	}
	for name, dead := range map[string]string{"printed": in.Token, "mailed": mailed} {
		if _, err := r.OpenInvitation(ctx, newBrowser().v, dead, ""); !errors.Is(err, auth.ErrToken) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMailedInvitationOfSomebodyWithMethods(t *testing.T) { // S85
	t.Parallel()
	for name, row := range map[string]struct {
		app     bool
		change  func(*auth.Config)
		printed bool
		step    auth.Step
	}{
		"with an app":                      {app: true, step: auth.StepVerify},
		"mail alone":                       {step: auth.StepAskAdmin, change: withoutCodes},
		"mail alone, printed link":         {step: auth.StepVerify, change: withoutCodes, printed: true},
		"mail alone, where that is enough": {step: auth.StepVerify, change: resetMailOnly},
	} {
		t.Run(name, func(t *testing.T) {
			r := newMailRig(t, row.change)
			ctx := t.Context()
			p := r.reader("alice")
			if row.app {
				p = r.member("bob")
			}
			to := p.name + "@example.com"
			in, err := r.Invite(ctx, p.name)
			if err != nil {
				t.Fatal(err)
			}
			token := tokenOf(t, r.letter(to, "invitation"), "invite")
			if row.printed {
				token = in.Token
			}
			b := stranger(1)
			r.must(b, auth.StepPassword)(r.OpenInvitation(ctx, b.v, token, ""))
			out := r.must(b, row.step)(r.AcceptInvitation(ctx, b.v, "", newPassword))
			if r.signedIn(b) || r.signedIn(p.home) {
				t.Error("a session is open")
			}
			r.letter(to, "Password changed")
			got := r.progress(b)
			switch {
			case row.app:
				if out.Method != auth.MethodTOTP || slices.Contains(got.Others, auth.MethodEmail) || got.Mail != nil {
					t.Errorf("asks for %q or %q, mail %+v", out.Method, got.Others, got.Mail)
				}
				if _, err := r.SendCode(ctx, b.v); !errors.Is(err, auth.ErrStep) {
					t.Errorf("a code by mail: %v", err)
				}
				r.must(b, auth.StepDone)(r.Prove(ctx, b.v, auth.MethodTOTP, []byte(p.now())))
			case row.step == auth.StepAskAdmin:
				if !got.MailOnly {
					t.Error("does not say why")
				}
				if _, err := r.SendCode(ctx, b.v); !errors.Is(err, auth.ErrStep) {
					t.Errorf("a code by mail: %v", err)
				}
				if _, err := r.BeginEnroll(ctx, b.v, auth.MethodTOTP); !errors.Is(err, auth.ErrStep) {
					t.Errorf("an app: %v", err)
				}
				r.clear()
				again := stranger(2)
				r.must(again, auth.StepAskAdmin)(r.SignIn(ctx, again.v, p.name, newPassword, ""))
				r.noMail("barred")
			default:
				r.must(b, auth.StepDone)(r.Prove(ctx, b.v, auth.MethodEmail, []byte(r.sentCode(to))))
			}
		})
	}
}

// TestMailedInvitationToAnAddressThatIsTaken: meanwhile somebody else confirmed it. The account goes without, and keeps its methods.
func TestMailedInvitationToAnAddressThatIsTaken(t *testing.T) {
	for name, more := range map[string]bool{"fresh": false, "with an app": true} {
		t.Run(name, func(t *testing.T) {
			r := newMailRig(t)
			ctx := t.Context()
			var a app
			if _, _, err := r.AddUser(ctx, auth.NewUser{Name: "bob", Email: aliceMail, Password: password}); err != nil {
				t.Fatal(err)
			}
			if more {
				b := newBrowser()
				r.must(b, auth.StepVerify)(r.SignIn(ctx, b.v, "bob", password, ""))
				a, _ = r.enroll(b)
				r.clock.Add(time.Minute)
			}
			r.clear()
			r.clock.Add(time.Hour)
			r.reader("alice")
			r.index("alice's", map[string]string{aliceMail: "alice"})
			if _, err := r.Invite(ctx, "bob"); err != nil {
				t.Fatal(err)
			}
			b := stranger(1)
			r.must(b, auth.StepPassword)(r.OpenInvitation(ctx, b.v, tokenOf(t, r.letter(aliceMail, "invitation"), "invite"), ""))
			out := r.must(b, auth.StepVerify)(r.AcceptInvitation(ctx, b.v, "", newPassword))
			r.index("accepted", map[string]string{aliceMail: "alice"})
			if more {
				if out.Method != auth.MethodTOTP {
					t.Errorf("asks for %q", out.Method)
				}
				r.must(b, auth.StepDone)(r.Prove(ctx, b.v, auth.MethodTOTP, []byte(a.now())))
				return
			}
			if _, err := r.Prove(ctx, b.v, auth.MethodEmail, []byte(r.sentCode(aliceMail))); err == nil {
				t.Error("a second account has the address")
			}
			r.index("answered", map[string]string{aliceMail: "alice"})
			if r.signedIn(b) {
				t.Error("signed in")
			}
		})
	}
}
