package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/chromedp"
)

// renew makes the trees in testdata, and the pictures in docs, those of this run.
var renew = flag.Bool("renew", false, "renew testdata and the pictures in docs")

// trees is where stands what a screen reader finds on a page, line by line in its order: one file a picture. A picture without a file is one
// of a page that another file shows in much the same state.
const trees = "testdata/trees"

// tree compares what a screen reader finds on the page with the file of that picture, if there is one.
func (b *tab) tree(p *photo) {
	b.t.Helper()
	file := filepath.Join(trees, p.Name+".txt")
	want, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	if err != nil {
		b.t.Fatal(err)
	}
	p.read = true
	got := b.readOut()
	if *renew {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			b.t.Fatal(err)
		}
	} else if got != string(want) {
		b.t.Errorf("a screen reader finds on page %s\n%s\nwant, as in %s (go test ./e2e -renew makes it so)\n%s", p.Name, got, file, want)
	}
}

// readOut is the page's accessibility tree as lines in reading order: role, name, and what is said beside it.
func (b *tab) readOut() string {
	b.t.Helper()
	// A browser puts the focus where the page wants it with its first frame.
	b.ready()
	b.do(chromedp.Poll[chromedp.Void](`![...document.querySelectorAll("[autofocus]")].some(e => e.checkVisibility()) || document.activeElement !== document.body`))
	found := run(b, accessibilityTree)
	nodes := map[accessibility.NodeID]*accessibility.Node{}
	for _, n := range found.Nodes {
		nodes[n.NodeID] = n
	}
	var lines strings.Builder
	var read func(n *accessibility.Node, said string)
	read = func(n *accessibility.Node, said string) {
		if n == nil {
			return
		}
		role, name := word(n.Role), strings.TrimSpace(word(n.Name))
		if n.Ignored || slices.Contains(silent, role) {
			role = ""
		}
		switch {
		case role == "StaticText" && (name == "" || strings.Contains(said, name)):
		case role == "StaticText":
			fmt.Fprintf(&lines, "text %q\n", steady(name))
		case role != "":
			fmt.Fprintf(&lines, "%s", role)
			if name != "" {
				fmt.Fprintf(&lines, " %q", steady(name))
			}
			if d := word(n.Description); d != "" {
				fmt.Fprintf(&lines, " described %q", steady(d))
			}
			for _, p := range n.Properties {
				value := word(p.Value)
				if !slices.Contains(spoken, string(p.Name)) || value == "" || p.Name == "focused" && role == "RootWebArea" || value == "false" && p.Name != "expanded" && p.Name != "pressed" {
					continue
				}
				fmt.Fprintf(&lines, " %s=%s", p.Name, value)
			}
			lines.WriteByte('\n')
			said = name
		}
		for _, id := range n.ChildIDs {
			read(nodes[id], said)
		}
	}
	if len(found.Nodes) > 0 {
		read(found.Nodes[0], "")
	}
	return lines.String()
}

func accessibilityTree(ctx context.Context, t *chromedp.Target) (accessibility.GetFullAXTreeResult, error) {
	return cdp.Call(ctx, t, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
}

// silent are roles of which a screen reader tells nothing but what is in them.
var silent = []string{"none", "generic", "InlineTextBox", "LineBreak", "ListMarker", "paragraph", "LabelText", "group", "strong", "time", "code"}

// spoken are the properties that a screen reader tells.
var spoken = []string{"level", "required", "invalid", "focused", "disabled", "expanded", "pressed", "checked", "readonly", "live", "atomic"}

// word is a value as text.
func word(v *accessibility.Value) string {
	if v == nil {
		return ""
	}
	var s any
	if err := json.Unmarshal([]byte(v.Value), &s); err != nil || s == nil {
		return ""
	}
	return fmt.Sprint(s)
}

// changing is what differs from run to run, and what stands for it.
var changing = []struct {
	what *regexp.Regexp
	as   string
}{
	{regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`), "TOKEN"},
	{regexp.MustCompile(`\b[0-9a-z]{5}-[0-9a-z]{5}-[0-9a-z]{5}\b`), "CODE"},
	{regexp.MustCompile(`\b([A-Z2-7]{4} ){7}[A-Z2-7]{4}\b`), "KEY"},
	{regexp.MustCompile(`\b[A-Z][a-z]{2} \d{1,2}, \d{4}(, \d{1,2}:\d\d\s[AP]M)?`), "TIME"},
	{regexp.MustCompile(`\b\d{1,2} [A-Z][a-z]{2} \d{4}, \d\d:\d\d UTC`), "TIME"},
	{regexp.MustCompile(`\b\d{6}\b`), "CODE"},
	{regexp.MustCompile(`^[a-z2-7]{4}-[a-z2-7]{4}$`), "ID"},
	{regexp.MustCompile(`\b\d+ left\b`), "N left"},
	{regexp.MustCompile(`localhost:\d+`), "localhost:PORT"},
	{regexp.MustCompile(`\d+ (seconds?|minutes?)`), "WAIT"},
	{regexp.MustCompile(`\bmfa_[0-9A-Za-z_-]{20,}`), "TOKEN"},
}

// steady is text without what differs from run to run.
func steady(text string) string {
	for _, c := range changing {
		text = c.what.ReplaceAllString(text, c.as)
	}
	return text
}
