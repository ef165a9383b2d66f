package loginui

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// colour is red, green and blue in sRGB.
type colour [3]uint8

var (
	black = colour{0, 0, 0}
	white = colour{255, 255, 255}
)

// parseColour reads #rrggbb, and #rgb, which is short for it (CSS Color Level 4, section 5.2).
func parseColour(s string) (colour, error) {
	hex := strings.TrimPrefix(s, "#")
	if len(hex) == 3 {
		hex = string([]byte{hex[0], hex[0], hex[1], hex[1], hex[2], hex[2]})
	}
	n, err := strconv.ParseUint(hex, 16, 32)
	if err != nil || len(hex) != 6 || s[0] != '#' {
		return colour{}, fmt.Errorf("%q is not a colour such as #3b53c4", s)
	}
	return colour{uint8(n >> 16), uint8(n >> 8), uint8(n)}, nil
}

func (c colour) String() string { return fmt.Sprintf("#%02x%02x%02x", c[0], c[1], c[2]) }

// luminance is relative luminance (WCAG 2.2).
func (c colour) luminance() float64 {
	sum := 0.0
	for i, part := range [3]float64{.2126, .7152, .0722} {
		v := float64(c[i]) / 255
		if v <= .04045 {
			v /= 12.92
		} else {
			v = math.Pow((v+.055)/1.055, 2.4)
		}
		sum += part * v
	}
	return sum
}

// contrast is the contrast ratio of two colours, from 1 to 21 (WCAG 2.2).
func contrast(a, b colour) float64 {
	x, y := a.luminance(), b.luminance()
	return (max(x, y) + .05) / (min(x, y) + .05)
}

// mix is c with a part of d.
func (c colour) mix(d colour, part float64) (m colour) {
	for i := range m {
		m[i] = uint8(math.Round(float64(c[i])*(1-part) + float64(d[i])*part))
	}
	return m
}

// on reports whether c has a contrast of at least ratio on all surfaces.
func (c colour) on(ratio float64, surfaces ...colour) bool {
	for _, s := range surfaces {
		if contrast(c, s) < ratio {
			return false
		}
	}
	return true
}

// toward is the first colour on the way from c to end that is good; end itself if none is.
func (c colour) toward(end colour, good func(colour) bool) colour {
	way := []colour{c, end}
	if most := max(c[0], c[1], c[2]); end == white && most > 0 { // as bright as it gets, before it gets pale
		by := 255 / float64(most)
		way = []colour{c, {uint8(float64(c[0]) * by), uint8(float64(c[1]) * by), uint8(float64(c[2]) * by)}, white}
	}
	for i, to := range way[1:] {
		for part := 0.0; part < 1; part += .02 {
			if m := way[i].mix(to, part); good(m) {
				return m
			}
		}
	}
	return end
}

// ink is the colour of text on c: white where that can be read well enough, else whichever can be read better. With black and white one
// of them always has more than 4.5.
func (c colour) ink(ratio float64) colour {
	if w := contrast(white, c); w >= ratio || w >= contrast(black, c) {
		return white
	}
	return black
}

// look is one of the four looks of the pages: what tokens.css says of those of its colours that the brand's have to go with.
type look struct {
	media            string
	card, inset      colour
	back             colour
	text, part, tint float64 // contrast of text, and of parts of controls; how much of the accent is in a tint
	dark, more       bool
}

var looks = []look{
	{"", colour{255, 255, 255}, colour{0xf5, 0xf6, 0xfa}, colour{0xf2, 0xf3, 0xf8}, 4.5, 3, .1, false, false},
	{"(prefers-color-scheme:dark)", colour{0x17, 0x1a, 0x23}, colour{0x11, 0x14, 0x1b}, colour{0x0e, 0x10, 0x16}, 4.5, 3, .14, true, false},
	{"(prefers-contrast:more)", white, white, white, 7, 4.5, .08, false, true},
	{"(prefers-contrast:more) and (prefers-color-scheme:dark)", black, black, black, 7, 4.5, .1, true, true},
}

// end is what colours go to that cannot be told from the page.
func (l look) end() colour {
	if l.dark {
		return white
	}
	return black
}

// press is the accent for a look: what buttons are made of. It stands out from the page, and text can be read on it.
func (l look) press(accent colour) colour {
	return accent.toward(l.end(), func(c colour) bool { return c.on(l.part, l.card, l.inset) && contrast(c.ink(l.text), c) >= l.text })
}

// named is a token and its colour.
type named struct {
	name string
	is   colour
}

// dress is what a brand's colours make of the tokens in a look; nil is a colour that the brand leaves as it is.
func (l look) dress(accent, background *colour) (all []named) {
	back := l.back
	if background != nil && !l.more {
		back = *background
		if l.dark { // nobody wants a bright page at night
			back = back.toward(black, func(c colour) bool { return c.luminance() <= .01 })
		}
	}
	glow := back
	if accent != nil {
		press := l.press(*accent)
		ink := press.ink(l.text)
		up := press
		for _, part := range []float64{.18, .1, .05} {
			if c := press.mix(l.end(), part); c.on(l.part, l.card, l.inset) && contrast(c, ink) >= l.text {
				up = c
				break
			}
		}
		tint := l.card.mix(press, l.tint)
		link := press.toward(l.end(), func(c colour) bool { return c.on(l.text, l.card, l.inset, tint) })
		all = append(all, named{"accent", press}, named{"accent-up", up}, named{"accent-ink", ink}, named{"link", link}, named{"tint", tint})
		if !l.more {
			glow = back.mix(press, l.tint)
		}
	}
	onBack := back.ink(7)
	if contrast(onBack, glow) < 4.5 {
		glow = back
	}
	mark := onBack
	if accent != nil {
		if press := l.press(*accent); press.on(l.part, back, glow) {
			mark = press
		}
	}
	soft := onBack.mix(back, .3)
	if !soft.on(l.text, back, glow) {
		soft = onBack
	}
	return append(all, named{"back", back}, named{"glow", glow}, named{"on-back", onBack}, named{"on-back-soft", soft},
		named{"mark", mark}, named{"mark-ink", mark.ink(l.text)})
}

// dressing is the style sheet that puts a brand's colours in place of ours.
func dressing(accent, background *colour) []byte {
	var b strings.Builder
	for _, l := range looks {
		if l.media != "" {
			b.WriteString("@media " + l.media + "{")
		}
		b.WriteString(":root{")
		for _, n := range l.dress(accent, background) {
			b.WriteString("--" + n.name + ":" + n.is.String() + ";")
		}
		b.WriteString("}")
		if l.media != "" {
			b.WriteString("}")
		}
	}
	return []byte(b.String())
}

// Accent returns an accent as it would be written in full, and what becomes of it on light and on dark pages: the nearest shade that stands out
// from them, and on which text can be read (WCAG 2.2, 1.4.3 and 1.4.11).
func Accent(accent string) (full, light, dark string, err error) {
	c, err := parseColour(accent)
	return c.String(), looks[0].press(c).String(), looks[1].press(c).String(), err
}
