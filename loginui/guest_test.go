package loginui

import (
	"strings"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// TestGuestPage: the token alone opens nothing, one press does; what is over says so; the maker sees the link and takes it back.
func TestGuestPage(t *testing.T) { // S28, S61
	r := newRig(t)
	r.addAlice()
	alice := r.browser()
	alice.get("/.mfa/login")
	alice.want(alice.post("/.mfa/login", "name", "alice", "password", password), 303, "/.mfa/enroll")
	secret, _ := alice.enroll("/")
	r.pass(20 * time.Minute)
	token, link, err := r.realm.MakeGuestLink(t.Context(), auth.NewGuestLink{
		Maker: "alice", Label: "<b>feed</b>", Host: "dash.example.com", Guest: auth.Guest{Path: "/plan", Query: "v=1", Frag: "top"}, For: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	b := r.browser()
	b.want(b.get("/.mfa/guest"), 200, "<h1>Open a page as a guest</h1>", `data-token="auto"`)
	b.want(b.post("/.mfa/guest"), 422)
	b.want(b.post("/.mfa/guest", "token", "x"), 422, "This link does not open anything")
	b.want(b.post("/.mfa/guest", "token", token), 200, "dash.example.com/plan", `value="open"`)
	if b.cookies[auth.CookieGuest] != "" {
		t.Fatal("looking opened it")
	}
	res := b.want(b.post("/.mfa/guest", "token", token, "do", "open"), 303, "/plan?v=1#top")
	set := strings.Join(res.Header["Set-Cookie"], "\n")
	if b.cookies[auth.CookieGuest] == "" || !strings.Contains(set, "__Host-mfa-guest=") || !strings.Contains(set, "HttpOnly; Secure; SameSite=Lax") {
		t.Errorf("cookie: %s", set)
	}
	b.want(b.get("/.mfa/security"), 303, "/.mfa/login?to=%2F.mfa%2Fsecurity") // S53
	alice.want(alice.get("/.mfa/security"), 200, ">Guest links</h2>", "&lt;b&gt;feed&lt;/b&gt;", "dash.example.com/plan?v=1", "Guest link “&lt;b&gt;feed&lt;/b&gt;” opened")
	b.want(b.post("/.mfa/security/links/revoke", "id", link.ID), 303, "/.mfa/login?to=%2F.mfa%2Fsecurity") // S57
	alice.want(alice.post("/.mfa/security/links/revoke", "id", link.ID), 303, "/.mfa/verify/password")     // S58
	alice.want(alice.post("/.mfa/verify/password", "password", password), 303, "/.mfa/verify/totp")
	alice.want(alice.post("/.mfa/verify/totp", "code", alice.code(secret)), 303, "/.mfa/security?done=revoke_link")
	b.want(b.post("/.mfa/guest", "token", token, "do", "open"), 422, "This link does not open anything")
	if strings.Contains(r.log.String(), token) { // S78
		t.Error("the log holds the token")
	}
}
