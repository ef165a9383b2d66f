package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestRewrite(t *testing.T) {
	proofs := tagged([]byte(`package p

func TestA(t *testing.T) { // S17, S33
	t.Run("b", func(t *testing.T) {}) // S5
}

// S9 outside of a test proves nothing.
func helper() {}
`), "auth")
	got := string(rewrite([]byte("| S17 | once | old |\n| S9 | none |  |\n| other | x | y |\n"), proofs))
	if want := "| S17 | once | TestA (auth) |\n| S9 | none |  |\n| other | x | y |\n"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if !slices.Equal(proofs["S5"], []string{"TestA (auth)"}) {
		t.Errorf("S5 is proven by %q", proofs["S5"])
	}
}

// TestPageIsTrue keeps the page from naming tests that are gone, and from lacking a line that tests prove. A test that is missing
// in its line is added by `make generate`.
func TestPageIsTrue(t *testing.T) {
	root := filepath.Join("..", "..")
	text, err := os.ReadFile(filepath.Join(root, page))
	if err != nil {
		t.Fatal(err)
	}
	proofs, err := collect(root)
	if err != nil {
		t.Fatal(err)
	}
	rows := row.FindAllSubmatch(text, -1)
	if len(rows) < 50 {
		t.Fatalf("%s holds %d requirements", page, len(rows))
	}
	listed := map[string]bool{}
	for _, m := range rows {
		listed[string(m[2])] = true
		cells := strings.Split(strings.Trim(string(m[0]), "| "), "|")
		for named := range strings.SplitSeq(strings.TrimSpace(cells[len(cells)-1]), ", ") {
			if strings.HasPrefix(named, "Test") && !slices.Contains(proofs[string(m[2])], named) {
				t.Errorf("%s names %s for %s, which does not exist; run make generate", page, named, m[2])
			}
		}
	}
	for id, tests := range proofs {
		if !listed[id] {
			t.Errorf("%s has no line %s, which %s proves", page, id, tests[0])
		}
	}
}
