package loginui

import (
	"bytes"
	"encoding/binary"
	"encoding/xml"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

var (
	svgRoot   = regexp.MustCompile(`(?s)^(?:\s|<\?.*?\?>|<!--.*?-->|<!DOCTYPE[^>\[]*>)*<svg(\s(?:[^>"']|"[^"]*"|'[^']*')*)>`)
	svgLength = regexp.MustCompile(`\s(width|height)\s*=\s*["']([0-9.]+)(?:px)?["']`)
	svgBox    = regexp.MustCompile(`\sviewBox\s*=\s*["'][-0-9.e]+[\s,]+[-0-9.e]+[\s,]+([0-9.]+)[\s,]+([0-9.]+)\s*["']`)
	errLogo   = errors.New("the logo is neither an SVG nor a PNG file")
)

const (
	pngMagic = "\x89PNG\r\n\x1a\n"
	svgSpace = "http://www.w3.org/2000/svg"
)

// CheckLogo says what is wrong with the file of a logo.
func CheckLogo(body []byte) error {
	_, _, _, err := logoOf(body)
	return err
}

// logoOf tells what kind of picture a logo is, by what is in it, and how large. A browser shows nothing of one that is broken.
func logoOf(body []byte) (name string, w, h int, err error) {
	if len(body) > MaxLogo {
		return "", 0, 0, fmt.Errorf("the logo has more than %d KiB", MaxLogo>>10)
	}
	if chunks, ok := bytes.CutPrefix(body, []byte(pngMagic)); ok {
		if w, h, err = pngSize(chunks); err != nil {
			return "", 0, 0, err
		}
		return "logo.png", w, h, nil
	}
	body = bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))
	root := svgRoot.FindSubmatch(body)
	if root == nil || !utf8.Valid(body) {
		return "", 0, 0, errLogo
	}
	size := map[string]float64{}
	for _, m := range svgLength.FindAllSubmatch(root[1], -1) {
		size[string(m[1])], _ = strconv.ParseFloat(string(m[2]), 64)
	}
	if m := svgBox.FindSubmatch(root[1]); m != nil && size["width"]*size["height"] == 0 {
		size["width"], _ = strconv.ParseFloat(string(m[1]), 64)
		size["height"], _ = strconv.ParseFloat(string(m[2]), 64)
	}
	// Only the shape counts, so that small units of an SVG lose nothing.
	w, h = int(size["width"]*100), int(size["height"]*100)
	if w <= 0 || h <= 0 || w > 1e7 || h > 1e7 {
		return "", 0, 0, errors.New("the logo says nowhere how large it is: it needs a viewBox, or width and height")
	}
	if err := checkSVG(body); err != nil {
		return "", 0, 0, fmt.Errorf("the SVG is broken: %w", err)
	}
	return "logo.svg", w, h, nil
}

// pngSize walks the chunks of a PNG to its end (PNG, third edition, section 5).
func pngSize(chunks []byte) (w, h int, err error) {
	broken := errors.New("the PNG is broken, or cut off")
	for data := false; ; {
		if len(chunks) < 12 {
			return 0, 0, broken
		}
		long := binary.BigEndian.Uint32(chunks)
		if long > MaxLogo || int(long) > len(chunks)-12 {
			return 0, 0, broken
		}
		n := int(long)
		if crc32.ChecksumIEEE(chunks[4:8+n]) != binary.BigEndian.Uint32(chunks[8+n:]) {
			return 0, 0, broken
		}
		kind, body := string(chunks[4:8]), chunks[8:8+n]
		chunks = chunks[12+n:]
		switch {
		case (w == 0) != (kind == "IHDR") || w == 0 && n != 13: // the first, and no other
			return 0, 0, broken
		case kind == "IHDR":
			w, h = int(binary.BigEndian.Uint32(body)), int(binary.BigEndian.Uint32(body[4:]))
			if w <= 0 || h <= 0 {
				return 0, 0, fmt.Errorf("the PNG is %d by %d pixels large: nothing of it would be seen", w, h)
			}
		case kind == "IDAT":
			data = true
		case kind == "IEND":
			if !data {
				return 0, 0, broken
			}
			return w, h, nil
		}
	}
}

// checkSVG reads an SVG as browsers do that show it as a picture: strictly, and only by its namespace.
func checkSVG(body []byte) error {
	d := xml.NewDecoder(bytes.NewReader(body))
	d.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil } // it is UTF-8, whatever it says
	for depth, begun := 0, false; ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch t := token.(type) {
		case xml.StartElement:
			if depth == 0 {
				if begun {
					return errors.New("something stands after </svg>")
				}
				if begun = true; t.Name.Space != svgSpace {
					return errors.New(`its <svg> needs xmlns="` + svgSpace + `"`)
				}
			}
			depth++
			for _, name := range append([]xml.Attr{{Name: t.Name}}, t.Attr...) { // what was declared is an address by now
				if prefix := name.Name.Space; prefix != "" && prefix != "xmlns" && !strings.Contains(prefix, ":") {
					return fmt.Errorf("nothing declares the prefix %q", prefix)
				}
			}
		case xml.EndElement:
			depth--
		}
	}
}
