package words

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/nicksnyder/go-i18n/v2/i18n"
	"golang.org/x/text/feature/plural"
	"golang.org/x/text/language"
)

// Load is the catalogue in the directory dir of files. It reads English; what is wrong with another language, Err says.
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
	c := &Catalogue{files: files, values: map[string][]string{dateTime: dateParts}}
	tags := make([]language.Tag, len(names))
	for i, name := range names {
		tag, err := language.Parse(strings.TrimSuffix(path.Base(name), ".json"))
		if err != nil {
			return nil, fmt.Errorf("%s is not named after a language: %w", name, err)
		}
		l := &Language{Tag: tag.String(), tag: tag, rtl: rightToLeft(tag), catalogue: c, file: name}
		if i > 0 {
			l.fallback = c.languages[0]
		}
		c.languages, tags[i] = append(c.languages, l), tag
	}
	c.matcher = language.NewMatcher(tags)
	return c, c.English().Err()
}

// Err is what is wrong with the file of the language, which then says everything in English.
func (l *Language) Err() error {
	l.all()
	return l.err
}

// all are the texts. The first call reads them.
func (l *Language) all() map[key]phrase {
	l.once.Do(func() {
		if l.catalogue == nil {
			return
		}
		if err := l.read(); err != nil {
			l.texts, l.err = nil, fmt.Errorf("reading %s: %w", l.file, err)
		}
	})
	return l.texts
}

// read reads the file. English, which is read before every other, fills in the names of values.
func (l *Language) read() error {
	b, err := fs.ReadFile(l.catalogue.files, l.file)
	if err != nil {
		return err
	}
	f, err := i18n.ParseMessageFileBytes(b, l.file, nil)
	if err != nil {
		return err
	}
	l.texts = make(map[key]phrase, len(f.Messages))
	values := l.catalogue.values
	for _, m := range f.Messages {
		if all := names(m.Other); l.fallback == nil && len(all) > 0 && m.ID != dateTime {
			values[m.ID] = all
		}
		for form, text := range forms(m) {
			if text == "" {
				continue
			}
			p, err := parse(text, values[m.ID])
			if err != nil {
				return fmt.Errorf("%s: %w", m.ID, err)
			}
			l.texts[key{m.ID, plural.Form(form)}] = p
		}
	}
	return nil
}

const languageName = "language.name"

// Name is what the language calls itself: the text for language.name, without reading all others.
func (l *Language) Name() (name string) {
	if l.catalogue == nil {
		return ""
	}
	b, _ := fs.ReadFile(l.catalogue.files, l.file)
	_, rest, _ := bytes.Cut(b, []byte(`"`+languageName+`"`))
	_, rest, _ = bytes.Cut(rest, []byte(":"))
	_ = json.NewDecoder(bytes.NewReader(rest)).Decode(&name) // a test compares it
	return name
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
