package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"golang.org/x/text/language"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
	"github.com/caddy-mfa/caddy-mfa/internal/words"
	"github.com/caddy-mfa/caddy-mfa/internal/words/wordstest"
)

// TestDatesByCLDR compares what we write with what the browser does, which carries CLDR: dates of pages and mails, plural forms, numbers and
// lists, in each language that there is. English dates are those of the world beside the USA (en-GB).
func TestDatesByCLDR(t *testing.T) {
	t.Parallel()
	b := open(t, start(t, rig.Config{}))
	b.visit("/")
	var moments []time.Time
	for month := range 12 {
		moments = append(moments, time.Date(2026, time.Month(month+1), 1+2*month, (month*5)%24, 7*month%60, 0, 0, time.UTC))
	}
	moments = append(moments, time.Date(2028, 2, 29, 0, 0, 0, 0, time.UTC), time.Date(2026, 12, 31, 12, 0, 0, 0, time.UTC), time.Date(2026, 12, 31, 23, 59, 0, 0, time.UTC))
	for _, style := range []struct{ dir, date string }{{"../loginui", "medium"}, {"../internal/mail", "long"}} {
		c, err := words.Load(os.DirFS(style.dir), "words")
		if err != nil {
			t.Fatal(err)
		}
		if len(c.Languages()) < 2 {
			t.Errorf("%s has %d languages", style.dir, len(c.Languages()))
		}
		for _, l := range c.Languages() {
			locale := strings.Replace(l.Tag, "en", "en-GB", 1)
			for n := 3; n < 6 && style.date == "medium"; n++ { // of two, Japanese parts names that hold an "or" of their own
				want := eval[string](b, fmt.Sprintf(`new Intl.ListFormat(%q, {type: "disjunction"}).format("ABCDE".slice(0, %d).split(""))`, locale, n))
				if got := strings.NewReplacer("\u2068", "", "\u2069", "").Replace(l.Either(strings.Split("ABCDE"[:n], ""))); got != want {
					t.Errorf("%s: %q, and the browser lists %q", l.Tag, got, want)
				}
			}
			for _, at := range moments {
				want := eval[string](b, fmt.Sprintf(`new Intl.DateTimeFormat(%q, {dateStyle: %q, timeStyle: "short", timeZone: "UTC"}).format(new Date(%d))`, locale, style.date, at.UnixMilli()))
				if got := l.Moment(at); got != want {
					t.Errorf("%s, %s: %q, and the browser writes %q", style.dir, l.Tag, got, want)
				}
			}
		}
	}
	// Below a thousand, more is counted nowhere; and a million, for which some have a form of its own.
	files, err := filepath.Glob("../loginui/words/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		tag := strings.TrimSuffix(filepath.Base(file), ".json")
		want := eval[[]string](b, fmt.Sprintf(`(() => { const p = new Intl.PluralRules(%q); return Array.from({length: 1001}, (_, n) => p.select(n < 1000 ? n : 1e6)) })()`, tag))
		for n := range want {
			if n == 1000 {
				n = 1e6
			}
			if got := wordstest.Form(language.MustParse(tag), n); got != want[min(n, 1000)] {
				t.Errorf("%s: %d is %s, and for the browser %s", tag, n, got, want[min(n, 1000)])
			}
		}
		if wrong := eval[string](b, fmt.Sprintf(`(() => { const f = new Intl.NumberFormat(%q); return Array.from({length: 1000}, (_, n) => n).filter((n) => f.format(n) !== String(n)).join() })()`, tag)); wrong != "" {
			t.Errorf("%s has digits of its own: %s", tag, wrong)
		}
	}
}

// TestLanguage: somebody whose browser asks for German signs in, changes to English and back at the foot of a page, also of one that says
// what was wrong, and loses nothing by it.
func TestLanguage(t *testing.T) {
	t.Parallel()
	s := start(t, rig.Config{})
	alice, _ := enrolled(t, s, "alice")
	b := open(t, s)
	lang := func() string {
		return eval[string](b, `document.documentElement.lang + " " + document.querySelector("footer summary").innerText.trim()`)
	}
	b.visit("/reports?q=1")
	if got := lang(); got != "en English" {
		t.Fatalf("these journeys are in %q", got)
	}
	b.do(command(network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: network.Headers{"Accept-Language": "de-CH, fr;q=0.5"}}))
	b.visit("/reports?q=1")
	b.sees("Anmelden")
	b.shoot("login-german")
	b.fill("Benutzername oder E-Mail", alice.Name)
	b.fill("Passwort", alice.Password)
	b.press("Anmelden")
	b.sees("Geben Sie Ihren Code ein")
	choose := func(name string) {
		eval[bool](b, `document.querySelector("footer details").open = true`)
		b.press(name)
	}
	choose("English")
	b.sees("Enter your code")
	b.fill("Code", "000000")
	b.press("Verify")
	b.reads("That code is not right.")
	choose("Deutsch") // from a page that answered a form
	b.sees("Geben Sie Ihren Code ein")
	if got := lang(); got != "de Deutsch" {
		t.Errorf("the page is in %q", got)
	}
	b.do(chromedp.Click(chromedp.CSS("footer summary"), chromedp.NodeVisible))
	b.shoot("languages")
	b.fill("Code", code(t, alice.Phone))
	b.press("Prüfen")
	b.sees("Example app")
	if at := b.location(); !strings.HasSuffix(at, "/reports?q=1") {
		t.Errorf("led to %s", at)
	}
	b.visit("/.mfa/security")
	b.sees("Sicherheit")
	b.shoot("security-german")
	if cookies := eval[string](b, `document.cookie`); strings.Contains(cookies, "mfa") {
		t.Errorf("a script reads %q", cookies)
	}
	if times := eval[[]string](b, `Array.from(document.querySelectorAll("time"), (t) => t.textContent)`); len(times) == 0 ||
		slices.ContainsFunc(times, func(s string) bool { return !strings.Contains(s, ".20") }) {
		t.Errorf("times are %q", times)
	}
}
