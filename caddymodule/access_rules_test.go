package caddymodule

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/caddy-mfa/caddy-mfa/docs/verify"
	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/loginui"
)

// A token passes only if it does in each way in which an app may read the path.
func TestAccessTokenInEveryReading(t *testing.T) { // S70
	s := newSite(t)
	const gate = `{address} {
	mfa {
		{site}
		public /open/*
		rule /admin/* {
			tokens deny
		}
		rule /api/* {
			require webauthn
			tokens allow
		}
		rule /fresh/* {
			max_age 1h
		}
	}
	reverse_proxy {app}
}
`
	serve := func(site string) { s.serve(strings.Replace(gate, "{site}", site, 1)) }
	serve("")
	issued, _ := bearer(t, "localhost", "alice", nil)
	limited, _ := bearer(t, "localhost", "bob", func(n *auth.NewAccessToken) { n.Paths = []string{"/api/*", "/open/*", "/x/*"} })
	const (
		taken, anonymous = "", "anonymous"
		notTaken, beyond = "token_not_taken", "token_not_allowed"
		ambiguous        = "ambiguous"
	)
	for _, site := range []struct {
		says   string
		target string
		all    string // what becomes of the token that has no limit of paths
		few    string
	}{
		{"", "/x/a", taken, taken},
		{"", "/api/a", taken, taken},
		{"", "/api;v=1/a", taken, beyond},
		{"", "/api//a", taken, beyond},
		{"", "/api/a%3fb", taken, beyond},
		{"", "/api/%01a", taken, beyond},
		{"", "/api/%ff", taken, beyond},
		{"", "/open/a", anonymous, anonymous},
		{"", "/open/a;b", taken, beyond},
		{"", "/open;/a", taken, beyond},
		{"", "/admin/a", notTaken, notTaken},
		{"", "/admin;x/a", notTaken, notTaken},
		{"", "/admin%3bx/a", notTaken, notTaken},
		{"", "/%61dmin/a", notTaken, notTaken},
		{"", "//host/admin/a", notTaken, notTaken},
		{"", "/adm%01in/a", notTaken, notTaken},
		{"", "/fresh;/a", notTaken, notTaken},
		{"", "/api;/../admin/a", ambiguous, ambiguous},
		{"", "/x/..;/admin/a", ambiguous, ambiguous},
		{"", "/x/%c0%ae%c0%ae/admin/a", ambiguous, ambiguous},
		{"", "/x/%e0%80%ae/a", ambiguous, ambiguous},
		{"", "/x/%252e%252e/admin/a", ambiguous, ambiguous},
		{"require webauthn", "/x/a", notTaken, notTaken},
		{"require webauthn", "/api/a", taken, taken},
		{"require webauthn", "/api/caf%C3%A9", taken, taken},
		{"require webauthn", "/api;/a", notTaken, notTaken},
		{"require webauthn", "/api//a", notTaken, notTaken},
		{"require webauthn", "/%61pi/a", notTaken, notTaken},
		{"require webauthn", "/api%2fa", notTaken, notTaken},
		{"tokens deny", "/api/a", taken, taken},
		{"tokens deny", "/api//a", notTaken, notTaken},
		{"tokens deny", "/open/a", anonymous, anonymous},
		{"tokens deny", "/open//a", notTaken, notTaken},
	} {
		serve(site.says)
		for token, want := range map[string]string{issued.Token: site.all, limited.Token: site.few} {
			t.Run(site.says+" "+site.target, func(t *testing.T) {
				res := s.get(site.target, bearerHeader(token), asScript)
				switch want {
				case ambiguous:
					if res.StatusCode != http.StatusBadRequest {
						t.Errorf("got %s", res.Status)
					}
				case taken, anonymous:
					got := arrived(t, res)
					clean(t, got, token)
					if (got.Header.Get("Remote-User") == "") != (want == anonymous) {
						t.Errorf("for %q", got.Header.Get("Remote-User"))
					}
				default:
					refusedToken(t, res, http.StatusForbidden, want)
				}
			})
		}
	}
}

// A rule that only reports says what would become of a token, and a rule that never counts is an error, also if it is about tokens.
func TestAccessTokensAndRulesThatReport(t *testing.T) {
	s := newSite(t)
	s.serve(`{address} {
	mfa {
		rule /a {
			tokens deny
			report_only
		}
	}
	reverse_proxy {app}
}
`)
	issued, cookie := bearer(t, "localhost", "alice", nil)
	if got := arrived(t, s.get("/a", bearerHeader(issued.Token))); got.Header.Get("Remote-User") != "alice" {
		t.Errorf("got %v", got.Header)
	}
	arrived(t, s.get("/a", cookie))
	if n := strings.Count(s.logged(), "would not have passed"); n != 1 {
		t.Errorf("%d lines", n)
	}
	if log := s.logged(); !strings.Contains(log, `"decision":"step_up"`) || strings.Contains(log, issued.Token[4:]) {
		t.Errorf("logged %s", log)
	}
}

// A form is kept for a session: a program with a token has none kept, and gets none that is.
func TestFormIsNotSentByAToken(t *testing.T) {
	s := newSite(t)
	s.serve(strings.Replace(formSite, "require totp\n\t\t}", "require totp\n\t\t}\n\t\trule /both/* {\n\t\t\trequire totp\n\t\t\ttokens allow\n\t\t}", 1))
	c := newFormClient(s, "alice")
	issued, _ := bearer(t, "localhost", "bob", nil)
	token := bearerHeader(issued.Token)
	res := c.post("/admin/x", formMedia, "a=b", token)
	if len(res.Cookies()) != 0 {
		t.Errorf("cookies %v", res.Cookies())
	}
	refusedToken(t, res, http.StatusForbidden, "token_not_taken")
	lead := c.post("/both/save", formMedia, "a=b").Header.Get("Location")
	if formOf(lead) == "" {
		t.Fatalf("nothing is kept: %s", lead)
	}
	c.prove()
	got := arrived(t, c.button(lead, "/both/save", token))
	clean(t, got, issued.Token)
	if got.Body != loginui.ResendField+"="+formOf(lead) || got.Header.Get(headerUser) != "bob" || got.Header.Get("Cookie") != "" {
		t.Errorf("arrived as %q of %q", got.Body, got.Header.Get(headerUser))
	}
	refusedToken(t, c.button(lead, "/both/save", bearerHeader("mfa_x")), http.StatusUnauthorized, "token_refused")
	if got := arrived(t, c.button(lead, "/both/save")); got.Body != "a=b" || got.Header.Get(headerUser) != "alice" {
		t.Errorf("arrived as %q of %q", got.Body, got.Header.Get(headerUser))
	}
}

// An assertion for a token's request says whose it is, on one host, and claims no sign-in.
func TestAppVerifiesAssertionOfAToken(t *testing.T) { // S67
	s := newSite(t)
	s.serve(assertingGate, assertingPortal)
	issued, cookie := bearer(t, "localhost", "alice", func(n *auth.NewAccessToken) { n.Hosts = append(n.Hosts, "other.localhost") }, "ops")
	header := bearerHeader(issued.Token)
	for range 2 { // the second is of what is kept
		token := arrived(t, s.get("/", header)).Header.Get("Remote-Assertion")
		got, err := s.verifier("localhost").Verify(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		if got.ID != issued.UserID || got.Username != "alice" || got.Class != "" || got.Methods != nil || got.AuthTime != 0 {
			t.Errorf("got %+v", got)
		}
		other := arrived(t, s.get("/", header, "Host: other.localhost")).Header.Get("X-Assertion")
		if got, err = s.verifier("other.localhost").Verify(t.Context(), other); err != nil || got.Class != "" {
			t.Errorf("on the other host: %+v, %v", got, err)
		}
		lax := s.verifier("localhost")
		lax.Issuer, lax.Keys = "http://other.localhost:"+s.port, "http://localhost:"+s.port+"/.mfa/jwks.json"
		if _, err := lax.Verify(t.Context(), other); !errors.Is(err, jwt.ErrInvalidAudience) || !errors.Is(err, verify.ErrNoPerson) {
			t.Errorf("for another host: %v", err)
		}
		mine := arrived(t, s.get("/", cookie)).Header.Get("Remote-Assertion")
		if got, err := s.verifier("localhost").Verify(t.Context(), mine); err != nil || got.Class != "mfa" || got.AuthTime == 0 {
			t.Errorf("of the session: %+v, %v", got, err)
		}
	}
}

// The check of rules says where tokens do, and sees no more of one than matchers do.
func TestRulesCheckAndAccessTokens(t *testing.T) {
	fresh := auth.Requirement{Mode: auth.ModeSignedIn, Methods: []string{"totp"}}
	taken, none := fresh, auth.Requirement{Mode: auth.ModeSignedIn, Tokens: auth.TokensDenied}
	taken.Tokens = auth.TokensAllowed
	for _, c := range []struct {
		need auth.Requirement
		want string
	}{
		{fresh, "a session, with totp"},
		{taken, "a session, with totp, or an access token"},
		{none, "a session, and no access token"},
		{auth.Requirement{Mode: auth.ModeSignedIn, Tokens: auth.TokensAllowed}, "a session"},
		{auth.Requirement{Mode: auth.ModeSignedIn, And: &none}, "a session, and no access token"},
	} {
		if got := strings.Join(asksFor(&c.need), "; "); got != c.want {
			t.Errorf("%q, not %q", got, c.want)
		}
	}
	s := newSite(t)
	s.serve(`{address} {
	@app header Authorization *
	mfa {
		public @app
	}
	reverse_proxy {app}
}
`)
	token := bearerHeader(auth.AccessTokenPrefix + strings.Repeat("x", 43))
	for header, want := range map[string]string{token: "sign_in", basicHeader("app:secret"): "public"} {
		got := ask(t, askedRequest{URL: "http://localhost:" + s.port + "/", Headers: map[string]string{"Authorization": strings.TrimPrefix(header, "Authorization: ")}})
		if got.Stranger.Decision != want {
			t.Errorf("%s: %+v", header, got.Stranger)
		}
	}
	refusedToken(t, s.get("/", token), http.StatusUnauthorized, "token_refused")
	arrived(t, s.get("/", basicHeader("app:secret")))
}
