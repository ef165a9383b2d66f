package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
)

// asks sends a request without cookies, and returns what the app saw, nil if it saw nothing.
func asks(t *testing.T, s *rig.Server, path, authorization string) (status int, seen http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", authorization)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode == http.StatusOK {
		var got rig.Received
		if err := json.Unmarshal(body, &got); err != nil {
			t.Fatalf("%s: %v\n%s", path, err, body)
		}
		seen = got.Header
	}
	return res.StatusCode, seen
}

var accessToken = regexp.MustCompile(`mfa_[A-Za-z0-9_-]{43}`)

// newToken makes an access token on the Security page.
func (b *tab) newToken(name, paths string) (token string) {
	b.t.Helper()
	b.visit("/.mfa/security")
	b.reveal("New access token")
	b.fill("Name of the token", name)
	b.fill("Paths", paths)
	b.press("Make an access token")
	b.sees("Your new access token")
	if token = accessToken.FindString(b.text("main")); token == "" {
		b.t.Fatalf("no token: %s", b.text("main"))
	}
	return token
}

// TestAccessTokens makes tokens, uses them as scripts do, and revokes them.
func TestAccessTokens(t *testing.T) { // S58
	t.Parallel()
	s := start(t, rig.Config{})
	alice, _ := enrolled(t, s, "alice")
	b := open(t, s)
	b.signIn(alice)
	b.visit("/.mfa/security")
	b.reveal("New access token")
	b.shoot("security-token-form")
	b.fill("Name of the token", "feed reader")
	b.fill("Paths", "headers")
	if status := b.press("Make an access token"); status != http.StatusUnprocessableEntity {
		t.Errorf("a path without a slash gives %d, want 422", status)
	}
	b.reads("is no path")
	b.shoot("security-token-refused")
	b.fill("Paths", "/headers /api/*")
	b.fill("HTTP methods", "get, head")
	b.press("Make an access token")
	b.sees("Your new access token")
	token := accessToken.FindString(b.text("main"))
	b.reveal("How to use it")
	b.shoot("access-token", func(seen *tab) { // it is shown once, so another is made
		_, form := b.brought()
		seen.posts(b.location(), strings.Replace(form, "feed+reader", "tablet", 1))
	})
	b.follow("I've copied it")
	b.sees("Security")
	b.reads("feed reader")
	b.reads("never used")

	status, seen := asks(t, s, "/headers", "Bearer "+token)
	if status != http.StatusOK || seen.Get("Remote-User") != "alice" || seen["Authorization"] != nil {
		t.Errorf("the token gives %d, and the app saw %v", status, seen)
	}
	if status, _ := asks(t, s, "/", "Bearer "+token); status != http.StatusForbidden {
		t.Errorf("beyond its limits: %d, want 403", status)
	}
	phone := b.newToken("phone", "")
	b.visit("/.mfa/security")
	b.reads("last used")
	b.shoot("security-tokens")
	b.unfold("feed reader", "Revoke")
	b.within("feed reader", "Revoke")
	b.reads("Revoked.")
	if status, _ := asks(t, s, "/headers", "Bearer "+token); status != http.StatusUnauthorized {
		t.Errorf("the token that was revoked gives %d, want 401", status)
	}
	if status, seen := asks(t, s, "/headers", "Bearer "+phone); status != http.StatusOK || seen.Get("Remote-User") != "alice" {
		t.Errorf("the other gives %d, %v", status, seen)
	}
	if said, err := s.MFA(t.Context(), "", "session", "revoke", "alice"); err != nil {
		t.Fatal(err, said)
	}
	if status, _ := asks(t, s, "/headers", "Bearer "+phone); status != http.StatusUnauthorized {
		t.Errorf("after all sessions were ended: %d, want 401", status)
	}
	if strings.Contains(s.Log.String(), token[4:]) { // S78
		t.Error("the log holds a token")
	}
}

// TestAccessTokensWithoutScripts does the same in a browser that runs no scripts.
func TestAccessTokensWithoutScripts(t *testing.T) {
	t.Parallel()
	s := start(t, rig.Config{})
	alice, _ := enrolled(t, s, "alice")
	b := withoutScripts(t, s)
	b.signIn(alice)
	token := b.newToken("phone", "/headers")
	if status, _ := asks(t, s, "/headers", "Bearer "+token); status != http.StatusOK {
		t.Errorf("the token gives %d", status)
	}
	b.follow("I've copied it")
	b.unfold("phone", "Revoke")
	b.within("phone", "Revoke")
	b.reads("Revoked.")
	if status, _ := asks(t, s, "/headers", "Bearer "+token); status != http.StatusUnauthorized {
		t.Errorf("the token that was revoked gives %d, want 401", status)
	}
}
