// Package wordstest checks the files of a catalogue: what translators may get wrong, and no compiler sees.
package wordstest

import (
	"encoding/json"
	"io/fs"
	"path"
	"strings"
	"testing"
)

// Check checks every file in the directory dir of files: a text a line, in the order of the ids, so that languages can be laid side by
// side, and no text is empty or begins or ends with a space.
func Check(t *testing.T, files fs.FS, dir string) {
	t.Helper()
	names, err := fs.Glob(files, path.Join(dir, "*.json"))
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		b, err := fs.ReadFile(files, name)
		if err != nil {
			t.Fatal(err)
		}
		checkLines(t, name, string(b))
	}
}

func checkLines(t *testing.T, name, file string) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(file, "\n"), "\n")
	if lines[0] != "{" || lines[len(lines)-1] != "}" {
		t.Fatalf("%s: the brackets do not stand on lines of their own", name)
	}
	last := ""
	for i, line := range lines[1 : len(lines)-1] {
		var entry map[string]any
		if err := json.Unmarshal([]byte("{"+strings.TrimSuffix(line, ",")+"}"), &entry); err != nil || len(entry) != 1 {
			t.Errorf("%s, line %d: not one text: %v", name, i+2, err)
			continue
		}
		for id, text := range entry {
			if id <= last {
				t.Errorf("%s, line %d: %s stands after %s: keep the ids in order, each once", name, i+2, id, last)
			}
			last = id
			texts, plural := text.(map[string]any)
			if !plural {
				texts = map[string]any{"": text}
			}
			for _, text := range texts {
				if s, ok := text.(string); !ok || s == "" || s != strings.TrimSpace(s) {
					t.Errorf("%s: %s is %q", name, id, text)
				}
			}
		}
	}
}
