// Command provenby writes into docs/security.md which tests prove each requirement. Tests name the line they prove in a comment:
//
//	func TestTOTPUsedOnce(t *testing.T) { // S17
//
// The table's rows begin with "| S17 |"; their last column is written, the rest is kept. `make generate` runs it.
package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

//go:generate go run . ../..

const page = "docs/security.md"

func main() {
	root := "."
	if len(os.Args) > 1 {
		root = os.Args[1]
	}
	if err := update(root); err != nil {
		fmt.Fprintln(os.Stderr, "provenby:", err)
		os.Exit(1)
	}
}

func update(root string) error {
	proofs, err := collect(root)
	if err != nil {
		return err
	}
	name := filepath.Join(root, page)
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	return os.WriteFile(name, rewrite(text, proofs), 0o644)
}

var (
	testFunc    = regexp.MustCompile(`^func ((?:Test|Fuzz)\w+)\(`)
	comment     = regexp.MustCompile(`// (.*)$`)
	requirement = regexp.MustCompile(`\bS[0-9]+\b`)
	row         = regexp.MustCompile(`(?m)^(\| (S[0-9]+) \|.*\|)[^|]*\|$`)
)

// collect returns the tests of each requirement, as "TestName (folder)".
func collect(root string) (map[string][]string, error) {
	proofs := map[string][]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "provenby") {
			return fs.SkipDir // the latter's tests name requirements as examples
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		for id, tests := range tagged(text, filepath.ToSlash(dir)) {
			proofs[id] = append(proofs[id], tests...)
		}
		return nil
	})
	for id := range proofs {
		slices.Sort(proofs[id])
		proofs[id] = slices.Compact(proofs[id])
	}
	return proofs, err
}

// tagged finds the requirements that comments inside the tests of one file name.
func tagged(text []byte, dir string) map[string][]string {
	found := map[string][]string{}
	test := ""
	for line := range bytes.Lines(text) {
		line = bytes.TrimRight(line, "\n")
		if m := testFunc.FindSubmatch(line); m != nil {
			test = string(m[1])
		} else if len(line) > 0 && line[0] == '}' {
			test = ""
		}
		if m := comment.FindSubmatch(line); m != nil && test != "" {
			for _, id := range requirement.FindAllString(string(m[1]), -1) {
				found[id] = append(found[id], fmt.Sprintf("%s (%s)", test, dir))
			}
		}
	}
	return found
}

// rewrite replaces the last column of the table's rows.
func rewrite(text []byte, proofs map[string][]string) []byte {
	return row.ReplaceAllFunc(text, func(line []byte) []byte {
		m := row.FindSubmatch(line)
		return fmt.Appendf(nil, "%s %s |", m[1], strings.Join(proofs[string(m[2])], ", "))
	})
}
