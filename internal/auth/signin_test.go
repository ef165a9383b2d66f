package auth_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

func TestJourney(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	token, _, err := r.SetupToken(ctx)
	if err != nil || token == "" {
		t.Fatalf("no set-up token: %v", err)
	}
	b := newBrowser()
	r.must(b, auth.StepPassword)(r.OpenInvitation(ctx, b.v, token, "/deep?x=1"))
	r.must(b, auth.StepEnroll)(r.AcceptInvitation(ctx, b.v, "Alice", password))
	_, codes := r.enroll(b)
	if len(codes) != 10 {
		t.Fatalf("%d recovery codes", len(codes))
	}
	s, u, err := r.Session(ctx, host, b.v.Session)
	if err != nil {
		t.Fatal(err)
	}
	if u.Name != "alice" || len(u.Groups) != 1 || u.Groups[0] != auth.AdminGroup {
		t.Errorf("user is %+v", u)
	}
	if s.Browser != "Firefox" || s.OS != "Linux" || s.Addr != "192.0.2.1" {
		t.Errorf("session shows %q %q %q", s.Browser, s.OS, s.Addr)
	}
	if d := auth.Decide(r.clock.Now(), auth.Requirement{Mode: auth.ModeSignedIn}, u, s); d != auth.Allow {
		t.Errorf("decision is %v", d)
	}
	if keys := r.keys("flow/"); len(keys) != 0 {
		t.Errorf("flows are left: %v", keys)
	}
	if again, _, err := r.SetupToken(ctx); err != nil || again != "" {
		t.Errorf("set-up is offered again: %q %v", again, err)
	}
	if _, err := r.OpenInvitation(ctx, newBrowser().v, token, ""); !errors.Is(err, auth.ErrToken) {
		t.Errorf("set-up token works again: %v", err)
	}
}

func TestSecondStep(t *testing.T) {
	r := newRig(t)
	p := r.person("alice")
	ctx := t.Context()
	b := newBrowser()
	out := r.must(b, auth.StepVerify)(r.SignIn(ctx, b.v, "  ALICE ", password, "/deep?x=1"))
	if out.Method != auth.MethodTOTP {
		t.Errorf("method is %q", out.Method)
	}
	if r.signedIn(b) {
		t.Error("signed in with a password alone")
	}
	if _, err := r.Prove(ctx, b.v, auth.MethodTOTP, []byte("000000")); !errors.Is(err, auth.ErrRejected) {
		t.Errorf("wrong code: %v", err)
	}
	code := p.now()
	out = r.must(b, auth.StepDone)(r.Prove(ctx, b.v, auth.MethodTOTP, []byte(code)))
	if out.To != "/deep?x=1" || !r.signedIn(b) {
		t.Errorf("outcome %+v", out)
	}
	other := newBrowser()
	r.must(other, auth.StepVerify)(r.SignIn(ctx, other.v, "alice", password, ""))
	if _, err := r.Prove(ctx, other.v, auth.MethodTOTP, []byte(code)); !errors.Is(err, auth.ErrRejected) { // S17
		t.Errorf("used code: %v", err)
	}
	if _, err := r.Prove(ctx, other.v, auth.MethodPassword, []byte(password)); !errors.Is(err, auth.ErrStep) {
		t.Errorf("the same kind twice: %v", err)
	}
	if _, err := r.BeginEnroll(ctx, other.v, auth.MethodTOTP); !errors.Is(err, auth.ErrStep) {
		t.Errorf("a password alone enrols beside an app: %v", err)
	}
	out = r.must(other, auth.StepDone)(r.Prove(ctx, other.v, auth.MethodRecovery, []byte(p.codes[3])))
	if out.RecoveryLeft != 9 {
		t.Errorf("%d codes left", out.RecoveryLeft)
	}
	third := newBrowser()
	r.must(third, auth.StepVerify)(r.SignIn(ctx, third.v, "alice", password, ""))
	if _, err := r.Prove(ctx, third.v, auth.MethodRecovery, []byte(p.codes[3])); !errors.Is(err, auth.ErrRejected) { // S33
		t.Errorf("used recovery code: %v", err)
	}
}

func TestWrongNameAndPassword(t *testing.T) { // S88
	r := newRig(t)
	r.person("alice")
	for _, name := range []string{"alice", "bob", "bob@example.com", "", "two words", strings.Repeat("x", 5000), "\xff", "a\x00b"} {
		b := newBrowser()
		b.v.Addr = netip.MustParseAddr("198.51.100.7")
		out, err := r.SignIn(t.Context(), b.v, name, "not the password", "")
		if !errors.Is(err, auth.ErrRejected) || len(out.Cookies) != 0 {
			t.Errorf("%.20q: %v", name, err)
		}
	}
	if keys := r.keys("flow/"); len(keys) != 0 {
		t.Errorf("flows were stored: %v", keys)
	}
}

func TestDisabledUserIsRejected(t *testing.T) { // S56
	r := newRig(t)
	p := r.person("alice")
	half := newBrowser()
	r.must(half, auth.StepVerify)(r.SignIn(t.Context(), half.v, "alice", password, ""))
	if !r.signedIn(p.home) {
		t.Fatal("not signed in")
	}
	if err := r.SetDisabled(t.Context(), "alice", true); err != nil {
		t.Fatal(err)
	}
	if r.signedIn(p.home) {
		t.Error("session lives on")
	}
	if _, err := r.Prove(t.Context(), half.v, auth.MethodTOTP, []byte(p.now())); !errors.Is(err, auth.ErrNoFlow) {
		t.Errorf("flow lives on: %v", err)
	}
	b := newBrowser()
	if _, err := r.SignIn(t.Context(), b.v, "alice", password, ""); !errors.Is(err, auth.ErrRejected) {
		t.Errorf("sign-in: %v", err)
	}
	if err := r.SetDisabled(t.Context(), "alice", false); err != nil {
		t.Fatal(err)
	}
	if r.signedIn(p.home) {
		t.Error("session revived")
	}
	r.signIn(p, b)
}

func TestFlowIsNoSession(t *testing.T) { // S53
	r := newRig(t)
	r.person("alice")
	b := newBrowser()
	r.must(b, auth.StepVerify)(r.SignIn(t.Context(), b.v, "alice", password, ""))
	if _, _, err := r.Session(t.Context(), host, b.v.Flow); !errors.Is(err, auth.ErrNoSession) {
		t.Errorf("a flow's cookie is taken for a session: %v", err)
	}
}

func TestFlowTokenRotates(t *testing.T) { // S52
	r := newRig(t)
	p := r.person("alice")
	b := newBrowser()
	r.must(b, auth.StepVerify)(r.SignIn(t.Context(), b.v, "alice", password, ""))
	old := b.v
	r.must(b, auth.StepDone)(r.Prove(t.Context(), b.v, auth.MethodTOTP, []byte(p.now())))
	r.clock.Add(time.Minute)
	if _, err := r.Prove(t.Context(), old, auth.MethodTOTP, []byte(p.now())); !errors.Is(err, auth.ErrNoFlow) {
		t.Errorf("finished flow goes on: %v", err)
	}
	elsewhere := old
	elsewhere.Host = "other.example.com"
	if _, err := r.Progress(t.Context(), elsewhere); !errors.Is(err, auth.ErrNoFlow) {
		t.Errorf("flow of another host: %v", err)
	}
}

func TestFlowExpires(t *testing.T) {
	r := newRig(t)
	p := r.person("alice")
	b := newBrowser()
	r.must(b, auth.StepVerify)(r.SignIn(t.Context(), b.v, "alice", password, ""))
	r.clock.Add(10*time.Minute + time.Second)
	if _, err := r.Prove(t.Context(), b.v, auth.MethodTOTP, []byte(p.now())); !errors.Is(err, auth.ErrNoFlow) {
		t.Errorf("expired flow goes on: %v", err)
	}
}
