package e2e

import (
	"context"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
)

// manyHosts is one portal for two hosts, the second of which asks for a fresh code where it matters.
const manyHosts = `{
	admin {admin}
	auto_https off
	mfa {
		portal http://auth.localhost:{port} one.localhost two.localhost
	}
}

http://auth.localhost:{port} {
	bind 127.0.0.1
	mfa_portal
}

http://one.localhost:{port}, http://two.localhost:{port} {
	bind 127.0.0.1
	mfa {
		rule /admin/* {
			require totp
		}
	}
	reverse_proxy {app}
}
`

// hosts are the addresses of a server with manyHosts.
func hosts(s *rig.Server) (auth, one, two string) {
	at := func(name string) string { return "http://" + name + ".localhost:" + s.Port }
	return at("auth"), at("one"), at("two")
}

// roam opens a tab of a new profile for all hosts of a server.
func roam(t *testing.T, s *rig.Server) *tab {
	t.Helper()
	b := open(t, s)
	auth, one, two := hosts(s)
	b.also = []string{auth, one, two}
	return b
}

// mayUse is the value of each cookie of ours that the browser sends to an address, by name, after checking that no other host gets it.
func (b *tab) mayUse(address string) map[string]string {
	b.t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		b.t.Fatal(err)
	}
	got := run(b, func(ctx context.Context, t *chromedp.Target) (network.GetCookiesResult, error) {
		return cdp.Call(ctx, t, network.GetCookies, network.GetCookiesParams{URLs: []string{address + "/"}})
	})
	found := map[string]string{}
	for _, c := range got.Cookies {
		if !strings.HasPrefix(c.Name, "__Host-") {
			continue
		}
		found[c.Name] = c.Value
		if c.Domain != u.Hostname() || !c.HTTPOnly || !c.Secure || c.Path != "/" || c.SameSite != network.CookieSameSiteLax { // S59
			b.t.Errorf("a cookie for %s: %+v", address, c)
		}
	}
	return found
}

// TestManyHosts signs in once, for two apps on hosts of their own, and out of everything at one of them.
func TestManyHosts(t *testing.T) { // S54, S59, S60, S62, S73
	t.Parallel()
	s := start(t, rig.Config{Caddyfile: manyHosts})
	auth, one, two := hosts(s)
	alice := addUser(t, s, "alice")
	b := roam(t, s)
	const deep = "/deep/a%2Fb?x=1&y=a%26b#part-2"

	b.visit(one + deep)
	b.sees("Sign in")
	b.reads("to continue to one.localhost")
	if at := b.location(); !strings.HasPrefix(at, auth+"/.mfa/login?to=") || !strings.HasSuffix(at, "#part-2") {
		t.Errorf("led to %s", at)
	}
	b.shoot("portal-sign-in")
	b.fill("Username or email", alice.Name)
	b.fill("Password", "not the password")
	b.press("Sign in")
	b.reads("That name and password do not match.")
	b.fill("Password", alice.Password)
	b.press("Sign in")
	b.press("Authenticator app")
	phone := b.qr()
	b.fill("Code", code(t, phone))
	b.press("Verify & enable")
	b.shoot("portal-recovery-codes")
	b.press("I've saved my codes")
	b.sees("Example app")
	if at := b.location(); at != one+deep {
		t.Errorf("came back to %s, want %s", at, one+deep)
	}
	if uri := b.text("#uri"); uri != strings.TrimSuffix(deep, "#part-2") {
		t.Errorf("the app got %s", uri)
	}
	if said := eval[string](b, stay); said != "echo hello, 0" {
		t.Fatalf("signed in, they say %q", said)
	}

	// The other host asks for nothing, in a tab of its own, and neither can see what is the other's.
	second := b.beside()
	second.also = b.also
	second.visit(two + deep)
	second.sees("Example app")
	if at := second.location(); at != two+deep || second.text("#user") != "alice" {
		t.Errorf("at %s as %s", at, second.text("#user"))
	}
	seen := map[string]string{}
	for _, host := range []string{auth, one, two} {
		session := b.mayUse(host)["__Host-mfa"]
		if other := seen[session]; session == "" || other != "" {
			t.Errorf("%s has the session %q, as %s has", host, session, other)
		}
		seen[session] = host
	}
	if got := eval[string](second, `fetch("/headers").then(r => r.text())`); strings.Contains(got, "__Host-") {
		t.Errorf("the app gets a cookie of ours: %s", got)
	}

	// The session is one to its owner.
	second.visit(two + "/.mfa/security")
	second.sees("Security")
	if at := second.location(); at != auth+"/.mfa/security" {
		t.Errorf("the Security page is at %s", at)
	}
	second.reads("Used at one.localhost, two.localhost")
	second.shoot("portal-security")

	// Signing out at the one signs out the other, and cuts what went on there.
	second.visit(two + "/")
	second.press("Sign out")
	second.sees("Sign in")
	second.reads("You are signed out")
	if at := second.location(); at != auth+"/.mfa/login?signed_out=1" {
		t.Errorf("signed out at %s", at)
	}
	second.shoot("portal-signed-out")
	b.expected = regexp.MustCompile(`WebSocket|401|ERR_`)
	if said := eval[string](b, "over"); said != "WebSocket, events" {
		t.Errorf("got %q", said)
	}
	for _, host := range []string{one, two} {
		b.visit(host + "/")
		b.sees("Sign in")
	}
	b.visit(auth + "/")
	b.sees("Sign in")
}

// TestStepUpOnAnotherHost proves something anew at the portal, for a page of one of the hosts.
func TestStepUpOnAnotherHost(t *testing.T) {
	t.Parallel()
	s := start(t, rig.Config{Caddyfile: manyHosts})
	auth, one, two := hosts(s)
	alice := addUser(t, s, "alice")
	b := roam(t, s)
	b.visit(one + "/")
	b.begins(alice)
	b.press("I've saved my codes")
	b.sees("Example app")
	before := b.mayUse(one)["__Host-mfa"]

	b.visit(one + "/admin/page?x=1#y") // setting up the app was no proof
	b.sees("Confirm that it is you")
	if at := b.location(); !strings.HasPrefix(at, auth+"/.mfa/step-up?") || !strings.HasSuffix(at, "#y") {
		t.Errorf("asked at %s", at)
	}
	b.shoot("portal-step-up")
	b.visit(one + "/?a=b") // a form that is on its way comes back, too
	b.fill("Text", "a long letter, typed with care")
	b.press("Save")
	b.sees("Confirm that it is you")
	b.press("Continue")
	b.sees("Enter your code")
	next, err := alice.Code(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b.fill("Code", next)
	b.press("Verify")
	b.sees("Send your form now")
	if at := b.location(); !strings.HasPrefix(at, one+"/.mfa/resend?form=") {
		t.Errorf("came back to %s", at)
	}
	b.press("Send it")
	b.sees("Example app")
	if text := b.text("#text"); text != "a long letter, typed with care" {
		t.Errorf("the app got %q", text)
	}
	b.visit(one + "/admin/page?x=1#y")
	b.sees("Example app")
	if after := b.mayUse(one)["__Host-mfa"]; after == before || after == "" {
		t.Error("the session has its old cookie")
	}
	b.visit(two + "/admin/") // what was proven counts there as well
	b.sees("Example app")
}

// TestPortalIsNoOpenDoor tries to be led elsewhere, and to take a sign-in to another browser.
func TestPortalIsNoOpenDoor(t *testing.T) { // S65
	t.Parallel()
	s := start(t, rig.Config{Caddyfile: manyHosts})
	auth, one, two := hosts(s)
	alice := addUser(t, s, "alice")
	b := roam(t, s)
	b.visit(two + "/x")
	sealed, err := url.Parse(b.location())
	if err != nil {
		t.Fatal(err)
	}
	to := sealed.Query().Get("to")
	for _, forged := range []string{"https://evil.example/", "//evil.example", one + "/", to[:len(to)-2] + "AA", "javascript:alert(1)"} {
		b.visit(auth + "/.mfa/login?to=" + url.QueryEscape(forged))
		b.sees("Sign in")
		b.reads("to continue to auth.localhost")
	}
	b.begins(alice)
	b.press("I've saved my codes")
	b.sees("Security") // the portal's own page

	// Somebody sends alice a link to the portal that was sealed for their own browser.
	mallory := roam(t, s)
	mallory.visit(one + "/mine")
	mallory.sees("Sign in")
	b.visit(mallory.location())
	b.sees("Example app") // it leads where a link to the app would
	if at := b.location(); at != one+"/mine" || b.text("#user") != alice.Name {
		t.Errorf("alice is at %s", at)
	}
	var code string
	b.mu.Lock()
	for _, r := range b.requests {
		if strings.HasPrefix(r, one+"/.mfa/handover?code=") {
			code = r
			break // the one that was made for mallory's browser
		}
	}
	b.mu.Unlock()
	if code == "" {
		t.Fatal("no code was made")
	}
	mallory.visit(code) // even if it were overheard
	mallory.sees("Sign in")
	if mallory.mayUse(one)["__Host-mfa"] != "" {
		t.Error("mallory has a session")
	}
}
