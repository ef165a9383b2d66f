package loginui

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/internal/words"
	"github.com/caddy-mfa/caddy-mfa/internal/words/wordstest"
)

// TestSentences: what auth and the methods say to people stands in the catalogue, in the same words, with the same values.
func TestSentences(t *testing.T) {
	found := map[string]bool{}
	for _, dir := range []string{"../internal/auth", "../internal/method"} {
		sources, err := filepath.Glob(dir + "/*.go")
		if err != nil || len(sources) == 0 {
			t.Fatal(sources, err)
		}
		for _, file := range sources {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			tree, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(tree, func(n ast.Node) bool {
				if call, ok := n.(*ast.CallExpr); ok {
					checkSentence(t, file, call, found)
				}
				return true
			})
		}
	}
	for id := range english.IDs() {
		if (strings.HasPrefix(id, "invalid.") || strings.HasPrefix(id, "hint.")) && !found[id] {
			t.Errorf("%s is said by nobody", id)
		}
	}
}

// checkSentence looks at a call of NewInvalid, NewHint, or the shorthand of the password's policy.
func checkSentence(t *testing.T, file string, call *ast.CallExpr, found map[string]bool) {
	t.Helper()
	name := ""
	switch f := call.Fun.(type) {
	case *ast.Ident:
		name = f.Name
	case *ast.SelectorExpr:
		name = f.Sel.Name
	}
	at, ok := map[string]int{"NewInvalid": 1, "NewHint": 1, "unfit": 0}[name]
	if !ok || len(call.Args) < at+2 {
		return
	}
	literal := func(e ast.Expr) string {
		l, ok := e.(*ast.BasicLit)
		if !ok {
			return ""
		}
		s, err := strconv.Unquote(l.Value)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	id, text := literal(call.Args[at]), literal(call.Args[at+1])
	if id == "" { // the shorthand itself
		return
	}
	found[id] = true
	args := make([]any, len(call.Args)-at-2)
	for i := range args {
		args[i] = "{" + strconv.Itoa(i) + "}"
	}
	want := strings.NewReplacer(" min slow", " minutes slow", " min fast", " minutes fast").Replace(words.Fill(text, args...))
	if got := english.Text(id, args...); got != want {
		t.Errorf("%s: %s is %q, not %q as in the catalogue", file, id, want, got)
	}
}

func TestSentenceOf(t *testing.T) {
	x := &exchange{}
	for _, tt := range []struct {
		name string
		err  *auth.Invalid
		want string
	}{
		{"none", nil, ""},
		{"in the catalogue", auth.NewInvalid("", "invalid.invite", "x", "alice"), "This invitation is for alice."},
		{"one", auth.NewInvalid("", "hint.clock.slow", "x", 1), "Your phone's clock seems to be about 1 minute slow. Set its date and time to automatic, then enter the newest code."},
		{"for commands", &auth.Invalid{Text: "There is no room."}, "There is no room."},
		{"a list", auth.NewInvalid("", "invalid.off.required", "x", []string{"Keys", "Two factors"}), "Your administrator demands two-factor authentication: Keys, Two factors."},
		{"of a later version", auth.NewInvalid("", "invalid.nothing", "There are {{.Count}}.", 3), "There are 3."},
	} {
		if got := wordstest.Unmark(x.invalid(tt.err)); got != tt.want {
			t.Errorf("%s: %q", tt.name, got)
		}
	}
}
