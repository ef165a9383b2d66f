package caddymodule

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/loginui"
)

// hold keeps the form that the request carries, if it comes from a page of this host, and returns where to go after the proof: to the page
// that sends it again, or to the address of a form that cannot be kept.
func (v *visit) hold(l *live, session *auth.Session, to string) (string, error) {
	if v.again() { // it is kept already
		return l.portal.ResendPath(), nil
	}
	media, _, err := mime.ParseMediaType(v.r.Header.Get("Content-Type"))
	if err != nil || media != "application/x-www-form-urlencoded" && media != "multipart/form-data" && media != "text/plain" || !v.sameOrigin() {
		return to, nil //nolint:nilerr // what a browser does not write is no form
	}
	if v.r.ContentLength > auth.MaxHeld {
		return to, nil
	}
	body, err := io.ReadAll(http.MaxBytesReader(v.w, v.r.Body, auth.MaxHeld))
	if err != nil {
		return to, nil //nolint:nilerr // too large, or its sender left
	}
	c, err := l.realm.Hold(v.r.Context(), session, auth.HeldPost{URI: v.sent.RequestURI(), Type: v.r.Header.Get("Content-Type"), Body: body})
	if err != nil {
		return "", err
	}
	loginui.SetCookies(v.w, []auth.Cookie{c})
	return l.portal.ResendPath(), nil
}

// sameOrigin reports whether a browser says that the request comes from a page of this very origin.
func (v *visit) sameOrigin() bool {
	if site := v.r.Header.Get("Sec-Fetch-Site"); site != "" {
		return site == "same-origin"
	}
	return v.r.Header.Get("Origin") == v.origin()
}

// again reports whether the request is the button that sends a kept form, and takes its body if so. Only somebody who has the cookie of
// one is asked.
func (v *visit) again() bool {
	if v.resend {
		return true
	}
	if v.cookies.held == "" || v.r.Method != http.MethodPost || v.r.ContentLength != int64(len(loginui.ResendBody)) || !v.sameOrigin() {
		return false
	}
	body, err := io.ReadAll(io.LimitReader(v.r.Body, v.r.ContentLength))
	if v.resend = err == nil && string(body) == loginui.ResendBody; !v.resend {
		v.r.Body = struct {
			io.Reader
			io.Closer
		}{io.MultiReader(bytes.NewReader(body), v.r.Body), v.r.Body}
	}
	return v.resend
}

// restore puts the kept form in place of the button's. It counts once.
func (v *visit) restore(session *auth.Session) error {
	l, err := v.gate.app.open(v.r.Context())
	if err != nil {
		return err
	}
	p, err := l.realm.TakeHeld(v.r.Context(), session, v.cookies.held, v.sent.RequestURI())
	if err != nil {
		return err
	}
	v.r.Body, v.r.ContentLength = io.NopCloser(bytes.NewReader(p.Body)), int64(len(p.Body))
	v.r.Header["Content-Type"] = []string{p.Type}
	v.r.Header["Content-Length"] = []string{strconv.Itoa(len(p.Body))}
	return nil
}

func (v *visit) notRestored(err error) error {
	if errors.Is(err, auth.ErrNotHeld) {
		return v.refuse(errNotHeld)
	}
	return v.unavailable(err)
}
