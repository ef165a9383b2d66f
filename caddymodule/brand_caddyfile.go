package caddymodule

import (
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/caddy-mfa/caddy-mfa/loginui"
)

// parseBrand reads how the pages are dressed:
//
//	brand {
//		logo       <SVG or PNG file>
//		accent     "#rrggbb"
//		background "#rrggbb"
//		footer     <text>
//		links {
//			<label> <address>
//		}
//	}
func parseBrand(d *caddyfile.Dispenser) (*Brand, error) {
	if d.NextArg() {
		return nil, d.ArgErr()
	}
	b, seen, at := new(Brand), options{}, here(d)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := seen.once(d); err != nil {
			return nil, err
		}
		var err error
		switch option := d.Val(); option {
		case "logo":
			err = oneArg(d, &b.Logo, nil)
		case "accent":
			place := here(d)
			if err = colourArg(d, &b.Accent); err == nil {
				warn(place, shaded(b.Accent))
			}
		case "background":
			err = colourArg(d, &b.Background)
		case "footer":
			err = oneArg(d, &b.Footer, loginui.CheckFooter)
		case "links":
			b.Links, err = parseLinks(d)
		default:
			err = d.Errf("there is no option %q here", option)
		}
		if err != nil {
			return nil, err
		}
	}
	return b, seen.some(at, "logo, accent, background, footer and links")
}

// colourArg reads a colour. Unquoted it would be a comment, which nobody expects who knows colours.
func colourArg(d *caddyfile.Dispenser, to *string) error {
	if option := d.Val(); d.CountRemainingArgs() == 0 {
		return d.Errf(`%s needs a colour in quotes, such as "#3b53c4": without them # begins a comment`, option)
	}
	return oneArg(d, to, checkColour)
}

func parseLinks(d *caddyfile.Dispenser) (links []Link, err error) {
	if d.NextArg() {
		return nil, d.ArgErr()
	}
	seen, at := options{}, here(d)
	var checked []loginui.Link
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := seen.once(d); err != nil {
			return nil, err
		}
		l := Link{Label: d.Val()}
		if err := oneArg(d, &l.URL, nil); err != nil {
			return nil, err
		}
		if checked = append(checked, loginui.Link(l)); loginui.CheckLinks(checked) != nil {
			return nil, d.WrapErr(loginui.CheckLinks(checked))
		}
		links = append(links, l)
	}
	return links, seen.some(at, `lines such as "Imprint" https://example.com/imprint`)
}

// warn tells whoever adapts a Caddyfile of something that is no error. Global options have no other way to.
func warn(at *caddyfile.Dispenser, words string) {
	if words != "" {
		caddy.Log().Named("mfa").Warn(words, zap.String("at", fmt.Sprintf("%s:%d", at.File(), at.Line())))
	}
}
