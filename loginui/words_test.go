package loginui

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/net/html"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/internal/words"
	"github.com/caddy-mfa/caddy-mfa/internal/words/wordstest"
)

// english is what pages say in English.
var english = catalogue().English()

// In tests every text that a page shows is between marks. The rig looks for words outside of them, and takes the marks away.
func TestMain(m *testing.M) {
	marked, err := words.Load(wordstest.Marked(wordFiles, "words"), "words")
	if err != nil {
		panic(err)
	}
	catalogue = func() *words.Catalogue { return marked }
	os.Exit(m.Run())
}

func TestWords(t *testing.T) { wordstest.Check(t, wordFiles, "words") }

// machineData are attributes that hold no words.
var machineData = []string{"data-key", "data-options", "data-copy", "data-copy-list", "data-peek", "data-token", "data-left", "data-source", "data-signals", "data-said"}

// values are what pages show beside words: names, addresses, hosts, codes and the like, as tests have them.
var values = regexp.MustCompile(`(?i)[a-z0-9._•+-]+@[a-z0-9.-]+|\b[a-z0-9-]+(\.[a-z0-9-]+)*\.example(\.[a-z]+)*\b|([a-z0-9-]+\.)+(com|org|net|localhost)\b|localhost|https?://\S*|/[a-z0-9/*._?=&%#-]*|` +
	`Example Corp|Firefox on Linux|Chrome on Windows|UTC|\b(alice|bob|carol|grace|heidi|ivan|judy|malin)\b|\b[a-z0-9]{4}(-[a-z0-9]{4})+\b`)

// checkWords looks for words that stand in no catalogue. data are values that this test put there.
func checkWords(t *testing.T, where, page string, data []string) {
	t.Helper()
	skip := ""               // the element whose text is no words
	var text strings.Builder // marks may begin in one element and end in another
	z := html.NewTokenizer(strings.NewReader(page))
	for z.Next() != html.ErrorToken {
		tok := z.Token()
		switch tok.Type {
		case html.StartTagToken, html.SelfClosingTagToken:
			lang := false
			for _, a := range tok.Attr {
				lang = lang || a.Key == "lang" && tok.Data != "html"
				shown := slices.Contains([]string{"title", "alt", "placeholder", "aria-label", "label"}, a.Key) ||
					strings.HasPrefix(a.Key, "data-") && !slices.Contains(machineData, a.Key)
				if out := foreign(wordstest.Outside(t, a.Val), data); shown && out != "" {
					t.Errorf("%s: <%s %s=%q> says what stands in no catalogue: %q", where, tok.Data, a.Key, wordstest.Unmark(a.Val), out)
				}
			}
			if skip == "" && (lang || tok.Data == "code" || tok.Data == "style") {
				skip = tok.Data
			}
		case html.EndTagToken:
			if tok.Data == skip {
				skip = ""
			}
		case html.TextToken:
			if strings.HasPrefix(tok.Data, "<p class=") || strings.HasPrefix(tok.Data, "<form class=") { // what a noscript holds comes as text
				tok.Data = regexp.MustCompile(`<[^>]*>`).ReplaceAllString(tok.Data, "")
			}
			if skip == "" {
				text.WriteString(tok.Data + "\n")
			}
		default:
		}
	}
	for line := range strings.SplitSeq(wordstest.Outside(t, text.String()), "\n") {
		if out := foreign(line, data); out != "" {
			t.Errorf("%s: the page says what stands in no catalogue: %q", where, out)
		}
	}
}

// testData is what tests call keys, tokens, policies and people.
var testData = regexp.MustCompile(`(My )?<b>phone</b>|(Blue|Green|Red) <?key>?|Käthe's laptop|phone|Alice Example|<b>Alice</b>|Two factors|(More )?[Kk]eys( <for> all| for everybody| & <nothing> else)?|admins|Imprint|<b>feed</b>|script( \d+)?|<b>|GET|"><script>alert\(1\)</script>'&amp;`)

// foreign is what of s are words, and no values.
func foreign(s string, data []string) string {
	for _, d := range data {
		s = strings.ReplaceAll(s, d, "")
	}
	s = strings.TrimSpace(values.ReplaceAllString(testData.ReplaceAllString(s, ""), ""))
	if !strings.ContainsFunc(s, unicode.IsLetter) {
		return ""
	}
	return s
}

// TestCheckWords: the check itself finds what it is for.
func TestCheckWords(t *testing.T) {
	for s, want := range map[string]string{
		"⟦Sign in⟧ · Example Corp":              "",
		"⟦Sign in⟧ now":                         "now",
		"⟦A ⟦b⟧ c⟧ d":                           "d",
		"192.0.2.1 · 1 · alice@example.com, ⟦⟧": "",
		"dash.example.com":                      "",
		"Sign in":                               "Sign in",
	} {
		if got := foreign(wordstest.Outside(t, s), nil); got != want {
			t.Errorf("%q: %q, not %q", s, got, want)
		}
	}
}

// sources are the code and the pages that say something.
func sources(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, pattern := range []string{"*.go", "pages/*.html", "../caddymodule/refuse.go", "../internal/auth/*.go", "../internal/method/*.go", "../internal/words/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatal(pattern, files, err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			all[file] = string(b)
		}
	}
	return all
}

// TestEveryTextIsUsed: an id stands in the code, whole; or as what its family begins with ("method."), beside the member ("totp"); or as a
// page or a message, beside an end that the code adds (".title").
func TestEveryTextIsUsed(t *testing.T) {
	said := map[string]bool{}
	pages := map[string]bool{auth.MethodPassword: true, auth.MethodTOTP: true, auth.MethodWebAuthn: true, auth.MethodEmail: true, auth.MethodRecovery: true}
	for _, source := range sources(t) {
		for _, m := range regexp.MustCompile(`[^=]"([a-z0-9_.]+)"`).FindAllStringSubmatch(source, -1) {
			said[m[1]] = true
		}
		for _, m := range regexp.MustCompile(`(?:newPage|flowPage)\("[a-z_]+", "([a-z.]+)"`).FindAllStringSubmatch(source, -1) {
			pages[m[1]] = true // which have titles, and no further parts of a message
		}
	}
	for id := range english.IDs() {
		if !strings.HasPrefix(id, "date.") && !used(said, pages, id) {
			t.Errorf("%s is said by nobody", id)
		}
	}
	for _, id := range []string{
		"event.unheard_of", "refused.unheard_of.title", "lost.unheard_of", "totp.todo", "enroll.unheard_of.hint", "method.unheard_of", "unheard_of.title",
		"security.unheard_of", "login.text", "unheard_of",
	} {
		if used(said, pages, id) {
			t.Errorf("%s would be used", id)
		}
	}
}

func used(said, pages map[string]bool, id string) bool {
	if said[id] {
		return true
	}
	for i := range len(id) {
		if id[i] == '.' && said[id[:i+1]] && said[id[i+1:]] {
			return true
		}
	}
	i := max(0, strings.LastIndexByte(id, '.'))
	stem, end := id[:i], id[i:]
	switch end {
	case ".none", ".named", ".hint":
		return used(said, pages, stem)
	case ".text", ".label", ".todo":
		return said[end] && !pages[stem] && used(said, pages, stem)
	case ".title", ".wrong", ".empty":
		return said[end] && used(said, pages, stem)
	}
	return false
}
