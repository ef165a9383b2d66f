package words

import (
	"strings"

	"golang.org/x/text/language"
)

// maxAccept bounds what of an Accept-Language is read, in bytes. Browsers send a few languages; what comes after many is nobody's.
const maxAccept = 256

// maxMatched bounds how many headers are remembered. Browsers send few different ones.
const maxMatched = 256

// Match is the language that suits a request best, by the value of its Accept-Language header (RFC 9110, section 12.5.4) and the distances
// between languages of CLDR. It is English where none does.
func (c *Catalogue) Match(accept string) *Language {
	if len(accept) > maxAccept {
		accept = accept[:max(0, strings.LastIndexByte(accept[:maxAccept], ','))]
	}
	if accept == "" || len(c.languages) == 1 {
		return c.English()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	l, known := c.matched[accept]
	if !known {
		l = c.match(accept)
		if c.matched == nil || len(c.matched) == maxMatched {
			c.matched = map[string]*Language{}
		}
		c.matched[accept] = l
	}
	return l
}

// match is Match for a header that was not seen lately: it takes ten microseconds.
func (c *Catalogue) match(accept string) *Language {
	tags, _, err := language.ParseAcceptLanguage(accept)
	if err != nil || len(tags) == 0 {
		return c.English()
	}
	_, i, confidence := c.matcher.Match(tags...)
	if confidence == language.No {
		return c.English()
	}
	return c.languages[i]
}

// RTL reports whether the language is written from right to left.
func (l *Language) RTL() bool { return l.rtl }

// rtl are the scripts in use that are written from right to left (ISO 15924).
const rtl = " Arab Hebr Thaa Syrc Nkoo Adlm Rohg "

func rightToLeft(tag language.Tag) bool {
	script, _ := tag.Script()
	return strings.Contains(rtl, " "+script.String()+" ")
}
