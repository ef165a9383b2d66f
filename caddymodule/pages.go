package caddymodule

import (
	"errors"
	"net/http"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/loginui"
)

// portal serves the pages.
func (v *visit) portal() error {
	if why := v.misplaced(); why != nil {
		return v.refuse(why)
	}
	countPortal.Inc()
	l, err := v.gate.app.open(v.r.Context())
	if err != nil {
		return v.unavailable(err)
	}
	if v.asksForKeys() {
		return v.keys(l.realm)
	}
	if g := v.gate; (g.forward || g.home) && v.sent.Path == g.app.settings.prefix+loginui.GuestPath { // no page that a guest could open is on this host
		return v.refuse(errNotFound)
	}
	in := loginui.Request{Secure: v.secure, Away: v.away(), Lang: v.cookies.lang, Visit: v.visitor()}
	if !in.Visit.Addr.IsValid() {
		v.gate.app.noAddress(v.gate.now())
	}
	look := l.realm.Session
	if l.portal.Passive(v.sent.Path) {
		look = l.realm.PeekSession
	}
	session, user, err := look(v.r.Context(), v.host, v.cookies.session)
	if err != nil && !errors.Is(err, auth.ErrNoSession) {
		return v.unavailable(err)
	}
	if auth.Decide(v.gate.now(), auth.Requirement{Mode: auth.ModeSignedIn}, user, session) == auth.Allow {
		in.Session, in.User = session, user
	}
	return l.portal.ServeHTTP(v.w, v.asSent(), in)
}

// asSent is the request with its address as the client sent it: what a rewrite made of it is not for the portal.
func (v *visit) asSent() *http.Request {
	r := v.r
	if v.sent != r.URL {
		r = r.WithContext(r.Context())
		r.URL = v.sent
	}
	return r
}
