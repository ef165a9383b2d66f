package words

import (
	"errors"
	"io/fs"
	"strings"
	"sync"
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
		"en": `{"plain": "Hello", "rename": "Rename {{.Before}} to {{.After}}", "left": {"one": "1 of {{.All}} left", "other": "{{.Count}} of {{.All}} left"}, "left.none": "none of {{.All}} left", "days": {"one": "1 day", "other": "{{.Count}} days"}}`,
		"ja": `{"plain": "やあ", "rename": "{{.After}}←{{.Before}}", "left": {"other": "{{.All}}のうち{{.Count}}"}, "left.none": "なし", "days": {"other": "{{.Count}}日"}}`,
		"ar": `{"days": {"zero": "z", "one": "o", "two": "t", "few": "f{{.Count}}", "many": "m{{.Count}}", "other": "x{{.Count}}"}}`,
		"fr": `{"days": {"one": "{{.Count}} jour", "many": "{{.Count}} de jours", "other": "{{.Count}} jours"}}`,
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
		{"none", c.English().Count("left", 0, 10), "none of 10 left"},
		{"one", c.English().Count("left", 1, 10), "1 of 10 left"},
		{"two", c.English().Count("left", 2, 10), "2 of 10 left"},
		{"zero without a text of its own", c.English().Count("days", 0), "0 days"},
		{"fewer than none", c.English().Count("days", -1), "-1 days"},
		{"one, where there is no singular", c.Language("ja").Count("left", 1, 10), "10のうち1"},
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
	if got := c.English().Text("rename", []string{"a", "b", "c"}, "d") + c.Language("ja").Text("rename", []string{"a", "b"}, "c"); got != "Rename a, b, c to dc←a, b" {
		t.Errorf("lists: %q", got)
	}
	for tag, want := range map[string]string{"en": "a days", "fr": "a de jours"} {
		if got := c.Language(tag).Count("days", 2e6); got != strings.Replace(want, "a", "2000000", 1) {
			t.Errorf("%s, millions: %q", tag, got)
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
		c, err := Load(files(f), "words")
		if err == nil {
			for _, l := range c.Languages() {
				err = errors.Join(err, l.Err())
			}
		}
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestReadWhenAsked: a language is read when something is asked of it, once, whoever asks at the same time; its name takes less. One that
// cannot be read says everything in English.
func TestReadWhenAsked(t *testing.T) {
	reads := &counted{FS: files(map[string]string{
		"en": `{"language.name": "English", "plain": "Hello"}`, "de": `{"language.name": "Deutsch", "plain": "Hallo"}`,
		"fr": `{"language.name": "Français", "plain": "Salut"}`, "ja": `{"plain": 1`,
	})}
	c, err := Load(reads, "words")
	if err != nil {
		t.Fatal(err)
	}
	if l := c.Match("de-CH, fr;q=0.5"); l.Tag != "de" || l.RTL() || c.Language("fr") == nil || reads.of("de")+reads.of("fr") != 0 {
		t.Errorf("choosing %s read a file", l.Tag)
	}
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if got := c.Language("de").Text("plain"); got != "Hallo" {
				t.Errorf("%q", got)
			}
		})
	}
	all.Wait()
	if reads.of("en") != 1 || reads.of("de") != 1 || reads.of("fr") != 0 {
		t.Errorf("read: %v", reads.n)
	}
	if l := c.Language("fr"); l.Name() != "Français" || l.texts != nil {
		t.Errorf("%q, and %d texts", l.Name(), len(l.texts))
	}
	if l := c.Language("ja"); l.Text("plain") != "Hello" || l.Err() == nil || l.Name() != "" {
		t.Errorf("%q, %v", l.Text("plain"), l.Err())
	}
}

// counted counts the files that are opened.
type counted struct {
	fs.FS
	mu sync.Mutex
	n  map[string]int
}

func (c *counted) Open(name string) (fs.File, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = map[string]int{}
	}
	c.n[name]++
	return c.FS.Open(name)
}

func (c *counted) of(tag string) int { return c.n["words/"+tag+".json"] }

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
