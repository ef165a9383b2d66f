package e2e

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/http"
	netmail "net/mail"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
	"github.com/caddy-mfa/caddy-mfa/internal/mail/smtptest"
)

// letter is a mail as somebody reads it.
type letter struct {
	To, Subject string
	ID          string // Message-ID
	Header      netmail.Header
	Text, HTML  string
	links       []string // all that are in it

	read bool
}

var (
	codeInText = regexp.MustCompile(`(?m)^    ([0-9]{6})$`)
	linkInText = regexp.MustCompile(`https?://\S+`)
)

// headers are all that a mail has.
var headers = []string{"Auto-Submitted", "Content-Type", "Date", "From", "Message-Id", "Mime-Version", "Subject", "To", "X-Auto-Response-Suppress"}

// parseLetter reads a mail that came, and complains of whatever is wrong with its envelope.
func parseLetter(t *testing.T, m *smtptest.Mail) *letter {
	l := readLetter(t, m.Data)
	if !m.TLS || m.User != mailUser || m.From != mailFrom || m.To != l.To {
		t.Errorf("a mail came with TLS %v, by %q, from %q, for %q (To: %q)", m.TLS, m.User, m.From, m.To, l.To)
	}
	return l
}

// readLetter reads a mail, and complains of whatever is wrong with it.
func readLetter(t *testing.T, data []byte) *letter {
	m, err := netmail.ReadMessage(bytes.NewReader(data))
	if err != nil {
		t.Errorf("reading a mail: %v\n%s", err, data)
		return &letter{}
	}
	l := &letter{Header: m.Header, ID: m.Header.Get("Message-ID")}
	if l.Subject, err = new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject")); err != nil {
		t.Errorf("the subject: %v", err)
	}
	to, err := m.Header.AddressList("To")
	if err != nil || len(to) != 1 {
		t.Errorf("a mail to %v, %v, want one address", to, err)
	} else {
		l.To = to[0].Address
	}
	// S31: no header that is not ours, and none twice.
	if got := slices.Sorted(maps.Keys(m.Header)); !slices.Equal(got, headers) {
		t.Errorf("a mail has the headers %q, want %q", got, headers)
	}
	for name, values := range m.Header {
		if len(values) != 1 {
			t.Errorf("a mail has %d times %s", len(values), name)
		}
	}
	if at, err := m.Header.Date(); err != nil || time.Since(at).Abs() > time.Hour {
		t.Errorf("a mail's date is %v, %v", at, err)
	}
	if !strings.HasSuffix(l.ID, "@example.com>") || m.Header.Get("Auto-Submitted") != "auto-generated" || m.Header.Get("From") != `"`+product+`" <`+mailFrom+`>` {
		t.Errorf("a mail has the headers %v", m.Header)
	}
	l.Text, l.HTML = parts(t, m)
	l.links = links(t, l.HTML)
	inText := linkInText.FindAllString(l.Text, -1)
	for _, link := range append(inText, l.links...) { // both say the same
		if !slices.Contains(l.links, link) || !slices.Contains(inText, link) {
			t.Errorf("the link %s is not in text and HTML alike", link)
		}
	}
	if code := codeInText.FindStringSubmatch(l.Text); code != nil && !strings.Contains(l.HTML, code[1]) {
		t.Error("the code is not in text and HTML alike")
	}
	return l
}

// parts are the text and the HTML of a mail.
func parts(t *testing.T, m *netmail.Message) (text, html string) {
	media, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || media != "multipart/alternative" {
		t.Errorf("a mail is %s, %v", media, err)
		return "", ""
	}
	var found []string
	r := multipart.NewReader(m.Body, params["boundary"])
	for {
		p, err := r.NextRawPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Errorf("a mail's part: %v", err)
			break
		}
		b, err := io.ReadAll(quotedprintable.NewReader(p))
		if err != nil || p.Header.Get("Content-Transfer-Encoding") != "quoted-printable" {
			t.Errorf("a mail's part in %s: %v", p.Header.Get("Content-Transfer-Encoding"), err)
		}
		found = append(found, p.Header.Get("Content-Type"), strings.ReplaceAll(string(b), "\r\n", "\n"))
	}
	if len(found) != 4 || found[0] != "text/plain; charset=UTF-8" || found[2] != "text/html; charset=UTF-8" {
		t.Errorf("a mail has the parts %q", found)
		return "", ""
	}
	return found[1], found[3]
}

// links are the addresses behind the links of a mail. It must load nothing.
func links(t *testing.T, source string) (out []string) {
	root, err := html.Parse(strings.NewReader(source))
	if err != nil {
		t.Error(err)
		return nil
	}
	for n := range root.Descendants() {
		for _, a := range n.Attr {
			switch a.Key {
			case "href":
				if !slices.Contains(out, a.Val) {
					out = append(out, a.Val)
				}
			case "src", "srcset", "background", "action":
				t.Errorf("a mail loads %s", a.Val)
			}
		}
	}
	return out
}

// code is the six digits in the letter.
func (l *letter) code(t *testing.T) string {
	t.Helper()
	m := codeInText.FindStringSubmatch(l.Text)
	if m == nil {
		t.Fatalf("there is no code in %q:\n%s", l.Subject, l.Text)
	}
	return m[1]
}

// link is the link in the letter.
func (l *letter) link(t *testing.T) string {
	t.Helper()
	if len(l.links) != 1 {
		t.Fatalf("there is not one link in %q:\n%s", l.Subject, l.Text)
	}
	return l.links[0]
}

// token is what follows # in the link.
func (l *letter) token(t *testing.T) string {
	t.Helper()
	_, token := rig.CutLink(l.link(t))
	return token
}

// scan fetches every link as programs do that look for danger in mails before people read them: GET and HEAD, as a browser would
// and as a robot does. Nothing may come of it, which the person finds who follows the link then. S28
func (l *letter) scan(t *testing.T) {
	t.Helper()
	for _, link := range l.links {
		u, err := url.Parse(link)
		if err != nil {
			t.Fatal(err)
		}
		token := u.Fragment
		if u.Host == "" || len(token) < 40 || u.RawQuery != "" || strings.Contains(u.Path, token) { // S30
			t.Errorf("the link %s, want the token in its fragment alone", link)
		}
		for _, method := range []string{http.MethodHead, http.MethodGet} {
			for _, accept := range []string{"*/*", "text/html"} {
				req, err := http.NewRequestWithContext(t.Context(), method, link, nil)
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Accept", accept)
				req.Header.Set("User-Agent", "LinkScanner/1.0")
				resp, err := scanner.Do(req)
				if err != nil {
					t.Errorf("%s %s: %v", method, u.Path, err)
					continue
				}
				body, _ := io.ReadAll(resp.Body)
				resp.Body.Close()
				if resp.StatusCode != http.StatusOK {
					t.Errorf("%s %s gives a scanner %d", method, u.Path, resp.StatusCode)
				}
				if bytes.Contains(body, []byte(token)) {
					t.Errorf("%s %s answers with the token", method, u.Path)
				}
			}
		}
	}
}

var scanner = &http.Client{Timeout: patience}
