package e2e

import (
	"slices"
	"strings"
	"testing"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
)

// with is a gated site with options of the global block.
func with(options ...string) string {
	return strings.Replace(rig.Gated, "auto_https off\n", "auto_https off\n\tmfa {\n\t\t"+strings.Join(options, "\n\t\t")+"\n\t}\n", 1)
}

// reconfigure makes a running server go on with another configuration.
func reconfigure(t *testing.T, s *rig.Server, config string) {
	t.Helper()
	if err := s.Write(config); err != nil {
		t.Fatal(err)
	}
	if err := s.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// joins puts somebody into a group.
func joins(t *testing.T, s *rig.Server, name, group string) {
	t.Helper()
	if said, err := s.MFA(t.Context(), "", "user", "group", name, "+"+group); err != nil {
		t.Fatal(said, err)
	}
}

const (
	keysForOps = `enforce "Keys for ops" {
			for group:ops
			methods webauthn
		}`
	soonKeysForOps = `enforce "Keys for ops" {
			for group:ops
			methods webauthn
			grace 14d
		}`
	soonAppsForAll = `enforce "An app for everybody" {
			methods totp
			grace 14d
		}`
	appsForAll = `enforce "An app for everybody" {
			methods totp
		}`
)

// TestReminder signs in while there is time to do what a policy wants, puts it off, and then does it.
func TestReminder(t *testing.T) {
	t.Parallel()
	s := start(t, rig.Config{})
	alice, _ := enrolled(t, s, "alice")
	joins(t, s, "alice", "ops")
	reconfigure(t, s, with(soonKeysForOps))
	b := open(t, s)
	k := b.plug(pinKey, false)
	b.password(alice, "/reports?q=1#top")
	b.fill("Code", code(t, alice.Phone))
	b.press("Verify")
	b.sees("One more way to sign in is needed soon")
	b.reads("Keys for ops")
	b.shoot("remind")
	b.follow("Later")
	b.sees("Example app")
	if at := strings.TrimPrefix(b.location(), s.URL); at != "/reports?q=1#top" {
		t.Errorf("the reminder led to %s", at)
	}
	b.visit("/.mfa/security")
	b.reads("What your administrator requires")
	b.reads("Keys for ops")
	b.shoot("security-policy-soon")

	b.press("Sign out")
	b.password(alice, "/reports?q=2#end")
	b.fill("Code", code(t, alice.Phone))
	b.press("Verify")
	b.sees("One more way to sign in is needed soon")
	b.press("Add a security key or passkey")
	k.touch(true)
	b.press("Register")
	b.sees("Example app") // where alice wanted to go
	if at := strings.TrimPrefix(b.location(), s.URL); at != "/reports?q=2#end" {
		t.Errorf("setting up what is required led to %s", at)
	}
	k.touch(false)
	b.visit("/.mfa/security")
	b.reads("Met")
	b.press("Sign out")
	b.password(alice, "/")
	b.sees("Use your security key")
	k.touch(true)
	b.visit("/.mfa/verify/webauthn")
	b.sees("Example app")
}

// TestEnforced signs in when policies are in force: what they want is set up first, and cannot be removed.
func TestEnforced(t *testing.T) {
	t.Parallel()
	o := openPost(t)
	s := startMailing(t, o)
	alice, elsewhere := o.member(s, "alice")
	o.withApp(alice, elsewhere)
	joins(t, s, "alice", "ops")
	reconfigure(t, s, mailing(o.option(), keysForOps, appsForAll))
	b := open(t, s)
	k := b.plug(touchKey, true)
	b.password(alice, "/")
	b.fill("Code", code(t, alice.Phone))
	b.press("Verify")
	b.sees("Set up two-factor authentication")
	b.reads("Keys for ops")
	b.reads("One more way to sign in is required.")
	b.lacks(button("Authenticator app"))
	b.shoot("enroll-policy")
	b.visit("/") // and not before
	b.sees("Sign in")
	b.password(alice, "/")
	b.fill("Code", code(t, alice.Phone))
	b.press("Verify")
	b.press("Security key or passkey")
	b.fill("Name", "Work key")
	b.press("Register")
	b.sees("Example app")

	k.touch(false)
	b.visit("/.mfa/security")
	b.reads("Keys for ops")
	b.reads("An app for everybody")
	b.reveal("Turn off two-factor authentication")
	b.reads("Your administrator demands two-factor authentication: Keys for ops, An app for everybody.")
	b.lacks(field("Type DISABLE to confirm"))
	b.unfold("Work key", "Remove")
	b.reads("Your administrator requires it: Keys for ops.")
	b.lacks(row("Work key") + button("Remove"))
	b.shoot("security-enforced")

	said, err := s.MFA(t.Context(), "", "user", "policy", "alice")
	if err != nil || !strings.Contains(said, "Keys for ops") || !strings.Contains(said, "An app for everybody") {
		t.Errorf("user policy says %q, %v", said, err)
	}

	// What is switched off stands there as that.
	reconfigure(t, s, mailing(o.option(), "methods totp email"))
	b.visit("/.mfa/security")
	const off = "Work key Switched off by your administrator"
	b.lacks(row(off) + summary("Rename"))
	b.shoot("security-switched-off")
	b.unfold(off, "Remove")
	b.within(off, "Remove")
	b.reads("Removed.")
	b.lacks(row(off))
}

// TestViewableCodes looks at the recovery codes again. The used one is not among them.
func TestViewableCodes(t *testing.T) { // S36
	t.Parallel()
	s := start(t, rig.Config{Caddyfile: with("recovery {", "\tviewable", "}")})
	alice, v := enrolled(t, s, "alice")
	if _, err := v.Get(t.Context(), "/.mfa/logout"); err != nil {
		t.Fatal(err)
	}
	b := open(t, s)
	b.password(alice, "/")
	b.follow("Use a recovery code")
	b.fill("Recovery code", alice.Recovery[0])
	b.press("Verify")
	b.sees("Recovery code used: 9 left")
	b.visit("/.mfa/security")
	b.sees("Security")
	b.reads("9 of 10 left")
	b.press("Show my codes")
	b.sees("Your recovery codes")
	b.shoot("codes-again")
	shown := eval[[]string](b, `[...document.querySelectorAll("main li")].map(e => e.innerText.trim())`)
	if !slices.Equal(shown, alice.Recovery[1:]) {
		t.Errorf("the page shows %q, want %q", shown, alice.Recovery[1:])
	}
	if saved := anyRecoveryCode.FindAllString(b.download(), -1); !slices.Equal(saved, shown) {
		t.Errorf("the file holds %q", saved)
	}
	b.press("Done")
	b.sees("Security")
	b.reads("Recovery codes shown")

	reconfigure(t, s, rig.Gated) // off again: what is kept is not shown
	b.visit("/.mfa/security")
	b.sees("Security")
	b.lacks(button("Show my codes"))
}
