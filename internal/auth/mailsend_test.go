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

func TestMailsAreCapped(t *testing.T) { // S15
	r := newMailRig(t)
	r.reader("alice")
	r.clock.Add(time.Hour)
	b := stranger(1)
	r.half(b, "alice") // one of the five
	sent, errs := race(100, func(int) error {
		_, err := r.SendCode(t.Context(), b.v)
		return err
	})
	for _, err := range errs {
		if err != nil && !throttled(err) && !errors.Is(err, storage.ErrConflict) {
			t.Errorf("unexpected: %v", err)
		}
	}
	for sent < 4 { // some may have given up over their conflicts
		if _, err := r.SendCode(t.Context(), b.v); err != nil {
			break
		}
		sent++
	}
	if got := r.subjects(); sent != 4 || len(got) != 4 {
		t.Errorf("%d were sent, %d arrived", sent, len(got))
	}
	// The password is right all the same; the page says that there is no code.
	other := stranger(2)
	r.clear()
	r.must(other, auth.StepVerify)(r.SignIn(t.Context(), other.v, "alice", password, ""))
	if p := r.progress(other); p.Mail == nil || p.Mail.Sent {
		t.Errorf("mail %+v", p.Mail)
	}
	r.noMail("over the limit")
	if _, err := r.Prove(t.Context(), other.v, auth.MethodEmail, []byte("000000")); !errors.Is(err, auth.ErrRejected) {
		t.Errorf("an answer to no code: %v", err)
	}
}

func TestMailQueueIsFull(t *testing.T) {
	t.Parallel()
	r := newMailRig(t)
	ctx := t.Context()
	p := r.member("alice")
	r.reader("bob")
	r.state.UsePost(nil)
	r.clock.Add(24 * time.Hour)
	for i := 0; ; i++ { // to the limit, with mails that nothing caps
		if i > 1100 {
			t.Fatal("the queue has no limit")
		}
		_, in, err := r.AddUser(ctx, auth.NewUser{Name: "user" + strings.Repeat("x", i%50) + string(rune('a'+i/50)), Email: "u@example.com"})
		if err != nil {
			t.Fatal(err)
		}
		if in.MailedTo == "" {
			break
		}
	}
	full := len(r.keys("mail/"))
	if full < 1000 || full > 1010 { // a look at the same moment may let a few more in
		t.Fatalf("%d mails wait", full)
	}
	b := stranger(1)
	r.must(b, auth.StepVerify)(r.SignIn(ctx, b.v, "bob", password, ""))
	if p := r.progress(b); p.Mail == nil || p.Mail.Sent {
		t.Errorf("says that a code was sent: %+v", p.Mail)
	}
	if _, err := r.SendCode(ctx, b.v); !errors.Is(err, auth.ErrBusy) {
		t.Errorf("a code: %v", err)
	}
	// Nothing else stops working: her sign-in, whose notice has a place of its own, and invitations, whose link is printed.
	b = stranger(2)
	r.signIn(p, b)
	if n := len(r.keys("mail/")); n != full+1 {
		t.Errorf("%d mails wait after a sign-in that is told", n)
	}
	if _, in, err := r.AddUser(ctx, auth.NewUser{Name: "carol", Email: "carol@example.com"}); err != nil || in.Token == "" || in.MailedTo != "" {
		t.Errorf("invitation %+v, %v", in, err)
	}
}

func TestNoMailUnlessAskedFor(t *testing.T) {
	r := newMailRig(t)
	ctx := t.Context()
	p := r.member("alice")
	b := stranger(1)
	out := r.must(b, auth.StepVerify)(r.SignIn(ctx, b.v, "alice", password, ""))
	if out.Method != auth.MethodTOTP {
		t.Fatalf("asks for %q", out.Method)
	}
	r.noMail("with an app")
	if got := r.progress(b); !slices.Contains(got.Others, auth.MethodEmail) || got.Mail == nil || got.Mail.Sent {
		t.Errorf("others %q, mail %+v", got.Others, got.Mail)
	}
	if _, err := r.Prove(ctx, b.v, auth.MethodEmail, []byte("000000")); !errors.Is(err, auth.ErrRejected) {
		t.Errorf("an answer to no code: %v", err)
	}
	if out := r.must(b, auth.StepVerify)(r.SendCode(ctx, b.v)); out.Method != auth.MethodEmail {
		t.Errorf("goes to %q", out.Method)
	}
	r.must(b, auth.StepDone)(r.Prove(ctx, b.v, auth.MethodEmail, []byte(r.sentCode(aliceMail))))

	// What was mailed dies with the flow that something else finished.
	b = stranger(2)
	r.must(b, auth.StepVerify)(r.SignIn(ctx, b.v, "alice", password, ""))
	r.must(b, auth.StepVerify)(r.SendCode(ctx, b.v))
	m := r.letter(aliceMail, "Your code")
	r.must(b, auth.StepDone)(r.Prove(ctx, b.v, auth.MethodTOTP, []byte(p.now())))
	if _, _, err := r.FollowLink(ctx, stranger(3).v, tokenOf(t, m, "link")); !errors.Is(err, auth.ErrToken) {
		t.Errorf("the link of a sign-in that is over: %v", err)
	}
}

// TestAddressThatAnAdminSetIsNoWayAroundAnApp: it was not confirmed, and there is another method.
func TestAddressThatAnAdminSetIsNoWayAroundAnApp(t *testing.T) {
	r := newMailRig(t)
	ctx, b := t.Context(), r.halfIn(aliceMail)
	code := r.sentCode(aliceMail)
	r.must(b, auth.StepEnroll)(r.BeginEnroll(ctx, b.v, auth.MethodTOTP))
	if _, err := r.Prove(ctx, b.v, auth.MethodEmail, []byte(code)); err == nil {
		t.Error("a code that was given up for an app still counts")
	}
	r.enroll(b)
	r.clear()
	r.clock.Add(time.Hour)
	other := stranger(1)
	if out := r.must(other, auth.StepVerify)(r.SignIn(ctx, other.v, "alice", password, "")); out.Method != auth.MethodTOTP {
		t.Fatalf("asks for %q", out.Method)
	}
	if p := r.progress(other); p.Mail != nil || slices.Contains(p.Others, auth.MethodEmail) {
		t.Errorf("offers mail: %+v", p)
	}
	if _, err := r.SendCode(ctx, other.v); !errors.Is(err, auth.ErrStep) {
		t.Errorf("a code: %v", err)
	}
	r.noMail("to an address that was not confirmed")
	r.index("an app instead", nil)
}

func TestCodesNeedTheirFlow(t *testing.T) { // S26, S53
	r := newMailRig(t)
	ctx := t.Context()
	alice, _ := r.reader("alice"), r.reader("bob")
	r.clock.Add(time.Hour)
	b, theirs := stranger(1), stranger(2)
	r.must(b, auth.StepVerify)(r.SignIn(ctx, b.v, "alice", password, ""))
	m := r.letter(aliceMail, "Your code")
	code, token := codeOf(t, m), tokenOf(t, m, "link")
	r.half(theirs, "bob")

	none := func(name string, err error) {
		t.Helper()
		if !errors.Is(err, auth.ErrNoFlow) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := r.SendCode(ctx, stranger(3).v)
	none("no flow", err)
	_, err = r.SendCode(ctx, alice.home.v)
	none("a finished one", err)
	moved := *b
	moved.v.Host = "wiki.example.com"
	_, err = r.SendCode(ctx, moved.v)
	none("another host", err)
	_, err = r.Prove(ctx, moved.v, auth.MethodEmail, []byte(code))
	none("a code at another host", err)
	_, err = r.Prove(ctx, alice.home.v, auth.MethodEmail, []byte(code))
	none("a code in a session", err)
	if _, err := r.Prove(ctx, theirs.v, auth.MethodEmail, []byte(code)); !errors.Is(err, auth.ErrRejected) {
		t.Errorf("a code in somebody else's flow: %v", err)
	}
	if _, err := r.Prove(ctx, theirs.v, auth.MethodEmail, []byte(token)); !errors.Is(err, auth.ErrRejected) {
		t.Errorf("a link in somebody else's flow: %v", err)
	}
	r.must(b, auth.StepDone)(r.Prove(ctx, b.v, auth.MethodEmail, []byte(code)))
}

func TestCodeDiesWithWhatItWasSentFor(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(r *rig) error{
		"disabled":          func(r *rig) error { return r.SetDisabled(r.t.Context(), "alice", true) },
		"all sessions over": func(r *rig) error { _, err := r.RevokeSessions(r.t.Context(), "alice", ""); return err },
		"reset-mfa": func(r *rig) error {
			err := r.ResetMFA(r.t.Context(), "alice")
			r.letter(aliceMail, "An administrator reset")
			return err
		},
		"deleted":    func(r *rig) error { return r.DeleteUser(r.t.Context(), "alice") },
		"signed out": nil,
	} {
		t.Run(name, func(t *testing.T) {
			r := newMailRig(t)
			ctx := t.Context()
			r.reader("alice")
			b := stranger(1)
			r.must(b, auth.StepVerify)(r.SignIn(ctx, b.v, "alice", password, ""))
			m := r.letter(aliceMail, "Your code")
			if change == nil {
				change = func(r *rig) error { _, err := r.SignOut(r.t.Context(), b.v); return err }
			}
			if err := change(r); err != nil {
				t.Fatal(err)
			}
			for _, answer := range []string{codeOf(t, m), tokenOf(t, m, "link")} {
				if _, err := r.Prove(ctx, b.v, auth.MethodEmail, []byte(answer)); !errors.Is(err, auth.ErrNoFlow) {
					t.Errorf("the answer: %v", err)
				}
			}
			if _, err := r.SendCode(ctx, b.v); !errors.Is(err, auth.ErrNoFlow) {
				t.Errorf("a new code: %v", err)
			}
			for where, who := range map[string]*browser{"here": b, "elsewhere": stranger(2)} {
				if _, code, err := r.FollowLink(ctx, who.v, tokenOf(t, m, "link")); !errors.Is(err, auth.ErrToken) || code != "" {
					t.Errorf("the link %s: %q, %v", where, code, err)
				}
			}
			r.noMail("afterwards")
		})
	}
}
