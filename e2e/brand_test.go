package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
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

// heads is what is wrong with the head of a page: it is off the middle, beside the window, or breaks a word of the name that would fit.
const heads = `(() => {
	const bad = [], wide = document.documentElement.clientWidth, name = document.querySelector(".brand > :last-child").firstChild;
	const part = (from, to) => { const r = document.createRange(); r.setStart(name, from); r.setEnd(name, to); return r; };
	const boxes = [document.querySelector(".brand :is(img, svg)").getBoundingClientRect(), ...part(0, name.length).getClientRects()];
	const left = Math.min(...boxes.map(r => r.left)), right = Math.max(...boxes.map(r => r.right));
	if (left < 0 || right > wide) bad.push("it is from " + left + " to " + right + " in " + wide);
	if (Math.abs(left + right - wide) > 2) bad.push("it is off the middle: from " + left + " to " + right + " in " + wide);
	for (const m of name.data.matchAll(/\S+/g)) if (part(m.index, m.index + m[0].length).getClientRects().length > 1) bad.push("broken: " + m[0]);
	return bad;
})()`

// TestLogosOfAnyShape: whatever the shape of a logo, it and the name stand in the middle, in windows of any width.
func TestLogosOfAnyShape(t *testing.T) {
	t.Parallel()
	for _, shape := range []struct{ name, size string }{{"wide", "900 60"}, {"tall", "60 900"}, {"square", "100 100"}} {
		logo := filepath.Join(t.TempDir(), "logo.svg")
		svg := `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ` + shape.size + `"><rect width="100%" height="100%" fill="#cc0610"/></svg>`
		if err := os.WriteFile(logo, []byte(svg), 0o644); err != nil {
			t.Fatal(err)
		}
		b := open(t, branded(t, "#cc0610", "#ffffff", "logo "+logo))
		for _, width := range []int64{320, 360, 1100, 3840} {
			b.do(command(emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: 740, DeviceScaleFactor: 1}))
			b.visit("/")
			b.sees("Sign in")
			for _, line := range eval[[]string](b, heads) {
				t.Errorf("%s logo, %d pixels: %s", shape.name, width, line)
			}
			b.picture(fmt.Sprintf("logo-%s-%d", shape.name, width))
		}
	}
}
