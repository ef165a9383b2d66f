// Package wordstest checks the files of a catalogue, and what is said by it: what translators and authors of pages may get wrong, and
// no compiler sees.
package wordstest

import (
	"encoding/json"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/text/feature/plural"
	"golang.org/x/text/language"

	"github.com/caddy-mfa/caddy-mfa/internal/words"
)

// alike are texts that may be the same in another language as in English.
var alike = []string{"Browser", "Code", "Hosts", "Name", "OK", "Page", "Site: {{.Host}}", "Type", "Version", "{{.Count}} minutes"}

// facts are the ids that hold facts of CLDR. Which of them a language needs, its date.time says.
var facts = []string{"date.time", "date.months", "date.halves"}

// text is one by its plural forms; a text that has none has the form "other" alone.
type text map[string]string

// Check checks every file in the directory dir of files. A file has a text a line, in the order of the ids, so that languages can be laid
// side by side; no text is empty, begins or ends with a space, or holds markup. Beside English each has exactly its texts, with the same
// values, in the plural forms that the language needs, and in words of its own.
func Check(t *testing.T, files fs.FS, dir string) {
	t.Helper()
	english := read(t, files, path.Join(dir, "en.json"))
	c, err := words.Load(files, dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range c.Languages() {
		if err := l.Err(); err != nil {
			t.Error(err)
		}
		if l.Has("language.name") && l.Name() != l.Text("language.name") {
			t.Errorf("%s calls itself %q, and is read as %q", l.Tag, l.Text("language.name"), l.Name())
		}
	}
	names, err := fs.Glob(files, path.Join(dir, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		tag, err := language.Parse(strings.TrimSuffix(path.Base(name), ".json"))
		if err != nil || tag.String()+".json" != path.Base(name) {
			t.Errorf("%s is not named after a language: %v, %v", name, tag, err)
			continue
		}
		texts := read(t, files, name)
		checkDate(t, name, texts)
		for _, id := range slices.Sorted(maps.Keys(texts)) {
			checkForms(t, name, id, tag, texts[id], english[id])
		}
		for id := range english {
			if _, ok := texts[id]; !ok && !slices.Contains(facts, id) {
				t.Errorf("%s: %s is missing", name, id)
			}
		}
	}
}

// read reads a file strictly.
func read(t *testing.T, files fs.FS, name string) map[string]text {
	t.Helper()
	b, err := fs.ReadFile(files, name)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
	if lines[0] != "{" || lines[len(lines)-1] != "}" {
		t.Fatalf("%s: the brackets do not stand on lines of their own", name)
	}
	all, last := map[string]text{}, ""
	for i, line := range lines[1 : len(lines)-1] {
		entry := map[string]json.RawMessage{}
		if err := json.Unmarshal([]byte("{"+strings.TrimSuffix(line, ",")+"}"), &entry); err != nil || len(entry) != 1 {
			t.Errorf("%s, line %d: not one text: %v", name, i+2, err)
			continue
		}
		for id, raw := range entry {
			if id <= last {
				t.Errorf("%s, line %d: %s stands after %s: keep the ids in order, each once", name, i+2, id, last)
			}
			last = id
			one, forms := "", text{}
			if json.Unmarshal(raw, &one) == nil {
				forms["other"] = one
			} else if err := json.Unmarshal(raw, &forms); err != nil {
				t.Errorf("%s: %s: %v", name, id, err)
			}
			all[id] = forms
		}
	}
	return all
}

var value = regexp.MustCompile(`\{\{\.([A-Za-z]+)\}\}`)

// values are the names of the values of s, sorted, each once.
func values(s string) []string {
	var all []string
	for _, m := range value.FindAllStringSubmatch(s, -1) {
		all = append(all, m[1])
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func checkForms(t *testing.T, name, id string, tag language.Tag, got, english text) {
	t.Helper()
	if english == nil && !slices.Contains(facts, id) {
		t.Errorf("%s: %s is no id of English", name, id)
		return
	}
	need := []string{"other"}
	if len(got) > 1 || len(english) > 1 {
		need = Forms(tag)
	}
	if have := slices.Sorted(maps.Keys(got)); !slices.Equal(have, need) {
		t.Errorf("%s: %s has the plural forms %q, not %q", name, id, have, need)
	}
	for form, s := range got {
		if s == "" || s != strings.TrimSpace(s) || strings.ContainsAny(s, "<>\n\t") || strings.ContainsFunc(s, unseen) || strings.Contains(s, softHyphen) && !strings.Contains(id, ".title") {
			t.Errorf("%s: %s is %q", name, id, s)
		}
		if slices.Contains(facts, id) {
			continue
		}
		if bad := misprint(tag, s); bad != "" {
			t.Errorf("%s: %s: the language writes %q otherwise: %q", name, id, bad, s)
		}
		want, have := values(english["other"]), values(s)
		if form != "other" { // "one day" need not say the number
			want = slices.DeleteFunc(want, func(v string) bool { return v == "Count" })
			have = slices.DeleteFunc(have, func(v string) bool { return v == "Count" })
		}
		if !slices.Equal(have, want) {
			t.Errorf("%s: %s has the values %q, not %q: %q", name, id, have, want, s)
		}
		letters := strings.ContainsFunc(value.ReplaceAllString(s, ""), unicode.IsLetter)
		if tag != language.English && s == english[form] && letters && !slices.Contains(alike, s) {
			t.Errorf("%s: %s is %q, as in English: translate it, or add it to what may be alike", name, id, s)
		}
	}
}

// softHyphen is where a long word of a heading may be broken. Files show it as \u00ad.
const softHyphen = "\u00ad"

// unseen are characters that nobody sees in a file. The mark that joins a date from right to left is one of its language.
func unseen(r rune) bool {
	return unicode.In(r, unicode.C) && r != '\u200f' && string(r) != softHyphen || r == '\uFEFF'
}

// Form is the plural form of n things.
func Form(tag language.Tag, n int) string {
	names := [...]string{plural.Other: "other", plural.Zero: "zero", plural.One: "one", plural.Two: "two", plural.Few: "few", plural.Many: "many"}
	return names[words.Form(tag, n)]
}

// Forms are the plural forms that whole numbers take in a language, sorted: those below a thousand, and a million.
func Forms(tag language.Tag) []string {
	all := []string{"other"}
	for n := range 1001 {
		if n == 1000 {
			n = 1e6
		}
		if form := Form(tag, n); !slices.Contains(all, form) {
			all = append(all, form)
		}
	}
	slices.Sort(all)
	return all
}

// checkDate looks for what the pattern of dates names.
func checkDate(t *testing.T, name string, texts map[string]text) {
	t.Helper()
	pattern := values(texts["date.time"]["other"])
	for id, list := range map[string]struct {
		part string
		n    int
	}{"date.months": {"Month", 12}, "date.halves": {"Half", 2}} {
		want := 0
		if slices.Contains(pattern, list.part) {
			want = list.n
		}
		s, have := texts[id]["other"], 0
		if s != "" {
			have = strings.Count(s, "|") + 1
		}
		if have != want {
			t.Errorf("%s: %s has %d names, not %d, for the pattern %q", name, id, have, want, texts["date.time"]["other"])
		}
	}
}
