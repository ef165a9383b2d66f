package e2e

import (
	"fmt"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
)

// inSight is what is wrong with the words that time is nearly over: they are seen whole without anything being done, and lie not on what has the
// focus, also in a window that is as low as one of 1280 by 1024 pixels is at 400 % (WCAG 2.2, success criterion 2.4.11).
const inSight = `(() => {
	const bad = [], note = document.querySelector("[role=status] > .note").getBoundingClientRect(), f = document.activeElement, at = f.getBoundingClientRect();
	const says = r => [r.left, r.top, r.right, r.bottom].map(Math.round).join();
	if (note.top < 0 || note.bottom > innerHeight || note.left < 0 || note.right > innerWidth) bad.push("the note is at " + says(note));
	if (!f.closest("form") || at.top < 0 || at.bottom > note.top) bad.push((f.id || f.innerText) + " is at " + says(at) + ", the note at " + says(note));
	return bad;
})()`

// TestTimeRunsOut waits on a page until its time is nearly over, asks for more, and waits until it is over: each time the page says what can be
// done, where it is seen, without taking the focus or what was typed.
func TestTimeRunsOut(t *testing.T) {
	t.Parallel()
	s := start(t, rig.Config{})
	alice, _ := enrolled(t, s, "alice")
	b := open(t, s)
	b.password(alice, "/")
	b.follow("Use a recovery code")
	// Ten minutes are 600000 ms, and 480000 until the warning; both come when the test says so.
	b.inject(`{
		const real = setTimeout, due = [];
		window.setTimeout = (what, ms) => ms > 100000 ? due.push([ms, what]) : real(what, ms);
		window.comes = () => due.sort((a, b) => a[0] - b[0]).splice(0, 1).forEach(([, what]) => what());
	}`)
	for _, says := range []string{"Two minutes are left for this page.", "The time for this page is over."} {
		for _, size := range [][2]int64{{360, 640}, {1280, 720}, {320, 256}} {
			b.do(command(emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: size[0], Height: size[1], DeviceScaleFactor: 1}))
			b.visit("/.mfa/verify/recovery")
			b.ready()
			b.typed("half")
			// As low in the window as it may be.
			b.do(chromedp.Evaluate[chromedp.Void](`document.activeElement.scrollIntoView({ block: "end" })`))
			b.frame()
			b.still()
			b.do(chromedp.Evaluate[chromedp.Void](`comes()`))
			if says != "Two minutes are left for this page." {
				b.do(chromedp.Evaluate[chromedp.Void](`comes()`))
			}
			b.do(chromedp.WaitVisible(fmt.Sprintf(`//*[@role="status"][contains(., %q)]`, says)))
			b.frame()
			for _, line := range append(eval[[]string](b, inSight), b.still()...) {
				t.Errorf("%q at %v: %s", says, size, line)
			}
			b.starts("Recovery code")
			b.tabTo("Verify")
			for _, line := range eval[[]string](b, inSight) {
				t.Errorf("%q at %v, one Tab later: %s", says, size, line)
			}
			b.picture(fmt.Sprintf("limit-%d-%d", size[0], len(says)))
		}
	}
	b.do(window(false))
	b.visit("/.mfa/verify/recovery")
	b.ready()
	b.typed("half")
	b.do(chromedp.Evaluate[chromedp.Void](`comes()`))
	b.starts("Recovery code")
	b.inject(`addEventListener("DOMContentLoaded", () => setTimeout(() => comes()))`)
	b.shoot("limit-soon")
	b.enters("Give me 10 more minutes")
	b.sees("Use a recovery code")
	b.inject(`addEventListener("DOMContentLoaded", () => setTimeout(() => comes()))`)
	b.visit("/.mfa/verify/recovery")
	b.do(chromedp.WaitVisible(`//*[@role="status"][contains(., "The time for this page is over.")]`))
	b.shoot("limit-over")
	b.follow("Start again")
	b.sees("Sign in")
}
