package auth_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// leave signs a guest out by the cookie that opened a link.
func (r *rig) leave(cookie string) {
	r.t.Helper()
	out, err := r.LeaveGuestLink(r.t.Context(), auth.Visit{Host: host, Guest: cookie})
	if err != nil || len(out) != 1 || out[0].Name != auth.CookieGuest || out[0].Value != "" {
		r.t.Fatal(out, err)
	}
}

// TestGuestLeaves: whoever leaves is out, with every copy of the cookie and all that goes on. Nobody else is.
func TestGuestLeaves(t *testing.T) { // S54, S57
	r := newRig(t)
	r.bearer()
	token, link := r.link(nil)
	one, two := r.guest(token), r.guest(token)
	if one == two {
		t.Fatal("two who opened a link have one cookie")
	}
	watch := func(cookie string) interface{ ended(testing.TB) } {
		s, _, err := r.Guest(t.Context(), cookie)
		if err != nil {
			t.Fatal(err)
		}
		return r.watchSession(s, everybody)
	}
	stream, other := watch(one), watch(two)
	var wg sync.WaitGroup
	for range 50 { // S91: once is what counts
		wg.Go(func() { r.leave(one) })
	}
	wg.Wait()
	stream.ended(t)
	for range 2 {
		if d := r.opens(one, everybody, page("/page")); d == auth.Allow {
			t.Error("who has left passes")
		}
		if d := r.opens(two, everybody, page("/page")); d != auth.Allow {
			t.Errorf("who has not: %v", d)
		}
		r.leave("forged")
		r.leave("")
		r.leave(one)
	}
	if d := r.opens(r.guest(token), everybody, page("/page")); d != auth.Allow {
		t.Errorf("who comes back: %v", d)
	}
	links, err := r.GuestLinks(t.Context(), "alice")
	if err != nil || len(links) != 1 || len(links[0].Guest.Left) != 1 || links[0].Used.IsZero() {
		t.Errorf("%+v, %v", links, err)
	}
	left := 0
	for _, e := range r.events() {
		if strings.Contains(e, string(auth.EventLinkLeft)) {
			left++
		}
	}
	if left != 1 { // S77
		t.Errorf("%d events of it", left)
	}
	if _, err := r.RevokeGuestLink(t.Context(), link.ID); err != nil {
		t.Fatal(err)
	}
	other.ended(t)
	r.leave(two)
}

// TestGuestsWhoLeaveFillNothing: a link is opened and left as often as anybody likes, and its record does not grow with that.
func TestGuestsWhoLeaveFillNothing(t *testing.T) {
	r := newRig(t)
	r.bearer()
	token, _ := r.link(func(n *auth.NewGuestLink) { n.For = time.Hour })
	for range 250 {
		r.leave(r.guest(token))
	}
	links, err := r.GuestLinks(t.Context(), "alice")
	if err != nil || len(links[0].Guest.Left) != 200 {
		t.Errorf("%d have left, %v", len(links[0].Guest.Left), err)
	}
}

func TestGuestLeavesWhileTheStoreFails(t *testing.T) { // S54, S76
	base := newRig(t)
	store := &forgetful{Store: base.store}
	r := newRigOn(t, base.clock, store)
	t.Cleanup(func() { r.state.Close() })
	r.bearer()
	token, _ := r.link(nil)
	cookie := r.guest(token)
	if d := r.opens(cookie, everybody, page("/page")); d != auth.Allow {
		t.Fatal(d)
	}
	store.fails = true
	if out, err := r.LeaveGuestLink(t.Context(), auth.Visit{Host: host, Guest: cookie}); !errors.Is(err, errBroken) || out != nil {
		t.Errorf("%v, %v", out, err)
	}
	store.fails = false
	if d := r.opens(cookie, everybody, page("/page")); d == auth.Allow {
		t.Error("who has left by the store passes")
	}
}
