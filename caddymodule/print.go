package caddymodule

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"
)

// show prints an operation's output: as JSON where that was asked for, else as human writes it.
func (c *client) show(v any, human func(w io.Writer)) error {
	var buf bytes.Buffer
	if c.json {
		enc := json.NewEncoder(&buf)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		if err := enc.Encode(v); err != nil {
			return fmt.Errorf("encoding the output: %w", err)
		}
		buf = *bytes.NewBuffer(escapeJSON(buf.Bytes()))
	} else {
		human(&buf)
	}
	if _, err := c.out.Write(buf.Bytes()); err != nil { // a one-time link that was lost in a full pipe must not look like success
		return fmt.Errorf("done, but the output could not be written: %w", err)
	}
	return nil
}

// printable replaces what a terminal would act upon, or what would reorder or hide text, in a value that somebody else chose.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return utf8.RuneError
	}, s)
}

// escapeJSON does so for JSON, where nothing may be lost: outside ASCII, such characters can stand in strings only.
func escapeJSON(b []byte) []byte {
	var out bytes.Buffer
	for _, r := range string(b) {
		switch {
		case r < 0x7f || unicode.IsPrint(r):
			out.WriteRune(r)
		case r > 0xffff:
			r -= 0x10000 // as a surrogate pair: RFC 8259, section 7
			fmt.Fprintf(&out, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		default:
			fmt.Fprintf(&out, `\u%04x`, r)
		}
	}
	return out.Bytes()
}

// table writes aligned columns.
func table(w io.Writer, indent string, rows [][]string) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i, cell := range row {
			row[i] = printable(cell)
		}
		fmt.Fprintln(tw, indent+strings.Join(row, "\t"))
	}
	tw.Flush() // writes into memory
}

// localTime is how people are shown a moment.
func localTime(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.Local().Format("2006-01-02 15:04 MST")
}

func orElse(s, empty string) string {
	if s == "" {
		return empty
	}
	return s
}
