package auth

import (
	"bytes"
	"errors"
	"net/mail"
	"net/url"
	pathpkg "path"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// FuzzFoldName: what is a name at all has one spelling, and that one is safe wherever names are shown or typed.
func FuzzFoldName(f *testing.F) {
	for _, seed := range []string{
		"alice", " ALICE ", "ａｌｉｃｅ", "－rf", "＋alice", "-rf", "+alice", "straße", "ΑΛΙΚΗΣ", "İstanbul", "a\u0308", "a b", "\xff", "a\x00",
		"\u202ealice", "e\u0301", "ﬀ", "\u0345", "שלום", "alice\u200d", strings.Repeat("ü", 32), strings.Repeat("a", 65),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		folded, err := FoldName(name)
		if err != nil {
			if _, ok := errors.AsType[*Invalid](err); !ok || folded != "" {
				t.Fatalf("%q: %q, %v", name, folded, err)
			}
			return
		}
		if again, err := FoldName(folded); err != nil || again != folded {
			t.Errorf("%q folds to %q, and that to %q: %v", name, folded, again, err)
		}
		if spaced, err := FoldName(" " + name + "\n"); err != nil || spaced != folded {
			t.Errorf("%q folds to %q, with spaces around it to %q: %v", name, folded, spaced, err)
		}
		if shouted, err := FoldName(asciiUpper(name)); err != nil || shouted != folded {
			t.Errorf("%q folds to %q, in capitals to %q: %v", name, folded, shouted, err)
		}
		if len(folded) == 0 || len(folded) > MaxName || !utf8.ValidString(folded) {
			t.Errorf("%q folds to %q, %d bytes", name, folded, len(folded))
		}
		if strings.Contains(folded, "@") || strings.IndexAny(folded, "-+") == 0 || strings.ContainsFunc(folded, func(r rune) bool { return unprintable(r) || unicode.IsSpace(r) || unicode.IsControl(r) }) {
			t.Errorf("%q folds to %q", name, folded)
		}
	})
}

// FuzzFoldEmail: what is an address at all has one spelling, which is an address and stands on one line.
func FuzzFoldEmail(f *testing.F) {
	for _, seed := range []string{
		"alice@example.com", " Alice@EXAMPLE.com ", "Alice <alice@example.com>", "alice", "@", "a@b@c", "\"a b\"@example.com", "alice@[192.0.2.1]",
		"alice@example.com\r\nBcc: bob@example.com", "jos\u00e9@example.com", "jose\u0301@example.com", "\u0130@example.com", "a@b, c@d", "(c)a@b",
		"alice\uff20example.com", "\xff@example.com", strings.Repeat("a", 243) + "@example.com", strings.Repeat("a", 242) + "@example.com",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, email string) {
		folded, err := FoldEmail(email)
		if err != nil {
			if _, ok := errors.AsType[*Invalid](err); !ok || folded != "" {
				t.Fatalf("%q: %q, %v", email, folded, err)
			}
			return
		}
		if again, err := FoldEmail(folded); err != nil || again != folded {
			t.Errorf("%q folds to %q, and that to %q: %v", email, folded, again, err)
		}
		if shouted, err := FoldEmail(asciiUpper(email)); err != nil || shouted != folded {
			t.Errorf("%q folds to %q, in capitals to %q: %v", email, folded, shouted, err)
		}
		if a, err := mail.ParseAddress(folded); err != nil || a.Address != folded {
			t.Errorf("%q folds to %q, which is not an address alone: %v", email, folded, err)
		}
		if len(folded) > MaxEmail || !utf8.ValidString(folded) || !strings.Contains(folded, "@") || strings.ContainsFunc(folded, unprintable) {
			t.Errorf("%q folds to %q, %d bytes", email, folded, len(folded))
		}
	})
}

func asciiUpper(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' {
			return r - 'a' + 'A'
		}
		return r
	}, s)
}

// FuzzDescribe: whatever a client calls itself, a short word or two of it are shown, on one line.
func FuzzDescribe(f *testing.F) {
	for _, seed := range []string{
		"", "curl/8.5.0", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36 Edg/126.0.0.0",
		"(", ")", "((((", "a/", "/1", "\x1b[2J/1", "\u202eevil/1.0", "\xff\xfe/1", "x (a;b;c", strings.Repeat("\u00fc", 300) + "/1", strings.Repeat("(a;b) c/1 ", 60),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, userAgent string) {
		browser, system := Describe(userAgent)
		for _, s := range []string{browser, system} {
			if len(s) > 64 || !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("%q becomes %q on %q", userAgent, browser, system)
			}
		}
	})
}

// FuzzGuestPath: a path that a guest link may have is one that everybody reads alike, and sends as it is.
func FuzzGuestPath(f *testing.F) {
	for _, seed := range []string{
		"/", "/page", "/über uns", "/a_(b)", "", "page", "//a", "/a//b", "/a/", "/a/..", "/./a", "/a%2fb", "/a;b", "/a?b", "/a#b", `/a\b`, "/a\x00", "/\xff", "/\u202e", "/" + strings.Repeat("a", 512),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		if !guestPath(path) {
			return
		}
		g := Guest{Path: path}
		u, err := url.Parse(g.To())
		if err != nil || u.Path != path || u.Host != "" || u.RawQuery != "" || !PlainlySent(path, u.EscapedPath()) || strings.Contains(path, "//") {
			t.Errorf("%q is sent as %q (%v)", path, g.To(), err)
		}
		if clean := pathpkg.Clean(path); clean != strings.TrimSuffix(path, "/") && path != "/" {
			t.Errorf("%q is %q for others", path, clean)
		}
		limits := TokenLimits{Hosts: []string{"h"}, Methods: []string{"GET"}}
		if !g.cover(&limits, Place{Host: "h", Method: "GET", Paths: []string{path, u.EscapedPath()}}) {
			t.Errorf("%q does not open itself", path)
		}
	})
}

// FuzzOpenCookie: a cookie opens to a token that was sealed under that very name, or to nothing.
func FuzzOpenCookie(f *testing.F) {
	keys := []signingKey{{secret: bytes.Repeat([]byte("a"), 64)}, {secret: bytes.Repeat([]byte("b"), 64)}}
	s := new(State)
	names := []string{CookieSession, CookieFlow, CookieBrowser}
	var sealed []string // by name, each under both keys
	for i := range keys {
		s.keys.Store(newKeyring(keys[i:]))
		for _, name := range names {
			c, err := s.sealCookie(name, strings.Repeat(name, 32)[:32])
			if err != nil {
				f.Fatal(err)
			}
			sealed = append(sealed, c)
			f.Add(c)
			f.Add(c[:len(c)-1])
			f.Add(c + "=")
			f.Add(c + c)
		}
	}
	stranger := new(State)
	stranger.keys.Store(newKeyring([]signingKey{{secret: bytes.Repeat([]byte("c"), 64)}}))
	forged, err := stranger.sealCookie(CookieSession, strings.Repeat(CookieSession, 32)[:32])
	if err != nil {
		f.Fatal(err)
	}
	short, err := s.sealCookie(CookieSession, "short")
	if err != nil {
		f.Fatal(err)
	}
	s.keys.Store(newKeyring(keys))
	for _, seed := range []string{"", "x", "||", forged, short, strings.Repeat("A", 512), strings.Repeat("A", 513), "\x00", "MTc2NzIyNTYwMHx8"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		for i, name := range names {
			token := s.openCookie(name, value)
			if token == "" {
				if value == sealed[i] || value == sealed[len(names)+i] {
					t.Errorf("%s does not open", name)
				}
				continue
			}
			if token != strings.Repeat(name, 32)[:32] {
				t.Fatalf("%s %q opens to %q", name, value, token)
			}
			// Base64 leaves bits of its last character unused and skips line ends, so one cookie has several spellings.
			same := func(c string) bool {
				return strings.HasPrefix(strings.NewReplacer("\r", "", "\n", "").Replace(value), c[:len(c)-4])
			}
			if !slices.ContainsFunc([]string{sealed[i], sealed[len(names)+i]}, same) {
				t.Errorf("%s opens by %q, which nobody sealed", name, value)
			}
		}
	})
}
