package auth_test

import (
	"errors"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/internal/method/authenticator"
)

func TestPasskeyWithoutVerificationShowsPossession(t *testing.T) { // S42
	r := newRig(t)
	ctx := t.Context()
	d := phone()
	r.keyPerson("alice", d)
	b := r.keyBrowser()
	unverified := func(f *authenticator.Draft) { f.Flags &^= authenticator.UserVerified }
	out := r.must(b, auth.StepVerify)(r.passkey(b, d, unverified))
	if out.Method != auth.MethodPassword || r.signedIn(b) {
		t.Fatalf("outcome %+v", out)
	}
	p, err := r.Progress(ctx, b.v)
	if err != nil || len(p.Others) > 0 || p.User.Name != "alice" {
		t.Errorf("progress %+v, %v", p, err)
	}
	for _, m := range []string{auth.MethodTOTP, auth.MethodRecovery, auth.MethodWebAuthn} { // none adds a kind
		if _, err := r.ProveAsked(ctx, b.v, m, []byte("000000"), ""); !errors.Is(err, auth.ErrStep) && !errors.Is(err, auth.ErrRejected) {
			t.Errorf("%s: %v", m, err)
		}
	}
	if _, err := r.Prove(ctx, b.v, auth.MethodPassword, []byte("not the password")); !errors.Is(err, auth.ErrRejected) {
		t.Errorf("a wrong password: %v", err)
	}
	r.must(b, auth.StepDone)(r.Prove(ctx, b.v, auth.MethodPassword, []byte(password)))
}

func TestVerificationCountsOnlyWhereItWasSetUpBesideAnotherKind(t *testing.T) { // S42
	r := newRig(t)
	ctx := t.Context()
	d := phone()
	d.Verifies = false // at set-up
	r.keyPerson("alice", d)
	d.Verifies = true // somebody who found it sets a PIN
	for range 2 {
		b := r.keyBrowser()
		if out := r.must(b, auth.StepVerify)(r.passkey(b, d)); out.Method != auth.MethodPassword {
			t.Fatalf("asks for %q", out.Method)
		}
	}
	b := r.keyBrowser()
	r.must(b, auth.StepVerify)(r.SignIn(ctx, b.v, "alice", password, ""))
	answer, sealed := r.answered(b, d)
	r.must(b, auth.StepDone)(r.ProveAsked(ctx, b.v, auth.MethodWebAuthn, answer, sealed))
	b = r.keyBrowser()
	r.must(b, auth.StepDone)(r.passkey(b, d)) // now it was
}

func TestVerificationIsNotEstablishedByTheSessionAlone(t *testing.T) { // S42
	r := newRig(t)
	ctx := t.Context()
	d := phone()
	d.Verifies = false // at set-up
	_, b := r.keyPerson("alice", d)
	d.Verifies = true
	r.clock.Add(15 * time.Minute)
	rename := auth.Change{Op: auth.ChangeRename, Credential: r.cred(auth.MethodWebAuthn), Label: "mine"}
	out := r.must(b, auth.StepVerify)(r.Change(ctx, b.v, rename, ""))
	if out.Method != auth.MethodWebAuthn {
		t.Fatalf("asks for %q", out.Method)
	}
	answer, sealed := r.answered(b, d)
	if out := r.must(b, auth.StepVerify)(r.ProveAsked(ctx, b.v, auth.MethodWebAuthn, answer, sealed)); out.Method != auth.MethodPassword {
		t.Errorf("asks for %q", out.Method)
	}
	other := r.keyBrowser()
	r.must(other, auth.StepVerify)(r.passkey(other, d))
	r.must(b, auth.StepDone)(r.Prove(ctx, b.v, auth.MethodPassword, []byte(password)))
	other = r.keyBrowser()
	r.must(other, auth.StepDone)(r.passkey(other, d))
}

func TestVerificationIsNotEstablishedBesideAStaleProof(t *testing.T) { // S42
	r := newRig(t)
	ctx := t.Context()
	d := phone()
	d.Verifies = false // at set-up
	_, b := r.keyPerson("alice", d)
	d.Verifies = true
	r.clock.Add(8 * time.Minute) // of the ten that the password counts
	rename := auth.Change{Op: auth.ChangeRename, Credential: r.cred(auth.MethodWebAuthn), Label: "mine"}
	r.must(b, auth.StepDone)(r.Change(ctx, b.v, rename, ""))
	r.clock.Add(2 * time.Minute)
	r.must(b, auth.StepVerify)(r.Change(ctx, b.v, rename, ""))
	answer, sealed := r.answered(b, d)
	r.clock.Add(4 * time.Minute)
	r.must(b, auth.StepVerify)(r.ProveAsked(ctx, b.v, auth.MethodWebAuthn, answer, sealed))
	other := r.keyBrowser()
	r.must(other, auth.StepVerify)(r.passkey(other, d))
}
