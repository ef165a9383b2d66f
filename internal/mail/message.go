package mail

import (
	"errors"
	"fmt"
	"net/mail"
	"regexp"
	"strings"
	"time"
)

// Message is a mail to one person. Its texts are made by the structs of this package, such as SignInCode.
type Message struct {
	// ID is the left part of the Message-ID: unique, and the same at every try, so that a mail that came twice is recognised.
	// Letters, digits, "-", "_" and single dots, at most 128.
	ID   string    `json:"id"`
	Date time.Time `json:"date"`
	// To is exactly one address; see CheckAddress.
	To string `json:"to"`
	// Subject is one line. Text and HTML say the same.
	Subject string `json:"subject"`
	Text    string `json:"text"`
	HTML    string `json:"html"`
}

var messageID = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$`)

// envelope is a Message as it goes over the wire.
type envelope struct {
	to   string // with its host in ASCII
	utf8 bool   // the server must know SMTPUTF8 (RFC 6531)
	data []byte // header and body, lines ending in CRLF
}

// seal writes the headers and the body of m. Its errors are about m alone: trying again is useless.
func (s *Sender) seal(m Message) (*envelope, error) {
	to, err := parseAddress(m.To)
	if err != nil {
		return nil, err
	}
	switch {
	case len(m.ID) > 128 || !messageID.MatchString(m.ID):
		return nil, errors.New("the message has no proper ID")
	case m.Date.IsZero():
		return nil, errors.New("the message has no date")
	case strings.TrimSpace(m.Text) == "" || strings.TrimSpace(m.HTML) == "":
		return nil, errors.New("the message has no text")
	}
	id := m.ID + s.from.Address[strings.LastIndexByte(s.from.Address, '@'):]
	data, err := encode(id, s.from, mail.Address{Address: to}, m)
	if err != nil {
		return nil, fmt.Errorf("writing the message: %w", err)
	}
	return &envelope{to: to, utf8: !ascii(to), data: data}, nil
}

// subject is s as it may stand in a header: one line, cut, and without what mail programs would decode (RFC 2047).
func subject(s string) string {
	return strings.ReplaceAll(clean(s, 150), "=?", "= ?")
}

// lines is valid UTF-8 with line breaks in one form.
func lines(s string) string {
	return strings.NewReplacer("\r\n", "\n", "\r", "\n", "\x00", "").Replace(strings.ToValidUTF8(s, "\uFFFD"))
}
