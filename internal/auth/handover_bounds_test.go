package auth_test

import (
	"errors"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// What keeps sessions from being handed over unasked, to others, or without end.

// A host that the portal does not list by its name gets a code only after the person has confirmed it: once in a session, and for that host.
func TestHandOverUnconfirmed(t *testing.T) { // S65
	r := newPortalRig(t)
	r.Realm = r.realm(func(c *auth.Config) {
		r.change(c)
		c.Portal.Names = func(h string) bool { return h == secondHost }
	})
	alice := r.person("alice")
	a := alice.home.at(firstHost)
	try := func(home *browser, confirmed bool, want error) string {
		t.Helper()
		code, target, err := r.HandOver(t.Context(), home.v, r.target(a, "/deep?x=1"), confirmed)
		if !errors.Is(err, want) || (code != "") != (want == nil) || target.Host != firstHost {
			t.Fatalf("code %q for %+v: %v", code, target, err)
		}
		return code
	}
	try(alice.home, false, auth.ErrUnconfirmed)
	if n := len(r.keys("handover/")); n > 0 {
		t.Errorf("%d codes were made", n)
	}
	r.handOver(alice.home, secondHost)
	try(alice.home, false, auth.ErrUnconfirmed)
	won, errs := race(50, func(int) error {
		_, _, err := r.HandOver(t.Context(), alice.home.v, r.target(alice.home.at(firstHost), "/"), false)
		return err
	})
	if won > 0 {
		t.Errorf("%d of 50 got a code: %v", won, errs)
	}
	try(alice.home, true, nil)
	if s := r.live(alice.home); len(r.keys("handover/")) == 0 || s.Host != host {
		t.Error("nothing was made")
	}
	r.takeOver(a, try(alice.home, false, nil))
	// More is proven in the session, which goes on; what it holds is not lost.
	r.clock.Add(2 * time.Minute)
	r.must(alice.home, auth.StepVerify)(r.Change(t.Context(), alice.home.v, auth.Change{Op: auth.ChangeProve, MaxAge: time.Minute}, ""))
	r.must(alice.home, auth.StepDone)(r.Prove(t.Context(), alice.home.v, auth.MethodTOTP, []byte(alice.now())))
	try(alice.home, false, nil)
	// Another session has confirmed nothing, and nil names nothing.
	other := newBrowser()
	r.clock.Add(time.Minute)
	r.signIn(alice, other)
	try(other, false, auth.ErrUnconfirmed)
	r.Realm = r.realm(r.change)
	try(other, false, nil)
	r.Realm = r.realm(func(c *auth.Config) {
		c.Portal = &auth.Portal{Host: host, Lists: func(h string) bool { return h == firstHost }}
	})
	try(other, false, auth.ErrUnconfirmed)
}

// What the browser had for a cookie binds nothing: somebody else may know it.
func TestTargetsAreBoundAnew(t *testing.T) { // S26
	r := newPortalRig(t)
	alice := r.person("alice")
	mallory := newBrowser().at(firstHost)
	r.target(mallory, "/")
	b := alice.home.at(firstHost)
	b.v.Flow = mallory.v.Flow // planted
	to, cookies, err := r.SealTarget(b.v, "/deep?x=1")
	if err != nil || len(cookies) != 1 || cookies[0].Name != auth.CookieFlow || cookies[0].Value == mallory.v.Flow {
		t.Fatalf("cookies %v: %v", cookies, err)
	}
	for range 2 {
		code, _, err := r.HandOver(t.Context(), alice.home.v, to, false)
		if err != nil {
			t.Fatal(err)
		}
		if _, got, err := r.TakeOver(t.Context(), mallory.v, code); err != nil || len(got) > 0 {
			t.Fatalf("the planted cookie got %v: %v", got, err)
		}
	}
	code, _, err := r.HandOver(t.Context(), alice.home.v, to, false)
	if err != nil {
		t.Fatal(err)
	}
	b.take(auth.Outcome{Cookies: cookies})
	r.takeOver(b, code)
}

// A session gets so many codes in a minute, however many ask at once; others have a count of their own.
func TestHandOversAreCounted(t *testing.T) { // S13
	r := newPortalRig(t)
	alice := r.person("alice")
	b := alice.home.at(firstHost)
	to := r.target(b, "/")
	ask := func(home *browser) error {
		_, _, err := r.HandOver(t.Context(), home.v, to, false)
		return err
	}
	for range 40 {
		if err := ask(alice.home); err != nil {
			t.Fatal(err)
		}
	}
	won, errs := race(50, func(int) error { return ask(alice.home) })
	if n := len(r.keys("handover/")); won > 20 || n != 40+int(won) {
		t.Errorf("%d of 50 got a code, %d in all: %v", won, n, errs)
	}
	for ask(alice.home) == nil { // what the race did not use up
	}
	var slow *auth.Throttled
	if err := ask(alice.home); !errors.As(err, &slow) || !slow.Visits || slow.RetryAfter <= 0 || slow.RetryAfter > time.Minute {
		t.Errorf("got %v", err)
	}
	if n := len(r.keys("handover/")); n != 60 {
		t.Errorf("%d codes", n)
	}
	bob := r.person("bob")
	if err := ask(bob.home); err != nil {
		t.Errorf("somebody else: %v", err)
	}
	r.clock.Add(time.Minute)
	if err := ask(alice.home); err != nil {
		t.Errorf("a minute later: %v", err)
	}
}
