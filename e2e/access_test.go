package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
)

// TestWithoutScripts does everything in a browser that runs no scripts: the token is pasted, not read off the address.
func TestWithoutScripts(t *testing.T) {
	t.Parallel()
	s := start(t, rig.Config{})
	link, err := s.SetupLink(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	address, token := rig.CutLink(link)
	b := open(t, s)
	b.scripts(false)
	b.visit(address)
	b.fill("Invitation code", "wrong"+token)
	if status := b.press("Continue"); status != http.StatusUnprocessableEntity {
		t.Errorf("a wrong token gives %d, want 422", status)
	}
	b.shoot("without-scripts-invite")
	b.fill("Invitation code", token)
	b.press("Continue")
	b.fill("Username", "alice")
	b.fill("Password", "password")
	if status := b.press("Create account"); status != http.StatusUnprocessableEntity {
		t.Errorf("a common password gives %d, want 422", status)
	}
	b.fill("Username", "alice")
	b.fill("Password", "correct horse battery staple")
	b.press("Create account")
	b.sees("Set up two-factor authentication")
	b.press("Authenticator app")
	phone := b.qr()
	b.do(chromedp.Click(`//summary[normalize-space()="Can't scan it?"]`, chromedp.NodeVisible))
	b.shoot("without-scripts-totp")
	b.fill("Code", code(t, phone))
	b.press("Verify & enable")
	b.recoveryCodes()
	b.shoot("without-scripts-codes")
	b.download()
	b.press("I've saved my codes")
	b.sees("Example app")
	b.press("Sign out")
	b.signIn(&rig.Person{Name: "alice", Password: "correct horse battery staple", Phone: phone})
}

// TestKeysWithoutScripts has a key and an app, in a browser that runs no scripts: everything else works, and pages that need the key
// say what is missing.
func TestKeysWithoutScripts(t *testing.T) {
	t.Parallel()
	s := start(t, rig.Config{})
	alice, member := enrolled(t, s, "alice")
	if err := alice.AddKey(t.Context(), member, rig.Device(s.URL), "Laptop"); err != nil {
		t.Fatal(err)
	}
	b := open(t, s)
	b.scripts(false)
	const needs = "This way needs JavaScript"
	b.visit(passkeyLink)
	b.sees("Sign in")
	b.lacks(`//button[normalize-space()="Sign in with a passkey"]`)
	b.fill("Username or email", alice.Name)
	b.fill("Password", alice.Password)
	b.press("Sign in")
	b.sees("Use your security key")
	b.reads(needs)
	b.lacks(`//main//button`)
	b.shoot("without-scripts-key")
	b.reads("9 minutes were left when this page was loaded.")
	b.press("Give me 10 more minutes")
	b.sees("Use your security key")
	b.follow("Use a recovery code")
	b.fill("Recovery code", alice.Recovery[0])
	b.press("Verify")
	b.reads("9 left")
	b.follow("Continue")
	b.sees("Example app")
	b.press("Sign out")

	// The app; what is changed on the Security page needs no script either, but for setting up another key.
	b.visit("/")
	b.fill("Username or email", alice.Name)
	b.fill("Password", alice.Password)
	b.press("Sign in")
	b.follow("Use authenticator app")
	b.sees("Enter your code")
	b.fill("Code", code(t, alice.Phone))
	b.press("Verify")
	b.sees("Example app")
	b.visit("/.mfa/security")
	b.reads(needs)
	b.press("Add a security key or passkey")
	b.sees("Set up a security key or passkey")
	b.reads(needs)
	b.lacks(`//main//button`)
	b.lacks(`//main//*[@class="lead"]`)
	b.shoot("without-scripts-enroll-key")
	b.follow("Cancel")
	b.sees("Security")
	b.unfold("Laptop", "Rename")
	b.name("Laptop", "Laptop of alice")
	b.within("Laptop", "Save")
	b.reads("Renamed.")
	b.unfold("Laptop of alice", "Remove")
	b.shoot("without-scripts-remove")
	b.within("Laptop of alice", "Remove")
	b.reads("Removed.")
	b.lacks(row("Laptop of alice"))
}

// TestWithoutName opens a site by its address. Keys are for names: they are not offered, and everything else works.
func TestWithoutName(t *testing.T) {
	t.Parallel()
	s := start(t, rig.Config{Caddyfile: strings.Replace(rig.Gated, "http://localhost:{port}", "http://127.0.0.1:{port}", 1)})
	s.URL = strings.Replace(s.URL, "localhost", "127.0.0.1", 1)
	alice := addUser(t, s, "alice")
	b := open(t, s)
	k := b.plug(laptop, true)
	b.visit("/")
	b.sees("Sign in")
	b.lacks(`//button[normalize-space()="Sign in with a passkey"]`)
	b.password(alice, "/")
	b.sees("Set up two-factor authentication")
	b.lacks(button("Security key or passkey"))
	b.shoot("without-name-enroll")
	b.setUpApp(alice)
	b.press("I've saved my codes")
	b.sees("Example app")
	b.visit("/.mfa/security")
	b.sees("Security")
	b.lacks(button("Add a security key or passkey"))
	b.press("Sign out")
	b.signIn(alice)
	if b.upgrades() != 0 || len(k.holds()) != 0 {
		t.Error("a passkey was offered at an address without a name")
	}
}

// lacks fails the test if the page shows such an element.
func (b *tab) lacks(xpath string) {
	b.t.Helper()
	shown := eval[int](b, fmt.Sprintf(`(() => {
		const found = document.evaluate(%q, document, null, XPathResult.ORDERED_NODE_SNAPSHOT_TYPE, null);
		return Array.from({length: found.snapshotLength}, (_, i) => found.snapshotItem(i)).filter(e => e.checkVisibility()).length;
	})()`, xpath))
	if shown != 0 {
		b.t.Errorf("there is %s: %s", xpath, b.state())
	}
}
