package auth_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

func TestSessionLimits(t *testing.T) { // S55
	t.Run("idle", func(t *testing.T) {
		r := newRig(t)
		p := r.person("alice")
		r.signIn(p, p.home)
		r.clock.Add(58 * time.Minute)
		if !r.signedIn(p.home) {
			t.Fatal("ended early")
		}
		r.clock.Add(59 * time.Minute) // it was seen in between
		if !r.signedIn(p.home) {
			t.Fatal("being seen does not keep it")
		}
		r.clock.Add(61 * time.Minute)
		if r.signedIn(p.home) {
			t.Error("idle session lives")
		}
	})
	t.Run("lifetime", func(t *testing.T) {
		r := newRig(t)
		p := r.person("alice")
		r.signIn(p, p.home)
		for range 47 {
			r.clock.Add(30 * time.Minute)
			if !r.signedIn(p.home) {
				t.Fatal("ended early")
			}
		}
		r.clock.Add(30 * time.Minute)
		if r.signedIn(p.home) {
			t.Error("session outlives its lifetime")
		}
	})
}

func TestPeekingIsNoSignOfLife(t *testing.T) { // S55
	r := newRig(t)
	p := r.person("alice")
	r.signIn(p, p.home)
	first, _, err := r.Session(t.Context(), host, p.home.v.Session)
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		r.clock.Add(11 * time.Minute)
		s, u, err := r.PeekSession(t.Context(), host, p.home.v.Session)
		if err != nil || u.Name != "alice" || !s.Seen.Equal(first.Seen) || !s.IdleEnd.Equal(first.IdleEnd) {
			t.Fatalf("session %+v after %+v: %v", s, first, err)
		}
	}
	for _, elsewhere := range []struct{ host, cookie string }{{"other.example.com", p.home.v.Session}, {host, p.home.v.Flow}, {host, ""}} {
		if _, _, err := r.PeekSession(t.Context(), elsewhere.host, elsewhere.cookie); !errors.Is(err, auth.ErrNoSession) {
			t.Errorf("%+v: %v", elsewhere, err)
		}
	}
	r.clock.Add(6 * time.Minute)
	if _, _, err := r.PeekSession(t.Context(), host, p.home.v.Session); !errors.Is(err, auth.ErrNoSession) {
		t.Errorf("peeking past the end: %v", err)
	}
	if r.signedIn(p.home) {
		t.Error("peeking kept the session alive")
	}
}

func TestSeenSurvivesRestart(t *testing.T) {
	r := newRig(t)
	p := r.person("alice")
	r.signIn(p, p.home)
	r.clock.Add(50 * time.Minute)
	if !r.signedIn(p.home) {
		t.Fatal("ended early")
	}
	r.reopen(secret)
	r.clock.Add(50 * time.Minute)
	if !r.signedIn(p.home) {
		t.Error("what was seen is forgotten")
	}
}

func TestSeenDoesNotRevive(t *testing.T) {
	r := newRig(t)
	p := r.person("alice")
	r.signIn(p, p.home)
	r.clock.Add(50 * time.Minute)
	if !r.signedIn(p.home) {
		t.Fatal("ended early")
	}
	if _, err := r.RevokeSessions(t.Context(), "alice", ""); err != nil {
		t.Fatal(err)
	}
	r.reopen(secret) // flushes
	if r.signedIn(p.home) {
		t.Error("revoked session revived")
	}
	if keys := r.keys("session/"); len(keys) != 0 {
		t.Errorf("sessions are left: %v", keys)
	}
}

func TestSessionCountsOnItsHostOnly(t *testing.T) {
	r := newRig(t)
	p := r.person("alice")
	if _, _, err := r.Session(t.Context(), "other.example.com", p.home.v.Session); !errors.Is(err, auth.ErrNoSession) {
		t.Errorf("counts elsewhere: %v", err)
	}
}

func TestForgedCookies(t *testing.T) {
	r := newRig(t)
	p := r.person("alice")
	good := p.home.v.Session
	flipped := []byte(good)
	flipped[len(flipped)/2] ^= 1
	for name, c := range map[string]string{
		"empty": "", "nonsense": "x", "flipped": string(flipped), "cut": good[:len(good)-2], "flow": p.home.v.Flow,
		"browser": p.home.v.Browser, "long": strings.Repeat("a", 5000), "zeros": "\x00\x00",
	} {
		if _, _, err := r.Session(t.Context(), host, c); !errors.Is(err, auth.ErrNoSession) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSignOut(t *testing.T) { // S54
	r := newRig(t)
	p := r.person("alice")
	stolen := *p.home
	out, err := r.SignOut(t.Context(), p.home.v)
	if err != nil {
		t.Fatal(err)
	}
	p.home.take(out)
	if p.home.v.Session != "" || r.signedIn(&stolen) {
		t.Error("still signed in")
	}
	if _, err := r.SignOut(t.Context(), stolen.v); err != nil {
		t.Errorf("signing out twice: %v", err)
	}
}

func TestNewSignInEndsTheOldSession(t *testing.T) { // S52
	r := newRig(t)
	p := r.person("alice")
	old := *p.home
	r.signIn(p, p.home)
	if r.signedIn(&old) || !r.signedIn(p.home) {
		t.Error("the old session lives")
	}
}

func TestSessionSurvivesRestart(t *testing.T) {
	r := newRig(t)
	p := r.person("alice")
	half := newBrowser()
	r.must(half, auth.StepVerify)(r.SignIn(t.Context(), half.v, "alice", password, ""))
	r.reopen(secret)
	p.r = r
	if !r.signedIn(p.home) {
		t.Error("signed out by a restart")
	}
	r.must(half, auth.StepDone)(r.Prove(t.Context(), half.v, auth.MethodTOTP, []byte(p.now())))
}

func TestRevokeOneSession(t *testing.T) { // S57, S87
	r := newRig(t)
	p, q := r.person("alice"), r.person("bob")
	second := newBrowser()
	r.signIn(p, second)
	s, _, err := r.Session(t.Context(), host, second.v.Session)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.RevokeSessions(t.Context(), "bob", s.ID); err == nil {
		t.Error("revoked somebody else's")
	}
	if n, err := r.RevokeSessions(t.Context(), "alice", s.ID); n != 1 || err != nil {
		t.Errorf("revoked %d: %v", n, err)
	}
	if r.signedIn(second) || !r.signedIn(p.home) || !r.signedIn(q.home) {
		t.Error("the wrong sessions ended")
	}
}

func TestChangesShowOnTheNextRequest(t *testing.T) {
	for _, row := range []struct {
		name   string
		change func(r *rig) error
		alive  bool
	}{
		{"disable", func(r *rig) error { return r.SetDisabled(t.Context(), "alice", true) }, false},
		{"delete", func(r *rig) error { return r.DeleteUser(t.Context(), "alice") }, false},
		{"reset-mfa", func(r *rig) error { return r.ResetMFA(t.Context(), "alice") }, false},
		{"revoke", func(r *rig) error { _, err := r.RevokeSessions(t.Context(), "alice", ""); return err }, false},
		{"group", func(r *rig) error {
			_, err := r.ChangeGroups(t.Context(), "alice", []string{"ops"}, []string{"dev"})
			return err
		}, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRig(t)
			p := r.person("alice", "dev")
			if !r.signedIn(p.home) {
				t.Fatal("not signed in")
			}
			if err := row.change(r); err != nil {
				t.Fatal(err)
			}
			_, u, err := r.Session(t.Context(), host, p.home.v.Session)
			if (err == nil) != row.alive {
				t.Errorf("session: %v", err)
			}
			if row.alive && fmt.Sprint(u.Groups) != "[ops]" {
				t.Errorf("groups are stale: %v", u.Groups)
			}
		})
	}
}

func TestDeletedUserLeavesNothing(t *testing.T) {
	r := newRig(t)
	r.person("alice")
	if err := r.DeleteUser(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	for _, prefix := range []string{"user/", "user-name/", "cred/", "session/", "user-session/", "browser/", "throttle/", "token/"} {
		if keys := r.keys(prefix); len(keys) != 0 {
			t.Errorf("left: %v", keys)
		}
	}
	if _, _, err := r.AddUser(t.Context(), auth.NewUser{Name: "alice", Password: password}); err != nil {
		t.Errorf("the name is not free: %v", err)
	}
}

func TestResetMFA(t *testing.T) {
	r := newRig(t)
	p := r.person("alice")
	if err := r.ResetMFA(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	b := newBrowser()
	r.must(b, auth.StepEnroll)(r.SignIn(t.Context(), b.v, "alice", password, ""))
	_, codes := r.enroll(b)
	other := newBrowser()
	r.must(other, auth.StepVerify)(r.SignIn(t.Context(), other.v, "alice", password, ""))
	if _, err := r.Prove(t.Context(), other.v, auth.MethodRecovery, []byte(p.codes[0])); !errors.Is(err, auth.ErrRejected) {
		t.Errorf("old recovery code: %v", err) // S34
	}
	if codes[0] == p.codes[0] {
		t.Error("the codes are the same")
	}
}

func TestSecretChanges(t *testing.T) { // S82
	r := newRig(t)
	p := r.person("alice")
	next := []byte(strings.Repeat("n", 32))
	r.reopen(next, secret)
	if !r.signedIn(p.home) {
		t.Error("signed out by a second secret")
	}
	if err := r.state.UseSecrets(t.Context(), [][]byte{[]byte(strings.Repeat("x", 32))}); !errors.Is(err, auth.ErrSecret) {
		t.Errorf("a secret that opens nothing is taken: %v", err)
	}
	r.reopen(next) // the old one is given up
	if !r.signedIn(p.home) {
		t.Error("signed out by giving up the old secret")
	}
	r.signIn(p, p.home)
	third := []byte(strings.Repeat("t", 32))
	if err := r.state.UseSecrets(t.Context(), [][]byte{third, next}); err != nil {
		t.Fatal(err)
	}
	r.signIn(p, p.home)
	r.reopen(next) // the configuration that brought the third one was given up
	r.signIn(p, p.home)
	r.reopen(third, next)
	r.reopen(third)
	r.signIn(p, p.home)
	if err := r.state.UseSecrets(t.Context(), [][]byte{[]byte("short")}); err == nil {
		t.Error("a short secret is taken")
	}
}

func TestSigningKeyTurns(t *testing.T) { // S82
	r := newRig(t)
	p := r.person("alice")
	r.clock.Add(31 * 24 * time.Hour)
	r.reopen(secret)
	if keys := r.keys("key/"); len(keys) != 2 {
		t.Fatalf("keys: %v", keys)
	}
	r.signIn(p, p.home) // its browser's cookie is of the old key
	r.clock.Add(3 * time.Hour)
	r.reopen(secret)
	b := newBrowser()
	r.signIn(p, b)
	if !r.signedIn(b) {
		t.Error("the new key does not sign")
	}
}
