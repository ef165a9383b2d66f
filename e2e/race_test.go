package e2e

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
)

const (
	sessionCookie = "__Host-mfa"
	freshCode     = "code of the phone"
	freshRecovery = "recovery code"
)

// atOnce calls f n times as simultaneously as it gets, and counts what the calls return.
func atOnce[T comparable](n int, f func(i int) T) map[T]int {
	var wg sync.WaitGroup
	var mu sync.Mutex
	counts := map[T]int{}
	gate := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-gate
			v := f(i)
			mu.Lock()
			defer mu.Unlock()
			counts[v]++
		})
	}
	close(gate)
	wg.Wait()
	return counts
}

// TestParallelGuessesCannotBeatTheLimit guesses a password from 200 browsers at the same moment.
func TestParallelGuessesCannotBeatTheLimit(t *testing.T) { // S13
	t.Parallel()
	s := start(t, rig.Config{})
	alice, _ := enrolled(t, s, "alice")
	guess := func(int) int {
		page, err := rig.NewVisitor(s.URL).Post(t.Context(), "/.mfa/login", url.Values{"name": {alice.Name}, "password": {"a wrong guess"}})
		if err != nil {
			t.Error(err)
			return 0
		}
		return page.Status
	}
	// 503 means that the server had no time to look at the guess; it is taken again.
	got, left := map[int]int{}, 200
	for left > 0 {
		round := atOnce(left, guess)
		left = round[http.StatusServiceUnavailable]
		delete(round, http.StatusServiceUnavailable)
		if len(round) == 0 {
			t.Fatal("the server had time for no guess at all")
		}
		for status, n := range round {
			got[status] += n
		}
	}
	if got[http.StatusUnauthorized] == 0 || got[http.StatusUnauthorized] > 5 || got[http.StatusUnauthorized]+got[http.StatusTooManyRequests] != 200 {
		t.Errorf("200 guesses got %v, want at most 5 times 401 and else 429", got)
	}
	page, err := rig.NewVisitor(s.URL).Post(t.Context(), "/.mfa/login", url.Values{"name": {alice.Name}, "password": {alice.Password}})
	if err != nil {
		t.Fatal(err)
	}
	if page.Status != http.StatusTooManyRequests || page.Header.Get("Retry-After") == "" {
		t.Errorf("a stranger's right password gets %d with Retry-After %q, want 429 and a time", page.Status, page.Header.Get("Retry-After"))
	}
}

// TestOneCodeOpensOneSession uses one code in 50 half-finished sign-ins at the same moment.
func TestOneCodeOpensOneSession(t *testing.T) { // S17, S33
	t.Parallel()
	for _, tc := range []struct {
		name, path string
		code       func(*rig.Person) string
	}{
		{freshCode, "/.mfa/verify/totp", func(p *rig.Person) string { return code(t, p.Phone) }},
		{freshRecovery, "/.mfa/verify/recovery", func(p *rig.Person) string { return p.Recovery[0] }},
		{"recovery code as code of the phone", "/.mfa/verify/totp", func(p *rig.Person) string { return p.Recovery[0] }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := start(t, rig.Config{Caddyfile: rig.Proxied})
			alice, _ := enrolled(t, s, "alice")
			flows := make([]*rig.Visitor, 50)
			for i := range flows {
				flows[i] = halfway(t, s, alice, fmt.Sprintf("2001:db8:0:%x::1", i)) // one address may not be wrong 49 times
			}
			one := tc.code(alice)
			got := atOnce(len(flows), func(i int) bool {
				if _, err := flows[i].Post(t.Context(), tc.path, url.Values{"code": {one}}); err != nil {
					t.Error(err)
				}
				return signedIn(t, flows[i])
			})
			if want := map[bool]int{true: 1, false: len(flows) - 1}; !maps.Equal(got, want) {
				t.Errorf("sessions opened: %v, want exactly one", got)
			}
			page, err := halfway(t, s, alice, "203.0.113.1").Post(t.Context(), tc.path, url.Values{"code": {one}})
			if err != nil {
				t.Fatal(err)
			}
			if page.Status != http.StatusUnauthorized && page.Status != http.StatusTooManyRequests {
				t.Errorf("the used code gets %d afterwards, want 401 or 429", page.Status)
			}
		})
	}
}

// TestOneChallengeOpensOneSession sends one answer of a key 50 times at the same moment.
func TestOneChallengeOpensOneSession(t *testing.T) { // S38
	t.Parallel()
	s := start(t, rig.Config{Caddyfile: rig.Proxied})
	alice, member := enrolled(t, s, "alice")
	device := rig.Device(s.URL)
	if err := alice.AddKey(t.Context(), member, device, "Laptop"); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, button string
		page         func(v *rig.Visitor) (*rig.Page, error)
	}{
		{"passkey", rig.ButtonPasskey, func(v *rig.Visitor) (*rig.Page, error) { return v.Get(t.Context(), "/.mfa/login") }},
		{"second step", rig.ButtonKey, func(v *rig.Visitor) (*rig.Page, error) {
			page, err := v.Get(t.Context(), "/.mfa/login")
			if err != nil {
				return nil, err
			}
			return rig.Fill(t.Context(), page, "Sign in", map[string]string{"Username or email": alice.Name, "Password": alice.Password})
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v := rig.NewVisitor(s.URL)
			page, err := tc.page(v)
			if err != nil {
				t.Fatal(err)
			}
			f, err := page.Form(tc.button)
			if err != nil {
				t.Fatal(err)
			}
			if err := f.Sign(device.Get(f.Key)); err != nil {
				t.Fatal(err)
			}
			same := make([]*rig.Visitor, 50)
			for i := range same {
				same[i] = v.Clone()
				same[i].Addr = fmt.Sprintf("2001:db8:0:%x::1", i) // one address may not be wrong 49 times
			}
			got := atOnce(len(same), func(i int) bool {
				if _, err := same[i].Post(t.Context(), f.Action.Path, f.Values); err != nil {
					t.Error(err)
				}
				return signedIn(t, same[i])
			})
			if want := map[bool]int{true: 1, false: len(same) - 1}; !maps.Equal(got, want) {
				t.Errorf("sessions opened: %v, want exactly one", got)
			}
			late := v.Clone()
			if _, err := late.Post(t.Context(), f.Action.Path, f.Values); err != nil {
				t.Fatal(err)
			}
			if signedIn(t, late) {
				t.Error("the answer opened another session afterwards")
			}
		})
	}
}

// halfway returns a visitor who has given the password and is asked for the second method.
func halfway(t *testing.T, s *rig.Server, p *rig.Person, addr string) *rig.Visitor {
	t.Helper()
	v := rig.NewVisitor(s.URL)
	v.Addr = addr
	page, err := v.Post(t.Context(), "/.mfa/login", url.Values{"name": {p.Name}, "password": {p.Password}})
	if err != nil {
		t.Fatal(err)
	}
	if to := page.Header.Get("Location"); page.Status != http.StatusSeeOther || !strings.Contains(to, "/.mfa/verify/totp") {
		t.Fatalf("the password leads to %d %s: %s", page.Status, to, page.Text())
	}
	if signedIn(t, v) { // S53
		t.Fatal("a password alone reaches the app")
	}
	return v
}

// signedIn reports whether the app answers the visitor.
func signedIn(t *testing.T, v *rig.Visitor) bool {
	t.Helper()
	page, err := v.Fetch(t.Context(), "/headers")
	if err != nil {
		t.Error(err)
		return false
	}
	return page.Status == http.StatusOK
}
