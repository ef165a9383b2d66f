package auth_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

func TestEnrolmentNeedsAuthority(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	if _, _, err := r.AddUser(ctx, auth.NewUser{Name: "alice", Password: password}); err != nil {
		t.Fatal(err)
	}
	b := newBrowser()
	r.must(b, auth.StepEnroll)(r.SignIn(ctx, b.v, "alice", password, ""))
	r.clock.Add(72*time.Hour + time.Second)
	b = newBrowser()
	r.must(b, auth.StepAskAdmin)(r.SignIn(ctx, b.v, "alice", password, ""))
	if _, err := r.BeginEnroll(ctx, b.v, auth.MethodTOTP); !errors.Is(err, auth.ErrStep) {
		t.Errorf("enrolment began: %v", err)
	}
	if _, err := r.Invite(ctx, "alice"); err != nil {
		t.Fatal(err)
	}
	b = newBrowser()
	r.must(b, auth.StepEnroll)(r.SignIn(ctx, b.v, "alice", password, ""))
}

func TestEnrolmentSurvivesWrongCode(t *testing.T) { // S20
	r := newRig(t)
	ctx := t.Context()
	if _, _, err := r.AddUser(ctx, auth.NewUser{Name: "alice", Password: password}); err != nil {
		t.Fatal(err)
	}
	b := newBrowser()
	r.must(b, auth.StepEnroll)(r.SignIn(ctx, b.v, "alice", password, ""))
	r.must(b, auth.StepEnroll)(r.BeginEnroll(ctx, b.v, auth.MethodTOTP))
	before, _ := r.Progress(ctx, b.v)
	if _, err := r.FinishEnroll(ctx, b.v, auth.MethodTOTP, "", []byte("000000")); !errors.Is(err, auth.ErrRejected) {
		t.Errorf("wrong code: %v", err)
	}
	after, err := r.Progress(ctx, b.v)
	if err != nil || string(before.Challenge.Public) != string(after.Challenge.Public) {
		t.Errorf("the secret changed: %v", err)
	}
	if keys := r.keys("cred/"); len(keys) != 1 {
		t.Errorf("credentials: %v", keys)
	}
}

func TestInterruptedEnrolmentGoesOn(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	if _, _, err := r.AddUser(ctx, auth.NewUser{Name: "alice", Password: password}); err != nil {
		t.Fatal(err)
	}
	b := newBrowser()
	r.must(b, auth.StepEnroll)(r.SignIn(ctx, b.v, "alice", password, ""))
	r.must(b, auth.StepEnroll)(r.BeginEnroll(ctx, b.v, auth.MethodTOTP))
	pr, _ := r.Progress(ctx, b.v)
	a := app{r, between(string(pr.Challenge.Public), `"secret":"`, `"`)}
	r.must(b, auth.StepRecovery)(r.FinishEnroll(ctx, b.v, auth.MethodTOTP, "my phone", []byte(a.now())))
	if r.signedIn(b) {
		t.Error("signed in before the codes are saved")
	}
	r.clock.Add(time.Hour)
	b = newBrowser()
	r.must(b, auth.StepVerify)(r.SignIn(ctx, b.v, "alice", password, ""))
	r.must(b, auth.StepRecovery)(r.Prove(ctx, b.v, auth.MethodTOTP, []byte(a.now())))
	r.must(b, auth.StepRecovery)(r.MakeRecoveryCodes(ctx, b.v))
	r.must(b, auth.StepDone)(r.ConfirmRecoveryCodes(ctx, b.v))
	acc, err := r.User(ctx, "alice")
	if err != nil || acc.RecoveryLeft != 10 {
		t.Errorf("account %+v: %v", acc, err)
	}
}

func between(s, from, to string) string {
	_, s, _ = strings.Cut(s, from)
	s, _, _ = strings.Cut(s, to)
	return s
}

func TestEnrolmentWindowClosesWithTheFirstMethod(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	until := func() time.Time {
		t.Helper()
		a, err := r.User(ctx, "alice")
		if err != nil {
			t.Fatal(err)
		}
		return a.User.EnrollUntil
	}
	if _, _, err := r.AddUser(ctx, auth.NewUser{Name: "alice", Password: password}); err != nil {
		t.Fatal(err)
	}
	b := newBrowser()
	r.must(b, auth.StepEnroll)(r.SignIn(ctx, b.v, "alice", password, ""))
	r.must(b, auth.StepEnroll)(r.BeginEnroll(ctx, b.v, auth.MethodTOTP))
	if !until().Equal(r.clock.Now().Add(72 * time.Hour)) {
		t.Errorf("before, the window is open until %v", until())
	}
	p, err := r.Progress(ctx, b.v)
	if err != nil {
		t.Fatal(err)
	}
	a := app{r, between(string(p.Challenge.Public), `"secret":"`, `"`)}
	r.must(b, auth.StepRecovery)(r.FinishEnroll(ctx, b.v, auth.MethodTOTP, "", []byte(a.now())))
	if !until().IsZero() {
		t.Errorf("after, the window is open until %v", until())
	}
	r.must(b, auth.StepDone)(r.ConfirmRecoveryCodes(ctx, b.v))
	if err := r.ResetMFA(ctx, "alice"); err != nil {
		t.Fatal(err)
	}
	if !until().Equal(r.clock.Now().Add(72 * time.Hour)) {
		t.Errorf("after a reset, the window is open until %v", until())
	}
}

// TestPendingRecoveryCodesStay: somebody may be writing them down while another tab asks for codes.
func TestPendingRecoveryCodesStay(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	if _, _, err := r.AddUser(ctx, auth.NewUser{Name: "alice", Password: password}); err != nil {
		t.Fatal(err)
	}
	b := newBrowser()
	r.must(b, auth.StepEnroll)(r.SignIn(ctx, b.v, "alice", password, ""))
	r.must(b, auth.StepEnroll)(r.BeginEnroll(ctx, b.v, auth.MethodTOTP))
	pending := func() auth.Progress {
		t.Helper()
		p, err := r.Progress(ctx, b.v)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	a := app{r, between(string(pending().Challenge.Public), `"secret":"`, `"`)}
	r.must(b, auth.StepRecovery)(r.FinishEnroll(ctx, b.v, auth.MethodTOTP, "", []byte(a.now())))
	shown := pending().RecoveryList
	r.must(b, auth.StepRecovery)(r.MakeRecoveryCodes(ctx, b.v))
	if again := pending().RecoveryList; len(shown) != 10 || !slices.Equal(shown, again) {
		t.Errorf("%q were shown, then %q", shown, again)
	}
	r.must(b, auth.StepDone)(r.ConfirmRecoveryCodes(ctx, b.v))
	b = newBrowser()
	r.must(b, auth.StepVerify)(r.SignIn(ctx, b.v, "alice", password, ""))
	r.must(b, auth.StepDone)(r.Prove(ctx, b.v, auth.MethodRecovery, []byte(shown[0])))
}
