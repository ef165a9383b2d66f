package mail

import (
	"net/netip"
	"regexp"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// maxValue bounds what users can write into somebody's mail, in characters.
const maxValue = 64

// clean is s on one line, without invisible characters and runs of spaces, cut to limit characters.
func clean(s string, limit int) string {
	var b strings.Builder
	count, gap := 0, false
	for _, r := range norm.NFC.String(strings.ToValidUTF8(s, "\uFFFD")) {
		switch {
		case unicode.IsSpace(r):
			gap = b.Len() > 0
			continue
		case invisible(r):
			continue
		}
		if count++; count > limit {
			return strings.TrimSpace(b.String()) + "…"
		}
		if gap {
			b.WriteByte(' ')
			count, gap = count+1, false
		}
		b.WriteRune(r)
	}
	return b.String()
}

// joint is what holds an address together: a colon, or a dot in any of the forms that are one in a host's name (UTS #46).
var joint = regexp.MustCompile(`([:.\x{3002}\x{FF0E}\x{FF61}\x{2024}])(\S)`)

// hairSpace keeps mail programs from making links. They do that by themselves, in plain text as well as in HTML, to whatever looks
// like a host's name; so somebody who calls his key "evil.example" could send a link in our name. The usual remedy is an invisible
// character before the dot, most often U+2060. But a program that does not mind it makes a link that works, since browsers ignore
// U+2060 in names (UTS #46). No program carries a link over a space, and browsers refuse one in a name.
const hairSpace = "\u200A"

// value is what a user wrote, as data: clean, short, and nothing in it becomes a link.
func value(s string) string {
	return joint.ReplaceAllString(clean(s, maxValue), hairSpace+"${1}${2}")
}

// ipValue is an address of the network, which admins want to copy; anything else is a value.
func ipValue(s string) string {
	if ip, err := netip.ParseAddr(s); err == nil && ip.Zone() == "" {
		return ip.Unmap().String()
	}
	return value(s)
}
