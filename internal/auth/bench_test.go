package auth_test

import (
	"testing"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// BenchmarkSession is the path of every request of a signed-in person.
func BenchmarkSession(b *testing.B) {
	r := newRig(b)
	p := r.person("alice")
	need := auth.Requirement{Mode: auth.ModeSignedIn, Allow: []auth.Principal{{User: "alice"}}}
	b.ReportAllocs()
	for b.Loop() {
		s, u, err := r.Session(b.Context(), host, p.home.v.Session)
		if err != nil || auth.Decide(r.clock.Now(), need, u, s) != auth.Allow {
			b.Fatal(err)
		}
	}
}

// BenchmarkForgedCookie is what a cookie costs that we did not make.
func BenchmarkForgedCookie(b *testing.B) {
	r := newRig(b)
	p := r.person("alice")
	forged := []byte(p.home.v.Session)
	forged[len(forged)/2] ^= 1
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := r.Session(b.Context(), host, string(forged)); err == nil {
			b.Fatal("let through")
		}
	}
}

func TestSessionAllocatesNothing(t *testing.T) {
	r := newRig(t)
	p := r.person("alice")
	allocs := testing.AllocsPerRun(100, func() {
		if _, _, err := r.Session(t.Context(), host, p.home.v.Session); err != nil {
			t.Fatal(err)
		}
	})
	if allocs > 0 {
		t.Errorf("%v allocations a request", allocs)
	}
}
