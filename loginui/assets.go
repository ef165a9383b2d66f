package loginui

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

//go:embed assets
var assetFiles embed.FS

// staticPath is where the static files are, below the prefix.
const staticPath = "/static/"

// The style sheet, and what it begins with: the names of its colours, sizes and times.
const (
	styleName  = "mfa.css"
	tokensName = "tokens.css"
)

// terse drops what a style sheet of ours does without. No string and no selector there holds any of it.
var terse = strings.NewReplacer(": ", ":", ";\n}", "}", "; }", "}", "; ", ";", ";\n", ";", " {\n", "{", " { ", "{", ", ", ",", "}\n", "}")

// styles is the style sheet as it is served.
func styles() []byte {
	tokens, _ := assetFiles.ReadFile("assets/" + tokensName)
	rules, _ := assetFiles.ReadFile("assets/" + styleName)
	return []byte(terse.Replace(string(bare(append(tokens, rules...)))))
}

var mediaTypes = map[string]string{"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml", "png": "image/png"}

// staticFile is a file that never changes under its name, which holds a hash of what is in it.
type staticFile struct {
	name   string
	media  string
	body   []byte
	zipped []byte
	sheet  *styleSheet // of a style sheet
}

// assets maps both names of every static file, plain and hashed, to it.
var assets = sync.OnceValue(func() map[string]*staticFile {
	all := map[string]*staticFile{}
	files, _ := assetFiles.ReadDir("assets")
	for _, f := range files {
		body, _ := assetFiles.ReadFile("assets/" + f.Name())
		switch {
		case strings.HasSuffix(f.Name(), ".js"):
			body = tight(body)
		case f.Name() == tokensName: // part of the style sheet: one request, not two
			continue
		case f.Name() == styleName:
			body = styles()
		case !strings.HasSuffix(f.Name(), ".svg"):
			body = bare(body)
		}
		s := newStatic(f.Name(), body)
		all[f.Name()], all[s.name] = s, s
	}
	return all
})

// newStatic puts a hash into the name.
func newStatic(name string, body []byte) *staticFile {
	sum := sha256.Sum256(body)
	stem, ext, _ := strings.Cut(name, ".")
	s := &staticFile{name: stem + "." + hex.EncodeToString(sum[:6]) + "." + ext, media: mediaTypes[ext], body: body, zipped: zip(body)}
	if ext == "css" {
		s.sheet = newStyle(body)
	}
	return s
}

// asset is the static file with a plain name. A name that no file has is a bug, which the page tests would show.
func asset(name string) *staticFile {
	s, ok := assets()[name]
	if !ok {
		panic(fmt.Sprintf("loginui: no asset %q", name))
	}
	return s
}

// bare drops comments that have lines of their own, and indentation. Strings of ours never span lines.
func bare(source []byte) []byte {
	var out []byte
	for line := range bytes.Lines(source) {
		line = bytes.TrimSpace(line)
		comment := bytes.HasPrefix(line, []byte("//")) || bytes.HasPrefix(line, []byte("/*")) && bytes.HasSuffix(line, []byte("*/"))
		if len(line) > 0 && !comment {
			out = append(append(out, line...), '\n')
		}
	}
	return out
}

func zip(body []byte) []byte {
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestCompression)
	_, _ = z.Write(body) // a Buffer takes everything
	_ = z.Close()
	return b.Bytes()
}

// takesGzip reports whether values of Accept-Encoding allow gzip (RFC 9110, section 12.5.3). What cannot be read does not.
func takesGzip(values []string) bool {
	named, rest := false, false
	for _, v := range values {
		for part := range strings.SplitSeq(v, ",") {
			coding, weight, weighed := strings.Cut(part, ";")
			takes := true
			if weighed {
				name, q, _ := strings.Cut(weight, "=")
				n, err := strconv.ParseFloat(strings.TrimSpace(q), 64)
				takes = strings.EqualFold(strings.TrimSpace(name), "q") && err == nil && n > 0 && n <= 1
			}
			switch strings.ToLower(strings.TrimSpace(coding)) {
			case "gzip", "x-gzip":
				if !takes {
					return false
				}
				named = true
			case "*":
				rest = takes
			}
		}
	}
	return named || rest
}

// dressed is a static file by either name: the brand's where it has one.
func (p *Portal) dressed(name string) (*staticFile, bool) {
	if p.dress != nil && p.dress.files[name] != nil {
		return p.dress.files[name], true
	}
	s, ok := assets()[name]
	return s, ok
}

// static serves a static file by its hashed name.
func (x *exchange) static(name string) error {
	s, ok := x.dressed(name)
	if !ok || s.name != name {
		return x.message(http.StatusNotFound, x.plain("notfound"))
	}
	if x.r.Method != http.MethodGet && x.r.Method != http.MethodHead {
		return x.wrongMethod("GET, HEAD")
	}
	h := x.w.Header()
	if x.dress != nil && s == x.dress.logo { // opened by itself it may be a document, of somebody else's making
		h.Set("Content-Security-Policy", logoPolicy)
	}
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("Vary", "Accept-Encoding")
	body := s.body
	if takesGzip(x.r.Header["Accept-Encoding"]) {
		h.Set("Content-Encoding", "gzip")
		body = s.zipped
	}
	x.write(http.StatusOK, s.media, body)
	return nil
}
