package e2e

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

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
	b.sees("Soon you need more")
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
	b.password(alice, "/")
	b.fill("Code", code(t, alice.Phone))
	b.press("Verify")
	b.sees("Soon you need more")
	b.press("Add a security key or passkey")
	k.touch(true)
	b.press("Register")
	b.sees("Security")
	b.reads("Met")
	k.touch(false)
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
	b.shoot("security-enforced")
	b.unfold("Work key", "Remove")
	if status := b.load(chromedp.Click(row("Work key")+button("Remove"), chromedp.NodeVisible)); status != http.StatusUnprocessableEntity {
		t.Errorf("removing the key that a policy wants gives %d, want 422", status)
	}
	b.told("Your administrator demands it: Keys for ops.")
	b.visit("/.mfa/security")
	b.do(chromedp.WaitVisible(row("Work key")))

	said, err := s.MFA(t.Context(), "", "user", "policy", "alice")
	if err != nil || !strings.Contains(said, "Keys for ops") || !strings.Contains(said, "An app for everybody") {
		t.Errorf("user policy says %q, %v", said, err)
	}
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
	b.visit("/.mfa/security")
	b.reads("9 of 10 left")
	b.press("Show my codes")
	b.sees("Your recovery codes")
	b.shoot("codes-again")
	shown := eval[[]string](b, `[...document.querySelectorAll("main li")].map(e => e.innerText.trim())`)
	if !slices.Equal(shown, alice.Recovery[1:]) {
		t.Errorf("the page shows %q, want %q", shown, alice.Recovery[1:])
	}
	if saved := anyRecoveryCode.FindAllString(b.download("Download"), -1); !slices.Equal(saved, shown) {
		t.Errorf("the file holds %q", saved)
	}
	b.press("Done")
	b.sees("Security")
	b.reads("Recovery codes shown")

	reconfigure(t, s, rig.Gated) // off again: what is kept is not shown
	b.visit("/.mfa/security")
	b.lacks(button("Show my codes"))
}
