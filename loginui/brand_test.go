package loginui

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// imprint is a link of a brand.
const imprint = "https://example.com/imprint"

// tiny is a PNG of one pixel.
var tiny, _ = base64.StdEncoding.DecodeString("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")

const svgHead = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1">`

// pngOf is tiny with another size in it.
func pngOf(w, h uint32) string {
	b := bytes.Clone(tiny)
	binary.BigEndian.PutUint32(b[16:], w)
	binary.BigEndian.PutUint32(b[20:], h)
	binary.BigEndian.PutUint32(b[29:], crc32.ChecksumIEEE(b[12:29]))
	return string(b)
}

func TestLogo(t *testing.T) {
	for name, tc := range map[string]struct {
		body string
		want string // its name, or the error
		w, h int
	}{
		"png":            {string(tiny), "logo.png", 1, 1},
		"svg by box":     {`<?xml version="1.0"?><!-- us --><svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 12"><path d="M0 0"/></svg>`, "logo.svg", 2400, 1200},
		"svg by size":    {`<svg width="30px" height='10' xmlns="http://www.w3.org/2000/svg"/>`, "logo.svg", 3000, 1000},
		"svg of no size": {`<svg xmlns="http://www.w3.org/2000/svg"/>`, "needs a viewBox", 0, 0},
		"html":           {`<html><svg viewBox="0 0 1 1"/></html>`, "neither an SVG nor a PNG", 0, 0},
		"svg in words":   {`hello <svg viewBox="0 0 1 1"/>`, "neither an SVG nor a PNG", 0, 0},
		"doctype subset": {`<!DOCTYPE svg [<!ENTITY a "b">]><svg viewBox="0 0 1 1"/>`, "neither an SVG nor a PNG", 0, 0},
		"png in words":   {"\x89PNG", "neither an SVG nor a PNG", 0, 0},
		"cut png":        {string(tiny[:12]), "the PNG is broken, or cut off", 0, 0},
		"header only":    {string(tiny[:33]), "the PNG is broken, or cut off", 0, 0},
		"no end":         {string(tiny[:len(tiny)-12]), "the PNG is broken, or cut off", 0, 0},
		"one byte less":  {string(tiny[:len(tiny)-1]), "the PNG is broken, or cut off", 0, 0},
		"bit flipped":    {strings.Replace(string(tiny), "IDATx", "IDATy", 1), "the PNG is broken, or cut off", 0, 0},
		"no picture":     {string(tiny[:33]) + string(tiny[len(tiny)-12:]), "the PNG is broken, or cut off", 0, 0},
		"png of nothing": {pngOf(0, 0), "the PNG is 0 by 0 pixels large", 0, 0},
		"two headers":    {string(tiny[:33]) + "\x00\x00\x00\x00IHDR\xa8\xa1\xae\x0a", "the PNG is broken, or cut off", 0, 0},
		"endless chunk":  {string(tiny[:33]) + "\xff\xff\xff\xffIDAT\x00\x00\x00\x00", "the PNG is broken, or cut off", 0, 0},
		"png of a line":  {pngOf(7, 0), "the PNG is 7 by 0 pixels large", 0, 0},
		"svg not closed": {svgHead + "<path d=\"M0 0\"/>\n", "the SVG is broken: XML syntax error on line 2: unexpected EOF", 0, 0},
		"svg cut in tag": {svgHead + `<path d="M0`, "the SVG is broken: XML syntax error on line 1", 0, 0},
		"svg crossed":    {svgHead + "<g></svg></g>", "the SVG is broken: XML syntax error on line 1", 0, 0},
		"two svg":        {svgHead + "</svg>" + svgHead + "</svg>", "the SVG is broken: something stands after </svg>", 0, 0},
		"unknown entity": {svgHead + "&nbsp;</svg>", "the SVG is broken: XML syntax error on line 1", 0, 0},
		"no namespace":   {`<svg viewBox="0 0 1 1"/>`, `the SVG is broken: its <svg> needs xmlns="http://www.w3.org/2000/svg"`, 0, 0},
		"no such prefix": {svgHead + `<use xlink:href="#a"/></svg>`, `the SVG is broken: nothing declares the prefix "xlink"`, 0, 0},
		"prefixes":       {svgHead + `<use xmlns:xlink="http://www.w3.org/1999/xlink" xlink:href="#a" xml:space="preserve"/></svg>` + "\n<!-- end -->\n", "logo.svg", 100, 100},
		"of latin 1":     {`<?xml version="1.0" encoding="iso-8859-1"?>` + svgHead + "</svg>", "logo.svg", 100, 100},
		"for dark pages": {svgHead + "<style>path{fill:#000}@media (prefers-color-scheme: dark){path{fill:#fff}}</style></svg>", "logo.svg", 100, 100},
		"gif":            {"GIF89a...........", "neither an SVG nor a PNG", 0, 0},
		"too large":      {`<svg viewBox="0 0 1 1">` + strings.Repeat(" ", MaxLogo), "more than 64 KiB", 0, 0},
		"endless":        {`<svg viewBox="0 0 1e9 1">`, "needs a viewBox", 0, 0},
	} {
		got, w, h, err := logoOf([]byte(tc.body))
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, tc.want) || w != tc.w || h != tc.h {
			t.Errorf("%s: %s, %d by %d; want %s, %d by %d", name, got, w, h, tc.want, tc.w, tc.h)
		}
	}
}

func FuzzLogo(f *testing.F) {
	f.Add(tiny)
	f.Add([]byte(`<svg width="30px" height='10' viewBox="0 0 24 12" xmlns="http://www.w3.org/2000/svg"><g/></svg>`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if _, w, h, err := logoOf(body); err == nil && (w < 0 || h < 0) {
			t.Errorf("%d by %d", w, h)
		}
	})
}

func TestLinks(t *testing.T) {
	long := strings.Repeat("x", maxLabel+1)
	for _, bad := range []Link{
		{"", "https://example.com"}, {long, "https://example.com"}, {"a\nb", "https://example.com"}, {"a", ""}, {"a", "/imprint"},
		{"a", "javascript:alert(1)"}, {"a", "data:text/html,x"}, {"a", "https://"}, {"a", "https://alice:secret@example.com"}, {"a", "mailto:"},
		{"a", "ftp://example.com"}, {"a", "https://example.com/" + strings.Repeat("x", 2048)},
	} {
		if CheckLinks([]Link{bad}) == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	good := []Link{{"Imprint", "https://example.com/imprint?x=1"}, {"Help", "mailto:help@example.com"}, {"Old", "http://192.0.2.1/"}}
	if err := CheckLinks(good); err != nil {
		t.Error(err)
	}
	if CheckLinks(make([]Link, maxLinks+1)) == nil || CheckFooter("a\x00") == nil || CheckFooter(strings.Repeat("x", maxFooter+1)) == nil {
		t.Error("too much was taken")
	}
}

// A brand is on the pages: its colours in the one style sheet, its logo as a picture that runs nothing.
func TestBrand(t *testing.T) { // S62
	r := newRig(t)
	logo := []byte(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 2 1"><script>alert(1)</script></svg>`)
	dress, err := NewDress(Brand{Logo: logo, Accent: "#ffcc00", Background: "#102030", Footer: "Example Corp <b>", Links: []Link{{"Imprint", imprint}}})
	if err != nil {
		t.Fatal(err)
	}
	if r.Portal, err = New(r.realm, Options{Now: r.time, Dress: dress}); err != nil {
		t.Fatal(err)
	}
	b := r.browser()
	b.data = []string{"Imprint", "<b>"}
	page := b.want(b.get("/.mfa/login"), 200, `<img src="/.mfa/static/`+dress.logo.name+`" alt="" width="200" height="100">`, "Example Corp &lt;b&gt;",
		`<a href="https://example.com/imprint" rel="noopener noreferrer"><bdi>Imprint</bdi></a>`, "<style>"+string(styles()), "--back:#102030;", "--on-back:#ffffff;")
	if strings.Contains(page.body, `class="brand-shield"`) || strings.Contains(page.body, "<script>alert") {
		t.Error("our shield is there, or the logo stands in the page")
	}
	req := b.request(http.MethodGet, "/.mfa/static/"+dress.logo.name, "")
	req.Header.Set("Accept-Encoding", "gzip")
	w := httptest.NewRecorder()
	if err := r.ServeHTTP(w, req, Request{Secure: true, Visit: auth.Visit{Host: host}}); err != nil {
		t.Fatal(err)
	}
	if w.Code != 200 || w.Header().Get("Content-Type") != "image/svg+xml" || w.Header().Get("X-Content-Type-Options") != "nosniff" ||
		w.Header().Get("Content-Security-Policy") != logoPolicy || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") {
		t.Error(w.Code, w.Header())
	}
	b.want(b.get("/.mfa/static/logo.svg"), 404)
	// What is not ours alone is not everybody's.
	other := newRig(t).browser()
	other.want(other.get("/.mfa/static/"+dress.logo.name), 404)
}
