package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/chromedp"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
)

var (
	anyRecoveryCode = regexp.MustCompile(`\b[0-9a-z]{5}-[0-9a-z]{5}-[0-9a-z]{5}\b`)
	recoveryCode    = regexp.MustCompile(`^` + anyRecoveryCode.String() + `$`)
)

// TestFirstStart is what a newcomer does: from the link in the log to the app, out again, and in again.
func TestFirstStart(t *testing.T) {
	t.Parallel()
	s := start(t, rig.Config{})
	link, err := s.SetupLink(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b := open(t, s)
	b.visit(link) // the token leaves the address and opens the next page by itself
	b.sees("Create the first account")
	if strings.Contains(b.location(), "#") {
		t.Errorf("the token is still in the address: %s", b.location())
	}
	b.fill("Username", "alice")
	b.fill("Password", "correct horse battery staple")
	b.shoot("first-account")
	b.press("Create account")
	b.sees("Set up two-factor authentication")
	b.shoot("enroll")
	b.press("Authenticator app")
	phone := b.qr()
	b.shoot("enroll-totp")
	b.fill("Code", "000000")
	if status := b.press("Verify & enable"); status != http.StatusUnprocessableEntity {
		t.Errorf("a wrong first code gives %d, want 422", status)
	}
	b.shoot("enroll-totp-wrong")
	if again := b.qr(); again.Secret != phone.Secret {
		t.Error("a wrong first code changed the secret")
	}
	b.fill("Code", code(t, phone))
	b.press("Verify & enable")
	b.sees("Save your recovery codes")
	b.shoot("recovery-codes")
	codes := b.recoveryCodes()
	if saved := anyRecoveryCode.FindAllString(b.download(), -1); !slices.Equal(saved, codes) {
		t.Errorf("the downloaded file holds the codes %q, the page %q", saved, codes)
	}
	b.press("I've saved my codes")
	b.sees("Example app")
	if user := b.text("#user"); user != "alice" {
		t.Errorf("the app was told Remote-User %q, want alice", user)
	}
	b.visit("/.mfa/security")
	b.sees("Security")
	b.reads("alice")
	b.reads("Authenticator app")
	b.shoot("security")

	// Out: the app is out of reach.
	b.press("Sign out")
	b.shoot("signed-out")
	b.visit("/")
	b.sees("Sign in")
	b.shoot("login")

	// In again, with a wrong password and a wrong code on the way.
	b.fill("Username or email", "alice")
	b.fill("Password", "not the password")
	if status := b.press("Sign in"); status != http.StatusUnauthorized {
		t.Errorf("a wrong password gives %d, want 401", status)
	}
	b.shoot("login-wrong")
	b.fill("Username or email", "alice")
	b.fill("Password", "correct horse battery staple")
	b.press("Sign in")
	b.sees("Enter your code")
	b.shoot("verify-totp")
	b.fill("Code", "000000")
	if status := b.press("Verify"); status != http.StatusUnauthorized {
		t.Errorf("a wrong code gives %d, want 401", status)
	}
	b.shoot("verify-totp-wrong")
	used := code(t, phone)
	b.fill("Code", used)
	b.press("Verify")
	b.sees("Example app")

	// The same code does not open a second door.
	b.press("Sign out")
	b.visit("/")
	b.fill("Username or email", "alice")
	b.fill("Password", "correct horse battery staple")
	b.press("Sign in")
	b.fill("Code", used)
	if status := b.press("Verify"); status != http.StatusUnauthorized {
		t.Errorf("a used code gives %d, want 401", status)
	}
	b.fill("Code", code(t, phone))
	b.press("Verify")
	b.sees("Example app")

	// The link is worth nothing now.
	other := open(t, s)
	other.visit(link)
	other.do(chromedp.WaitVisible(`//*[@role="alert"]`))
	other.reads("This invitation is not valid any more")
	other.shoot("invite-used")
}

// TestRecoveryCodes loses the phone.
func TestRecoveryCodes(t *testing.T) {
	t.Parallel()
	s := start(t, rig.Config{})
	alice, _ := enrolled(t, s, "alice")
	b := open(t, s)
	password := func() {
		b.visit("/")
		b.fill("Username or email", alice.Name)
		b.fill("Password", alice.Password)
		b.press("Sign in")
		b.sees("Enter your code")
	}
	arrive := func() {
		b.shoot("recovery-used")
		b.follow("Continue")
		b.sees("Example app")
		b.press("Sign out")
	}

	password()
	b.reveal("Lost your phone?")
	b.reads("Use one of the other ways to sign in above. If nothing works, ask your administrator")
	b.follow("Use a recovery code")
	b.sees("Use a recovery code")
	b.shoot("verify-recovery")
	b.fill("Recovery code", alice.Recovery[0])
	b.press("Verify")
	b.reads("9 left")
	arrive()

	password()
	b.follow("Use a recovery code")
	b.fill("Recovery code", alice.Recovery[0])
	if status := b.press("Verify"); status != http.StatusUnauthorized {
		t.Errorf("a used recovery code gives %d, want 401", status)
	}
	b.sees("Use a recovery code")
	b.shoot("verify-recovery-wrong")

	// Typed where the app's code belongs, as people do, and sloppily.
	b.follow("Use authenticator app")
	b.fill("Code", " "+strings.ToUpper(alice.Recovery[1])+" ")
	b.press("Verify")
	b.reads("8 left")
	arrive()

	password()
	b.fill("Code", alice.Recovery[1])
	if status := b.press("Verify"); status != http.StatusUnauthorized {
		t.Errorf("a used recovery code in the code field gives %d, want 401", status)
	}
}

// TestDeepLink signs in on the way to a page with query and fragment, once with a mistake on each page.
func TestDeepLink(t *testing.T) {
	t.Parallel()
	s := start(t, rig.Config{})
	alice, _ := enrolled(t, s, "alice")
	const link = "/reports/2026%20Q1/a%2Fb?from=1&to=%2F%2Fexample.com&q=a+b#chapter-3?x=y"
	for _, mistakes := range []bool{false, true} {
		b := open(t, s)
		b.visit(link)
		b.sees("Sign in")
		if mistakes {
			b.fill("Username or email", alice.Name)
			b.fill("Password", "not the password")
			b.press("Sign in")
		}
		b.fill("Username or email", alice.Name)
		b.fill("Password", alice.Password)
		b.press("Sign in")
		if mistakes {
			b.fill("Code", "000000")
			b.press("Verify")
		}
		b.fill("Code", code(t, alice.Phone))
		b.press("Verify")
		b.sees("Example app")
		if at := strings.TrimPrefix(b.location(), s.URL); at != link {
			t.Errorf("with mistakes %v the link led to\n%s, want\n%s", mistakes, at, link)
		}
		if uri, _, _ := strings.Cut(link, "#"); b.text("#uri") != uri {
			t.Errorf("the app was asked for %s, want %s", b.text("#uri"), uri)
		}
	}
}

// connect opens a WebSocket in the page, says a word, and returns what came back.
const connect = `new Promise(done => {
	const ws = new WebSocket("/ws".replace(/^/, location.origin.replace(/^http/, "ws")));
	ws.onopen = () => ws.send("hello");
	ws.onmessage = e => { done(e.data); ws.close(); };
	ws.onerror = () => done("refused");
})`

// TestWebSocket talks to the app while signed in, and is refused after.
func TestWebSocket(t *testing.T) { // S73
	t.Parallel()
	s := start(t, rig.Config{})
	alice, _ := enrolled(t, s, "alice")
	b := open(t, s)
	b.signIn(alice)
	if said := eval[string](b, connect); said != "echo hello" {
		t.Errorf("signed in, the WebSocket says %q", said)
	}
	b.press("Sign out")
	b.expected = regexp.MustCompile(`WebSocket connection to .* failed`)
	if said := eval[string](b, connect); said != "refused" {
		t.Errorf("signed out, the WebSocket says %q", said)
	}
}

// TestOtherProfile opens the app in a second profile of the same browser.
func TestOtherProfile(t *testing.T) {
	t.Parallel()
	s := start(t, rig.Config{})
	alice, _ := enrolled(t, s, "alice")
	b := open(t, s)
	b.signIn(alice)
	other := open(t, s)
	other.visit("/")
	other.sees("Sign in")
	other.expected = regexp.MustCompile(`401`)
	const status = `fetch("/headers").then(r => r.status)`
	if got := eval[int](other, status); got != http.StatusUnauthorized {
		t.Errorf("a script of the other profile gets %d, want 401", got)
	}
	if got := eval[int](b, status); got != http.StatusOK {
		t.Errorf("a script of the first profile gets %d, want 200", got)
	}
}

// code is the phone's next one.
func code(t *testing.T, phone *rig.Authenticator) string {
	t.Helper()
	c, err := (&rig.Person{Phone: phone}).Code(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// signIn goes from the app's front page through the portal and back.
func (b *tab) signIn(p *rig.Person) {
	b.t.Helper()
	b.visit("/")
	b.fill("Username or email", p.Name)
	b.fill("Password", p.Password)
	b.press("Sign in")
	b.fill("Code", code(b.t, p.Phone))
	b.press("Verify")
	b.sees("Example app")
}

// recoveryCodes reads the ten codes off the page.
func (b *tab) recoveryCodes() []string {
	b.t.Helper()
	codes := eval[[]string](b, `[...document.querySelectorAll("main li")].map(e => e.innerText.trim())`)
	if len(codes) != 10 || slices.ContainsFunc(codes, func(c string) bool { return !recoveryCode.MatchString(c) }) {
		b.t.Fatalf("the page shows %q, want ten recovery codes", codes)
	}
	return codes
}

// download saves the recovery codes as a file, and returns what is in it.
func (b *tab) download() string {
	b.t.Helper()
	dir := b.t.TempDir()
	id := chromedp.FromContext(b.ctx).BrowserContextID
	if _, err := chromedp.CallBrowser(b.ctx, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{
		Behavior: browser.SetDownloadBehaviorBehaviorAllow, BrowserContextID: id, DownloadPath: dir,
	}); err != nil {
		b.t.Fatal(err)
	}
	b.do(chromedp.Click(button("Download"), chromedp.NodeVisible))
	// The browser tells everybody of every file, those of other profiles too. This one gets its name when it is whole.
	for deadline := time.After(patience); ; {
		files, err := filepath.Glob(filepath.Join(dir, "*.txt"))
		if err != nil || len(files) > 1 {
			b.t.Fatalf("saved files: %q, %v", files, err)
		}
		if len(files) == 1 {
			saved, err := os.ReadFile(files[0])
			if err != nil {
				b.t.Fatal(err)
			}
			if len(saved) > 0 {
				return string(saved)
			}
		}
		select {
		case <-deadline:
			b.t.Fatalf("no file was saved: %q", files)
		case <-time.After(5 * time.Millisecond):
		}
	}
}
