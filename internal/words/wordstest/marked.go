package wordstest

import (
	"encoding/json"
	"io/fs"
	"path"
	"strings"
	"testing"
	"testing/fstest"
)

// What stands between marks came from a catalogue.
const open, shut = "⟦", "⟧"

// Marked are files with a mark at the begin and the end of each text: what a page or a mail shows outside of marks stands in no
// catalogue.
func Marked(files fs.FS, dir string) fs.FS {
	out := fstest.MapFS{}
	names, _ := fs.Glob(files, path.Join(dir, "*.json"))
	for _, name := range names {
		b, _ := fs.ReadFile(files, name)
		out[name] = &fstest.MapFile{Data: mark(b)}
	}
	return out
}

func mark(file []byte) []byte {
	texts := map[string]any{}
	if err := json.Unmarshal(file, &texts); err != nil {
		panic(err)
	}
	for id, text := range texts {
		switch text := text.(type) {
		case string:
			if id != "date.months" && id != "date.halves" { // lists, of which parts are shown
				texts[id] = open + text + shut
			}
		case map[string]any:
			for form, s := range text {
				text[form] = open + s.(string) + shut
			}
		}
	}
	b, err := json.Marshal(texts)
	if err != nil {
		panic(err)
	}
	return b
}

// Unmark is s without the marks.
func Unmark(s string) string { return strings.NewReplacer(open, "", shut, "").Replace(s) }

// Outside is what of s stands outside of marks. Marks may stand within others.
func Outside(t *testing.T, s string) string {
	t.Helper()
	var out strings.Builder
	depth := 0
	for _, r := range s {
		switch {
		case string(r) == open:
			depth++
		case string(r) == shut:
			depth--
		case depth == 0:
			out.WriteRune(r)
		}
	}
	if depth != 0 {
		t.Errorf("a text was cut: %q", s)
	}
	return out.String()
}
