package auth_test

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// asksUntold has a code mailed at the second page, and waits until it was decided whether one is.
func (r *rig) asksUntold(b *browser) auth.Outcome {
	r.t.Helper()
	out, err := r.SendCode(r.t.Context(), b.v)
	if err != nil {
		r.t.Fatal(err)
	}
	b.take(out)
	r.state.AwaitResets()
	return out
}

// untoldMailRig is a rig whose people sign in on one page, with alice, who gets mail and has nothing else.
func untoldMailRig(t *testing.T) (*rig, *person) {
	t.Helper()
	r := newMailRig(t)
	p := r.reader("alice")
	r.clock.Add(15 * time.Minute) // the cap of codes has room again
	r.change = onePage
	r.Realm = r.realm(onePage)
	return r, p
}

func TestUntoldMail(t *testing.T) { // S88
	r, _ := untoldMailRig(t)
	ctx := t.Context()
	said := map[string]string{}
	for part, who := range wrongParts {
		b := r.second(who.name, who.password)
		before := r.progress(b)
		out := r.asksUntold(b)
		after := r.progress(b)
		if before.Mail == nil || before.Mail.Sent || after.Mail == nil || !after.Mail.Sent || after.Mail.To != "" {
			t.Errorf("%s: mail %+v, then %+v", part, before.Mail, after.Mail)
		}
		answer := []byte("000000")
		if part == "right password" {
			code := r.sentCode(aliceMail)
			answer = wrongCode(code)
		} else {
			r.noMail(part)
		}
		_, err := r.Prove(ctx, b.v, auth.MethodEmail, answer)
		for i := range out.Cookies {
			out.Cookies[i].Value = fmt.Sprint(len(b.v.Flow) - 16*len(who.name)/9) // a name takes 16/9 of its length
		}
		said[part] = fmt.Sprintf("%+v %v %+v", out, err, r.progress(b).Outcome)
	}
	if said["right password"] != said["wrong password"] {
		t.Errorf("with the right password %s, with a wrong one %s", said["right password"], said["wrong password"])
	}
}

func TestUntoldMailSignsIn(t *testing.T) { // S24, S26
	r, p := untoldMailRig(t)
	ctx := t.Context()
	b := r.second("alice", password)
	r.asksUntold(b)
	old := r.sentCode(aliceMail)
	r.clock.Add(8 * time.Minute) // there is as much time as at first
	r.asksUntold(b)
	code := r.sentCode(aliceMail)
	r.clock.Add(8 * time.Minute)
	if _, err := r.Prove(ctx, r.second("alice", password).v, auth.MethodEmail, []byte(code)); !errors.Is(err, auth.ErrRejected) {
		t.Errorf("in another browser: %v", err)
	}
	if _, err := r.Prove(ctx, b.v, auth.MethodEmail, []byte(old)); old != code && !errors.Is(err, auth.ErrRejected) {
		t.Errorf("an older code: %v", err)
	}
	r.must(b, auth.StepDone)(r.Prove(ctx, b.v, auth.MethodEmail, []byte(code)))
	if keys := r.keys("flow/"); len(keys) != 0 {
		t.Errorf("flows are left: %v", keys)
	}
	if !r.signedIn(b) || !r.signedIn(p.home) {
		t.Error("not signed in")
	}
}

func TestUntoldMailTakesFiveGuesses(t *testing.T) { // S27
	r, _ := untoldMailRig(t)
	b := r.second("alice", password)
	r.asksUntold(b)
	code := r.sentCode(aliceMail)
	for range 5 {
		if _, err := r.Prove(t.Context(), b.v, auth.MethodEmail, wrongCode(code)); !errors.Is(err, auth.ErrRejected) {
			t.Fatal(err)
		}
	}
	r.clock.Add(31 * time.Second)
	if _, err := r.Prove(t.Context(), b.v, auth.MethodEmail, []byte(code)); err != auth.ErrRejected { //nolint:errorlint // and nothing but that
		t.Errorf("the sixth: %v", err)
	}
}

func TestUntoldMailLink(t *testing.T) { // S26
	r, _ := untoldMailRig(t)
	ctx := t.Context()
	b := r.second("alice", password)
	b.v.To = "/deep"
	r.asksUntold(b)
	m := r.letter(aliceMail, "Your code")
	if out, code, err := r.FollowLink(ctx, r.second("alice", "not the password").v, tokenOf(t, m, "link")); err != nil || code != codeOf(t, m) || len(out.Cookies) > 0 {
		t.Errorf("elsewhere: %+v, %q, %v", out, code, err)
	}
	b.v.To = "" // a link carries none
	out, code, err := r.FollowLink(ctx, b.v, tokenOf(t, m, "link"))
	if err != nil || code != "" || out.Step != auth.StepDone || out.To != "/deep" {
		t.Errorf("outcome %+v, code %q, %v", out, code, err)
	}
}

// TestUntoldMailHasLimits: asking goes on as long as the visitor's address may, and the mails end before.
func TestUntoldMailHasLimits(t *testing.T) { // S15
	for part, who := range wrongParts {
		t.Run(part, func(t *testing.T) {
			r, _ := untoldMailRig(t)
			b := r.second(who.name, who.password)
			asked := 0
			for range 40 {
				out, err := r.SendCode(t.Context(), b.v)
				if throttled(err) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				b.take(out)
				asked++
			}
			r.state.AwaitResets()
			r.drained()
			mails := 0
			if part == "right password" {
				mails = 5
			}
			if got := r.subjects(); asked != 30 || len(got) != mails {
				t.Errorf("asked %d times, got %q", asked, got)
			}
			r.clock.Add(time.Minute)
			for range 6 { // half an hour after the password it is over, however often a mail was asked for
				r.clock.Add(5 * time.Minute)
				out, err := r.SendCode(t.Context(), b.v)
				if errors.Is(err, auth.ErrNoFlow) {
					return
				}
				b.take(out)
			}
			t.Error("it never ends")
		})
	}
}

// TestUntoldMailIsForWhomItMaySignIn: an address that an admin gave gets codes, and a mailbox that set the password gets none.
func TestUntoldMailIsForWhomItMaySignIn(t *testing.T) {
	r, _ := untoldMailRig(t)
	ctx := t.Context()
	if _, _, err := r.AddUser(ctx, auth.NewUser{Name: "bob", Email: bobMail, Password: password}); err != nil {
		t.Fatal(err)
	}
	r.clock.Add(73 * time.Hour)
	b := r.second("bob", password)
	r.asksUntold(b)
	r.must(b, auth.StepRecovery)(r.Prove(ctx, b.v, auth.MethodEmail, []byte(r.sentCode(bobMail))))

	token := r.asks(stranger(2), "alice", aliceMail)
	r.must(stranger(2), auth.StepVerify)(r.ResetPassword(ctx, stranger(2).v, token, newPassword))
	r.clear()
	r.asksUntold(r.second("alice", newPassword))
	r.noMail("to whoever reads the mailbox")
}

// TestUntoldBlock: that an account is blocked learns whoever has everything right.
func TestUntoldBlock(t *testing.T) {
	r := newMailRig(t)
	ctx := t.Context()
	p := r.member("alice")
	b := stranger(1)
	r.signIn(p, b)
	token := tokenOf(t, r.letter(aliceMail, "New sign-in"), "not-me")
	if err := r.NotMe(ctx, stranger(2).v, token); err != nil {
		t.Fatal(err)
	}
	r.Realm = r.realm(onePage)
	b = r.second("alice", password)
	if _, err := r.Prove(ctx, b.v, auth.MethodTOTP, []byte("000000")); isBlocked(err) || !errors.Is(err, auth.ErrRejected) {
		t.Errorf("a wrong code: %v", err)
	}
	if _, err := r.Prove(ctx, b.v, auth.MethodTOTP, []byte(p.now())); !isBlocked(err) {
		t.Errorf("all right: %v", err)
	}
	for password, blocked := range map[string]bool{password: true, "not the password": false} {
		if _, err := r.SignInAtOnce(ctx, stranger(3).v, "alice", password, auth.MethodTOTP, p.now(), ""); isBlocked(err) != blocked || !errors.Is(err, auth.ErrRejected) {
			t.Errorf("at once with %q: %v", password, err)
		}
	}
	if _, err := r.SignInAtOnce(ctx, stranger(3).v, "alice", password, auth.MethodTOTP, "000000", ""); isBlocked(err) || !errors.Is(err, auth.ErrRejected) {
		t.Errorf("at once with a wrong code: %v", err)
	}
	if events := r.events(); slices.Contains(events[len(events)-1:], auth.EventSignIn) {
		t.Error("signed in")
	}
}

// TestUntoldIsOverWhenItWasFinished: asking for a mail makes a cookie that lasts longer than the one before; finishing with either ends
// both.
func TestUntoldIsOverWhenItWasFinished(t *testing.T) { // S52
	r, _ := untoldMailRig(t)
	r.change = nil
	ctx := t.Context()
	old := r.second("alice", password)
	r.clock.Add(9 * time.Minute)
	renewed := *old
	r.asksUntold(&renewed)
	if renewed.v.Flow == old.v.Flow {
		t.Fatal("there is one cookie")
	}
	r.must(old, auth.StepDone)(r.Prove(ctx, old.v, auth.MethodEmail, []byte(r.sentCode(aliceMail))))
	for range 20 {
		if _, err := r.Progress(ctx, renewed.v); !errors.Is(err, auth.ErrNoFlow) {
			t.Fatalf("it goes on at %s: %v", r.clock.Now().Format(time.TimeOnly), err)
		}
		r.clock.Add(time.Minute)
	}
}

// book keeps what is logged.
type book struct {
	mu    sync.Mutex
	lines strings.Builder
}

func (b *book) Write(line []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lines.Write(line)
}

func (b *book) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lines.String()
}

// TestTypedNamesAreNotLogged: people type their password into the field for the name.
func TestTypedNamesAreNotLogged(t *testing.T) { // S78
	r := &rig{t: t, clock: auth.NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)), dir: t.TempDir(), inbox: newInbox(), change: onePage}
	log := new(book)
	r.logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	r.open(secret)
	t.Cleanup(func() { r.state.Close() })
	r.reader("alice")
	r.clock.Add(15 * time.Minute)
	for _, typed := range []string{"hunter2", " ALICE "} {
		b := r.second(typed, password)
		for range 8 { // more than are mailed to an account
			r.asksUntold(b)
		}
		for _, m := range []string{auth.MethodTOTP, auth.MethodRecovery, auth.MethodEmail} {
			_, _ = r.Prove(t.Context(), b.v, m, []byte("000000"))
		}
		_, _ = r.SignInAtOnce(t.Context(), b.v, typed, password, auth.MethodTOTP, "000000", "")
		r.clock.Add(time.Minute)
	}
	if err := r.state.Close(); err != nil {
		t.Fatal(err)
	}
	if said := log.String(); !strings.Contains(said, "too many mails") || strings.Contains(said, "hunter2") || strings.Contains(said, "ALICE") {
		t.Errorf("the log:\n%s", said)
	}
}
