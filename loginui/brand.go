package loginui

import (
	"fmt"
	"net/url"
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
	Accent     string // #rrggbb or #rgb
	Background string // #rrggbb or #rgb
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

// Brand is the admin's dress of the pages, nil for ours. It is for the templates.
func (pg *page) Brand() *Dress { return pg.dress }

// Logo is the address of the logo, "" if there is none.
func (pg *page) Logo() string {
	if pg.dress == nil || pg.dress.logo == nil {
		return ""
	}
	return pg.prefix + staticPath + pg.dress.logo.name
}
