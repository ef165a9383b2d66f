package e2e

import (
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
)

// beside opens another tab in the same profile.
func (b *tab) beside() *tab {
	b.t.Helper()
	return openIn(b.t, b.base, chromedp.WithExistingBrowserContext(chromedp.FromContext(b.ctx).BrowserContextID))
}

// answer types a code on the page that asks for one by mail.
func (b *tab) answer(code string) int64 {
	b.t.Helper()
	b.fill("Code", code)
	return b.press("Verify")
}

// clicks opens the link of a letter as a click in a mail program does, on a page of its own: from a page at the same address only the
// fragment would change.
func (b *tab) clicks(l *letter) {
	b.t.Helper()
	b.do(chromedp.Navigate("about:blank"))
	b.visit(l.link(b.t))
}

// opens is clicks where the link still works: it waits for the page, and until the token has left the address.
func (b *tab) opens(l *letter, heading string) {
	b.t.Helper()
	b.clicks(l)
	b.sees(heading)
	if strings.Contains(b.location(), l.token(b.t)) { // S30
		b.t.Errorf("the token is still in the address: %s", b.location())
	}
}

// TestMailInvitation is how somebody comes in who was invited by mail.
func TestMailInvitation(t *testing.T) {
	t.Parallel()
	o := openPost(t)
	s := startMailing(t, o)
	said := o.invite(s, "alice")
	if !strings.Contains(said, "The link was also mailed to alice@example.com.") {
		t.Errorf("the command says %q", said)
	}
	mail := o.open("alice@example.com", anInvitation)
	if strings.Contains(said, mail.token(t)) {
		t.Error("the printed link is that of the mail: whoever uses it has not shown that the mailbox is theirs")
	}
	b := open(t, s)
	b.clicks(mail) // the token leaves the address and opens the next page by itself
	b.sees("Create your account")
	b.fill("Password", "correct horse battery staple")
	b.shoot("mail-invited")
	b.press("Create account")
	b.sees("Save your recovery codes")
	b.press("Show my codes")
	codes := b.recoveryCodes()
	b.press("I've saved my codes")
	b.sees("Example app")
	b.visit("/.mfa/security")
	b.sees("Security")
	b.reads("alice@example.com")
	b.reads("Confirmed")
	b.reads("Codes to sign in go there")
	b.press("Sign out")

	// The printed link is dead with the account that it was for; so is that of the mail.
	for _, link := range []string{mail.link(t), printed(t, said)} {
		late := open(t, s)
		late.visit(link)
		late.do(chromedp.WaitVisible(`//*[@role="alert"]`))
		late.reads("This invitation is not valid any more")
	}

	// A recovery code in place of the mail tells how many are left, by mail too.
	b.password(&rig.Person{Name: "alice", Password: "correct horse battery staple"}, "/")
	b.sees("Check your email")
	b.follow("Use a recovery code")
	b.fill("Recovery code", codes[0])
	b.press("Verify")
	b.reads("9 left")
	if used := o.open("alice@example.com", aUsedCode); !strings.Contains(used.Text, "9 codes are left.") || strings.Contains(used.Text, codes[0]) {
		t.Errorf("the notice says:\n%s", used.Text)
	}
}

// printed is the link in what a command printed.
func printed(t *testing.T, said string) string {
	t.Helper()
	link := linkInText.FindString(said)
	if link == "" {
		t.Fatalf("no link in %q", said)
	}
	return link
}

// TestMailedCode signs in with password and mail, slips, asks for a new code, and hears of the new browser.
func TestMailedCode(t *testing.T) { // S26, S80
	t.Parallel()
	o := openPost(t)
	s := startMailing(t, o)
	alice, _ := o.member(s, "alice")
	b := open(t, s)
	b.visit("/")
	b.sees("Sign in")
	b.shoot("mail-login")
	b.password(alice, "/reports?of=2026#top")
	b.sees("Check your email")
	b.reads("a•••@example.com")
	b.shoot("mail-code")
	first := o.open("alice@example.com", aCode)
	if at := strings.TrimPrefix(s.URL, "http://"); !strings.Contains(first.Text, "Type it in the browser in which you began, on "+at+".") {
		t.Errorf("the mail says:\n%s", first.Text)
	}
	if status := b.answer(another(first.code(t))); status != http.StatusUnauthorized {
		t.Errorf("a wrong code gives %d, want 401", status)
	}
	b.told("That code is not right.")
	b.shoot("mail-code-wrong")
	b.press("Send a new code")
	b.sees("Check your email")
	b.reads("We sent a new code.")
	b.shoot("mail-code-new")
	second := o.open("alice@example.com", aCode)
	if first.code(t) != second.code(t) { // one in a million is the same
		if status := b.answer(first.code(t)); status != http.StatusUnauthorized {
			t.Errorf("the old code gives %d, want 401", status)
		}
	}
	old := open(t, s)
	old.clicks(first)
	old.sees("This link no longer works")
	old.shoot("mail-link-over")
	spaced := second.code(t)
	b.answer(" " + spaced[:3] + " " + spaced[3:] + " ") // as people type
	b.sees("Example app")
	if at := strings.TrimPrefix(b.location(), s.URL); at != "/reports?of=2026#top" {
		t.Errorf("led to %s", at)
	}
	notice := o.open("alice@example.com", aNewSignIn)
	for _, fact := range []string{"alice", "Chrom", "Linux", "127.0.0.1", s.URL + "/.mfa/not-me#"} {
		if !strings.Contains(notice.Text, fact) {
			t.Errorf("the notice does not say %q:\n%s", fact, notice.Text)
		}
	}

	// The browser is known from now on.
	b.press("Sign out")
	b.password(alice, "/")
	b.answer(o.open("alice@example.com", aCode).code(t))
	b.sees("Example app")
	o.settled(s, "bob")
	if n := o.count("alice@example.com", aNewSignIn); n != 1 {
		t.Errorf("there are %d notices of one new browser", n)
	}
}

// TestMailedLink opens the link of the mail where the sign-in began, elsewhere, and again.
func TestMailedLink(t *testing.T) { // S26, S28
	t.Parallel()
	o := openPost(t)
	s := startMailing(t, o)
	alice, _ := o.member(s, "alice")

	// In the browser that began: one press. The tab that waits goes on, whatever is pressed there.
	b := open(t, s)
	b.password(alice, "/deep?x=1")
	mail := o.open("alice@example.com", aCode)
	link := b.beside()
	link.opens(mail, "Sign in on this device?")
	link.reads("localhost")
	link.shoot("mail-link", func(seen *tab) { seen.clicks(mail) })
	third := b.beside()
	third.visit("/")
	third.sees("Sign in") // opening the link has done nothing
	link.press("Sign in")
	link.sees("Example app")
	if at := strings.TrimPrefix(link.location(), s.URL); at != "/deep?x=1" {
		t.Errorf("the link led to %s", at)
	}
	b.answer(mail.code(t))
	b.sees("Example app")

	// In the browser that began, once more: it is used up.
	again := b.beside()
	again.clicks(mail)
	again.sees("This link no longer works")
	b.press("Sign out")

	// Elsewhere it shows the code, which works where the sign-in began. That somewhere else stays signed out.
	b.password(alice, "/")
	b.sees("Check your email")
	mail = o.open("alice@example.com", aCode)
	phone := open(t, s)
	phone.opens(mail, "Your code")
	phone.reads(mail.code(t))
	phone.shoot("mail-link-elsewhere")
	phone.visit("/")
	phone.sees("Sign in")
	b.answer(phone.shown(mail))
	b.sees("Example app")
	phone.clicks(mail)
	phone.sees("This link no longer works")
	phone.visit("/")
	phone.sees("Sign in")
}

// shown is the code on the page behind the link of a mail.
func (b *tab) shown(mail *letter) string {
	b.t.Helper()
	b.opens(mail, "Your code")
	return b.text("main code")
}

// TestScannersWithScripts has a scanner that runs scripts open every link before the person does.
func TestScannersWithScripts(t *testing.T) { // S28
	t.Parallel()
	o := openPost(t)
	s := startMailing(t, o)
	robot := open(t, s)
	scanned := func(l *letter) *letter {
		robot.clicks(l)
		robot.do(chromedp.WaitVisible(`//h1`))
		return l
	}
	o.invite(s, "alice")
	alice := &rig.Person{Name: "alice", Password: "correct horse battery staple"}
	b := open(t, s)
	b.clicks(scanned(o.open("alice@example.com", anInvitation)))
	b.fill("Password", alice.Password)
	b.press("Create account")
	b.press("Show my codes")
	b.press("I've saved my codes")
	b.sees("Example app")
	b.press("Sign out")

	other := open(t, s)
	other.password(alice, "/")
	code := scanned(o.open("alice@example.com", aCode))
	other.answer(code.code(t))
	other.sees("Example app")
	notice := scanned(o.open("alice@example.com", aNewSignIn))
	other.visit("/")
	other.sees("Example app") // the scanner has not thrown it out

	b.visit("/.mfa/forgot")
	b.fill("Username or email", "alice")
	b.press("Send link")
	reset := scanned(o.open("alice@example.com", aReset))
	b.opens(reset, "Choose a new password")
	b.opens(notice, "This wasn't me")
	b.press("Secure my account")
	b.sees("Your account is secured")
	b.clicks(reset)
	b.fill("New password", "another horse battery staple")
	b.press("Set password")
	b.sees("This link no longer works") // whoever asked for it before was perhaps somebody else
}

// TestMailOnlyWhereAsked has an app. Mail is sent only when somebody presses for it.
func TestMailOnlyWhereAsked(t *testing.T) {
	t.Parallel()
	o := openPost(t)
	s := startMailing(t, o)
	alice, member := o.member(s, "alice")
	o.withApp(alice, member)
	before := o.count("alice@example.com", aCode)
	b := open(t, s)
	b.password(alice, "/")
	b.sees("Enter your code")
	b.fill("Code", code(t, alice.Phone))
	b.press("Verify")
	b.sees("Example app")
	b.press("Sign out")
	b.password(alice, "/")
	b.sees("Enter your code")
	b.visit("/.mfa/verify/email") // by hand: to look is not to press
	b.sees("Check your email")
	b.shoot("mail-unsent")
	o.settled(s, "bob")
	if n := o.count("alice@example.com", aCode) - before; n != 0 {
		t.Errorf("%d codes were mailed unasked", n)
	}
	b.visit("/.mfa/verify/totp")
	b.sees("Enter your code")
	b.press("Use email verification instead")
	b.sees("Check your email")
	b.answer(o.open("alice@example.com", aCode).code(t))
	b.sees("Example app")
}
