package loginui

import (
	"net/http"
	"net/netip"
	"strings"
)

// Policies of every response. The first but its images is the strictest that a page with a form, a style sheet and a script
// can have, but for the hash of the style sheet in it, which pages add; imagePolicy belongs to the page that shows a QR code, fetchPolicy
// to those that fetch themselves anew before their challenge is over (ASVS 5.0.0, V3.4).
const (
	policy      = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; " + policyEnd
	imagePolicy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; " + policyEnd
	fetchPolicy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; " + policyEnd
	logoPolicy  = "default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
	policyEnd   = "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
	permissions = "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=(), " +
		"publickey-credentials-create=(self), publickey-credentials-get=(self)"
)

// setHeaders sets what every response carries, errors too.
func setHeaders(h http.Header, host string, secure bool) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin") // no-referrer would make forms send "Origin: null"
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", permissions)
	h.Set("Cache-Control", "no-store")
	if secure && !loopback(host) {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// loopback reports whether host names this machine, where developers also use plain HTTP.
func loopback(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	a, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && a.IsLoopback()
}
