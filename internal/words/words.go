// Package words holds what pages and mails say, in every language that there is a file for.
//
// A catalogue is a directory of files of go-i18n (v2, JSON), each named after the BCP 47 tag of its language: en.json, pt-BR.json. English
// is complete, and says what a text takes: {{.Name}} stands for a value, and the values come in the order in which English names
// them first, so that a translation may have them in any other. A text that depends on a number has the plural forms of CLDR that its
// language needs, and {{.Count}} for the number.
//
// A file is read when somebody first asks for its language, and once. After that a text is one look-up in a map: go-i18n's own Localizer would
// match the language and run a template at each call, and brings 110 KB to the binary. The rules of plurals are those of golang.org/x/text.
package words

import (
	"fmt"
	"io/fs"
	"iter"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/text/feature/plural"
	"golang.org/x/text/language"
)

// English is the tag of the language that every catalogue has.
const English = "en"

// Catalogue is a set of languages. It does not change, but for what it remembers. It may be used from several goroutines.
type Catalogue struct {
	languages []*Language // English first, the others by tag
	matcher   language.Matcher
	files     fs.FS
	values    map[string][]string // names of the values of each text that has some, as English names them

	mu      sync.Mutex
	matched map[string]*Language // by Accept-Language
}

// Language is what is said in one language. Its file is read when something is first asked of it; Tag, Name and RTL take less. Its zero
// value says nothing.
type Language struct {
	Tag      string // BCP 47
	tag      language.Tag
	rtl      bool
	fallback *Language // English, for what is not translated yet; nil in English itself

	catalogue *Catalogue // nil for the zero value
	file      string
	once      sync.Once
	err       error // why the file could not be read
	texts     map[key]phrase
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
	_, ok := l.all()[key{id: id}]
	return ok || l.fallback != nil && l.fallback.Has(id)
}

// IDs are those of all texts, each once.
func (l *Language) IDs() iter.Seq[string] {
	return func(yield func(string) bool) {
		for k := range l.all() {
			if k.form == plural.Other && !yield(k.id) {
				return
			}
		}
	}
}

// Text is the text for id with args in place of its values; "" if there is none. An arg is a string, an int, or a list.
func (l *Language) Text(id string, args ...any) string {
	p, ok := l.all()[key{id: id}]
	if !ok && l.fallback != nil {
		return l.fallback.Text(id, args...)
	}
	return l.fill(p, args)
}

// Count is the text for n things: that of id.none, if there are none and it has one, else id in the plural form of n. Its first value is n;
// args are the further ones.
func (l *Language) Count(id string, n int, args ...any) string {
	if n == 0 && l.Has(id+".none") {
		return l.Text(id+".none", args...)
	}
	p, ok := l.all()[key{id, Form(l.tag, n)}]
	if !ok {
		p, ok = l.texts[key{id: id}]
	}
	if !ok && l.fallback != nil {
		return l.fallback.Count(id, n, args...)
	}
	return l.fill(p, append([]any{n}, args...))
}

// The rules of golang.org/x/text are those of CLDR 32. Since 38 whole millions have a form of their own in these languages: "un million de jours".
const millions = " ca es fr it pt "

// Form is the plural form of n things in a language, by CLDR.
func Form(tag language.Tag, n int) plural.Form {
	n = max(n, 0)
	if base, _ := tag.Base(); n > 0 && n%1e6 == 0 && strings.Contains(millions, " "+base.String()+" ") {
		return plural.Many
	}
	return plural.Cardinal.MatchPlural(tag, n, 0, 0, 0, 0)
}

// List is words one after the other, parted as the language does.
func (l *Language) List(words []string) string {
	return l.join(words, "list.pair", "list.pair", "list.pair")
}

// Either is words of which one is enough: "A, B or C".
func (l *Language) Either(words []string) string {
	return l.join(words, "list.or", "list.or.more", "list.or.last")
}

// join adds one word after the other by the texts for two words, for one more, and for the last of more than two, as the patterns of lists
// in CLDR are built. A Language without texts parts by commas.
func (l *Language) join(words []string, two, more, last string) (all string) {
	for i, word := range words {
		id := more
		switch {
		case i == 0:
			all = word
			continue
		case len(words) == 2:
			id = two
		case i == len(words)-1:
			id = last
		}
		if joined := l.Text(id, all, word); joined != "" {
			all = joined
		} else {
			all += ", " + word
		}
	}
	return all
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

// Apart is a value by itself, beside a text or at the end of a line: nothing of it is moved by what surrounds it.
func (l *Language) Apart(value string) string {
	if l.rtl && value != "" {
		return isolate + value + endIsolate
	}
	return value
}

func (l *Language) value(arg any) string {
	switch v := arg.(type) {
	case string:
		return l.Apart(v)
	case []string:
		return l.value(l.List(v))
	case int:
		return strconv.Itoa(v) // in each language that there is, as long as nothing is counted in thousands
	}
	return fmt.Sprint(arg)
}
