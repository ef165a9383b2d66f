package loginui

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestStyleInPage reads a page as browsers do, compressed: the style sheet stands in it, under the hash that the policy names.
func TestStyleInPage(t *testing.T) { // S62
	r := newRig(t)
	b := r.browser()
	plain := b.get("/.mfa/login")
	if plain.Header.Get("Content-Encoding") != "" {
		t.Error("compressed for a client that did not ask for it")
	}
	req := b.request(http.MethodGet, "/.mfa/login", "")
	req.Header.Set("Accept-Encoding", "gzip, deflate, br, zstd")
	zipped := b.send(req)
	if zipped.Header.Get("Content-Encoding") != "gzip" || zipped.Header.Get("Vary") != "Accept-Encoding" {
		t.Errorf("headers %v, want gzip", zipped.Header)
	}
	body := zipped.page(t)
	_, rest, _ := strings.Cut(body, "<style>")
	css, _, _ := strings.Cut(rest, "</style>")
	if css != string(asset("mfa.css").body) {
		t.Error("the page does not hold the style sheet as it is")
	}
	sum := sha256.Sum256([]byte(css))
	if want := "style-src 'self' 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "';"; !strings.Contains(zipped.Header.Get("Content-Security-Policy"), want) {
		t.Errorf("policy %q, want %s", zipped.Header.Get("Content-Security-Policy"), want)
	}
	if saved := len(css) / 2; len(zipped.body) > len(body)-saved {
		t.Errorf("%d of %d bytes are sent: the style sheet is not compressed", len(zipped.body), len(body))
	}
}

// page is the body as a browser reads it.
func (a answer) page(t *testing.T) string {
	t.Helper()
	if a.Header.Get("Content-Encoding") != "gzip" {
		return a.body
	}
	z, err := gzip.NewReader(strings.NewReader(a.body))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// TestLengthTellsNothing compares pages that repeat themselves with pages that do not, which compression would make shorter.
func TestLengthTellsNothing(t *testing.T) {
	s := newStyle([]byte("p { color: red }\n"))
	long := bytes.Repeat([]byte("0123456789abcdef"), 5000)
	for _, tc := range []struct {
		name       string
		one, other string
	}{
		{"a guess that is right", "secret=tulip&guess=tulip", "secret=tulip&guess=zebra"},
		{"no style sheet", "aaaaaaaa", "abcdefgh"},
		{"nothing", "", ""},
		{"longer than a block", string(long), string(bytes.ToUpper(long[:70000])) + strings.Repeat("x", len(long)-70000)},
	} {
		lengths := map[int]bool{}
		for _, text := range []string{tc.one, tc.other} {
			page := "<style>" + string(s.css) + "</style>" + text
			if tc.name == "no style sheet" {
				page = text
			}
			zipped := s.zip([]byte(page))
			lengths[len(zipped)] = true
			z, err := gzip.NewReader(bytes.NewReader(zipped))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(z); err != nil || string(got) != page {
				t.Errorf("%s: unpacked %d bytes, %v: not the page", tc.name, len(got), err)
			}
		}
		if len(lengths) != 1 {
			t.Errorf("%s: %v bytes", tc.name, lengths)
		}
	}
}
