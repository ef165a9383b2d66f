package loginui

import (
	"net/url"
	"strings"
)

// maxTarget bounds the return target, in bytes. Dashboards keep a whole query in the address.
const maxTarget = 8192

// returnTarget is s if that is where a signed-in visitor may be sent: a path of this host, with query and fragment, that every
// reader reads the same way. Everything else gives "" (ASVS 5.0.0, V3.7.2). Of the portal's own pages only Security counts, the end of
// a small window, and on the way the reminder and the form that is sent again: a link must not bring anybody to a page that ends or begins something.
//
// With a portal for several hosts, it is also what the gate of one of them sealed (elsewhere).
func (p *Portal) returnTarget(s string) string {
	if _, ok := p.elsewhere(s); ok {
		return s
	}
	if p.leadsOn(s) {
		return s
	}
	s, path, ok := localPath(s)
	if !ok {
		return ""
	}
	if below, ok := strings.CutPrefix(path, p.prefix); ok && (below == "" || below[0] == '/') && below != securityPath && below != remindPath && below != resendPath && below != signedInPath {
		return ""
	}
	return s
}

// localPath returns s, if it is a path of this host, with query and fragment, that every reader reads the same way, and the path decoded.
func localPath(s string) (clean, decoded string, ok bool) {
	if len(s) == 0 || len(s) > maxTarget || s[0] != '/' {
		return "", "", false
	}
	path, query := s, ""
	if i := strings.IndexAny(s, "?#"); i >= 0 {
		path, query = s[:i], s[i:]
	}
	// Browsers send a backslash in a query as it is. Escaped it means the same, and no reader takes it for a slash.
	s = path + strings.ReplaceAll(query, `\`, "%5C")
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f || s[i] == '\\' {
			return "", "", false
		}
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "" || u.Opaque != "" || u.Host != "" || u.User != nil {
		return "", "", false
	}
	path = u.Path // decoded
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") {
		return "", "", false
	}
	for i := range len(path) {
		if path[i] < ' ' || path[i] == 0x7f || path[i] == '\\' {
			return "", "", false
		}
	}
	for segment := range strings.SplitSeq(path, "/") {
		name, _, _ := strings.Cut(segment, ";") // some readers drop parameters first
		if name == "." || name == ".." {
			return "", "", false
		}
	}
	return s, path, true
}

// leadsOn reports whether s is the reminder, as we write it, and leads on to a return target. It may be longer than others: what it holds
// may be as long as they are, and is escaped in it once more.
func (p *Portal) leadsOn(s string) bool {
	escaped, ok := strings.CutPrefix(s, p.prefix+remindPath+"?to=")
	if !ok {
		return false
	}
	to, err := url.QueryUnescape(escaped)
	return err == nil && !strings.HasPrefix(to, p.prefix+remindPath) && p.returnTarget(to) == to && to != "" && p.reminder(to) == s
}

// LoginURL is the address of the sign-in page that leads back to the path to, of this host. It costs one allocation.
// A target that is too long is left out.
func (p *Portal) LoginURL(to string) string {
	if to == "" || len(to) > maxTarget && (p.home == "" || to[0] == '/') && !p.leadsOn(to) {
		return p.login[:len(p.login)-len("?to=")]
	}
	var stack [256]byte
	return string(appendQuery(append(stack[:0], p.login...), to))
}

// appendQuery appends what url.QueryEscape returns.
func appendQuery(b []byte, s string) []byte {
	const hex = "0123456789ABCDEF"
	for i := range len(s) {
		switch c := s[i]; {
		case unreserved(c):
			b = append(b, c)
		case c == ' ':
			b = append(b, '+')
		default:
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return b
}

// unreserved are the characters that need no escaping anywhere in a URL (RFC 3986, section 2.3).
func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}
