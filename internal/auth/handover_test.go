package auth_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// The portal of these tests is on host; these hosts are gated.
const firstHost, secondHost = "one.example.com", "two.example.org"

func newPortalRig(t testing.TB) *rig {
	t.Helper()
	r := newRig(t)
	lists := func(h string) bool { return h == firstHost || h == secondHost }
	r.change = func(c *auth.Config) {
		c.Portal = &auth.Portal{Host: host, Lists: lists, Names: lists}
	}
	r.Realm = r.realm(r.change)
	return r
}

// at is the same browser on another host: what it sends there.
func (b *browser) at(h string) *browser {
	v := auth.Visit{Host: h, Origin: "https://" + h, Addr: b.v.Addr, UserAgent: b.v.UserAgent}
	return &browser{v}
}

// target is what the gate of b's host seals.
func (r *rig) target(b *browser, path string) string {
	r.t.Helper()
	to, cookies, err := r.SealTarget(b.v, path)
	if err != nil {
		r.t.Fatal(err)
	}
	b.take(auth.Outcome{Cookies: cookies})
	return to
}

// code is what the portal makes for b's host out of the session of home.
func (r *rig) code(home, b *browser, path string) string {
	r.t.Helper()
	code, target, err := r.HandOver(r.t.Context(), home.v, r.target(b, path), false)
	if err != nil || code == "" || target.Origin != b.v.Origin || target.Path != path {
		r.t.Fatalf("code %q for %+v: %v", code, target, err)
	}
	return code
}

// handOver opens a session on h out of that of home, and returns the browser there.
func (r *rig) handOver(home *browser, h string) *browser {
	r.t.Helper()
	b := home.at(h)
	r.takeOver(b, r.code(home, b, "/deep?x=1"))
	return b
}

func (r *rig) takeOver(b *browser, code string) {
	r.t.Helper()
	path, cookies, err := r.TakeOver(r.t.Context(), b.v, code)
	if err != nil || path != "/deep?x=1" || len(cookies) != 1 || cookies[0].Name != auth.CookieSession {
		r.t.Fatalf("path %q, cookies %v: %v", path, cookies, err)
	}
	b.take(auth.Outcome{Cookies: cookies})
}

func (r *rig) live(b *browser) *auth.Session {
	r.t.Helper()
	s, _, err := r.Session(r.t.Context(), b.v.Host, b.v.Session)
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

func TestHandOver(t *testing.T) {
	r := newPortalRig(t)
	alice := r.person("alice")
	a, b := r.handOver(alice.home, firstHost), r.handOver(alice.home, secondHost)
	home := r.live(alice.home)
	for _, away := range []*browser{a, b} {
		s := r.live(away)
		if s.Parent != home.ID || s.UserID != home.UserID || s.Host != away.v.Host || !s.End.Equal(home.End) || len(s.Proofs) != len(home.Proofs) {
			t.Errorf("handed over: %+v, from %+v", s, home)
		}
		if s.Token == home.Token || s.ID == home.ID {
			t.Error("the session is the portal's own")
		}
	}
	// No host's cookie is worth anything on another one.
	for from, cookie := range map[string]string{host: alice.home.v.Session, firstHost: a.v.Session, secondHost: b.v.Session} {
		for _, h := range []string{host, firstHost, secondHost} {
			if _, _, err := r.Session(t.Context(), h, cookie); (err == nil) != (h == from) {
				t.Errorf("the cookie of %s on %s: %v", from, h, err)
			}
		}
	}
	// People and admins see one session.
	sessions, err := r.Sessions(t.Context(), "alice")
	if err != nil || len(sessions) != 1 || sessions[0].ID != home.ID || len(sessions[0].Handed) != 2 {
		t.Errorf("%d sessions: %+v, %v", len(sessions), sessions, err)
	}
	if account, err := r.User(t.Context(), "alice"); err != nil || account.Sessions != 1 {
		t.Errorf("%d sessions in the account: %v", account.Sessions, err)
	}
}

// A code counts once, in the browser and on the host that began, for a minute, and only while the portal's session does.
func TestHandOverRefused(t *testing.T) { // S33, S65, S89
	const none, again = "", "/deep?x=1" // where the visitor is led: nowhere, or to begin anew
	for _, c := range []struct {
		name string
		spy  func(r *rig, alice *person, b *browser, code string) (*browser, string)
		want string
		used bool // the code is of no use any more, in the right browser either
	}{
		{"used already", func(r *rig, _ *person, b *browser, code string) (*browser, string) {
			r.takeOver(b, code)
			return b, code
		}, none, true},
		{"another browser", func(r *rig, _ *person, b *browser, code string) (*browser, string) {
			mallory := b.at(firstHost)
			r.target(mallory, "/")
			return mallory, code
		}, again, true},
		{"a browser without cookies", func(_ *rig, _ *person, b *browser, code string) (*browser, string) { return b.at(firstHost), code }, again, true},
		{"a forged cookie", func(_ *rig, _ *person, b *browser, code string) (*browser, string) {
			mallory := b.at(firstHost)
			mallory.v.Flow = b.v.Flow[:len(b.v.Flow)-4] + "AAAA"
			return mallory, code
		}, again, true},
		{"another host", func(_ *rig, _ *person, b *browser, code string) (*browser, string) {
			c := b.at(secondHost)
			c.v.Flow = b.v.Flow
			return c, code
		}, none, true},
		{"the portal itself", func(_ *rig, _ *person, b *browser, code string) (*browser, string) {
			c := b.at(host)
			c.v.Flow = b.v.Flow
			return c, code
		}, none, false},
		{"a host that is not listed", func(_ *rig, _ *person, b *browser, code string) (*browser, string) {
			c := b.at("evil.example")
			c.v.Flow = b.v.Flow
			return c, code
		}, none, false},
		{"too late", func(r *rig, _ *person, b *browser, code string) (*browser, string) {
			r.clock.Add(time.Minute)
			return b, code
		}, none, true},
		{"another code", func(_ *rig, _ *person, b *browser, code string) (*browser, string) { return b, code[1:] + "A" }, none, false},
		{"no code", func(_ *rig, _ *person, b *browser, _ string) (*browser, string) { return b, "" }, none, false},
		{"signed out meanwhile", func(r *rig, alice *person, b *browser, code string) (*browser, string) {
			if _, err := r.SignOut(r.t.Context(), alice.home.v); err != nil {
				r.t.Fatal(err)
			}
			return b, code
		}, again, true},
		{"disabled meanwhile", func(r *rig, _ *person, b *browser, code string) (*browser, string) {
			if err := r.SetDisabled(r.t.Context(), "alice", true); err != nil {
				r.t.Fatal(err)
			}
			return b, code
		}, again, true},
		{"revoked meanwhile", func(r *rig, _ *person, b *browser, code string) (*browser, string) {
			if n, err := r.RevokeSessions(r.t.Context(), "alice", ""); n != 1 || err != nil {
				r.t.Fatal(n, err)
			}
			return b, code
		}, again, true},
		{"idle meanwhile", func(r *rig, alice *person, b *browser, _ string) (*browser, string) {
			r.clock.Add(59*time.Minute + 30*time.Second)
			code := r.code(alice.home, b, "/deep?x=1")
			r.clock.Add(45 * time.Second)
			return b, code
		}, again, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newPortalRig(t)
			alice := r.person("alice")
			r.live(alice.home) // it is in use
			b := alice.home.at(firstHost)
			code := r.code(alice.home, b, "/deep?x=1")
			by, given := c.spy(r, alice, b, code)
			before := len(r.keys("session/"))
			path, cookies, err := r.TakeOver(t.Context(), by.v, given)
			if c.want == none && !errors.Is(err, auth.ErrToken) || c.want != none && err != nil {
				t.Errorf("got %v", err)
			}
			if path != c.want || len(cookies) > 0 || len(r.keys("session/")) != before {
				t.Errorf("led to %q with %d cookies, sessions %v", path, len(cookies), r.keys("session/"))
			}
			if gone := len(r.keys("handover/")) == 0; gone != c.used {
				t.Errorf("used up: %v, want %v", gone, c.used)
			}
		})
	}
}

func TestHandOverRaced(t *testing.T) { // S33
	r := newPortalRig(t)
	alice := r.person("alice")
	b := alice.home.at(firstHost)
	code := r.code(alice.home, b, "/")
	won, errs := race(50, func(int) error {
		_, cookies, err := r.TakeOver(t.Context(), b.v, code)
		if err == nil && len(cookies) == 0 {
			return errors.New("no session")
		}
		return err
	})
	if n := len(r.keys("session/")); won != 1 || n != 2 {
		t.Errorf("%d of 50 succeeded, %d sessions: %v", won, n, errs)
	}
	for _, err := range errs {
		if err != nil && !errors.Is(err, auth.ErrToken) {
			t.Errorf("unexpected: %v", err)
		}
	}
}

// Many hosts at once, while the session is used and its own: nothing is lost.
func TestHandOversAtOnce(t *testing.T) { // S91
	r := newPortalRig(t)
	alice := r.person("alice")
	won, errs := race(20, func(i int) error {
		b := alice.home.at([]string{firstHost, secondHost}[i%2])
		to, cookies, err := r.SealTarget(b.v, "/")
		if err != nil {
			return err
		}
		b.take(auth.Outcome{Cookies: cookies})
		code, _, err := r.HandOver(t.Context(), alice.home.v, to, false)
		if err != nil {
			return err
		}
		_, cookies, err = r.TakeOver(t.Context(), b.v, code)
		if err == nil && len(cookies) != 1 {
			err = errors.New("no session")
		}
		return err
	})
	if won != 20 || len(r.keys("session/")) != 3 || len(r.keys("user-session/")) != 3 {
		t.Errorf("%d succeeded: %v\n%v", won, errs, r.keys("session/"))
	}
	if _, err := r.SignOut(t.Context(), alice.home.v); err != nil || len(r.keys("session/"))+len(r.keys("user-session/")) != 0 {
		t.Errorf("left: %v, %v", r.keys("session/"), err)
	}
}

func TestTargets(t *testing.T) { // S65
	r := newPortalRig(t)
	alice := r.person("alice")
	b := alice.home.at(firstHost)
	good := r.target(b, "/")
	wider := r.realm(func(c *auth.Config) {
		c.Portal = &auth.Portal{Host: host, Lists: func(string) bool { return true }}
	})
	evil, _, err := wider.SealTarget(b.at("evil.example").v, "/")
	if err != nil {
		t.Fatal(err)
	}
	other := newPortalRig(t)
	for name, to := range map[string]string{
		"none": "", "a path": "/", "an address": "https://one.example.com/", "another host's": "//one.example.com/",
		"changed": good[:len(good)-3] + "AAA", "cut": good[:len(good)-1], "of a host that is not listed": evil,
		"sealed by others": other.target(b.at(firstHost), "/"), "a cookie": b.v.Flow, "a session's cookie": alice.home.v.Session,
		"long": strings.Repeat("A", 1<<20),
	} {
		if code, _, err := r.HandOver(t.Context(), alice.home.v, to, false); !errors.Is(err, auth.ErrToken) || code != "" {
			t.Errorf("%s: code %q, %v", name, code, err)
		}
		if _, ok := r.OpenTarget(to); ok {
			t.Errorf("%s counts", name)
		}
	}
	for _, origin := range []string{"https://one.example.com:1@evil.example", "https://evil.example", "https://one.example.com/x", "https://one.example.com#", "//one.example.com", ""} {
		v := b.v
		v.Origin = origin
		to, _, err := r.SealTarget(v, "/")
		if err != nil {
			t.Fatal(err)
		}
		if code, target, err := r.HandOver(t.Context(), alice.home.v, to, false); !errors.Is(err, auth.ErrToken) || code != "" {
			t.Errorf("from %q: code %q for %+v, %v", origin, code, target, err)
		}
	}
	// Codes are made of the portal's session alone.
	away := r.handOver(alice.home, secondHost)
	for name, v := range map[string]auth.Visit{
		"nobody": newBrowser().v, "on a gated host": away.v,
		"a gated host's cookie at the portal": {Host: host, Session: away.v.Session},
	} {
		if code, _, err := r.HandOver(t.Context(), v, good, false); err == nil || code != "" {
			t.Errorf("%s: got a code", name)
		}
	}
	if code, target, err := r.HandOver(t.Context(), alice.home.v, good, false); code == "" || err != nil || target.Host != firstHost {
		t.Errorf("%+v %v", target, err)
	}
	r.clock.Add(30 * time.Minute)
	r.live(alice.home) // it is in use
	if code, target, err := r.HandOver(t.Context(), alice.home.v, good, false); code != "" || err != nil || target.Path != "/" {
		t.Errorf("an old target: code %q for %+v, %v", code, target, err)
	}
}

// With a wildcard there is no end of hosts, but of what is stored for one session.
func TestHandedOverToManyHosts(t *testing.T) {
	r := newRig(t)
	lists := func(h string) bool { return strings.HasSuffix(h, ".example.net") }
	r.Realm = r.realm(func(c *auth.Config) { c.Portal = &auth.Portal{Host: host, Lists: lists, Names: lists} })
	p := r.person("alice")
	var last *browser
	for i := range 105 {
		if i%50 == 0 {
			r.clock.Add(time.Minute)
		}
		last = r.handOver(p.home, "h"+string(rune('a'+i/26))+string(rune('a'+i%26))+".example.net")
	}
	if n := len(r.keys("session/")); n > 101 || !r.signedIn(last) || !r.signedIn(p.home) {
		t.Errorf("%d sessions", n)
	}
	if _, err := r.SignOut(t.Context(), last.v); err != nil || len(r.keys("session/")) != 0 {
		t.Errorf("left: %v, %v", r.keys("session/"), err)
	}
}

// FuzzOpenTarget: what no gate sealed is no target, and what one did is read as it was meant.
func FuzzOpenTarget(f *testing.F) {
	r := newPortalRig(f)
	b := newBrowser().at(firstHost)
	f.Add(r.target(b, "/x?y=z"), "/x?y=z")
	f.Add(b.v.Flow, "/")
	f.Add("", "/a\nb")
	f.Add("MTc5NTkxMzE2M3w=", "//evil.example")
	known, _ := r.OpenTarget(r.target(b, "/x?y=z"))
	f.Fuzz(func(t *testing.T, to, path string) {
		if got, ok := r.OpenTarget(to); ok && got.Origin != known.Origin {
			t.Errorf("%q is taken for %+v", to, got)
		}
		sealed, _, err := r.SealTarget(b.v, path)
		if err != nil {
			return // too long
		}
		if got, ok := r.OpenTarget(sealed); ok && (got.Path != path || got.Origin != b.v.Origin || got.Host != firstHost) {
			t.Errorf("%q became %+v", path, got)
		}
	})
}
