package e2e

import (
	"slices"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
)

// focused is what a person hears or reads of the element that has the focus, "" if none has, and what is wrong with it: nothing shows that it
// is there, or in colours that can be told apart, something lies over it or it is out of sight (WCAG 2.2, success criteria 2.4.7, 1.4.11 and
// 2.4.11).
const focused = `(() => {
	const e = document.activeElement;
	if (!e || e === document.body) return ["", ""];
	document.getAnimations().forEach(a => { try { a.finish() } catch {} }); // colours fade over
	const words = (e.labels && e.labels[0] || e).textContent.trim(), style = getComputedStyle(e), box = e.getBoundingClientRect();
	if (style.outlineStyle === "none" && style.boxShadow === "none") return [words, "the focus cannot be seen"];
	const ring = style.outlineColor.match(/[\d.]+/g).map(Number), filled = p => getComputedStyle(p).backgroundColor.match(/[\d.]+/g).map(Number);
	let on = e.parentElement;
	while (filled(on)[3] === 0 && on.parentElement) on = on.parentElement;
	const light = c => c.slice(0, 3).map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4).reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], .05);
	const [high, low] = [light(ring), light(filled(on))].sort((a, b) => b - a);
	if (style.outlineStyle !== "auto" && high / low < 3) return [words, "the ring has a contrast of " + (high / low).toFixed(2) + " on " + (on.className || on.tagName)];
	if (box.bottom <= 0 || box.top >= innerHeight || box.right <= 0 || box.left >= innerWidth) return [words, "the focus is out of sight"];
	const at = document.elementFromPoint(box.left + box.width / 2, Math.max(0, Math.min(innerHeight - 1, box.top + box.height / 2)));
	if (at && !e.contains(at) && !at.contains(e) && !(e.labels && [...e.labels].some(l => l.contains(at)))) return [words, "something lies over the focus"];
	return [words, ""];
})()`

// focusable are the words of all that the Tab key should reach, in the order of the page.
const focusable = `[...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex]")]
	.filter(e => e.checkVisibility() && !e.disabled && e.type !== "hidden" && e.tabIndex >= 0)
	.map(e => (e.labels && e.labels[0] || e).textContent.trim())`

// focus is where the focus is.
func (b *tab) focus() string {
	b.t.Helper()
	got := eval[[]string](b, focused)
	if got[1] != "" {
		b.t.Errorf("%s, on %q: %s", got[1], got[0], b.state())
	}
	return got[0]
}

// starts fails the test unless the page that was loaded puts the focus on words: what is to be done first or again, "" for its top. A browser
// does so with its first frame.
func (b *tab) starts(words string) {
	b.t.Helper()
	b.ready()
	got := b.focus()
	for begun := time.Now(); got != words && time.Since(begun) < patience; got = b.focus() {
		<-time.After(10 * time.Millisecond)
	}
	if got != words {
		b.t.Errorf("the focus is on %q, want %q: %s", got, words, b.state())
	}
}

// around goes once through the page by Tab and back by Shift and Tab, and fails the test unless that reaches everything in the order of the page
// and begins anew after the last: nothing holds the focus. Between last and first it may be on nothing of the page.
func (b *tab) around() {
	b.t.Helper()
	want := eval[[]string](b, focusable)
	for _, tc := range []struct {
		name string
		key  action
		want []string
	}{
		{"Tab", chromedp.KeyEvent(kb.Tab), want},
		{"Shift and Tab", chromedp.KeyEvent(kb.Tab, chromedp.KeyModifiers(8)), reversed(want)},
	} {
		var got []string
		for range len(want) + 3 {
			b.do(tc.key)
			if on := b.focus(); on != "" {
				got = append(got, on)
			}
			if len(got) == len(want) {
				break
			}
		}
		if !rotated(got, tc.want) {
			b.t.Errorf("%s leads to\n%q, want\n%q: %s", tc.name, got, tc.want, b.state())
		}
	}
}

// rotated reports whether got is want, begun somewhere else.
func rotated(got, want []string) bool {
	for i := range want {
		if slices.Equal(got, append(slices.Clone(want[i:]), want[:i]...)) {
			return true
		}
	}
	return len(got) == len(want) && len(want) == 0
}

func reversed(s []string) []string {
	s = slices.Clone(s)
	slices.Reverse(s)
	return s
}

// tabTo moves the focus forward until it is on the field or button with those words.
func (b *tab) tabTo(words string) {
	b.t.Helper()
	for range 60 {
		if b.focus() == words {
			return
		}
		b.do(chromedp.KeyEvent(kb.Tab))
	}
	b.t.Fatalf("the Tab key does not reach %q: %s", words, b.state())
}

// typed types where the focus is.
func (b *tab) typed(text string) {
	b.t.Helper()
	b.do(chromedp.KeyEvent(text))
}

// typedWhole types a code of six digits, the last of which leads to another page.
func (b *tab) typedWhole(code string) {
	b.t.Helper()
	b.ready()
	b.load(chromedp.KeyEvent(code))
}

// ready waits until the page's scripts have run.
func (b *tab) ready() {
	b.t.Helper()
	eval[bool](b, `new Promise(done => document.readyState === "complete" ? done(true) : addEventListener("load", () => done(true)))`)
}

// enter presses Enter, which leads to another page.
func (b *tab) enter() {
	b.t.Helper()
	b.load(chromedp.KeyEvent(kb.Enter))
}

// enters moves the focus to words and presses Enter there, which leads to another page.
func (b *tab) enters(words string) {
	b.t.Helper()
	b.tabTo(words)
	b.enter()
}

// opensUp opens what words hide, by Enter.
func (b *tab) opensUp(words string) {
	b.t.Helper()
	b.tabTo(words)
	b.do(chromedp.KeyEvent(kb.Enter))
	b.do(chromedp.WaitVisible(`//details[@open]` + summary(words)))
}

// TestKeyboardAlone signs in, and sets everything up on the way, without a mouse; with each mistake the focus is where it helps.
func TestKeyboardAlone(t *testing.T) {
	t.Parallel()
	s := start(t, rig.Config{})
	alice := addUser(t, s, "alice")
	b := open(t, s)
	password := func() {
		b.visit("/")
		b.sees("Sign in")
		b.starts("Username or email")
		b.typed(alice.Name)
		b.tabTo("Password")
		b.typed(alice.Password)
		b.enter()
	}
	b.visit("/")
	b.starts("Username or email")
	b.around()
	b.tabTo("Username or email")
	b.typed(alice.Name)
	b.tabTo("Password")
	b.typed("not the password")
	b.tabTo("Show")
	b.do(chromedp.KeyEvent(" "))
	b.starts("Show")
	if got := eval[string](b, `document.activeElement.ariaLabel + " " + document.activeElement.ariaPressed`); got != "Show password true" {
		t.Errorf("the button that shows the password is %q", got)
	}
	b.enters("Sign in")
	b.starts("Password")
	b.typed(alice.Password)
	b.enter()
	b.sees("Set up two-factor authentication")
	b.starts("")
	b.around()
	b.enters("Authenticator app")
	b.starts("Code")
	alice.Phone = b.qr()
	b.around()
	b.opensUp("Can't scan it?")
	b.tabTo("Copy key")
	b.tabTo("Code")
	b.typedWhole("000000")
	b.starts("Code")
	b.typedWhole(code(t, alice.Phone))
	b.sees("Save your recovery codes")
	b.starts("")
	b.around()
	alice.Recovery = b.recoveryCodes()
	b.enters("I've saved my codes")
	b.sees("Example app")
	b.enters("Sign out")

	password()
	b.sees("Enter your code")
	b.starts("Code")
	b.around()
	b.tabTo("Code")
	b.typedWhole("000000")
	b.starts("Code")
	b.enters("Use a recovery code")
	b.sees("Use a recovery code")
	b.starts("Recovery code")
	b.around()
	b.tabTo("Recovery code")
	b.typed("aaaaa-aaaaa-aaaaa")
	b.enter()
	b.starts("Recovery code")
	b.enters("Use authenticator app")
	b.starts("Code")
	b.typedWhole(code(t, alice.Phone))
	b.sees("Example app")
	b.enters("Sign out")

	password()
	b.enters("Use a recovery code")
	b.starts("Recovery code")
	b.typed(alice.Recovery[0])
	b.enter()
	b.sees("Recovery code used: 9 left")
	b.starts("")
	b.around()
	b.enters("Continue")
	b.sees("Example app")
}

// TestSecurityByKeyboard changes on the Security page what there is to change.
func TestSecurityByKeyboard(t *testing.T) {
	t.Parallel()
	s := start(t, rig.Config{})
	alice, _ := enrolled(t, s, "alice")
	b := open(t, s)
	b.visit("/.mfa/security")
	b.starts("Username or email")
	b.typed(alice.Name)
	b.tabTo("Password")
	b.typed(alice.Password)
	b.enter()
	b.starts("Code")
	b.typedWhole(code(t, alice.Phone))
	b.sees("Security")
	b.starts("")
	b.around()

	b.opensUp("Rename")
	b.tabTo("Name")
	b.typed(" of alice")
	b.enter()
	b.sees("Security")
	b.reads("Renamed.")

	b.opensUp("Change display name")
	b.tabTo("Display name")
	b.typed("Alice Example")
	b.enter()
	b.reads("Your display name was changed.")

	b.opensUp("Change password")
	b.tabTo("New password")
	b.typed("password")
	b.enter()
	b.starts("New password") // refused
	b.typed("another horse battery staple")
	b.enter()
	b.sees("Security")
	b.reads("Your password was changed.")

	b.opensUp("Make new codes")
	b.enters("Make ten new codes")
	b.sees("Save your recovery codes")
	b.enters("I've saved my codes")
	b.reads("Your new recovery codes work from now on.")

	b.enters("Add an authenticator app")
	b.sees("Set up your authenticator app")
	tablet := b.qr()
	b.starts("Code")
	b.typedWhole(code(t, tablet))
	b.reads("Added.")

	b.plug(touchKey, true)
	b.enters("Add a security key or passkey")
	b.sees("Set up a security key or passkey")
	b.starts("")
	b.around()
	b.tabTo("Name")
	b.typed("Blue key")
	b.enters("Register")
	b.reads("Added.")
	b.opensUp("Change what is asked first")
	b.tabTo("Preferred method")
	b.do(chromedp.KeyEvent(kb.ArrowDown))
	b.enters("Save")
	b.reads("Saved.")

	b.opensUp("New access token")
	b.tabTo("Name of the token")
	b.typed("Feed reader")
	b.enters("Make an access token")
	b.sees("Your new access token")
	b.around()
	b.enters("I've copied it")
	b.opensUp("Revoke")
	b.around()

	b.enters("All activity of 90 days")
	b.starts("")
	b.around()
	b.enters("Back to Security")
	b.enters("Sign out")
	b.sees("Sign in")
}

// TestInvitedByKeyboard is invited by mail, slips on each page, and forgets the password, without a mouse.
func TestInvitedByKeyboard(t *testing.T) {
	t.Parallel()
	o := openPost(t)
	s := startMailing(t, o)
	o.invite(s, "alice")
	b := open(t, s)
	b.clicks(o.open(address("alice"), anInvitation))
	b.sees("Create your account")
	b.starts("Password")
	b.typed("password")
	b.enter()
	b.starts("Password")
	b.around()
	b.tabTo("Password")
	b.typed("correct horse battery staple")
	b.enter()
	b.sees("Save your recovery codes")
	b.enters("Show my codes")
	b.around()
	b.enters("I've saved my codes")
	b.sees("Example app")
	b.enters("Sign out")

	b.visit("/")
	b.starts("Username or email")
	b.typed("alice")
	b.tabTo("Password")
	b.typed("correct horse battery staple")
	b.enter()
	b.sees("Check your email")
	b.starts("Code")
	b.around()
	b.enters("Send a new code")
	b.starts("Code")
	b.typedWhole("000000")
	b.starts("Code")

	b.visit("/.mfa/login")
	b.enters("Forgot password?")
	b.starts("Username or email")
	b.around()
	b.tabTo("Username or email")
	b.typed("alice")
	b.enter()
	b.sees("Check your email")
	b.clicks(o.open(address("alice"), aReset))
	b.sees("Choose a new password")
	b.starts("New password")
	b.around()
	b.tabTo("New password")
	b.typed("another horse battery staple")
	b.enter()
	b.lacks(`//*[@aria-invalid]`)
}

// TestPasskeyByKeyboard signs in with a passkey, by its button.
func TestPasskeyByKeyboard(t *testing.T) {
	t.Parallel()
	s := start(t, rig.Config{})
	_, b, k := withPasskey(t, s, laptop)
	// The offer in the name field would take the touch.
	b.inject(`PublicKeyCredential.isConditionalMediationAvailable = async () => false`)
	b.visit(passkeyLink)
	b.starts("Username or email")
	k.touch(true)
	b.tabTo("Sign in with a passkey")
	b.do(chromedp.KeyEvent(kb.Enter))
	b.arrives("alice")
}
