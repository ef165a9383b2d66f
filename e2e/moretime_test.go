package e2e

import (
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
)

// TestTimeRunsOut waits on a page until its time is nearly over, asks for more, and waits until it is over: each time the page says what can be
// done, without taking the focus or what was typed.
func TestTimeRunsOut(t *testing.T) {
	t.Parallel()
	s := start(t, rig.Config{})
	alice, _ := enrolled(t, s, "alice")
	b := open(t, s)
	b.password(alice, "/")
	b.follow("Use a recovery code")
	// Ten minutes are 600000 ms, and 480000 until the warning.
	b.inject(`{ const real = setTimeout; window.setTimeout = (what, ms) => real(what, ms < 500000 ? 0 : ms); }`)
	b.visit("/.mfa/verify/recovery")
	b.typed("half")
	b.do(chromedp.WaitVisible(`//*[@role="status"][contains(., "Two minutes are left for this page.")]`))
	b.starts("Recovery code")
	b.shoot("limit-soon")
	b.enters("Give me 10 more minutes")
	b.sees("Use a recovery code")
	b.inject(`{ const real = setTimeout; window.setTimeout = (what, ms) => real(what, ms < 500000 ? 1e6 : 0); }`)
	b.visit("/.mfa/verify/recovery")
	b.do(chromedp.WaitVisible(`//*[@role="status"][contains(., "The time for this page is over.")]`))
	b.shoot("limit-over")
	b.follow("Start again")
	b.sees("Sign in")
}
