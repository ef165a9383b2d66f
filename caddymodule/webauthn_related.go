package caddymodule

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
)

// wellKnownOrigins is where browsers ask the host of an RP ID which other sites may use its keys: WebAuthn Level 3, section 5.11.
const wellKnownOrigins = "/.well-known/webauthn"

// related is the answer. It is public, as the addresses of the sites are.
type related struct {
	host string // the RP ID, which alone answers
	body []byte
}

// newRelated returns nil if there are no related origins.
func newRelated(rpID string, origins []string) (*related, error) {
	if len(origins) == 0 {
		return nil, nil
	}
	body, err := json.Marshal(map[string][]string{"origins": origins})
	if err != nil {
		return nil, fmt.Errorf("encoding the related origins: %w", err)
	}
	return &related{rpID, body}, nil
}

// asksForOrigins reports whether the request is for the related origins. Anywhere else, the path is the app's.
func (v *visit) asksForOrigins() bool {
	r := v.gate.app.settings.related
	return r != nil && v.host == r.host && v.sent.Path == wellKnownOrigins && v.sent.RawPath == ""
}

// relatedOrigins answers without a sign-in: the browser asks before there is one, and without cookies.
func (v *visit) relatedOrigins() error {
	countPublic.Inc()
	h := v.w.Header()
	if v.r.Method != http.MethodGet && v.r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		v.w.WriteHeader(http.StatusMethodNotAllowed)
		return nil
	}
	body := v.gate.app.settings.related.body
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "public, max-age=3600")
	h.Set("X-Content-Type-Options", "nosniff")
	_, err := v.w.Write(body) // not of HEAD: net/http sees to it
	return err
}
