package loginui

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/words/wordstest"
)

// TestTexts: every id that pages and code name has a text, and pages have no words of their own.
func TestTexts(t *testing.T) {
	literal := regexp.MustCompile(`(?:\.(?:[TH]|Count) "|\.t\("|\.[TH]\("|\.count\(")([a-z.]*[a-z])"`)
	sources, err := filepath.Glob("*.go")
	if err != nil || len(sources) == 0 {
		t.Fatal(sources, err)
	}
	for _, file := range sources {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range literal.FindAllStringSubmatch(string(b), -1) {
			if !english.Has(m[1]) {
				t.Errorf("%s: no text %q", file, m[1])
			}
		}
	}
	files, err := pageFiles.ReadDir("pages")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := pageFiles.ReadFile("pages/" + f.Name())
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range literal.FindAllStringSubmatch(string(b), -1) {
			if !english.Has(m[1]) {
				t.Errorf("%s: no text %q", f.Name(), m[1])
			}
		}
		if words := regexp.MustCompile(`(?s)\{\{.*?\}\}|<[^>]*>`).ReplaceAllString(string(b), ""); regexp.MustCompile(`[A-Za-z]`).MatchString(words) {
			t.Errorf("%s: words of its own: %q", f.Name(), strings.Fields(words))
		}
	}
}

// TestErrorsSayWhatToDo: every page that tells of an error, all of which have a way on or are those of the gate, says what happened and what can
// be done, and every way to verify where the way out is.
func TestErrorsSayWhatToDo(t *testing.T) {
	all, err := wordFiles.ReadFile("words/en.json")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	noError := []string{"continue", "guestleft", "logout", "signedin", "upgrade", "used"}
	for _, m := range regexp.MustCompile(`"([a-z_.]+)\.title":`).FindAllSubmatch(all, -1) {
		id := string(m[1])
		if !english.Has(id+".text") || slices.Contains(noError, id) {
			continue
		}
		found++
		if !english.Has(id + ".todo") {
			t.Errorf("%q does not say what to do", id)
		}
	}
	if found < 30 {
		t.Errorf("only %d pages found", found)
	}
	for _, m := range withPage("verify_", "password", "totp", "webauthn", "email", "recovery") {
		if pg := (&page{file: "verify_" + m}); !english.Has(pg.Lost()) {
			t.Errorf("nothing for those who lost what verify_%s asks for", m)
		}
	}
	for id, hint := range map[string]string{
		"totp.wrong": "automatic time", "enrolltotp.wrong": "automatic time", // a clock that is off
		"webauthn.unable": "Firefox", "webauthn.noscript": "another way", "enroll.webauthn.unable": "Firefox", // a browser that cannot
		"invite.wrong": "a new link", "badlink.todo": "send a new code", "badreset.again": "new link", "badnotme.todo": "reset your password", // too late
	} {
		if !strings.Contains(english.Text(id), hint) {
			t.Errorf("%s does not speak of %q: %s", id, hint, english.Text(id))
		}
	}
}

func TestWait(t *testing.T) {
	x := &exchange{}
	for d, want := range map[time.Duration]string{
		0:                      "1 second",
		time.Millisecond:       "1 second",
		90 * time.Second:       "90 seconds",
		91 * time.Second:       "2 minutes",
		time.Hour:              "60 minutes",
		90*time.Minute + 1:     "2 hours",
		100 * time.Microsecond: "1 second",
	} {
		if got := wordstest.Unmark(x.wait(d)); got != want {
			t.Errorf("%v: %q", d, got)
		}
	}
}

// unset takes away what sets values apart.
var unset = strings.NewReplacer("\u2068", "", "\u2069", "")

// TestList: a list runs as its language does, also inside another text, where nothing else says which way that is.
func TestList(t *testing.T) {
	for lang, want := range map[string]string{
		"en": "A, B, C",
		"de": "A, B, C",
		"ja": "A、B、C",
		"ar": "\u2068\u2068A\u2069،\u200f \u2068B\u2069\u2069،\u200f \u2068C\u2069",
	} {
		x := &exchange{lang: catalogue().Match(lang)}
		if got := wordstest.Unmark(x.list([]string{"A", "B", "C"})); got != want {
			t.Errorf("%s: %q, not %q", lang, got, want)
		}
		for _, names := range [][]string{{"A"}, {"A", "B"}, {"A", "B", "C", "D"}} {
			want := map[string]string{"en": "A, B, C or D", "de": "A, B, C oder D", "ja": "A、B、C、またはD", "ar": "A أو B أو C أو D"}[lang]
			if n := len(names); n < 4 {
				want = map[string]string{"en": "A or B", "de": "A oder B", "ja": "A、またはB", "ar": "A أو B"}[lang]
				if n == 1 {
					want = "A"
				}
			}
			if got := unset.Replace(wordstest.Unmark(x.said().Either(names))); got != want {
				t.Errorf("%s: %q, not %q", lang, got, want)
			}
		}
		if got := x.list(nil) + wordstest.Unmark(x.list([]string{"A"})); got != "A" {
			t.Errorf("%s: %q", lang, got)
		}
	}
}
