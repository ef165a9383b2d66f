package e2e

import (
	"strings"
	"testing"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
)

// branded is a server with pages that are dressed, by an accent and a background, and more options.
func branded(t *testing.T, accent, background string, more ...string) *rig.Server {
	t.Helper()
	return start(t, rig.Config{Caddyfile: strings.Replace(rig.Gated, "auto_https off\n", `auto_https off
	mfa {
		name "Example Corp"
		brand {
			accent "`+accent+`"
			background "`+background+`"
			footer "Example Corp, for staff only"
			links {
				Imprint https://example.com/imprint
				"Ask for help" mailto:help@example.com
			}
			`+strings.Join(more, "\n")+`
		}
	}
`, 1)})
}

// TestBrandedPages: whatever colours an admin chooses, axe-core finds nothing wrong with the pages.
func TestBrandedPages(t *testing.T) {
	t.Parallel()
	for name, colours := range map[string][2]string{
		"yellow": {"#ffcc00", "#fff7d6"}, "navy": {"#0b1f3a", "#0b1f3a"}, "green": {"#0a7d33", "#eef5f0"}, "red": {"#cc0610", "#fdf2f2"},
	} {
		s := branded(t, colours[0], colours[1])
		alice, _ := enrolled(t, s, "alice")
		b := open(t, s)
		b.visit("/")
		b.sees("Sign in")
		b.shoot("brand-" + name)
		b.fill("Username or email", alice.Name)
		b.fill("Password", alice.Password)
		b.press("Sign in")
		b.fill("Code", code(t, alice.Phone))
		b.press("Verify")
		b.sees("Example app")
		b.visit("/.mfa/security")
		b.sees("Security")
		b.shoot("brand-" + name + "-security")
	}
}

// TestBrandOnColouredSurfaces: a saturated accent, which is seen well on the card alone, leaves links and rings in notes and on a choice under
// the pointer such as can be seen.
func TestBrandOnColouredSurfaces(t *testing.T) {
	t.Parallel()
	s := branded(t, "#cc0610", "#ffffff")
	alice, _ := enrolled(t, s, "alice")
	bob := addUser(t, s, "bob")
	b := open(t, s)
	b.password(alice, "/")
	b.sees("Enter your code")
	b.inject(`{
		const real = setTimeout;
		window.setTimeout = (what, ms) => real(what, ms > 100000 ? 0 : ms); // the time of the page is over at once
	}`)
	b.visit("/.mfa/verify/totp")
	b.do(chromedp.WaitVisible(`//*[@role="status"][contains(., "The time for this page is over.")]`))
	b.shoot("brand-note")

	other := open(t, s)
	other.password(bob, "/")
	other.sees("Set up two-factor authentication")
	for _, dark := range []bool{false, true} {
		b.do(scheme(dark))
		b.tabTo("Start again")
		b.do(chromedp.Evaluate[chromedp.Void](`document.activeElement.blur()`))
		other.do(scheme(dark))
		at := eval[[]float64](other, `(r => [r.left + r.width / 2, r.top + r.height / 2])(document.querySelector("form:has(> .choice)").getBoundingClientRect())`)
		other.do(command(input.DispatchMouseEvent, input.DispatchMouseEventParams{Type: input.DispatchMouseEventTypeMouseMoved, X: at[0], Y: at[1]}))
		if !eval[bool](other, `document.querySelector("form:has(> .choice)").matches(":hover")`) {
			t.Error("the pointer is on no choice")
		}
		other.tabTo("Security key or passkey")
		other.do(chromedp.Evaluate[chromedp.Void](`document.activeElement.blur()`))
	}
}
