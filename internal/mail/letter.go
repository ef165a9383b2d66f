package mail

import (
	"bytes"
	"embed"
	"fmt"
	htmltemplate "html/template"
	"strings"
	"sync"
	texttemplate "text/template"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/words"
)

// letter is what a mail says, before it is HTML or text.
type letter struct {
	Lang   string // BCP 47
	RTL    bool   // written from right to left
	Title  string
	Blocks []block
	Foot   string
}

// block is one part of a letter: exactly one of Text, Code, Facts and Link is set.
type block struct {
	Text   string
	Code   string
	Facts  []fact
	Link   string // Action is what it says on its button, Hint stands before the address below it
	Action string
	Hint   string
}

// fact is a value under its label. Values of users stand here and nowhere else.
type fact struct{ Label, Value string }

var (
	//go:embed letter.html
	htmlSource string
	//go:embed letter.txt
	textSource string

	htmlLetter = htmltemplate.Must(htmltemplate.New("letter.html").Parse(htmlSource))
	textLetter = texttemplate.Must(texttemplate.New("letter.txt").Funcs(texttemplate.FuncMap{
		"wrap": func(s string) string { return wrap(s, "", "") }, "rows": rows,
	}).Parse(textSource))
)

// wordFiles hold every word that mails say by themselves, a file a language.
//
//go:embed words/*.json
var wordFiles embed.FS

// catalogue is made once, by the first mail. A language is read for the first mail in it.
var catalogue = sync.OnceValue(func() *words.Catalogue {
	c, err := words.Load(wordFiles, "words")
	if err != nil {
		panic(err) // tests read the same file
	}
	return c
})

// voice is the language that a mail is in.
type voice struct{ *words.Language }

// in is the voice for a tag of BCP 47: English where there are no words in that language.
func in(tag string) voice {
	if l := catalogue().Language(tag); l != nil {
		return voice{l}
	}
	return voice{catalogue().English()}
}

// Machine is a browser on a system, in the language that goes by tag: "Firefox on Linux".
func Machine(tag, browser, system string) string { return in(tag).say("browser.on", browser, system) }

// say is the text for id, with args in place of its values.
func (s voice) say(id string, args ...any) string { return s.Text(id, args...) }

// count is the text for n things, which may differ for none, and by the plural forms of the language.
func (s voice) count(id string, n int) string { return s.Count(id, max(n, 0)) }

// when is t with its zone as a distance from UTC, which needs no knowledge of names.
func (s voice) when(t time.Time) string {
	zone := "UTC"
	if _, offset := t.Zone(); offset != 0 {
		zone += t.Format("-07:00")
	}
	return s.Moment(t) + " " + zone
}

// render makes a Message of what a mail says. kind is the first part of the ids of its words.
func (s voice) render(kind, product string, blocks ...block) Message {
	product = clean(product, maxValue)
	l := letter{Lang: s.Tag, RTL: s.RTL(), Title: s.say(kind + ".title"), Foot: s.say("foot", product)}
	for _, b := range blocks {
		if b.Text != "" || b.Code != "" || b.Link != "" || len(b.Facts) > 0 {
			l.Blocks = append(l.Blocks, b)
		}
	}
	var html, text bytes.Buffer
	if err := htmlLetter.Execute(&html, l); err != nil {
		panic(fmt.Sprintf("rendering %s: %v", kind, err)) // a mistake in the template: its input is strings alone
	}
	if err := textLetter.Execute(&text, l); err != nil {
		panic(fmt.Sprintf("rendering %s: %v", kind, err))
	}
	return Message{Subject: subject(s.say(kind+".subject", product)), Text: text.String(), HTML: html.String()}
}

func paragraph(text string) block { return block{Text: text} }

// link is a button. Its address comes from configuration and from us, never from a user; spaces could only be a mistake.
func (s voice) link(address, action string) block {
	return block{Link: strings.Join(strings.Fields(address), ""), Action: action, Hint: s.say("foot.button")}
}

// facts are the pairs of id and value that have a value.
func (s voice) facts(pairs ...string) block {
	var b block
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			b.Facts = append(b.Facts, fact{s.say(pairs[i]), s.Apart(pairs[i+1])})
		}
	}
	return b
}
