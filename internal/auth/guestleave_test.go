package auth_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
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

// TestGuestsWhoLeaveFillNothing: a link is opened and left as often as anybody likes, and its record does not grow with that. Who is not
// noted any more is told, and so is the maker, once.
func TestGuestsWhoLeaveFillNothing(t *testing.T) { // S77
	r := newRig(t)
	alice, _, _ := r.bearer()
	token, _ := r.link(func(n *auth.NewGuestLink) { n.For = time.Hour })
	first := r.guest(token)
	r.leave(first)
	for range 199 {
		r.leave(r.guest(token))
	}
	for range 50 {
		cookie := r.guest(token)
		out, err := r.LeaveGuestLink(t.Context(), auth.Visit{Host: host, Guest: cookie})
		if !errors.Is(err, auth.ErrGuestsLeft) || len(out) != 1 || out[0].Name != auth.CookieGuest || out[0].Value != "" {
			t.Fatal(out, err)
		}
		if d := r.opens(cookie, everybody, page("/page")); d != auth.Allow {
			t.Fatalf("it is said that a copy passes, and it does not: %v", d)
		}
	}
	r.leave(first) // who has left has, also now
	links, err := r.GuestLinks(t.Context(), "alice")
	if err != nil || len(links[0].Guest.Left) != 200 {
		t.Errorf("%d have left, %v", len(links[0].Guest.Left), err)
	}
	count := map[string]int{}
	for _, e := range r.events() {
		count[e]++
	}
	if count[auth.EventLinkLeft] != 200 || count[auth.EventLinkFull] != 1 {
		t.Errorf("%v", count)
	}
	events, err := r.Activity(t.Context(), alice.user(r))
	if err != nil || len(events) == 0 || events[0].Name != auth.EventLinkFull {
		t.Errorf("the maker is not told: %v, %v", events, err)
	}
}

// TestGuestsTakeLittleOfTheActivity: whoever has a link cannot push off the page what else happened to the account of its maker.
func TestGuestsTakeLittleOfTheActivity(t *testing.T) { // S77
	r := newRig(t)
	alice, _, _ := r.bearer()
	before, err := r.Activity(t.Context(), alice.user(r))
	if err != nil || len(before) == 0 {
		t.Fatal(before, err)
	}
	token, _ := r.link(func(n *auth.NewGuestLink) { n.For = auth.MaxGuestTime })
	other, _ := r.link(nil)
	count := func(events []auth.Event) (guests int) {
		for _, e := range events {
			if e.Name == auth.EventLinkOpened || e.Name == auth.EventLinkLeft {
				guests++
			}
		}
		return guests
	}
	activity := func(want int) {
		t.Helper()
		events, err := r.Activity(t.Context(), alice.user(r))
		if err != nil {
			t.Fatal(err)
		}
		if n := count(events); n != want {
			t.Errorf("%d events of guests are shown, want %d", n, want)
		}
		if len(events) < len(before) || !slices.EqualFunc(events[len(events)-len(before):], before, func(a, b auth.Event) bool { return a.Name == b.Name && a.Time.Equal(b.Time) }) {
			t.Errorf("of %d events what was there before is gone", len(events))
		}
	}
	for range 120 {
		r.leave(r.guest(token))
	}
	activity(10)
	r.guest(other) // another link has its own
	activity(11)
	r.clock.Add(8 * 24 * time.Hour)
	r.guest(token)
	activity(12)
	logged := 0
	for _, e := range r.events() {
		if e == auth.EventLinkOpened || e == auth.EventLinkLeft {
			logged++
		}
	}
	if logged != 242 {
		t.Errorf("%d events are logged", logged)
	}
}

// TestLeavingInALoopCostsNobody: where nothing changes, what the cache knows of everybody stays, and an address has a limit.
func TestLeavingInALoopCostsNobody(t *testing.T) { // S13
	r := newRig(t)
	r.bearer()
	token, link := r.link(nil)
	cookie, revoked := r.guest(token), r.guest(token)
	before := r.state.Invalidations()
	r.leave(cookie)
	if r.state.Invalidations() == before {
		t.Error("who leaves is kept in memory")
	}
	if d := r.opens(cookie, everybody, page("/page")); d == auth.Allow {
		t.Error("who has left passes")
	}
	if _, err := r.RevokeGuestLink(t.Context(), link.ID); err != nil {
		t.Fatal(err)
	}
	full, _ := r.link(nil)
	for range 200 {
		r.leave(r.guest(full))
	}
	beyond := r.guest(full)
	before = r.state.Invalidations()
	for name, cookie := range map[string]string{"has left": cookie, "revoked": revoked, "full": beyond, "forged": "x", "none": ""} {
		if _, err := r.LeaveGuestLink(t.Context(), auth.Visit{Host: host, Guest: cookie}); err != nil && !errors.Is(err, auth.ErrGuestsLeft) {
			t.Fatal(name, err)
		}
		if r.state.Invalidations() != before {
			t.Errorf("%s: the cache was emptied", name)
		}
	}
	token, _ = r.link(nil)
	v, slow := auth.Visit{Host: host, Addr: netip.MustParseAddr("198.51.100.7")}, (*auth.Throttled)(nil)
	for range 30 {
		v.Guest = r.guest(token)
		if _, err := r.LeaveGuestLink(t.Context(), v); err != nil {
			t.Fatal(err)
		}
	}
	v.Guest = r.guest(token)
	if out, err := r.LeaveGuestLink(t.Context(), v); !errors.As(err, &slow) || out != nil {
		t.Errorf("in a loop: %v, %v", out, err)
	}
	if d := r.opens(v.Guest, everybody, page("/page")); d != auth.Allow {
		t.Errorf("who was told to wait is out: %v", d)
	}
	r.clock.Add(time.Minute)
	if _, err := r.LeaveGuestLink(t.Context(), v); err != nil {
		t.Error(err)
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

// TestGuestSeen: a page about the link is no use of it, and neither is the cookie of somebody who has left.
func TestGuestSeen(t *testing.T) { // S55
	r := newRig(t)
	r.bearer()
	token, _ := r.link(nil)
	cookie, gone := r.guest(token), r.guest(token)
	seen := func(look func(context.Context, string) (*auth.Session, *auth.User, error), cookie string) time.Time {
		t.Helper()
		s, _, err := look(t.Context(), cookie)
		if err != nil {
			t.Fatal(err)
		}
		return s.Seen
	}
	r.leave(gone)
	before := seen(r.PeekGuest, cookie)
	r.clock.Add(5 * time.Minute)
	for _, look := range []func(context.Context, string) (*auth.Session, *auth.User, error){r.PeekGuest, r.Realm.Guest} {
		if _, _, err := look(t.Context(), gone); !errors.Is(err, auth.ErrNoSession) {
			t.Errorf("who has left: %v", err)
		}
		if now := seen(r.PeekGuest, cookie); !now.Equal(before) {
			t.Errorf("seen at %v, not %v", now, before)
		}
	}
	if now := seen(r.Realm.Guest, cookie); !now.Equal(r.clock.Now()) {
		t.Errorf("in use: seen at %v", now)
	}
}
