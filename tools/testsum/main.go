// Command testsum reads the output of `go test -json` and prints it for people: the closing line of every package, everything a
// failing test said, and the totals. It exits 1 if a test failed, if one was skipped, or if none ran: a skipped test proves
// nothing.
//
//	go test -json ./... | go run ./tools/testsum
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
)

// event is one line of `go test -json`; see `go doc test2json`.
type event struct {
	Action  string `json:"Action"`
	Package string `json:"Package"`
	Test    string `json:"Test"`
	Output  string `json:"Output"`
}

// totals counts tests, subtests included, and whatever kept a package from passing.
type totals struct {
	passed, failed, skipped, broken int
}

func main() {
	t, err := summarize(os.Stdin, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "testsum:", err)
		os.Exit(2)
	}
	fmt.Printf("%d passed, %d failed, %d skipped\n", t.passed, t.failed, t.skipped)
	if !t.ok() {
		os.Exit(1)
	}
}

// ok reports whether the run proves anything.
func (t *totals) ok() bool {
	return t.passed > 0 && t.failed == 0 && t.skipped == 0 && t.broken == 0
}

// summarize copies what matters of r to w. Lines that are no JSON (a build that failed) are copied as they are.
func summarize(r io.Reader, w io.Writer) (totals, error) {
	var t totals
	said := map[string]*strings.Builder{} // output of tests and packages that have not ended
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			fmt.Fprintln(w, lines.Text())
			continue
		}
		key := e.Package + " " + e.Test
		switch e.Action {
		case "build-output":
			fmt.Fprint(w, e.Output)
		case "output":
			if e.Test == "" && closing(e.Output) {
				fmt.Fprint(w, e.Output)
				continue
			}
			if said[key] == nil {
				said[key] = new(strings.Builder)
			}
			said[key].WriteString(e.Output)
		case "pass", "fail", "skip":
			t.count(e)
			if e.Action == "fail" || e.Action == "skip" && e.Test != "" {
				if b := said[key]; b != nil {
					fmt.Fprint(w, b.String())
				}
			}
			delete(said, key)
		}
	}
	return t, lines.Err()
}

// count adds the end of a test or of a package.
func (t *totals) count(e event) {
	switch {
	case e.Test == "":
		if e.Action == "fail" {
			t.broken++
		}
	case e.Action == "pass":
		t.passed++
	case e.Action == "fail":
		t.failed++
	case e.Action == "skip":
		t.skipped++
	}
}

// closing reports whether line is the one that go test prints last for a package.
func closing(line string) bool {
	return strings.HasPrefix(line, "ok  \t") || strings.HasPrefix(line, "FAIL\t") || strings.HasPrefix(line, "?   \t")
}
