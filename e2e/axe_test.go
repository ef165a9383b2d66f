package e2e

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
)

// axe is a script that puts axe-core (Deque's accessibility checks) into a page, past the page's policy. Its timers, of which it
// has only those that mean "next", are promises: these also run in a browser that runs no scripts of pages.
var axe = sync.OnceValues(func() (string, error) {
	text, err := os.ReadFile("../tools/axe/node_modules/axe-core/axe.min.js")
	if err != nil {
		return "", fmt.Errorf("%w; tools/setup installs it", err)
	}
	return `(setTimeout => {` + string(text) + "\n})(f => { Promise.resolve().then(f) })", nil
})

// rules runs rules over the whole page; each violation is a line, with what was measured. Style sheets are not fetched once more, which the
// policy would refuse.
const rules = `axe.run(document, {
	runOnly: %s,
	resultTypes: ["violations"],
	preload: false,
}).then(found => {
	if (!found.passes.length) return ["no rule of axe-core passes"];
	return found.violations.flatMap(rule => rule.nodes.map(node =>
		(rule.id + ": " + rule.help + ": " + node.target.join(" ") + ": " + node.failureSummary).replace(/\s+/g, " ")));
})`

const (
	// every rule is those for WCAG 2.2 A and AA, and for good practice.
	every = `["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]`
	// colours are the rules whose outcome depends on them, of a page that was looked at by every rule in other colours.
	colours = `["color-contrast", "link-in-text-block"]`
)

// violations is what axe-core finds wrong with the page as it looks now.
func (b *tab) violations(which string) []string {
	b.t.Helper()
	script, err := axe()
	if err != nil {
		b.t.Fatal(err)
	}
	if !eval[bool](b, `typeof axe === "object"`) {
		b.do(chromedp.Evaluate[chromedp.Void](script))
	}
	return eval[[]string](b, fmt.Sprintf(rules, which))
}

// TestViolationsAreFound breaks a page in ways that must not go unnoticed, in light and dark, with scripts and without.
func TestViolationsAreFound(t *testing.T) {
	t.Parallel()
	s := start(t, rig.Config{})
	b := open(t, s)
	for _, tc := range []struct {
		name          string
		scripts, dark bool
		breaks, found string // a script, and what is said of its deed
	}{
		{"nothing", true, false, `true`, ""},
		{"a label is missing", true, false, `document.querySelector("label[for=name]").remove()`, "label: Form elements must have labels: #name: "},
		{"a label is missing, without scripts", false, false, `document.querySelector("label[for=name]").remove()`, "label: Form elements must have labels: #name: "},
		{"pale on light", true, false, `document.querySelector("h1").style.color = "#aaa"`, "color contrast of 2.32 (foreground color: #aaaaaa, background color: #ffffff"},
		{"pale on dark", true, true, `document.querySelector("h1").style.color = "#555"`, "color contrast of 2.33 (foreground color: #555555, background color: #171a23"},
	} {
		b.scripts(tc.scripts)
		b.do(scheme(tc.dark)) // first, so that no colour is on its way
		b.visit("/")
		b.sees("Sign in")
		b.do(chromedp.Evaluate[chromedp.Void](tc.breaks))
		found := b.violations(every)
		if tc.found == "" && len(found) > 0 || tc.found != "" && (len(found) != 1 || !strings.Contains(found[0], tc.found)) {
			t.Errorf("%s: axe-core says %q, want %q", tc.name, found, tc.found)
		}
	}
}

// TestSmallTargetsAreFound puts targets beside others.
func TestSmallTargetsAreFound(t *testing.T) {
	t.Parallel()
	s := start(t, rig.Config{})
	b := open(t, s)
	for _, tc := range []struct{ name, adds, found string }{
		{"nothing", ``, ""},
		{"large ones", `<button>Yes</button><button>No</button>`, ""},
		{"small ones side by side", `<a href="/a" data-css="display: inline-block; width: 10px; height: 10px; overflow: hidden">a</a><a href="/b" data-css="display: inline-block; width: 10px; height: 10px; overflow: hidden">b</a>`, "10x10 a"},
		{"a small one with room around it", `<p data-css="padding: 50px"><a href="/a" data-css="display: inline-block; width: 10px; height: 10px; overflow: hidden">a</a></p>`, ""},
		{"links in a sentence", `<p>See <a href="/a">a</a>, <a href="/b">b</a>.</p>`, ""},
	} {
		b.visit("/")
		b.sees("Sign in")
		// Scripts may set styles that the policy refuses to markup.
		b.do(window(true), chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`(html => {
			const page = new DOMParser().parseFromString(html, "text/html");
			for (const e of page.querySelectorAll("[data-css]")) e.style.cssText = e.dataset.css;
			document.querySelector("main").append(...page.body.childNodes);
		})(%q)`, tc.adds)))
		found := strings.Join(eval[[]string](b, targets), "\n")
		if tc.found == "" && found != "" || !strings.Contains(found, tc.found) {
			t.Errorf("%s: found %q, want %q", tc.name, found, tc.found)
		}
	}
}
