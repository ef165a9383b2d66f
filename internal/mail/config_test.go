package mail

import (
	"strings"
	"testing"
	"time"
)

func TestCheck(t *testing.T) {
	for _, tt := range []struct {
		name string
		set  func(*Config)
		want string // part of the error, "" for none
	}{
		{"as it should be", func(*Config) {}, ""},
		{"an IPv6 address", func(c *Config) { c.Addr = "[2001:db8::1]:587" }, ""},
		{"a container", func(c *Config) { c.Addr = "mail_relay:25" }, ""},
		{"a bare address", func(c *Config) { c.From = "sign-in@example.com" }, ""},
		{"a name beyond ASCII", func(c *Config) { c.From = "Bücher <sign-in@bücher.example>" }, ""},
		{"no user", func(c *Config) { c.User, c.Password = "", "" }, ""},
		{"a long timeout", func(c *Config) { c.Timeout = 10 * time.Minute }, ""},

		{"no server", func(c *Config) { c.Addr = "" }, "there is no server"},
		{"no port", func(c *Config) { c.Addr = "mail.example.com" }, "mail.example.com:465"},
		{"port 0", func(c *Config) { c.Addr = "mail.example.com:0" }, "is not a port"},
		{"a port that is too large", func(c *Config) { c.Addr = "mail.example.com:65536" }, "is not a port"},
		{"a port by name", func(c *Config) { c.Addr = "mail.example.com:smtp" }, "is not a port"},
		{"a URL", func(c *Config) { c.Addr = "smtp://mail.example.com:25" }, "is not a server's address"},
		{"a host with a space", func(c *Config) { c.Addr = "mail example.com:25" }, "is not the name of a server"},
		{"no host", func(c *Config) { c.Addr = ":25" }, "is not the name of a server"},
		{"no sender", func(c *Config) { c.From = "" }, "is not one mail address"},
		{"a sender without a host", func(c *Config) { c.From = "sign-in" }, "is not one mail address"},
		{"two senders", func(c *Config) { c.From = "a@example.com, b@example.com" }, "is not one mail address"},
		{"a sender with a second line", func(c *Config) { c.From = "a@example.com\r\nBcc: b@example.com" }, "is not one mail address"},
		{"a sender whose name has a second line", func(c *Config) { c.From = "A\r\nBcc: b@example.com <a@example.com>" }, "is not one mail address"},
		{"a sender beyond ASCII", func(c *Config) { c.From = "bücher@example.com" }, "must be ASCII"},
		{"a password for nobody", func(c *Config) { c.User = "" }, "without a user"},
		{"a user without a password", func(c *Config) { c.Password = "" }, "no password for the user"},
		{"a user with a NUL", func(c *Config) { c.User = "bob\x00root" }, "the user holds"},
		{"a password with a line's end", func(c *Config) { c.Password = secret + "\n" }, "the password holds"},
		{"insecure on 465", func(c *Config) { c.Addr, c.Insecure = "mail.example.com:465", true }, "insecure has no meaning"},
		{"a negative timeout", func(c *Config) { c.Timeout = -1 }, "out of range"},
		{"too long a timeout", func(c *Config) { c.Timeout = 11 * time.Minute }, "out of range"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := Config{Addr: "mail.example.com:465", From: "Example Corp <sign-in@example.com>", User: "bob", Password: secret}
			tt.set(&c)
			err := Check(c)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("%v, not %q", err, tt.want)
			}
			if err != nil && (strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "\n")) {
				t.Errorf("%q", err)
			}
		})
	}
}

func TestCheckAddress(t *testing.T) {
	long := strings.Repeat("a", 64)
	for addr, ok := range map[string]bool{
		"alice@example.com":                       true,
		"alice+tag@mail.example.com":              true,
		"o'hara.b@example.com":                    true,
		"älice@bücher.example":                    true,
		"root@localhost":                          true,
		long + "@example.com":                     true,
		long + "a@example.com":                    false,
		"a@" + strings.Repeat(long+".", 4) + "x":  false,
		"":                                        false,
		"alice":                                   false,
		"@example.com":                            false,
		"alice@":                                  false,
		"<alice@example.com>":                     false,
		"Alice <alice@example.com>":               false,
		"alice@example.com (Alice)":               false,
		"(Alice) alice@example.com":               false,
		" alice@example.com":                      false,
		"alice @example.com":                      false,
		"alice@example.com, bob@example.com":      false,
		"friends: alice@example.com;":             false,
		`"alice"@example.com`:                     false,
		`"alice bob"@example.com`:                 false,
		`"alice@example.net"@example.com`:         false,
		"alice@[192.0.2.1]":                       false,
		"alice@192.0.2.1>":                        false,
		"alice@exa!mple.com":                      false,
		"alice@-example.com":                      false,
		"alice@example.com\r\n":                   false,
		"alice@example.com\nBcc: bob@example.com": false,
		"alice\u200b@example.com":                 false,
		"alice\u202e@example.com":                 false,
		"alice\x00@example.com":                   false,
		"alice\xff@example.com":                   false,
		"alice@example.com> SIZE=1":               false,
	} {
		if err := CheckAddress(addr); (err == nil) != ok {
			t.Errorf("%q: %v", addr, err)
		}
	}
}
