package loginui

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/internal/words"
)

const (
	languagePath = "/language"
	languageAge  = 365 * 24 * time.Hour // for which a choice is kept
)

// said is the language of the answer: the one that the visitor chose, else one that the browser asks for, else English.
func (x *exchange) said() *words.Language {
	if x.lang == nil {
		x.lang = catalogue().Language(x.in.Lang)
	}
	if x.lang == nil && x.r != nil {
		x.lang = catalogue().Match(strings.Join(x.r.Header["Accept-Language"], ","))
	}
	if x.lang == nil {
		x.lang = catalogue().English()
	}
	return x.lang
}

// tongue is a language that can be chosen.
type tongue struct {
	Tag, Name string
	Chosen    bool
}

// languages are all that there are, by what they call themselves.
var languages = sync.OnceValue(func() (all []tongue) {
	for _, l := range catalogue().Languages() {
		name, i := l.Name(), 0
		for i < len(all) && all[i].Name < name {
			i++
		}
		all = slices.Insert(all, i, tongue{Tag: l.Tag, Name: name})
	}
	return all
})

// postLanguage keeps which language somebody chose, and leads back to the page on which they did.
func postLanguage(x *exchange) error {
	chosen := catalogue().Language(x.form["lang"])
	if chosen == nil {
		return &badRequestError{http.StatusBadRequest, "malformed"}
	}
	x.setCookies([]auth.Cookie{{Name: auth.CookieLang, Value: chosen.Tag, MaxAge: languageAge}})
	back, _, ok := localPath(x.form["back"])
	if !ok {
		back = "/"
	}
	return x.redirect(back)
}

// What follows is for the templates.

// Lang is the tag of the page's language.
func (pg *page) Lang() string { return pg.said().Tag }

// RTL reports whether the page is written from right to left.
func (pg *page) RTL() bool { return pg.said().RTL() }

// Languages are those that can be chosen: none where there is one alone, or where the page shows what nobody sees twice.
func (pg *page) Languages() []tongue {
	if pg.once || len(languages()) < 2 {
		return nil
	}
	all := slices.Clone(languages())
	for i := range all {
		all[i].Chosen = all[i].Tag == pg.Lang()
	}
	return all
}

// Here is the address at which the page is shown again, by GET. All paths that take a POST have one that leads to where the form is.
func (pg *page) Here() string {
	here := pg.r.URL.EscapedPath()
	q := pg.r.URL.Query()
	if pg.r.Method != http.MethodGet && pg.r.Method != http.MethodHead {
		q = url.Values{"to": nil}
	}
	if q.Has("to") {
		if q.Del("to"); pg.To != "" {
			q.Set("to", pg.To)
		}
	}
	if len(q) > 0 {
		here += "?" + q.Encode()
	}
	if _, _, ok := localPath(here); !ok {
		return "/"
	}
	return here
}
