package auth_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// TestOnlyTheServersClockCounts: a phone that is hours off is refused, however right its codes are by its own time, and nothing
// that a visitor sends moves the clock. The test's clock stands months before or after the machine's, so a method that asked the
// machine for the time would take the wrong ones.
func TestOnlyTheServersClockCounts(t *testing.T) { // S19
	r := newRig(t)
	p := r.person("alice")
	b := newBrowser()
	r.must(b, auth.StepVerify)(r.SignIn(t.Context(), b.v, "alice", password, ""))
	now := r.clock.Now()
	near := []string{p.code(now.Add(-30 * time.Second)), p.code(now), p.code(now.Add(30 * time.Second))}
	for name, at := range map[string]time.Time{"the machine's": time.Now(), "hours slow": now.Add(-3 * time.Hour), "hours fast": now.Add(3 * time.Hour)} {
		for slices.Contains(near, p.code(at)) { // once in 300000 runs
			at = at.Add(-30 * time.Second)
		}
		if _, err := r.Prove(t.Context(), b.v, auth.MethodTOTP, []byte(p.code(at))); !errors.Is(err, auth.ErrRejected) {
			t.Errorf("%s: %v", name, err)
		}
	}
	r.must(b, auth.StepDone)(r.Prove(t.Context(), b.v, auth.MethodTOTP, []byte(p.code(now))))
}
