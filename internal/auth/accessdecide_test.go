package auth_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

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
