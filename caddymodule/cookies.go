package caddymodule

import (
	"net/http"
	"net/textproto"
	"strings"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// cookies are the values of ours that a request carried, as received; "" for one that is absent.
type cookies struct {
	session, flow, browser, lang, guest, guestCode string
}

// takeCookies reads our cookies and removes them from the header, also malformed ones, so that nothing behind the gate ever sees
// one (S60). The others stay as they are, byte for byte.
//
// A browser never sends a __Host- cookie twice: its path and host are fixed, so there is one. A request that names one twice was
// put together by something else, and counts as naming none.
func takeCookies(h http.Header) cookies {
	var c cookies
	lines := h["Cookie"]
	if len(lines) == 0 {
		return c
	}
	var seen [6]int
	kept := lines[:0]
	for _, line := range lines {
		if !strings.Contains(line, auth.CookieSession) { // the common prefix of all
			kept = append(kept, line)
			continue
		}
		if line = c.takeFrom(line, &seen); line != "" {
			kept = append(kept, line)
		}
	}
	if len(kept) == 0 {
		delete(h, "Cookie")
	} else if len(kept) < len(lines) {
		h["Cookie"] = kept
	}
	for i, p := range [...]*string{&c.session, &c.flow, &c.browser, &c.lang, &c.guest, &c.guestCode} {
		if seen[i] > 1 {
			*p = ""
		}
	}
	return c
}

// takeFrom returns the line without our cookies.
func (c *cookies) takeFrom(line string, seen *[6]int) string {
	for i := 0; i < len(line); {
		end := len(line)
		if n := strings.IndexByte(line[i:], ';'); n >= 0 {
			end = i + n
		}
		name, value, _ := strings.Cut(line[i:end], "=")
		which := ourCookie(textproto.TrimString(name))
		if which < 0 {
			i = end + 1
			continue
		}
		*[...]*string{&c.session, &c.flow, &c.browser, &c.lang, &c.guest, &c.guestCode}[which] = textproto.TrimString(value)
		seen[which]++
		switch {
		case i == 0:
			line = strings.TrimLeft(line[min(end+1, len(line)):], " \t")
		case end == len(line):
			line = line[:i-1]
		default:
			line = line[:i-1] + line[end:]
		}
	}
	return line
}

// ourCookie returns the place of the name among ours, or -1.
func ourCookie(name string) int {
	switch name {
	case auth.CookieSession:
		return 0
	case auth.CookieFlow:
		return 1
	case auth.CookieBrowser:
		return 2
	case auth.CookieLang:
		return 3
	case auth.CookieGuest:
		return 4
	case auth.CookieGuestCode:
		return 5
	}
	return -1
}
