package wordstest

import (
	"regexp"
	"strings"

	"golang.org/x/text/language"
)

// misprints are marks that a language does not write so, by its tag: quotes of English, a space before a mark that may end up alone on a line or
// none where there is one, and marks of another script.
var misprints = map[string]*regexp.Regexp{
	"de": regexp.MustCompile(`["'”«»]|(?:^|[^„])“\pL|\pL„| [:;?!]`),
	"es": regexp.MustCompile(`["'“”„]| [:;?!]|« | »`),
	"fr": regexp.MustCompile(`["'“”„]|[^\x{202F}][;?!]|[^\x{A0}]:|«[^\x{A0}]|[^\x{A0}]»`),
	"pt": regexp.MustCompile(`["'„«»]| [:;?!]`),
	"ja": regexp.MustCompile(`["'“”„«»]|[\p{Hiragana}\p{Katakana}\p{Han}][:;?!,.()]|[(][\p{Hiragana}\p{Katakana}\p{Han}]`),
	"ar": regexp.MustCompile(`["'“”„]|\p{Arabic}[;?,]| [:؛؟!،]`),
}

// technical is what is typed or sent as it stands.
var technical = regexp.MustCompile(`https?://\S*|X-Forwarded-Proto: https|\S*/\S+|[-+@#]`)

// misprint is what of s the language does not write so, "" for nothing. What begins in Spanish with no mark must not end with one.
func misprint(tag language.Tag, s string) string {
	s = technical.ReplaceAllString(value.ReplaceAllString(s, "x"), "x")
	if tag == language.Spanish && (strings.Count(s, "?") != strings.Count(s, "¿") || strings.Count(s, "!") != strings.Count(s, "¡")) {
		return "?"
	}
	if wrong := misprints[tag.String()]; wrong != nil {
		return wrong.FindString(s)
	}
	return ""
}
