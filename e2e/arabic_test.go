package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// inArabic opens the page of the tab beside it, in the same profile and the same state, as somebody whose browser asks for Arabic. A page that
// answers a form is that answer to the form, which is sent once more; again brings about what neither does.
func (b *tab) inArabic(p *photo, again []func(*tab)) (seen *tab, end func()) {
	b.t.Helper()
	url, _, _ := strings.Cut(b.location(), "#")
	method, form := b.brought()
	seen = b.beside()
	seen.also, seen.expected = b.also, b.expected
	for _, script := range b.injected {
		seen.inject(script)
	}
	seen.scripts(!b.unscripted)
	seen.do(command(network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: arabic}), window(true))
	seen.scriptsLate()
	back := b.chosenLanguage("ar")
	switch {
	case len(again) > 0:
		again[0](seen)
	case method == http.MethodGet:
		seen.visit(url)
	default:
		seen.posts(url, form)
	}
	seen.frame() // a window that changes its size excuses what moves in the same frame
	for _, line := range seen.still() {
		b.t.Errorf("page %s in Arabic, with scripts that come late: %s", p.Name, line)
	}
	eval[bool](seen, fmt.Sprintf(bringsTo, eval[string](b, handled)))
	seen.frame()
	seen.still() // what moved by this
	if lang := eval[string](seen, `document.documentElement.lang`); !strings.HasPrefix(lang, "ar") {
		b.t.Errorf("page %s in Arabic is in %q", p.Name, lang)
	}
	if at, _, _ := strings.Cut(seen.location(), "#"); at != url {
		b.t.Errorf("page %s in Arabic is at %s, want %s", p.Name, at, url)
	}
	if got, want := eval[[]string](seen, shape), eval[[]string](b, shape); !slices.Equal(got, want) {
		b.t.Errorf("page %s in Arabic has\n%q, want\n%q", p.Name, got, want)
	}
	said, want := eval[[]string](seen, sayings), eval[[]string](b, sayings)
	if len(said) != len(want) {
		b.t.Errorf("page %s in Arabic says %q, want what %q says", p.Name, said, want)
	}
	english := strings.HasPrefix(eval[string](b, `document.documentElement.lang`), "en") // else nothing here knows what its words mean
	for i := range min(len(said), len(want)) {
		if english && !b.translates(want[i], said[i]) {
			b.t.Errorf("page %s in Arabic says %q, want what %q says", p.Name, said[i], want[i])
		}
	}
	for _, line := range eval[[]string](seen, disordered) {
		b.t.Errorf("page %s in Arabic: %s", p.Name, line)
	}
	if english {
		seen.readsLike(b, p.Name+" in Arabic")
	}
	return seen, func() { back(); seen.close() }
}

// brought is the method of the request that brought the page, and the form that it sent.
func (b *tab) brought() (method, form string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.method, b.form
}

// posts sends a form of the portal to an address, from another of its pages.
func (b *tab) posts(url, form string) {
	b.t.Helper()
	b.visit(url[:strings.Index(url, "/.mfa/")] + "/.mfa/nothing")
	b.load(chromedp.Evaluate[chromedp.Void](fmt.Sprintf(sendsAgain, url, form)))
}

var arabic = network.Headers{"Accept-Language": "ar"}

const (
	// sendsAgain sends a form to an address.
	sendsAgain = `((to, fields) => {
		const form = Object.assign(document.createElement("form"), { method: "post", action: to });
		for (const [name, value] of new URLSearchParams(fields)) form.append(Object.assign(document.createElement("input"), { type: "hidden", name, value }));
		document.body.append(form);
		form.submit();
	})(%q, %q)`

	// handled is what a person did on the page: fields that were filled in, and what was opened or shown. bringsTo does the same.
	handled = `JSON.stringify({
		fields: [...document.querySelectorAll("input:not([type=hidden]), select")].map(e => [e.id, e.checked, e.value]),
		open: [...document.querySelectorAll("details")].map(e => e.open),
		shown: [...document.querySelectorAll("[data-peek][aria-pressed=true]")].map(e => e.dataset.peek),
	})`
	bringsTo = `(({ fields, open, shown }) => {
		for (const [id, checked, value] of fields) { const e = document.getElementById(id); if (e) { e.value = value; e.checked = checked; } }
		document.querySelectorAll("details").forEach((e, i) => e.open = open[i]);
		for (const id of shown) document.querySelector("[data-peek=" + id + "]").click();
		return true;
	})(%s)`

	// disordered is what stands in another order than it is written in, on a page from right to left: values in Latin letters or digits that nothing
	// sets apart from what is beside them, or from their own first and last mark; and, as they are seen, those that nothing keeps in line. What a
	// text of ours holds is the translator's to order, so what is between two values and the marks that part them counts only without Arabic in it.
	disordered = `(() => {
		const bad = [], style = e => getComputedStyle(e), plain = s => s.replace(/[\u2066-\u2069\u200e\u200f]/g, "").trim();
		for (const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT); walk.nextNode();) {
			let box = walk.currentNode.parentElement, text = walk.currentNode.data;
			if (!box.checkVisibility({ visibilityProperty: true })) continue;
			while (style(box).display === "inline" && style(box).unicodeBidi === "normal") box = box.parentElement;
			for (let before; before !== text;) [before, text] = [text, text.replace(/[\u2066-\u2068][^\u2066-\u2069]*\u2069/g, "·")];
			for (const piece of text.split("·").map(plain)) {
				if (!/[a-z0-9]/i.test(piece) || /\p{Script=Arabic}/u.test(piece)) continue;
				if (piece !== plain(box.textContent)) bad.push("not set apart from what is beside it: " + piece);
				else if (style(box).direction === "rtl" && style(box).unicodeBidi !== "plaintext" && !/^[a-z0-9](.*[a-z0-9])?$/is.test(piece)) bad.push("its marks are at the wrong end: " + piece);
			}
		}
		for (const e of document.querySelectorAll("bdi + bdi, :is(strong, time) + bdi, bdi + time")) {
			const one = [...e.previousElementSibling.getClientRects()].at(-1), two = e.getClientRects()[0];
			if (one && two && style(e.parentElement).direction === "rtl" && one.top < two.bottom && two.top < one.bottom && one.left < two.right - 1) bad.push("to the right of what comes before it: " + e.textContent);
		}
		return bad;
	})()`

	// shape is what is on the page whatever the language, and sayings is what tells one state of it from another.
	shape   = `[...document.querySelectorAll("main *")].filter(e => !/^(BDI|STRONG|TIME|BR|OPTION)$/.test(e.tagName) && e.checkVisibility({ visibilityProperty: true })).map(e => e.tagName.toLowerCase() + (e.id && "#" + e.id))`
	sayings = `[...document.querySelectorAll("h1, [role=alert], [role=status] p, p[role=status]")].filter(e => e.checkVisibility({ visibilityProperty: true }) && e.innerText.trim()).map(e => e.innerText.trim())`
)

// chosenLanguage puts another language in place of one that was chosen at the foot of a page, until back.
func (b *tab) chosenLanguage(tag string) (back func()) {
	b.t.Helper()
	for _, c := range run(b, func(ctx context.Context, t *chromedp.Target) (network.GetCookiesResult, error) {
		return cdp.Call(ctx, t, network.GetCookies, network.GetCookiesParams{})
	}).Cookies {
		if !strings.HasSuffix(c.Name, "mfa-lang") {
			continue
		}
		set := func(value string) {
			b.do(func(ctx context.Context, t *chromedp.Target) (v chromedp.Void, err error) {
				_, err = cdp.Call(ctx, t, network.SetCookie, network.SetCookieParams{Name: c.Name, Value: value, URL: b.location(), Path: c.Path, Secure: new(c.Secure), HTTPOnly: new(c.HTTPOnly), SameSite: c.SameSite})
				return v, err
			})
		}
		set(tag)
		return func() { set(c.Value) }
	}
	return func() {}
}

// translation holds what each text of the portal may look like on a page, in English and in Arabic.
var translation = sync.OnceValues(func() (all [][2]*regexp.Regexp, err error) {
	var texts [2]map[string]any
	for i, tag := range []string{"en", "ar"} {
		file, err := os.ReadFile("../loginui/words/" + tag + ".json")
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(file, &texts[i]); err != nil {
			return nil, err
		}
	}
next:
	for id := range texts[0] {
		var looks [2]*regexp.Regexp
		for i, of := range texts {
			forms, ok := of[id].(map[string]any) // of a plural
			if !ok {
				forms = map[string]any{"other": of[id]}
			}
			var alternatives []string
			for _, form := range forms {
				parts := value.Split(marks.Replace(fmt.Sprint(form)), -1)
				for i := range parts {
					parts[i] = regexp.QuoteMeta(parts[i])
				}
				alternatives = append(alternatives, strings.Join(parts, ".+"))
			}
			if slices.ContainsFunc(alternatives, func(a string) bool { return !wordly.MatchString(a) }) {
				continue next // a value alone, which would match anything
			}
			if looks[i], err = regexp.Compile("^(?s:" + strings.Join(alternatives, "|") + ")"); err != nil {
				return nil, err
			}
		}
		all = append(all, looks)
	}
	return all, nil
})

var (
	wordly = regexp.MustCompile(`\pL`)
	value  = regexp.MustCompile(`\{\{\.\w+\}\}`)
	// marks say which way what follows is written; none of them is seen.
	marks = strings.NewReplacer("\u2066", "", "\u2067", "", "\u2068", "", "\u2069", "", "\u200e", "", "\u200f", "", "\u00a0", " ")
)

// translates reports whether what a page says in Arabic begins as the translation of what it says in English; what is no text of ours, such as
// somebody's name, is the same in both, and may stand in front of a text that is.
func (b *tab) translates(english, arabic string) bool {
	b.t.Helper()
	if b.translatesWhole(english, arabic) {
		return true
	}
	name, text, _ := strings.Cut(english, " ")
	for text != "" {
		rest, same := strings.CutPrefix(arabic, name+" ")
		if same && b.translatesWhole(text, rest) {
			return true
		}
		word, after, _ := strings.Cut(text, " ")
		name, text = name+" "+word, after
	}
	return false
}

func (b *tab) translatesWhole(english, arabic string) bool {
	b.t.Helper()
	all, err := translation()
	if err != nil {
		b.t.Fatal(err)
	}
	english, arabic = marks.Replace(english), marks.Replace(arabic)
	known := false
	for _, looks := range all {
		if !looks[0].MatchString(english) {
			continue
		}
		if looks[1].MatchString(arabic) {
			return true
		}
		known = known || !strings.HasPrefix(looks[0].String(), "^(?s:.+") // which matches much that it does not mean
	}
	return !known && steady(english) == steady(arabic)
}
