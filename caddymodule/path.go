package caddymodule

import (
	"net/http"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// odd reports whether the target of a request is no path, so that nobody can say which path an app makes of it: "*", "host:port", what
// has a scheme and no slash (RFC 9112, section 3.2). An empty path is "/", and is made so.
func odd(r *http.Request) bool {
	u := r.URL
	switch {
	case u.Opaque != "" || u.Path != "" && u.Path[0] != '/':
		return true
	case u.Path == "":
		u.Path, u.RawPath = "/", ""
		return r.Method == http.MethodConnect
	}
	return false
}

// lowerCase reports whether a method is not written in capitals. Methods are told apart by case, but not by every app (RFC 9110, section
// 9.1).
func lowerCase(method string) bool { return strings.ContainsFunc(method, unicode.IsLower) }

// ambiguous reports whether two readers could take the path for different ones (S70). path is decoded. Looking at it alone is
// enough: every "." of a dot segment, every backslash, "%" and NUL of what was sent stands in it, encoded or not, and a "%" that
// is left was "%25".
//
//   - dot segments, also encoded or followed by ";": one reader resolves them, the next does not
//   - backslashes: some readers take them for slashes
//   - "%": a reader that decodes twice sees another path
//   - NUL: a reader in C stops there
//   - ASCII in an overlong form of UTF-8 (RFC 3629, section 3): a careless decoder makes dots and slashes of it
func ambiguous(path string) bool {
	if strings.ContainsAny(path, "\\%\x00") || overlong(path) {
		return true
	}
	if !strings.Contains(path, "/.") && !strings.HasPrefix(path, ".") {
		return false
	}
	for segment := range strings.SplitSeq(path, "/") {
		segment, _, _ = strings.Cut(segment, ";")
		if segment == "." || segment == ".." {
			return true
		}
	}
	return false
}

// overlong reports whether the path holds a sequence of bytes that stands for a character in more bytes than it takes.
func overlong(path string) bool {
	for i := range len(path) {
		switch c := path[i]; {
		case c < 0xc0:
		case c == 0xc0, c == 0xc1,
			c == 0xe0 && i+1 < len(path) && path[i+1] < 0xa0 && path[i+1] >= 0x80,
			c == 0xf0 && i+1 < len(path) && path[i+1] < 0x90 && path[i+1] >= 0x80:
			return true
		}
	}
	return false
}

// ordinary reports whether the path, which is decoded, holds nothing that some apps read in a way of their own. No rule opens a
// path that does to whom the site itself would not (S70):
//
//   - empty segments: Caddy's matcher merges them, some apps take them for a host
//   - ";": Tomcat, Jetty and Spring cut what follows it from the segment, so that "/admin;x.css" is no style sheet there
//   - "?", "#": an app that decodes before it splits ends the path there
//   - control bytes and invalid UTF-8: apps strip, replace or refuse them
func ordinary(path string) bool {
	ascii, last := true, byte(0)
	for i := range len(path) {
		c := path[i]
		if c < ' ' || c == 0x7f || c == ';' || c == '?' || c == '#' || c == '/' && last == '/' {
			return false
		}
		ascii, last = ascii && c < utf8.RuneSelf, c
	}
	return ascii || utf8.ValidString(path)
}

// below reports whether the path is prefix or lies under it, both as sent and as decoded. Another spelling of the prefix is a path
// like any other.
func below(u *url.URL, prefix string) bool {
	return under(u.Path, prefix) && (u.RawPath == "" || under(u.RawPath, prefix))
}

func under(path, prefix string) bool {
	return strings.HasPrefix(path, prefix) && (len(path) == len(prefix) || path[len(prefix)] == '/')
}
