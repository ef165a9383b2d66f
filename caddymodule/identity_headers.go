package caddymodule

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// Identity says under which names the app is told who the person is, and whether it gets proof.
type Identity struct {
	// The header with the sign-in name, or `off`. Default: `Remote-User`.
	User string `json:"user,omitempty"`

	// The header with the name to show, or `off`. Default: `Remote-Name`.
	Name string `json:"name,omitempty"`

	// The header with the address, or `off`. Default: `Remote-Email`.
	Email string `json:"email,omitempty"`

	// The header with the groups, comma-separated, or `off`. Default: `Remote-Groups`.
	Groups string `json:"groups,omitempty"`

	// Whether the app also gets a signed assertion, a JWT that it can verify, and by which algorithm it is signed: `EdDSA` or `ES256`.
	// The keys are published at `jwks.json` below the path of the sign-in pages. Default: there is none.
	JWT string `json:"jwt,omitempty"`

	// The header with the assertion. Default: `Remote-Assertion`.
	JWTHeader string `json:"jwt_header,omitempty"`
}

// identityOff leaves a header out.
const identityOff = "off"

// told returns what the option amounts to, or what is wrong with it, and which part that is.
func (i *Identity) told() (_ *told, part string, _ error) {
	t := &told{alg: i.JWT}
	var used []string
	for n, option := range [...]struct {
		name, value, usual string
		to                 *string
	}{
		{"user", i.User, headerUser, &t.names[0]},
		{"name", i.Name, headerName, &t.names[1]},
		{"email", i.Email, headerEmail, &t.names[2]},
		{"groups", i.Groups, headerGroups, &t.names[3]},
		{"jwt", i.JWTHeader, headerAssertion, &t.header},
	} {
		jwt := n == len(t.names)
		value := option.value
		switch {
		case jwt && i.JWT == "":
			if value != "" {
				return nil, option.name, errors.New("jwt_header is the header of an assertion, for which jwt does not ask")
			}
			continue
		case value == "":
			value = option.usual
		case value == identityOff && !jwt:
			continue
		}
		if err := checkHeader(value); err != nil {
			return nil, option.name, err
		}
		lower := strings.ToLower(value)
		if slices.Contains(used, lower) {
			return nil, option.name, fmt.Errorf("another header is called %s already", value)
		}
		used = append(used, lower)
		*option.to = http.CanonicalHeaderKey(value)
		if !reserved(value) {
			t.strip = append(t.strip, lower)
		}
	}
	if i.JWT != "" && i.JWT != auth.AlgEdDSA && i.JWT != auth.AlgES256 {
		return nil, "jwt", errAlgorithm(i.JWT)
	}
	return t, "", nil
}

func errAlgorithm(alg string) error {
	return fmt.Errorf("there is no algorithm %q; there are %s and %s", alg, auth.AlgEdDSA, auth.AlgES256)
}

// Headers that mean something to Caddy, to proxies or to apps by themselves. What clients send under the name of an identity header is
// removed, which would break them, and some of them go no further than one hop.
const (
	takenHeaders = " Age Allow Alt-Svc Authorization Cache-Control Connection Cookie Date Dnt Early-Data Etag Expect Expires Forwarded From " +
		"Host Http2-Settings Keep-Alive Last-Event-Id Last-Modified Link Location Max-Forwards Origin Pragma Priority Range Referer Save-Data " +
		"Server Set-Cookie Te Trailer Trailers Transfer-Encoding User-Agent Via X-Client-Ip X-Http-Method X-Http-Method-Override " +
		"X-Method-Override X-Original-Host X-Original-Url X-Real-Ip X-Requested-With X-Rewrite-Url Cf-Connecting-Ip True-Client-Ip X-Forwarded " +
		"X-Forwarded-By X-Forwarded-For X-Forwarded-Host X-Forwarded-Method X-Forwarded-Path X-Forwarded-Port X-Forwarded-Prefix " +
		"X-Forwarded-Proto X-Forwarded-Protocol X-Forwarded-Scheme X-Forwarded-Server X-Forwarded-Ssl X-Forwarded-Uri "
	takenFamilies = " Accept Access Content If Proxy Sec Upgrade " // Accept-Language and so on
)

// checkHeader returns why an identity header cannot have a name, or nil. Names hold letters, digits and hyphens: other characters of a
// token (RFC 9110, section 5.6.2) are what some servers fold into one, and others drop.
func checkHeader(name string) error {
	for _, c := range []byte(name) {
		if c != '-' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return fmt.Errorf("%q is no name of a header such as X-Forwarded-User: letters, digits and hyphens", name)
		}
	}
	key := http.CanonicalHeaderKey(name)
	family, _, _ := strings.Cut(key, "-")
	switch {
	case len(name) > 64 || strings.Trim(name, "-") != name || name == "":
		return fmt.Errorf("%q is no name of a header such as X-Forwarded-User: up to 64 characters, the first and the last no hyphens", name)
	case strings.EqualFold(name, identityOff):
		return fmt.Errorf("%q is no name of a header; a header is left out with %s", name, identityOff)
	case strings.Contains(takenHeaders, " "+key+" ") || strings.Contains(takenFamilies, " "+family+" "):
		return fmt.Errorf("the header %s has a meaning of its own; choose another name, such as X-Forwarded-User", key)
	}
	return nil
}
