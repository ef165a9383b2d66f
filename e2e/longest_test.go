package e2e

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
)

// longest is a script that puts into an English page, in place of each of its texts, the translation whose longest word is longest, and returns
// what takes them back. Arabic and Japanese are left out: the one has pictures of its own, the other breaks anywhere.
var longest = sync.OnceValues(func() (string, error) {
	texts := map[string]map[string]any{}
	for _, tag := range []string{"en", "de", "es", "fr", "pt"} {
		file, err := os.ReadFile("../loginui/words/" + tag + ".json")
		if err != nil {
			return "", err
		}
		var all map[string]any
		if err := json.Unmarshal(file, &all); err != nil {
			return "", err
		}
		texts[tag] = all
	}
	forms := func(text any) map[string]any {
		if plural, ok := text.(map[string]any); ok {
			return plural
		}
		return map[string]any{"other": text}
	}
	var all [][3]string // a pattern, what stands in for what it matches, and the id if it is of a heading
	for id, english := range texts["en"] {
		for form, text := range forms(english) {
			english := fmt.Sprint(text)
			best := ""
			for _, tag := range []string{"de", "es", "fr", "pt"} {
				if other, ok := forms(texts[tag][id])[form]; ok && widest(fmt.Sprint(other)) > widest(best) {
					best = fmt.Sprint(other)
				}
			}
			if best == "" || strings.HasPrefix(english, "{{") { // which would match anything
				continue
			}
			pattern := regexp.QuoteMeta(english)
			pattern = strings.ReplaceAll(pattern, "/", `\/`)
			pattern = regexp.MustCompile(`\\\{\\\{\\\.(\w+)\\\}\\\}`).ReplaceAllString(pattern, `(?<$1>.+)`)
			title := ""
			if strings.Contains(id, ".title") {
				title = id
			}
			all = append(all, [3]string{"^" + pattern + "$", value.ReplaceAllStringFunc(strings.ReplaceAll(best, "$", "$$$$"), func(v string) string { return "$<" + v[3:len(v)-2] + ">" }), title})
		}
	}
	// Of texts that are the same in English, the longer one.
	slices.SortFunc(all, func(a, b [3]string) int {
		return cmp.Or(widest(b[1])-widest(a[1]), strings.Compare(a[0]+a[1], b[0]+b[1]))
	})
	list, err := json.Marshal(all)
	if err != nil {
		return "", err
	}
	return `(list => {
		const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), was = [];
		while (walk.nextNode()) {
			const n = walk.currentNode, text = n.data.trim().replace(/[\u2066-\u2069]/g, "");
			const [pattern, instead] = text && list.find(([pattern, , title]) => !title === !n.parentElement.closest("h1") && pattern.test(text)) || [];
			if (!pattern) continue;
			was.push([n, n.data]);
			n.data = text.replace(pattern, instead);
		}
		window.back = () => was.forEach(([n, data]) => n.data = data);
		return was.length;
	})(` + string(list) + `.map(([pattern, ...rest]) => [new RegExp(pattern), ...rest]))`, nil
})

// widest is how many letters the longest word of text has.
func widest(text string) (n int) {
	for _, word := range strings.FieldsFunc(value.ReplaceAllString(text, ""), func(r rune) bool { return strings.ContainsRune(" -\u00a0\u00ad\u202f", r) }) {
		n = max(n, len([]rune(word)))
	}
	return n
}

// fitsLongest tries the page with the longest words of all languages, in a window as narrow as there is.
func (b *tab) fitsLongest() (bad []string) {
	b.t.Helper()
	script, err := longest()
	if err != nil {
		b.t.Fatal(err)
	}
	if n := eval[int](b, script); n == 0 {
		return []string{"no text of the page is known"}
	}
	b.do(command(emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: 320, Height: 640, DeviceScaleFactor: 1}))
	for _, line := range eval[[]string](b, fits) {
		bad = append(bad, "longest words: "+line)
	}
	b.do(chromedp.Evaluate[chromedp.Void](`back()`))
	return bad
}

// TestLongestWords: the longest words of all languages are put into a page, and taken out again.
func TestLongestWords(t *testing.T) {
	t.Parallel()
	b := open(t, start(t, rig.Config{}))
	b.visit("/")
	b.sees("Sign in")
	script, err := longest()
	if err != nil {
		t.Fatal(err)
	}
	before := b.text("main")
	if n := eval[int](b, script); n < 5 {
		t.Errorf("%d texts have others in their place", n)
	}
	b.reads("Nom d’utilisateur ou adresse e-mail")
	b.do(chromedp.Evaluate[chromedp.Void](`back()`))
	if after := b.text("main"); after != before {
		t.Errorf("the page says %q, want %q", after, before)
	}
}
