package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
)

// TestPagesOfOnesOwn changes a template and the logo of a running server: what a reload takes is served, and what it refuses changes nothing.
func TestPagesOfOnesOwn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	templates, logo := filepath.Join(dir, "pages"), filepath.Join(dir, "logo.svg")
	page := filepath.Join(templates, "message.html")
	write := func(file, text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	message := func(words string) string {
		return `{{define "content"}}<h1>{{.Title}}</h1><p>` + words + `</p>{{with .Body.Text}}<p>{{.}}</p>{{end}}{{with .Body.Todo}}<p>{{.}}</p>{{end}}{{.Body.ErrorID}}{{end}}`
	}
	circle := func(colour string) string {
		return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><circle cx="4" cy="4" r="4" fill="` + colour + `"/></svg>`
	}
	if err := os.Mkdir(templates, 0o700); err != nil {
		t.Fatal(err)
	}
	write(page, message("Call 1234."))
	write(logo, circle("red"))
	config := strings.Replace(rig.Gated, "\tauto_https off\n", "\tauto_https off\n\tmfa {\n\t\ttemplates "+templates+"\n\t\tbrand {\n\t\t\tlogo "+logo+"\n\t\t}\n\t}\n", 1)
	s := start(t, rig.Config{Caddyfile: config})
	alice, member := enrolled(t, s, "alice")

	v := rig.NewVisitor(s.URL)
	served := func(when, words, colour string) {
		t.Helper()
		p, err := v.Get(t.Context(), "/.mfa/nothing")
		if err != nil {
			t.Fatal(err)
		}
		if p.Status != http.StatusNotFound || !strings.Contains(string(p.Body), "<p>"+words+"</p>") || !strings.Contains(string(p.Body), "<h1>Page not found</h1>") {
			t.Errorf("%s: %d, want a page that says %q: %s", when, p.Status, words, p.Body)
		}
		_, src, _ := strings.Cut(string(p.Body), `<img src="`)
		src, _, _ = strings.Cut(src, `"`)
		if p, err = v.Fetch(t.Context(), src); err != nil {
			t.Fatal(err)
		}
		if p.Status != http.StatusOK || !strings.Contains(string(p.Body), `fill="`+colour+`"`) {
			t.Errorf("%s: the logo at %s is %d %s, want it %s", when, src, p.Status, p.Body, colour)
		}
	}
	served("at the start", "Call 1234.", "red")

	write(page, message("Call 5678."))
	write(logo, circle("blue"))
	served("before the reload", "Call 1234.", "red")
	if err := s.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	served("after the reload", "Call 5678.", "blue")

	for _, tc := range []struct{ name, file, text, good, says string }{
		{"a field that there is not", page, "{{define \"content\"}}<h1>{{.Title}}</h1>\n{{.Body.Txet}}{{end}}", message("Call 5678."), "option templates: " + templates + ": template: message.html:2:"},
		{"an end that is missing", page, `{{define "content"}}<h1>{{.Title}}</h1>`, message("Call 5678."), "option templates: " + templates + ": template: message.html:1"},
		{"a script in the page", page, `{{define "content"}}<h1>{{.Title}}</h1><script>alert(1)</script>{{end}}`, message("Call 5678."), "option templates: " + templates + ": "},
		{"a logo that is none", logo, "<html></html>", circle("blue"), "option brand: logo: " + logo + ": the logo is neither an SVG nor a PNG file"},
		{"a logo that is cut off", logo, circle("green")[:80], circle("blue"), "option brand: logo: " + logo + ": the SVG is broken: "},
	} {
		write(tc.file, tc.text)
		err := s.Reload(t.Context())
		if err == nil || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: the reload says %v, want %q", tc.name, err, tc.says)
		}
		served(tc.name, "Call 5678.", "blue")
		if !signedIn(t, member) {
			t.Errorf("%s: alice is signed out", tc.name)
		}
		write(tc.file, tc.good)
	}
	if err := s.Reload(t.Context()); err != nil {
		t.Errorf("mended, it does not reload: %v", err)
	}
	served("mended", "Call 5678.", "blue")
	b := open(t, s)
	b.signIn(alice)
}
