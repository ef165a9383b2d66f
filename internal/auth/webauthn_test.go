package auth_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/internal/method/authenticator"
)

const origin = "https://" + host

// phone is an authenticator that knows whose hand holds it.
func phone() *authenticator.Device {
	return &authenticator.Device{Origin: origin, Verifies: true, Synced: true, Attachment: "platform"}
}

// stick is one that only shows that somebody touches it.
func stick() *authenticator.Device {
	return &authenticator.Device{Origin: origin, Counts: true, Forgets: true, Attachment: "cross-platform"}
}

// keyBrowser is a browser that can WebAuthn, with the cookie that the sign-in page sets.
func (r *rig) keyBrowser() *browser {
	r.t.Helper()
	b := newBrowser()
	b.v.Origin = origin
	c, ok := r.PreFlow(b.v)
	if !ok {
		r.t.Fatal("no cookie")
	}
	b.v.Flow = c.Value
	return b
}

// register gives d a credential in the set-up that b has begun.
func (r *rig) register(b *browser, d *authenticator.Device) []byte {
	r.t.Helper()
	p, err := r.Progress(r.t.Context(), b.v)
	if err != nil || p.Challenge == nil {
		r.t.Fatalf("progress %+v, %v", p, err)
	}
	answer, err := d.Create(p.Challenge.Public)
	if err != nil {
		r.t.Fatal(err)
	}
	return answer
}

// addKey adds a key in a fresh session.
func (r *rig) addKey(b *browser, d *authenticator.Device) {
	r.t.Helper()
	ctx := r.t.Context()
	r.must(b, auth.StepEnroll)(r.Change(ctx, b.v, auth.Change{Op: auth.ChangeAdd, Method: auth.MethodWebAuthn}, ""))
	r.must(b, auth.StepDone)(r.FinishEnroll(ctx, b.v, auth.MethodWebAuthn, "", r.register(b, d)))
}

// keyPerson has a password, an app and a key in d, and is signed in at the returned browser.
func (r *rig) keyPerson(name string, d *authenticator.Device) (*person, *browser) {
	r.t.Helper()
	p, b := r.person(name), r.keyBrowser()
	out := r.must(b, auth.StepVerify)(r.SignIn(r.t.Context(), b.v, name, password, ""))
	if out.Method != auth.MethodTOTP {
		r.t.Fatalf("asks for %q", out.Method)
	}
	r.must(b, auth.StepDone)(r.Prove(r.t.Context(), b.v, auth.MethodTOTP, []byte(p.now())))
	r.clock.Add(time.Minute)
	r.addKey(b, d)
	return p, b
}

func (r *rig) passkey(b *browser, d *authenticator.Device, change ...func(*authenticator.Draft)) (auth.Outcome, error) {
	r.t.Helper()
	answer, sealed := r.assertion(b, d, change...)
	return r.Passkey(r.t.Context(), b.v, answer, sealed, "/x")
}

// answered is what the device answers where a key is asked for, and the sealed value that goes with it.
func (r *rig) answered(b *browser, d *authenticator.Device) (answer []byte, sealed string) {
	r.t.Helper()
	a, err := r.Ask(r.t.Context(), b.v, auth.MethodWebAuthn)
	if err != nil {
		r.t.Fatal(err)
	}
	if answer, err = d.Get(a.Public); err != nil {
		r.t.Fatal(err)
	}
	return answer, a.Sealed
}

func (r *rig) assertion(b *browser, d *authenticator.Device, change ...func(*authenticator.Draft)) (answer []byte, sealed string) {
	r.t.Helper()
	a, err := r.PasskeyAsk(b.v)
	if err != nil || a == nil {
		r.t.Fatalf("ask %v, %v", a, err)
	}
	if answer, err = d.Get(a.Public, change...); err != nil {
		r.t.Fatal(err)
	}
	return answer, a.Sealed
}

func TestFirstMethodIsAKey(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	if _, _, err := r.AddUser(ctx, auth.NewUser{Name: "alice", Password: password}); err != nil {
		t.Fatal(err)
	}
	b, d := r.keyBrowser(), phone()
	r.must(b, auth.StepEnroll)(r.SignIn(ctx, b.v, "alice", password, ""))
	r.must(b, auth.StepEnroll)(r.BeginEnroll(ctx, b.v, auth.MethodWebAuthn))
	answer := r.register(b, d)
	r.must(b, auth.StepRecovery)(r.FinishEnroll(ctx, b.v, auth.MethodWebAuthn, " Alice's phone ", answer))
	r.must(b, auth.StepRecovery)(r.MakeRecoveryCodes(ctx, b.v))
	r.must(b, auth.StepDone)(r.ConfirmRecoveryCodes(ctx, b.v))
	if got := r.label("alice", r.cred(auth.MethodWebAuthn)); got != "Alice's phone" {
		t.Errorf("the label is %q", got)
	}

	// Its user verification was set up beside the password, so it is all that is needed.
	other := r.keyBrowser()
	out := r.must(other, auth.StepDone)(r.passkey(other, d))
	if out.To != "/x" || !r.signedIn(other) {
		t.Errorf("outcome %+v", out)
	}
	s, u, err := r.Session(ctx, host, other.v.Session)
	if err != nil || u.Name != "alice" || len(s.Proofs) != 1 || s.Proofs[0].Kinds != auth.Possession|auth.Inherence {
		t.Errorf("session %+v of %+v, %v", s, u, err)
	}
}

func TestKeyAsSecondStep(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	d := stick()
	_, home := r.keyPerson("alice", d)
	_ = home
	b := r.keyBrowser()
	out := r.must(b, auth.StepVerify)(r.SignIn(ctx, b.v, "alice", password, ""))
	if out.Method != auth.MethodWebAuthn {
		t.Fatalf("asks for %q", out.Method)
	}
	answer, sealed := r.answered(b, d)
	for name, sealed := range map[string]string{"no challenge": "", "not ours": "MTc2", "changed": sealed[:len(sealed)-2] + "AA"} {
		if _, err := r.ProveAsked(ctx, b.v, auth.MethodWebAuthn, answer, sealed); !errors.Is(err, auth.ErrRejected) {
			t.Errorf("%s: %v", name, err)
		}
	}
	r.must(b, auth.StepDone)(r.ProveAsked(ctx, b.v, auth.MethodWebAuthn, answer, sealed))

	// Where the browser is at an address without a name, the other ways are left.
	plain := newBrowser()
	if out := r.must(plain, auth.StepVerify)(r.SignIn(ctx, plain.v, "alice", password, "")); out.Method != auth.MethodTOTP {
		t.Errorf("asks for %q where keys do not work", out.Method)
	}
	if _, err := r.Ask(ctx, plain.v, auth.MethodWebAuthn); !errors.Is(err, auth.ErrStep) {
		t.Errorf("an ask where keys do not work: %v", err)
	}
}

// A set-up that was begun must not make the right key wrong once the proofs are stale.
func TestSetUpBegunAndLeft(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	d := phone()
	_, b := r.keyPerson("alice", d)
	r.must(b, auth.StepEnroll)(r.Change(ctx, b.v, auth.Change{Op: auth.ChangeAdd, Method: auth.MethodWebAuthn}, ""))
	r.clock.Add(9*time.Minute + 30*time.Second)
	p, err := r.Progress(ctx, b.v)
	if err != nil || p.Step != auth.StepVerify || p.Method != auth.MethodWebAuthn {
		t.Fatalf("progress %+v, %v", p, err)
	}
	answer, sealed := r.answered(b, d)
	out := r.must(b, auth.StepEnroll)(r.ProveAsked(ctx, b.v, auth.MethodWebAuthn, answer, sealed))
	if out.Method != auth.MethodWebAuthn {
		t.Errorf("goes on with %q", out.Method)
	}
}

func TestLastKeyThatWorksHere(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	d := phone()
	p, b := r.keyPerson("alice", d)
	app := r.apps("alice")[0]
	r.must(b, auth.StepDone)(r.Change(ctx, b.v, auth.Change{Op: auth.ChangeRemove, Credential: app}, ""))
	// A key for another site is no way in here.
	wiki := r.keyBrowser()
	wiki.v.Host, wiki.v.Origin = "wiki.example.com", "https://wiki.example.com"
	r.must(wiki, auth.StepVerify)(r.SignIn(ctx, wiki.v, "alice", password, ""))
	now, err := r.Progress(ctx, wiki.v)
	if err != nil || now.Method != auth.MethodRecovery || !slices.Equal(now.Elsewhere, []string{host}) {
		t.Errorf("progress %+v, %v", now, err)
	}
	r.must(wiki, auth.StepDone)(r.Prove(ctx, wiki.v, auth.MethodRecovery, []byte(p.codes[0])))
	there := phone()
	there.Origin = "https://wiki.example.com"
	r.addKey(wiki, there)
	_, err = r.Change(ctx, b.v, auth.Change{Op: auth.ChangeRemove, Credential: r.find("alice", func(c auth.Credential) bool {
		return c.Method == auth.MethodWebAuthn && strings.Contains(string(c.Data), `"`+host+`"`)
	}).ID}, "")
	if _, refused := errors.AsType[*auth.Invalid](err); !refused {
		t.Errorf("removing the only key that works here: %v", err)
	}
}

func TestRemovedKeyIsNobodys(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	d := phone()
	_, home := r.keyPerson("alice", d)
	r.must(home, auth.StepDone)(r.Change(ctx, home.v, auth.Change{Op: auth.ChangeRemove, Credential: r.cred(auth.MethodWebAuthn)}, ""))
	b := r.keyBrowser()
	if _, err := r.passkey(b, d); !errors.Is(err, auth.ErrUnknownKey) {
		t.Errorf("a removed key: %v", err)
	}
	if left := r.keys("webauthn/"); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	for _, leave := range []func(string) error{
		func(n string) error { return r.ResetMFA(ctx, n) }, func(n string) error { return r.DeleteUser(ctx, n) },
	} {
		name := "bob" + strings.Repeat("b", len(r.keys("user-name/")))
		r.keyPerson(name, phone())
		if err := leave(name); err != nil {
			t.Fatal(err)
		}
		if left := r.keys("webauthn/"); len(left) > 0 {
			t.Errorf("left behind: %q", left)
		}
	}
}

func TestUpgradeToAPasskey(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	p, b := r.person("alice"), r.keyBrowser()
	if _, err := r.UpgradeAsk(ctx, b.v); !errors.Is(err, auth.ErrNoSession) {
		t.Errorf("before signing in: %v", err)
	}
	r.must(b, auth.StepVerify)(r.SignIn(ctx, b.v, "alice", password, ""))
	if _, err := r.UpgradeAsk(ctx, b.v); !errors.Is(err, auth.ErrNoSession) {
		t.Errorf("half signed in: %v", err)
	}
	out := r.must(b, auth.StepDone)(r.Prove(ctx, b.v, auth.MethodTOTP, []byte(p.now())))
	if !out.Upgrade {
		t.Error("no upgrade is offered")
	}
	a, err := r.UpgradeAsk(ctx, b.v)
	if err != nil {
		t.Fatal(err)
	}
	d := phone()
	d.Absent, d.Verifies = true, false // the browser asks nobody
	answer, err := d.Create(a.Public)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	errs := make([]error, 10)
	for i := range errs {
		wg.Go(func() { errs[i] = r.Upgrade(ctx, b.v, answer, a.Sealed) })
	}
	wg.Wait()
	if n := len(slices.DeleteFunc(errs, func(err error) bool { return err != nil })); n != 1 {
		t.Errorf("%d of 10 uses of one challenge succeeded", n)
	}
	if _, err := r.UpgradeAsk(ctx, b.v); !errors.Is(err, auth.ErrStep) {
		t.Errorf("a second passkey: %v", err)
	}
	// It proves possession until it has verified the person beside another kind: once, by the password that is asked for next.
	d.Absent, d.Verifies = false, true
	next := r.keyBrowser()
	if out := r.must(next, auth.StepVerify)(r.passkey(next, d)); out.Method != auth.MethodPassword {
		t.Errorf("asks for %q", out.Method)
	}
	r.must(next, auth.StepDone)(r.Prove(ctx, next.v, auth.MethodPassword, []byte(password)))
	next = r.keyBrowser()
	r.must(next, auth.StepDone)(r.passkey(next, d))
	late := r.keyBrowser()
	r.clock.Add(time.Minute)
	p2 := r.person("bob")
	r.must(late, auth.StepVerify)(r.SignIn(ctx, late.v, "bob", password, ""))
	r.must(late, auth.StepDone)(r.Prove(ctx, late.v, auth.MethodTOTP, []byte(p2.now())))
	r.clock.Add(11 * time.Minute)
	if _, err := r.UpgradeAsk(ctx, late.v); !errors.Is(err, auth.ErrStep) { // S58
		t.Errorf("eleven minutes after the sign-in: %v", err)
	}
}
