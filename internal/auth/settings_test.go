package auth_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// changes makes a change in a session whose proofs are fresh.
func (r *rig) changes(b *browser, c auth.Change) {
	r.t.Helper()
	out := r.must(b, auth.StepDone)(r.Change(r.t.Context(), b.v, c, ""))
	if out.Changed != c.Op {
		r.t.Fatalf("changed %q", out.Changed)
	}
}

func TestPasswordChange(t *testing.T) { // S6, S58
	r := newRig(t)
	ctx := t.Context()
	alice, b, elsewhere := r.person("alice"), newBrowser(), newBrowser()
	r.signIn(alice, elsewhere)
	r.signIn(alice, b)
	r.clock.Add(10 * time.Minute)
	const next = "seven grey geese in a row"
	var refused *auth.Invalid
	if _, err := r.Change(ctx, b.v, auth.Change{Op: auth.ChangePassword, Password: "alice"}, ""); !errors.As(err, &refused) || refused.Field != "password" {
		t.Errorf("a password that is the name: %v", err)
	}
	out := r.must(b, auth.StepVerify)(r.Change(ctx, b.v, auth.Change{Op: auth.ChangePassword, Password: next}, ""))
	if out.Method != auth.MethodPassword {
		t.Fatalf("asks for %q", out.Method)
	}
	r.must(b, auth.StepVerify)(r.Prove(ctx, b.v, auth.MethodPassword, []byte(password)))
	for key, value := range r.records("") {
		if strings.Contains(value, next) {
			t.Errorf("%s holds the new password", key)
		}
	}
	old := *b
	r.must(b, auth.StepDone)(r.Prove(ctx, b.v, auth.MethodTOTP, []byte(alice.now())))
	r.clock.Add(time.Minute)
	if !r.signedIn(b) || r.signedIn(&old) || r.signedIn(elsewhere) {
		t.Errorf("signed in here %v, with the old token %v, elsewhere %v", r.signedIn(b), r.signedIn(&old), r.signedIn(elsewhere))
	}
	if _, err := r.SignIn(ctx, newBrowser().v, "alice", password, ""); !errors.Is(err, auth.ErrRejected) {
		t.Errorf("the old password: %v", err)
	}
	r.must(newBrowser(), auth.StepVerify)(r.SignIn(ctx, newBrowser().v, "alice", next, ""))
	r.changes(b, auth.Change{Op: auth.ChangeName, Label: "Alice Example"}) // the session goes on as fresh as it was
}

func TestReplacedAppIsDead(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	alice, b := r.person("alice"), newBrowser()
	r.signIn(alice, b)
	old := r.apps("alice")
	r.must(b, auth.StepEnroll)(r.Change(ctx, b.v, auth.Change{Op: auth.ChangeReplace, Method: auth.MethodTOTP, Credential: old[0]}, ""))
	if !slices.Equal(r.apps("alice"), old) {
		t.Fatal("the old app went before the new one was there")
	}
	p, err := r.Progress(ctx, b.v)
	if err != nil {
		t.Fatal(err)
	}
	next := appOf(r, p)
	r.must(b, auth.StepDone)(r.FinishEnroll(ctx, b.v, auth.MethodTOTP, "", []byte(next.now())))
	r.clock.Add(time.Minute)
	if now := r.apps("alice"); len(now) != 1 || now[0] == old[0] {
		t.Errorf("apps %q, before %q", now, old)
	}
	fresh := newBrowser()
	r.must(fresh, auth.StepVerify)(r.SignIn(ctx, fresh.v, "alice", password, ""))
	if _, err := r.Prove(ctx, fresh.v, auth.MethodTOTP, []byte(alice.now())); !errors.Is(err, auth.ErrRejected) {
		t.Errorf("the old app: %v", err)
	}
	r.must(fresh, auth.StepDone)(r.Prove(ctx, fresh.v, auth.MethodTOTP, []byte(next.now())))
}

func TestNewRecoveryCodesWaitUntilSaved(t *testing.T) { // S34
	r := newRig(t)
	ctx := t.Context()
	alice, b := r.person("alice"), newBrowser()
	r.signIn(alice, b)
	r.must(b, auth.StepRecovery)(r.Change(ctx, b.v, auth.Change{Op: auth.ChangeCodes}, ""))
	r.must(b, auth.StepRecovery)(r.MakeRecoveryCodes(ctx, b.v))
	p, err := r.Progress(ctx, b.v)
	if err != nil || len(p.RecoveryList) != 10 {
		t.Fatalf("%d codes, %v", len(p.RecoveryList), err)
	}
	use := func(code string) error {
		b := newBrowser()
		r.must(b, auth.StepVerify)(r.SignIn(ctx, b.v, "alice", password, ""))
		_, err := r.Prove(ctx, b.v, auth.MethodRecovery, []byte(code))
		return err
	}
	if err := use(alice.codes[0]); err != nil {
		t.Errorf("an old code while the new ones are shown: %v", err)
	}
	if err := use(p.RecoveryList[0]); !errors.Is(err, auth.ErrRejected) {
		t.Errorf("a new code before it was saved: %v", err)
	}
	r.must(b, auth.StepDone)(r.ConfirmRecoveryCodes(ctx, b.v))
	if err := use(alice.codes[1]); !errors.Is(err, auth.ErrRejected) {
		t.Errorf("an old code: %v", err)
	}
	if err := use(p.RecoveryList[1]); err != nil {
		t.Errorf("a new code: %v", err)
	}
}

func TestTurningTwoFactorOff(t *testing.T) {
	r := newMailRig(t)
	ctx := t.Context()
	alice, b := r.member("alice"), newBrowser()
	r.signIn(alice, b)
	off := auth.Change{Op: auth.ChangeOff}
	with := func(change func(*auth.Config)) error {
		_, err := r.realm(change).Change(ctx, b.v, off, "")
		return err
	}
	var refused *auth.Invalid
	if err := with(func(c *auth.Config) {
		c.Policies = []auth.Policy{{Name: "All"}, {Name: "Apps", Methods: []string{auth.MethodTOTP}}}
	}); !errors.As(err, &refused) || !strings.Contains(refused.Text, "All, Apps") {
		t.Errorf("against two policies: %v", err)
	}
	if err := with(func(c *auth.Config) { // in force, and not met as it is
		c.Policies = []auth.Policy{{Name: "Keys", Methods: []string{auth.MethodWebAuthn}}}
	}); !errors.As(err, &refused) || !strings.Contains(refused.Text, "Keys") {
		t.Errorf("against a policy that is not met: %v", err)
	}
	if err := with(func(c *auth.Config) { c.Mail = nil }); !errors.As(err, &refused) {
		t.Errorf("without mail: %v", err)
	}
	r.changes(b, off)
	if a, err := r.User(ctx, "alice"); err != nil || a.RecoveryLeft != 0 || !slices.Equal(a.User.Enrolled, []string{auth.MethodEmail, auth.MethodPassword}) {
		t.Errorf("left: %q, %d codes, %v", a.User.Enrolled, a.RecoveryLeft, err)
	}
	if _, err := r.Change(ctx, b.v, off, ""); !errors.As(err, &refused) {
		t.Errorf("off already: %v", err)
	}
	// On again: the codes of before stay dead.
	r.must(b, auth.StepVerify)(r.Change(ctx, b.v, auth.Change{Op: auth.ChangeAdd, Method: auth.MethodTOTP}, "")) // the app is no proof any more
	r.must(b, auth.StepEnroll)(r.Prove(ctx, b.v, auth.MethodEmail, []byte(r.sentCode("alice@example.com"))))
	app := appOf(r, r.progress(b))
	r.must(b, auth.StepRecovery)(r.FinishEnroll(ctx, b.v, auth.MethodTOTP, "", []byte(app.now())))
	r.must(b, auth.StepDone)(r.ConfirmRecoveryCodes(ctx, b.v))
	other := newBrowser()
	r.must(other, auth.StepVerify)(r.SignIn(ctx, other.v, "alice", password, ""))
	if _, err := r.Prove(ctx, other.v, auth.MethodRecovery, []byte(alice.codes[0])); !errors.Is(err, auth.ErrRejected) {
		t.Error("a recovery code of before")
	}
}

// TestTurningOffWhereMailIsBarred: codes by mail would have to take the place of what is removed, and nobody could sign in.
func TestTurningOffWhereMailIsBarred(t *testing.T) { // S85
	r := newMailRig(t)
	alice, b := r.member("alice"), newBrowser()
	r.signIn(alice, b)
	r.mark()
	var refused *auth.Invalid
	if _, err := r.Change(t.Context(), b.v, auth.Change{Op: auth.ChangeOff}, ""); !errors.As(err, &refused) || !strings.Contains(refused.Text, "set by mail") {
		t.Errorf("%v", err)
	}
	if a, err := r.User(t.Context(), "alice"); err != nil || !errors.As(a.May[auth.ChangeOff], &refused) {
		t.Errorf("the page offers it: %v, %v", a.May, err)
	}
	r.changes(b, auth.Change{Op: auth.ChangePassword, Password: newPassword}) // as the refusal says
	r.changes(b, auth.Change{Op: auth.ChangeOff})
	r.must(newBrowser(), auth.StepVerify)(r.SignIn(t.Context(), newBrowser().v, "alice", newPassword, ""))
}

func TestOwnSessionsEnd(t *testing.T) { // S57
	r := newRig(t)
	ctx := t.Context()
	alice, bob := r.person("alice"), r.person("bob")
	here, there := newBrowser(), newBrowser()
	r.signIn(alice, here)
	r.signIn(alice, there)
	id := func(b *browser) string {
		s, _, err := r.Session(ctx, host, b.v.Session)
		if err != nil {
			t.Fatal(err)
		}
		return s.ID
	}
	for _, foreign := range []string{id(bob.home), "", "../" + id(there), "nothing"} {
		if _, err := r.Change(ctx, here.v, auth.Change{Op: auth.ChangeEndSession, Session: foreign}, ""); !errors.Is(err, auth.ErrNoCredential) {
			t.Errorf("%q: %v", foreign, err)
		}
	}
	for _, stale := range []time.Duration{0, 15 * time.Minute} { // a step-up would give it a new token
		r.clock.Add(stale)
		refused := (*auth.Invalid)(nil)
		if _, err := r.Change(ctx, here.v, auth.Change{Op: auth.ChangeEndSession, Session: id(here)}, ""); !errors.As(err, &refused) || !r.signedIn(here) {
			t.Errorf("the session at work: %v", err)
		}
	}
	r.signIn(alice, here)
	r.changes(here, auth.Change{Op: auth.ChangeEndSession, Session: id(there)})
	if r.signedIn(there) || !r.signedIn(here) || !r.signedIn(bob.home) {
		t.Error("not exactly the one that was meant")
	}
	r.signIn(alice, there)
	r.changes(here, auth.Change{Op: auth.ChangeEndOthers})
	if r.signedIn(there) || r.signedIn(alice.home) || !r.signedIn(here) || !r.signedIn(bob.home) {
		t.Error("not exactly the others")
	}
	events, err := r.Activity(ctx, alice.user(r))
	if err != nil || len(events) == 0 || events[0].Name != auth.EventSessionEnded || events[0].Count != 2 {
		t.Errorf("events %+v, %v", events[:min(1, len(events))], err)
	}
	if slices.ContainsFunc(events, func(e auth.Event) bool { return e.User != "alice" }) {
		t.Error("somebody else's events")
	}
}

func (p *person) user(r *rig) string { return r.user(p.name).ID }

func TestPreferredMethod(t *testing.T) {
	r := newMailRig(t)
	alice, b := r.member("alice"), newBrowser()
	r.signIn(alice, b)
	var refused *auth.Invalid
	if _, err := r.Change(t.Context(), b.v, auth.Change{Op: auth.ChangePrefer, Method: auth.MethodWebAuthn}, ""); !errors.As(err, &refused) {
		t.Errorf("a key that is not there: %v", err)
	}
	for _, method := range []string{auth.MethodEmail, auth.MethodTOTP} {
		r.changes(b, auth.Change{Op: auth.ChangePrefer, Method: method})
		other := newBrowser()
		if out := r.must(other, auth.StepVerify)(r.SignIn(t.Context(), other.v, "alice", password, "")); out.Method != method {
			t.Errorf("asks for %q, preferred is %q", out.Method, method)
		}
	}
}

// TestResetForgetsAnAddressOfTheirOwn: whoever was in the account may have given it, and the next invitation would go there.
func TestResetForgetsAnAddressOfTheirOwn(t *testing.T) {
	r := newMailRig(t)
	ctx := t.Context()
	r.reader("alice")
	if err := r.ResetMFA(ctx, "alice"); err != nil {
		t.Fatal(err)
	}
	if u := r.user("alice"); u.Email != "alice@example.com" || u.EmailConfirmed {
		t.Errorf("an admin's address: %q, confirmed %v", u.Email, u.EmailConfirmed)
	}
	bob, b := r.member("bob"), newBrowser()
	r.signIn(bob, b)
	r.must(b, auth.StepEnroll)(r.Change(ctx, b.v, auth.Change{Op: auth.ChangeAddress, Address: "mallory@example.net"}, ""))
	code := codeOf(t, r.letter("mallory@example.net", "Confirm"))
	r.must(b, auth.StepDone)(r.FinishEnroll(ctx, b.v, auth.MethodEmail, "", []byte(code)))
	if err := r.ResetMFA(ctx, "bob"); err != nil {
		t.Fatal(err)
	}
	if u := r.user("bob"); u.Email != "" {
		t.Errorf("the address is %q", u.Email)
	}
}

// Whoever has a second method that is switched off, and no other, makes no codes to live on.
func TestNoCodesBesideWhatIsSwitchedOff(t *testing.T) {
	r := newRig(t)
	alice, b := r.person("alice"), newBrowser()
	r.signIn(alice, b)
	without := r.realm(func(c *auth.Config) {
		c.Methods = slices.DeleteFunc(slices.Clone(c.Methods), func(m auth.Method) bool { return m.Name() == auth.MethodTOTP })
	})
	var refused *auth.Invalid
	if _, err := without.Change(t.Context(), b.v, auth.Change{Op: auth.ChangeCodes}, ""); !errors.As(err, &refused) {
		t.Errorf("with an app that is switched off: %v", err)
	}
	r.must(b, auth.StepRecovery)(r.Change(t.Context(), b.v, auth.Change{Op: auth.ChangeCodes}, ""))
}
