package caddymodule

import (
	"errors"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// mayBeGuest reports whether a request that a session does not let through may pass by a guest link. An access token counts alone. What
// goes on in both directions is no reading, so nothing is upgraded and no body follows; and proxies that ask about requests are told of users
// only. Whether one follows is not known over HTTP/3: asGuest sees to it that none does.
func (v *visit) mayBeGuest() bool {
	r := v.r
	return v.cookies.guest != "" && v.access == "" && !v.gate.forward && (r.Method == http.MethodGet || r.Method == http.MethodHead) &&
		len(r.Header["Upgrade"]) == 0 && !uploads(r)
}

// asGuest hands the request to the app as a guest's, if the link that the cookie names opens it: within its limits, and where its maker
// could go now with a session alone. done says that the request has its answer.
func (v *visit) asGuest(next caddyhttp.Handler, now time.Time, need *auth.Requirement) (done bool, err error) {
	l, err := v.gate.app.open(v.r.Context())
	if err == nil {
		var link *auth.Session
		var maker *auth.User
		link, maker, err = l.realm.Guest(v.r.Context(), v.cookies.guest)
		if err == nil && auth.DecideToken(now, *need, maker, link, v.place()) == auth.Allow {
			guest := link.Access.Guest.User()
			if v.r.ContentLength < 0 {
				v.r.Body, v.r.ContentLength = http.NoBody, 0
			}
			if err = v.assert(link, guest); err == nil {
				countAllow.Inc()
				return true, v.pass(next, need, link, guest)
			}
		}
	}
	if err == nil || errors.Is(err, auth.ErrNoSession) {
		return false, nil
	}
	if v.gate.ReportOnly {
		v.gate.faults.report(now, err)
		return false, nil
	}
	return true, v.unavailable(err)
}
