package e2e

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
)

// TestOnePage signs in with name, password and code on one form; without the code, on the second page; and with the wrong password,
// which looks the same until the end.
func TestOnePage(t *testing.T) {
	t.Parallel()
	s, alice := onePageSite(t)
	b := open(t, s)
	types := func(password, code string) int64 { return b.typesAll(alice.Name, password, code) }

	b.visit("/reports?q=1")
	b.sees("Sign in")
	b.shoot("onepage")
	used := code(t, alice.Phone)
	if status := types("not the password", used); status != http.StatusUnauthorized {
		t.Errorf("a wrong password gives %d, want 401", status)
	}
	b.reads("That name, password or code is not right.")
	b.shoot("onepage-wrong")
	types(alice.Password, used) // is still good
	b.sees("Example app")
	if at := b.location(); !strings.HasSuffix(at, "/reports?q=1") {
		t.Errorf("led to %s", at)
	}
	b.press("Sign out")

	// A recovery code goes into the same field.
	b.visit("/")
	types(alice.Password, strings.ToUpper(alice.Recovery[0]))
	b.reads("9 left")
	b.follow("Continue")
	b.sees("Example app")
	b.press("Sign out")

	// Without a code, to the second page.
	second := func(password string) (page string) {
		b.visit("/reports?q=1")
		types(password, "")
		b.sees("Enter your code")
		return b.text("main")
	}
	right := second(alice.Password)
	b.shoot("onepage-second")
	b.fill("Code", code(t, alice.Phone))
	b.press("Verify")
	b.sees("Example app")
	if at := b.location(); !strings.HasSuffix(at, "/reports?q=1") {
		t.Errorf("led to %s", at)
	}
	b.press("Sign out")

	// The same with a wrong password, until the code is there.
	if wrong := second("not the password"); wrong != right {
		t.Errorf("with a wrong password the second page says\n%s\nand with the right one\n%s", wrong, right)
	}
	b.fill("Code", code(t, alice.Phone))
	if status := b.press("Verify"); status != http.StatusUnauthorized {
		t.Errorf("a wrong password gives %d, want 401", status)
	}
	b.reads("That name, password or code is not right.")
	b.shoot("onepage-second-wrong")
	b.follow("Not you?")
	b.sees("Sign in")
	types(alice.Password, code(t, alice.Phone))
	b.sees("Example app")
}

// onePageSite is a server whose people sign in on one page, with alice.
func onePageSite(t *testing.T) (*rig.Server, *rig.Person) {
	t.Helper()
	s := start(t, rig.Config{})
	alice, _ := enrolled(t, s, "alice")
	if err := s.Write(strings.Replace(rig.Gated, "auto_https off\n", "auto_https off\n\tmfa {\n\t\tsign_in one_page\n\t}\n", 1)); err != nil {
		t.Fatal(err)
	}
	if err := s.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s, alice
}

// typesAll fills in the one page, and returns the status of the answer.
func (b *tab) typesAll(name, password, code string) int64 {
	b.t.Helper()
	b.fill("Username or email", name)
	b.fill("Password", password)
	b.fill("Code (if you have one at hand)", code)
	return b.press("Sign in")
}

// TestOnePageWithoutScripts goes all the ways of one page in a browser that runs no scripts.
func TestOnePageWithoutScripts(t *testing.T) {
	t.Parallel()
	s, alice := onePageSite(t)
	b := withoutScripts(t, s)

	b.visit("/reports?q=1")
	b.sees("Sign in")
	b.shoot("onepage-without-scripts")
	used := code(t, alice.Phone)
	if status := b.typesAll(alice.Name, "not the password", used); status != http.StatusUnauthorized {
		t.Errorf("a wrong password gives %d, want 401", status)
	}
	b.reads("That name, password or code is not right.")
	b.typesAll(alice.Name, alice.Password, used)
	b.sees("Example app")
	if at := b.location(); !strings.HasSuffix(at, "/reports?q=1") {
		t.Errorf("led to %s", at)
	}
	b.press("Sign out")

	// To the second page, and there from one way to the other.
	b.visit("/reports?q=1")
	b.typesAll(alice.Name, alice.Password, "")
	b.sees("Enter your code")
	b.follow("Use a security key")
	b.reads("This way needs JavaScript")
	b.shoot("onepage-without-scripts-key")
	b.follow("Use a recovery code")
	b.fill("Recovery code", alice.Recovery[0])
	b.press("Verify")
	b.reads("9 left")
	b.follow("Continue")
	b.sees("Example app")
	if at := b.location(); !strings.HasSuffix(at, "/reports?q=1") {
		t.Errorf("led to %s", at)
	}
}
