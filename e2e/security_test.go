package e2e

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
)

// open opens what a heading's section, or the page, hides behind words.
func (b *tab) reveal(words string) {
	b.t.Helper()
	b.do(chromedp.Click(summary(words), chromedp.NodeVisible))
}

func summary(words string) string { return `//summary[normalize-space()="` + words + `"]` }

// sends presses the button of the form that posts to a path of the Security page.
func (b *tab) sends(path string) {
	b.t.Helper()
	b.load(chromedp.Click(`//form[contains(@action,"/security/`+path+`")]//button[not(@type)]`, chromedp.NodeVisible))
}

// TestManageMethods adds a second app, renames it, signs in with each, replaces one and removes one.
func TestManageMethods(t *testing.T) {
	t.Parallel()
	s := start(t, rig.Config{})
	alice, _ := enrolled(t, s, "alice")
	b := open(t, s)
	b.signIn(alice)
	b.visit("/.mfa/security")
	b.sees("Security")
	b.reads("Two-factor authentication is on")
	b.reads("10 of 10 left")
	b.press("Add an authenticator app")
	b.sees("Set up your authenticator app")
	tablet := &rig.Person{Name: alice.Name, Password: alice.Password, Phone: b.qr()}
	b.fill("Code", code(t, tablet.Phone))
	b.press("Verify & enable")
	b.sees("Security")
	b.reads("Added.")
	b.unfold("Authenticator app (2)", "Rename")
	b.name("Authenticator app (2)", "Tablet")
	b.within("Authenticator app (2)", "Save")
	b.reads("Renamed.")
	b.do(chromedp.WaitVisible(row("Tablet")))
	b.shoot("security-two-apps")
	for _, p := range []*rig.Person{alice, tablet} { // each works alone
		other := open(t, s)
		other.signIn(p)
	}

	// Replaced: the old one works until the new one does, and not after.
	b.visit("/.mfa/security")
	b.unfold("Tablet", "Replace")
	b.shoot("security-replace")
	b.within("Tablet", "Set up the new app")
	b.sees("Set up your authenticator app")
	next := &rig.Person{Name: alice.Name, Password: alice.Password, Phone: b.qr()}
	other := open(t, s)
	other.signIn(tablet)
	b.fill("Code", code(t, next.Phone))
	b.press("Verify & enable")
	b.sees("Security")
	b.reads("Replaced.")
	b.shoot("security-replaced")
	other = open(t, s)
	other.signIn(next)
	dead := open(t, s)
	dead.password(tablet, "/")
	dead.fill("Code", code(t, tablet.Phone))
	if status := dead.press("Verify"); status != http.StatusUnauthorized {
		t.Errorf("a code of the app that was replaced gives %d, want 401", status)
	}

	// Fresh codes are offered with it.
	b.press("Make ten new codes")
	b.sees("Save your recovery codes")
	fresh := b.recoveryCodes()
	b.shoot("security-new-codes")
	b.press("I've saved my codes")
	b.sees("Security")
	b.reads("Your new recovery codes work from now on.")
	dead.follow("Use a recovery code")
	dead.fill("Recovery code", alice.Recovery[0])
	if status := dead.press("Verify"); status != http.StatusUnauthorized {
		t.Errorf("an old recovery code gives %d, want 401", status)
	}
	dead.fill("Recovery code", fresh[0])
	dead.press("Verify")
	dead.reads("9 left")
	b.visit("/.mfa/security")
	b.reads("9 of 10 left")

	// One is removed; the last one cannot be.
	b.unfold("Authenticator app", "Remove")
	b.within("Authenticator app", "Remove")
	b.reads("Removed.")
	b.do(chromedp.Click(`//summary[normalize-space()="Remove"]`, chromedp.NodeVisible))
	b.reads("This is your only second method")
	b.shoot("security-only")
}

// TestManageAccount changes password and display name, looks at the sessions and ends them, and reads what happened.
func TestManageAccount(t *testing.T) { // S6, S57
	t.Parallel()
	s := start(t, rig.Config{})
	alice, _ := enrolled(t, s, "alice")
	_, bob := enrolled(t, s, "bob")
	b, second, third := open(t, s), open(t, s), open(t, s)
	for _, tab := range []*tab{second, third, b} {
		tab.signIn(alice)
	}
	b.visit("/.mfa/security")
	b.reveal("Change display name")
	b.fill("Display name", "Alice Example")
	b.sends("name")
	b.sees("Security")
	b.reads("Your display name was changed.")
	b.visit("/")
	if headers := eval[string](b, `fetch("/headers").then(r => r.text())`); !strings.Contains(headers, "Alice Example") {
		t.Errorf("the app was told %s", headers)
	}

	b.visit("/.mfa/security")
	b.shoot("security-sessions")
	b.press("End session") // the first of the others: the newest
	b.reads("That session has ended.")
	third.visit("/")
	third.sees("Sign in")
	second.visit("/")
	second.sees("Example app")
	b.press("End all other sessions")
	b.reads("All your other sessions have ended.")
	second.visit("/")
	second.sees("Sign in")
	if !signedIn(t, bob) {
		t.Error("somebody else's session has ended")
	}

	second.signIn(alice)
	b.visit("/.mfa/security")
	b.reveal("Change password")
	b.fill("New password", "password")
	if status := b.press("Change password"); status != http.StatusUnprocessableEntity {
		t.Errorf("a common password gives %d, want 422", status)
	}
	b.shoot("security-password-refused")
	const next = "another horse battery staple"
	b.fill("New password", next)
	b.press("Change password")
	b.reads("Your password was changed")
	second.visit("/")
	second.sees("Sign in")
	b.visit("/")
	b.sees("Example app")
	alice.Password = next
	second.signIn(alice)

	b.visit("/.mfa/security")
	b.follow("All activity of 90 days")
	b.sees("Recent activity")
	for _, words := range []string{"Password changed", "Display name changed", "Session ended", "Signed in", "127.0.0.1"} {
		b.reads(words)
	}
	b.shoot("security-activity")
	b.follow("Back to Security")
	b.sees("Security")
}

// TestPreferredMethod is asked first, and the others stay.
func TestPreferredMethod(t *testing.T) {
	t.Parallel()
	s := start(t, rig.Config{})
	alice, _ := enrolled(t, s, "alice")
	b := open(t, s)
	b.plug(pinKey, true)
	b.signIn(alice)
	b.addKey("Blue key")
	b.reveal("Change what is asked first")
	b.do(chromedp.SetValue(field("Preferred method"), "totp"))
	b.shoot("security-preferred")
	b.sends("first")
	b.reads("Saved. It counts from your next sign-in.")
	b.press("Sign out")
	b.password(alice, "/")
	b.sees("Enter your code")
	b.follow("Use a security key")
	b.sees("Example app")
}

// TestManageWithoutScripts does all but keys in a browser that runs no scripts.
func TestManageWithoutScripts(t *testing.T) {
	t.Parallel()
	s := start(t, rig.Config{})
	alice, _ := enrolled(t, s, "alice")
	other := open(t, s)
	other.signIn(alice)
	b := withoutScripts(t, s)
	b.signIn(alice)
	b.visit("/.mfa/security")
	b.press("Add an authenticator app")
	tablet := b.qr()
	b.fill("Code", code(t, tablet))
	b.press("Verify & enable")
	b.reads("Added.")
	b.unfold("Authenticator app (2)", "Rename")
	b.name("Authenticator app (2)", "Tablet")
	b.within("Authenticator app (2)", "Save")
	b.reads("Renamed.")
	b.unfold("Tablet", "Remove")
	b.within("Tablet", "Remove")
	b.reads("Removed.")
	b.reveal("Make new codes")
	b.press("Make ten new codes")
	codes := b.text("main")
	b.press("I've saved my codes")
	b.reads("Your new recovery codes work from now on.")
	b.press("End all other sessions")
	b.reads("All your other sessions have ended.")
	b.reveal("Change password")
	b.fill("New password", "another horse battery staple")
	b.press("Change password")
	b.reads("Your password was changed")
	b.reveal("Change display name")
	b.fill("Display name", "Alice Example")
	b.sends("name")
	b.reads("Your display name was changed.")
	if strings.Contains(codes, alice.Recovery[0]) {
		t.Error("the new codes are the old ones")
	}
}

// TestSettingsWithoutScripts goes through what else there is to change in a browser that runs no scripts, from the reminder on.
func TestSettingsWithoutScripts(t *testing.T) {
	t.Parallel()
	o := openPost(t)
	viewable := "recovery {\n\t\t\tviewable\n\t\t}"
	s := startMailing(t, o, viewable)
	alice, _ := o.member(s, "alice")
	reconfigure(t, s, mailing(o.option(), viewable, soonAppsForAll))
	b := withoutScripts(t, s)
	b.password(alice, "/reports?q=1")
	b.answer(o.open("alice@example.com", aCode).code(t))
	b.sees("One more way to sign in is needed soon")
	b.shoot("remind-without-scripts")
	b.press("Add an authenticator app")
	alice.Phone = b.qr()
	b.fill("Code", code(t, alice.Phone))
	b.press("Verify & enable")
	b.sees("Example app")
	if at := strings.TrimPrefix(b.location(), s.URL); at != "/reports?q=1" {
		t.Errorf("setting up what is required led to %s", at)
	}

	b.visit("/.mfa/security")
	b.press("Show my codes")
	b.sees("Your recovery codes")
	if shown := b.recoveryCodes(); !slices.Equal(shown, alice.Recovery) {
		t.Errorf("the page shows %q, want %q", shown, alice.Recovery)
	}
	b.lacks(`//button[normalize-space()="Print"]`)
	if saved := anyRecoveryCode.FindAllString(b.download(), -1); !slices.Equal(saved, alice.Recovery) {
		t.Errorf("the file holds %q", saved)
	}
	b.press("Done")
	b.unfold("Authenticator app", "Replace")
	b.within("Authenticator app", "Set up the new app")
	alice.Phone = b.qr()
	b.fill("Code", code(t, alice.Phone))
	b.press("Verify & enable")
	b.reads("Replaced.")

	reconfigure(t, s, mailing(o.option(), viewable)) // a policy would hold what follows
	b.visit("/.mfa/security")
	b.reveal("Change what is asked first")
	b.do(chromedp.SetValue(field("Preferred method"), "email"))
	b.sends("first")
	b.reads("Asked first when you sign in: Email")
	b.reveal("Turn off two-factor authentication")
	b.fill("Type DISABLE to confirm", "DISABLE")
	b.press("Turn off two-factor authentication")
	b.reads("Two-factor authentication is off")
}

// TestTurnOff goes back to codes by mail, and on again: the recovery codes of before stay dead.
func TestTurnOff(t *testing.T) { // S34
	t.Parallel()
	o := openPost(t)
	s := startMailing(t, o)
	alice, elsewhere := o.member(s, "alice")
	o.withApp(alice, elsewhere)
	b := open(t, s)
	b.signIn(alice)
	b.visit("/.mfa/security")
	b.reads("Two-factor authentication is on")
	b.do(chromedp.Click(`//summary[normalize-space()="Remove"]`, chromedp.NodeVisible))
	b.reads("Without this one two-factor authentication would be off.")
	b.reveal("Turn off two-factor authentication")
	b.fill("Type DISABLE to confirm", "disable")
	if status := b.press("Turn off two-factor authentication"); status != http.StatusUnprocessableEntity {
		t.Errorf("another word gives %d, want 422", status)
	}
	b.shoot("security-turn-off")
	b.fill("Type DISABLE to confirm", "DISABLE")
	b.press("Turn off two-factor authentication")
	b.reads("Two-factor authentication is off")
	b.shoot("security-off")

	phone := alice.Phone
	other := open(t, s)
	other.password(alice, "/")
	other.sees("Check your email")
	other.lacks(`//a[normalize-space()="Use a recovery code"]`)
	other.lacks(`//a[normalize-space()="Use authenticator app"]`)
	other.answer(o.open("alice@example.com", aCode).code(t))
	other.sees("Save your recovery codes") // new ones; they are not saved

	// On again. What the app proved went with it, so the mailbox is asked.
	b.press("Add an authenticator app")
	b.sees("Check your email")
	b.reads("Confirm that it is you, to add an authenticator app.")
	b.answer(o.open("alice@example.com", aCode).code(t))
	b.sees("Set up your authenticator app")
	alice.Phone = b.qr()
	b.fill("Code", code(t, alice.Phone))
	b.press("Verify & enable")
	b.sees("Save your recovery codes")
	b.press("I've saved my codes")
	b.sees("Security")
	b.reads("Two-factor authentication is on")
	dead := open(t, s)
	dead.password(alice, "/")
	dead.fill("Code", code(t, phone))
	if status := dead.press("Verify"); status != http.StatusUnauthorized {
		t.Errorf("a code of the app of before gives %d, want 401", status)
	}
	dead.follow("Use a recovery code")
	dead.fill("Recovery code", alice.Recovery[0])
	if status := dead.press("Verify"); status != http.StatusUnauthorized {
		t.Errorf("a recovery code of before gives %d, want 401", status)
	}
}
