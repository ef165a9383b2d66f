package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var fenced = regexp.MustCompile("(?ms)^( *)```caddyfile\n(.*?)\n *```$")

// TestExamplesInDocs adapts every Caddyfile that the pages show, and checks that it is formatted as `caddy fmt` does it.
func TestExamplesInDocs(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, name := range append(pages, "../README.md", "../Caddyfile.example") {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		examples := [][]byte{text}
		if filepath.Ext(name) == ".md" {
			examples = nil
			for _, m := range fenced.FindAllSubmatch(text, -1) {
				inner := bytes.ReplaceAll(append([]byte("\n"), m[2]...), append([]byte("\n"), m[1]...), []byte("\n"))
				examples = append(examples, append(inner[1:], '\n'))
			}
		}
		for _, example := range examples {
			found++
			run := func(args ...string) string {
				cmd := exec.CommandContext(t.Context(), binary, args...)
				cmd.Stdin = bytes.NewReader(example)
				var said bytes.Buffer
				cmd.Stderr = &said
				out, err := cmd.Output()
				if err != nil {
					t.Errorf("%s: caddy %s: %v: %s\n%s", name, strings.Join(args, " "), err, said.Bytes(), example)
				}
				return string(out)
			}
			if formatted := run("fmt", "-"); formatted != string(example) {
				t.Errorf("%s: caddy fmt makes it\n%s", name, formatted)
			}
			run("adapt", "--adapter", "caddyfile", "--config", "-")
		}
	}
	if found < 6 {
		t.Errorf("only %d Caddyfiles found", found)
	}
}
