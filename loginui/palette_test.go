package loginui

import (
	"maps"
	"math"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
)

// tokenColours are the colours of tokens.css in each of looks.
func tokenColours(t *testing.T) []map[string]colour {
	t.Helper()
	blocks := regexp.MustCompile(`(?s)(?:@media ([^{]*)\{\s*)?:root \{(.*?)\}`).FindAllStringSubmatch(styleFile(t, tokensName), -1)
	all := make([]map[string]colour, len(looks))
	for i, l := range looks {
		all[i] = map[string]colour{}
		same := map[string]string{}
		for _, b := range blocks {
			media := strings.ReplaceAll(strings.TrimSpace(b[1]), ": ", ":")
			applies := media == "" || l.dark && media == looks[1].media || l.more && media == looks[2].media || media == l.media
			if !applies {
				continue
			}
			for _, m := range regexp.MustCompile(`--([a-z-]+): (?:(#[0-9a-f]+)|var\(--([a-z-]+)\));`).FindAllStringSubmatch(b[2], -1) {
				if m[3] != "" { // another's, whatever that comes to be
					same[m[1]] = m[3]
					continue
				}
				hex := m[2]
				if len(hex) == 4 {
					hex = string([]byte{'#', hex[1], hex[1], hex[2], hex[2], hex[3], hex[3]})
				}
				c, err := parseColour(hex)
				if err != nil {
					t.Fatal(err)
				}
				all[i][m[1]] = c
			}
		}
		for name, of := range same {
			all[i][name] = all[i][of]
		}
	}
	return all
}

// pairs are the colours that meet on a page: what is in front, on what, and whether it is text. What is not text is what shows where the focus is,
// or what is there to be pressed. What is in a note, link or ring, has the colour of its text; the ring of a choice is that of links, for its card
// is tinted under the pointer; drawings say nothing.
var pairs = []struct {
	front, on string
	text      bool
}{
	{"ink", "card", true},
	{"ink", "inset", true},
	{"ink", "field", true},
	{"ink", "tint", true},
	{"soft", "card", true},
	{"soft", "inset", true},
	{"soft", "field", true},
	{"soft", "tint", true},
	{"link", "card", true},
	{"link", "inset", true},
	{"link", "field", true},
	{"link", "tint", true},
	{"accent-ink", "accent", true},
	{"accent-ink", "accent-up", true},
	{"good", "card", true},
	{"good", "good-tint", true},
	{"bad", "card", true},
	{"bad", "inset", true},
	{"bad", "tint", true},
	{"bad", "bad-tint", true},
	{"warn", "card", true},
	{"warn", "inset", true},
	{"warn", "tint", true},
	{"warn", "warn-tint", true},
	{"on-back", "back", true},
	{"on-back", "glow", true},
	{"on-back-soft", "back", true},
	{"on-back-soft", "glow", true},
	{"accent", "card", false},
	{"accent", "inset", false},
	{"accent", "field", false},
	{"accent-up", "card", false},
	{"accent-up", "inset", false},
	{"mark", "back", false},
	{"mark", "glow", false},
	{"mark-ink", "mark", true},
	{"bad", "field", false},
	{"edge", "card", false},
	{"edge", "inset", false},
	{"edge", "field", false},
	{"print", "paper", true},
}

// ornament are colours that nobody needs to see: lines between what stands apart anyway.
var ornament = map[string]bool{"line": true}

// TestPairsAreAll: a colour that the style sheet uses for what is in front, or as what that is on, is in a pair.
func TestPairsAreAll(t *testing.T) {
	front, on := map[string]bool{}, map[string]bool{}
	for _, p := range pairs {
		front[p.front], on[p.on] = true, true
	}
	colours := tokenColours(t)[0]
	uses := regexp.MustCompile(`[{;\s](color|stroke|fill|outline|outline-color|border-color|accent-color|background): ([^;}]*)`)
	names := regexp.MustCompile(`var\(--([a-z-]+)\)`)
	found := 0
	for _, m := range uses.FindAllStringSubmatch(styleFile(t, styleName), -1) {
		for _, n := range names.FindAllStringSubmatch(m[2], -1) {
			if _, ok := colours[n[1]]; !ok || ornament[n[1]] {
				continue
			}
			found++
			if known := m[1] != "background" && front[n[1]] || (m[1] == "background" || m[1] == "fill") && on[n[1]]; !known {
				t.Errorf("%s: %s: --%s is in no pair", m[1], m[2], n[1])
			}
		}
	}
	if found < 80 {
		t.Errorf("the style sheet uses %d colours: the rest is not seen", found)
	}
}

func checkPairs(t *testing.T, name string, l look, is map[string]colour) {
	t.Helper()
	for _, p := range pairs {
		front, ok := is[p.front]
		on, ok2 := is[p.on]
		least := 3.0
		if p.text {
			least = 4.5
		}
		if got := contrast(front, on); !ok || !ok2 || got < least {
			t.Errorf("%s, %q: %s %s on %s %s has %.2f, want %.1f", name, l.media, p.front, front, p.on, on, got, least)
		}
	}
}

// TestContrast: our own colours, in every look, and what the code believes of the style sheet.
func TestContrast(t *testing.T) {
	for i, is := range tokenColours(t) {
		l := looks[i]
		checkPairs(t, "tokens.css", l, is)
		if is["card"] != l.card || is["inset"] != l.inset || is["back"] != l.back {
			t.Errorf("%q: the surfaces are %v %v %v, palette.go has %v %v %v", l.media, is["card"], is["inset"], is["back"], l.card, l.inset, l.back)
		}
	}
	for _, tc := range []struct {
		a, b string
		want float64
	}{{"#000000", "#ffffff", 21}, {"#777777", "#ffffff", 4.48}, {"#ff0000", "#ffffff", 4}, {"#123456", "#123456", 1}} {
		a, _ := parseColour(tc.a)
		b, _ := parseColour(tc.b)
		if got := contrast(a, b); math.Abs(got-tc.want) > .01 {
			t.Errorf("%s on %s: %.3f, want %.2f", tc.a, tc.b, got, tc.want)
		}
	}
}

// TestBrandKeepsContrast: whatever colours an admin chooses, every pair that meets on a page can be told apart in every look.
func TestBrandKeepsContrast(t *testing.T) {
	ours := tokenColours(t)
	rnd := rand.New(rand.NewPCG(1, 2))
	pick := func() *colour { n := rnd.Uint32(); return &colour{uint8(n), uint8(n >> 8), uint8(n >> 16)} }
	corners := []*colour{{}, {255, 255, 255}, {255, 255, 0}, {0, 0, 255}, {255, 0, 0}, {0xcc, 6, 0x10}, {0, 255, 0}, {119, 119, 119}, {128, 128, 128}, nil}
	var chosen [][2]*colour
	for _, a := range corners {
		for _, b := range corners {
			chosen = append(chosen, [2]*colour{a, b})
		}
	}
	for range 2000 {
		chosen = append(chosen, [2]*colour{pick(), pick()})
	}
	for _, c := range chosen {
		for i, l := range looks {
			is := maps.Clone(ours[i])
			for _, n := range l.dress(c[0], c[1]) {
				is[n.name] = n.is
			}
			checkPairs(t, "accent "+text(c[0])+", background "+text(c[1]), l, is)
			if t.Failed() {
				return
			}
		}
	}
}

func text(c *colour) string {
	if c == nil {
		return "ours"
	}
	return c.String()
}

func TestAccent(t *testing.T) {
	for _, tc := range []struct{ accent, light, dark string }{
		{"#3b53c4", "#3b53c4", ""}, // what we have
		{"#0a7d33", "#0a7d33", ""},
		{"#ffcc00", "", "#ffcc00"},
		{"#ffffff", "", "#ffffff"},
		{"#000000", "#000000", ""},
		{"#FFCC00", "", "#ffcc00"},
		{"#fc0", "", "#ffcc00"},
	} {
		full, light, dark, err := Accent(tc.accent)
		if err != nil || tc.light != "" && light != tc.light || tc.dark != "" && dark != tc.dark || tc.light == "" && light == full {
			t.Errorf("%s: %s and %s, %v", tc.accent, light, dark, err)
		}
	}
	for _, bad := range []string{"", "red", "#", "#ff", "#ggg", "##fff", "fff", "#ffff", "#12345", "#1234567", "#12345g", "123456", "#+12345", "#0x1234"} {
		if _, _, _, err := Accent(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
