package loginui

import (
	"fmt"
	"html"
	"maps"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

var tokenForms = regexp.MustCompile(`mfa_[A-Za-z0-9_-]{43}`)

// TestAccessTokenPage: asked for in place, shown once, listed without it, revoked.
func TestAccessTokenPage(t *testing.T) { // S58, S64
	r := newRig(t)
	r.addAlice()
	b := r.browser()
	b.get("/.mfa/login")
	b.want(b.post("/.mfa/login", "name", "alice", "password", password), 303, "/.mfa/enroll")
	secret, _ := b.enroll("/")
	r.pass(20 * time.Minute)
	b.want(b.get("/.mfa/security"), 200, ">Access tokens</h2>", `name="hosts" type="text" dir="ltr" value="dash.example.com"`, `value="90"`)

	fields := []string{"label", "<b>feed</b>", "days", "30", "hosts", "dash.example.com, other.example.com", "paths", "/feed.xml /api/*", "methods", "get"}
	b.want(b.post("/.mfa/security/tokens", fields...), 303)
	page := b.get("/.mfa/verify/totp")
	b.want(page, 200, "Confirm that it is you, to make an access token.")
	b.want(b.post("/.mfa/verify/totp", "code", b.code(secret)), 303, "/.mfa/verify/password")
	page = b.want(b.post("/.mfa/verify/password", "password", password), 200, "<h1>Your new access token</h1>", "&lt;b&gt;feed&lt;/b&gt;",
		"<bdi>dash.example.com</bdi> <bdi>other.example.com</bdi>", "<bdi>/feed.xml</bdi> <bdi>/api/*</bdi>", "<bdi>GET</bdi>", "shown only this once", `curl -H &#34;Authorization: Bearer $TOKEN&#34; https://dash.example.com/feed.xml`)
	token := tokenForms.FindString(page.body)
	if token == "" || page.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("token %q, %v", token, page.Header)
	}
	if _, _, err := r.realm.AccessToken(t.Context(), token, netip.Addr{}); err != nil {
		t.Errorf("the token that is shown: %v", err)
	}
	for _, path := range []string{"/.mfa/security", "/.mfa/security/tokens", "/.mfa/security/activity", "/.mfa/verify/password", "/.mfa/recovery-codes", "/.mfa/session"} {
		if a := b.get(path); strings.Contains(a.body, token[4:]) {
			t.Errorf("%s shows the token again", path)
		}
	}
	for key, value := range r.records() {
		if strings.Contains(key+value, token[4:]) {
			t.Errorf("%s holds the token", key)
		}
	}
	if strings.Contains(r.log.String(), token[4:]) { // S78
		t.Error("the log holds the token")
	}
	b.want(b.post("/.mfa/verify/password", "password", password, "to", "/.mfa/security"), 303, "/.mfa/security?lost=1") // sent again

	// The session is fresh now, and the form is answered at once. Sent again it makes no second one.
	fields[1] = "phone"
	page = b.want(b.post("/.mfa/security/tokens", fields...), 200, "Your new access token")
	if again := tokenForms.FindString(page.body); again == "" || again == token {
		t.Errorf("the second token is %q", again)
	}
	b.want(b.post("/.mfa/security/tokens", fields...), 422, "You have an access token of this name.", `value="phone"`, `value="/feed.xml /api/*"`, `value="30"`)
	r.again(secret)
	b.want(b.get("/.mfa/security"), 200, "&lt;b&gt;feed&lt;/b&gt;</bdi></p>", "phone</bdi></p>", "last used", "never used", "<bdi>/feed.xml</bdi> <bdi>/api/*</bdi> · <bdi>GET</bdi> · Made", "Your access tokens are revoked with them.")
	b.want(b.get("/.mfa/security/activity"), 200, "Made the access token “phone”")

	all, err := r.realm.AccessTokens(t.Context(), "alice")
	if err != nil || len(all) != 2 {
		t.Fatalf("%d tokens, %v", len(all), err)
	}
	bob := r.signInAs("bob")
	bob.want(bob.post("/.mfa/security/tokens/revoke", "id", all[0].ID), 404) // S57, S87
	before := r.records()
	if a := b.get("/.mfa/security/tokens/revoke?id=" + all[0].ID); a.StatusCode != 303 || !maps.Equal(before, r.records()) { // S61
		t.Errorf("opened as a page: %s", a.Status)
	}
	for _, one := range all {
		b.want(b.post("/.mfa/security/tokens/revoke", "id", one.ID), 303, "/.mfa/security?done=revoke_token")
	}
	page = b.want(b.get("/.mfa/security?done=revoke_token"), 200, "Revoked.", "Revoked the access token “phone”")
	if strings.Contains(page.body, "phone</p>") {
		t.Error("a token that was revoked is listed")
	}
	b.want(b.post("/.mfa/security/tokens/revoke", "id", all[0].ID), 404)
	if _, _, err := r.realm.AccessToken(t.Context(), token, netip.Addr{}); err == nil {
		t.Error("the token works on")
	}
}

// TestAccessTokenForm: what cannot be is refused where it was typed, and the form keeps the rest.
func TestAccessTokenForm(t *testing.T) {
	r := newRig(t)
	r.addAlice()
	b := r.browser()
	b.get("/.mfa/login")
	b.want(b.post("/.mfa/login", "name", "alice", "password", password), 303, "/.mfa/enroll")
	secret, _ := b.enroll("/")
	for name, c := range map[string]struct{ field, value, says string }{
		"no name":        {"label", "", "Type a name."},
		"no days":        {"days", "", "Choose 1 to 365 days."},
		"no number":      {"days", "ten", "Choose 1 to 365 days."},
		"too many days":  {"days", "366", "Choose 1 to 365 days."},
		"no host":        {"hosts", " ", "Name at least one host."},
		"no host name":   {"hosts", "https://x", "“https://x” is no host name"},
		"markup":         {"hosts", "<i>", "“<i>” is no host name"},
		"no path":        {"paths", "/a?b", "“/a?b” is no path"},
		"no HTTP method": {"methods", "GE/T", "“GE/T” is no HTTP method"},
	} {
		t.Run(name, func(t *testing.T) {
			fields := map[string]string{"label": "feed", "days": "30", "hosts": "a.example.com", "paths": "/p", "methods": "PUT"}
			fields[c.field] = c.value
			var form []string
			for k, v := range fields {
				form = append(form, k, v)
			}
			page := b.want(b.post("/.mfa/security/tokens", form...), 422)
			if text := html.UnescapeString(page.body); !strings.Contains(text, c.says) || strings.Contains(page.body, "<i>") {
				t.Errorf("does not say %q:\n%s", c.says, page.body)
			}
			for k, v := range fields {
				if !strings.Contains(html.UnescapeString(page.body), `name="`+k+`"`) || v != "" && !strings.Contains(html.UnescapeString(page.body), `value="`+v+`"`) {
					t.Errorf("lost %s %q", k, v)
				}
			}
			if !strings.Contains(page.body, `<details open>`) {
				t.Error("the form is closed")
			}
		})
	}
	if all, err := r.realm.AccessTokens(t.Context(), "alice"); err != nil || len(all) != 0 {
		t.Errorf("made %+v, %v", all, err)
	}
	t.Run("no room", func(t *testing.T) {
		token := []string{"days", "30", "hosts", "a.example.com", "label"}
		r.pass(20 * time.Minute)
		b.want(b.post("/.mfa/security/tokens", append(token, "script")...), 303)
		b.want(b.post("/.mfa/verify/totp", "code", b.code(secret)), 303, "/.mfa/verify/password")
		b.want(b.post("/.mfa/verify/password", "password", password), 200)
		for i := range auth.MaxAccessTokens - 1 {
			b.want(b.post("/.mfa/security/tokens", append(token, fmt.Sprint("script ", i))...), 200)
		}
		const why = "You have 50 access tokens. Revoke one first."
		if page := b.want(b.get("/.mfa/security"), 200, why); strings.Contains(page.body, `name="hosts"`) {
			t.Error("the page asks for one more")
		}
		b.want(b.post("/.mfa/security/tokens", append(token, "one more")...), 422, why)
	})
}
