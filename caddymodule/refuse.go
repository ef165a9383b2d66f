package caddymodule

import (
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/loginui"
)

// refusal is why a request goes no further: an error for handle_errors, a page for people, and a code for programs.
type refusal struct {
	status     int
	code, text string // the page says it in the visitor's language, by the words of refused.<code>
}

func (e *refusal) Error() string { return "mfa: " + e.text }

var (
	errAmbiguous   = &refusal{http.StatusBadRequest, "ambiguous_path", "The address can be read in more than one way."}
	errOdd         = &refusal{http.StatusBadRequest, "no_path", "What was asked for is no path of this site."}
	errMethod      = &refusal{http.StatusBadRequest, "method_in_lower_case", "Its method is not written in capitals."}
	errNotAllowed  = &refusal{http.StatusForbidden, "forbidden", "You are signed in, but this page is for other people."}
	errInsecure    = &refusal{http.StatusForbidden, "https_required", "Browsers keep the sign-in of this site over an encrypted connection only."}
	errForeignHost = &refusal{http.StatusMisdirectedRequest, "unknown_host", "The site is reached under another name, and people sign in there."}
	errNotFound    = &refusal{http.StatusNotFound, "not_found", "There is no such page."}
	errNotKept     = &refusal{http.StatusGone, "form_gone", "It was sent already, or kept for too long, or others took its place. Nothing was sent now."}
	errUnavailable = &refusal{http.StatusServiceUnavailable, "unavailable", "The server cannot tell who you are at the moment."}
)

// retryAfter is how many seconds a client should wait for a store that failed.
const retryAfter = "5"

// noteID puts the id of an error that a page shows into the access log's entry for r, if the server writes one.
func noteID(r *http.Request, id string) {
	if extra, _ := r.Context().Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields); extra != nil {
		extra.Set(zap.String("error_id", id))
	}
}

// refuse ends a request: through the site's own error routes if there are any, or else with a page or JSON.
func (v *visit) refuse(why *refusal) error { return v.refuseAs(why, "") }

// refuseAs is refuse for what was logged under an id, "" if it was not yet. Caddy's own id of the error, {http.error.id}, is the same.
func (v *visit) refuseAs(why *refusal, id string) error {
	v.w.Header().Set("Cache-Control", "no-store")
	if !v.gate.forward && hasErrorRoutes(v.r) {
		if v.outer == nil {
			v.remember(&passage{cookies: v.cookies})
		}
		if id == "" {
			id = v.logged(why.status, why.code)
		}
		err := caddyhttp.Error(why.status, caddyhttp.HandlerError{Err: why, ID: id})
		noteID(v.r, err.ID)
		return err
	}
	l := v.gate.app.live.Load()
	if l == nil { // the store never opened: there are no pages either
		return caddyhttp.Error(why.status, caddyhttp.HandlerError{Err: why, ID: id})
	}
	m := loginui.Message{ID: "refused." + why.code, Code: why.code, Name: v.userName(), ErrorID: id, Secure: v.secure, Lang: v.cookies.lang}
	if why == errNotAllowed { // who must be able to go on, or to sign out
		m.Link = v.gate.app.settings.prefix + "/security"
	}
	l.portal.Message(v.w, v.asSent(), why.status, m)
	return nil
}

// logged writes a line about an error that is answered without a page of ours, and returns its id; "" where nobody reads that. Before the
// store opens, one line stands for ten seconds.
func (v *visit) logged(status int, code string) (id string) {
	if v.r.Context().Err() != nil {
		return ""
	}
	l := v.gate.app.live.Load()
	if l == nil {
		return v.gate.unopened.tell(v.gate.now(), 10, func(id string, more int64) {
			v.gate.log.Info("error page before the store opened", zap.String("error_id", id), zap.Int("status", status), zap.String("reason", code),
				zap.Int64("since_last_report", more))
		})
	}
	return l.portal.LogError(v.asSent(), status, code, v.userName())
}

// userName is who is signed in, "" if nobody is known.
func (v *visit) userName() string {
	if v.user == nil {
		return ""
	}
	return v.user.Name
}

// unavailable answers where the store failed: never through (S76).
func (v *visit) unavailable(err error) error {
	countFault.Inc()
	var id string
	if v.r.Context().Err() == nil { // else the client left, and that is what err says
		id = v.gate.faults.report(v.gate.now(), err)
	}
	v.w.Header().Set("Retry-After", retryAfter)
	return v.refuseAs(errUnavailable, id)
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
