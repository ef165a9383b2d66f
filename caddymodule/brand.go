package caddymodule

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-mfa/caddy-mfa/loginui"
)

// Brand is how the pages are dressed.
type Brand struct {
	// An SVG or PNG file of at most 64 KiB, shown beside the name in place of our shield. An SVG needs a `viewBox`, or a width and height,
	// and can have other colours on dark pages by a style with `@media (prefers-color-scheme: dark)`. It is read when Caddy starts or reloads.
	Logo string `json:"logo,omitempty"`

	// The colour of buttons and links, such as `#3b53c4`, or short `#35c`. Where it would be too pale or too dark to be read, on light or on dark pages, the
	// nearest shade that can be read is taken there, and a warning says which.
	Accent string `json:"accent,omitempty"`

	// The colour behind the pages, such as `#102030`; dark pages have a dark shade of it.
	Background string `json:"background,omitempty"`

	// A line below the pages, of up to 256 characters.
	Footer string `json:"footer,omitempty"`

	// Links below the pages, up to 8, in this order.
	Links []Link `json:"links,omitempty"`
}

// Link is a link below the pages.
type Link struct {
	// What the link says: up to 48 characters.
	Label string `json:"label,omitempty"`

	// Where it leads: an address that begins with `https://`, `http://` or `mailto:`.
	URL string `json:"url,omitempty"`
}

// shaded says what becomes of an accent that cannot be read everywhere, "" if it can.
func shaded(accent string) string {
	if accent == "" {
		return ""
	}
	full, light, dark, err := loginui.Accent(accent)
	says := "the accent " + accent + " cannot be read well"
	switch {
	case err != nil || light == full && dark == full:
		return ""
	case light == full:
		return says + " on dark pages; it becomes " + dark + " there"
	case dark == full:
		return says + " on light pages; it becomes " + light + " there"
	}
	return says + "; it becomes " + light + " on light pages and " + dark + " on dark ones"
}

func checkColour(c string) error {
	_, _, _, err := loginui.Accent(c)
	return err
}

// prepareBrand replaces placeholders, and reads the logo and the templates.
func (a *App) prepareBrand(repl *caddy.Replacer, s *settings) error {
	if a.Templates != "" {
		dir, err := repl.ReplaceOrErr(a.Templates, true, true)
		if err == nil {
			if s.pages, err = loginui.LoadPages(os.DirFS(dir)); err != nil {
				err = fmt.Errorf("%s: %w", dir, err)
			}
		}
		if err != nil {
			return fmt.Errorf("option templates: %w", err)
		}
	}
	if a.Brand == nil {
		return nil
	}
	var b loginui.Brand
	logo := ""
	for _, option := range []struct {
		name, value string
		to          *string
	}{
		{"logo", a.Brand.Logo, &logo},
		{"accent", a.Brand.Accent, &b.Accent},
		{"background", a.Brand.Background, &b.Background},
		{"footer", a.Brand.Footer, &b.Footer},
	} {
		value, err := repl.ReplaceOrErr(option.value, true, false)
		if err == nil && value == "" && option.value != "" {
			err = errors.New("the value is empty")
		}
		if err != nil {
			return fmt.Errorf("option brand: %s: %w", option.name, err)
		}
		*option.to = value
	}
	for _, l := range a.Brand.Links {
		b.Links = append(b.Links, loginui.Link(l))
	}
	var err error
	if logo != "" {
		if b.Logo, err = readLogo(logo); err != nil {
			return fmt.Errorf("option brand: logo: %w", err)
		}
	}
	s.accent = b.Accent
	if s.dress, err = loginui.NewDress(b); err != nil {
		return fmt.Errorf("option brand: %w", err)
	}
	return nil
}

// readLogo reads and checks a file, of a larger one no more than shows that it is.
func readLogo(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	body, err := io.ReadAll(io.LimitReader(f, loginui.MaxLogo+1))
	if err == nil && len(body) == 0 {
		err = fmt.Errorf("%s is empty", name)
	}
	if err == nil {
		if err = loginui.CheckLogo(body); err != nil {
			err = fmt.Errorf("%s: %w", name, err)
		}
	}
	return body, err
}
