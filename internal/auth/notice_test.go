package auth_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/internal/mail"
	"github.com/caddy-mfa/caddy-mfa/storage"
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
	r.clock.add(time.Hour)
	r.must(p.home, auth.StepVerify)(r.SignIn(ctx, p.home.v, "alice", password, ""))
	r.must(p.home, auth.StepDone)(r.Prove(ctx, p.home.v, auth.MethodTOTP, []byte(p.now())))
	r.clock.add(time.Minute)
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
	r.clock.add(time.Hour)
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
		r.clock.add(2 * time.Hour)
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
	ctx := t.Context()
	if _, _, err := r.AddUser(ctx, auth.NewUser{Name: "alice", Email: aliceMail, Password: password}); err != nil {
		t.Fatal(err)
	}
	b := newBrowser()
	r.must(b, auth.StepVerify)(r.SignIn(ctx, b.v, "alice", password, ""))
	r.sentCode(aliceMail)
	a, codes := r.enroll(b)
	r.clock.add(time.Minute)
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
	r.clock.add(time.Minute)
	other := stranger(67)
	r.must(other, auth.StepVerify)(r.SignIn(ctx, other.v, "alice", password, ""))
	r.must(other, auth.StepDone)(r.Prove(ctx, other.v, auth.MethodTOTP, []byte(x.theirs.now())))
	x.later = notMe(r.t, r.letter(malloryMail, "New sign-in"))
	r.clock.add(time.Minute)
	r.index("raided", map[string]string{malloryMail: "alice"})
	return x
}

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
	r.clock.add(time.Minute)
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
	r.clock.add(time.Minute)
	r.addKey(home, d)
	r.clear()
	r.clock.add(time.Hour)
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
	a, err := r.Ask(ctx, b.v, auth.MethodWebAuthn)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := d.Get(a.Public)
	if err != nil {
		t.Fatal(err)
	}
	r.must(b, auth.StepDone)(r.ProveAsked(ctx, b.v, auth.MethodWebAuthn, answer, a.Sealed))
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
			r.clock.add(time.Hour)
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
			r.clock.add(wait)
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
		r.clock.add(time.Hour)
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
		r.clock.add(time.Hour)
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
