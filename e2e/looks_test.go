package e2e

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
)

// look is how somebody has set up their screen and their browser.
type look struct {
	name                     string
	width, height            int64
	contrast, scheme, forced string
}

// strong are the looks of those who need to tell things apart better.
var strong = []look{
	{"contrast", 1100, 800, "more", "light", "none"},
	{"contrast-dark", 1100, 800, "more", "dark", "none"},
	{"forced", 1100, 800, "no-preference", "light", "active"},
}

// seenIn looks at the page in each of those, and fails the test for what is wrong with it there.
func (b *tab) seenIn(page string, looks ...look) {
	b.t.Helper()
	for _, l := range looks {
		b.do(command(emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: l.width, Height: l.height, DeviceScaleFactor: 1}),
			command(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
				{Name: "prefers-contrast", Value: l.contrast}, {Name: "prefers-color-scheme", Value: l.scheme}, {Name: "forced-colors", Value: l.forced},
			}}))
		eval[bool](b, `document.getAnimations().every(a => { try { a.finish() } catch {} return true })`) // colours fade over
		bad := append(eval[[]string](b, sound), b.violations(every)...)
		if l.forced == "active" {
			bad = append(bad, eval[[]string](b, first)...)
		}
		bad = append(bad, eval[[]string](b, small)...)
		for _, line := range bad {
			b.t.Errorf("%s, %s: %s", page, l.name, line)
		}
		b.picture("look-" + page + "-" + l.name)
	}
	b.do(window(false), scheme(false)) // Chromium keeps the background of forced colours under a page that was opened in them
}

// first is what is wrong where colours are forced: the button that leads on is filled, which no other is, and drawings have the colours that
// were chosen.
const first = `(() => {
	const fill = e => getComputedStyle(e).backgroundColor, page = fill(document.querySelector("main"));
	const shown = s => [...document.querySelectorAll(s)].filter(e => e.checkVisibility({ visibilityProperty: true }));
	const probe = document.body.appendChild(document.createElement("i"));
	const chosen = ["Canvas", "CanvasText", "LinkText", "Highlight"].map(c => (probe.style.color = c, getComputedStyle(probe).color));
	probe.remove();
	const drawn = shown("svg *").flatMap(e => [getComputedStyle(e).fill, getComputedStyle(e).stroke].filter(c => c !== "none" && !chosen.includes(c)).map(c => "drawn in " + c + ": " + e.outerHTML));
	const turns = shown(".waiting").map(e => getComputedStyle(e, "::before")).filter(s => s.borderInlineEndColor === s.borderInlineStartColor).map(() => "a whole ring, which nobody sees turn");
	return [...drawn, ...turns, ...shown(".main").filter(e => fill(e) === fill(document.documentElement) || fill(e) === page).map(e => "not filled: " + e.innerText),
		...shown(".second").filter(e => shown(".main").some(m => fill(m) === fill(e))).map(e => "filled too: " + e.innerText)];
})()`

// small is what does not grow with the words beside it.
const small = `[...document.querySelectorAll("footer svg")].filter(e => e.getBoundingClientRect().height < 1.1 * parseFloat(getComputedStyle(e.parentElement).fontSize)).map(e => "an icon is small beside its words: " + e.outerHTML)`

// TestLooks: narrow, wide, with more contrast, and with forced colours.
func TestLooks(t *testing.T) {
	t.Parallel()
	s := start(t, rig.Config{})
	alice, _ := enrolled(t, s, "alice")
	b := open(t, s)
	b.visit("/")
	b.sees("Sign in")
	b.seenIn("login", strong...)
	b.visit("/.mfa/nothing")
	b.sees("Page not found")
	b.seenIn("message", strong...)
	b.password(alice, "/")
	b.sees("Enter your code")
	b.seenIn("code", strong...)
	b.fill("Code", code(t, alice.Phone))
	b.press("Verify")
	b.sees("Example app")
	for _, page := range []string{"security", "logout"} {
		b.visit("/.mfa/" + page)
		b.seenIn(page, append([]look{
			{"320", 320, 640, "no-preference", "light", "none"},
			{"4k", 3840, 2160, "no-preference", "light", "none"},
		}, strong...)...)
	}
}

// TestLooksOfKeys is TestLooks on the way to a security key, and with it.
func TestLooksOfKeys(t *testing.T) {
	t.Parallel()
	s := start(t, rig.Config{})
	bob := addUser(t, s, "bob")
	b := open(t, s)
	k := b.plug(touchKey, true)
	b.password(bob, "/")
	b.sees("Set up two-factor authentication")
	b.seenIn("enroll", strong...)
	b.press("Security key or passkey")
	b.press("Register")
	b.sees("Save your recovery codes")
	b.seenIn("codes", strong...)
	b.press("I've saved my codes")
	b.sees("Example app")
	k.touch(false)
	b.press("Sign out")
	b.password(bob, "/")
	b.sees("Use your security key")
	b.seenIn("key", strong...)
}

// TestMotionIsReduced: while an answer is on its way something turns, but not for those who want things to stand still.
func TestMotionIsReduced(t *testing.T) {
	t.Parallel()
	s := start(t, rig.Config{})
	for _, tc := range []struct{ motion, moves string }{{"no-preference", "turn"}, {"reduce", ""}} {
		b := open(t, s)
		b.do(command(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-reduced-motion", Value: tc.motion}}}))
		b.visit("/")
		b.sees("Sign in")
		b.fill("Username or email", "alice")
		b.fill("Password", "correct horse battery alice")
		b.ready()
		b.do(command(fetch.Enable, fetch.EnableParams{Patterns: []*fetch.RequestPattern{{URLPattern: "*/.mfa/login"}}})) // the answer never comes
		got := eval[string](b, `(() => {
			document.querySelector("main .main").click();
			return document.querySelectorAll("form[aria-busy]").length + " " + document.getAnimations().map(a => a.animationName || a.transitionProperty);
		})()`)
		if busy, moves, _ := strings.Cut(got, " "); busy != "1" || tc.moves == "" && moves != "" || !strings.Contains(moves, tc.moves) {
			t.Errorf("with %s there moves %q, want %q", tc.motion, got, tc.moves)
		}
	}
}

// TestPrintedCodes: on paper there are the recovery codes, and whose they are, in black on white.
func TestPrintedCodes(t *testing.T) {
	t.Parallel()
	s := start(t, rig.Config{})
	alice := addUser(t, s, "alice")
	b := open(t, s)
	b.password(alice, "/")
	b.setUpApp(alice)
	b.sees("Save your recovery codes")
	codes := b.recoveryCodes()
	b.do(command(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print", Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}}))
	paper := b.text("body")
	for _, want := range append(codes, "Recovery codes for caddy-mfa", "Site: localhost", "Username: alice", "Made: ", "Each code works once, in place of your second method.") {
		if !strings.Contains(paper, want) {
			t.Errorf("the paper lacks %q", want)
		}
	}
	for _, no := range []string{"Copy", "Download", "Print", "I've saved", "Save your", "If you lose", "Save them before"} {
		if strings.Contains(paper, no) {
			t.Errorf("the paper has %q", no)
		}
	}
	if got := eval[string](b, `getComputedStyle(document.querySelector(".codes")).color + getComputedStyle(document.querySelector("main")).backgroundColor`); got != "rgb(0, 0, 0)rgba(0, 0, 0, 0)" {
		t.Errorf("the codes are %s", got)
	}
	b.picture("recovery-codes-print")
	sheet := run(b, func(ctx context.Context, t *chromedp.Target) ([]byte, error) {
		pdf, err := cdp.Call(ctx, t, page.PrintToPDF, page.PrintToPDFParams{})
		return pdf.Data, err
	})
	if err := os.WriteFile(filepath.Join(out, "recovery-codes.pdf"), sheet, 0o644); err != nil {
		t.Fatal(err)
	}
	if pages := regexp.MustCompile(`/Count (\d+)`).FindSubmatch(sheet); len(pages) < 2 || string(pages[1]) != "1" {
		t.Errorf("the codes take %q sheets", pages)
	}
	// Last: a browser without windows goes on printing.
	b.do(command(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{}))
	b.do(chromedp.Evaluate[chromedp.Void](`addEventListener("beforeprint", () => { window.prints = true })`))
	b.click("Print")
	b.do(chromedp.Poll[chromedp.Void](`window.prints`))
}
