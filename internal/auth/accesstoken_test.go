package auth_test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
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
		{"a name that turns what follows", "label", func(c *auth.Change) { c.Label = "a\u202eb" }},
		{"a name that ends what it is set apart by", "label", func(c *auth.Change) { c.Label = "a\u2069b" }},
		{"a name with a control of C1", "label", func(c *auth.Change) { c.Label = "a\u009bb" }},
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
