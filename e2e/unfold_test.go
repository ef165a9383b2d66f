package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
)

// clickAt presses the mouse's button at a point of the window.
func clickAt(x, y float64) action {
	at := func(kind input.DispatchMouseEventType) action {
		return command(input.DispatchMouseEvent, input.DispatchMouseEventParams{Type: kind, X: x, Y: y, Button: input.MouseButtonLeft, ClickCount: 1})
	}
	return chromedp.Steps(at(input.DispatchMouseEventTypeMousePressed), at(input.DispatchMouseEventTypeMouseReleased))
}

const (
	// summaries are those of the page; placed brings one into the middle and tells where it is, and whether it is open.
	summaries = `document.querySelectorAll("main summary")`
	placed    = `(e => { if (%v) e.scrollIntoView({ block: "center" }); const r = e.getBoundingClientRect(); return [r.left, r.top, r.width, r.height, e.parentElement.open ? 1 : 0]; })(` + summaries + `[%d])`

	// reading is what can have the focus and is seen before what comes before it on the page (WCAG 2.2, success criteria 1.3.2 and 2.4.3):
	// what follows in a card is below, or in the same line farther on.
	reading = `[...document.querySelectorAll("main .panel")].flatMap(panel => {
		const all = [...panel.querySelectorAll("a[href], button, input:not([type=hidden]), select, summary")].filter(e => e.checkVisibility() && e.getClientRects().length);
		const says = e => (e.labels && e.labels[0] || e).textContent.trim().replace(/\s+/g, " ");
		return all.slice(1).flatMap((b, i) => {
			const a = all[i], p = a.getBoundingClientRect(), q = b.getBoundingClientRect();
			const on = document.dir === "rtl" ? q.right <= p.right : q.left >= p.left;
			return q.top >= p.bottom - 1 || q.bottom > p.top && on ? [] : [says(b) + " is seen before " + says(a)];
		});
	})`
)

// TestUnfoldInPlace: what is pressed to open something stays under the pointer, so that pressing it once more closes it; and with all of it open
// the Security page is in the order in which the Tab key goes through it.
func TestUnfoldInPlace(t *testing.T) {
	t.Parallel()
	s := start(t, rig.Config{Caddyfile: with("recovery {\n\t\t\tviewable\n\t\t}")})
	alice, _ := enrolled(t, s, "alice")
	b := open(t, s)
	b.signIn(alice)
	b.visit("/.mfa/security")
	b.press("Add an authenticator app")
	b.fill("Code", code(t, b.qr()))
	b.press("Verify & enable")
	b.sees("Security")
	for _, lang := range []string{"en", "ar"} {
		b.do(command(network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: network.Headers{"Accept-Language": lang}}))
		for _, width := range []int64{1100, 360} {
			b.do(command(emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: 900, DeviceScaleFactor: 1}))
			b.visit("/.mfa/security")
			b.ready()
			n := eval[int](b, summaries+".length")
			if n < 10 {
				t.Fatalf("the page hides %d things", n)
			}
			// Each by itself, then one after the other with what was opened before.
			for _, keep := range []bool{false, true} {
				for i := range n {
					where := eval[[]float64](b, fmt.Sprintf(placed, true, i))
					x, y := where[0]+where[2]/2, where[1]+where[3]/2
					presses := []float64{1, 0}
					if keep {
						presses = []float64{1, 0, 1}
					}
					for _, open := range presses {
						b.do(clickAt(x, y))
						now := eval[[]float64](b, fmt.Sprintf(placed, false, i))
						if now[4] != open || now[0] != where[0] || now[1] != where[1] {
							t.Errorf("%s, %d pixels: %s was at %v; it was pressed at %v, %v and is at %v", lang, width, eval[string](b, fmt.Sprintf("%s[%d].innerText", summaries, i)), where, x, y, now)
							break
						}
					}
				}
			}
			for _, line := range eval[[]string](b, reading) {
				t.Errorf("%s, %d pixels: %s", lang, width, line)
			}
			b.picture(fmt.Sprintf("unfolded-%s-%d", lang, width))
		}
	}
	if weights := eval[string](b, `[...new Set([...document.querySelectorAll(".row-acts > form > button, .row-acts > details > summary")].map(e => getComputedStyle(e).fontWeight))].join()`); strings.Contains(weights, ",") {
		t.Errorf("what can be done with a row has the weights %s", weights)
	}
}
