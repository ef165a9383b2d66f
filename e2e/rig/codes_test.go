package rig

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/internal/method"
)

func TestReadQR(t *testing.T) { // as the page shows it
	for i := range 40 {
		ch, err := method.NewTOTP("Example Corp").BeginEnroll(time.Time{}, auth.User{Name: fmt.Sprintf("user%d", i)}, nil)
		if err != nil {
			t.Fatal(err)
		}
		var shown method.TOTPSetup
		if err := json.Unmarshal(ch.Public, &shown); err != nil {
			t.Fatal(err)
		}
		if a, _, err := ReadQR(shown.QR); err != nil || a.Secret != shown.Secret {
			t.Errorf("code %d: read %v, %v", i, a, err)
		}
	}
}

func TestNextCode(t *testing.T) { // a server takes the step before and after its own
	for _, tc := range []struct {
		name  string
		into  time.Duration // of the step
		ready []int64       // seconds from the begin of this step
	}{
		{"three in a step", 10 * time.Second, []int64{-30, 0, 30, 60}},
		{"the step before is left out near its end", 27 * time.Second, []int64{0, 30, 60}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			begin := time.Unix(1_800_000_000/30*30, 0)
			now := begin.Add(tc.into)
			a := &Authenticator{Secret: "JBSWY3DPEHPK3PXP"}
			for i, want := range tc.ready {
				code, ready, err := a.Next(now)
				if err != nil {
					t.Fatal(err)
				}
				step := time.Unix(begin.Unix()+want, 0)
				if expected, err := a.At(step); err != nil || code != expected || !ready.Equal(step.Add(-30*time.Second)) {
					t.Errorf("code %d is %s from %s, want %s of step %s, %v", i, code, ready, expected, step, err)
				}
			}
		})
	}
}
