package method

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

const (
	// MinPassword is the least number of code points of a password. NIST SP 800-63B-4 (3.1.1.2) and ASVS 6.2.1 ask for 8 where a
	// second factor is always required, as it is here, and for 15 where a password could stand alone.
	MinPassword = 8
	// MaxPasswordBytes bounds a password in UTF-8. It leaves room for 256 code points of any script; ASVS 6.2.9 asks for 64.
	MaxPasswordBytes = 1024

	// minBeside is how many characters a password must have beside the names in it.
	minBeside = 5
	// minName is the shortest word of a name that is looked for: shorter ones turn up by chance.
	minName = 3
)

// Check says whether a password may be set. about are the names that it must not consist of, beside the site's own: sign-in name,
// display name, address. The error is an *auth.Invalid with the reason, for the person.
//
// What it refuses is what is guessed first (ASVS 6.2.4, 6.2.11): common passwords, names, plain repeats and sequences. There are
// no composition rules (ASVS 6.2.5): any characters will do, spaces too.
func (p *Password) Check(password string, about ...string) error {
	if invalid := p.refuse(password, about); invalid != nil {
		return invalid
	}
	return nil
}

func unfit(id, text string) *auth.Invalid { return auth.NewInvalid("password", id, text) }

func (p *Password) refuse(password string, about []string) *auth.Invalid {
	switch {
	case len(password) > MaxPasswordBytes:
		return unfit("invalid.password.long", "This password is too long. It can have up to 256 characters, and up to 1024 plain letters.")
	case !utf8.ValidString(password):
		return unfit("invalid.password.text", "This password did not arrive as text. Type it again.")
	case strings.ContainsFunc(password, unicode.IsControl):
		return unfit("invalid.password.control", "A password cannot hold tabs, line breaks or other control characters.")
	case utf8.RuneCountInString(norm.NFC.String(password)) < MinPassword:
		return unfit("invalid.password.short", "Use at least 8 characters.")
	}
	s := fold(password)
	unit := repeated(s)
	switch {
	case common(s), common(trim(s)), common(string(unit)):
		return unfit("invalid.password.common", "This is one of the most common passwords. Choose another one.")
	case len(unit) < MinPassword && len(unit) < utf8.RuneCountInString(s): // folding may shorten what does not repeat
		return unfit("invalid.password.repeated", "This is only one short piece repeated. Choose another one.")
	case sequence(unit), sequence([]rune(trim(s))):
		return unfit("invalid.password.sequence", "This is only a plain sequence. Choose another one.")
	}
	rest := s
	for _, name := range names(append([]string{p.product}, about...)) {
		rest = strings.ReplaceAll(rest, name, "")
	}
	if rest == s {
		return nil
	}
	beside := trim(rest)
	if beside == "" {
		beside = strings.TrimSpace(rest) // signs alone
	}
	if unit := repeated(beside); len(unit) < minBeside || sequence(unit) || common(beside) {
		return unfit("invalid.password.name", "This is little more than your name or the name of this site. Choose another one.")
	}
	return nil
}

// fold makes one form of all spellings that a guesser tries together: case, width, ligatures.
func fold(s string) string { return strings.ToLower(norm.NFKC.String(s)) }

// trim removes what people put around a word to please composition rules.
func trim(s string) string {
	return strings.TrimFunc(s, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
}

// names returns the names that s hold, folded, the longest first: whole, without spaces, and each of their words. Of an address only
// what stands before the at sign counts.
func names(s []string) []string {
	var all []string
	for _, n := range s {
		n, _, _ = strings.Cut(fold(n), "@")
		words := strings.FieldsFunc(n, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) })
		all = append(append(all, n, strings.Join(words, "")), words...)
	}
	all = slices.DeleteFunc(all, func(n string) bool { return utf8.RuneCountInString(n) < minName })
	slices.SortFunc(all, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	return slices.Compact(all)
}

// repeated returns the shortest piece whose repetition, the last time perhaps cut short, is s: all of s where there is none.
func repeated(s string) []rune {
	r := []rune(s)
	for n := 1; n <= len(r)/2; n++ {
		if slices.Equal(r[n:], r[:len(r)-n]) {
			return r[:n]
		}
	}
	return r
}

// sequence reports whether each character follows the one before it, upwards or downwards: 1234, dcba, 8901.
func sequence(r []rune) bool {
	up, down := true, true
	for i := 1; i < len(r); i++ {
		up = up && follows(r[i-1], r[i])
		down = down && follows(r[i], r[i-1])
	}
	return len(r) > 1 && (up || down)
}

func follows(a, b rune) bool { return b == a+1 || a == '9' && b == '0' }
