package loginui

import (
	"embed"
	"math"
	"sync"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/internal/words"
)

// wordFiles hold every word that the portal says by itself, a file a language.
//
//go:embed words/*.json
var wordFiles embed.FS

// catalogue is made once, by whoever needs it first: not by commands. A language is read when somebody sees it first.
var catalogue = sync.OnceValue(func() *words.Catalogue {
	c, err := words.Load(wordFiles, "words")
	if err != nil {
		panic(err) // tests read the same file
	}
	return c
})

// t is the text for id, with args, which are strings, ints and lists, in place of its values; "" if there is none.
func (x *exchange) t(id string, args ...any) string { return x.said().Text(id, args...) }

// has reports whether there is a text for id.
func (x *exchange) has(id string) bool { return x.said().Has(id) }

// count is the text for n things, which may differ for none, and by the plural forms of the language; args are its further values.
func (x *exchange) count(id string, n int, args ...any) string { return x.said().Count(id, n, args...) }

// list is words one after the other, parted as the language does.
func (x *exchange) list(words []string) string { return x.said().List(words) }

// invalid is what to say of err, nothing if there is none.
func (x *exchange) invalid(err *auth.Invalid) string {
	if err == nil {
		return ""
	}
	return x.sentence(err.ID, err.Text, err.Args)
}

// sentence is one that was decided elsewhere. text is it in English, for one that no page was meant to show.
func (x *exchange) sentence(id, text string, args []any) string {
	if !x.has(id) {
		return text
	}
	if len(args) == 1 {
		if n, ok := args[0].(int); ok {
			return x.count(id, n)
		}
	}
	return x.t(id, args...)
}

// wait is a duration in words, rounded up to a unit that fits.
func (x *exchange) wait(d time.Duration) string {
	up := func(unit time.Duration) int { return int(math.Ceil(float64(d) / float64(unit))) }
	switch {
	case d <= 90*time.Second:
		return x.count("seconds", max(1, up(time.Second)))
	case d <= 90*time.Minute:
		return x.count("minutes", up(time.Minute))
	}
	return x.count("hours", up(time.Hour))
}
