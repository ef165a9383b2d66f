package auth_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

func TestInvitation(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	_, first, err := r.AddUser(ctx, auth.NewUser{Name: "bob"})
	if err != nil {
		t.Fatal(err)
	}
	second, err := r.Invite(ctx, "bob")
	if err != nil {
		t.Fatal(err)
	}
	b := newBrowser()
	if _, err := r.OpenInvitation(ctx, b.v, first.Token, ""); !errors.Is(err, auth.ErrToken) {
		t.Errorf("the older invitation: %v", err)
	}
	if _, err := r.OpenInvitation(ctx, b.v, "nonsense", ""); !errors.Is(err, auth.ErrToken) {
		t.Errorf("nonsense: %v", err)
	}
	r.must(b, auth.StepPassword)(r.OpenInvitation(ctx, b.v, second.Token, ""))
	var invalid *auth.Invalid
	if _, err := r.AcceptInvitation(ctx, b.v, "mallory", password); !errors.As(err, &invalid) {
		t.Errorf("another name: %v", err)
	}
	if _, err := r.AcceptInvitation(ctx, b.v, "", "short"); !errors.As(err, &invalid) {
		t.Errorf("short password: %v", err)
	}
	r.must(b, auth.StepEnroll)(r.AcceptInvitation(ctx, b.v, "", password))
	r.enroll(b)
	if _, err := r.OpenInvitation(ctx, newBrowser().v, second.Token, ""); !errors.Is(err, auth.ErrToken) {
		t.Errorf("used invitation: %v", err)
	}
}

func TestInvitationOfSomebodyWithMethodsAsksForThem(t *testing.T) { // S85
	r := newRig(t)
	p := r.person("alice")
	ctx := t.Context()
	invited, err := r.Invite(ctx, "alice")
	if err != nil {
		t.Fatal(err)
	}
	b := newBrowser()
	r.must(b, auth.StepPassword)(r.OpenInvitation(ctx, b.v, invited.Token, ""))
	out := r.must(b, auth.StepVerify)(r.AcceptInvitation(ctx, b.v, "", "quite another sentence"))
	if out.Method != auth.MethodTOTP {
		t.Errorf("asked for %q", out.Method)
	}
	if r.signedIn(b) {
		t.Error("a new password alone signs in")
	}
	if _, err := r.BeginEnroll(ctx, b.v, auth.MethodTOTP); !errors.Is(err, auth.ErrStep) {
		t.Errorf("a new password alone sets up another app: %v", err)
	}
	if r.signedIn(p.home) {
		t.Error("a new password leaves old sessions")
	}
	r.must(b, auth.StepDone)(r.Prove(ctx, b.v, auth.MethodTOTP, []byte(p.now())))
}

// TestInvitationMakesBrowsersUnknown: whoever used the account before is a stranger to the new password.
func TestInvitationMakesBrowsersUnknown(t *testing.T) {
	r := newRig(t)
	p := r.person("alice")
	ctx := t.Context()
	if keys := r.keys("browser/"); len(keys) != 1 {
		t.Fatalf("known browsers: %v", keys)
	}
	invited, err := r.Invite(ctx, "alice")
	if err != nil {
		t.Fatal(err)
	}
	b := newBrowser()
	r.must(b, auth.StepPassword)(r.OpenInvitation(ctx, b.v, invited.Token, ""))
	r.must(b, auth.StepVerify)(r.AcceptInvitation(ctx, b.v, "", "quite another sentence"))
	if keys := r.keys("browser/"); len(keys) != 0 {
		t.Errorf("still known: %v", keys)
	}
	for range 5 {
		if _, err := r.SignIn(ctx, p.home.v, "alice", password, ""); !errors.Is(err, auth.ErrRejected) {
			t.Fatal(err)
		}
	}
	if _, err := r.SignIn(ctx, newBrowser().v, "alice", "quite another sentence", ""); !throttled(err) {
		t.Errorf("the old browser has a count of its own: %v", err)
	}
}

func TestInvitationExpires(t *testing.T) {
	r := newRig(t)
	_, invited, err := r.AddUser(t.Context(), auth.NewUser{Name: "bob"})
	if err != nil {
		t.Fatal(err)
	}
	r.clock.Add(72*time.Hour + time.Second)
	if _, err := r.OpenInvitation(t.Context(), newBrowser().v, invited.Token, ""); !errors.Is(err, auth.ErrToken) {
		t.Errorf("expired invitation: %v", err)
	}
}

// TestWrongInvitationsShutNobodyOut: they cost nothing, so whoever sends many must not use up what people at the address share.
func TestWrongInvitationsShutNobodyOut(t *testing.T) {
	r := newRig(t)
	r.person("alice")
	_, invited, err := r.AddUser(t.Context(), auth.NewUser{Name: "bob"})
	if err != nil {
		t.Fatal(err)
	}
	before := r.keys("")
	b := newBrowser()
	for i := range 100 {
		wrong := []byte(invited.Token)
		wrong[i%len(wrong)] ^= 1
		for _, w := range []string{string(wrong), invited.Token[1:], ""} {
			if _, err := r.OpenInvitation(t.Context(), b.v, w, ""); !errors.Is(err, auth.ErrToken) {
				t.Fatalf("invitation %q: %v", w, err)
			}
		}
	}
	if after := r.keys(""); !slices.Equal(before, after) {
		t.Errorf("wrong invitations stored something: %v, before %v", after, before)
	}
	r.must(b, auth.StepVerify)(r.SignIn(t.Context(), b.v, "alice", password, ""))
	b = newBrowser()
	r.must(b, auth.StepPassword)(r.OpenInvitation(t.Context(), b.v, invited.Token, ""))
}
