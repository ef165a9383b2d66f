package auth_test

import (
	"fmt"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/storage"
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

// each of people has so many sessions, or tokens.
const people, each = 1000, 100

func crowd(b *testing.B, r *rig) (users []auth.User) {
	b.Helper()
	for i := range people {
		u, _, err := r.AddUser(b.Context(), auth.NewUser{Name: fmt.Sprintf("user%d", i), Groups: []string{"ops", "dev"}, Password: password})
		if err != nil {
			b.Fatal(err)
		}
		users = append(users, u)
	}
	return users
}

// BenchmarkManySessions is what 100,000 sessions keep in memory that were all in use a moment ago, of 1000 people.
func BenchmarkManySessions(b *testing.B) {
	r := newRig(b)
	users := crowd(b, r)
	now := r.clock.Now()
	var cookies []string
	for _, u := range users {
		err := r.store.Update(b.Context(), func(tx storage.Tx) error {
			for range each {
				cookie, err := r.state.PutSession(tx, auth.Session{
					UserID: u.ID, Epoch: u.Epoch, Host: host, Created: now, Seen: now, IdleEnd: now.Add(time.Hour), End: now.Add(24 * time.Hour),
					Addr: "192.0.2.1", Browser: "Firefox 140", OS: "Linux",
					Proofs: []auth.Proof{
						{Method: auth.MethodPassword, Kinds: auth.Knowledge, Credential: u.ID, At: now},
						{Method: auth.MethodTOTP, Kinds: auth.Possession, Credential: u.ID, At: now},
					},
				})
				if err != nil {
					return err
				}
				cookies = append(cookies, cookie)
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	r.reopen(secret) // as it is after the store has put what it wrote in order
	before := live()
	for b.Loop() {
		for _, c := range cookies {
			if _, _, err := r.Session(b.Context(), host, c); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(live()-before)/(1<<20), "MiB")
	runtime.KeepAlive(cookies)
}

// BenchmarkManyAccessTokens is what 100,000 access tokens keep in memory, of 1000 people: once they are made, and when all were in use a
// moment ago.
func BenchmarkManyAccessTokens(b *testing.B) {
	r := newRig(b)
	users := crowd(b, r)
	now := r.clock.Now()
	tokens := make([]string, people*each)
	for i := range tokens {
		tokens[i] = auth.MakeAccessToken()
	}
	r.reopen(secret) // before and after, for what the store takes to write is not the tokens'
	none := live()
	for i, u := range users {
		err := r.store.Update(b.Context(), func(tx storage.Tx) error {
			for n, token := range tokens[i*each : (i+1)*each] {
				err := r.state.PutAccessToken(tx, token, auth.AccessToken{
					UserID: u.ID, Epoch: u.Epoch, Label: fmt.Sprintf("script %d", n), Created: now, Expires: now.Add(90 * 24 * time.Hour),
					TokenLimits: auth.TokenLimits{Hosts: []string{host}, Paths: []string{"/api/*"}, Methods: []string{"GET"}},
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	r.reopen(secret)
	made := live()
	for b.Loop() {
		for _, token := range tokens {
			if _, _, err := r.AccessToken(b.Context(), token, netip.MustParseAddr("192.0.2.1")); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(made-none)/(1<<20), "MiB-made")
	b.ReportMetric(float64(live()-none)/(1<<20), "MiB")
	runtime.KeepAlive(tokens)
}

// live is the size of the live heap.
func live() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
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
