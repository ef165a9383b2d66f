package caddymodule

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// bearer makes a user with an access token for host, and returns both headers: the token's and the session's. change may be nil.
func bearer(t testing.TB, host, name string, change func(*auth.NewAccessToken), groups ...string) (token *auth.IssuedToken, cookie string) {
	t.Helper()
	realm, err := running(t).Realm(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	at := host // where the Security page is
	if p := running(t).settings.portal; p != nil {
		at = p.host
	}
	e := enrolled(t, realm, at, name, groups...)
	v := e.Visit
	asks := auth.NewAccessToken{TokenLimits: auth.TokenLimits{Hosts: []string{host}}, Days: 1}
	if change != nil {
		change(&asks)
	}
	step := func(out auth.Outcome, err error) auth.Outcome {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range out.Cookies {
			switch c.Name {
			case auth.CookieFlow:
				v.Flow = c.Value
			case auth.CookieSession:
				v.Session = c.Value
			}
		}
		return out
	}
	step(realm.Change(t.Context(), v, auth.Change{Op: auth.ChangeAddToken, Label: "script", Access: &asks}, ""))
	out := step(realm.Prove(t.Context(), v, auth.MethodRecovery, []byte(e.codes[0])))
	if out.Issued == nil {
		t.Fatalf("no token: %+v", out)
	}
	if at != host {
		v.Session = takeOver(t, realm, v.Session, at, host)
	}
	return out.Issued, sessionCookie(v.Session)
}

func bearerHeader(token string) string { return "Authorization: Bearer " + token }

func basicHeader(text string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(text))
}

// refusedToken fails the test unless the answer is the one for programs whose token does not do.
func refusedToken(t testing.TB, res *http.Response, status int, code string) {
	t.Helper()
	body, _ := io.ReadAll(res.Body)
	var said struct{ Error, Message string }
	err := json.Unmarshal(body, &said)
	if res.StatusCode != status || err != nil || said.Error != code || said.Message == "" {
		t.Fatalf("%s, want %d %s\n%s", res.Status, status, code, body)
	}
	if h := res.Header; h.Get("Content-Type") != "application/json" || h.Get("Cache-Control") != "no-store" || h.Get("Location") != "" ||
		(h.Get("Www-Authenticate") != "") != (status != http.StatusTooManyRequests) {
		t.Errorf("headers %v", h)
	}
}

// clean fails the test if the app saw a token.
func clean(t testing.TB, got seen, token string) {
	t.Helper()
	if all := fmt.Sprint(got); strings.Contains(all, token) || strings.Contains(all, token[4:]) || got.Header["Authorization"] != nil {
		t.Errorf("the app saw the token: %v", got.Header)
	}
}

func TestAccessTokenAtTheGate(t *testing.T) {
	s := newSite(t)
	s.serve(`{address} {
	mfa {
		public /public
	}
	reverse_proxy {app}
}
`)
	issued, session := bearer(t, "localhost", "alice", nil, "ops", "dev")
	token := issued.Token
	bob := sessionCookie(signIn(t, "localhost", "bob"))
	unknown := auth.AccessTokenPrefix + strings.Repeat("x", 43)

	for name, header := range map[string]string{
		"bearer": bearerHeader(token), "in lower case": "Authorization: bearer " + token, "with spaces": "Authorization: BEARER   " + token + " ",
		"basic": basicHeader("alice:" + token), "basic of anybody": basicHeader("whoever:" + token), "basic of nobody": basicHeader(":" + token),
		"basic without padding": strings.TrimRight(basicHeader("al:"+token), "="), "basic in capitals": strings.Replace(basicHeader("a:"+token), "Basic", "BASIC", 1),
	} {
		t.Run(name, func(t *testing.T) {
			got := arrived(t, s.get("/a", header, "Remote-User: mallory", "Remote_groups: admins", asScript))
			clean(t, got, token)
			if h := got.Header; h.Get("Remote-User") != "alice" || h.Get("Remote-Groups") != "dev,ops" || h.Get("Remote-Email") != "alice@example.com" {
				t.Errorf("got %v", h)
			}
		})
	}
	t.Run("the token counts, and not the cookie beside it", func(t *testing.T) { // CVE-2026-33544
		got := arrived(t, s.get("/", bearerHeader(token), bob))
		clean(t, got, token)
		if got.Header.Get("Remote-User") != "alice" || got.Header.Get("Cookie") != "" {
			t.Errorf("got %v", got.Header)
		}
		refusedToken(t, s.get("/", bearerHeader(unknown), session), http.StatusUnauthorized, "token_refused")
	})
	for name, header := range map[string]string{
		"unknown": bearerHeader(unknown), "too short": bearerHeader(token[:46]), "too long": bearerHeader(token + "x"), "the prefix alone": bearerHeader("mfa_"),
		"basic unknown": basicHeader("alice:" + unknown), "colons after it": basicHeader("alice:" + token + ":x"), "colons before it": basicHeader("alice:x:" + token),
		"as the user name": basicHeader(token + ":"), "as all": basicHeader(token), "of another scheme": "Authorization: token " + token,
		"without a scheme": "Authorization: " + token, "after a tab": "Authorization: Bearer\t" + token, "behind another": "Authorization: Bearer x, Bearer " + token,
		"a huge one": bearerHeader("mfa_" + strings.Repeat("x", 8000)), "behind a huge name": basicHeader(strings.Repeat("x", 8000) + ":y:" + token),
		"with a NUL": basicHeader("alice:" + token + "\x00"),
	} {
		t.Run(name, func(t *testing.T) {
			refusedToken(t, s.get("/", header, asPage), http.StatusUnauthorized, "token_refused")
			clean(t, arrived(t, s.get("/public", header)), token)
		})
	}
	t.Run("two headers", func(t *testing.T) {
		for _, second := range []string{bearerHeader(token), basicHeader("app:secret")} {
			refusedToken(t, s.get("/", bearerHeader(token), second), http.StatusUnauthorized, "token_refused")
			refusedToken(t, s.get("/", second, bearerHeader(token)), http.StatusUnauthorized, "token_refused")
			clean(t, arrived(t, s.get("/public", second, bearerHeader(token))), token)
		}
	})
	t.Run("public paths are anonymous, and see no token", func(t *testing.T) {
		got := arrived(t, s.get("/public", bearerHeader(token)))
		clean(t, got, token)
		if got.Header.Get("Remote-User") != "" {
			t.Errorf("got %v", got.Header)
		}
	})
	t.Run("the app's own Authorization passes", func(t *testing.T) {
		for _, own := range []string{
			basicHeader("alice:secret"), basicHeader("mfa_admin:secret"), basicHeader("a:b:c"), "Authorization: Basic %%%", "Authorization: Bearer eyJhbGciOi.x.y",
			"Authorization: Basic", "Authorization: Bearer", "Authorization: Digest username=\"mfa_\"", "Authorization: Negotiate " + strings.Repeat("YII", 3000), "Authorization: ",
		} {
			got := arrived(t, s.get("/", own, session))
			if "Authorization: "+got.Header.Get("Authorization") != own || got.Header.Get("Remote-User") != "alice" {
				t.Errorf("%.60q became %.60q", own, got.Header["Authorization"])
			}
		}
	})
	t.Run("a method override changes nothing", func(t *testing.T) { // S75
		got := arrived(t, s.get("/", bearerHeader(token), "X-Http-Method-Override: DELETE"))
		if got.Header.Get("X-Http-Method-Override") != "DELETE" {
			t.Error("a token for all methods loses the app's header")
		}
	})
	t.Run("a token without a user's session does not open the portal", func(t *testing.T) {
		for _, header := range []string{bearerHeader(token), basicHeader("alice:" + token)} {
			for _, path := range []string{"/.mfa/security", "/.mfa/security/activity", "/.mfa/recovery-codes", "/.mfa/enroll"} {
				if res := s.get(path, header, asPage); res.StatusCode != http.StatusSeeOther || !strings.HasPrefix(res.Header.Get("Location"), "/.mfa/login") {
					t.Errorf("%s: %s to %s", path, res.Status, res.Header.Get("Location"))
				}
			}
			if body, _ := io.ReadAll(s.get("/.mfa/session", header).Body); strings.Contains(string(body), "alice") {
				t.Errorf("/.mfa/session says %s", body)
			}
			for _, path := range []string{"add", "tokens", "tokens/revoke", "password", "codes", "off", "sessions", "email"} {
				r, _ := http.NewRequest("POST", "http://localhost/.mfa/security/"+path, strings.NewReader("label=x&hosts=localhost&days=1&id="+issued.ID))
				name, value, _ := strings.Cut(header, ": ")
				r.Header.Set(name, value)
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				r.Header.Set("Sec-Fetch-Site", "same-origin")
				r.Header.Set("Sec-Fetch-Mode", "navigate")
				r.Header.Set("Sec-Fetch-Dest", "document")
				if res := s.send(r); res.StatusCode != http.StatusSeeOther || !strings.HasPrefix(res.Header.Get("Location"), "/.mfa/login") {
					t.Errorf("POST %s: %s to %s", path, res.Status, res.Header.Get("Location"))
				}
			}
		}
	})
	t.Run("the portal goes by the cookie beside it", func(t *testing.T) {
		body, _ := io.ReadAll(s.get("/.mfa/session", bearerHeader(token), bob).Body)
		if !strings.Contains(string(body), `"bob"`) {
			t.Errorf("says %s", body)
		}
	})
	t.Run("the app sees none in trailers", func(t *testing.T) { // S68
		r, _ := http.NewRequest("POST", "http://localhost/", io.NopCloser(strings.NewReader("x")))
		r.Header.Set("Authorization", "Bearer "+token)
		r.Trailer = http.Header{"Authorization": {"Bearer " + token}, "X-Checksum": {"1"}}
		got := arrived(t, s.send(r))
		clean(t, got, token)
		if got.Trailer["Authorization"] != nil || got.Trailer.Get("X-Checksum") != "1" {
			t.Errorf("trailers %v", got.Trailer)
		}
	})
	t.Run("nothing of it is logged", func(t *testing.T) { // S78
		if strings.Contains(s.logged(), token[4:]) {
			t.Error("the token is in the log")
		}
	})
	t.Run("revoked", func(t *testing.T) {
		arrived(t, s.get("/", bearerHeader(token)))
		realm := running(t).live.Load().realm
		if _, err := realm.RevokeAccessTokens(t.Context(), "alice", issued.ID); err != nil {
			t.Fatal(err)
		}
		refusedToken(t, s.get("/", bearerHeader(token)), http.StatusUnauthorized, "token_refused")
	})
}

func TestAccessTokenOverPlainHTTP(t *testing.T) { // S69
	s := newSite(t)
	s.serve("http://:{port} {\n\tmfa\n\treverse_proxy {app}\n}\n")
	issued, _ := bearer(t, "dash.example.com", "alice", nil)
	res := s.get("/", "Host: dash.example.com", bearerHeader(issued.Token), asScript)
	if body, _ := io.ReadAll(res.Body); res.StatusCode != http.StatusForbidden || !strings.Contains(string(body), `"https_required"`) {
		t.Errorf("%s\n%s", res.Status, body)
	}
}

// The header that carries no token costs a session's request nothing.
func TestAccessTokenAllocations(t *testing.T) {
	h := http.Header{"Accept": {"*/*"}}
	if n := testing.AllocsPerRun(100, func() { takeAccess(h) }); n != 0 {
		t.Errorf("%v allocations without Authorization", n)
	}
	h.Set("Authorization", "Bearer eyJhbGciOi.x.y")
	if n := testing.AllocsPerRun(100, func() { takeAccess(h) }); n != 0 {
		t.Errorf("%v allocations with an app's own", n)
	}
}

func FuzzReadAccess(f *testing.F) {
	token := auth.AccessTokenPrefix + strings.Repeat("x", 43)
	for _, seed := range []string{"", "Bearer " + token, strings.TrimPrefix(basicHeader("a:"+token), "Authorization: "), "Basic Og==", "Basic =", token, "Bearer"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		got := readAccess(line)
		if got != "" && !strings.HasPrefix(string(got), auth.AccessTokenPrefix) {
			t.Errorf("%q is taken for a token of %q", got, line)
		}
		if got == "" && auth.HoldsAccessToken(line) {
			t.Errorf("the app sees the token in %q", line)
		}
		h := http.Header{"Authorization": {line}}
		if took := takeAccess(h); took != got || (h["Authorization"] == nil) != (got != "") {
			t.Errorf("%q: took %q, left %q", line, took, h)
		}
	})
}
