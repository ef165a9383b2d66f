package auth_test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/storage"
)

// newToken asks for a token for the usual host.
func newToken(label string) auth.Change {
	return auth.Change{Op: auth.ChangeAddToken, Label: label, Access: &auth.NewAccessToken{TokenLimits: auth.TokenLimits{Hosts: []string{host}}, Days: 30}}
}

// issue makes a token in a session whose proofs are fresh.
func (r *rig) issue(b *browser, c auth.Change) *auth.IssuedToken {
	r.t.Helper()
	out := r.must(b, auth.StepDone)(r.Change(r.t.Context(), b.v, c, ""))
	if out.Issued == nil || out.Changed != auth.ChangeAddToken {
		r.t.Fatalf("no token: %+v", out)
	}
	return out.Issued
}

// bearer is alice with a token, and the browser that made it.
func (r *rig) bearer(groups ...string) (*person, *browser, *auth.IssuedToken) {
	r.t.Helper()
	p, b := r.person("alice", groups...), newBrowser()
	r.signIn(p, b)
	return p, b, r.issue(b, newToken("script"))
}

var place = auth.Place{Host: host, Method: "GET", Paths: []string{"/"}}

// passes reports whether a request with the token passes a site that asks for need.
func (r *rig) passes(token string, need *auth.Requirement) bool {
	r.t.Helper()
	s, u, err := r.AccessToken(r.t.Context(), token, netip.Addr{})
	if err != nil && !errors.Is(err, auth.ErrNoSession) {
		r.t.Fatal(err)
	}
	return auth.DecideToken(r.clock.Now(), *need, u, s, place) == auth.Allow
}

func TestAccessTokenIsMadeByTwoFreshProofs(t *testing.T) { // S58
	r := newRig(t)
	ctx := t.Context()
	alice, b := r.person("alice"), newBrowser()
	r.signIn(alice, b)
	r.clock.Add(10 * time.Minute)
	r.must(b, auth.StepVerify)(r.Change(ctx, b.v, newToken("script"), ""))
	if made, err := r.AccessTokens(ctx, "alice"); err != nil || len(made) != 0 {
		t.Fatalf("before anything was proven: %+v, %v", made, err)
	}
	out := r.must(b, auth.StepVerify)(r.Prove(ctx, b.v, auth.MethodPassword, []byte(password)))
	if out.Issued != nil {
		t.Fatal("one proof is enough")
	}
	out = r.must(b, auth.StepDone)(r.Prove(ctx, b.v, auth.MethodTOTP, []byte(alice.now())))
	if out.Issued == nil || !r.passes(out.Issued.Token, everybody) {
		t.Fatalf("issued: %+v", out.Issued)
	}
	token := out.Issued.Token
	if !strings.HasPrefix(token, auth.AccessTokenPrefix) || len(token) != 47 {
		t.Errorf("the token is %q", token)
	}
	for key, value := range r.records("") {
		if strings.Contains(key+value, token[4:]) {
			t.Errorf("%s holds the token", key)
		}
	}
	events, err := r.Activity(ctx, out.Issued.UserID)
	if err != nil || !slices.ContainsFunc(events, func(e auth.Event) bool { return e.Name == auth.EventTokenAdded && e.Label == "script" }) {
		t.Errorf("activity %+v, %v", events, err)
	}
	if !r.signedIn(b) {
		t.Error("the session has ended")
	}
}

func TestAccessTokenIsNoSession(t *testing.T) { // S53, S58
	r := newRig(t)
	ctx := t.Context()
	_, b, issued := r.bearer()
	s, u, err := r.AccessToken(ctx, issued.Token, netip.Addr{})
	if err != nil {
		t.Fatal(err)
	}
	if d := auth.Decide(r.clock.Now(), *everybody, u, s); d != auth.SignIn {
		t.Errorf("for sessions it is %v", d)
	}
	forged := *s // with proofs, however it came by them
	forged.Proofs = []auth.Proof{{Method: auth.MethodPassword, Kinds: auth.Knowledge}, {Method: auth.MethodTOTP, Kinds: auth.Possession}}
	if d := auth.Decide(r.clock.Now(), *everybody, u, &forged); d != auth.SignIn {
		t.Errorf("with proofs it is %v", d)
	}
	for _, cookie := range []string{issued.Token, s.Token, issued.Token[4:]} {
		if _, _, err := r.Session(ctx, host, cookie); !errors.Is(err, auth.ErrNoSession) {
			t.Errorf("as a cookie: %v", err)
		}
		v := b.v
		v.Session = cookie
		if _, err := r.Change(ctx, v, newToken("another"), ""); !errors.Is(err, auth.ErrNoSession) {
			t.Errorf("it makes tokens: %v", err)
		}
	}
	session, user, err := r.Session(ctx, host, b.v.Session)
	if err != nil || auth.DecideToken(r.clock.Now(), *everybody, user, session, place) != auth.SignIn {
		t.Errorf("a session passes for a token: %v", err)
	}
	if sessions, err := r.Sessions(ctx, "alice"); err != nil || len(sessions) != 2 {
		t.Errorf("it is listed as a session: %d, %v", len(sessions), err)
	}
}

func TestAccessTokenEnds(t *testing.T) { // S54, S56
	for _, c := range []struct {
		name string
		end  func(r *rig, p *person, b *browser, id string) error
	}{
		{"revoked by its owner", func(r *rig, _ *person, b *browser, id string) error {
			r.changes(b, auth.Change{Op: auth.ChangeRevokeToken, TokenID: id})
			return nil
		}},
		{"revoked by its owner, who was asked first", func(r *rig, p *person, b *browser, id string) error {
			r.clock.Add(20 * time.Minute)
			r.must(b, auth.StepVerify)(r.Change(r.t.Context(), b.v, auth.Change{Op: auth.ChangeRevokeToken, TokenID: id}, ""))
			r.must(b, auth.StepVerify)(r.Prove(r.t.Context(), b.v, auth.MethodPassword, []byte(password)))
			r.must(b, auth.StepDone)(r.Prove(r.t.Context(), b.v, auth.MethodTOTP, []byte(p.now())))
			return nil
		}},
		{"all other sessions ended", func(r *rig, _ *person, b *browser, _ string) error {
			r.changes(b, auth.Change{Op: auth.ChangeEndOthers})
			return nil
		}},
		{"new password", func(r *rig, _ *person, b *browser, _ string) error {
			r.changes(b, auth.Change{Op: auth.ChangePassword, Password: "seven grey geese in a row"})
			return nil
		}},
		{"revoked by an admin", func(r *rig, p *person, _ *browser, id string) error {
			n, err := r.RevokeAccessTokens(r.t.Context(), p.name, id)
			return errors.Join(err, one(n))
		}},
		{"all revoked by an admin", func(r *rig, p *person, _ *browser, _ string) error {
			n, err := r.RevokeAccessTokens(r.t.Context(), p.name, "")
			return errors.Join(err, one(n))
		}},
		{"sessions ended by an admin", func(r *rig, p *person, _ *browser, _ string) error {
			_, err := r.RevokeSessions(r.t.Context(), p.name, "")
			return err
		}},
		{"reset", func(r *rig, p *person, _ *browser, _ string) error { return r.ResetMFA(r.t.Context(), p.name) }},
		{"user disabled", func(r *rig, p *person, _ *browser, _ string) error {
			return r.SetDisabled(r.t.Context(), p.name, true)
		}},
		{"user disabled and enabled", func(r *rig, p *person, _ *browser, _ string) error {
			return errors.Join(r.SetDisabled(r.t.Context(), p.name, true), r.SetDisabled(r.t.Context(), p.name, false))
		}},
		{"user deleted", func(r *rig, p *person, _ *browser, _ string) error { return r.DeleteUser(r.t.Context(), p.name) }},
		{"expired", func(r *rig, _ *person, _ *browser, _ string) error { r.clock.Add(30 * 24 * time.Hour); return nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			p, b, issued := r.bearer()
			if !r.passes(issued.Token, everybody) {
				t.Fatal("it does not pass")
			}
			s, _, err := r.AccessToken(t.Context(), issued.Token, netip.Addr{})
			if err != nil {
				t.Fatal(err)
			}
			stream := r.watchSession(s, everybody)
			if err := c.end(r, p, b, issued.ID); err != nil {
				t.Fatal(err)
			}
			if r.passes(issued.Token, everybody) {
				t.Error("it passes")
			}
			stream.ended(t)
			if c.name == "expired" { // what is dead goes with the next, or when its time is over
				return
			}
			if left := append(r.keys("access-token/"), r.keys("user-access-token/")...); len(left) != 0 {
				t.Errorf("left: %q", left)
			}
		})
	}
}

func one(n int) error {
	if n != 1 {
		return fmt.Errorf("%d were revoked", n)
	}
	return nil
}

func TestAccessTokenStreamGoesOn(t *testing.T) { // S73
	r := newRig(t)
	ops := &auth.Requirement{Mode: auth.ModeSignedIn, Allow: []auth.Principal{{Group: "ops"}}}
	alice, b, issued := r.bearer("ops")
	s, _, err := r.AccessToken(t.Context(), issued.Token, netip.Addr{})
	if err != nil {
		t.Fatal(err)
	}
	stream := r.watchSession(s, ops)
	r.clock.Add(25 * time.Hour) // longer than any session
	stream.Heard()
	stream.goesOn(t, r)
	if _, err := r.ChangeGroups(t.Context(), alice.name, nil, []string{"dev"}); err != nil {
		t.Fatal(err)
	}
	stream.goesOn(t, r)
	if r.signedIn(b) {
		t.Error("the session goes on, too")
	}
	if _, err := r.ChangeGroups(t.Context(), alice.name, nil, []string{"ops"}); err != nil {
		t.Fatal(err)
	}
	stream.ended(t)
}

// What ends the other sessions ends the tokens, and leaves the session that one is made in.
func TestAccessTokenAfterOthersEnded(t *testing.T) { // S56
	r := newRig(t)
	_, b, first := r.bearer()
	r.changes(b, auth.Change{Op: auth.ChangeEndOthers})
	if !r.signedIn(b) {
		t.Fatal("this session has ended, too")
	}
	second := r.issue(b, newToken("script")) // the name is free again
	if r.passes(first.Token, everybody) || !r.passes(second.Token, everybody) {
		t.Error("the wrong one passes")
	}
	r.changes(b, auth.Change{Op: auth.ChangePassword, Password: "seven grey geese in a row"})
	if r.passes(second.Token, everybody) || !r.passes(r.issue(b, newToken("script")).Token, everybody) {
		t.Error("after a new password the wrong one passes")
	}
}

// Making and revoking one are changes like others, and no token takes the place of a session.
func TestAccessTokensAreCapped(t *testing.T) { // S13
	r := newRig(t)
	p := r.person("alice")
	browsers := []*browser{newBrowser(), newBrowser(), newBrowser()}
	for _, b := range browsers {
		r.signIn(p, b)
	}
	for i := range 30 {
		b := browsers[i%3]
		issued := r.issue(b, newToken(fmt.Sprint("script ", i)))
		r.changes(b, auth.Change{Op: auth.ChangeRevokeToken, TokenID: issued.ID})
	}
	for _, b := range browsers {
		if _, err := r.Change(t.Context(), b.v, newToken("script"), ""); !tooMany(err) {
			t.Errorf("one more: %v", err)
		}
	}
	if left := r.keys("access-token/"); len(left) != 0 {
		t.Errorf("left: %q", left)
	}
	r.clock.Add(time.Hour)
	b := newBrowser()
	r.signIn(p, b)
	for i := range auth.MaxAccessTokens {
		r.issue(b, newToken(fmt.Sprint("script ", i)))
	}
	r.crowd(b, 199-len(r.keys("session/")), func(int, *auth.Session) {})
	r.signIn(p, newBrowser())
	if stored := len(r.keys("session/")); stored != 200 || r.count(auth.EventReplaced) != 0 {
		t.Errorf("%d sessions, %d ended", stored, r.count(auth.EventReplaced))
	}
}

// What a token's request asserts is who its owner is, on the host that it is for, and nothing of a sign-in.
func TestAccessTokenAssertion(t *testing.T) { // S67
	r := newRig(t)
	_, b, _ := r.bearer("ops")
	change := newToken("two hosts")
	change.Access.Hosts = append(change.Access.Hosts, "wiki.example.com")
	issued := r.issue(b, change)
	s, u, err := r.AccessToken(t.Context(), issued.Token, netip.Addr{})
	if err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{host, "wiki.example.com", host} {
		token, err := r.Assertion(t.Context(), auth.AlgEdDSA, issuer, to, s, u)
		if err != nil {
			t.Fatal(err)
		}
		_, got := claimed(t, token, r.jwks())
		now := float64(r.clock.Now().Unix())
		want := map[string]any{
			"iss": issuer, "sub": u.ID, "aud": to, "iat": now, "nbf": now, "exp": now + 60,
			"preferred_username": "alice", "name": "alice", "groups": []any{"ops"},
		}
		if g, w := asJSON(t, got), asJSON(t, want); g != w {
			t.Errorf("got  %s\nwant %s", g, w)
		}
		if again, err := r.Assertion(t.Context(), auth.AlgEdDSA, issuer, to, s, u); err != nil || again != token {
			t.Errorf("signed anew at once: %v", err)
		}
	}
	session, user := r.session(b)
	mine := r.assert(auth.AlgEdDSA, session, user)
	if _, got := claimed(t, mine, r.jwks()); got["acr"] != "mfa" {
		t.Errorf("the session's says %v", got)
	}
}

func TestAccessTokensOfOthers(t *testing.T) { // S57, S87
	r := newRig(t)
	_, _, issued := r.bearer()
	bob, b := r.person("bob"), newBrowser()
	r.signIn(bob, b)
	for _, id := range []string{issued.ID, "", "x", "../" + issued.UserID + "/" + issued.ID, issued.UserID + "/" + issued.ID} {
		if _, err := r.Change(t.Context(), b.v, auth.Change{Op: auth.ChangeRevokeToken, TokenID: id}, ""); !errors.Is(err, auth.ErrNoCredential) {
			t.Errorf("%q: %v", id, err)
		}
	}
	var invalid *auth.Invalid
	if _, err := r.RevokeAccessTokens(t.Context(), "bob", issued.ID); !errors.As(err, &invalid) {
		t.Errorf("by an admin: %v", err)
	}
	if !r.passes(issued.Token, everybody) {
		t.Error("it was revoked")
	}
	if _, err := r.RevokeAccessTokens(t.Context(), "alice", issued.ID); err != nil {
		t.Fatal(err)
	}
	events, err := r.Activity(t.Context(), issued.UserID)
	if err != nil || events[0].Name != auth.EventTokenRevoked || events[0].Label != "script" || events[0].Actor != "command" {
		t.Errorf("activity %+v, %v", events, err)
	}
}

func TestAccessTokenLimits(t *testing.T) {
	l := auth.TokenLimits{Hosts: []string{host}, Paths: []string{"/api/*", "/feed.xml"}, Methods: []string{"GET", "HEAD"}}
	for _, c := range []struct {
		name, host, method, paths string
		want                      bool
	}{
		{"below", host, "GET", "/api/a", true},
		{"the end of a prefix", host, "GET", "/api/", true},
		{"exact", host, "HEAD", "/feed.xml", true},
		{"the prefix itself", host, "GET", "/api", false},
		{"beside the prefix", host, "GET", "/apis/a", false},
		{"below an exact one", host, "GET", "/feed.xml/a", false},
		{"longer than an exact one", host, "GET", "/feed.xmla", false},
		{"case", host, "GET", "/API/a", false},
		{"method", host, "POST", "/api/a", false},
		{"method in lower case", host, "get", "/api/a", false},
		{"host", "other.example.com", "GET", "/api/a", false},
		{"subdomain", "a." + host, "GET", "/api/a", false},
		{"one reading of two", host, "GET", "/api/a /%61pi/a", false},
		{"two readings", host, "GET", "/api/%61 /api/a", true},
		{"no reading", host, "GET", "", false},
	} {
		at := auth.Place{Host: c.host, Method: c.method, Paths: strings.Fields(c.paths)}
		if got := l.Cover(at); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	if (&auth.TokenLimits{}).Cover(place) {
		t.Error("no limits at all cover everything")
	}
}

func TestAccessTokenWords(t *testing.T) {
	r := newRig(t)
	alice, b := r.person("alice"), newBrowser()
	r.signIn(alice, b)
	for _, c := range []struct {
		name, field string
		change      func(c *auth.Change)
	}{
		{"no name", "label", func(c *auth.Change) { c.Label = " " }},
		{"a long name", "label", func(c *auth.Change) { c.Label = strings.Repeat("x", 65) }},
		{"a name of two lines", "label", func(c *auth.Change) { c.Label = "a\nb" }},
		{"no time", "days", func(c *auth.Change) { c.Access.Days = 0 }},
		{"negative", "days", func(c *auth.Change) { c.Access.Days = -1 }},
		{"more than a year", "days", func(c *auth.Change) { c.Access.Days = 366 }},
		{"no host", "hosts", func(c *auth.Change) { c.Access.Hosts = nil }},
		{"an address", "hosts", func(c *auth.Change) { c.Access.Hosts = []string{"https://dash.example.com"} }},
		{"a port", "hosts", func(c *auth.Change) { c.Access.Hosts = []string{"dash.example.com:8443"} }},
		{"a pattern", "hosts", func(c *auth.Change) { c.Access.Hosts = []string{"*.example.com"} }},
		{"many hosts", "hosts", func(c *auth.Change) { c.Access.Hosts = strings.Fields("a b c d e f g h i j k") }},
		{"a relative path", "paths", func(c *auth.Change) { c.Access.Paths = []string{"api/*"} }},
		{"a pattern in a path", "paths", func(c *auth.Change) { c.Access.Paths = []string{"/a*"} }},
		{"a pattern within a path", "paths", func(c *auth.Change) { c.Access.Paths = []string{"/*/a"} }},
		{"dots", "paths", func(c *auth.Change) { c.Access.Paths = []string{"/api/../*"} }},
		{"an empty segment", "paths", func(c *auth.Change) { c.Access.Paths = []string{"/api//*"} }},
		{"two slashes first", "paths", func(c *auth.Change) { c.Access.Paths = []string{"//api"} }},
		{"an encoded path", "paths", func(c *auth.Change) { c.Access.Paths = []string{"/%61pi"} }},
		{"a query", "paths", func(c *auth.Change) { c.Access.Paths = []string{"/api?x"} }},
		{"no method", "methods", func(c *auth.Change) { c.Access.Methods = []string{"GET!"} }},
	} {
		change := newToken("script")
		c.change(&change)
		var invalid *auth.Invalid
		if _, err := r.Change(t.Context(), b.v, change, ""); !errors.As(err, &invalid) || invalid.Field != c.field || invalid.Text == "" {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	change := newToken(" feed reader ")
	change.Access.TokenLimits = auth.TokenLimits{
		Hosts: []string{"Dash.Example.com", "dash.example.com", "::1"}, Paths: []string{"/*", "/", "/a/", "/api/v1/*", "/~x/a-b_c.d"}, Methods: []string{"get", "GET"},
	}
	got := r.issue(b, change)
	if got.Label != "feed reader" || !slices.Equal(got.Hosts, []string{"dash.example.com", "::1"}) || len(got.Paths) != 5 || !slices.Equal(got.Methods, []string{"GET"}) {
		t.Errorf("made %+v", got)
	}
	var invalid *auth.Invalid
	if _, err := r.Change(t.Context(), b.v, newToken("feed reader"), ""); !errors.As(err, &invalid) || invalid.Field != "label" {
		t.Errorf("the same name again: %v", err)
	}
	if _, err := r.Change(t.Context(), b.v, auth.Change{Op: auth.ChangeAddToken, Label: "x"}, ""); !errors.Is(err, auth.ErrStep) {
		t.Errorf("no limits at all: %v", err)
	}
}

func TestDecideToken(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	signedIn := auth.Requirement{Mode: auth.ModeSignedIn}
	with := func(change func(*auth.Requirement)) auth.Requirement { r := signedIn; change(&r); return r }
	user := func(change func(*auth.User)) *auth.User {
		u := &auth.User{ID: "u", Name: "alice", Epoch: 2}
		change(u)
		return u
	}
	token := func(change func(*auth.AccessToken)) *auth.Session {
		at := &auth.AccessToken{UserID: "u", Epoch: 2, Expires: now.Add(time.Hour), TokenLimits: auth.TokenLimits{Hosts: []string{host}}}
		change(at)
		return &auth.Session{UserID: "u", Epoch: 2, End: at.Expires, IdleEnd: at.Expires, Access: at}
	}
	same, sameToken := func(*auth.User) {}, func(*auth.AccessToken) {}
	none := with(func(r *auth.Requirement) { r.Tokens = auth.TokensDenied })
	methods := with(func(r *auth.Requirement) { r.Methods = []string{auth.MethodTOTP} })
	taken := with(func(r *auth.Requirement) { r.Methods, r.Tokens = []string{auth.MethodTOTP}, auth.TokensAllowed })
	for _, c := range []struct {
		name string
		need auth.Requirement
		u    *auth.User
		s    *auth.Session
		want auth.Decision
	}{
		{"nothing", auth.Requirement{}, nil, nil, auth.Deny},
		{"zero requirement", auth.Requirement{}, user(same), token(sameToken), auth.Deny},
		{"unknown mode", auth.Requirement{Mode: 9}, user(same), token(sameToken), auth.Deny},
		{"no token", signedIn, nil, nil, auth.SignIn},
		{"passes", signedIn, user(same), token(sameToken), auth.Allow},
		{"a session", signedIn, user(same), &auth.Session{UserID: "u", Epoch: 2, End: now.Add(1), IdleEnd: now.Add(1)}, auth.SignIn},
		{"no user", signedIn, nil, token(sameToken), auth.SignIn},
		{"another user", signedIn, user(func(u *auth.User) { u.ID = "v" }), token(sameToken), auth.SignIn},
		{"disabled", signedIn, user(func(u *auth.User) { u.Disabled = true }), token(sameToken), auth.SignIn},
		{"epoch", signedIn, user(func(u *auth.User) { u.Epoch = 3 }), token(sameToken), auth.SignIn},
		{"expired", signedIn, user(same), token(func(t *auth.AccessToken) { t.Expires = now }), auth.SignIn},
		{"not in the list", with(func(r *auth.Requirement) { r.Allow = []auth.Principal{{User: "bob"}} }), user(same), token(sameToken), auth.Deny},
		{"in the list", with(func(r *auth.Requirement) { r.Allow = []auth.Principal{{User: "alice"}} }), user(same), token(sameToken), auth.Allow},
		{"methods", with(func(r *auth.Requirement) { r.Methods = []string{auth.MethodTOTP} }), user(same), token(sameToken), auth.StepUp},
		{"age", with(func(r *auth.Requirement) { r.MaxAge = time.Hour }), user(same), token(sameToken), auth.StepUp},
		{"methods, and tokens", with(func(r *auth.Requirement) { r.Methods, r.Tokens = []string{auth.MethodTOTP}, auth.TokensAllowed }),
			user(same), token(sameToken), auth.Allow},
		{"no tokens", with(func(r *auth.Requirement) { r.Tokens = auth.TokensDenied }), user(same), token(sameToken), auth.StepUp},
		{"limits", signedIn, user(same), token(func(t *auth.AccessToken) { t.Hosts = []string{"other.example.com"} }), auth.Deny},
		{"public", auth.Requirement{Mode: auth.ModePublic}, nil, nil, auth.Allow},
		{"another reading, which takes them", and(signedIn, signedIn), user(same), token(sameToken), auth.Allow},
		{"another reading, which takes none", and(signedIn, none), user(same), token(sameToken), auth.StepUp},
		{"this reading takes none", and(none, signedIn), user(same), token(sameToken), auth.StepUp},
		{"the third reading takes none", and(signedIn, signedIn, none), user(same), token(sameToken), auth.StepUp},
		{"the third reading asks for proofs", and(taken, signedIn, methods), user(same), token(sameToken), auth.StepUp},
		{"another reading is for others", and(signedIn, with(func(r *auth.Requirement) { r.Allow = []auth.Principal{{User: "bob"}} })), user(same), token(sameToken), auth.Deny},
		{"another reading denies", and(signedIn, auth.Requirement{}), user(same), token(sameToken), auth.Deny},
		{"public in one reading alone", and(auth.Requirement{Mode: auth.ModePublic}, signedIn), nil, nil, auth.SignIn},
		{"public in one reading, and beyond its limits", and(auth.Requirement{Mode: auth.ModePublic}, signedIn),
			user(same), token(func(t *auth.AccessToken) { t.Hosts = []string{"other.example.com"} }), auth.Deny},
	} {
		if got := auth.DecideToken(now, c.need, c.u, c.s, place); got != c.want {
			t.Errorf("%s: %v, not %v", c.name, got, c.want)
		}
		beyond := c.s != nil && c.s.Access != nil && !c.s.Access.Cover(place) // which was decided when the request came
		if got := auth.HoldsToken(now, c.need, c.u, c.s); got != (c.want == auth.Allow || beyond) {
			t.Errorf("%s: holds is %v", c.name, got)
		}
	}
}

// and is a requirement with those of other readings.
func and(first auth.Requirement, others ...auth.Requirement) auth.Requirement {
	for i := len(others) - 1; i >= 0; i-- {
		if i < len(others)-1 {
			others[i].And = &others[i+1]
		}
	}
	first.And = &others[0]
	return first
}

func TestAccessTokensAreFew(t *testing.T) {
	r := newRig(t)
	alice, b := r.person("alice"), newBrowser()
	r.signIn(alice, b)
	for i := range auth.MaxAccessTokens - 3 {
		r.issue(b, newToken(fmt.Sprint("script ", i)))
	}
	var wg sync.WaitGroup
	for i := range 50 {
		v := b.v
		v.Flow = ""
		wg.Go(func() { r.Change(t.Context(), v, newToken(fmt.Sprint("raced ", i%10)), "") })
	}
	wg.Wait()
	all, err := r.AccessTokens(t.Context(), "alice")
	if err != nil || len(all) > auth.MaxAccessTokens {
		t.Fatalf("%d tokens, %v", len(all), err)
	}
	for i := range all[1:] {
		if all[i].Label == all[i+1].Label {
			t.Errorf("two are called %s", all[i].Label)
		}
	}
	r.clock.Add(31 * 24 * time.Hour)
	if all, err := r.AccessTokens(t.Context(), "alice"); err != nil || len(all) != 0 {
		t.Errorf("expired ones are listed: %d, %v", len(all), err)
	}
}

func TestAccessTokenUsedAndRevokedAtOnce(t *testing.T) { // S91
	r := newRig(t)
	_, b, issued := r.bearer()
	var wg sync.WaitGroup
	var revoked atomic.Int32
	for range 50 {
		wg.Go(func() {
			r.passes(issued.Token, everybody)
			v := b.v
			v.Flow = ""
			out, err := r.Change(t.Context(), v, auth.Change{Op: auth.ChangeRevokeToken, TokenID: issued.ID}, "")
			if err == nil && out.Step == auth.StepDone {
				revoked.Add(1)
			}
			if !errors.Is(err, storage.ErrConflict) && r.passes(issued.Token, everybody) { // by this one, or by another one before
				t.Errorf("it passes after it was revoked: %v", err)
			}
		})
	}
	wg.Wait()
	if n := revoked.Load(); n != 1 {
		t.Errorf("%d were told that they revoked it", n)
	}
}

func TestAccessTokenLastUse(t *testing.T) {
	r := newRig(t)
	_, _, issued := r.bearer()
	used := func() time.Time {
		t.Helper()
		all, err := r.AccessTokens(t.Context(), "alice")
		if err != nil || len(all) != 1 {
			t.Fatalf("%+v, %v", all, err)
		}
		return all[0].Used
	}
	if !used().IsZero() {
		t.Fatalf("used before it was: %v", used())
	}
	first := r.clock.Now()
	r.passes(issued.Token, everybody)
	if !used().Equal(first) {
		t.Errorf("used at %v, not %v", used(), first)
	}
	r.clock.Add(5 * time.Minute)
	r.passes(issued.Token, everybody)
	if _, err := r.ChangeGroups(t.Context(), "alice", []string{"dev"}, nil); err != nil { // drops it from the cache
		t.Fatal(err)
	}
	if want := r.clock.Now(); !used().Equal(want) {
		t.Errorf("used at %v, not %v", used(), want)
	}
	want := r.clock.Now()
	r.reopen(secret)
	if !used().Equal(want) {
		t.Errorf("after a restart: used at %v, not %v", used(), want)
	}
	// What was in use and is revoked does not come back when its use is noted.
	r.clock.Add(5 * time.Minute)
	r.passes(issued.Token, everybody)
	if _, err := r.RevokeAccessTokens(t.Context(), "alice", ""); err != nil {
		t.Fatal(err)
	}
	r.reopen(secret)
	if left := r.keys("access-token/"); len(left) != 0 || r.passes(issued.Token, everybody) {
		t.Errorf("left: %q", left)
	}
}

func TestWrongAccessTokens(t *testing.T) { // S13
	r := newRig(t)
	_, _, issued := r.bearer()
	here, there := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("192.0.2.9")
	wrong := func(i int) string { return auth.AccessTokenPrefix + fmt.Sprintf("%043d", i) }
	for i := range 30 {
		if _, _, err := r.AccessToken(t.Context(), wrong(i), here); !errors.Is(err, auth.ErrNoSession) {
			t.Fatalf("%d: %v", i, err)
		}
	}
	for _, addr := range []string{"2001:db8::1", "2001:db8::ffff"} {
		if _, _, err := r.AccessToken(t.Context(), wrong(31), netip.MustParseAddr(addr)); !throttled(err) {
			t.Errorf("from %s: %v", addr, err)
		}
	}
	if _, _, err := r.AccessToken(t.Context(), issued.Token, here); !throttled(err) {
		t.Errorf("a right one that is not known yet: %v", err)
	}
	if _, _, err := r.AccessToken(t.Context(), issued.Token, there); err != nil {
		t.Errorf("from elsewhere: %v", err)
	}
	if _, _, err := r.AccessToken(t.Context(), issued.Token, here); err != nil {
		t.Errorf("a right one that is known: %v", err)
	}
	b := newBrowser()
	b.v.Addr = here
	r.must(b, auth.StepVerify)(r.SignIn(t.Context(), b.v, "alice", password, "")) // people behind the same address are not locked out
	r.clock.Add(time.Minute)
	if _, _, err := r.AccessToken(t.Context(), wrong(32), here); !errors.Is(err, auth.ErrNoSession) {
		t.Errorf("a minute later: %v", err)
	}
	for range 40 { // what can be no token is not looked up, and not counted
		for _, s := range []string{"", "mfa_", "mfa_x", wrong(1) + "x", auth.AccessTokenPrefix + strings.Repeat(" ", 43), strings.Repeat("x", 1<<16)} {
			if _, _, err := r.AccessToken(t.Context(), s, here); !errors.Is(err, auth.ErrNoSession) {
				t.Fatalf("%.60q: %v", s, err)
			}
		}
	}
}

func TestHoldsAccessToken(t *testing.T) {
	token := auth.AccessTokenPrefix + strings.Repeat("aB3-_", 9)[:43]
	for s, want := range map[string]bool{
		token: true, "x" + token: true, "alice:" + token + ":x": true, "mfa_mfa_" + token: true, token[:46]: false, "": false, "mfa_": false, "MFA" + token[3:]: false,
		"mfa_ " + token[5:]: false,
	} {
		if auth.HoldsAccessToken(s) != want {
			t.Errorf("%q: %v", s, !want)
		}
	}
}
