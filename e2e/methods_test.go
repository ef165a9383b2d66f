package e2e

import (
	"fmt"
	"testing"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
)

// way is the offer of another way to sign in.
func way(words string) string {
	return fmt.Sprintf(`//main//*[self::a or self::button][normalize-space()=%q]`, words)
}

// TestMethodSwitchedOff takes methods out of the configuration: whoever has set them up signs in with another, and they are not offered.
func TestMethodSwitchedOff(t *testing.T) {
	t.Parallel()
	s := start(t, rig.Config{})
	alice, _ := enrolled(t, s, "alice")
	b := open(t, s)
	b.signIn(alice)
	k := b.plug(touchKey, true)
	b.addKey("Work key")
	k.touch(false)
	b.press("Sign out")
	b.password(alice, "/")
	b.sees("Use your security key")
	if b.offers("Use authenticator app") != 1 {
		t.Error("the app is not offered to begin with")
	}

	reconfigure(t, s, with("methods totp recovery"))
	b.visit("/")
	b.lacks(way("Sign in with a passkey"))
	b.password(alice, "/")
	b.sees("Enter your code")
	if b.offers("Use a recovery code") != 1 {
		t.Error("recovery codes are not offered")
	}
	b.lacks(way("Use a security key"))
	b.fill("Code", code(t, alice.Phone))
	b.press("Verify")
	b.sees("Example app")
	b.visit("/.mfa/security")
	b.lacks(way("Add a security key or passkey"))
	b.shoot("security-method-off")
	b.press("Sign out")

	reconfigure(t, s, with("methods webauthn recovery"))
	b.password(alice, "/")
	b.sees("Use your security key")
	b.lacks(way("Use authenticator app"))
	b.visit("/.mfa/verify/totp") // nor is it taken
	b.sees("Use your security key")
	k.touch(true)
	b.visit("/.mfa/verify/webauthn")
	b.sees("Example app")
}

// offers is how often the page offers another way.
func (b *tab) offers(words string) int {
	b.t.Helper()
	return eval[int](b, fmt.Sprintf(`document.evaluate(%q, document, null, XPathResult.ORDERED_NODE_SNAPSHOT_TYPE, null).snapshotLength`, way(words)))
}

// TestEnforcedFromADate signs in before the date of a policy, when it is a reminder, and after it, when it comes before anything else.
func TestEnforcedFromADate(t *testing.T) {
	t.Parallel()
	s := start(t, rig.Config{})
	alice, _ := enrolled(t, s, "alice")
	from := func(date string) string {
		return with(`enforce "Keys for all" {`, "\tmethods webauthn", "\tfrom "+date, "}")
	}
	reconfigure(t, s, from("2099-01-01"))
	b := open(t, s)
	b.password(alice, "/")
	b.fill("Code", code(t, alice.Phone))
	b.press("Verify")
	b.sees("One more way to sign in is needed soon")
	b.reads("Keys for all")
	b.reads("2099")
	b.shoot("remind-date")
	b.follow("Later")
	b.sees("Example app")
	b.press("Sign out")

	reconfigure(t, s, from("2026-01-01"))
	b.password(alice, "/")
	b.fill("Code", code(t, alice.Phone))
	b.press("Verify")
	b.sees("Set up two-factor authentication")
	b.reads("Keys for all")
	b.lacks(way("Later"))
	b.visit("/") // and not before
	b.sees("Sign in")
	b.plug(touchKey, true)
	b.password(alice, "/")
	b.fill("Code", code(t, alice.Phone))
	b.press("Verify")
	b.press("Security key or passkey")
	b.fill("Name", "Work key")
	b.press("Register")
	b.sees("Example app")
}
