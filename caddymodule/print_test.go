package caddymodule

import (
	"encoding/json"
	"io"
	"os"
	"testing"
	"time"
)

func TestPrintable(t *testing.T) { // S79
	for _, row := range []struct{ name, in, want string }{
		{"text", "Zoë Ünal 山田", "Zoë Ünal 山田"},
		{"escape sequence", "a\x1b[2Jb", "a\ufffd[2Jb"},
		{"one-byte control sequence", "a\u009b2Jb", "a\ufffd2Jb"},
		{"line break", "a\r\nb", "a\ufffd\ufffdb"},
		{"right-to-left override", "a\u202eb", "a\ufffdb"},
		{"zero-width space", "a\u200bb", "a\ufffdb"},
		{"not UTF-8", "a\xffb", "a\ufffdb"},
	} {
		if got := printable(row.in); got != row.want {
			t.Errorf("%s: %q, want %q", row.name, got, row.want)
		}
	}
}

func TestEscapeJSON(t *testing.T) {
	for _, in := range []string{"plain", "Zoë 山田 <&>", "\x00\x1b\x7f\u0085\u009b\u202e\u2028", "\U000e0041\U0001f600", "\U0010ffff"} {
		b, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		escaped := escapeJSON(b)
		if got := printable(string(escaped)); got != string(escaped) {
			t.Errorf("%q stays unprintable: %q", in, escaped)
		}
		var out string
		if err := json.Unmarshal(escaped, &out); err != nil || out != in {
			t.Errorf("%q became %q: %v", in, out, err)
		}
	}
}

func TestLostOutputIsAnError(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	c := &client{out: full}
	if err := c.show("", func(w io.Writer) { _, _ = io.WriteString(w, "a link") }); err == nil {
		t.Error("nothing was said")
	}
}

func TestLocalTime(t *testing.T) {
	if got := localTime(time.Time{}); got != "never" {
		t.Errorf("no time is %q", got)
	}
}
