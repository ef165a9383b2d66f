package caddymodule

import (
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/loginui"
)

// refusal is why a request goes no further: an error for handle_errors, a page for people, and a code for programs.
type refusal struct {
	status                  int
	code, title, text, todo string
}

func (e *refusal) Error() string { return "mfa: " + e.text }

var (
	errAmbiguous = &refusal{
		http.StatusBadRequest, "ambiguous_path", "This address cannot be used",
		"The address can be read in more than one way.", "Check it, or go to the start page of this site.",
	}
	errOdd = &refusal{
		http.StatusBadRequest, "no_path", "This address cannot be used",
		"What was asked for is no path of this site.", "Go to the start page of this site.",
	}
	errMethod = &refusal{
		http.StatusBadRequest, "method_in_lower_case", "This request cannot be answered",
		"Its method is not written in capitals.", "Use the site in a browser, or write the method in capitals.",
	}
	errNotAllowed = &refusal{
		http.StatusForbidden, "forbidden", "You may not see this page",
		"You are signed in, but this page is for other people.",
		"If you need it, ask the admin of this site. If you have another account, sign out first.",
	}
	errInsecure = &refusal{
		http.StatusForbidden, "https_required", "This site needs HTTPS",
		"Browsers keep the sign-in of this site over an encrypted connection only.",
		"Visitors: begin the address with https://. Admins: let Caddy serve the site over HTTPS, or, behind a proxy that does, name " +
			"that proxy in Caddy's trusted_proxies and let it send X-Forwarded-Proto: https.",
	}
	errForeignHost = &refusal{
		http.StatusMisdirectedRequest, "unknown_host", "This is not the address of this site",
		"The site is reached under another name, and people sign in there.", "Use the address that you were given.",
	}
	errNotFound = &refusal{
		http.StatusNotFound, "not_found", "Page not found",
		"There is no such page.", "Go to the start page of this site, or to the app that you wanted.",
	}
	errNotKept = &refusal{
		http.StatusGone, "form_gone", "Your form is not there any more",
		"It was sent already, or kept for too long, or others took its place. Nothing was sent now.", "Go back to the page that it was on, and fill it in again.",
	}
	errUnavailable = &refusal{
		http.StatusServiceUnavailable, "unavailable", "Sign-in is not available right now",
		"The server cannot tell who you are at the moment.", "Try again in a few seconds.",
	}
)

// retryAfter is how many seconds a client should wait for a store that failed.
const retryAfter = "5"

// refuse ends a request: through the site's own error routes if there are any, or else with a page or JSON.
func (v *visit) refuse(why *refusal) error {
	v.w.Header().Set("Cache-Control", "no-store")
	if !v.gate.forward && hasErrorRoutes(v.r) {
		if v.outer == nil {
			v.remember(&passage{cookies: v.cookies})
		}
		return caddyhttp.Error(why.status, why)
	}
	l := v.gate.app.live.Load()
	if l == nil { // the store never opened: there are no pages either
		return caddyhttp.Error(why.status, why)
	}
	m := loginui.Message{Code: why.code, Title: why.title, Text: why.text, Todo: why.todo, Secure: v.secure}
	if v.denied != nil { // who must be able to go on, or to sign out
		m.Text = "You are signed in as " + v.denied.Name + ", but this page is for other people."
		m.Link, m.Label = v.gate.app.settings.prefix+"/security", "Security page and sign-out"
	}
	l.portal.Message(v.w, v.r, why.status, m)
	return nil
}

// unavailable answers where the store failed: never through (S76).
func (v *visit) unavailable(err error) error {
	countFault.Inc()
	if v.r.Context().Err() == nil { // else the client left, and that is what err says
		v.gate.faults.report(v.gate.now(), err)
	}
	v.w.Header().Set("Retry-After", retryAfter)
	return v.refuse(errUnavailable)
}

func (v *visit) lead(to string, cookies []auth.Cookie) error {
	h := v.w.Header()
	loginui.SetCookies(v.w, cookies)
	h["Cache-Control"] = []string{"no-store"}
	h["Location"] = []string{to}
	h["Content-Length"] = []string{"0"}
	v.w.WriteHeader(http.StatusSeeOther)
	return nil
}

// challenge answers a program. Neither code nor login needs escaping.
func (v *visit) challenge(code, login string) error {
	h := v.w.Header()
	h["Cache-Control"] = []string{"no-store"}
	h["Www-Authenticate"] = []string{`MFA login="` + login + `"`}
	h["Content-Type"] = []string{"application/json"}
	v.w.WriteHeader(http.StatusUnauthorized)
	_, err := v.w.Write([]byte(`{"error":"` + code + `","login":"` + login + "\"}\n"))
	return err
}
