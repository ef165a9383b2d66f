package loginui

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of a brand.
const (
	MaxLogo   = 64 << 10 // bytes
	maxFooter = 256      // characters
	maxLabel  = 48       // characters
	maxLinks  = 8
)

// Brand is how an admin dresses the pages. What is left out stays as it is.
type Brand struct {
	Logo       []byte // SVG or PNG
	Accent     string // #rrggbb
	Background string // #rrggbb
	Footer     string
	Links      []Link // below the pages
}

// Link is a link below the pages.
type Link struct {
	Label, URL string
}

// Dress is a Brand that was checked.
type Dress struct {
	files         map[string]*staticFile // by both names, as assets has them
	logo          *staticFile
	Width, Height int // of the logo: so that nothing moves when it comes
	Footer        string
	Links         []Link
}

// NewDress checks a brand. The error says what is wrong with it.
func NewDress(b Brand) (*Dress, error) {
	d := &Dress{files: map[string]*staticFile{}, Footer: b.Footer, Links: b.Links}
	if err := CheckFooter(b.Footer); err != nil {
		return nil, err
	}
	if err := CheckLinks(b.Links); err != nil {
		return nil, err
	}
	var chosen [2]*colour
	for i, s := range []string{b.Accent, b.Background} {
		if s == "" {
			continue
		}
		c, err := parseColour(s)
		if err != nil {
			return nil, err
		}
		chosen[i] = &c
	}
	if chosen != [2]*colour{} {
		d.keep(newStatic(styleName, append(styles(), dressing(chosen[0], chosen[1])...)), styleName)
	}
	if len(b.Logo) > 0 {
		name, w, h, err := logoOf(b.Logo)
		if err != nil {
			return nil, err
		}
		d.logo, d.Width, d.Height = newStatic(name, b.Logo), w, h
		d.keep(d.logo, name)
	}
	return d, nil
}

func (d *Dress) keep(s *staticFile, plain string) { d.files[s.name], d.files[plain] = s, s }

// CheckFooter checks the text below the pages; "" is none.
func CheckFooter(text string) error {
	if !utf8.ValidString(text) || utf8.RuneCountInString(text) > maxFooter || strings.ContainsFunc(text, unicode.IsControl) {
		return fmt.Errorf("the footer is one line of at most %d characters", maxFooter)
	}
	return nil
}

// CheckLinks checks links below the pages.
func CheckLinks(links []Link) error {
	if len(links) > maxLinks {
		return fmt.Errorf("there are %d links; at most %d fit", len(links), maxLinks)
	}
	for _, l := range links {
		if l.Label == "" || !utf8.ValidString(l.Label) || utf8.RuneCountInString(l.Label) > maxLabel || strings.ContainsFunc(l.Label, unicode.IsControl) {
			return fmt.Errorf("the label %q is not one line of 1 to %d characters", l.Label, maxLabel)
		}
		u, err := url.Parse(l.URL)
		if err != nil || len(l.URL) > 2048 || !((u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.User == nil || u.Scheme == "mailto" && u.Opaque != "") {
			return fmt.Errorf("%q is not an address such as https://example.com/imprint or mailto:help@example.com", l.URL)
		}
	}
	return nil
}

var (
	svgRoot   = regexp.MustCompile(`(?s)^(?:\s|<\?.*?\?>|<!--.*?-->|<!DOCTYPE[^>\[]*>)*<svg(\s(?:[^>"']|"[^"]*"|'[^']*')*)>`)
	svgLength = regexp.MustCompile(`\s(width|height)\s*=\s*["']([0-9.]+)(?:px)?["']`)
	svgBox    = regexp.MustCompile(`\sviewBox\s*=\s*["'][-0-9.e]+[\s,]+[-0-9.e]+[\s,]+([0-9.]+)[\s,]+([0-9.]+)\s*["']`)
	errLogo   = errors.New("the logo is neither an SVG nor a PNG file")
)

// logoOf tells what kind of picture a logo is, by what is in it, and how large.
func logoOf(body []byte) (name string, w, h int, err error) {
	if len(body) > MaxLogo {
		return "", 0, 0, fmt.Errorf("the logo has more than %d KiB", MaxLogo>>10)
	}
	if bytes.HasPrefix(body, []byte("\x89PNG\r\n\x1a\n")) {
		if len(body) < 24 || string(body[12:16]) != "IHDR" {
			return "", 0, 0, errLogo
		}
		return "logo.png", int(binary.BigEndian.Uint32(body[16:])), int(binary.BigEndian.Uint32(body[20:])), nil
	}
	root := svgRoot.FindSubmatch(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")))
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
	return "logo.svg", w, h, nil
}

// Brand is the admin's dress of the pages, nil for ours. It is for the templates.
func (pg *page) Brand() *Dress { return pg.dress }

// Logo is the address of the logo, "" if there is none.
func (pg *page) Logo() string {
	if pg.dress == nil || pg.dress.logo == nil {
		return ""
	}
	return pg.prefix + staticPath + pg.dress.logo.name
}
