package caddymodule

import (
	"net/http"
	"slices"
	"strconv"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// keysPath is where the public keys of assertions are, below the portal's prefix.
const keysPath = "/jwks.json"

// willAssert notes that a gate makes assertions by alg, "" for none. It is called while the configuration is provisioned.
func (a *App) willAssert(alg string) {
	if alg != "" && !slices.Contains(a.asserted, alg) {
		a.asserted = append(a.asserted, alg)
	}
}

// assert has an assertion made, if the app gets one. After an error the request must not pass: the app would take it for somebody's who
// came around the gate.
func (v *visit) assert(session *auth.Session, user *auth.User) (err error) {
	if v.told.alg == "" {
		return nil
	}
	app := v.gate.app
	v.assertion, err = app.live.Load().realm.Assertion(v.r.Context(), v.told.alg, app.site(v.host), session, user)
	return err
}

func (v *visit) asksForKeys() bool {
	return v.sent.Path == v.gate.app.settings.prefix+keysPath && v.sent.RawPath == ""
}

// keys answers with the public keys (RFC 7517), to everybody: they are no secret, and an app has no session.
func (v *visit) keys(realm *auth.Realm) error {
	h := v.w.Header()
	if v.r.Method != http.MethodGet && v.r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		v.w.WriteHeader(http.StatusMethodNotAllowed)
		return nil
	}
	body, some, err := realm.AssertionKeys(v.r.Context())
	if err != nil {
		return v.unavailable(err)
	}
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "public, max-age="+strconv.Itoa(int(auth.AssertionKeysLife.Seconds())))
	if !some { // the first key must not be hidden by its absence
		h.Set("Cache-Control", "no-store")
	}
	_, err = v.w.Write(body) // not of HEAD: net/http sees to it
	return err
}
