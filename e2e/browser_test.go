package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
)

// action is a step in a tab that returns nothing.
type action = chromedp.Action[chromedp.Void]

// command makes an action of a protocol command.
func command[P, R any](c cdp.Command[P, R], params P) action {
	return func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, t, c, params)
		return chromedp.Void{}, err
	}
}

// tab is a browser profile of its own with one page. Whatever the browser complains of, and every request that leaves the site,
// fails the test.
type tab struct {
	t     *testing.T
	ctx   context.Context
	close func()
	base  string
	also  []string // other sites that the journey leads to

	injected   []string // scripts at the begin of every page
	unscripted bool     // no others run

	mu       sync.Mutex
	requests []string
	method   string         // of the request that brought the page
	form     string         // what it sent
	pages    []string       // those of requests that are for a page, and not for what it shows
	finished int            // requests that were answered whole
	bytes    float64        // received for these, headers included
	problems []string       // what the browser complained of
	expected *regexp.Regexp // complaints that the journey provokes
}

// open opens a tab of a new profile for the server's site.
func open(t *testing.T, s *rig.Server) *tab {
	t.Helper()
	return openIn(t, s.URL, chromedp.WithNewBrowserContext())
}

// openIn opens a tab of a profile for the site at base.
func openIn(t *testing.T, base string, profile chromedp.ContextOption) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(chromium, profile)
	t.Cleanup(cancel)
	b := &tab{t: t, ctx: ctx, close: cancel, base: base}
	if err := chromedp.Listen(ctx, b.listen); err != nil {
		t.Fatal(err)
	}
	b.do(
		command(network.Enable, network.EnableParams{}),
		command(log.Enable, cdp.Empty{}),
		command(runtime.Enable, cdp.Empty{}),
		// Journeys run side by side; each behaves as if its window were in front.
		command(emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true}),
		window(false),
	)
	b.inject(watch)
	t.Cleanup(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, url := range b.requests {
			if !b.at(url, "/") && !strings.HasPrefix(url, "data:") && !strings.HasPrefix(url, "blob:"+base+"/") {
				t.Errorf("a request to somewhere else: %s", url)
			}
		}
		for _, p := range b.problems {
			if b.expected == nil || !b.expected.MatchString(p) {
				t.Errorf("the browser complained: %s", p)
			}
		}
	})
	return b
}

// at reports whether an address is below path on one of the tab's sites.
func (b *tab) at(url, path string) bool {
	for _, base := range append([]string{b.base}, b.also...) {
		if strings.HasPrefix(url, base+path) {
			return true
		}
	}
	return false
}

func (b *tab) listen(ev any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch ev := ev.(type) {
	case *network.EventRequestWillBeSent:
		b.requests = append(b.requests, ev.Request.URL)
		if ev.Type == network.ResourceTypeDocument {
			b.method, b.form = ev.Request.Method, ""
			for _, part := range ev.Request.PostDataEntries {
				b.form += string(part.Bytes)
			}
			b.pages = append(b.pages, ev.Request.URL)
		}
		if ev.RedirectResponse != nil { // ends the request that led here
			b.finished++
			b.bytes += ev.RedirectResponse.EncodedDataLength
		}
	case *network.EventLoadingFinished:
		b.finished++
		b.bytes += ev.EncodedDataLength
	case *runtime.EventExceptionThrown:
		problem := "exception: " + ev.ExceptionDetails.Text + " " + ev.ExceptionDetails.URL
		if what := ev.ExceptionDetails.Exception; what != nil {
			problem += " " + what.Description
		}
		b.problems = append(b.problems, problem)
	case *runtime.EventConsoleAPICalled:
		if ev.Type == runtime.ConsoleAPICalledTypeError || ev.Type == runtime.ConsoleAPICalledTypeWarning {
			for _, arg := range ev.Args {
				b.problems = append(b.problems, fmt.Sprintf("console: %s %s", arg.Value, arg.Description))
			}
		}
	case *log.EventEntryAdded:
		// A page of the portal that refuses an answer has a status that Chromium logs as an error.
		refused := ev.Entry.Source == log.EntrySourceNetwork && b.at(ev.Entry.URL, "/.mfa/") && !strings.Contains(ev.Entry.URL, "/static/")
		if !refused && (ev.Entry.Level == log.EntryLevelError || ev.Entry.Level == log.EntryLevelWarning) {
			b.problems = append(b.problems, ev.Entry.Text+" "+ev.Entry.URL)
		}
	}
}

// patience is how long a page may take to do something.
const patience = 30 * time.Second

// do runs actions and fails the test with what the page shows.
func (b *tab) do(steps ...action) {
	b.t.Helper()
	run(b, chromedp.Steps(steps...))
}

// run runs an action that returns something.
func run[T any](b *tab, a chromedp.Action[T]) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, a)
	if err != nil {
		b.t.Fatalf("%v\n%s", err, b.state())
	}
	return v
}

// state is where the tab is and what the page says.
func (b *tab) state() string {
	ctx, cancel := context.WithTimeout(b.ctx, 5*time.Second)
	defer cancel()
	said, err := chromedp.Run(ctx, chromedp.Evaluate[string](`location.href + ": " + (document.body ? document.body.innerText : "")`))
	if err != nil {
		return err.Error()
	}
	return said
}

// load runs actions that lead to another page, waits for it, and returns its status.
func (b *tab) load(steps ...action) int64 {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	resp, err := chromedp.RunResponse(ctx, steps...)
	if err != nil {
		b.t.Fatalf("%v\n%s", err, b.state())
	}
	if resp == nil { // only the fragment changed
		return 0
	}
	return resp.Status
}

// visit opens a path or URL. Where that is a link whose token goes off by itself, visit waits for the page that it leads to.
func (b *tab) visit(path string) {
	b.t.Helper()
	if strings.HasPrefix(path, "/") {
		path = b.base + path
	}
	b.load(chromedp.Navigate(path))
	if strings.Contains(path, "/.mfa/") && strings.Contains(path, "#") {
		b.do(chromedp.WaitReady(`//body[not(.//form[@data-token="auto" and @aria-busy])]`))
	}
}

// press presses the button that says words, which leads to another page.
func (b *tab) press(words string) int64 {
	b.t.Helper()
	return b.load(chromedp.Click(button(words), chromedp.NodeVisible))
}

// follow follows the link that says words.
func (b *tab) follow(words string) {
	b.t.Helper()
	b.load(chromedp.Click(fmt.Sprintf(`//a[normalize-space()=%q]`, words), chromedp.NodeVisible))
}

// fill puts text into the field with that label, in place of what was there, all at once: codes that are typed digit by digit go off by
// themselves (typed).
func (b *tab) fill(label, text string) {
	b.t.Helper()
	b.do(
		chromedp.Focus(field(label)),
		chromedp.Evaluate[chromedp.Void](`document.activeElement.select()`),
		command(input.InsertText, input.InsertTextParams{Text: text}),
	)
}

// sees fails the test unless the page's heading is words.
func (b *tab) sees(words string) {
	b.t.Helper()
	b.do(chromedp.WaitVisible(fmt.Sprintf(`//h1[normalize-space()=%q]`, words)))
}

// reads fails the test unless the page says words somewhere.
func (b *tab) reads(words string) {
	b.t.Helper()
	if text := b.text("body"); !strings.Contains(text, words) {
		b.t.Errorf("the page does not say %q: %s", words, b.state())
	}
}

// text is what the first element of a CSS selector shows.
func (b *tab) text(selector string) string {
	b.t.Helper()
	return strings.TrimSpace(run(b, chromedp.Text(chromedp.CSS(selector))))
}

// eval runs a script in the page and waits for its promise.
func eval[T any](b *tab, script string) T {
	b.t.Helper()
	return run(b, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
}

// location is the address of the page, fragment included.
func (b *tab) location() string {
	b.t.Helper()
	return eval[string](b, "location.href")
}

// qr reads the secret off the picture that the page shows.
func (b *tab) qr() *rig.Authenticator {
	b.t.Helper()
	picture := run(b, chromedp.ScreenshotScale(chromedp.CSS(`img[alt="QR code"]`), 2))
	a, key, err := rig.ReadQR(picture)
	if err != nil {
		b.t.Fatal(err)
	}
	if key.Type() != "totp" || key.Issuer() == "" || key.AccountName() == "" {
		b.t.Errorf("the QR code says %s: want a totp key with issuer and account", key.Type())
	}
	return a
}

func button(words string) string {
	return fmt.Sprintf(`//button[normalize-space()=%q][not(ancestor-or-self::*[@hidden])]`, words)
}

func field(label string) string {
	return fmt.Sprintf(`//*[@id=//label[normalize-space()=%q]/@for]`, label)
}

// window makes the page as wide as on a small phone, or on a desktop.
func window(phone bool) action {
	p := emulation.SetDeviceMetricsOverrideParams{Width: 1100, Height: 800, DeviceScaleFactor: 1}
	if phone {
		p = emulation.SetDeviceMetricsOverrideParams{Width: 360, Height: 740, DeviceScaleFactor: 2, Mobile: true}
	}
	return command(emulation.SetDeviceMetricsOverride, p)
}

// scheme makes the page light or dark.
func scheme(dark bool) action {
	value := "light"
	if dark {
		value = "dark"
	}
	return command(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: value}},
	})
}

// sound is what every page must be; each complaint is a line.
const sound = `(() => {
	const bad = [];
	if (!document.documentElement.lang) bad.push("no language");
	if (!document.title) bad.push("no title");
	if (document.querySelectorAll("h1").length !== 1) bad.push("not one h1");
	if (!document.querySelector("main")) bad.push("no main landmark");
	for (const f of document.querySelectorAll("input:not([type=hidden]), textarea, select")) {
		if (!f.labels.length) bad.push("field without label: " + f.name);
		if (parseFloat(getComputedStyle(f).fontSize) < 16 && f.type !== "checkbox") bad.push("field that makes phones zoom: " + f.name);
	}
	for (const i of document.images) if (!i.alt || !i.naturalWidth) bad.push("image without words or pixels: " + i.src.slice(0, 40));
	const ids = [...document.querySelectorAll("[id]")].map(e => e.id);
	for (const id of new Set(ids)) if (ids.filter(i => i === id).length > 1) bad.push("id used twice: " + id);
	if (document.documentElement.scrollWidth > innerWidth) bad.push("wider than the window: " + document.documentElement.scrollWidth);
	return bad;
})()`

// looks are how every page is photographed; a foreign one is that of somebody whose browser asks for Arabic.
var looks = []struct {
	name                 string
	phone, dark, foreign bool
}{{name: "light"}, {name: "dark", dark: true}, {name: "phone", phone: true}, {name: "arabic", foreign: true}}

// shoot leaves a picture of the page in each look in out, and checks what every page must be there; axe-core finds nothing. again does in
// another tab what neither opening the page nor sending its form once more would: see inArabic.
func (b *tab) shoot(name string, again ...func(*tab)) {
	b.t.Helper()
	p := b.remember(name)
	b.tree(p)
	for _, look := range looks {
		seen, end := b, func() {}
		if look.foreign && !p.ours {
			continue
		}
		if look.foreign {
			seen, end = b.inArabic(p, again)
		}
		seen.do(window(look.phone), scheme(look.dark))
		// Colours fade over. A tab that is not looked at may draw no frame for a while, so they are not waited for.
		eval[bool](seen, `document.getAnimations().every(a => { try { a.finish() } catch {} return true })`)
		checks := sound
		if look.phone {
			checks += ".concat(" + targets + ")"
		}
		which := every
		if look.dark {
			which = colours
		}
		bad := append(eval[[]string](seen, checks), seen.violations(which)...)
		seen.picture(name + "-" + look.name)
		bad = append(bad, seen.still()...) // until a picture was taken there may be no frame
		if !look.phone && !look.dark {
			bad = append(bad, seen.fitsAll(look.foreign)...)
		}
		for _, line := range bad {
			b.t.Errorf("page %s, %s: %s", name, look.name, line)
		}
		end()
	}
	b.do(window(false), scheme(false))
}

// picture leaves a picture of the page in out.
func (b *tab) picture(name string) {
	b.t.Helper()
	// Beyond the window Chromium takes pages from right to left that fit into it from the wrong place.
	beyond := eval[bool](b, `document.documentElement.scrollHeight > innerHeight`)
	taken := run(b, screenshot(page.CaptureScreenshotParams{CaptureBeyondViewport: &beyond}))
	if err := os.WriteFile(filepath.Join(out, name+".png"), taken, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// screenshot takes a picture, of twice the bytes that it could have, in half the time.
func screenshot(p page.CaptureScreenshotParams) chromedp.Action[[]byte] {
	p.OptimizeForSpeed = new(true)
	return func(ctx context.Context, t *chromedp.Target) ([]byte, error) {
		r, err := cdp.Call(ctx, t, page.CaptureScreenshot, p)
		return r.Data, err
	}
}

// frame waits until the page was drawn as it is now.
func (b *tab) frame() {
	b.t.Helper()
	run(b, aFrame)
}

var aFrame = screenshot(page.CaptureScreenshotParams{Clip: &page.Viewport{Width: 1, Height: 1, Scale: 1}})

// targets are the controls that a finger may miss (WCAG 2.2, success criterion 2.5.8): smaller than 24 by 24 CSS pixels, and so close to another
// that circles of that diameter around both meet. Links in a sentence are as high as its lines; what a label belongs to is as large as both.
const targets = `(() => {
	const shown = e => e.checkVisibility() && e.getClientRects().length;
	const inline = e => e.tagName === "A" && getComputedStyle(e).display === "inline" && [...e.parentElement.childNodes].some(n => n.nodeType === 3 && n.data.trim());
	const all = [...document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex]")].filter(shown).map(e => {
		const boxes = [e, ...(e.type === "checkbox" || e.type === "radio" ? e.labels : [])].map(x => x.getBoundingClientRect());
		const left = Math.min(...boxes.map(x => x.left)), top = Math.min(...boxes.map(x => x.top));
		const w = Math.max(...boxes.map(x => x.right)) - left, h = Math.max(...boxes.map(x => x.bottom)) - top;
		return { e, w, h, left, top, x: left + w / 2, y: top + h / 2, small: w < 24 || h < 24 };
	});
	const near = (a, b) => b.small ? Math.hypot(a.x - b.x, a.y - b.y) < 24
		: Math.hypot(a.x - Math.max(b.left, Math.min(a.x, b.left + b.w)), a.y - Math.max(b.top, Math.min(a.y, b.top + b.h))) < 12;
	return all.filter(a => a.small && !inline(a.e)).filter(a => all.some(b => a.e !== b.e && !a.e.contains(b.e) && !b.e.contains(a.e) && near(a, b)))
		.map(a => "too small and too close to another target: " + Math.round(a.w) + "x" + Math.round(a.h) + " " + (a.e.innerText || a.e.name || a.e.id));
})()`
