package e2e

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
)

// ruled is a gated site with rules.
func ruled(rules ...string) string {
	return strings.Replace(rig.Gated, "\tmfa\n", "\tmfa {\n\t\t"+strings.Join(rules, "\n\t\t")+"\n\t}\n", 1)
}

const (
	appForAdmin = "rule /admin/* {\n\t\t\trequire totp\n\t\t\tmax_age 15m\n\t\t}"
	keyForVault = "rule /vault/* {\n\t\t\trequire webauthn\n\t\t}"
	opsForRoom  = "rule /room/* {\n\t\t\tallow group:ops\n\t\t}"
)

// TestStepUp comes with a recovery code, and meets rules that ask for an app and for a key; a form that was on its way is not lost.
func TestStepUp(t *testing.T) { // S52
	t.Parallel()
	s := start(t, rig.Config{Caddyfile: ruled(appForAdmin, keyForVault, opsForRoom)})
	alice, _ := enrolled(t, s, "alice")
	b := open(t, s)
	b.password(alice, "/?a=b")
	b.follow("Use a recovery code")
	b.fill("Recovery code", alice.Recovery[0])
	b.press("Verify")
	b.follow("Continue")
	b.sees("Example app")

	// A page asks for the app, and opens with query and fragment.
	b.visit("/admin/page?x=1#part")
	b.sees("Confirm that it is you")
	b.reads("What counts: Authenticator app, used in the last 15 minutes.")
	b.shoot("step-up")
	b.press("Continue")
	b.sees("Enter your code")
	b.reads("Confirm that it is you, to go on.")
	b.follow("Cancel")
	b.sees("Security")

	// A form goes on after the proof.
	b.visit("/?a=b")
	b.fill("Text", "a long letter, typed with care")
	b.press("Save")
	b.sees("Confirm that it is you")
	b.press("Continue")
	b.fill("Code", "000000")
	if status := b.press("Verify"); status != http.StatusUnauthorized {
		t.Errorf("a wrong code gives %d, want 401", status)
	}
	b.fill("Code", code(t, alice.Phone))
	b.press("Verify")
	b.sees("Send your form now")
	b.reads("/admin/save?draft=1")
	b.shoot("resend")
	b.press("Send it")
	b.sees("Example app")
	if text := b.text("#text"); text != "a long letter, typed with care" {
		t.Errorf("the app got %q", text)
	}
	if at := b.location(); !strings.HasSuffix(at, "/admin/save?draft=1") {
		t.Errorf("it is at %s", at)
	}
	b.visit("/.mfa/resend")
	b.sees("Your form is not there any more")
	b.visit("/admin/page?x=1#part") // the proof is fresh
	b.sees("Example app")
	if at := b.location(); !strings.HasSuffix(at, "/admin/page?x=1#part") {
		t.Errorf("it is at %s", at)
	}

	// What is not set up is set up first, and then proven: setting up is no proof.
	b.plug(touchKey, true)
	b.visit("/vault/")
	b.sees("Confirm that it is you")
	b.reads("You have none of that set up yet.")
	b.shoot("step-up-add")
	b.press("Add a security key or passkey")
	b.fill("Name", "First key")
	b.press("Register")
	b.sees("Confirm that it is you")
	b.load(chromedp.Click(button("Continue"), chromedp.NodeVisible))
	b.sees("Example app") // the key was touched at once

	// Who may not pass is not asked for anything.
	b.expected = regexp.MustCompile(`status of 403 .*/room/$`)
	b.visit("/room/")
	b.reads("You may not see this page")
}
