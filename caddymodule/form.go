package caddymodule

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/loginui"
)

const (
	// formsAtOnce bounds the memory that forms take which are being read, at auth.MaxForm each. What comes beyond is not kept.
	formsAtOnce = 16
	// formTime is how long reading one may take.
	formTime = 20 * time.Second
)

// keepForm keeps the form that the request carries, if it comes from a page of this host, and returns its ID. It returns "" where it
// cannot be kept, and an error where the store fails.
func (v *visit) keepForm(l *live, session *auth.Session) (string, error) {
	if v.again() { // it is kept already
		return v.resend, nil
	}
	media, _, err := mime.ParseMediaType(v.r.Header.Get("Content-Type"))
	if err != nil || media != "application/x-www-form-urlencoded" && media != "multipart/form-data" && media != "text/plain" ||
		!v.sameOrigin() || v.r.ContentLength > auth.MaxForm || !l.portal.Sendable(v.sent.RequestURI()) {
		return "", nil // what a browser does not write is no form
	}
	select {
	case l.forms <- struct{}{}:
		defer func() { <-l.forms }()
	default:
		return "", nil
	}
	c := http.NewResponseController(v.w)
	_ = c.SetReadDeadline(v.gate.now().Add(formTime)) // where that cannot be, the server's own limit counts
	body, err := io.ReadAll(http.MaxBytesReader(v.w, v.r.Body, auth.MaxForm))
	if err != nil {
		return "", nil // it is too large or too slow, or its sender left
	}
	_ = c.SetReadDeadline(time.Time{})
	id, err := l.realm.KeepForm(v.r.Context(), session, auth.Form{URI: v.sent.RequestURI(), Type: v.r.Header.Get("Content-Type"), Body: body})
	if slow := (*auth.Throttled)(nil); errors.As(err, &slow) {
		return "", nil
	}
	return id, err
}

// sameOrigin reports whether a browser says that the request comes from a page of this very origin.
func (v *visit) sameOrigin() bool {
	if site := v.r.Header.Get("Sec-Fetch-Site"); site != "" {
		return site == "same-origin"
	}
	return v.r.Header.Get("Origin") == v.origin()
}

// again reports whether the request is the button that sends a kept form, and takes its body if so. A form is kept for a session: no access
// token sends one.
func (v *visit) again() bool {
	if v.resend != "" {
		return true
	}
	if v.access != "" || v.r.Method != http.MethodPost || v.r.ContentLength != loginui.ResendLength || !v.sameOrigin() {
		return false
	}
	body, err := io.ReadAll(io.LimitReader(v.r.Body, v.r.ContentLength))
	id, ours := strings.CutPrefix(string(body), loginui.ResendField+"=")
	if err != nil || !ours || strings.Trim(id, "0123456789abcdef") != "" {
		v.r.Body = struct {
			io.Reader
			io.Closer
		}{io.MultiReader(bytes.NewReader(body), v.r.Body), v.r.Body}
		return false
	}
	v.resend = id
	return true
}

// restore puts the kept form in place of the button's. It counts once.
func (v *visit) restore(session *auth.Session) error {
	l, err := v.gate.app.open(v.r.Context())
	if err != nil {
		return err
	}
	f, err := l.realm.TakeForm(v.r.Context(), session, v.resend, v.sent.RequestURI())
	if err != nil {
		return err
	}
	v.r.Body, v.r.ContentLength = io.NopCloser(bytes.NewReader(f.Body)), int64(len(f.Body))
	v.r.Header["Content-Type"] = []string{f.Type}
	v.r.Header["Content-Length"] = []string{strconv.Itoa(len(f.Body))}
	return nil
}

func (v *visit) notRestored(err error) error {
	if errors.Is(err, auth.ErrNoForm) {
		return v.refuse(errNotKept)
	}
	return v.unavailable(err)
}
