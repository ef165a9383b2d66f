// Package words holds what pages and mails say, in every language that there is a file for.
//
// A catalogue is a directory of files of go-i18n (v2, JSON), each named after the BCP 47 tag of its language: en.json, pt-BR.json. English
// is complete, and says what a text takes: {{.Name}} stands for a value, and the values come in the order in which English names
// them first, so that a translation may have them in any other. A text that depends on a number has the plural forms of CLDR that its
// language needs, and {{.Count}} for the number.
//
// Files are read once. After that a text is one look-up in a map: go-i18n's own Localizer would match the language and run a
// template at each call, and brings 110 KB to the binary. The rules of plurals are those of golang.org/x/text.
package words

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/nicksnyder/go-i18n/v2/i18n"
	"golang.org/x/text/feature/plural"
	"golang.org/x/text/language"
)

// English is the tag of the language that every catalogue has.
const English = "en"

// Catalogue is a set of languages. It does not change, but for what it remembers. It may be used from several goroutines.
type Catalogue struct {
	languages []*Language // English first, the others by tag
	matcher   language.Matcher

	mu      sync.Mutex
	matched map[string]*Language // by Accept-Language
}

// Language is what is said in one language. It does not change. Its zero value says nothing.
type Language struct {
	Tag      string // BCP 47
	tag      language.Tag
	rtl      bool
	fallback *Language // English, for what is not translated yet; nil in English itself
	texts    map[key]phrase
}

// key names a phrase: a text that depends on no number has the form Other alone.
type key struct {
	id   string
	form plural.Form
}

// phrase is a text with holes, in the order in which they stand.
type phrase struct {
	text  string
	holes []hole
}

type hole struct{ at, arg int } // where in the text, and which value

// Load reads the catalogue in the directory dir of files.
func Load(files fs.FS, dir string) (*Catalogue, error) {
	names, err := fs.Glob(files, path.Join(dir, "*.json"))
	if err != nil {
		return nil, fmt.Errorf("looking for languages: %w", err)
	}
	first := path.Join(dir, English+".json")
	i := slices.Index(names, first)
	if i < 0 {
		return nil, fmt.Errorf("there is no %s", first)
	}
	names = slices.Insert(slices.Delete(names, i, i+1), 0, first)
	c := &Catalogue{}
	var tags []language.Tag
	values := map[string][]string{}
	for _, name := range names {
		l, err := load(files, name, values)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", name, err)
		}
		if len(c.languages) > 0 {
			l.fallback = c.languages[0]
		}
		c.languages, tags = append(c.languages, l), append(tags, l.tag)
	}
	c.matcher = language.NewMatcher(tags)
	return c, nil
}

// load reads one file. English, which is read first, fills in values: the names of the values of each text.
func load(files fs.FS, name string, values map[string][]string) (*Language, error) {
	b, err := fs.ReadFile(files, name)
	if err != nil {
		return nil, err
	}
	f, err := i18n.ParseMessageFileBytes(b, name, nil)
	if err != nil {
		return nil, err
	}
	if f.Tag == language.Und {
		return nil, errors.New("its name is no language")
	}
	l := &Language{Tag: f.Tag.String(), tag: f.Tag, rtl: rightToLeft(f.Tag), texts: make(map[key]phrase, len(f.Messages))}
	for _, m := range f.Messages {
		if l.Tag == English {
			values[m.ID] = names(m.Other)
			values[dateTime] = dateParts
		}
		for form, text := range forms(m) {
			if text == "" {
				continue
			}
			p, err := parse(text, values[m.ID])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", m.ID, err)
			}
			l.texts[key{m.ID, plural.Form(form)}] = p
		}
	}
	return l, nil
}

// forms are the texts of m by plural.Form.
func forms(m *i18n.Message) [6]string {
	return [6]string{plural.Other: m.Other, plural.Zero: m.Zero, plural.One: m.One, plural.Two: m.Two, plural.Few: m.Few, plural.Many: m.Many}
}

const opening, closing = "{{.", "}}"

// names are those of the values of text, each once.
func names(text string) (all []string) {
	for {
		_, rest, found := strings.Cut(text, opening)
		if !found {
			return all
		}
		name, after, _ := strings.Cut(rest, closing)
		if !slices.Contains(all, name) {
			all = append(all, name)
		}
		text = after
	}
}

// parse finds the holes of text, which are for values.
func parse(text string, values []string) (p phrase, err error) {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, opening)
		b.WriteString(before)
		if !found {
			break
		}
		name, after, closed := strings.Cut(rest, closing)
		arg := slices.Index(values, name)
		if !closed || arg < 0 {
			return p, fmt.Errorf("there is no value {{.%s}}", name)
		}
		p.holes = append(p.holes, hole{b.Len(), arg})
		text = after
	}
	if p.text = b.String(); strings.Contains(p.text, "{{") || strings.Contains(p.text, "}}") {
		return p, errors.New("a value is written {{.Name}}, and nothing else stands in such brackets")
	}
	return p, nil
}

// Fill is a text of no catalogue, with args in place of the values that it names, in the order in which it names them first.
func Fill(text string, args ...any) string {
	p, err := parse(text, names(text))
	if err != nil {
		return text
	}
	return new(Language).fill(p, args)
}

// Language is the one with that tag, nil if there is none.
func (c *Catalogue) Language(tag string) *Language {
	for _, l := range c.languages {
		if l.Tag == tag {
			return l
		}
	}
	return nil
}

// English is the language that is always there.
func (c *Catalogue) English() *Language { return c.languages[0] }

// Languages are all of them, English first. The slice is the catalogue's own.
func (c *Catalogue) Languages() []*Language { return c.languages }

// Has reports whether there is a text for id.
func (l *Language) Has(id string) bool {
	_, ok := l.texts[key{id: id}]
	return ok || l.fallback != nil && l.fallback.Has(id)
}

// IDs are those of all texts, each once.
func (l *Language) IDs() iter.Seq[string] {
	return func(yield func(string) bool) {
		for k := range l.texts {
			if k.form == plural.Other && !yield(k.id) {
				return
			}
		}
	}
}

// Text is the text for id with args in place of its values; "" if there is none. An arg is a string or an int.
func (l *Language) Text(id string, args ...any) string {
	p, ok := l.texts[key{id: id}]
	if !ok && l.fallback != nil {
		return l.fallback.Text(id, args...)
	}
	return l.fill(p, args)
}

// Count is the text for n things: that of id.none, if there are none and it has one, else id in the plural form of n.
func (l *Language) Count(id string, n int) string {
	if n == 0 && l.Has(id+".none") {
		return l.Text(id + ".none")
	}
	p, ok := l.texts[key{id, plural.Cardinal.MatchPlural(l.tag, max(n, 0), 0, 0, 0, 0)}]
	if !ok {
		p, ok = l.texts[key{id: id}]
	}
	if !ok && l.fallback != nil {
		return l.fallback.Count(id, n)
	}
	return l.fill(p, []any{n})
}

// Of text from right to left, what a value says must not turn the words around it: it is set apart (UAX #9, section 2.7).
const isolate, endIsolate = "\u2068", "\u2069"

// fill puts args into the holes of p.
func (l *Language) fill(p phrase, args []any) string {
	if len(p.holes) == 0 {
		return p.text
	}
	var b strings.Builder
	at := 0
	for _, h := range p.holes {
		b.WriteString(p.text[at:h.at])
		if at = h.at; h.arg < len(args) {
			b.WriteString(l.value(args[h.arg]))
		}
	}
	b.WriteString(p.text[at:])
	return b.String()
}

func (l *Language) value(arg any) string {
	switch v := arg.(type) {
	case string:
		if l.rtl && v != "" {
			return isolate + v + endIsolate
		}
		return v
	case int:
		return strconv.Itoa(v) // in each language that there is, as long as nothing is counted in thousands
	}
	return fmt.Sprint(arg)
}
