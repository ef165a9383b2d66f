package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/chromedp"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
)

// watch notes from the beginning of a page what moves on it.
const watch = `if (self === top) {
	window.moves = new PerformanceObserver(() => {});
	window.moved = [];
	const note = list => moved.push(...list.filter(e => !e.hadRecentInput).map(e => e.value.toFixed(4) + " after " + Math.round(e.startTime) + " ms: " +
		e.sources.map(s => (s.node ? (s.node.outerHTML || s.node.data || s.node.nodeName).replace(/\s+/g, " ").slice(0, 60) : "gone") + " from " + Math.round(s.previousRect.x) + "," + Math.round(s.previousRect.y) + " to " + Math.round(s.currentRect.x) + "," + Math.round(s.currentRect.y)).join("; ")));
	moves = new PerformanceObserver(list => note(list.getEntries()));
	moves.observe({ type: "layout-shift", buffered: true });
	window.movements = () => { note(moves.takeRecords()); return moved.splice(0); };
}`

// still are the shifts of the page's layout since the last time that somebody asked, but for those that follow a person's deed within half a
// second (Cumulative Layout Shift must be 0). A page whose scripts do not run has nobody who would watch, and nothing that would move.
func (b *tab) still() []string {
	b.t.Helper()
	return eval[[]string](b, `window.movements ? movements().map(m => "the page moves: " + m) : []`)
}

// parsed waits until the whole page is there, and tells whether it is painted only after its scripts ran.
const parsed = `new Promise(done => {
	const ready = () => document.readyState !== "loading" && (done(!!document.querySelector("script[blocking=render]")), true);
	ready() || document.addEventListener("readystatechange", ready);
})`

// scriptsLate lets the portal's scripts run only after the page without them was painted, as over a slow line.
func (b *tab) scriptsLate() {
	b.t.Helper()
	err := chromedp.Listen(b.ctx, func(ev any) {
		if paused, ok := ev.(*fetch.EventRequestPaused); ok {
			go func() {
				// All of these fail where the tab is gone, which no longer waits for anything.
				early, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](parsed, chromedp.EvalAwaitPromise))
				if err == nil && !early {
					_, _ = chromedp.Run(b.ctx, aFrame) // needs a frame
				}
				_, _ = chromedp.Run(b.ctx, command(fetch.ContinueRequest, fetch.ContinueRequestParams{RequestID: paused.RequestID}))
			}()
		}
	})
	if err != nil {
		b.t.Fatal(err)
	}
	b.do(command(fetch.Enable, fetch.EnableParams{Patterns: []*fetch.RequestPattern{{URLPattern: "*/static/*.js"}}}))
}

// sizes are windows that no picture is taken of, in CSS pixels. A window 1280 pixels wide has 320 at 400 % (WCAG 2.2, success criterion 1.4.10).
var sizes = []struct {
	name          string
	width, height int64
	scale         float64
	spaced        bool // as people set texts who read them better so
	foreign       bool // from right to left too
}{
	{"at 200 %", 640, 512, 2, false, false},
	{"at 400 %", 320, 256, 4, false, true},
	{"4K", 3840, 2160, 1, false, false},
	{"spaced", 1280, 1024, 1, true, false},
	{"spaced at 400 %", 320, 256, 4, true, true},
}

// spacing sets the page's texts as wide as WCAG 2.2, success criterion 1.4.12 says, by what no policy of a page refuses.
const spacing = `((on) => {
	if (!window.spaced) {
		window.spaced = new CSSStyleSheet();
		spaced.replaceSync("* { line-height: 1.5 !important; letter-spacing: .12em !important; word-spacing: .16em !important } p { margin-bottom: 2em !important }");
	}
	document.adoptedStyleSheets = on ? [spaced] : [];
	return true;
})(%v)`

// fits is what does not fit into the window; each complaint is a line. Nothing scrolls sideways; no text is cut off, leaves the box that it is
// drawn in, or lies on another or on a control; and each control can be brought into view with nothing on it.
const fits = `(() => {
	const bad = [], wide = document.documentElement.clientWidth;
	const shown = e => e.checkVisibility({ visibilityProperty: true }) && e.getClientRects().length;
	const label = e => (e.innerText || e.getAttribute("aria-label") || e.id || e.name || e.className || e.tagName).toString().trim().replace(/\s+/g, " ").slice(0, 40);
	if (document.documentElement.scrollWidth > wide) bad.push("it is " + document.documentElement.scrollWidth + " wide in " + wide);
	const root = document.querySelector("dialog:modal") || document.body; // what is behind a dialog is not for anybody
	const all = [...root.querySelectorAll("*")].filter(shown);
	for (const e of all) {
		const style = getComputedStyle(e);
		if (/^(input|select|textarea)$/i.test(e.tagName) || e.closest("svg") || style.display === "inline") continue;
		if (style.overflowX !== "visible" && e.scrollWidth > e.clientWidth + 1 || style.overflowY !== "visible" && e.scrollHeight > e.clientHeight + 1) bad.push("cut off: " + label(e));
	}
	const texts = [];
	const walk = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
	while (walk.nextNode()) {
		const n = walk.currentNode, e = n.parentElement;
		if (!n.data.trim() || !shown(e) || e.closest("option, svg")) continue;
		const range = document.createRange();
		range.selectNodeContents(n);
		for (const r of range.getClientRects()) if (r.width > 1) texts.push({ n, e, r });
	}
	for (const { n, e, r } of texts) {
		if (r.left < -1 || r.right > wide + 1) bad.push("beside the window: " + n.data.trim().slice(0, 40));
		for (let box = e; box !== document.body && box; box = box.parentElement) {
			const style = getComputedStyle(box), b = box.getBoundingClientRect();
			if (style.display === "inline" || style.backgroundColor === "rgba(0, 0, 0, 0)" && !parseFloat(style.borderTopWidth)) continue;
			if (r.left < b.left - 1 || r.right > b.right + 1 || r.top < b.top - 2 || r.bottom > b.bottom + 2) bad.push("outside its box: " + n.data.trim().slice(0, 40));
			break;
		}
	}
	const meet = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 2 && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 5;
	const controls = all.filter(e => e.matches("a[href], button, input:not([type=hidden]), select, textarea, summary"));
	const fixed = e => e.closest(".limit"); // lies on the rest, which can be brought out from below
	texts.forEach((a, i) => {
		for (const b of texts.slice(i + 1)) if (a.n !== b.n && fixed(a.e) === fixed(b.e) && meet(a.r, b.r)) bad.push("on each other: " + a.n.data.trim().slice(0, 40) + " / " + b.n.data.trim().slice(0, 40));
		for (const c of controls) if (!c.contains(a.e) && fixed(a.e) === fixed(c) && !a.e.closest(".peek")?.contains(c) && [...c.getClientRects()].some(r => meet(a.r, r))) bad.push("on a control: " + a.n.data.trim().slice(0, 40) + " / " + label(c));
	});
	// No control is too narrow for what it says. What can be seen to be one stays within its card, and apart from what stands beside it.
	for (const c of controls) {
		if (c.matches("button") && c.scrollWidth > c.clientWidth + 1) bad.push("runs over: " + label(c));
		if (!c.matches(".main, .second, input, select, textarea")) continue;
		const r = c.getBoundingClientRect(), card = c.closest("main:not(:has(.panel)), .panel");
		if (card) {
			const box = card.getBoundingClientRect(), pad = getComputedStyle(card);
			if (r.left < box.left + parseFloat(pad.paddingLeft) - 1 || r.right > box.right - parseFloat(pad.paddingRight) + 1) bad.push("outside of its card's lines: " + label(c));
		}
		for (const { n, e, r: at } of texts) {
			if (c.contains(e) || fixed(e) !== fixed(c) || e.closest(".peek")) continue;
			const over = Math.max(r.left - at.right, at.left - r.right), down = Math.max(r.top - at.bottom, at.top - r.bottom);
			if (Math.max(over, down) < 4) bad.push(Math.max(over, down).toFixed(1) + " px from a control: " + n.data.trim().slice(0, 40) + " / " + label(c));
		}
	}
	// A word of a heading is broken where it may be, with a hyphen. Names of people and hosts may have no such place.
	for (const h of root.querySelectorAll("h1, h2")) {
		const walk = document.createTreeWalker(h, NodeFilter.SHOW_TEXT);
		while (shown(h) && !h.closest(":lang(ja)") && walk.nextNode()) for (const m of walk.currentNode.data.matchAll(/[^\s\u00ad\u2010-\u2014-]{2,40}/g)) {
			const lines = new Set([...m[0]].map((_, i) => {
				const range = document.createRange();
				range.setStart(walk.currentNode, m.index + i);
				range.setEnd(walk.currentNode, m.index + i + 1);
				return Math.round([...range.getClientRects()].pop()?.top); // the first may be the hyphen of the line above
			}));
			if (lines.size > 1 && !/[.:@]./.test(m[0])) bad.push("broken without a hyphen: " + m[0]);
		}
	}
	for (const c of controls) {
		c.scrollIntoView({ block: "center", behavior: "instant" });
		const r = c.getClientRects()[0], hit = document.elementFromPoint(r.x + r.width / 2, r.y + r.height / 2);
		if (!hit || !c.contains(hit) && !hit.contains(c) && !(c.closest(".peek") && c.closest(".peek") === hit.closest(".peek"))) bad.push("out of reach: " + label(c) + (hit ? " below " + label(hit) : ""));
	}
	scrollTo(0, 0);
	return bad;
})()`

// fitsAll tries the page in windows of all sizes, a foreign one in those that matter most.
func (b *tab) fitsAll(foreign bool) (bad []string) {
	b.t.Helper()
	for _, size := range sizes {
		if foreign && !size.foreign {
			continue
		}
		b.do(command(emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: size.width, Height: size.height, DeviceScaleFactor: size.scale}))
		eval[bool](b, fmt.Sprintf(spacing, size.spaced))
		for _, line := range eval[[]string](b, fits) {
			bad = append(bad, size.name+": "+line)
		}
	}
	eval[bool](b, fmt.Sprintf(spacing, false))
	if !foreign && b.at(b.location(), "/.mfa/") {
		bad = append(bad, b.fitsLongest()...)
	}
	b.do(window(false))
	b.still() // what moved by this
	return bad
}

// TestMovesAndMisfitsAreFound breaks a page in ways that must not go unnoticed.
func TestMovesAndMisfitsAreFound(t *testing.T) {
	t.Parallel()
	s := start(t, rig.Config{})
	b := open(t, s)
	for _, tc := range []struct{ name, breaks, found string }{
		{"nothing", `true`, ""},
		{"a line comes late", `document.querySelector("h1").before(document.createElement("p").appendChild(document.createTextNode("late")).parentNode)`, "the page moves: "},
		{"a word that does not break", `document.querySelector("h1").style.whiteSpace = "nowrap", document.querySelector("h1").textContent = "Sign in ".repeat(9)`, "at 400 %: it is "},
		{"a heading of one line", `document.querySelector(".lead").style.cssText = "height: 1.3em; overflow: hidden"`, "spaced at 400 %: cut off: to continue to"},
		{"a button of one line", `document.querySelector(".main").style.cssText = "max-height: 2rem", document.querySelector(".main").textContent = "Sign in ".repeat(9)`, "at 400 %: outside its box: Sign in"},
		{"a line on another", `document.querySelector(".lead").style.marginTop = "-2em"`, "on each other: Sign in / "},
		{"a button wider than its card", `document.querySelector(".main").style.width = "calc(100% + 4px)"`, "outside of its card's lines: Sign in"},
		{"a button at a text", `document.querySelector(".main").after(document.createElement("p").appendChild(document.createTextNode("close")).parentNode)`, " px from a control: close / Sign in"},
		{"a long word in a heading", `document.querySelector("h1").textContent = "Wiederherstellungscodes"`, "at 400 %: broken without a hyphen: Wiederherstellungscodes"},
		{"a long word in a heading that may be broken", `document.querySelector("h1").textContent = "Wieder\u00adherstellungs\u00adcodes"`, ""},
		{"a thing on the button", `document.querySelector("main").append(Object.assign(document.createElement("div"), {style: "position: fixed; inset: 0"}))`, "out of reach: Sign in"},
	} {
		b.visit("/")
		b.sees("Sign in")
		b.frame() // draws it
		found := b.still()
		b.do(chromedp.Evaluate[chromedp.Void](tc.breaks))
		b.frame()
		found = append(append(found, b.still()...), b.fitsAll(false)...)
		if said := strings.Join(found, "\n"); tc.found == "" && said != "" || !strings.Contains(said, tc.found) {
			t.Errorf("%s: found %q, want %q", tc.name, said, tc.found)
		}
	}
}

// TestLongWords fills pages with the longest of everything, in words that have no place to break.
func TestLongWords(t *testing.T) {
	t.Parallel()
	long := func(letter string, n int) string { return strings.Repeat(letter, n) }
	host := long("h", 60) + "." + long("o", 60) + ".localhost"
	s := start(t, rig.Config{Caddyfile: strings.Replace(rig.Gated, "http://localhost:", "http://"+host+":", 1)})
	alice := addUser(t, s, long("a", 64))
	b := openIn(t, strings.Replace(s.URL, "localhost", host, 1), chromedp.WithNewBrowserContext())
	b.visit("/")
	b.sees("Sign in")
	b.fill("Username or email", alice.Name)
	b.shoot("long-login")
	b.begins(alice)
	b.press("I've saved my codes")
	b.sees("Example app")
	b.visit("/.mfa/security")
	b.unfold("Authenticator app", "Rename")
	b.name("Authenticator app", long("w", 64))
	b.within("Authenticator app", "Save")
	b.sees("Enter your code")
	b.shoot("long-code")
	b.fill("Code", code(t, alice.Phone))
	b.press("Verify")
	b.sees("Security")
	b.reveal("Change display name")
	b.fill("Display name", long("d", 128))
	b.sends("name")
	b.reads(long("d", 128))
	b.shoot("long-security")
}
