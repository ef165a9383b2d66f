package caddymodule

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// write puts a file into a new directory, and returns both.
func write(t *testing.T, name, text string) (dir, path string) {
	t.Helper()
	dir = t.TempDir()
	path = filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir, path
}

func TestBrandIsChecked(t *testing.T) {
	const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"/>`
	_, logo := write(t, "logo.svg", svg)
	_, large := write(t, "logo.svg", svg+strings.Repeat(" ", 64<<10))
	_, page := write(t, "logo.svg", "<html></html>")
	_, open := write(t, "logo.svg", strings.Replace(svg, "/>", ">", 1))
	_, empty := write(t, "logo.svg", "")
	t.Setenv("LOGO", logo)
	for name, tc := range map[string]struct {
		brand Brand
		want  string
	}{
		"all":           {Brand{logo, "#ffcc00", "#102030", "Example Corp", []Link{{"Imprint", "https://example.com"}}}, ""},
		"a placeholder": {Brand{Logo: "{env.LOGO}"}, ""},
		"not set":       {Brand{Logo: "{env.NO_LOGO}"}, "option brand: logo"},
		"no file":       {Brand{Logo: logo + ".gone"}, "option brand: logo: open "},
		"too large":     {Brand{Logo: large}, "option brand: logo: " + large + ": the logo has more than 64 KiB"},
		"not a logo":    {Brand{Logo: page}, "option brand: logo: " + page + ": the logo is neither an SVG nor a PNG file"},
		"broken":        {Brand{Logo: open}, "option brand: logo: " + open + ": the SVG is broken: XML syntax error on line 1: unexpected EOF"},
		"empty":         {Brand{Logo: empty}, "logo.svg is empty"},
		"colour":        {Brand{Accent: "blue"}, `option brand: "blue" is not a colour`},
		"link":          {Brand{Links: []Link{{"x", "javascript:alert(1)"}}}, "is not an address such as"},
		"footer":        {Brand{Footer: "a\nb"}, "the footer is one line"},
	} {
		err := (&App{Brand: &tc.brand}).prepare(caddy.NewReplacer())
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s: got %v, want %s", name, err, tc.want)
		}
	}
}

func TestShaded(t *testing.T) {
	for accent, want := range map[string]string{
		"":        "",
		"#ffcc00": "the accent #ffcc00 cannot be read well on light pages; it becomes #ad8b00 there",
		"#3b53c4": "the accent #3b53c4 cannot be read well on dark pages; it becomes #405ad5 there",
		"#5f74e6": "",
		"#5F74E6": "",
		"#3B53C4": "the accent #3B53C4 cannot be read well on dark pages; it becomes #405ad5 there",
		"#fc0":    "the accent #fc0 cannot be read well on light pages; it becomes #ad8b00 there",
		"#FFCC00": "the accent #FFCC00 cannot be read well on light pages; it becomes #ad8b00 there",
	} {
		if got := shaded(accent); got != want {
			t.Errorf("%s: %s, want %s", accent, got, want)
		}
	}
}

func TestTemplatesAreTried(t *testing.T) {
	good, _ := write(t, "message.html", `{{define "content"}}<h1>{{.Title}}</h1>{{.Body.Text}}{{.Body.Todo}}{{.Body.ErrorID}}{{end}}`)
	bad, _ := write(t, "message.html", "{{define \"content\"}}<h1>{{.Title}}</h1>\n{{.Body.Txet}}{{end}}")
	for dir, want := range map[string]string{
		good:           "",
		bad:            "option templates: " + bad + ": template: message.html:2:7: ",
		good + "/gone": "option templates: " + good + "/gone: ",
	} {
		err := (&App{Templates: dir}).prepare(caddy.NewReplacer())
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
