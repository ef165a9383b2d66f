package mail

import (
	"flag"
	"html"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/caddy-mfa/caddy-mfa/internal/words"
	"github.com/caddy-mfa/caddy-mfa/internal/words/wordstest"
)

var update = flag.Bool("update", false, "write what the golden files of mails should hold")

const here = "https://dash.example.com/.mfa/"

// event is what a notice is told.
var event = Event{Product: "Example Corp", Name: "alice", At: noon, Browser: "Firefox on Linux", Addr: "192.0.2.7", Link: here + "undo#Yp4c9QZJ0m1tq8wXkR2vB3nL5sD6fG7hA0eU1iO2pT4"}

// rendered is every kind of mail there is.
func rendered(e Event, label string) map[string]Message {
	admin := e
	admin.Browser, admin.Addr, admin.ByAdmin = "", "", true
	return map[string]Message{
		"code":             SignInCode{e.Product, e.Name, "123456", here + "link#" + strings.Repeat("k", 43), 10, e.Browser, e.Addr, "dash.example.com", false, ""}.Message(),
		"code_change":      SignInCode{Product: e.Product, Name: e.Name, Code: "123456", Minutes: 10, Host: "dash.example.com", Change: true}.Message(),
		"methods_reset":    MethodsReset{admin}.Message(),
		"reset_announced":  ResetAnnounced{admin, e.At.Add(48 * time.Hour)}.Message(),
		"reset_stopped":    ResetStopped{e}.Message(),
		"reset_cancelled":  ResetStopped{admin}.Message(),
		"reset_late":       ResetTooLate{admin}.Message(),
		"code_alone":       SignInCode{Product: e.Product, Name: e.Name, Code: "123456", Minutes: 10, Host: "dash.example.com"}.Message(),
		"confirm":          ConfirmAddress{e.Product, e.Name, "123456", 1, e.Browser, e.Addr, "dash.example.com", ""}.Message(),
		"invite":           Invitation{e.Product, e.Name, here + "invite#" + strings.Repeat("k", 43), 72, ""}.Message(),
		"reset":            Reset{e.Product, here + "reset#" + strings.Repeat("k", 43), 1, e.Browser, e.Addr, ""}.Message(),
		"reset_plain":      Reset{Product: e.Product, Link: here + "reset#" + strings.Repeat("k", 43)}.Message(),
		"signin":           NewSignIn{e}.Message(),
		"added":            MethodAdded{e, "webauthn", label}.Message(),
		"removed":          MethodRemoved{e, "totp", ""}.Message(),
		"replaced":         Changed{Event: e, What: Replaced, Method: "totp", Before: "old phone", Now: label}.Message(),
		"renamed":          Changed{Event: e, What: Renamed, Method: "webauthn", Before: "Firefox on Linux", Now: label}.Message(),
		"display":          Changed{Event: e, What: DisplayName, Now: label}.Message(),
		"preferred":        Changed{Event: e, What: Preferred, Before: "webauthn", Now: "totp"}.Message(),
		"off":              Changed{Event: e, What: TurnedOff}.Message(),
		"token":            Changed{Event: e, What: TokenAdded, Label: label}.Message(),
		"token_revoked":    Changed{Event: e, What: TokenRevoked, Label: label}.Message(),
		"ended":            SessionsEnded{e, 3}.Message(),
		"ended_one":        SessionsEnded{e, 1}.Message(),
		"code_used":        CodeUsed{e, 9}.Message(),
		"code_used_few":    CodeUsed{e, 3}.Message(),
		"code_used_one":    CodeUsed{e, 1}.Message(),
		"code_used_none":   CodeUsed{e, 0}.Message(),
		"codes_changed":    CodesChanged{e}.Message(),
		"codes_viewed":     CodesViewed{e}.Message(),
		"password_changed": PasswordChanged{e}.Message(),
		"address_changed":  AddressChanged{e}.Message(),
		"throttled":        Throttled{e, "totp"}.Message(),
		"test":             testMail{e.Product, "mail.example.com:465", ""}.Message(),
	}
}

func TestGolden(t *testing.T) {
	all := rendered(event, "YubiKey 5 (keyring)")
	unknown := event
	unknown.Browser, unknown.Addr = "", ""
	all["signin_unknown"] = NewSignIn{unknown}.Message()
	seen := map[string]bool{}
	for name, m := range all {
		for ext, got := range map[string]string{".txt": "Subject: " + m.Subject + "\n\n" + m.Text, ".html": m.HTML} {
			file := filepath.Join("testdata", name+ext)
			seen[file] = true
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("%s is not as it was (go test -update, then look at the difference):\n%s", file, got)
			}
		}
	}
	files, err := filepath.Glob("testdata/*.*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !seen[file] {
			t.Errorf("%s belongs to no mail", file)
		}
	}
}

var (
	element  = regexp.MustCompile(`<([a-z0-9]+)`)
	attrLink = regexp.MustCompile(`(?i)\b(href|src|background|action|poster|srcset)\s*=\s*"?([^"\s>]*)`)
)

// TestLetters: text fits into a terminal, HTML loads nothing, has no colour that could vanish in the dark, and no links but ours.
func TestLetters(t *testing.T) {
	for name, m := range rendered(event, "YubiKey 5") {
		t.Run(name, func(t *testing.T) {
			for line := range strings.SplitSeq(m.Text, "\n") {
				if utf8.RuneCountInString(line) > width && !strings.HasPrefix(line, here) {
					t.Errorf("too wide: %q", line)
				}
				if line != "-- " && strings.TrimRight(line, " ") != line {
					t.Errorf("spaces at the end: %q", line)
				}
			}
			if strings.Contains(m.Text, "\n\n\n") || strings.Contains(m.Text+m.HTML+m.Subject, "%!") || m.Subject == "" {
				t.Errorf("%s\n%s", m.Subject, m.Text)
			}
			for _, el := range element.FindAllStringSubmatch(m.HTML, -1) {
				switch el[1] {
				case "html", "head", "meta", "title", "body", "div", "h1", "p", "a", "br", "table", "tr", "th", "td":
				default:
					t.Errorf("element %s", el[1])
				}
			}
			for _, l := range attrLink.FindAllStringSubmatch(m.HTML, -1) {
				if l[1] != "href" || !strings.HasPrefix(l[2], here) {
					t.Errorf("loads or links %q", l[0])
				}
			}
			if regexp.MustCompile(`[;"]\s*(color|background(-color)?)\s*:\s*[^;i"]`).MatchString(m.HTML) || strings.Contains(m.HTML, "url(") {
				t.Error("a fixed colour, or something from elsewhere")
			}
			if !strings.Contains(m.HTML, `<meta name="color-scheme" content="light dark">`) {
				t.Error("not for the dark")
			}
			if link := regexp.MustCompile(here + `\S+`).FindString(m.Text); link != "" && !strings.Contains(m.HTML, `href="`+link+`"`) {
				t.Errorf("text and HTML lead to different places: %s", link)
			}
		})
	}
}

func TestNoticesSayAll(t *testing.T) { // S80
	for name, m := range rendered(event, "YubiKey 5") {
		if !strings.Contains(m.Text, "undo#") {
			continue
		}
		from := []string{"Firefox on Linux", "192.0.2.7"}
		if slices.Contains([]string{"methods_reset", "reset_announced", "reset_cancelled"}, name) {
			from = []string{"an administrator"}
		}
		if name == "reset_late" {
			from = nil
		}
		for _, want := range append(from, "1 March 2026 at 12:30 UTC+02:00", "alice", event.Link) {
			if !strings.Contains(m.Text, want) || !strings.Contains(m.HTML, strings.ReplaceAll(want, "+", "&#43;")) {
				t.Errorf("%s: no %q in\n%s", name, want, m.Text)
			}
		}
		if !strings.Contains(m.HTML, ">This wasn&#39;t me</a>") && name != "reset_announced" {
			t.Errorf("%s has no button", name)
		}
	}
}

// TestEveryWordIsThere: every id that the code names has a text, every text is used, and the templates have no words of their own.
func TestEveryWordIsThere(t *testing.T) {
	sources, err := filepath.Glob("*.go")
	if err != nil || len(sources) == 0 {
		t.Fatal(sources, err)
	}
	var code strings.Builder
	for _, file := range sources {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		code.Write(b)
	}
	for _, m := range regexp.MustCompile(`(?:say|count|facts)\("([a-z.]+)"[,)]|"((?:fact|notice|throttled|code|confirm|reset)\.[a-z]+)"`).FindAllStringSubmatch(code.String(), -1) {
		if id := m[1] + m[2]; !catalogue().English().Has(id) {
			t.Errorf("no text %q", id)
		}
	}
	for _, m := range regexp.MustCompile(`(?:render|notice)\("([a-z]+)"`).FindAllStringSubmatch(code.String(), -1) {
		for _, part := range []string{".subject", ".title", ".lead"} {
			if !catalogue().English().Has(m[1] + part) {
				t.Errorf("no text %q", m[1]+part)
			}
		}
	}
	for _, source := range []string{htmlSource, textSource} {
		words := regexp.MustCompile(`(?s)\{\{.*?\}\}|<[^>]*>`).ReplaceAllString(source, "")
		if regexp.MustCompile(`[A-Za-z]`).MatchString(words) {
			t.Errorf("words of its own: %q", strings.Fields(words))
		}
	}
}

// TestMailsSayOnlyWords: what mails say beside the values that they are given stands in the catalogue.
func TestMailsSayOnlyWords(t *testing.T) {
	marked, err := words.Load(wordstest.Marked(wordFiles, "words"), "words")
	if err != nil {
		t.Fatal(err)
	}
	before := catalogue
	catalogue = func() *words.Catalogue { return marked }
	defer func() { catalogue = before }()
	given := regexp.MustCompile(`https://\S+|dash\.example\.com|Example Corp|Firefox on Linux|\balice\b|a key|[Uu]TC|old phone|[0-9.:]+`)
	for name, m := range rendered(event, "a key") {
		body := regexp.MustCompile(`(?s)^.*?<title>|<[^>]*>`).ReplaceAllString(m.HTML, "")
		for part, s := range map[string]string{"subject": m.Subject, "text": m.Text, "HTML": html.UnescapeString(body)} {
			out := given.ReplaceAllString(wordstest.Outside(t, s), "")
			if strings.ContainsFunc(out, unicode.IsLetter) {
				t.Errorf("%s: the %s says what stands in no catalogue: %q", name, part, strings.Fields(out))
			}
		}
	}
}

// TestLetterInALanguage: words, plurals, dates and the direction of a mail follow its language.
func TestLetterInALanguage(t *testing.T) {
	m := SignInCode{Product: "Example Corp", Code: "123456", Minutes: 10, Host: "dash.example.com", Lang: "de"}.Message()
	for _, want := range []string{"Der Code gilt einmal, 10 Minuten lang.", "Dieser Code schließt Ihre Anmeldung bei Example Corp ab:"} {
		if !strings.Contains(m.Text, want) {
			t.Errorf("no %q in %s", want, m.Text)
		}
	}
	if m.Subject != "Ihr Code für Example Corp" || !strings.Contains(m.HTML, `<html lang="de">`) || strings.Contains(m.HTML, "rtl") {
		t.Errorf("%s\n%s", m.Subject, m.HTML)
	}
	german := event
	german.Lang = "de"
	if m := (NewSignIn{german}).Message(); !strings.Contains(m.Text, "1. März 2026 um 12:30 UTC+02:00") {
		t.Error(m.Text)
	}
	german.Lang = "tlh" // that there is not, or not any more
	if m := (NewSignIn{german}).Message(); m.Subject != "New sign-in to Example Corp" {
		t.Error(m.Subject)
	}
}

// TestLetterFromRightToLeft: with a language of the test, in Arabic letters.
func TestLetterFromRightToLeft(t *testing.T) {
	b, err := wordFiles.ReadFile("words/en.json")
	if err != nil {
		t.Fatal(err)
	}
	c, err := words.Load(fstest.MapFS{"words/en.json": {Data: b}, "words/ar.json": {Data: b}}, "words")
	if err != nil {
		t.Fatal(err)
	}
	before := catalogue
	catalogue = func() *words.Catalogue { return c }
	defer func() { catalogue = before }()
	m := SignInCode{Product: "Example Corp", Code: "123456", Link: "https://dash.example.com/x", Minutes: 10, Host: "dash.example.com", Lang: "ar"}.Message()
	for _, want := range []string{`<html lang="ar" dir="rtl">`, `<body dir="rtl"`, `<p dir="ltr" style="margin:0 0 16px;text-align:right;`, "on \u2068dash.example.com\u2069."} {
		if !strings.Contains(m.HTML, want) {
			t.Errorf("no %q in %s", want, m.HTML)
		}
	}
	if strings.ContainsAny(m.Subject, "\u2068\u2069\r\n") {
		t.Errorf("%q", m.Subject)
	}
	arabic := event
	arabic.Lang, arabic.Name = "ar", "alice!"
	notice := NewSignIn{arabic}.Message()
	for name, text := range map[string]string{"text": notice.Text, "HTML": notice.HTML} {
		for _, fact := range []string{"alice!", arabic.Browser, arabic.Addr} { // a mark at its end stays there
			if !strings.Contains(text, "\u2068"+fact+"\u2069") {
				t.Errorf("no %q set apart in the %s %s", fact, name, text)
			}
		}
	}
}

// TestLinesInEveryLanguage: the text of each mail fits into a terminal, and on the wire into the lines of RFC 5322, in every language; no
// line begins with what belongs to the one before.
func TestLinesInEveryLanguage(t *testing.T) {
	for _, l := range catalogue().Languages() {
		e := event
		e.Lang = l.Tag
		all := rendered(e, "仕事用のセキュリティキー（予備）")
		all["code"] = SignInCode{e.Product, e.Name, "123456", here + "link#" + strings.Repeat("k", 43), 10, e.Browser, e.Addr, "dash.example.com", false, l.Tag}.Message()
		all["invite"] = Invitation{e.Product, e.Name, here + "invite#" + strings.Repeat("k", 43), 72, l.Tag}.Message()
		for name, m := range all {
			for line := range strings.SplitSeq(m.Text, "\n") {
				first, _ := utf8.DecodeRuneInString(line)
				if columns(line) > width && !strings.HasPrefix(line, here) || line != "" && strings.ContainsRune(noBegin, first) {
					t.Errorf("%s, %s: %q", l.Tag, name, line)
				}
			}
			m.ID, m.Date, m.To = "id", noon, "alice@example.net"
			e, err := newSender(t, Config{Addr: "mail.example.com:465", From: "sign-in@example.com"}).seal(m)
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.SplitSeq(string(e.data), "\r\n") {
				if len(line) > maxLine+2 {
					t.Errorf("%s, %s: %d bytes in a line", l.Tag, name, len(line))
				}
			}
		}
	}
}

func TestWords(t *testing.T) { wordstest.Check(t, wordFiles, "words") }

func TestWrap(t *testing.T) {
	long := strings.Repeat("x", 80)
	for _, tt := range []struct{ name, s, first, rest, want string }{
		{"short", "one two", "", "", "one two"},
		{"long", strings.Repeat("word ", 14) + "then end", "", "", strings.Repeat("word ", 13) + "word\nthen end"},
		{"a word that is too long", "see " + long + " there", "", "", "see\n" + long + "\nthere"},
		{"hanging", strings.Repeat("word ", 13) + "here then", "  L  ", "     ", "  L  " + strings.Repeat("word ", 12) + "word\n     here then"},
		{"Japanese", strings.Repeat("漢字", 18) + "です", "", "", strings.Repeat("漢字", 18) + "\nです"},
		{"no line begins with a stop", strings.Repeat("漢字", 18) + "。次", "", "", strings.Repeat("漢字", 17) + "漢\n字。次"},
		{"nor with a small kana or a closing quote", strings.Repeat("あ", 35) + "ャ」。次", "", "", strings.Repeat("あ", 34) + "\nあャ」。次"},
		{"nor ends with an opening one", strings.Repeat("あ", 35) + "「次」", "", "", strings.Repeat("あ", 35) + "\n「次」"},
		{"names in it stay whole", strings.Repeat("あ", 33) + "Example Corpの", "", "", strings.Repeat("あ", 33) + "\nExample Corpの"},
		{"wide labels", "値", "  認証方法  ", "            ", "  認証方法  値"},
		{"double marks", strings.Repeat("か\u3099", 37), "", "", strings.Repeat("か\u3099", 36) + "\nか\u3099"},
		{"letters beyond ASCII", strings.Repeat("äöü ", 17) + "äöü", "", "", strings.Repeat("äöü ", 17) + "äöü"},
	} {
		if got := wrap(tt.s, tt.first, tt.rest); got != tt.want {
			t.Errorf("%s: %q, not %q", tt.name, got, tt.want)
		}
	}
}
