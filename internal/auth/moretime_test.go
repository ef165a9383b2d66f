package auth_test

import (
	"errors"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// TestMoreTime asks for more time as long as there is some. It is no proof, and revives nothing.
func TestMoreTime(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.person("alice")
	b := newBrowser()
	if err := r.MoreTime(t.Context(), b.v); !errors.Is(err, auth.ErrNoFlow) {
		t.Errorf("without a flow: %v, want ErrNoFlow", err)
	}
	r.must(b, auth.StepVerify)(r.SignIn(t.Context(), b.v, "alice", password, ""))
	begun := r.clock.Now()
	for n := range 10 {
		r.clock.Add(9 * time.Minute)
		now, err := r.Progress(t.Context(), b.v)
		if err != nil || !now.More || now.Step != auth.StepVerify {
			t.Fatalf("after %s: %+v, %v", r.clock.Now().Sub(begun), now.Outcome, err)
		}
		if err := r.MoreTime(t.Context(), b.v); err != nil {
			t.Fatalf("time %d: %v", n+1, err)
		}
		if now, err = r.Progress(t.Context(), b.v); err != nil || now.End != r.clock.Now().Add(10*time.Minute) {
			t.Fatalf("it ends at %s (%v), and it is %s", now.End, err, r.clock.Now())
		}
		if r.signedIn(b) {
			t.Fatal("more time signed somebody in")
		}
	}
	if now, err := r.Progress(t.Context(), b.v); err != nil || now.More {
		t.Errorf("still offered after ten times (%v)", err)
	}
	if err := r.MoreTime(t.Context(), b.v); !errors.Is(err, auth.ErrStep) {
		t.Errorf("the eleventh time: %v, want ErrStep", err)
	}
	r.clock.Add(10 * time.Minute)
	if err := r.MoreTime(t.Context(), b.v); !errors.Is(err, auth.ErrNoFlow) {
		t.Errorf("after the end: %v, want ErrNoFlow", err)
	}

	// Raced, it is given as often as it is there.
	r.must(b, auth.StepVerify)(r.SignIn(t.Context(), b.v, "alice", password, ""))
	other := *newBrowser()
	if err := r.MoreTime(t.Context(), other.v); !errors.Is(err, auth.ErrNoFlow) {
		t.Errorf("from another browser: %v, want ErrNoFlow", err)
	}
	elsewhere := b.v
	elsewhere.Host = "other.example.com"
	if err := r.MoreTime(t.Context(), elsewhere); !errors.Is(err, auth.ErrNoFlow) {
		t.Errorf("on another host: %v, want ErrNoFlow", err)
	}
	if won, errs := race(50, func(int) error {
		for { // the store gives up where too many want the same record
			err := r.MoreTime(t.Context(), b.v)
			if err == nil || errors.Is(err, auth.ErrStep) {
				return err
			}
		}
	}); won != 10 {
		t.Errorf("%d of 50 got more time, want 10: %v", won, errs)
	}
}
