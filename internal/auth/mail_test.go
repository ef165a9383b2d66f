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
	r.clock.add(time.Minute) // over the first delay
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
	r.clock.add(time.Minute)
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
		r.clock.add(20 * time.Minute)
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
			r.clock.add(row.wait)
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
	r.clock.add(9 * time.Minute)
	r.must(b, auth.StepVerify)(r.SendCode(ctx, b.v))
	code := r.sentCode(aliceMail)
	r.clock.add(9 * time.Minute)
	r.must(b, auth.StepDone)(r.Prove(ctx, b.v, auth.MethodEmail, []byte(code)))
}

func TestMailsAreCapped(t *testing.T) { // S15
	r := newMailRig(t)
	r.reader("alice")
	r.clock.add(time.Hour)
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
	r.clock.add(24 * time.Hour)
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
	ctx := t.Context()
	if _, _, err := r.AddUser(ctx, auth.NewUser{Name: "alice", Email: aliceMail, Password: password}); err != nil {
		t.Fatal(err)
	}
	b := newBrowser()
	r.must(b, auth.StepVerify)(r.SignIn(ctx, b.v, "alice", password, ""))
	code := r.sentCode(aliceMail)
	r.must(b, auth.StepEnroll)(r.BeginEnroll(ctx, b.v, auth.MethodTOTP))
	if _, err := r.Prove(ctx, b.v, auth.MethodEmail, []byte(code)); err == nil {
		t.Error("a code that was given up for an app still counts")
	}
	r.enroll(b)
	r.clear()
	r.clock.add(time.Hour)
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
	r.clock.add(time.Hour)
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

func TestLinkFinishesTheBrowserThatBegan(t *testing.T) { // S26
	r := newMailRig(t)
	ctx := t.Context()
	r.reader("alice")
	b := stranger(1)
	r.must(b, auth.StepVerify)(r.SignIn(ctx, b.v, "alice", password, "/x"))
	token := tokenOf(t, r.letter(aliceMail, "Your code"), "link")
	out, code, err := r.FollowLink(ctx, b.v, token)
	if err != nil || code != "" || out.Step != auth.StepDone || out.To != "/x" {
		t.Fatalf("outcome %+v, code %q, %v", out, code, err)
	}
	before := b.v
	b.take(out)
	if !r.signedIn(b) {
		t.Error("not signed in")
	}
	for name, v := range map[string]auth.Visit{"signed in": b.v, "before": before, "elsewhere": stranger(2).v} {
		if _, code, err := r.FollowLink(ctx, v, token); !errors.Is(err, auth.ErrToken) || code != "" {
			t.Errorf("used again, %s: %q, %v", name, code, err)
		}
	}
}

func TestLinkElsewhereShowsTheCodeAndChangesNothing(t *testing.T) { // S26, S28
	r := newMailRig(t)
	ctx := t.Context()
	r.reader("alice")
	r.reader("bob")
	b, own, theirs := stranger(1), stranger(2), stranger(3)
	r.must(b, auth.StepVerify)(r.SignIn(ctx, b.v, "alice", password, ""))
	m := r.letter(aliceMail, "Your code")
	r.half(own, "alice")
	r.half(theirs, "bob")
	moved := *b
	moved.v.Host = "wiki.example.com"
	r.drained()
	before := r.records("")
	for name, v := range map[string]auth.Visit{
		"no flow": stranger(4).v, "a flow of her own": own.v, "somebody else's": theirs.v, "another host": moved.v,
	} {
		out, code, err := r.FollowLink(ctx, v, tokenOf(t, m, "link"))
		if err != nil || code != codeOf(t, m) || len(out.Cookies) > 0 || out.Step == auth.StepDone {
			t.Errorf("%s: outcome %+v, code %q, %v", name, out, code, err)
		}
	}
	if after := r.records(""); !sameRecords(before, after) {
		t.Error("something was stored")
	}
	for _, other := range []*browser{own, theirs} {
		if _, err := r.Prove(ctx, other.v, auth.MethodEmail, []byte(codeOf(t, m))); !errors.Is(err, auth.ErrRejected) {
			t.Errorf("typed in another flow: %v", err)
		}
	}
	r.must(b, auth.StepDone)(r.Prove(ctx, b.v, auth.MethodEmail, []byte(codeOf(t, m))))
}

func sameRecords(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if w, ok := b[k]; !ok || w != v {
			return false
		}
	}
	return true
}

func TestMalformedLinks(t *testing.T) {
	r := newMailRig(t)
	ctx := t.Context()
	r.reader("alice")
	b := stranger(1)
	r.must(b, auth.StepVerify)(r.SignIn(ctx, b.v, "alice", password, ""))
	m := r.letter(aliceMail, "Your code")
	token := tokenOf(t, m, "link")
	changed := []byte(token)
	changed[7] ^= 1
	reset := r.asks(stranger(2), "alice", aliceMail)
	r.drained()
	before := r.records("")
	for name, bad := range map[string]string{
		"nothing": "", "short": token[1:], "long": token + "A", "changed": string(changed), "the code": codeOf(t, m), "long code": strings.Repeat("0", 43),
		"a reset": reset, "spaces": " " + token[:42], "a NUL": token[:42] + "\x00", "a path": "../" + token[:40],
	} {
		for where, who := range map[string]*browser{"here": b, "elsewhere": stranger(3)} {
			if _, code, err := r.FollowLink(ctx, who.v, bad); !errors.Is(err, auth.ErrToken) || code != "" {
				t.Errorf("%s, %s: %q, %v", name, where, code, err)
			}
		}
	}
	for name, bad := range map[string]string{"a link": token, "changed": string(changed), "nothing": "", "short": reset[1:]} {
		if _, err := r.ResetPassword(ctx, b.v, bad, "quite another sentence"); !errors.Is(err, auth.ErrToken) {
			t.Errorf("a reset by %s: %v", name, err)
		}
		if err := r.NotMe(ctx, b.v, bad); !errors.Is(err, auth.ErrToken) {
			t.Errorf("not me by %s: %v", name, err)
		}
		if _, err := r.OpenInvitation(ctx, b.v, bad, ""); !errors.Is(err, auth.ErrToken) {
			t.Errorf("an invitation by %s: %v", name, err)
		}
	}
	if err := r.NotMe(ctx, b.v, reset); !errors.Is(err, auth.ErrToken) {
		t.Errorf("not me by a reset: %v", err)
	}
	if _, err := r.OpenInvitation(ctx, b.v, reset, ""); !errors.Is(err, auth.ErrToken) {
		t.Errorf("an invitation by a reset: %v", err)
	}
	if after := r.records(""); !sameRecords(before, after) {
		t.Error("something was stored")
	}
}

func TestLinkUsedOnceInParallel(t *testing.T) { // S24
	r := newMailRig(t)
	r.reader("alice")
	b := stranger(1)
	r.must(b, auth.StepVerify)(r.SignIn(t.Context(), b.v, "alice", password, ""))
	token := tokenOf(t, r.letter(aliceMail, "Your code"), "link")
	won, errs := race(50, func(int) error {
		out, _, err := r.FollowLink(t.Context(), b.v, token)
		if err == nil && out.Step != auth.StepDone {
			return errors.New("not done")
		}
		return err
	})
	if won != 1 {
		t.Errorf("%d of 50 succeeded: %v", won, errs)
	}
	if sessions, err := r.Sessions(t.Context(), "alice"); err != nil || len(sessions) != 2 {
		t.Errorf("%d sessions: %v", len(sessions), err)
	}
}

func TestLinksComeFromTheConfiguration(t *testing.T) { // S29
	r := newMailRig(t)
	ctx := t.Context()
	r.reader("alice")
	for host, want := range map[string]string{
		"dash.example.com": "https://dash.example.com/.mfa", "wiki.example.com": "https://wiki.example.com/.mfa",
		"evil.example.net": "https://login.example.com/.mfa", "": "https://login.example.com/.mfa",
		"dash.example.com@evil.example.net": "https://login.example.com/.mfa",
	} {
		b := stranger(1)
		b.v.Host, b.v.Origin = host, "https://evil.example.net"
		r.must(b, auth.StepVerify)(r.SignIn(ctx, b.v, "alice", password, ""))
		m := r.letter(aliceMail, "Your code")
		if base, page, _ := linkOf(t, m); base != want || page != "link" || strings.Contains(m.Text+m.HTML, "evil") {
			t.Errorf("at %q: a link to %s/%s in %s", host, base, page, m.Text)
		}
		if !strings.Contains(m.Text, strings.TrimSuffix(strings.TrimPrefix(want, "https://"), "/.mfa")) {
			t.Errorf("at %q: the mail does not name the site: %s", host, m.Text)
		}
		if err := r.Forgot(ctx, b.v, "alice"); err != nil {
			t.Fatal(err)
		}
		m = r.letter(aliceMail, "password")
		if base, _, _ := linkOf(t, m); base != "https://login.example.com/.mfa" || strings.Contains(m.Text+m.HTML, "evil") {
			t.Errorf("a reset from %q: a link to %s", host, base)
		}
		r.clock.add(12 * time.Hour)
	}
}

// TestMailSaysNothingOfTheClientThatIsNotTrue: what the browser calls itself must not become a link or a line of its own.
func TestMailSaysNothingOfTheClientThatIsNotTrue(t *testing.T) { // S31
	r := newMailRig(t)
	r.reader("alice")
	b := stranger(1)
	b.v.UserAgent = "Evil/1.0 (https://evil.example.net/; x)\r\nBcc: bob@example.com\r\n\r\nhttps://evil.example.net/"
	r.must(b, auth.StepVerify)(r.SignIn(t.Context(), b.v, "alice", password, ""))
	m := r.letter(aliceMail, "Your code")
	if strings.Contains(m.Text+m.HTML+m.Subject, "evil.example.net") || strings.Contains(m.Text, "\nBcc") {
		t.Errorf("mail %q", m.Text)
	}
}

// TestNothingMailedStandsInTheClear: whoever reads the store's files has no code and no link.
func TestNothingMailedStandsInTheClear(t *testing.T) { // S22, S78
	r := newMailRig(t)
	ctx := t.Context()
	p := r.member("alice")
	var secrets []string
	cleared := func(when string) {
		t.Helper()
		r.drained()
		r.inbox.mu.Lock()
		for _, m := range r.inbox.all {
			if found := codeLine.FindStringSubmatch(m.Text); found != nil {
				secrets = append(secrets, found[1])
			}
			if found := linkLine.FindStringSubmatch(m.Text); found != nil {
				secrets = append(secrets, found[3])
			}
		}
		r.inbox.mu.Unlock()
		for k, v := range r.records("") {
			for _, s := range secrets {
				if k != "meta/schema" && len(s) > 6 && strings.Contains(k+v, s) || strings.Contains(v, `"`+s+`"`) {
					t.Errorf("%s: the record %s holds %s in the clear", when, k, s)
				}
			}
		}
	}
	cleared("the set-up")
	b := stranger(1)
	r.must(b, auth.StepVerify)(r.SignIn(ctx, b.v, "alice", password, ""))
	r.must(b, auth.StepVerify)(r.SendCode(ctx, b.v))
	cleared("a code")
	r.asks(b, "alice", aliceMail)
	cleared("a reset")
	r.clock.add(time.Hour)
	b = stranger(2)
	r.signIn(p, b)
	cleared("a notice")
	r.must(b, auth.StepEnroll)(r.Change(ctx, b.v, auth.Change{Op: auth.ChangeAddress, Address: malloryMail}, ""))
	cleared("an address to confirm")
	if _, _, err := r.AddUser(ctx, auth.NewUser{Name: "carol", Email: "carol@example.com"}); err != nil {
		t.Fatal(err)
	}
	cleared("an invitation")
	if len(secrets) < 6 {
		t.Errorf("only %d were looked for", len(secrets))
	}
	r.state.UsePost(nil) // those that wait
	r.clock.add(24 * time.Hour)
	r.must(b, auth.StepVerify)(r.SignIn(ctx, stranger(3).v, "alice", password, ""))
	cleared("waiting")
	r.reopen(secret)
	secrets = slices.DeleteFunc(secrets, func(s string) bool { return len(s) == 6 }) // files hold six digits by chance
	if found := grepDir(t, r.dir, secrets...); found != "" {
		t.Errorf("a link stands in the clear in %s", found)
	}
}
