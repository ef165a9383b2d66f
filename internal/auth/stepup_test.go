package auth_test

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/storage"
)

// prove is what a rule makes of it that methods, or proofs not older than age, are missing.
func prove(age time.Duration, methods ...string) auth.Change {
	return auth.Change{Op: auth.ChangeProve, Methods: methods, MaxAge: age}
}

// decision is what the gate would say to b.
func (r *rig) decision(b *browser, c auth.Change) auth.Decision {
	r.t.Helper()
	s, u, err := r.Session(r.t.Context(), b.v.Host, b.v.Session)
	if err != nil && !errors.Is(err, auth.ErrNoSession) {
		r.t.Fatal(err)
	}
	return auth.Decide(r.clock.Now(), auth.Requirement{Mode: auth.ModeSignedIn, Methods: c.Methods, MaxAge: c.MaxAge}, u, s)
}

func TestStepUp(t *testing.T) { // S52, S55
	r := newRig(t)
	ctx := t.Context()
	p, b := r.person("alice"), newBrowser()
	r.signIn(p, b)
	for _, c := range []struct {
		name   string
		asked  auth.Change
		first  string
		others []string
		answer func() string
	}{
		{"a fresher proof of any method", prove(15 * time.Minute), auth.MethodTOTP, []string{auth.MethodRecovery}, p.now},
		{"a fresher code", prove(15*time.Minute, auth.MethodTOTP), auth.MethodTOTP, nil, p.now},
		{"the password again", prove(time.Minute, auth.MethodPassword), auth.MethodPassword, nil, func() string { return password }},
		{"the password or a code", prove(time.Minute, auth.MethodPassword, auth.MethodTOTP), auth.MethodTOTP, []string{auth.MethodPassword}, p.now},
		{"a recovery code", prove(0, auth.MethodRecovery), auth.MethodRecovery, nil, func() string { return p.codes[0] }},
	} {
		t.Run(c.name, func(t *testing.T) {
			r.clock.Add(20 * time.Minute)
			if d := r.decision(b, c.asked); d != auth.StepUp {
				t.Fatalf("before: %v", d)
			}
			old, end := *b, r.end(b)
			out := r.must(b, auth.StepVerify)(r.Change(ctx, b.v, c.asked, "/admin/"))
			now, err := r.Progress(ctx, b.v)
			if err != nil || out.Method != c.first || !slices.Equal(now.Others, c.others) {
				t.Fatalf("asks for %q or %q: %v", out.Method, now.Others, err)
			}
			if _, err := r.Prove(ctx, b.v, c.first, []byte("000000")); !errors.Is(err, auth.ErrRejected) {
				t.Fatalf("a wrong answer: %v", err)
			}
			if d := r.decision(b, c.asked); d != auth.StepUp {
				t.Fatalf("after a wrong answer: %v", d)
			}
			out = r.must(b, auth.StepDone)(r.Prove(ctx, b.v, c.first, []byte(c.answer())))
			if out.To != "/admin/" {
				t.Errorf("goes to %q", out.To)
			}
			if d := r.decision(b, c.asked); d != auth.Allow {
				t.Errorf("after: %v", d)
			}
			if r.signedIn(&old) || b.v.Session == old.v.Session {
				t.Error("the token was not rotated")
			}
			if got := r.end(b); !got.Equal(end) {
				t.Errorf("the session now ends at %v, before at %v", got, end)
			}
		})
	}
}

// What is proven counts for the session in which it was asked for, and is asked for by what is set up.
func TestStepUpIsOfOneSession(t *testing.T) { // S53, S57
	r := newRig(t)
	ctx := t.Context()
	p, b, other := r.person("alice"), newBrowser(), newBrowser()
	r.signIn(p, b)
	r.signIn(p, other)
	r.clock.Add(20 * time.Minute)
	asked := prove(10*time.Minute, auth.MethodTOTP)
	r.must(b, auth.StepVerify)(r.Change(ctx, b.v, asked, ""))

	t.Run("its cookie in another session", func(t *testing.T) {
		v := other.v
		v.Flow = b.v.Flow
		if _, err := r.Prove(ctx, v, auth.MethodTOTP, []byte(p.now())); !errors.Is(err, auth.ErrNoFlow) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("without the session", func(t *testing.T) {
		v := b.v
		v.Session = ""
		if _, err := r.Prove(ctx, v, auth.MethodTOTP, []byte(p.now())); !errors.Is(err, auth.ErrNoFlow) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("another method", func(t *testing.T) {
		if _, err := r.Prove(ctx, b.v, auth.MethodRecovery, []byte(p.codes[0])); !errors.Is(err, auth.ErrStep) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("nothing that would do", func(t *testing.T) {
		s, _, err := r.Session(ctx, host, b.v.Session)
		if err != nil {
			t.Fatal(err)
		}
		got, err := r.Provable(ctx, b.v, s.UserID, auth.Requirement{Methods: []string{auth.MethodWebAuthn}})
		if err != nil || len(got) > 0 {
			t.Errorf("got %q, %v", got, err)
		}
		v := *other
		r.must(&v, auth.StepAskAdmin)(r.Change(ctx, v.v, prove(0, auth.MethodWebAuthn), ""))
		if d := r.decision(other, prove(0, auth.MethodWebAuthn)); d != auth.Enroll {
			t.Errorf("the gate says %v", d)
		}
	})
	t.Run("a set-up is no proof", func(t *testing.T) { // Decide: enrolling is not a proof
		fresh := r.person("bob")
		if d := r.decision(fresh.home, prove(0, auth.MethodTOTP)); d != auth.StepUp {
			t.Errorf("the gate says %v", d)
		}
	})
	t.Run("a session that ended", func(t *testing.T) {
		if _, err := r.SignOut(ctx, other.v); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Change(ctx, other.v, asked, ""); !errors.Is(err, auth.ErrNoSession) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("it still can be finished", func(t *testing.T) {
		r.must(b, auth.StepDone)(r.Prove(ctx, b.v, auth.MethodTOTP, []byte(p.now())))
		if d := r.decision(b, asked); d != auth.Allow {
			t.Errorf("the gate says %v", d)
		}
	})
}

// One code freshens a session once, and only one cookie comes of it.
func TestStepUpOnce(t *testing.T) { // S17, S89
	r := newRig(t)
	ctx := t.Context()
	p, b := r.person("alice"), newBrowser()
	r.signIn(p, b)
	r.clock.Add(20 * time.Minute)
	r.must(b, auth.StepVerify)(r.Change(ctx, b.v, prove(10*time.Minute), ""))
	code, done := []byte(p.now()), atomic.Int32{}
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			out, err := r.Prove(ctx, b.v, auth.MethodTOTP, code)
			if err == nil && out.Step == auth.StepDone {
				done.Add(1)
			} else if err == nil || !errors.Is(err, auth.ErrRejected) && !errors.Is(err, auth.ErrNoFlow) && !errors.Is(err, storage.ErrConflict) && !throttled(err) {
				t.Errorf("step %d, %v", out.Step, err)
			}
		})
	}
	wg.Wait()
	if done.Load() != 1 {
		t.Errorf("%d of 50 were right", done.Load())
	}
	if n := len(r.keys("session/")); n != 2 { // this one, and that of the first sign-in
		t.Errorf("%d sessions", n)
	}
}
