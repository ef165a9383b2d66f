package auth_test

import (
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// guestVisit is a browser that has loaded the page of a link.
func (r *rig) guestVisit() *auth.Visit {
	v := &auth.Visit{Host: host, Addr: netip.MustParseAddr("192.0.2.9")}
	c, _ := r.PreFlow(*v)
	v.Flow = c.Value
	return v
}

// guestCode has a code mailed for a browser, which keeps what it is bound to.
func (r *rig) guestCode(v *auth.Visit, token string) string {
	r.t.Helper()
	cookies, err := r.SendGuestCode(r.t.Context(), *v, token)
	if err != nil || len(cookies) != 1 || cookies[0].Name != auth.CookieGuestCode || cookies[0].MaxAge != 10*time.Minute {
		r.t.Fatal(cookies, err)
	}
	v.GuestCode = cookies[0].Value
	return codeOf(r.t, r.letter("guest@example.net", "code"))
}

func toGuest(n *auth.NewGuestLink) { n.Guest.Email = "guest@example.net" }

// TestGuestCodeSurvivesOtherTabs: what happens in other tabs of a browser, at a sign-in or with another link, does not void a code that is out.
func TestGuestCodeSurvivesOtherTabs(t *testing.T) { // S26
	r := newMailRig(t)
	r.bearer()
	one, _ := r.link(toGuest)
	two, _ := r.link(toGuest)
	v := r.guestVisit()
	first := r.guestCode(v, one)
	v.Flow = r.guestVisit().Flow // as a gate sets it that sends somebody to the portal, and each proof of a sign-in
	second := r.guestCode(v, two)
	v.Flow = ""
	for token, code := range map[string]string{one: second, two: first} {
		if _, _, err := r.OpenGuestLink(t.Context(), *v, token, code); !errors.Is(err, auth.ErrRejected) {
			t.Errorf("the code of another link: %v", err)
		}
	}
	for token, code := range map[string]string{one: first, two: second} {
		thief := r.guestVisit()
		for name, other := range map[string]string{"none": "", "another's": r.guestVisit().Flow, "a flow's": v.Flow, "forged": v.GuestCode + "x"} {
			thief.GuestCode = other
			if _, _, err := r.OpenGuestLink(t.Context(), *thief, token, code); !errors.Is(err, auth.ErrRejected) {
				t.Errorf("in another browser, with a cookie that is %s: %v", name, err)
			}
		}
		if _, cookies, err := r.OpenGuestLink(t.Context(), *v, token, code); err != nil || len(cookies) != 1 {
			t.Errorf("%v, %v", cookies, err)
		}
	}
}

// TestGuestCodeShut: after a hundred wrong codes in a row no further one is taken or sent, for the whole life of the link.
func TestGuestCodeShut(t *testing.T) { // S10, S13, S14
	r := newMailRig(t)
	r.bearer()
	long := func(n *auth.NewGuestLink) { toGuest(n); n.For = auth.MaxGuestTime }
	token, _ := r.link(long)
	other, _ := r.link(long)
	in := r.guestVisit()
	code := r.guestCode(in, token)
	_, cookies, err := r.OpenGuestLink(t.Context(), *in, token, code)
	if err != nil {
		t.Fatal(err)
	}
	wrong := func(v *auth.Visit, times int) (counted int) {
		t.Helper()
		var wg sync.WaitGroup
		var n atomic.Int32
		for range times {
			wg.Go(func() {
				hint := (*auth.Hint)(nil)
				switch _, _, err := r.OpenGuestLink(t.Context(), *v, token, "x"); {
				case errors.Is(err, auth.ErrGuestShut):
				case !errors.Is(err, auth.ErrRejected):
					t.Error(err)
				case !errors.As(err, &hint) || hint.ID != "hint.code.spent":
					n.Add(1)
				}
			})
		}
		wg.Wait()
		return int(n.Load())
	}
	next := func() (v *auth.Visit, code string) {
		t.Helper()
		r.clock.Add(3 * time.Hour) // ten a day
		v = r.guestVisit()
		return v, r.guestCode(v, token)
	}
	v, code := next()
	if n := wrong(v, 4); n != 4 { // and then right: the count begins anew
		t.Fatalf("%d were counted", n)
	}
	if _, _, err := r.OpenGuestLink(t.Context(), *v, token, code); err != nil {
		t.Fatal(err)
	}
	for total := 0; total < 95; total += 5 {
		v, _ := next()
		if n := wrong(v, 50); n != 5 {
			t.Fatalf("%d answers to one code were counted", n)
		}
	}
	v, code = next()
	late := r.guestVisit()
	lateCode := r.guestCode(late, token)
	if n := wrong(v, 50); n != 5 {
		t.Fatalf("%d answers to the last code were counted", n)
	}
	for _, c := range []struct {
		v    *auth.Visit
		code string
	}{{v, code}, {late, lateCode}, {late, "x"}} {
		if _, cookies, err := r.OpenGuestLink(t.Context(), *c.v, token, c.code); !errors.Is(err, auth.ErrGuestShut) || cookies != nil {
			t.Errorf("after a hundred: %v, %v", cookies, err)
		}
	}
	r.clock.Add(48 * time.Hour)
	if _, err := r.SendGuestCode(t.Context(), *late, token); !errors.Is(err, auth.ErrGuestShut) {
		t.Errorf("a further code: %v", err)
	}
	if d := r.opens(cookies[0].Value, everybody, page("/page")); d != auth.Allow {
		t.Errorf("whoever was in is out: %v", d)
	}
	v = r.guestVisit()
	if _, _, err := r.OpenGuestLink(t.Context(), *v, other, r.guestCode(v, other)); err != nil {
		t.Errorf("another link: %v", err)
	}
}
