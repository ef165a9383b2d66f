package loginui

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/internal/words/wordstest"
)

func TestLanguageOfAPage(t *testing.T) {
	r := newMailRig(t)
	for _, tt := range []struct{ name, chosen, accept, want string }{
		{"nothing said", "", "", "en"},
		{"the browser's", "", "de", "de"},
		{"a region of it", "", "de-CH", "de"},
		{"the first that there is", "", "tlh,de;q=0.8,en;q=0.5", "de"},
		{"by weight", "", "en;q=0.5,de;q=0.8", "de"},
		{"refused", "", "de;q=0, en", "en"},
		{"none that there is", "", "tlh", "en"},
		{"anything", "", "*", "en"},
		{"chosen", "de", "", "de"},
		{"chosen against the browser", "en", "de", "en"},
		{"chosen, and not there", "tlh", "de", "de"},
		{"chosen in another spelling", "DE", "", "en"},
		{"no tag", `"><script>`, "", "en"},
		{"a path", "../de", "", "en"},
		{"huge", strings.Repeat("de", 1<<15), "", "en"},
		{"no header", "", "\x00\xff;q=\x7f", "en"},
		{"a huge header", "", strings.Repeat("de-", 1<<15), "en"},
		{"many languages", "", strings.Repeat("tlh,", 1000) + "de", "en"},
		{"the first of many", "", "de," + strings.Repeat("tlh,", 1000), "de"},
	} {
		b := r.browser()
		b.cookies[auth.CookieLang] = tt.chosen
		b.headers["Accept-Language"] = tt.accept
		page := b.want(b.get("/.mfa/forgot"), 200, `<html lang="`+tt.want+`">`)
		if got := page.Header.Values("Content-Language"); !slices.Equal(got, []string{tt.want}) {
			t.Errorf("%s: Content-Language is %q", tt.name, got)
		}
		title := map[string]string{"en": "Forgot your password?", "de": "Passwort vergessen?"}[tt.want]
		if !strings.Contains(page.body, "<h1>"+title) || !strings.Contains(page.body, `value="`+tt.want+`" lang="`+tt.want+`" aria-current="true">`) {
			t.Errorf("%s: %s", tt.name, page.body)
		}
	}
}

func TestChooseLanguage(t *testing.T) {
	r := newMailRig(t)
	b := r.browser()
	a := b.want(b.post("/.mfa/language", "lang", "de", "back", "/.mfa/login?to=%2Fdeep"), 303, "/.mfa/login?to=%2Fdeep")
	if c := a.Cookies(); len(c) != 1 || c[0].Name != auth.CookieLang || c[0].Value != "de" || c[0].MaxAge != int((365*24*time.Hour).Seconds()) {
		t.Errorf("%v", c)
	}
	b.want(b.get("/.mfa/login"), 200, `<html lang="de">`, ">Passwort vergessen?</a>")
	b.want(b.post("/.mfa/login", "name", "alice", "password", "not the password"), 401, "Name und Passwort passen nicht zusammen.")
	b.want(b.get("/.mfa/nope"), 404, "Seite nicht gefunden")
	b.want(b.post("/.mfa/language", "lang", "en", "back", "/"), 303, "/")
	b.want(b.get("/.mfa/login"), 200, `<html lang="en">`)

	for _, lang := range []string{"", "tlh", "de-DE", "DE", "de\r\nSet-Cookie: x=y", strings.Repeat("x", 200), "../de", "en\x00"} {
		if a := b.post("/.mfa/language", "lang", lang, "back", "/"); a.StatusCode != http.StatusBadRequest || len(a.Cookies()) > 0 {
			t.Errorf("%q: %s, %v", lang, a.Status, a.Cookies())
		}
	}
	for _, back := range []string{
		"", "//evil.example/", "https://evil.example/", `/\evil.example`, "/\t/evil.example", "/a/../b", "/%2e%2e/", "javascript:alert(1)", "/a\r\nLocation: https://evil.example", "login",
		"///evil.example", "/.mfa/%00", " /a",
	} {
		if a := b.post("/.mfa/language", "lang", "de", "back", back); a.Header.Get("Location") != "/" || a.Header.Get("Refresh") != "" {
			t.Errorf("%q led to %q", back, a.Header.Get("Location"))
		}
	}
	for _, back := range []string{"/", "/app?q=1#x", "/.mfa/verify/totp", "/.mfa/security", "/.mfa/nope"} {
		b.want(b.post("/.mfa/language", "lang", "de", "back", back), 303, back)
	}
	if a := b.post("/.mfa/language", "lang", "de", "back", "/"+strings.Repeat("x", maxTarget)); a.StatusCode != http.StatusUnprocessableEntity || len(a.Cookies()) > 0 {
		t.Errorf("too long: %s", a.Status)
	}
}

// TestNobodyElseChooses: a form of another site changes nothing (S61), nor does a GET.
func TestNobodyElseChooses(t *testing.T) { // S61
	r := newRig(t)
	b := r.browser()
	for name, headers := range map[string]map[string]string{
		"another site":       {"Sec-Fetch-Site": "cross-site"},
		"a neighbour":        {"Sec-Fetch-Site": "same-site"},
		"another origin":     {"Origin": "https://evil.example"},
		"a browser of old":   {},
		"no origin that is":  {"Origin": "null"},
		"a GET from outside": {"Sec-Fetch-Site": "cross-site", "X-Method": "GET"},
	} {
		b.headers = headers
		var a answer
		if headers["X-Method"] == "GET" {
			a = b.want(b.get("/.mfa/language?lang=de&back=%2F"), 303, "/.mfa/security")
		} else {
			a = b.want(b.post("/.mfa/language", "lang", "de", "back", "/"), 403)
		}
		if len(a.Cookies()) > 0 {
			t.Errorf("%s: %v", name, a.Cookies())
		}
	}
}

// TestLanguageKeepsTheFlow: whoever changes the language in the middle of a sign-in goes on where they were, also after an error.
func TestLanguageKeepsTheFlow(t *testing.T) {
	r := newRig(t)
	first, _ := r.account()
	first.post("/.mfa/logout")
	b := r.browser()
	b.get("/.mfa/login")
	b.want(b.post("/.mfa/login", "name", "alice", "password", password, "to", "/deep"), 303, "/.mfa/verify/totp")
	back := func(page answer) string {
		_, rest, _ := strings.Cut(page.body, `name="back" value="`)
		back, _, _ := strings.Cut(rest, `"`)
		return strings.ReplaceAll(back, "&amp;", "&")
	}
	page := b.want(b.get("/.mfa/verify/totp"), 200)
	b.want(b.post("/.mfa/language", "lang", "de", "back", back(page)), 303, "/.mfa/verify/totp")
	page = b.want(b.post("/.mfa/verify/totp", "code", "000000", "to", "/deep"), 401, "Dieser Code stimmt nicht.")
	if got := back(page); got != "/.mfa/verify/totp?to=%2Fdeep" {
		t.Fatalf("%q", got)
	}
	b.want(b.post("/.mfa/language", "lang", "en", "back", back(page)), 303)
	b.want(b.get(back(page)), 200, "Enter your code")
}

// TestMessageInALanguage: what the gate refuses, as a page and for programs.
func TestMessageInALanguage(t *testing.T) {
	r := newRig(t)
	for _, tt := range []struct {
		name, dest, lang, want string
		m                      Message
	}{
		{"a page", "document", "de", "<h1>Seite nicht gefunden", Message{ID: "refused.not_found", Code: "not_found"}},
		{"for a program", "empty", "de", `"message":"Diese Seite gibt es nicht."`, Message{ID: "refused.not_found", Code: "not_found"}},
		{"with a name", "document", "de", "Sie sind als &lt;b&gt; angemeldet", Message{ID: "refused.forbidden", Name: "<b>", Link: "/.mfa/security"}},
		{"the way back", "document", "de", `name="back" value="/app?q=1"`, Message{ID: "refused.not_found"}},
		{"what to do", "document", "de", ">Seite „Sicherheit“ und Abmelden</a>", Message{ID: "refused.forbidden", Name: "alice", Link: "/.mfa/security"}},
	} {
		w := httptest.NewRecorder()
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+host+"/app?q=1", nil)
		req.Header.Set("Sec-Fetch-Mode", map[string]string{"document": "navigate", "empty": "cors"}[tt.dest])
		tt.m.Lang = tt.lang
		r.Message(w, req, http.StatusNotFound, tt.m)
		if !strings.Contains(wordstest.Unmark(w.Body.String()), tt.want) {
			t.Errorf("%s: %s", tt.name, w.Body)
		}
	}
}

// TestOnceShown: a page that nobody sees twice has no form that leads away from it.
func TestOnceShown(t *testing.T) {
	pg := &page{exchange: &exchange{}, once: true}
	if pg.Languages() != nil {
		t.Error("the language can be changed")
	}
	if pg.once = false; len(pg.Languages()) < 2 {
		t.Error("the language cannot be changed")
	}
}

func FuzzLanguage(f *testing.F) {
	for _, seed := range []string{"de", "de-CH,fr;q=0.9,*;q=0.1", "en-XA;q=1.5", "x-private", "de;q=", ",,,;;;", "zh-Hant-TW-u-co-stroke", "\xff", "i-klingon"} {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, chosen, accept string) {
		x := &exchange{r: &http.Request{Header: http.Header{"Accept-Language": {accept}}}, in: Request{Lang: chosen}}
		l := x.said()
		if !slices.Contains(catalogue().Languages(), l) || catalogue().Language(chosen) != nil && l.Tag != chosen {
			t.Errorf("%q, %q: %q", chosen, accept, l.Tag)
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	for b.Loop() {
		catalogue().Match("de-CH,de;q=0.9,fr;q=0.8,en;q=0.7")
	}
}

// TestLanguageOnAnotherHost: a gated host whose sign-in pages are elsewhere has pages of its own, and a choice of its own.
func TestLanguageOnAnotherHost(t *testing.T) {
	r, _ := portalRig(t, auth.Config{})
	r.host = app
	b := r.browser()
	a := b.want(b.post("/.mfa/language", "lang", "de", "back", "/deep"), 303, "/deep")
	if c := a.Cookies(); len(c) != 1 || c[0].Value != "de" {
		t.Errorf("%v", c)
	}
	b.want(b.get("/.mfa/nope"), 404, "<h1>Seite nicht gefunden")
}
