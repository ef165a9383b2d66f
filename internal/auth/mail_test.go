package auth_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/storage"
)

// TestMailIsTheSecondMethodOfWhoHasNoOther: the first right code confirms the address that an admin set.
func TestMailIsTheSecondMethodOfWhoHasNoOther(t *testing.T) {
	r := newMailRig(t)
	ctx := t.Context()
	if _, _, err := r.AddUser(ctx, auth.NewUser{Name: "alice", Email: "Alice@Example.com", Password: password}); err != nil {
		t.Fatal(err)
	}
	r.index("added", nil)
	b := newBrowser()
	out := r.must(b, auth.StepVerify)(r.SignIn(ctx, b.v, "alice", password, "/x"))
	if out.Method != auth.MethodEmail {
		t.Fatalf("asks for %q", out.Method)
	}
	p := r.progress(b)
	if p.Mail == nil || !p.Mail.Sent || p.Mail.To != "A•••@Example.com" {
		t.Errorf("mail %+v", p.Mail)
	}
	if !slices.Contains(p.Enrollable, auth.MethodTOTP) || slices.Contains(p.Enrollable, auth.MethodEmail) {
		t.Errorf("may be set up: %q", p.Enrollable)
	}
	code := r.sentCode("Alice@Example.com")
	r.index("sent", nil)
	if _, err := r.Prove(ctx, b.v, auth.MethodEmail, wrongCode(code)); !errors.Is(err, auth.ErrRejected) {
		t.Errorf("a wrong code: %v", err)
	}
	r.index("a wrong code", nil)
	r.must(b, auth.StepRecovery)(r.Prove(ctx, b.v, auth.MethodEmail, []byte(" "+code[:3]+" "+code[3:]+" ")))
	r.index("confirmed", map[string]string{"alice@example.com": "alice"})
	u := r.user("alice")
	if !slices.Contains(u.Enrolled, auth.MethodEmail) || !u.EnrollUntil.IsZero() || u.EmailSince.IsZero() {
		t.Errorf("user %+v", u)
	}
	if r.signedIn(b) {
		t.Error("signed in before the recovery codes are saved")
	}
	r.must(b, auth.StepRecovery)(r.MakeRecoveryCodes(ctx, b.v))
	r.must(b, auth.StepDone)(r.ConfirmRecoveryCodes(ctx, b.v))
	s, _, err := r.Session(ctx, host, b.v.Session)
	if err != nil || !auth.Kinds(s.Proofs).MultiFactor() || s.Proofs[1].Method != auth.MethodEmail { // S23
		t.Errorf("session %+v, %v", s, err)
	}

	// From here on it finds her.
	other := stranger(1)
	r.must(other, auth.StepVerify)(r.SignIn(ctx, other.v, "ALICE@example.com", password, ""))
	r.must(other, auth.StepDone)(r.Prove(ctx, other.v, auth.MethodEmail, []byte(r.sentCode("Alice@Example.com"))))
}

func TestMailCodeHasFiveTries(t *testing.T) { // S27, S14
	r := newMailRig(t)
	ctx := t.Context()
	r.reader("alice")
	b := stranger(1)
	code := r.half(b, "alice")
	for i := range 5 {
		if _, err := r.Prove(ctx, b.v, auth.MethodEmail, wrongCode(code)); !errors.Is(err, auth.ErrRejected) || throttled(err) {
			t.Fatalf("wrong code %d: %v", i, err)
		}
	}
	if p := r.progress(b); p.Mail == nil || p.Mail.Sent {
		t.Errorf("after five wrong codes: %+v", p.Mail)
	}
	r.clock.Add(time.Minute) // over the first delay
	if _, err := r.Prove(ctx, b.v, auth.MethodEmail, []byte(code)); !errors.Is(err, auth.ErrRejected) {
		t.Errorf("the right code as the sixth: %v", err)
	}
	if r.signedIn(b) {
		t.Fatal("signed in by a sixth try")
	}

	// A new code does not begin a new count: the sixth wrong answer brings the next delay, before the code has had its five.
	r.must(b, auth.StepVerify)(r.SendCode(ctx, b.v))
	code = r.sentCode(aliceMail)
	if _, err := r.Prove(ctx, b.v, auth.MethodEmail, wrongCode(code)); !errors.Is(err, auth.ErrRejected) {
		t.Errorf("a wrong answer to the new code: %v", err)
	}
	if _, err := r.Prove(ctx, b.v, auth.MethodEmail, []byte(code)); !throttled(err) {
		t.Errorf("the count began anew: %v", err)
	}
	r.must(b, auth.StepVerify)(r.SendCode(ctx, b.v))
	code = r.sentCode(aliceMail)
	if _, err := r.Prove(ctx, b.v, auth.MethodEmail, []byte(code)); !throttled(err) {
		t.Errorf("a new code ends the delay: %v", err)
	}
	r.clock.Add(time.Minute)
	r.must(b, auth.StepDone)(r.Prove(ctx, b.v, auth.MethodEmail, []byte(code))) // what was throttled took no try
}

func TestMailCodeGuessedInParallel(t *testing.T) { // S27, S13
	r := newMailRig(t)
	r.reader("alice")
	b := stranger(1)
	code := r.half(b, "alice")
	_, errs := race(50, func(int) error {
		_, err := r.Prove(t.Context(), b.v, auth.MethodEmail, wrongCode(code))
		return err
	})
	tried := 0
	for _, err := range errs {
		var hint *auth.Hint
		switch {
		case errors.Is(err, auth.ErrRejected) && !errors.As(err, &hint):
			tried++
		case errors.As(err, &hint), throttled(err), errors.Is(err, auth.ErrBusy), errors.Is(err, storage.ErrConflict):
		default:
			t.Errorf("unexpected: %v", err)
		}
	}
	if tried == 0 || tried > 5 {
		t.Errorf("%d guesses were verified", tried)
	}
}

func TestMailCodeUsedOnce(t *testing.T) { // S24, S89
	r := newMailRig(t)
	r.reader("alice")
	b := stranger(1)
	code := r.half(b, "alice")
	won, errs := race(50, func(int) error {
		_, err := r.Prove(t.Context(), b.v, auth.MethodEmail, []byte(code))
		return err
	})
	if won != 1 {
		t.Errorf("%d of 50 succeeded: %v", won, errs)
	}
	if sessions, err := r.Sessions(t.Context(), "alice"); err != nil || len(sessions) != 2 {
		t.Errorf("%d sessions: %v", len(sessions), err)
	}
	// Nor in another flow of hers.
	other := stranger(2)
	r.half(other, "alice")
	if _, err := r.Prove(t.Context(), other.v, auth.MethodEmail, []byte(code)); !errors.Is(err, auth.ErrRejected) {
		t.Errorf("used in another flow: %v", err)
	}
}

func TestNewMailCodeKillsTheOld(t *testing.T) { // S26
	r := newMailRig(t)
	ctx := t.Context()
	r.reader("alice")
	b := stranger(1)
	r.must(b, auth.StepVerify)(r.SignIn(ctx, b.v, "alice", password, ""))
	first := r.letter(aliceMail, "Your code")
	r.must(b, auth.StepVerify)(r.SendCode(ctx, b.v))
	second := r.letter(aliceMail, "Your code")
	if _, err := r.Prove(ctx, b.v, auth.MethodEmail, []byte(codeOf(t, first))); !errors.Is(err, auth.ErrRejected) {
		t.Errorf("the old code: %v", err)
	}
	for name, who := range map[string]*browser{"here": b, "elsewhere": stranger(2)} {
		if _, code, err := r.FollowLink(ctx, who.v, tokenOf(t, first, "link")); !errors.Is(err, auth.ErrToken) || code != "" {
			t.Errorf("the old link %s: %q, %v", name, code, err)
		}
	}
	r.must(b, auth.StepDone)(r.Prove(ctx, b.v, auth.MethodEmail, []byte(codeOf(t, second))))
}

// TestNewMailCodeRacesTheAnswer: of an answer and a new code at the same moment, either the answer counts and no flow is left for the
// code, or the code is out and the answer was to one that is dead.
func TestNewMailCodeRacesTheAnswer(t *testing.T) { // S26
	r := newMailRig(t)
	ctx := t.Context()
	r.reader("alice")
	for i := range 8 {
		b := stranger(byte(i))
		code := r.half(b, "alice")
		var sent, proved error
		race(2, func(i int) error {
			if i == 0 {
				_, sent = r.SendCode(ctx, b.v)
				return sent
			}
			_, proved = r.Prove(ctx, b.v, auth.MethodEmail, []byte(code))
			return proved
		})
		switch {
		case sent == nil && proved == nil:
			t.Errorf("both succeeded")
		case sent == nil:
			if !errors.Is(proved, auth.ErrRejected) {
				t.Errorf("the old answer: %v", proved)
			}
			r.must(b, auth.StepDone)(r.Prove(ctx, b.v, auth.MethodEmail, []byte(r.sentCode(aliceMail))))
		case proved == nil:
			if !errors.Is(sent, auth.ErrNoFlow) {
				t.Errorf("the new code: %v", sent)
			}
		default:
			t.Errorf("both failed: %v; %v", sent, proved)
		}
		r.clock.Add(20 * time.Minute)
	}
}

func TestMailCodeLivesTenMinutes(t *testing.T) { // S24
	for name, row := range map[string]struct {
		wait time.Duration
		ok   bool
	}{
		"at the end": {10*time.Minute - time.Nanosecond, true},
		"too late":   {10 * time.Minute, false},
		"much later": {time.Hour, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := newMailRig(t)
			ctx := t.Context()
			r.reader("alice")
			b, elsewhere := stranger(1), stranger(2)
			r.must(b, auth.StepVerify)(r.SignIn(ctx, b.v, "alice", password, ""))
			m := r.letter(aliceMail, "Your code")
			r.clock.Add(row.wait)
			if _, code, err := r.FollowLink(ctx, elsewhere.v, tokenOf(t, m, "link")); row.ok != (err == nil) || row.ok != (code == codeOf(t, m)) {
				t.Errorf("the link elsewhere: %q, %v", code, err)
			}
			if !row.ok {
				if _, _, err := r.FollowLink(ctx, b.v, tokenOf(t, m, "link")); !errors.Is(err, auth.ErrToken) {
					t.Errorf("the link: %v", err)
				}
			}
			out, err := r.Prove(ctx, b.v, auth.MethodEmail, []byte(codeOf(t, m)))
			b.take(out)
			if row.ok != (err == nil) || r.signedIn(b) != row.ok {
				t.Errorf("the code: %v", err)
			}
		})
	}
}

// TestMailCodeIsNotCutShortByItsFlow: a code that was sent late works for its ten minutes too.
func TestMailCodeIsNotCutShortByItsFlow(t *testing.T) { // S24
	r := newMailRig(t)
	ctx := t.Context()
	r.reader("alice")
	b := stranger(1)
	r.half(b, "alice")
	r.clock.Add(9 * time.Minute)
	r.must(b, auth.StepVerify)(r.SendCode(ctx, b.v))
	code := r.sentCode(aliceMail)
	r.clock.Add(9 * time.Minute)
	r.must(b, auth.StepDone)(r.Prove(ctx, b.v, auth.MethodEmail, []byte(code)))
}
