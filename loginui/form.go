package loginui

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"
)

// Limits of what a form may hold.
const (
	maxBody   = 64 << 10 // bytes
	maxFields = 32
)

// maxLength bounds the fields, in bytes; otherLength those that are not named. A return target is judged by returnTarget,
// which ignores a long one. The answer of an authenticator holds certificates, a challenge the IDs of somebody's keys.
var maxLength = map[string]int{"to": maxBody, "name": 256, "label": 512, "display_name": 1024, "password": 1024, "token": 512, "response": maxBody, "challenge": 16 << 10, "back": maxTarget,
	"hosts": 2560, "paths": 5 << 10} // ten hosts, twenty paths

const otherLength = 256

// form holds the fields of a POST, each at most once.
type form map[string]string

// badRequestError is a request that no page of ours sends, with the status and the page that it gets.
type badRequestError struct {
	status int
	page   string // prefix of the message's text ids
}

func (b *badRequestError) Error() string { return "loginui: bad request: " + b.page }

// readForm reads a POST that must be URL-encoded as forms are (WHATWG URL, section 5.1). The error is a *badRequestError, or one of
// reading the body.
func readForm(w http.ResponseWriter, r *http.Request) (form, error) {
	media, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/x-www-form-urlencoded" || params["charset"] != "" && !strings.EqualFold(params["charset"], "utf-8") {
		return nil, &badRequestError{http.StatusUnsupportedMediaType, "media"}
	}
	if r.ContentLength > maxBody {
		w.Header().Set("Connection", "close") // nobody reads the rest
		return nil, &badRequestError{http.StatusRequestEntityTooLarge, "large"}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return nil, &badRequestError{http.StatusRequestEntityTooLarge, "large"}
	} else if err != nil {
		return nil, &badRequestError{http.StatusBadRequest, "malformed"} // the client broke off, or never wrote HTTP
	}
	return parseForm(string(body))
}

// parseForm is strict where url.ParseQuery is lenient: whatever could be read in two ways is refused.
func parseForm(body string) (form, error) {
	malformed := &badRequestError{http.StatusBadRequest, "malformed"}
	f := form{}
	for pair := range strings.SplitSeq(body, "&") {
		if pair == "" {
			continue
		}
		k, v, _ := strings.Cut(pair, "=")
		key, err := url.QueryUnescape(k)
		if err != nil {
			return nil, malformed
		}
		value, err := url.QueryUnescape(v)
		if err != nil || !plainText(key) || !plainText(value) {
			return nil, malformed
		}
		if _, repeated := f[key]; repeated || len(f) == maxFields {
			return nil, malformed
		}
		limit, ok := maxLength[key]
		if !ok {
			limit = otherLength
		}
		if len(value) > limit {
			return nil, &badRequestError{http.StatusUnprocessableEntity, "long"}
		}
		f[key] = value
	}
	return f, nil
}

// plainText reports whether s is UTF-8 without NUL.
func plainText(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

// trimmed is a field without the spaces that copying brings along.
func (f form) trimmed(key string) string { return strings.TrimSpace(f[key]) }

// code is the field for a code, whatever keyboard wrote it: Arabic and Persian ones have digits of their own, Japanese ones write letters,
// digits and dashes in full width.
func (f form) code() string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case r >= 0x0660 && r <= 0x0669: // Arabic-Indic digits
			return r - 0x0660 + '0'
		case r >= 0x06f0 && r <= 0x06f9: // extended ones
			return r - 0x06f0 + '0'
		case r >= 0xff01 && r <= 0xff5e: // full width
			return r - 0xff01 + '!'
		case r == 'ー': // what the key of the hyphen writes beside kana
			return '-'
		}
		return r
	}, f["code"]))
}
