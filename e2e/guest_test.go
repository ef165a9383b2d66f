package e2e

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
)

var guestLink = regexp.MustCompile(`http://[^\s"]+/\.mfa/guest#\S+`)

// share makes a guest link, of an address below the server's and with options, in alice's name.
func share(t *testing.T, s *rig.Server, path string, options ...string) string {
	t.Helper()
	said, err := s.MFA(t.Context(), "", append([]string{"link", s.URL + path, "--user", "alice", "--for", "24h"}, options...)...)
	if err != nil {
		t.Fatal(err, said)
	}
	link := guestLink.FindString(said)
	if link == "" {
		t.Fatalf("no link: %s", said)
	}
	return link
}

// TestGuestLink opens a page for somebody without an account, by a link and a code by mail, until the link is revoked.
func TestGuestLink(t *testing.T) {
	t.Parallel()
	o := openPost(t)
	s := startMailing(t, o)
	alice, visitor := o.member(s, "alice")
	o.withApp(alice, visitor)
	const to = "bob@example.com"
	link := share(t, s, "/reports?q=1#chart", "--email", to, "--label", "Report for Bob")

	b := open(t, s)
	b.expected = regexp.MustCompile(`status of 401 .*/favicon\.ico$`) // which guests have no part in
	b.visit(link)
	b.sees("Open a page as a guest")
	b.reads("/reports")
	b.reads("This link opens one page, without an account.")
	if _, token := rig.CutLink(link); strings.Contains(b.location(), token) || strings.Contains(s.Log.String(), token) { // S30, S78
		t.Errorf("the token is in the address %s, or in the log", b.location())
	}
	b.shoot("guest-mail")
	b.press("Send me a code")
	b.reads("We sent a code to b•••@example.com.")
	b.beside().password(alice, "/") // which replaces the cookie of the flow
	o.open(to, aGuestCode)
	b.shoot("guest-code")
	// For the picture in Arabic another was sent, in that language.
	code := o.wait("the second code for "+to, func(letters, _ []*letter) *letter {
		if i := slices.IndexFunc(letters, func(l *letter) bool { return l.To == to && l.Subject != aGuestCode }); i >= 0 {
			return letters[i]
		}
		return nil
	}).code(t)
	b.fill("Code", "000000")
	if code == "000000" {
		b.fill("Code", "111111")
	}
	if status := b.press("Open"); status != http.StatusUnprocessableEntity {
		t.Errorf("a wrong code gives %d, want 422", status)
	}
	b.shoot("guest-wrong")
	b.typedWhole(code)
	b.sees("Example app")
	b.reads("guest:")
	if want := s.URL + "/reports?q=1#chart"; b.location() != want {
		t.Errorf("led to %s, want %s", b.location(), want)
	}
	for _, path := range []string{"/", "/reports", "/reports?q=2", "/.mfa/security"} {
		b.visit(path)
		b.sees("Sign in")
	}

	// Whoever opens the link again goes on, or leaves.
	b.visit("about:blank")
	b.visit(link)
	b.reads("You have opened this page as a guest, in this browser.")
	b.shoot("guest-in")
	b.follow("Continue")
	b.sees("Example app")
	b.visit("/.mfa/logout") // which leads whoever is in without signing in to where they leave
	b.reads("Open another link")
	b.shoot("guest-again")
	b.press("Leave")
	b.sees("You have left")
	b.shoot("guest-left")
	b.visit("/reports?q=1")
	b.sees("Sign in")
	b.visit("about:blank")
	b.visit(link)
	b.press("Send me a code")
	b.typedWhole(o.open(to, aGuestCode).code(t))
	b.sees("Example app")

	// Whoever has an account is themselves, also in the browser of a guest.
	b.signIn(alice)
	b.visit("/reports?q=1")
	b.sees("Example app")
	if text := b.text("body"); strings.Contains(text, "guest:") || !strings.Contains(text, "alice") {
		t.Errorf("signed in, the app sees %s", text)
	}
	b.visit("/.mfa/security")
	b.reads("Report for Bob")
	b.shoot("security-links")
	b.press("Sign out")

	b.visit("/reports?q=1")
	b.sees("Example app")
	b.reads("guest:")
	b.signIn(alice)
	b.visit("/.mfa/security")
	b.unfold("Report for Bob", "Revoke")
	b.within("Report for Bob", "Revoke")
	b.reads("Revoked.")
	b.press("Sign out")
	b.visit("/reports?q=1")
	b.sees("Sign in")
	b.visit("about:blank")
	b.visit(link)
	b.sees("This link does not open anything")
	b.shoot("guest-over")
}

// TestGuestLinkWithoutScripts pastes the link's token, as its page says.
func TestGuestLinkWithoutScripts(t *testing.T) {
	t.Parallel()
	s := start(t, rig.Config{})
	enrolled(t, s, "alice")
	const page = "/reports?q=(a)|it's&filter[]={x}"
	_, token := rig.CutLink(share(t, s, page, "--also", "/assets/*"))
	b := withoutScripts(t, s)
	b.expected = regexp.MustCompile(`status of 401 .*/favicon\.ico$`)
	b.visit("/.mfa/guest")
	b.shoot("guest")
	b.fill("Code from the link", token)
	b.press("Show the page")
	b.reads("/reports")
	b.press("Open")
	b.sees("Example app")
	b.visit("/.mfa/guest")
	b.follow("Continue") // in the very bytes that the gate asks for
	b.sees("Example app")
	if want := s.URL + strings.ReplaceAll(page, "'", "%27"); b.location() != want {
		t.Errorf("led to %s, want %s", b.location(), want)
	}
	b.visit("/assets/style.css")
	b.sees("Example app")
	b.visit("/assets/")
	b.sees("Example app")
	b.visit("/")
	b.sees("Sign in")
}
