package e2e

import (
	"errors"
	"flag"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
)

// where is what the path and the heading of each page of the portal begin with, by the name of its file.
var where = map[string]string{
	"activity":        "/.mfa/security/activity: Recent activity",
	"access_token":    "/.mfa/security/tokens: Your new access token",
	"account":         "/.mfa/invite: Create ",
	"confirm_address": "/.mfa/enroll/email: Check your email",
	"continue":        "/.mfa/login: Continue to ",
	"enroll":          "/.mfa/enroll: Set up two-factor authentication",
	"enroll_totp":     "/.mfa/enroll/totp: Set up your authenticator app",
	"enroll_webauthn": "/.mfa/enroll/webauthn: Set up a security key or passkey",
	"forgot":          "/.mfa/forgot: Forgot your password?",
	"invite":          "/.mfa/invite: Accept your invitation",
	"link":            "/.mfa/link: Your sign-in began elsewhere",
	"guest":           "/.mfa/guest: Open a page as a guest",
	"login":           "/.mfa/login: Sign in",
	"logout":          "/.mfa/logout: Sign out",
	"message":         "/.mfa/nothing: Page not found",
	"not_me":          "/.mfa/not-me: This wasn't me",
	"recovery_codes":  "/.mfa/recovery-codes: Save your recovery codes",
	"recovery_used":   "/.mfa/recovery-used: Recovery code used",
	"remind":          "/.mfa/remind: One more way to sign in is needed soon",
	"resend":          "/.mfa/resend: Send your form now",
	"reset":           "/.mfa/reset: Choose a new password",
	"security":        "/.mfa/security: Security",
	"step_up":         "/.mfa/step-up: Confirm that it is you",
	"stop_reset":      "/.mfa/stop-reset: Stop the reset",
	"upgrade":         "/.mfa/upgrade: One moment…",
	"verify_email":    "/.mfa/verify/email: Check your email",
	"verify_password": "/.mfa/verify/password: Enter your password",
	"verify_recovery": "/.mfa/verify/recovery: Use a recovery code",
	"verify_totp":     "/.mfa/verify/totp: Enter your code",
	"verify_webauthn": "/.mfa/verify/webauthn: Use your security key",
}

// photo is a page in a state of it, of which a journey took pictures.
type photo struct {
	Name, Title string
	Page        string // its path and heading
	ours        bool   // a page of the portal; those of apps have their own language
	read        bool   // what a screen reader finds there was compared
}

// shot are the pages that were looked at in this run.
var shot struct {
	sync.Mutex
	pages []*photo
}

// remember notes where the tab is.
func (b *tab) remember(name string) *photo {
	b.t.Helper()
	p := &photo{
		Name: name, Title: eval[string](b, `document.title`), ours: b.at(b.location(), "/.mfa/"),
		Page: eval[string](b, `location.pathname + ": " + (document.querySelector("h1") || document.body).innerText.trim()`),
	}
	shot.Lock()
	defer shot.Unlock()
	shot.pages = append(shot.pages, p)
	return p
}

// whole reports whether all journeys are run.
func whole() bool {
	return !slices.ContainsFunc([]string{"test.run", "test.skip", "test.list"}, func(name string) bool { return flag.Lookup(name).Value.String() != "" })
}

// unseen returns an error if a page of the portal was not looked at, after a run of all journeys; after others it knows nothing.
func unseen() error {
	if !whole() {
		return nil
	}
	files, err := filepath.Glob("../loginui/pages/*.html")
	if err != nil {
		return err
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
		} else if !slices.ContainsFunc(shot.pages, func(p *photo) bool { return strings.HasPrefix(p.Page, page) }) {
			missing = append(missing, fmt.Errorf("no journey took a picture of %s, which is %s", file, page))
		}
	}
	// What a screen reader finds is compared on each page in one state at least, and each file of that is one of a picture.
	read := map[string]bool{}
	for _, p := range shot.pages {
		read[filepath.Join(trees, p.Name+".txt")] = p.read
	}
	kept, err := filepath.Glob(filepath.Join(trees, "*.txt"))
	if err != nil {
		return err
	}
	for _, file := range kept {
		if !read[file] {
			missing = append(missing, fmt.Errorf("no journey took the picture of %s", file))
		}
	}
	for name, page := range where {
		if !slices.ContainsFunc(shot.pages, func(p *photo) bool { return p.read && strings.HasPrefix(p.Page, page) }) {
			missing = append(missing, fmt.Errorf("what a screen reader finds on %s stands in no file of %s", name, trees))
		}
		if file := "../loginui/pages/" + name + ".html"; !slices.Contains(files, file) {
			missing = append(missing, fmt.Errorf("there is no %s", file))
		}
	}
	return errors.Join(missing...)
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
