package words

import (
	"strings"
	"testing"
	"testing/fstest"
)

// files makes a catalogue's files, by tag.
func files(texts map[string]string) fstest.MapFS {
	fs := fstest.MapFS{}
	for tag, text := range texts {
		fs["words/"+tag+".json"] = &fstest.MapFile{Data: []byte(text)}
	}
	return fs
}

func TestText(t *testing.T) {
	c, err := Load(files(map[string]string{
		"en": `{"plain": "Hello", "rename": "Rename {{.Before}} to {{.After}}", "left": {"one": "1 left", "other": "{{.Count}} left"}, "left.none": "none left", "days": {"one": "1 day", "other": "{{.Count}} days"}}`,
		"ja": `{"plain": "やあ", "rename": "{{.After}}←{{.Before}}", "left": {"other": "残り{{.Count}}"}, "left.none": "なし", "days": {"other": "{{.Count}}日"}}`,
		"ar": `{"days": {"zero": "z", "one": "o", "two": "t", "few": "f{{.Count}}", "many": "m{{.Count}}", "other": "x{{.Count}}"}}`,
		"fr": `{"days": {"one": "{{.Count}} jour", "other": "{{.Count}} jours"}}`,
	}), "words")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, got, want string }{
		{"plain", c.English().Text("plain"), "Hello"},
		{"an id that there is not", c.English().Text("nothing", "x"), ""},
		{"values", c.English().Text("rename", "a", "b"), "Rename a to b"},
		{"values in another order", c.Language("ja").Text("rename", "a", "b"), "b←a"},
		{"a value that looks like one", c.English().Text("rename", "{{.After}}", "%s%!d"), "Rename {{.After}} to %s%!d"},
		{"a value too few", c.English().Text("rename", "a"), "Rename a to "},
		{"a value too many", c.English().Text("plain", "a"), "Hello"},
		{"none", c.English().Count("left", 0), "none left"},
		{"one", c.English().Count("left", 1), "1 left"},
		{"two", c.English().Count("left", 2), "2 left"},
		{"zero without a text of its own", c.English().Count("days", 0), "0 days"},
		{"fewer than none", c.English().Count("days", -1), "-1 days"},
		{"one, where there is no singular", c.Language("ja").Count("left", 1), "残り1"},
		{"French zero", c.Language("fr").Count("days", 0), "0 jour"},
		{"French two", c.Language("fr").Count("days", 2), "2 jours"},
		{"Arabic 0", c.Language("ar").Count("days", 0), "z"},
		{"Arabic 1", c.Language("ar").Count("days", 1), "o"},
		{"Arabic 2", c.Language("ar").Count("days", 2), "t"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: %q, not %q", tt.name, tt.got, tt.want)
		}
	}
	for n, form := range map[int]string{3: "f", 10: "f", 11: "m", 99: "m", 100: "x", 102: "x", 103: "f", 111: "m", 365: "m"} {
		if got := c.Language("ar").Count("days", n); !strings.HasPrefix(got, form) {
			t.Errorf("Arabic %d: %q", n, got)
		}
	}
}

func TestLoadRefuses(t *testing.T) {
	for name, f := range map[string]map[string]string{
		"no English":                {"de": `{"a": "b"}`},
		"no JSON":                   {"en": `{"a": "b"`},
		"no language":               {"en": `{"a": "b"}`, "no language": `{"a": "b"}`},
		"a value English has not":   {"en": `{"a": "b"}`, "de": `{"a": "{{.Name}}"}`},
		"a value that does not end": {"en": `{"a": "b {{.Name"}`},
		"a template":                {"en": `{"a": "{{if true}}b{{end}}"}`},
	} {
		if _, err := Load(files(f), "words"); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func BenchmarkText(b *testing.B) {
	c, err := Load(files(map[string]string{"en": `{"plain": "Hello", "name": "Hello {{.Name}}", "days": {"one": "1 day", "other": "{{.Count}} days"}}`}), "words")
	if err != nil {
		b.Fatal(err)
	}
	b.Run("plain", func(b *testing.B) {
		for b.Loop() {
			c.English().Text("plain")
		}
	})
	b.Run("value", func(b *testing.B) {
		for b.Loop() {
			c.English().Text("name", "alice")
		}
	})
	b.Run("count", func(b *testing.B) {
		for b.Loop() {
			c.English().Count("days", 5)
		}
	})
}
