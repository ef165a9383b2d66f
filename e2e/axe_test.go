package e2e

import (
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
)

// axe is a script that puts axe-core (Deque's accessibility checks) into a page, past the page's policy. Its timers, of which it
// has only those that mean "next", are promises: these also run in a browser that runs no scripts of pages.
var axe = sync.OnceValues(func() (string, error) {
	text, err := os.ReadFile("../tools/axe/node_modules/axe-core/axe.min.js")
	if err != nil {
		return "", fmt.Errorf("%w; tools/setup installs it", err)
	}
	return `if (typeof axe !== "object") (setTimeout => {` + string(text) + "\n})(f => { Promise.resolve().then(f) })", nil
})

// rules runs the rules for WCAG 2.2 A and AA and for good practice over the whole page; each violation is a line, with what was
// measured. Style sheets are not fetched once more, which the policy would refuse.
const rules = `axe.run(document, {
	runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
	resultTypes: ["violations"],
	preload: false,
}).then(found => {
	if (!found.passes.length) return ["no rule of axe-core passes"];
	return found.violations.flatMap(rule => rule.nodes.map(node =>
		(rule.id + ": " + rule.help + ": " + node.target.join(" ") + ": " + node.failureSummary).replace(/\s+/g, " ")));
})`

// violations is what axe-core finds wrong with the page as it looks now.
func (b *tab) violations() []string {
	b.t.Helper()
	script, err := axe()
	if err != nil {
		b.t.Fatal(err)
	}
	b.do(chromedp.Evaluate[chromedp.Void](script))
	return eval[[]string](b, rules)
}

// where is what the path and the heading of each page of the portal begin with, by the name of its file.
var where = map[string]string{
	"account":         "/.mfa/invite: Create ",
	"confirm_address": "/.mfa/enroll/email: Check your email",
	"enroll":          "/.mfa/enroll: Set up two-factor authentication",
	"enroll_totp":     "/.mfa/enroll/totp: Set up your authenticator app",
	"enroll_webauthn": "/.mfa/enroll/webauthn: Set up a security key or passkey",
	"forgot":          "/.mfa/forgot: Forgot your password?",
	"invite":          "/.mfa/invite: Accept your invitation",
	"link":            "/.mfa/link: Your sign-in began elsewhere",
	"login":           "/.mfa/login: Sign in",
	"logout":          "/.mfa/logout: Sign out",
	"message":         "/.mfa/nothing: Page not found",
	"not_me":          "/.mfa/not-me: This wasn't me",
	"recovery_codes":  "/.mfa/recovery-codes: Save your recovery codes",
	"recovery_used":   "/.mfa/recovery-used: Recovery code used",
	"reset":           "/.mfa/reset: Choose a new password",
	"security":        "/.mfa/security: Security",
	"upgrade":         "/.mfa/upgrade: One moment…",
	"verify_email":    "/.mfa/verify/email: Check your email",
	"verify_password": "/.mfa/verify/password: Enter your password",
	"verify_recovery": "/.mfa/verify/recovery: Use a recovery code",
	"verify_totp":     "/.mfa/verify/totp: Enter your code",
	"verify_webauthn": "/.mfa/verify/webauthn: Use your security key",
}

// shot are the paths and headings of the pages that were looked at in this run.
var shot struct {
	sync.Mutex
	pages []string
}

// remember notes where the tab is.
func (b *tab) remember() {
	b.t.Helper()
	page := eval[string](b, `location.pathname + ": " + (document.querySelector("h1") || document.body).innerText.trim()`)
	shot.Lock()
	defer shot.Unlock()
	shot.pages = append(shot.pages, page)
}

// unseen returns an error if a page of the portal was not looked at, after a run of all journeys; after others it knows nothing.
func unseen() error {
	for _, name := range []string{"test.run", "test.skip", "test.list"} {
		if flag.Lookup(name).Value.String() != "" {
			return nil
		}
	}
	files, err := filepath.Glob("../loginui/pages/*.html")
	if err != nil {
		return err
	}
	if len(files) < len(where) {
		return fmt.Errorf("%d pages, where journeys see %d", len(files), len(where))
	}
	var missing []error
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".html")
		if name == "layout" { // of all others
			continue
		}
		page := where[name]
		if page == "" {
			missing = append(missing, fmt.Errorf("nobody knows where %s is seen", file))
		} else if !slices.ContainsFunc(shot.pages, func(s string) bool { return strings.HasPrefix(s, page) }) {
			missing = append(missing, fmt.Errorf("no journey took a picture of %s, which is %s", file, page))
		}
	}
	return errors.Join(missing...)
}

// TestViolationsAreFound breaks a page in ways that must not go unnoticed, in light and dark, with scripts and without.
func TestViolationsAreFound(t *testing.T) {
	t.Parallel()
	s := start(t, rig.Config{})
	b := open(t, s)
	for _, tc := range []struct {
		name          string
		scripts, dark bool
		breaks, found string // a script, and what is said of its deed
	}{
		{"nothing", true, false, `true`, ""},
		{"a label is missing", true, false, `document.querySelector("label[for=name]").remove()`, "label: Form elements must have labels: #name: "},
		{"a label is missing, without scripts", false, false, `document.querySelector("label[for=name]").remove()`, "label: Form elements must have labels: #name: "},
		{"pale on light", true, false, `document.querySelector("h1").style.color = "#aaa"`, "color contrast of 2.32 (foreground color: #aaaaaa, background color: #ffffff"},
		{"pale on dark", true, true, `document.querySelector("h1").style.color = "#555"`, "color contrast of 2.3 (foreground color: #555555, background color: #181b24"},
	} {
		b.scripts(tc.scripts)
		b.visit("/")
		b.sees("Sign in")
		b.do(scheme(tc.dark), chromedp.Evaluate[chromedp.Void](tc.breaks))
		found := b.violations()
		if tc.found == "" && len(found) > 0 || tc.found != "" && (len(found) != 1 || !strings.Contains(found[0], tc.found)) {
			t.Errorf("%s: axe-core says %q, want %q", tc.name, found, tc.found)
		}
	}
}

// TestSidePages looks at pages and states that no other journey passes.
func TestSidePages(t *testing.T) {
	t.Parallel()
	s := start(t, rig.Config{})
	alice := addUser(t, s, "alice")
	b := open(t, s)
	b.inject(`delete window.PublicKeyCredential`) // a browser that knows no keys
	b.visit("/")
	b.fill("Username or email", alice.Name)
	b.fill("Password", alice.Password)
	b.click("Show")
	b.shoot("login-password-shown")
	b.press("Sign in")
	b.reads("Your browser cannot use security keys and passkeys here.")
	b.shoot("enroll-key-unable")
	b.press("Authenticator app")
	b.fill("Code", code(t, b.qr()))
	b.press("Verify & enable")
	b.press("I've saved my codes")
	b.sees("Example app")
	b.visit("/.mfa/logout")
	b.sees("Sign out")
	b.shoot("sign-out")
	b.follow("Stay signed in")
	b.sees("Security")
	if status := b.load(chromedp.Navigate(s.URL + "/.mfa/nothing")); status != http.StatusNotFound {
		t.Errorf("a page that is not there gives %d, want 404", status)
	}
	b.sees("Page not found")
	b.shoot("not-found")
}
