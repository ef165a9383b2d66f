package mail

import (
	"bytes"
	"errors"
	"mime"
	"net/mail"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/mail/smtptest"
)

// headers are all that a mail has.
var headers = []string{"Auto-Submitted", "Content-Type", "Date", "From", "Message-Id", "Mime-Version", "Subject", "To", "X-Auto-Response-Suppress"}

func TestHeaders(t *testing.T) {
	srv := smtptest.Start(t, smtptest.Options{})
	c := configFor(srv)
	c.From = `"Bücher & Söhne, Sign-in" <sign-in@bücher.example>`
	m := letterTo("alice@example.net")
	m.Subject = strings.Repeat("Ihr Schlüssel für Bücher & Söhne. ", 4)
	if err := newSender(t, c).Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	data := srv.Mails()[0].Data
	h, text, html := parts(t, data)
	if text != m.Text || html != m.HTML {
		t.Errorf("%s\n%s", text, html)
	}
	var names []string
	for name, values := range h {
		names = append(names, name)
		if len(values) != 1 {
			t.Errorf("%s: %q", name, values)
		}
	}
	if slices.Sort(names); !slices.Equal(names, headers) {
		t.Errorf("%q", names)
	}
	for name, want := range map[string]string{
		"Message-Id": "<01JNABCDEF@xn--bcher-kva.example>", "Auto-Submitted": "auto-generated", "X-Auto-Response-Suppress": "All",
		"Mime-Version": "1.0", "Date": "Sun, 01 Mar 2026 12:30:00 +0200", "To": "<alice@example.net>",
	} {
		if got := h.Get(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	if date, err := h.Date(); err != nil || !date.Equal(noon) {
		t.Error(date, err)
	}
	from, err := h.AddressList("From")
	if err != nil || len(from) != 1 || *from[0] != (mail.Address{Name: "Bücher & Söhne, Sign-in", Address: "sign-in@xn--bcher-kva.example"}) {
		t.Errorf("%v, %v", from, err)
	}
	if got, err := new(mime.WordDecoder).DecodeHeader(h.Get("Subject")); err != nil || got != strings.TrimSpace(m.Subject) {
		t.Errorf("%q, %v", got, err)
	}
	// RFC 5322, section 2.1.1, and RFC 2047, section 2: all of it ASCII, in lines that are not too long, ending in CRLF.
	for line := range bytes.SplitAfterSeq(data, []byte("\n")) {
		if len(line) > 78 || len(line) > 0 && !bytes.HasSuffix(line, []byte("\r\n")) || bytes.ContainsFunc(line, func(r rune) bool { return r > 126 }) {
			t.Errorf("%q", line)
		}
	}
}

func TestMessageRefused(t *testing.T) {
	srv := smtptest.Start(t, smtptest.Options{})
	for _, tt := range []struct {
		name string
		set  func(*Message)
	}{
		{"no ID", func(m *Message) { m.ID = "" }},
		{"an ID with a second line", func(m *Message) { m.ID = "a>\r\nBcc: bob@example.net\r\nX: <" }},
		{"an ID that ends the field", func(m *Message) { m.ID = "a>b" }},
		{"an ID with a host", func(m *Message) { m.ID = "a@example.net" }},
		{"an ID with two dots", func(m *Message) { m.ID = "a..b" }},
		{"too long an ID", func(m *Message) { m.ID = strings.Repeat("a", 129) }},
		{"no date", func(m *Message) { m.Date = time.Time{} }},
		{"no text", func(m *Message) { m.Text = "" }},
		{"no HTML", func(m *Message) { m.HTML = " \n" }},
		{"nobody", func(m *Message) { m.To = "" }},
		{"two people", func(m *Message) { m.To = "alice@example.net, bob@example.net" }},
		{"a person with a name", func(m *Message) { m.To = "Alice <alice@example.net>" }},
		{"a second line", func(m *Message) { m.To = "alice@example.net\r\nBcc: bob@example.net" }},
		{"a second command", func(m *Message) { m.To = "alice@example.net>\r\nRCPT TO:<bob@example.net" }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := letterTo("alice@example.net")
			tt.set(&m)
			var r *Refused
			if err := newSender(t, configFor(srv)).Send(t.Context(), m); !errors.As(err, &r) || r.Code != 0 || strings.ContainsAny(err.Error(), "\r\n") {
				t.Errorf("%v", err)
			}
		})
	}
	if srv.Connections() != 0 {
		t.Error("the server was asked")
	}
}

// checkSealed fails if a mail has anything but our headers, once each, or more than one recipient.
func checkSealed(t *testing.T, e *envelope) {
	t.Helper()
	head, _, _ := bytes.Cut(e.data, []byte("\r\n\r\n"))
	if h := bytes.ReplaceAll(head, []byte("\r\n"), nil); bytes.ContainsAny(h, "\r\n\x00") {
		t.Fatalf("a line break of its own: %q", head)
	}
	var names []string
	for line := range bytes.SplitSeq(head, []byte("\r\n")) {
		if name, _, ok := bytes.Cut(line, []byte(":")); line[0] != ' ' && line[0] != '\t' {
			if !ok {
				t.Fatalf("%q", line)
			}
			names = append(names, strings.ToLower(string(name)))
		}
		if len(line) > 998 { // RFC 5322, section 2.1.1
			t.Errorf("%d bytes in a line", len(line))
		}
	}
	slices.Sort(names)
	if !slices.EqualFunc(names, headers, strings.EqualFold) {
		t.Fatalf("%q in\n%s", names, head)
	}
	h, _, _ := parts(t, e.data)
	if to, err := h.AddressList("To"); err != nil || len(to) != 1 || to[0].Address != e.to {
		t.Fatalf("to %v, %v, not %q", to, err, e.to)
	}
	if strings.ContainsAny(e.to, "\r\n <>,;\x00") || strings.Count(e.to, "@") != 1 {
		t.Fatalf("recipient %q", e.to)
	}
	if got, err := new(mime.WordDecoder).DecodeHeader(h.Get("Subject")); err != nil || strings.ContainsAny(got, "\r\n") {
		t.Fatalf("subject %q, %v", got, err)
	}
}

func FuzzHeaders(f *testing.F) { // S31
	for _, attack := range append(slices.Clone(attacks), "alice@example.net", "älice@bücher.example", "\"a b\"@example.net", "a@example.net\nBcc: b@example.net", "a\r\n b@example.net",
		"Example Corp\r\nBcc: bob@example.net", "Ünïcode\u202e", "=?UTF-8?B?DQpCY2M6?=", "\x00", "\xff\xfe", strings.Repeat("ü", 300), strings.Repeat("a", 2000)) {
		f.Add(attack, attack, attack, attack)
		f.Add("Example Corp", "alice", "alice@example.net", attack)
		f.Add(attack, attack, "alice@example.net", "Your code")
	}
	f.Fuzz(func(t *testing.T, product, name, to, subject string) {
		s := newSender(t, Config{Addr: "mail.example.com:465", From: "Example Corp <sign-in@example.com>"})
		c := Config{Addr: "mail.example.com:465", From: (&mail.Address{Name: product, Address: "sign-in@example.com"}).String()}
		if other, err := New(c); err == nil {
			s = other
		}
		m := MethodAdded{Event{product, name, noon, name, name, here + "undo", false, ""}, name, name}.Message()
		m.ID, m.Date = "id", noon
		for _, person := range []string{"alice@example.net", to} {
			m.To = person
			for _, m.Subject = range []string{m.Subject, subject} {
				e, err := s.seal(m)
				if err != nil {
					if person != to {
						t.Fatal(err)
					}
					continue
				}
				checkSealed(t, e)
			}
		}
	})
}
