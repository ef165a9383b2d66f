package loginui

import (
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"html/template"
)

// styleSheet is what pages look like. It stands in the page itself, so that a browser can paint as soon as the page is there, without
// another round trip; the page's policy names its hash, and permits no other style.
type styleSheet struct {
	css    []byte
	source string // for style-src (CSP Level 3, section 2.3.1)
	zipped []byte // deflate blocks (RFC 1951) that end on a byte, none of them the last
}

func newStyle(css []byte) *styleSheet {
	sum := sha256.Sum256(css)
	var b bytes.Buffer
	z, _ := flate.NewWriter(&b, flate.BestCompression)
	_, _ = z.Write(css) // a Buffer takes everything
	_ = z.Flush()
	return &styleSheet{css, "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'", b.Bytes()}
}

// zip is page as gzip (RFC 1952), in which nothing but the style sheet is compressed: the length tells nothing of what the page says, which
// may be a secret beside something that another site chose (BREACH).
func (s *styleSheet) zip(page []byte) []byte {
	head, rest, ok := bytes.Cut(page, s.css)
	b := append(make([]byte, 0, len(head)+len(s.zipped)+len(rest)+64), 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff)
	if ok {
		b = append(stored(b, head), s.zipped...)
	} else {
		rest = head
	}
	b = append(stored(b, rest), 1, 0, 0, 0xff, 0xff) // an empty block is the last
	b = binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(page))
	return binary.LittleEndian.AppendUint32(b, uint32(len(page))) // modulo 2^32, as the RFC says
}

// stored appends data in blocks that are not compressed (RFC 1951, section 3.2.4).
func stored(b, data []byte) []byte {
	for len(data) > 0 {
		n := min(len(data), 0xffff)
		b = append(b, 0, byte(n), byte(n>>8), ^byte(n), ^byte(n>>8))
		b = append(b, data[:n]...)
		data = data[n:]
	}
	return b
}

// sheet is the style sheet of the portal's pages.
func (p *Portal) sheet() *styleSheet {
	s, _ := p.dressed(styleName)
	return s.sheet
}

// Style is the style sheet, for the page itself.
func (pg *page) Style() template.CSS { return template.CSS(pg.sheet().css) } //nolint:gosec // it is ours
