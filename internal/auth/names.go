package auth

import (
	"net/mail"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/secure/precis"
	"golang.org/x/text/unicode/norm"
)

// MaxName and MaxEmail bound names and addresses, in bytes. 254 is the longest address that mail can carry (RFC 5321, 4.5.3.1).
const (
	MaxName  = 64
	MaxEmail = 254
)

// What people call things, and show as their name, in characters: these are no keys of records.
const (
	maxLabel       = 64
	maxDisplayName = 128
)

// FoldName returns the one spelling under which a name is stored and compared: PRECIS UsernameCaseMapped (RFC 8265, section 3.3).
// An "@" is refused, so that a name never looks like an address, and a ":", so that it never looks like a group in a rule. The error is an *Invalid.
func FoldName(name string) (string, error) {
	name = strings.TrimSpace(name)
	switch {
	case name == "":
		return "", NewInvalid("name", "invalid.name.empty", "Enter a username.")
	case len(name) > MaxName:
		return "", NewInvalid("name", "invalid.name.long", "The username is too long.")
	case name[0] == '-' || name[0] == '+':
		return "", NewInvalid("name", "invalid.name.begins", "A username does not begin with - or +.")
	case strings.Contains(name, "@"):
		return "", NewInvalid("name", "invalid.name.at", "A username has no @ in it.")
	case strings.Contains(name, ":"):
		return "", NewInvalid("name", "invalid.name.colon", "A username has no colon in it.")
	}
	folded, err := precis.UsernameCaseMapped.String(name)
	if err != nil || folded == "" || len(folded) > MaxName {
		return "", NewInvalid("name", "invalid.name.character", "The username holds a character that is not allowed, such as a space.")
	}
	return folded, nil
}

// FoldEmail returns the one spelling under which an address is stored and compared. The error is an *Invalid.
func FoldEmail(email string) (string, error) {
	email = norm.NFC.String(strings.TrimSpace(email))
	bad := NewInvalid("email", "invalid.email", "This is not an email address.")
	if len(email) > MaxEmail || !utf8.ValidString(email) || strings.ContainsFunc(email, unprintable) {
		return "", bad
	}
	a, err := mail.ParseAddress(email)
	if err != nil || a.Address != email {
		return "", bad
	}
	return strings.ToLower(email), nil
}

// sameAddress reports whether two spellings are of one address. What is no address is never the same.
func sameAddress(a, b string) bool {
	one, err := FoldEmail(a)
	other, wrong := FoldEmail(b)
	return err == nil && wrong == nil && one == other
}

var groupName = regexp.MustCompile(`^[a-z0-9._-]{1,64}$`)

// CheckGroup refuses what is not a group's name. The error is an *Invalid.
func CheckGroup(group string) error {
	if !groupName.MatchString(group) {
		return &Invalid{Field: "group", Text: "A group's name is made of a-z, 0-9, dot, underscore and hyphen, 64 at most."}
	}
	return nil
}

// cleanDisplayName refuses what could not stand in a header or on one line.
func cleanDisplayName(name string) (string, error) {
	name = norm.NFC.String(strings.TrimSpace(name))
	if utf8.RuneCountInString(name) > maxDisplayName || !utf8.ValidString(name) || strings.ContainsFunc(name, unprintable) {
		return "", NewInvalid("display_name", "invalid.display", "A display name is one line of at most 128 characters.")
	}
	return name, nil
}

// unprintable reports whether r ends a line, is a control (C0, C1), or turns the direction of what follows: that would go on outside of what
// it stands in (UAX #9, section 2).
func unprintable(r rune) bool {
	return r < ' ' || r >= 0x7f && r <= 0x9f || r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == utf8.RuneError
}

// mergeGroups returns groups with add and without remove, sorted.
func mergeGroups(groups, add, remove []string) ([]string, error) {
	for _, g := range slices.Concat(add, remove) {
		if err := CheckGroup(g); err != nil {
			return nil, err
		}
	}
	out := slices.Concat(groups, add)
	slices.Sort(out)
	out = slices.DeleteFunc(slices.Compact(out), func(g string) bool { return slices.Contains(remove, g) })
	if len(out) > 100 {
		return nil, &Invalid{Field: "group", Text: "A user can be in 100 groups at most."}
	}
	return out, nil
}
