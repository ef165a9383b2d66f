package e2e

import (
	"net/http"
	"testing"

	"github.com/chromedp/cdproto/emulation"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
)

// TestMailByKeyboard signs in, opens a link, resets the password and undoes what was not me, without a mouse.
func TestMailByKeyboard(t *testing.T) {
	t.Parallel()
	o := openPost(t)
	s := startMailing(t, o)
	alice, member := o.member(s, "alice")
	b := open(t, s)
	begin := func() {
		b.visit("/")
		b.sees("Sign in")
		b.tabTo("Username or email")
		b.typed(alice.Name)
		b.tabTo("Password")
		b.typed(alice.Password)
		b.enter()
		b.sees("Check your email")
	}
	begin()
	o.open(address("alice"), aCode)
	b.tabTo("Send a new code")
	b.enter()
	b.sees("Check your email")
	b.tabTo("Code")
	b.typedWhole(o.open(address("alice"), aCode).code(t))
	b.sees("Example app")
	b.tabTo("Sign out")
	b.enter()

	begin()
	b.opens(o.open(address("alice"), aCode), "Sign in on this device?")
	b.tabTo("Sign in")
	b.enter()
	b.sees("Example app")
	b.tabTo("Sign out")
	b.enter()

	o.withApp(alice, member)
	b.visit("/.mfa/login")
	b.tabTo("Forgot password?")
	b.enter()
	b.tabTo("Username or email")
	b.typed("alice")
	b.enter()
	b.sees("Check your email")
	b.opens(o.open(address("alice"), aReset), "Choose a new password")
	b.tabTo("New password")
	b.typed("another horse battery staple")
	b.enter()
	b.sees("Enter your code")
	b.opens(o.open(address("alice"), aNewPassword), "This wasn't me")
	b.tabTo("Secure my account")
	b.enter()
	b.sees("Your account is secured")
}

// TestMailWithoutScripts does the same in a browser that runs no scripts: tokens are pasted, not read off the address.
func TestMailWithoutScripts(t *testing.T) {
	t.Parallel()
	o := openPost(t)
	s := startMailing(t, o)
	o.invite(s, "alice")
	alice := &rig.Person{Name: "alice", Password: "correct horse battery staple"}
	b := withoutScripts(t, s)
	b.paste(o.open(address("alice"), anInvitation), "Invitation code")
	b.press("Continue")
	b.fill("Password", alice.Password)
	b.press("Create account")
	b.press("Show my codes")
	alice.Recovery = b.recoveryCodes()
	b.press("I've saved my codes")
	b.sees("Example app")
	b.press("Sign out")

	b.password(alice, "/")
	b.answer(o.open(address("alice"), aCode).code(t))
	b.sees("Example app")
	b.press("Sign out")

	// The link, where it began and elsewhere.
	b.password(alice, "/")
	mail := o.open(address("alice"), aCode)
	other := withoutScripts(t, s)
	other.paste(mail, "Code from the link")
	other.shoot("mail-without-scripts-link")
	other.press("Show the code")
	other.sees("Your code")
	other.reads(mail.code(t))
	b.paste(mail, "Code from the link")
	b.sees("Sign in on this device?")
	b.press("Sign in")
	b.sees("Example app")
	b.visit("/.mfa/security")

	other.visit("/.mfa/forgot")
	other.fill("Username or email", "alice")
	other.press("Send link")
	reset := o.open(address("alice"), aReset)
	other.paste(reset, "Code from the link")
	other.fill("New password", "password")
	if status := other.press("Set password"); status != http.StatusUnprocessableEntity {
		t.Errorf("a common password gives %d, want 422", status)
	}
	other.shoot("mail-without-scripts-reset")
	other.fill("New password", "another horse battery staple") // the token is not asked for again
	other.press("Set password")
	other.sees("Use a recovery code")
	other.fill("Recovery code", alice.Recovery[0])
	other.press("Verify")
	other.reads("9 left")

	other.paste(o.open(address("alice"), aNewPassword), "Code from the link")
	other.shoot("mail-without-scripts-not-me")
	other.press("Secure my account")
	other.sees("Your account is secured")
	other.visit("/")
	other.sees("Sign in")
}

// withoutScripts is open for a browser that runs no scripts.
func withoutScripts(t *testing.T, s *rig.Server) *tab {
	t.Helper()
	b := open(t, s)
	b.scripts(false)
	return b
}

// scripts says whether pages run them. On the Security page some ask for passkeys, and while that goes on the browser sometimes never
// delivers a picture.
func (b *tab) scripts(on bool) {
	b.t.Helper()
	b.unscripted = !on
	b.do(command(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !on}))
}

// paste opens the page that a letter links to, and types the token there.
func (b *tab) paste(l *letter, label string) {
	b.t.Helper()
	b.clicks(l)
	b.fill(label, l.token(b.t))
}
