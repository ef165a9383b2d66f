package e2e

import (
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
)

// TestKeyFirst sets up a key as the only second method, and signs in with it after the password: the prompt opens by itself.
func TestKeyFirst(t *testing.T) {
	t.Parallel()
	s := start(t, rig.Config{})
	for _, tc := range []struct {
		name, user, shots, proposed, kind string
		model                             model
	}{
		{"a touch alone", "alice", "touch-key", "Security key", "Security key", touchKey},
		{"from before FIDO2", "bob", "", "Security key", "Security key", oldKey},
		{"with a PIN", "carol", "", "Passkey", "Passkey on one device", pinKey},
		{"synced passkeys", "dave", "", "Headless Chrome on Linux", "Passkey, synced between your devices", laptop},
		{"passkeys without a lock", "erin", "", "Headless Chrome on Linux", "Passkey on one device", bareLaptop},
	} {
		t.Run(tc.name, func(t *testing.T) {
			person := addUser(t, s, tc.user)
			b := open(t, s)
			k := b.plug(tc.model, true)
			b.password(person, "/")
			b.sees("Set up two-factor authentication")
			b.press("Security key or passkey")
			b.sees("Set up a security key or passkey")
			if tc.shots != "" {
				b.shoot("enroll-key")
			}
			b.press("Register")
			b.sees("Save your recovery codes")
			if codes := b.recoveryCodes(); len(codes) != 10 {
				t.Errorf("%d recovery codes", len(codes))
			}
			b.press("I've saved my codes")
			b.sees("Example app")
			if held := k.holds(); len(held) != 1 {
				t.Errorf("the authenticator holds %v, want one credential", held)
			}
			b.visit("/.mfa/security")
			b.do(chromedp.WaitVisible(row(tc.proposed)))
			b.reads(tc.kind)
			if strings.Contains(b.text("body"), "Security key ·") {
				t.Error("what the key is called is said twice")
			}
			if tc.shots != "" {
				b.shoot("security-" + tc.shots)
			}

			k.touch(false)
			b.press("Sign out")
			b.password(person, "/reports?q=1")
			b.sees("Use your security key")
			if tc.shots != "" {
				b.shoot("verify-key")
			}
			k.touch(true)
			b.visit("/.mfa/verify/webauthn")
			b.sees("Example app")
			if b.text("#uri") != "/reports?q=1" || b.text("#user") != person.Name {
				t.Errorf("the app was asked for %s by %s", b.text("#uri"), b.text("#user"))
			}
			if !tc.model.HasResidentKey { // others would answer on the sign-in page already
				b.press("Sign out")
				b.password(person, "/reports?q=2")
				b.sees("Example app")
			}
			if tc.model.HasResidentKey && b.upgrades() != 0 {
				t.Error("somebody with a passkey is offered another")
			}
		})
	}
}

// TestKeyBesideApp adds a key to an authenticator app, and goes from one to the other with the keyboard alone.
func TestKeyBesideApp(t *testing.T) { // S58
	t.Parallel()
	s := start(t, rig.Config{})
	alice := addUser(t, s, "alice")
	b := open(t, s)
	b.password(alice, "/")
	b.setUpApp(alice)
	b.press("I've saved my codes")
	b.sees("Example app")

	// Setting something up proves nothing for another change: it is asked first, and then goes on by itself.
	k := b.plug(pinKey, false)
	b.visit("/.mfa/security")
	b.press("Add a security key or passkey")
	b.sees("Enter your code")
	b.reads("Confirm that it is you")
	b.shoot("security-confirm-totp")
	b.fill("Code", code(t, alice.Phone))
	b.press("Verify")
	b.sees("Set up a security key or passkey")
	b.shoot("security-add-key")
	k.touch(true)
	b.fill("Name", "Blue key")
	b.press("Register")
	b.sees("Security")
	b.reads("Added.")
	b.reads("Blue key")
	b.shoot("security-added")

	// The same one again.
	b.press("Add a security key or passkey")
	b.sees("Set up a security key or passkey")
	b.click("Register")
	b.told("This security key is already registered")
	b.shoot("enroll-key-duplicate", func(seen *tab) {
		k.carry(seen, pinKey).touch(true)
		seen.prompted(b.location())
	})
	b.follow("Cancel")
	b.sees("Security")
	if n := len(k.holds()); n != 1 {
		t.Errorf("the key holds %d credentials, want one", n)
	}

	k.touch(false)
	b.press("Sign out")
	b.password(alice, "/")
	b.sees("Use your security key")
	b.shoot("verify-key-or-app")
	b.tabTo("Use authenticator app")
	b.enter()
	b.sees("Enter your code")
	b.tabTo("Use a security key")
	b.enter()
	b.sees("Use your security key")
	b.tabTo("Use a recovery code")
	b.enter()
	b.sees("Use a recovery code")
	b.tabTo("Use authenticator app")
	b.enter()
	b.sees("Enter your code")
	b.tabTo("Code")
	b.typedWhole(code(t, alice.Phone))
	b.sees("Example app")
	b.press("Sign out")
	b.password(alice, "/")
	b.tabTo("Use authenticator app")
	b.enter()
	b.sees("Enter your code")
	k.touch(true)
	b.tabTo("Use a security key")
	b.enter()
	b.sees("Example app")
}

// TestKeyByKeyboard sets a key up and signs in with it without a mouse. A prompt that failed leaves the focus where it helps.
func TestKeyByKeyboard(t *testing.T) {
	t.Parallel()
	s := start(t, rig.Config{})
	alice := addUser(t, s, "alice")
	b := open(t, s)
	k := b.plug(pinKey, true)
	password := func() {
		b.visit("/")
		b.tabTo("Username or email")
		b.typed(alice.Name)
		b.tabTo("Password")
		b.typed(alice.Password)
		b.enter()
	}
	password()
	b.sees("Set up two-factor authentication")
	b.tabTo("Security key or passkey")
	b.enter()
	b.sees("Set up a security key or passkey")
	b.tabTo("Name")
	b.typed("Blue key")
	b.tabTo("Register")
	b.enter()
	b.sees("Save your recovery codes")
	b.tabTo("I've saved my codes")
	b.enter()
	b.sees("Example app")
	k.touch(false)
	b.tabTo("Sign out")
	b.enter()
	k.verify(false)
	password()
	b.sees("Use your security key")
	k.touch(true)
	b.visit("/.mfa/verify/webauthn")
	b.told("The prompt was closed")
	b.starts("Try again")
	k.verify(true)
	b.enter()
	b.sees("Example app")
}

// impatient makes prompts give up after three seconds, where the portal allows five minutes.
const impatient = `if (navigator.credentials) for (const call of ["create", "get"]) {
	const real = navigator.credentials[call].bind(navigator.credentials);
	navigator.credentials[call] = (o) => { o.publicKey.timeout = 3000; return real(o); };
}`

// TestPromptFails cancels prompts, lets them time out, and has an authenticator that signs nonsense. Each time the page says what
// happened, and trying again works.
func TestPromptFails(t *testing.T) {
	t.Parallel()
	s := start(t, rig.Config{})
	alice := addUser(t, s, "alice")
	b := open(t, s)
	b.inject(impatient)
	k := b.plug(pinKey, true)
	k.verify(false) // the wrong PIN, or Cancel
	b.password(alice, "/")
	b.press("Security key or passkey")
	b.fill("Name", "Blue key")
	b.click("Register")
	b.told("The prompt was closed")
	b.shoot("enroll-key-cancelled", func(seen *tab) {
		seen.plug(pinKey, true).verify(false)
		seen.prompted(b.location())
	})
	k.verify(true)
	b.press("Try again")
	b.sees("Save your recovery codes")
	b.press("I've saved my codes")
	b.sees("Example app")
	b.visit("/.mfa/security")
	b.reads("Blue key") // typed once
	k.touch(false)
	b.press("Sign out")

	b.password(alice, "/deep?x=1#y")
	b.sees("Use your security key")
	b.told("waited too long")
	b.shoot("verify-key-cancelled", func(seen *tab) {
		k.carry(seen, pinKey)
		seen.prompted(b.location())
	})
	k.nonsense(true)
	k.touch(true)
	b.press("Try again")
	b.sees("Use your security key")
	b.reads("That key was not accepted")
	b.shoot("verify-key-wrong")
	k.nonsense(false)
	b.press("Try again")
	b.sees("Example app")
	if at := b.location(); at != s.URL+"/deep?x=1#y" {
		t.Errorf("the link led to %s", at)
	}

	k.touch(false)
	b.press("Sign out")
	b.visit("/deep?x=1#y")
	b.click("Sign in with a passkey")
	b.told("waited too long")
	b.shoot("login-passkey-cancelled", func(seen *tab) {
		k.carry(seen, pinKey)
		seen.prompted(b.location())
	})
	k.nonsense(true)
	k.touch(true)
	b.press("Sign in with a passkey")
	b.sees("Sign in")
	b.reads("That passkey was not accepted")
	b.shoot("login-passkey-wrong")
	k.nonsense(false)
	b.press("Sign in with a passkey")
	b.sees("Example app")
	if at := b.location(); at != s.URL+"/deep?x=1#y" {
		t.Errorf("the link led to %s", at)
	}
}

// TestTwoKeys signs in with each of two keys alone, renames one and removes the other. Whoever is signed in by that one, in another
// browser, is out.
func TestTwoKeys(t *testing.T) { // S56
	t.Parallel()
	s := start(t, rig.Config{})
	alice := addUser(t, s, "alice")
	b := open(t, s)
	first := b.plug(touchKey, true)
	b.setUp(alice)
	first.touch(false)
	b.visit("/.mfa/security")
	b.unfold("First key", "Remove")
	b.reads("This is your only second method")
	if n := len(run(b, chromedp.Nodes(row("First key")+button("Remove"), chromedp.NodeReady, chromedp.AtLeast(0)))); n != 0 {
		t.Error("the only second method has a button to remove it")
	}
	b.shoot("security-only")
	b.press("Add a security key or passkey")
	b.sees("Use your security key")
	b.reads("Confirm that it is you")
	b.shoot("security-confirm-key")
	first.touch(true)
	b.visit("/.mfa/verify/webauthn") // once proven, it goes on by itself
	b.sees("Set up a security key or passkey")
	first.touch(false)
	second := b.plug(pinKey, true)
	b.fill("Name", "Spare key")
	b.press("Register")
	b.sees("Security")
	b.reads("Spare key")
	if len(first.holds()) != 1 || len(second.holds()) != 1 {
		t.Fatalf("the keys hold %d and %d credentials, want one each", len(first.holds()), len(second.holds()))
	}

	// Each alone, in a browser of its own.
	other := open(t, s)
	spare := second.carry(other, pinKey)
	other.password(alice, "/")
	spare.touch(true)
	other.visit("/.mfa/verify/webauthn")
	other.sees("Example app")
	second.touch(false)
	b.press("Sign out")
	b.password(alice, "/")
	first.touch(true)
	b.visit("/.mfa/verify/webauthn")
	b.sees("Example app")

	b.visit("/.mfa/security")
	b.unfold("First key", "Rename")
	b.name("First key", "Blue key")
	b.shoot("security-rename")
	b.within("First key", "Save")
	b.sees("Security")
	b.reads("Renamed.")
	b.reads("Blue key")
	b.unfold("Spare key", "Remove")
	b.do(chromedp.Click(row("Spare key")+`//label[normalize-space()="End the other sessions that used it"]`, chromedp.NodeVisible))
	b.shoot("security-remove")
	b.within("Spare key", "Remove")
	b.sees("Security")
	b.reads("Removed.")
	b.do(chromedp.WaitNotPresent(row("Spare key")))
	b.unfold("Blue key", "Remove")
	b.reads("This is your only second method")
	b.visit("/")
	b.sees("Example app")

	spare.touch(false)
	other.visit("/")
	other.sees("Sign in")
	spare.touch(true)
	other.press("Sign in with a passkey")
	other.reads("This passkey is not known here")
	other.shoot("login-passkey-unknown", func(seen *tab) {
		// The browser has heard that the passkey is not known, and forgot it: what it answered is sent with another challenge.
		_, sent := other.brought()
		form, err := url.ParseQuery(sent)
		if err != nil {
			t.Fatal(err)
		}
		seen.visit("/")
		form.Set("challenge", eval[string](seen, `document.querySelector("form[data-key]").elements.challenge.defaultValue`))
		seen.posts(other.location(), form.Encode())
	})
}
