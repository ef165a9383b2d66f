package rig

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/net/html"
)

// Page is an answer, read completely.
type Page struct {
	Status int
	Header http.Header
	Body   []byte
	URL    *url.URL // after redirects

	visitor *Visitor
	root    *html.Node
}

// ErrNotOnPage means that the page has no such form, field or element.
var ErrNotOnPage = errors.New("not on the page")

func (p *Page) tree() *html.Node {
	if p.root == nil {
		p.root, _ = html.Parse(bytes.NewReader(p.Body)) // it reports only errors of the reader
	}
	return p.root
}

// Heading is the text of the first h1.
func (p *Page) Heading() string {
	for n := range p.tree().Descendants() {
		if n.Data == "h1" {
			return text(n)
		}
	}
	return ""
}

// Text is everything on the page that people read.
func (p *Page) Text() string { return text(p.tree()) }

// Form finds a form by the words on one of its buttons.
func (p *Page) Form(button string) (*Form, error) {
	for n := range p.tree().Descendants() {
		if n.Data != "form" {
			continue
		}
		for b := range n.Descendants() {
			if b.Data == "button" && text(b) == button {
				return newForm(p, n, b)
			}
		}
	}
	return nil, fmt.Errorf("button %q: %w (%d %s: %s)", button, ErrNotOnPage, p.Status, p.URL.Path, p.Text())
}

// Link returns the address behind a link by its words.
func (p *Page) Link(words string) (string, error) {
	for n := range p.tree().Descendants() {
		if n.Data == "a" && text(n) == words {
			u, err := p.URL.Parse(attr(n, "href"))
			if err != nil {
				return "", err
			}
			return u.String(), nil
		}
	}
	return "", fmt.Errorf("link %q: %w (%s)", words, ErrNotOnPage, p.URL.Path)
}

// Image returns the address of an image by its alternative text.
func (p *Page) Image(alt string) (string, error) {
	for n := range p.tree().Descendants() {
		if n.Data == "img" && attr(n, "alt") == alt {
			return attr(n, "src"), nil
		}
	}
	return "", fmt.Errorf("image %q: %w (%s)", alt, ErrNotOnPage, p.URL.Path)
}

// Form is a form to fill in. Values begin with what the page put there and with the button's own name and value.
type Form struct {
	Action *url.URL
	Method string // GET or POST
	Values url.Values
	Key    []byte // of a form that asks for a security key: the options, as JSON

	page   *Page
	labels map[string]string // of visible fields: their words and the name
}

func newForm(p *Page, n, button *html.Node) (*Form, error) {
	f := &Form{page: p, Values: url.Values{}, labels: map[string]string{}, Method: strings.ToUpper(attr(n, "method")), Key: []byte(attr(n, "data-options"))}
	action, method := attr(n, "action"), attr(button, "formaction")
	if method != "" {
		action = method
	}
	u, err := p.URL.Parse(action)
	if err != nil {
		return nil, err
	}
	f.Action = u
	ids := map[string]string{}
	for c := range n.Descendants() {
		name := attr(c, "name")
		if c.Data != "input" && c.Data != "textarea" && c.Data != "select" || name == "" {
			continue
		}
		ids[attr(c, "id")] = name
		if kind := attr(c, "type"); kind != "checkbox" && kind != "radio" || hasAttr(c, "checked") {
			f.Values.Set(name, attr(c, "value"))
		}
	}
	if name := attr(button, "name"); name != "" {
		f.Values.Set(name, attr(button, "value"))
	}
	for c := range n.Descendants() {
		if c.Data == "label" {
			f.labels[text(c)] = ids[attr(c, "for")]
		}
	}
	return f, nil
}

// Set fills the field with that label.
func (f *Form) Set(label, value string) error {
	name := f.labels[label]
	if name == "" {
		return fmt.Errorf("field %q: %w (%s has %v)", label, ErrNotOnPage, f.page.URL.Path, f.labels)
	}
	f.Values.Set(name, value)
	return nil
}

func attr(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

func hasAttr(n *html.Node, key string) bool {
	for _, a := range n.Attr {
		if a.Key == key {
			return true
		}
	}
	return false
}

// text joins what n shows, with single spaces.
func text(n *html.Node) string {
	var b strings.Builder
	var walk func(*html.Node)
	walk = func(n *html.Node) {
		switch {
		case n.Type == html.TextNode:
			b.WriteString(n.Data)
		case n.Data == "script" || n.Data == "style" || n.Data == "head":
			return
		}
		for c := range n.ChildNodes() {
			walk(c)
		}
		if n.Type == html.ElementNode && n.Data != "a" && n.Data != "b" && n.Data != "code" && n.Data != "span" {
			b.WriteByte(' ')
		}
	}
	walk(n)
	return strings.Join(strings.Fields(b.String()), " ")
}
