package mail

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestValue(t *testing.T) {
	for _, tt := range []struct{ name, s, want string }{
		{"a name", "alice", "alice"},
		{"a browser", "Firefox on Linux", "Firefox on Linux"},
		{"letters beyond ASCII", "Zoë's Schlüssel 🔑", "Zoë's Schlüssel 🔑"},
		{"the end of a sentence", "My key. And yours.", "My key. And yours."},
		{"a host", "evil.example", "evil" + hairSpace + ".example"},
		{"a host with a path", "www.evil.example/a?b=c", "www" + hairSpace + ".evil" + hairSpace + ".example/a?b=c"},
		{"a URL", "https://evil.example", "https" + hairSpace + "://evil" + hairSpace + ".example"},
		{"a URL without a dot", "http://3221226219/", "http" + hairSpace + "://3221226219/"},
		{"another scheme", "tel:+15550100", "tel" + hairSpace + ":+15550100"},
		{"an address of a mailbox", "bob@evil.example", "bob@evil" + hairSpace + ".example"},
		{"an ideographic dot", "evil。example", "evil" + hairSpace + "。example"},
		{"a full-width dot", "evil．example", "evil" + hairSpace + "．example"},
		{"a half-width dot", "evil｡example", "evil" + hairSpace + "｡example"},
		{"a one dot leader", "evil․example", "evil" + hairSpace + "․example"},
		{"a joiner that does not help", "evil.\u2060example", "evil" + hairSpace + ".example"},
		{"lines", "a\r\n\r\nb\u2028c\u0085d\ve", "a b c d e"},
		{"other writing directions", "\u202egpj.exe\u2066", "gpj" + hairSpace + ".exe"},
		{"escapes of a terminal", "\x1b[2Ja\u009b2J", "[2Ja2J"},
		{"no UTF-8", "a\xff\xfeb", "a\ufffdb"},
		{"too long", strings.Repeat("ä", 65), strings.Repeat("ä", 64) + "…"},
		{"just short enough", strings.Repeat("ä", 64), strings.Repeat("ä", 64)},
		{"nothing visible", " \u200b\u00ad\t", ""},
	} {
		if got := value(tt.s); got != tt.want {
			t.Errorf("%s: %q, not %q", tt.name, got, tt.want)
		}
	}
}

func TestIPValue(t *testing.T) {
	for s, want := range map[string]string{
		"192.0.2.7":        "192.0.2.7",
		"::ffff:192.0.2.7": "192.0.2.7",
		"2001:DB8::7":      "2001:db8::7",
		"":                 "",
		"evil.example":     "evil" + hairSpace + ".example",
		"fe80::1%a.b":      value("fe80::1%a.b"),
		"192.0.2.7/login":  value("192.0.2.7/login"),
	} {
		if got := ipValue(s); got != want {
			t.Errorf("%q: %q, not %q", s, got, want)
		}
	}
}

// linkified is what an eager mail program makes a link of.
var linkified = regexp.MustCompile(`(?i)[a-z][a-z0-9+.-]*:[^\s]|www\.|[\pL\pN_-][.\x{3002}\x{FF0E}\x{FF61}\x{2024}][\x{AD}\x{200B}-\x{200F}\x{2060}]*\pL{2}|xn--`)

// attacks are what somebody may write into a name, a label or a browser's.
var attacks = []string{
	"evil.example", "https://evil.example/login", "http://3221226219/", "mailto:bob@evil.example", "//evil.example", "evil。example",
	"<a href=\"https://evil.example\">here</a>", "</td></tr></table><h1>Call us</h1>", "<img src=//evil.example/x.png>", "\"><script>alert(1)</script>",
	"{{.Link}}", "%s%d%!", "&lt;b&gt;", "=?utf-8?q?=0D=0ABcc=3A?=",
	"x\n  IP address  203.0.113.9", "x\r\nBcc: bob@example.net\r\n\r\n", "x\n-- \nAnother sender", "x\u2028  Account  root", "\x1b[2J\x1b[31m",
	strings.Repeat("Your account is locked, act now! ", 50),
}

func TestValuesAreData(t *testing.T) { // S31
	plain := rendered(event, "YubiKey 5")
	for _, attack := range attacks {
		e := event
		e.Name, e.Browser, e.Addr = attack, attack, attack
		for name, m := range rendered(e, attack) {
			harmless := plain[name]
			if m.Subject != harmless.Subject {
				t.Errorf("%q in %s: subject %q", attack, name, m.Subject)
			}
			tags := func(html string) string {
				return strings.Join(regexp.MustCompile(`<[^>]*>`).FindAllString(html, -1), "\n")
			}
			if tags(m.HTML) != tags(harmless.HTML) {
				t.Errorf("%q in %s: became markup:\n%s", attack, name, m.HTML)
			}
			for _, label := range []string{"Account", "IP address", "Browser", "Name", "-- "} {
				begin := regexp.MustCompile(`(?m)^ {0,2}` + label)
				if len(begin.FindAllString(m.Text, -1)) > 1 {
					t.Errorf("%q in %s: made a line of its own:\n%s", attack, name, m.Text)
				}
			}
			// What is left without what stands there anyway is what people wrote.
			for _, part := range []string{m.Text, regexp.MustCompile(`<[^>]*>`).ReplaceAllString(m.HTML, "\n")} {
				for line := range strings.SplitSeq(part, "\n") {
					if !strings.Contains(harmless.Text+harmless.HTML, line) && linkified.MatchString(line) {
						t.Errorf("%q in %s: becomes a link: %q", attack, name, line)
					}
				}
			}
			for line := range strings.SplitSeq(m.Text, "\n") {
				if utf8.RuneCountInString(line) > width+8 && !strings.HasPrefix(line, here) {
					t.Errorf("%q in %s: too wide: %q", attack, name, line)
				}
			}
			if strings.ContainsAny(m.Text+m.HTML, "\x1b\r\u2028\u202e") {
				t.Errorf("%q in %s: kept what is not seen", attack, name)
			}
		}
	}
}
