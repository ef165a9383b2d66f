package mail

import (
	"bytes"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/textproto"
	"strings"
	"time"
)

// maxLine is how long a line with an encoded word may be, without its CRLF (RFC 2047, section 2).
const maxLine = 76

// encode writes m, with id as its Message-ID, as it goes over the wire: all but to is ASCII, and no line is longer than maxLine but
// where one address or ID is. m and the addresses are checked.
func encode(id string, from, to mail.Address, m Message) ([]byte, error) {
	var b, body bytes.Buffer
	w := multipart.NewWriter(&body)
	for _, part := range []struct{ kind, text string }{{"text/plain", m.Text}, {"text/html", m.HTML}} { // least first: RFC 2046, section 5.1.4
		if err := writePart(w, part.kind+"; charset=UTF-8", lines(part.text)); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	for _, field := range [][2]string{
		{"Date", m.Date.Format(time.RFC1123Z)},
		{"From", from.String()},
		{"To", to.String()},
		{"Message-ID", "<" + id + ">"},
		{"Subject", mime.QEncoding.Encode("UTF-8", subject(m.Subject))},
		{"Auto-Submitted", "auto-generated"}, // RFC 3834, section 5
		{"X-Auto-Response-Suppress", "All"},  // the same for Exchange
		{"MIME-Version", "1.0"},
		{"Content-Type", "multipart/alternative; boundary=" + w.Boundary()},
	} {
		writeField(&b, field[0], field[1])
	}
	b.WriteString("\r\n")
	b.Write(body.Bytes())
	return b.Bytes(), nil
}

// writeField writes a field of the header. Its value has single spaces, and is folded at them.
func writeField(b *bytes.Buffer, name, value string) {
	b.WriteString(name + ":")
	column := len(name) + 1
	for word := range strings.SplitSeq(value, " ") {
		if column += 1 + len(word); column > maxLine {
			b.WriteString("\r\n")
			column = 1 + len(word)
		}
		b.WriteString(" " + word)
	}
	b.WriteString("\r\n")
}

func writePart(w *multipart.Writer, contentType, text string) error {
	part, err := w.CreatePart(textproto.MIMEHeader{"Content-Type": {contentType}, "Content-Transfer-Encoding": {"quoted-printable"}})
	if err != nil {
		return err
	}
	q := quotedprintable.NewWriter(part)
	if _, err := q.Write([]byte(text)); err != nil {
		return err
	}
	return q.Close()
}
