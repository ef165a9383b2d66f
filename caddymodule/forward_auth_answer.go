package caddymodule

import (
	"net/http"
	"strings"
)

// answered are all the headers that tell an app who somebody is: those by which it is told so, and those by which other apps are.
func (t *told) answered() []string {
	names := []string{headerUser, headerName, headerEmail, headerGroups, headerAssertion}
	for _, own := range t.strip {
		names = append(names, http.CanonicalHeaderKey(own))
	}
	return names
}

// proxyAnswer is the answer to a proxy. It is a yes only where the gate let the request pass: whatever else would answer with a status that
// proxies take for one is made a no. It offers nothing but Write and WriteHeader, so that nothing goes past it.
type proxyAnswer struct {
	w       http.ResponseWriter
	terse   bool // for a proxy that takes only 200, 401 and 403
	shown   bool // to the visitor, whatever it is, because the proxy got a no before
	allowed bool
	names   []string // of the headers that a yes has
	wrote   bool
	mute    bool // no body follows
}

// allow stands where the app would. All that a client could say about itself gets a value, so that the proxy replaces it; so does Cookie, which is
// without ours.
func (a *proxyAnswer) allow(w http.ResponseWriter, r *http.Request) error {
	if a.shown { // it has become a yes since
		w.Header().Set("Retry-After", "1")
		sayPlainly(w, http.StatusServiceUnavailable, "Please try again.", "")
		return nil
	}
	a.allowed = true
	h := w.Header()
	for _, name := range a.names {
		h[name] = []string{strings.Join(r.Header[name], ",")}
	}
	h["Cookie"] = []string{strings.Join(r.Header["Cookie"], "; ")}
	h["Cache-Control"] = []string{"no-store"}
	w.WriteHeader(http.StatusOK)
	return nil
}

func (a *proxyAnswer) Header() http.Header { return a.w.Header() }

// WriteHeader sends one header, which is final.
func (a *proxyAnswer) WriteHeader(status int) {
	if a.wrote || status < http.StatusOK {
		return
	}
	a.wrote = true
	if !a.allowed {
		no := status
		switch {
		case a.terse && (status == http.StatusSeeOther || status == http.StatusUnauthorized):
			no = http.StatusUnauthorized
		case a.terse || status < http.StatusMultipleChoices:
			no = http.StatusForbidden
		}
		if a.mute = a.terse || no != status; a.mute {
			a.Header().Del("Content-Length")
			a.Header().Del("Content-Type")
		}
		status = no
	}
	a.w.WriteHeader(status)
}

func (a *proxyAnswer) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	if a.mute {
		return len(p), nil
	}
	return a.w.Write(p)
}
