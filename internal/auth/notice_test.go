package auth_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/internal/mail"
)

// notMe is the token of a notice.
func notMe(t testing.TB, m mail.Message) string {
	t.Helper()
	return tokenOf(t, m, "not-me")
}

// says fails unless a notice holds the facts, and comes from the configured portal.
func says(t *testing.T, m mail.Message, facts ...string) {
	t.Helper()
	for _, f := range append(facts, "https://login.example.com/.mfa/not-me#") {
		if !strings.Contains(m.Text, f) {
			t.Errorf("%q does not say %q: %s", m.Subject, f, m.Text)
		}
	}
}

func TestNotices(t *testing.T) { // S80, S35
	r := newMailRig(t)
	ctx := t.Context()
	p := r.member("alice")
	_, other := r.reader("bob"), stranger(7)

	r.signIn(p, other)
	says(t, r.letter(aliceMail, "New sign-in"), "alice", "1 March 2026", "12:", "Chrome on Windows", "198.51.100.7")
	r.clock.Add(time.Hour)
	r.must(p.home, auth.StepVerify)(r.SignIn(ctx, p.home.v, "alice", password, ""))
	r.must(p.home, auth.StepDone)(r.Prove(ctx, p.home.v, auth.MethodTOTP, []byte(p.now())))
	r.clock.Add(time.Minute)
	r.noMail("a known browser")

	r.addApp(p.home)
	says(t, r.letter(aliceMail, "New way to sign in"), "Authenticator app", "Firefox on Linux", "192.0.2.1")
	ids := r.apps("alice")
	added := r.find("alice", func(c auth.Credential) bool { return c.Method == auth.MethodTOTP && c.ID != ids[0] })
	r.must(p.home, auth.StepDone)(r.Change(ctx, p.home.v, auth.Change{Op: auth.ChangeRemove, Credential: added.ID}, ""))
	says(t, r.letter(aliceMail, "was removed"), "Authenticator app", added.Label)

	b := stranger(8)
	r.must(b, auth.StepVerify)(r.SignIn(ctx, b.v, "alice", password, ""))
	out := r.must(b, auth.StepDone)(r.Prove(ctx, b.v, auth.MethodRecovery, []byte(p.codes[3])))
	if out.RecoveryLeft != 9 {
		t.Errorf("%d are left", out.RecoveryLeft)
	}
	says(t, r.letter(aliceMail, "Recovery code used"), "9", "198.51.100.8")
	r.letter(aliceMail, "New sign-in")

	r.must(b, auth.StepEnroll)(r.Change(ctx, b.v, auth.Change{Op: auth.ChangeAddress, Address: malloryMail}, ""))
	r.must(b, auth.StepDone)(r.FinishEnroll(ctx, b.v, auth.MethodEmail, "", []byte(codeOf(t, r.letter(malloryMail, "Confirm")))))
	m := r.letter(aliceMail, "address changed")
	says(t, m, "alice")
	if strings.Contains(m.Text+m.HTML, malloryMail) {
		t.Error("names the new address to whoever reads the old one")
	}
	r.clock.Add(time.Hour)
	b = stranger(9)
	r.must(b, auth.StepVerify)(r.ResetPassword(ctx, b.v, r.asks(b, "alice", malloryMail), newPassword))
	says(t, r.letter(malloryMail, "Password changed"), "198.51.100.9")
	r.noMail("anything else")
}

func TestThrottledNotice(t *testing.T) { // S80, S10
	t.Parallel()
	r := newMailRig(t)
	r.reader("alice")
	b := stranger(1)
	for range 100 {
		r.clock.Add(2 * time.Hour)
		if _, err := r.SignIn(t.Context(), b.v, "alice", "a wrong guess", ""); !errors.Is(err, auth.ErrRejected) {
			t.Fatal(err)
		}
	}
	says(t, r.letter(aliceMail, "Too many"), "Password", "198.51.100.1")
	if _, err := r.SignIn(t.Context(), b.v, "alice", password, ""); !throttled(err) {
		t.Fatal(err)
	}
	r.noMail("once is enough")
}

func TestNoNoticeToAnAddressThatWasNotConfirmed(t *testing.T) { // S80
	r := newMailRig(t)
	ctx, b := t.Context(), r.halfIn(aliceMail)
	r.sentCode(aliceMail)
	a, codes := r.enroll(b)
	r.clock.Add(time.Minute)
	p := &person{app: a, name: "alice", codes: codes, home: b}
	r.signIn(p, stranger(1))
	other := stranger(2)
	r.must(other, auth.StepVerify)(r.SignIn(ctx, other.v, "alice", password, ""))
	r.must(other, auth.StepDone)(r.Prove(ctx, other.v, auth.MethodRecovery, []byte(codes[0])))
	r.addApp(other)
	r.noMail("not confirmed")
}

// TestSignInNoticeCannotBeUsedUp: whoever has the password and floods the mailbox first is told of all the same.
func TestSignInNoticeCannotBeUsedUp(t *testing.T) { // S80, S15
	r := newMailRig(t)
	ctx := t.Context()
	p := r.member("alice")
	b := stranger(1)
	r.must(b, auth.StepVerify)(r.SignIn(ctx, b.v, "alice", password, ""))
	for {
		if _, err := r.SendCode(ctx, b.v); err != nil {
			break
		}
	}
	for range 3 {
		r.asks(b, "alice", aliceMail)
	}
	for n := range 2 {
		_, name := r.reader("bob"+string(rune('a'+n))), "bob"+string(rune('a'+n))
		other := stranger(byte(10 + n))
		r.half(other, name)
		r.must(other, auth.StepDone)(r.Prove(ctx, other.v, auth.MethodEmail, []byte(wanted(r, other, name))))
		r.must(other, auth.StepEnroll)(r.Change(ctx, other.v, auth.Change{Op: auth.ChangeAddress, Address: aliceMail}, ""))
		for {
			if _, err := r.SendCode(ctx, other.v); err != nil {
				break
			}
		}
	}
	r.clear()
	r.must(b, auth.StepVerify)(r.SignIn(ctx, b.v, "alice", password, ""))
	r.must(b, auth.StepDone)(r.Prove(ctx, b.v, auth.MethodTOTP, []byte(p.now())))
	if got := r.subjects(); !slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, "New sign-in") }) {
		t.Errorf("the notice was left out; there is %q", got)
	}
}

// wanted sends a new code and returns it.
func wanted(r *rig, b *browser, name string) string {
	r.t.Helper()
	r.must(b, auth.StepVerify)(r.SendCode(r.t.Context(), b.v))
	return r.sentCode(name + "@example.com")
}
