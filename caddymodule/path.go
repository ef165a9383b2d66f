package caddymodule

import (
	"net/url"
	"strings"
)

// ambiguous reports whether two readers could take the path for different ones (S70). path is decoded. Looking at it alone is
// enough: every "." of a dot segment, every backslash, "%" and NUL of what was sent stands in it, encoded or not, and a "%" that
// is left was "%25".
//
//   - dot segments, also encoded or followed by ";": one reader resolves them, the next does not
//   - backslashes: some readers take them for slashes
//   - "%": a reader that decodes twice sees another path
//   - NUL: a reader in C stops there
func ambiguous(path string) bool {
	if strings.ContainsAny(path, "\\%\x00") {
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

// oneReading reports whether the path has one reading: it was sent as its decoded form is normally encoded, and holds no empty
// segment, which Caddy's matcher merges and some apps take for a host.
func oneReading(u *url.URL) bool {
	return u.RawPath == "" && !strings.Contains(u.Path, "//")
}

// below reports whether the path is prefix or lies under it, both as sent and as decoded. Another spelling of the prefix is a path
// like any other.
func below(u *url.URL, prefix string) bool {
	return under(u.Path, prefix) && (u.RawPath == "" || under(u.RawPath, prefix))
}

func under(path, prefix string) bool {
	return strings.HasPrefix(path, prefix) && (len(path) == len(prefix) || path[len(prefix)] == '/')
}
