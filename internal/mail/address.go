package mail

import (
	"errors"
	"net/mail"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

var errAddress = errors.New("this is not exactly one mail address")

// CheckAddress says whether a mail can be sent to addr: exactly one address, user@host, without a name, a comment, quotes or a
// group. The host is a name, not an IP address. At most 64 and 254 bytes (RFC 5321, section 4.5.3.1).
func CheckAddress(addr string) error {
	_, err := parseAddress(addr)
	return err
}

// parseAddress returns addr with its host in ASCII (RFC 5891), as servers know it.
func parseAddress(addr string) (string, error) {
	if len(addr) > 254 || !utf8.ValidString(addr) || strings.ContainsFunc(addr, invisible) {
		return "", errAddress
	}
	a, err := mail.ParseAddress(addr)
	if err != nil || a.Name != "" || a.Address != addr { // not equal: brackets, comments, quotes, spaces
		return "", errAddress
	}
	at := strings.LastIndexByte(addr, '@')
	local, host := addr[:at], addr[at+1:]
	if !ascii(host) {
		if host, err = idna.Lookup.ToASCII(host); err != nil {
			return "", errAddress
		}
	}
	if len(local) > 64 || len(host) > 253 || strings.ContainsAny(local, "@ \"") || !hostName.MatchString(host) {
		return "", errAddress
	}
	return local + "@" + host, nil
}

func ascii(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII })
}

// invisible are characters that show nothing, or change how others show: controls, writing direction, zero width, private use,
// line and paragraph separators.
func invisible(r rune) bool {
	return unicode.In(r, unicode.C, unicode.Zl, unicode.Zp)
}
