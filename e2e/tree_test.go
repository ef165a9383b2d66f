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

// found is what a screen reader tells of one thing on a page.
type found struct {
	role, name, description string
	properties              []string
}

func (f found) String() string {
	line := f.role
	if f.name != "" {
		line += fmt.Sprintf(" %q", steady(f.name))
	}
	if f.description != "" {
		line += fmt.Sprintf(" described %q", steady(f.description))
	}
	return strings.Join(append([]string{line}, f.properties...), " ")
}

// readOut is the page's accessibility tree as lines in reading order: role, name, and what is said beside it.
func (b *tab) readOut() string {
	b.t.Helper()
	// A browser puts the focus where the page wants it with its first frame.
	b.ready()
	b.do(chromedp.Poll[chromedp.Void](`![...document.querySelectorAll("[autofocus]")].some(e => e.checkVisibility()) || document.activeElement !== document.body`))
	var lines strings.Builder
	for _, f := range b.finds() {
		fmt.Fprintln(&lines, f)
	}
	return lines.String()
}

// finds is what a screen reader finds on the page, in its order. Texts have the role "text".
func (b *tab) finds() (all []found) {
	b.t.Helper()
	tree := run(b, accessibilityTree)
	nodes := map[accessibility.NodeID]*accessibility.Node{}
	for _, n := range tree.Nodes {
		nodes[n.NodeID] = n
	}
	var read func(n *accessibility.Node, said string)
	read = func(n *accessibility.Node, said string) {
		if n == nil {
			return
		}
		f := found{role: word(n.Role), name: strings.TrimSpace(word(n.Name))}
		switch {
		case n.Ignored || slices.Contains(silent, f.role), f.role == "":
		case f.role == "StaticText":
			if f.name != "" && !strings.Contains(said, f.name) {
				all = append(all, found{role: "text", name: f.name})
			}
		default:
			f.description = word(n.Description)
			for _, p := range n.Properties {
				value := word(p.Value)
				if !slices.Contains(spoken, string(p.Name)) || value == "" || p.Name == "focused" && f.role == "RootWebArea" || value == "false" && p.Name != "expanded" && p.Name != "pressed" {
					continue
				}
				f.properties = append(f.properties, fmt.Sprintf("%s=%s", p.Name, value))
			}
			all = append(all, f)
			said = f.name
		}
		for _, id := range n.ChildIDs {
			read(nodes[id], said)
		}
	}
	if len(tree.Nodes) > 0 {
		read(tree.Nodes[0], "")
	}
	return all
}

// readsLike fails the test unless a screen reader finds on this tab's page, in another language, what it finds on the other tab's, in the same
// order. Where texts end within a sentence is up to the language.
func (b *tab) readsLike(other *tab, page string) {
	b.t.Helper()
	controls := func(all []found) []found {
		all = slices.DeleteFunc(all, func(f found) bool { return f.role == "text" })
		for i := range all {
			all[i].properties = slices.DeleteFunc(all[i].properties, func(p string) bool { return p == "focused=true" }) // where a person was
		}
		return all
	}
	got, want := controls(b.finds()), controls(other.finds())
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got) || i >= len(want) || got[i].role != want[i].role || !slices.Equal(got[i].properties, want[i].properties):
			b.t.Errorf("a screen reader finds on page %s\n%q, in English\n%q", page, got[min(i, len(got)):], want[min(i, len(want)):])
			return
		case !b.translates(want[i].name, got[i].name), want[i].description != got[i].description && !b.translates(want[i].description, got[i].description): // the name of a key, say
			b.t.Errorf("on page %s a screen reader tells %s, in English %s", page, got[i], want[i])
		}
	}
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
