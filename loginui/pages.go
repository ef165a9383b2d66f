package loginui

import (
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"strings"
	"sync"
	"text/template/parse"
	"unicode/utf8"
)

//go:embed pages/*.html parts/*.html
var pageFiles embed.FS

// layoutFile is what all pages stand in.
const layoutFile = "layout.html"

// maxPage bounds the file of a page, in bytes.
const maxPage = 256 << 10

// Pages are the templates: one tree a page, the layout with that page's "content".
type Pages struct {
	trees map[string]*template.Template
}

// ours are the pages as they come.
var ours = sync.OnceValues(func() (*Pages, error) { return parsePages(nil) })

// OwnPages are the files of the pages as they come, for whoever wants to change some.
func OwnPages() fs.FS {
	files, err := fs.Sub(pageFiles, "pages")
	if err != nil {
		panic(err) // only a name that is no path is an error
	}
	return files
}

// LoadPages reads a directory of templates that stand in for ours, each by the name of its file, and tries them out: an error names the
// file, and the line and field, the form and its field, or else what is missing.
func LoadPages(dir fs.FS) (*Pages, error) {
	entries, err := fs.ReadDir(dir, ".")
	if err != nil {
		return nil, err
	}
	over := map[string]string{}
	for _, e := range entries {
		name := e.Name()
		if strings.HasPrefix(name, ".") { // of editors and file managers
			continue
		}
		if _, err := fs.Stat(pageFiles, "pages/"+name); err != nil || !strings.HasSuffix(name, ".html") {
			return nil, fmt.Errorf("%s: there is no page of that name", name)
		}
		text, err := fs.ReadFile(dir, name)
		if err != nil {
			return nil, err
		}
		if len(text) > maxPage || !utf8.Valid(text) {
			return nil, fmt.Errorf("%s: a page is UTF-8, and has at most %d KiB", name, maxPage>>10)
		}
		over[name] = string(text)
	}
	p, err := parsePages(over)
	if err != nil {
		return nil, err
	}
	changed := func(name string) bool {
		text, ok := over[name]
		own, _ := pageFiles.ReadFile("pages/" + name)
		return ok && text != string(own)
	}
	layout := changed(layoutFile)
	for _, name := range sorted(p.trees) {
		page := changed(name + ".html")
		where := name + ".html"
		switch {
		case page && layout:
			where += " in " + layoutFile
		case layout:
			where = layoutFile + " around " + where
		case !page:
			continue
		}
		if err := p.try(name, where); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// parsePages makes the trees, of the files in over and else of ours.
func parsePages(over map[string]string) (*Pages, error) {
	read := func(name string) string {
		if text, ok := over[name]; ok {
			return text
		}
		text, _ := pageFiles.ReadFile("pages/" + name)
		return string(text)
	}
	parts, err := template.ParseFS(pageFiles, "parts/*.html")
	if err != nil {
		return nil, err
	}
	layout, err := parts.New(layoutFile).Parse(read(layoutFile))
	if err != nil {
		return nil, err
	}
	files, err := pageFiles.ReadDir("pages")
	if err != nil {
		return nil, err
	}
	p := &Pages{map[string]*template.Template{}}
	for _, f := range files {
		if f.Name() == layoutFile {
			continue
		}
		t := template.Must(layout.Clone())
		var blank *parse.Tree
		if block := t.Lookup("content"); block != nil {
			blank = block.Tree
		}
		t, err := t.New(f.Name()).Parse(read(f.Name()))
		if err != nil {
			return nil, err
		}
		if t.Tree != nil && !parse.IsEmptyTree(t.Tree.Root) {
			return nil, fmt.Errorf(`%s: something stands outside of {{define "content"}}, where nothing shows it`, f.Name())
		}
		if content := t.Lookup("content"); content == nil || content.Tree == blank {
			return nil, fmt.Errorf(`%s: {{define "content"}} is missing or empty, and the page would be blank`, f.Name())
		}
		p.trees[strings.TrimSuffix(f.Name(), ".html")] = t
	}
	return p, nil
}
