package caddymodule

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// accessToken is what a request carried as an access token; "" for none. It says nothing about itself in {http.vars.*}.
type accessToken string

func (accessToken) String() string { return "" }

// accessVar is the name of the variable in which a gate further in, or in the error routes, finds what the first has removed.
const accessVar = "mfa.access_token"

// noToken is an access token that counts nowhere.
const noToken = accessToken(auth.AccessTokenPrefix)

// takeAccess reads an access token and removes the header that holds it, so that nothing behind the gate ever sees one. Every other
// Authorization is the app's own, and stays.
//
// A request holds one Authorization (RFC 9110, section 5.3). Of one with several, one of which holds a token, none counts and none stays.
func takeAccess(h http.Header) (found accessToken) {
	lines := h["Authorization"]
	for _, line := range lines {
		if t := readAccess(line); t != "" {
			found = t
		}
	}
	if found == "" {
		return ""
	}
	delete(h, "Authorization")
	if len(lines) > 1 {
		return noToken
	}
	return found
}

// readAccess returns the token in an Authorization: after Bearer (RFC 6750), or as the password of Basic (RFC 7617), whose user name is
// whatever the client likes. What holds a token anywhere else is noToken: it was meant for us, and not for the app.
func readAccess(line string) accessToken {
	scheme, rest, _ := strings.Cut(strings.Trim(line, " \t"), " ")
	rest = strings.TrimLeft(rest, " ")
	switch {
	case strings.EqualFold(scheme, "Bearer"):
		if strings.HasPrefix(rest, auth.AccessTokenPrefix) {
			return accessToken(rest)
		}
	case strings.EqualFold(scheme, "Basic"):
		text, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(rest, "="))
		if err != nil {
			break
		}
		_, password, _ := strings.Cut(string(text), ":") // a user name holds no colon, a password may
		if strings.HasPrefix(password, auth.AccessTokenPrefix) {
			return accessToken(password)
		}
		line = string(text)
	}
	if auth.HoldsAccessToken(line) {
		return noToken
	}
	return ""
}

// bearer finds what stands for the request's access token. It returns nil and nil where that counts nowhere.
func (v *visit) bearer() (*auth.Session, *auth.User, error) {
	l, err := v.gate.app.open(v.r.Context())
	if err != nil {
		return nil, nil, err
	}
	session, user, err := l.realm.AccessToken(v.r.Context(), string(v.access), clientAddr(v.vars))
	if errors.Is(err, auth.ErrNoSession) {
		return nil, nil, nil
	}
	if slow := (*auth.Throttled)(nil); errors.As(err, &slow) {
		v.wait = slow.RetryAfter
		return nil, nil, nil
	}
	return session, user, err
}

// judge decides by the access token alone where there is one, whatever cookies lie beside it.
func (v *visit) judge(now time.Time, need auth.Requirement, user *auth.User, session *auth.Session) auth.Decision {
	if v.access == "" {
		return auth.Decide(now, need, user, session)
	}
	return auth.DecideToken(now, need, user, session, v.place())
}

// place is where the request goes, as the limits of access tokens see it. A path that is out of the ordinary has no reading that a limit
// could be held against (S70).
func (v *visit) place() auth.Place {
	at := auth.Place{Host: v.host, Method: v.r.Method, Query: v.sent.RawQuery}
	if path := v.sent.Path; ordinary(path) && !ambiguous(path) {
		at.Paths = []string{path, v.sent.EscapedPath()}
	}
	return at
}

// overrides reports whether some frameworks take the method of a request from a header of this name (S75).
func overrides(name string) bool {
	switch len(name) {
	case len("x-http-method"):
		return spelled(name, "x-http-method")
	case len("x-method-override"):
		return spelled(name, "x-method-override")
	case len("x-http-method-override"):
		return spelled(name, "x-http-method-override")
	}
	return false
}

// keepMethod has the app see no other method than the one that a token's limits allowed.
func keepMethod(h http.Header, limits *auth.TokenLimits) {
	if len(limits.Methods) == 0 {
		return
	}
	for name := range h {
		if overrides(name) {
			delete(h, name)
		}
	}
}

// refuseToken answers a program whose access token does not do. It is never sent to the sign-in page, nor shown one: whoever holds a
// token cannot sign in.
func (v *visit) refuseToken(d auth.Decision) error {
	h := v.w.Header()
	h["Cache-Control"] = []string{"no-store"}
	h["Content-Type"] = []string{"application/json"}
	status, code, text := http.StatusForbidden, "token_not_allowed", "This access token, or its owner, may not do this here."
	challenge := `Bearer realm="mfa", error="insufficient_scope"`
	switch {
	case d == auth.SignIn && v.wait > 0:
		countToken.Inc()
		status, code, text, challenge = http.StatusTooManyRequests, "too_many_requests", "Too many access tokens were wrong. Wait a minute.", ""
		h["Retry-After"] = []string{strconv.Itoa(max(1, int(v.wait.Seconds())))}
	case d == auth.SignIn:
		countToken.Inc()
		status, code, text = http.StatusUnauthorized, "token_refused", "This access token is wrong, has expired or was revoked."
		challenge = `Bearer realm="mfa", error="invalid_token"`
	case d == auth.StepUp:
		countDeny.Inc()
		code, text = "token_not_taken", "Access tokens are not taken here. A person has to sign in."
	default:
		countDeny.Inc()
	}
	if challenge != "" {
		h["Www-Authenticate"] = []string{challenge}
	}
	id := ""
	if status != http.StatusUnauthorized { // which anybody gets, as without a token
		id = `,"id":"` + v.logged(status, code) + `"`
	}
	v.w.WriteHeader(status)
	_, err := fmt.Fprintf(v.w, "{\"error\":%q,\"message\":%q%s}\n", code, text, id)
	return err
}
