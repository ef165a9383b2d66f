package auth_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/storage"
)

// link makes a link in the name of alice. change may be nil.
func (r *rig) link(change func(*auth.NewGuestLink)) (token string, link auth.GuestLink) {
	r.t.Helper()
	n := auth.NewGuestLink{Maker: "alice", Host: host, Guest: auth.Guest{Path: "/page"}, Also: []string{"/assets/*"}, For: 24 * time.Hour}
	if change != nil {
		change(&n)
	}
	token, link, err := r.MakeGuestLink(r.t.Context(), n)
	if err != nil {
		r.t.Fatal(err)
	}
	return token, link
}

// guest opens a link that asks for no code, and returns the cookie.
func (r *rig) guest(token string) string {
	r.t.Helper()
	to, cookies, err := r.OpenGuestLink(r.t.Context(), auth.Visit{Host: host, Addr: netip.MustParseAddr("192.0.2.9")}, token, "")
	if err != nil || len(cookies) != 1 || cookies[0].Name != auth.CookieGuest || to[0] != '/' {
		r.t.Fatalf("%q, %v, %v", to, cookies, err)
	}
	return cookies[0].Value
}

// page is a request for the page of a link.
func page(path string) auth.Place {
	return auth.Place{Host: host, Method: "GET", Paths: []string{path, path}}
}

// opens reports what becomes of a guest's request.
func (r *rig) opens(cookie string, need *auth.Requirement, at auth.Place) auth.Decision {
	r.t.Helper()
	s, u, err := r.Guest(r.t.Context(), cookie)
	if err != nil && !errors.Is(err, auth.ErrNoSession) {
		r.t.Fatal(err)
	}
	return auth.DecideToken(r.clock.Now(), *need, u, s, at)
}

func TestGuestLinkScope(t *testing.T) { // S70
	r := newRig(t)
	r.bearer("ops")
	token, link := r.link(func(n *auth.NewGuestLink) { n.Guest.Path, n.Guest.Query = "/über uns", "id=1" })
	cookie := r.guest(token)
	sent := "/%C3%BCber%20uns"
	at := func(change func(*auth.Place)) auth.Place {
		p := auth.Place{Host: host, Method: "GET", Paths: []string{"/über uns", sent}, Query: "id=1"}
		change(&p)
		return p
	}
	paths := func(paths ...string) auth.Place { return at(func(p *auth.Place) { p.Paths = paths }) }
	for name, c := range map[string]struct {
		at   auth.Place
		want auth.Decision
	}{
		"the page":          {at(func(*auth.Place) {}), auth.Allow},
		"HEAD":              {at(func(p *auth.Place) { p.Method = "HEAD" }), auth.Allow},
		"beside it":         {at(func(p *auth.Place) { p.Paths, p.Query = []string{"/assets/a.css", "/assets/a.css"}, "v=3" }), auth.Allow},
		"POST":              {at(func(p *auth.Place) { p.Method = "POST" }), auth.Deny},
		"another host":      {at(func(p *auth.Place) { p.Host = "wiki.example.com" }), auth.Deny},
		"another query":     {at(func(p *auth.Place) { p.Query = "id=2" }), auth.Deny},
		"no query":          {at(func(p *auth.Place) { p.Query = "" }), auth.Deny},
		"below the page":    {paths("/über uns/x", sent+"/x"), auth.Deny},
		"sent otherwise":    {paths("/über uns", "/%c3%bcber%20uns"), auth.Deny},
		"one reading of it": {paths("/assets/a", "/assets%2Fa"), auth.Deny},
		"no reading":        {paths(), auth.Deny},
		"the start page":    {paths("/", "/"), auth.Deny},
	} {
		t.Run(name, func(t *testing.T) {
			if got := r.opens(cookie, everybody, c.at); got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
	ops := []auth.Principal{{Group: "ops"}}
	for name, c := range map[string]struct {
		need auth.Requirement
		want auth.Decision
	}{
		"the maker may":         {auth.Requirement{Mode: auth.ModeSignedIn, Allow: ops}, auth.Allow},
		"the maker may not":     {auth.Requirement{Mode: auth.ModeSignedIn, Allow: []auth.Principal{{Group: "admins"}}}, auth.Deny},
		"guest's own name":      {auth.Requirement{Mode: auth.ModeSignedIn, Allow: []auth.Principal{{User: "guest:" + link.ID}}}, auth.Deny},
		"asks for a method":     {auth.Requirement{Mode: auth.ModeSignedIn, Methods: []string{auth.MethodTOTP}}, auth.StepUp},
		"tokens do for methods": {auth.Requirement{Mode: auth.ModeSignedIn, Methods: []string{auth.MethodTOTP}, Tokens: auth.TokensAllowed}, auth.StepUp},
		"asks for a fresh one":  {auth.Requirement{Mode: auth.ModeSignedIn, MaxAge: time.Hour, Tokens: auth.TokensAllowed}, auth.StepUp},
		"no tokens":             {auth.Requirement{Mode: auth.ModeSignedIn, Tokens: auth.TokensDenied}, auth.StepUp},
		"nothing said":          {auth.Requirement{}, auth.Deny},
	} {
		t.Run(name, func(t *testing.T) {
			if got := r.opens(cookie, &c.need, at(func(*auth.Place) {})); got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
	s, u, err := r.Guest(t.Context(), cookie)
	if err != nil {
		t.Fatal(err)
	}
	if d := auth.Decide(r.clock.Now(), *everybody, u, s); d != auth.SignIn { // S53
		t.Errorf("as a session: %v", d)
	}
	if g := s.Access.Guest.User(); g.Name != "guest:"+link.ID || g.Email != "" || len(g.Groups) > 0 || g.Display() != "Guest" {
		t.Errorf("the app learns of %+v", g)
	}
	assertion, err := r.Assertion(t.Context(), auth.AlgEdDSA, issuer, host, s, s.Access.Guest.User()) // S67
	if err != nil {
		t.Fatal(err)
	}
	_, claims := claimed(t, assertion, r.jwks())
	now := float64(r.clock.Now().Unix())
	if got, want := asJSON(t, claims), asJSON(t, map[string]any{
		"iss": issuer, "sub": "guest:" + link.ID, "aud": host, "iat": now, "nbf": now, "exp": now + 60, "preferred_username": "guest:" + link.ID, "name": "Guest", "groups": []any{},
	}); got != want {
		t.Errorf("asserted %s\nwant     %s", got, want)
	}
	if _, err := auth.FoldName("guest:" + link.ID); err == nil {
		t.Error("a user may be called like a guest")
	}
	if _, _, err := r.AccessToken(t.Context(), token, netip.Addr{}); !errors.Is(err, auth.ErrNoSession) {
		t.Errorf("as an access token: %v", err)
	}
	if _, _, err := r.Session(t.Context(), host, cookie); !errors.Is(err, auth.ErrNoSession) {
		t.Errorf("as a session's cookie: %v", err)
	}
	for _, forged := range []string{"", "x", token, cookie[:len(cookie)-4], strings.Repeat("A", 600)} {
		if _, _, err := r.Guest(t.Context(), forged); !errors.Is(err, auth.ErrNoSession) {
			t.Errorf("%q: %v", forged, err)
		}
	}
	for key, value := range r.records("") {
		if strings.Contains(key+value, token) {
			t.Errorf("%s holds the token", key)
		}
	}
}

func TestGuestLinkEnds(t *testing.T) { // S54, S56
	for _, c := range []struct {
		name string
		end  func(r *rig, b *browser, id string) error
	}{
		{"revoked by its maker", func(r *rig, b *browser, id string) error {
			r.changes(b, auth.Change{Op: auth.ChangeRevokeLink, TokenID: id})
			return nil
		}},
		{"revoked by an admin", func(r *rig, _ *browser, id string) error {
			_, err := r.RevokeGuestLink(r.t.Context(), id)
			return err
		}},
		{"sessions ended", func(r *rig, _ *browser, _ string) error {
			_, err := r.RevokeSessions(r.t.Context(), "alice", "")
			return err
		}},
		{"all other sessions ended", func(r *rig, b *browser, _ string) error {
			r.changes(b, auth.Change{Op: auth.ChangeEndOthers})
			return nil
		}},
		{"reset", func(r *rig, _ *browser, _ string) error { return r.ResetMFA(r.t.Context(), "alice") }},
		{"maker disabled", func(r *rig, _ *browser, _ string) error { return r.SetDisabled(r.t.Context(), "alice", true) }},
		{"maker deleted", func(r *rig, _ *browser, _ string) error { return r.DeleteUser(r.t.Context(), "alice") }},
		{"maker left the group", func(r *rig, _ *browser, _ string) error {
			_, err := r.ChangeGroups(r.t.Context(), "alice", nil, []string{"ops"})
			return err
		}},
		{"expired", func(r *rig, _ *browser, _ string) error { r.clock.Add(24 * time.Hour); return nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			ops := &auth.Requirement{Mode: auth.ModeSignedIn, Allow: []auth.Principal{{Group: "ops"}}}
			_, b, _ := r.bearer("ops")
			token, link := r.link(nil)
			cookie := r.guest(token)
			if d := r.opens(cookie, ops, page("/page")); d != auth.Allow {
				t.Fatal(d)
			}
			s, _, err := r.Guest(t.Context(), cookie)
			if err != nil {
				t.Fatal(err)
			}
			stream := r.watchSession(s, ops)
			if err := c.end(r, b, link.ID); err != nil {
				t.Fatal(err)
			}
			if d := r.opens(cookie, ops, page("/page")); d == auth.Allow {
				t.Error("it passes")
			}
			stream.ended(t)
			_, _, err = r.OpenGuestLink(t.Context(), auth.Visit{Host: host}, token, "")
			if gone := errors.Is(err, auth.ErrToken); gone == (c.name == "maker left the group") {
				t.Errorf("opened again: %v", err)
			}
			if left := append(r.keys("guest-link/"), r.keys("user-guest-link/")...); c.name != "maker left the group" && c.name != "expired" && len(left) > 0 {
				t.Errorf("left: %q", left)
			}
		})
	}
}

// forgetful is a store that keeps what it says it did not.
type forgetful struct {
	storage.Store
	fails bool
}

func (f *forgetful) Update(ctx context.Context, fn func(storage.Tx) error) error {
	if err := f.Store.Update(ctx, fn); err != nil || !f.fails {
		return err
	}
	return errBroken
}

// Close leaves the store to whoever opened it.
func (f *forgetful) Close() error { return nil }

func TestGuestLinkRevokedWhileTheStoreFails(t *testing.T) { // S54, S76
	base := newRig(t)
	store := &forgetful{Store: base.store}
	r := newRigOn(t, base.clock, store)
	t.Cleanup(func() { r.state.Close() })
	r.bearer("ops")
	token, link := r.link(nil)
	cookie := r.guest(token)
	if got := r.opens(cookie, &auth.Requirement{Mode: auth.ModeSignedIn}, page("/assets/a.css")); got != auth.Allow {
		t.Fatal(got)
	}
	store.fails = true
	if _, err := r.RevokeGuestLink(t.Context(), link.ID); !errors.Is(err, errBroken) {
		t.Fatal(err)
	}
	store.fails = false
	if got := r.opens(cookie, &auth.Requirement{Mode: auth.ModeSignedIn}, page("/assets/a.css")); got == auth.Allow {
		t.Error("a link that is gone from the store still opens")
	}
}

func TestGuestLinkBounds(t *testing.T) {
	r := newRig(t)
	r.bearer()
	for name, change := range map[string]func(*auth.NewGuestLink){
		"too short":         func(n *auth.NewGuestLink) { n.For = time.Second },
		"too long":          func(n *auth.NewGuestLink) { n.For = auth.MaxGuestTime + 1 },
		"dot segment":       func(n *auth.NewGuestLink) { n.Guest.Path = "/a/../b" },
		"encoded twice":     func(n *auth.NewGuestLink) { n.Guest.Path = "/a%2fb" },
		"empty segment":     func(n *auth.NewGuestLink) { n.Guest.Path = "//evil.example/" },
		"control character": func(n *auth.NewGuestLink) { n.Guest.Path = "/a\nb" },
		"query with a line": func(n *auth.NewGuestLink) { n.Guest.Query = "a\r\nb" },
		"no host":           func(n *auth.NewGuestLink) { n.Host = "" },
		"the whole site":    func(n *auth.NewGuestLink) { n.Also = []string{"/*"} },
		"odd pattern":       func(n *auth.NewGuestLink) { n.Also = []string{"/a/../*"} },
		"star in between":   func(n *auth.NewGuestLink) { n.Also = []string{"/*/x"} },
		"no mail here":      func(n *auth.NewGuestLink) { n.Guest.Email = "bob@example.com" },
		"label":             func(n *auth.NewGuestLink) { n.Label = "a\nb" },
	} {
		t.Run(name, func(t *testing.T) {
			n := auth.NewGuestLink{Maker: "alice", Host: host, Guest: auth.Guest{Path: "/page"}, For: time.Hour}
			change(&n)
			if _, _, err := r.MakeGuestLink(t.Context(), n); !isInvalid(err) {
				t.Errorf("made: %v", err)
			}
		})
	}
	var wg sync.WaitGroup
	var made atomic.Int32
	for range 4 { // S91
		wg.Go(func() {
			for range 20 {
				n := auth.NewGuestLink{Maker: "alice", Host: host, Guest: auth.Guest{Path: "/page"}, For: time.Hour}
				if _, _, err := r.MakeGuestLink(t.Context(), n); err == nil {
					made.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if made.Load() > auth.MaxGuestLinks || len(r.keys("guest-link/")) != int(made.Load()) {
		t.Errorf("%d were made", made.Load())
	}
}

func isInvalid(err error) bool {
	invalid := (*auth.Invalid)(nil)
	return errors.As(err, &invalid)
}

func TestGuestCodeUsedOnce(t *testing.T) { // S24, S26, S27, S13
	r := newMailRig(t)
	r.bearer()
	token, link := r.link(func(n *auth.NewGuestLink) { n.Guest.Email = "guest@example.net" })
	send := func(v *auth.Visit) string {
		t.Helper()
		return r.guestCode(v, token)
	}
	open := func(v *auth.Visit, code string) error {
		_, cookies, err := r.OpenGuestLink(t.Context(), *v, token, code)
		if (err == nil) != (len(cookies) == 1) {
			t.Errorf("%v, %v", cookies, err)
		}
		return err
	}
	here, there := r.guestVisit(), r.guestVisit()
	if _, err := r.SendGuestCode(t.Context(), auth.Visit{Host: host}, token); !errors.Is(err, auth.ErrNoCookie) {
		t.Errorf("without a cookie: %v", err)
	}
	if err := open(here, ""); !errors.Is(err, auth.ErrRejected) {
		t.Errorf("without a code: %v", err)
	}
	mailed := send(here)
	if err := open(there, mailed); !errors.Is(err, auth.ErrRejected) {
		t.Errorf("in another browser: %v", err)
	}
	var wg sync.WaitGroup
	var opened atomic.Int32
	for range 50 {
		wg.Go(func() {
			if open(here, mailed) == nil {
				opened.Add(1)
			}
		})
	}
	wg.Wait()
	if opened.Load() != 1 {
		t.Errorf("the code opened %d times", opened.Load())
	}
	r.clock.Add(2 * time.Minute)
	mailed = send(here)
	for range 5 {
		if err := open(here, "x"); !errors.Is(err, auth.ErrRejected) {
			t.Error(err)
		}
	}
	if err := open(here, mailed); !errors.Is(err, auth.ErrRejected) {
		t.Errorf("after five wrong ones: %v", err)
	}
	mailed = send(here)
	r.clock.Add(11 * time.Minute)
	if err := open(here, mailed); !errors.Is(err, auth.ErrRejected) {
		t.Errorf("after its time: %v", err)
	}
	slow := (*auth.Throttled)(nil)
	for range 3 { // S15: five an hour for one link
		if _, err := r.SendGuestCode(t.Context(), *there, token); errors.As(err, &slow) {
			break
		}
	}
	if slow == nil {
		t.Error("there is no end to the mails")
	}
	if s, _, err := r.Guest(t.Context(), ""); err == nil {
		t.Errorf("nobody is %+v", s)
	}
	if u := link.GuestUser(); u.Email != "" || u.EmailConfirmed { // an app would take the guest for whoever has that address
		t.Errorf("the app learns of %+v", u)
	}
}

func TestGuestLinkGuesses(t *testing.T) { // S13
	r := newRig(t)
	v := auth.Visit{Host: host, Addr: netip.MustParseAddr("198.51.100.7")}
	slow := (*auth.Throttled)(nil)
	for range 40 {
		if _, err := r.GuestLink(t.Context(), v, strings.Repeat("A", 43)); errors.As(err, &slow) {
			return
		} else if !errors.Is(err, auth.ErrToken) {
			t.Fatal(err)
		}
	}
	t.Error("guessing is not throttled")
}
