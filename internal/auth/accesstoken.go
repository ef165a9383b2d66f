package auth

import (
	"encoding/base64"
	"slices"
	"strings"
	"time"
)

// AccessTokenPrefix begins every access token: the gate, people and scanners for secrets that leaked know one by it. 43 characters
// follow, which are 256 random bits in unpadded base64url.
const AccessTokenPrefix = "mfa_"

// Bounds of access tokens.
const (
	MaxAccessTokens = 50 // of one person
	MaxTokenDays    = 365
	DefaultDays     = 90
	maxTokenHosts   = 10
	maxTokenPaths   = 20
	maxTokenMethods = 10

	accessTokenLength = len(AccessTokenPrefix) + 43
)

// AccessToken is a bearer for a script or an app that cannot sign in. It stands for its owner at the gate, within its limits, and nowhere
// else: it proves nothing, so it opens neither the portal nor what a rule asks proofs for. Only its hash is stored.
type AccessToken struct {
	ID     string `json:"id"` // random and stable: what lists and commands use
	UserID string `json:"user"`
	Epoch  uint64 `json:"epoch"` // must equal the user's, else it is dead, as a session is
	Label  string `json:"label"` // what its owner calls it; no two of a person's are called alike
	TokenLimits
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires"`
	Used    time.Time `json:"used,omitzero"`   // last, to about a minute; zero: never
	Guest   *Guest    `json:"guest,omitempty"` // set in the link of a guest, which is kept apart from access tokens; see GuestLink
}

// TokenLimits are what an access token is good for.
type TokenLimits struct {
	Hosts   []string `json:"hosts"`             // exact names, without port; never empty
	Paths   []string `json:"paths,omitempty"`   // exact, or with a final /* everything below; empty: any
	Methods []string `json:"methods,omitempty"` // of HTTP; empty: any
}

// NewAccessToken is what somebody asks for.
type NewAccessToken struct {
	TokenLimits
	Days int `json:"days"` // 1 to MaxTokenDays
}

// Place is what a request asks for.
type Place struct {
	Host   string   // without port, lower case
	Method string   // of HTTP
	Paths  []string // every reading of the path: as decoded, as sent
	Query  string   // as sent
}

// Cover reports whether a request is within the limits. Each reading of its path must be.
func (l *TokenLimits) Cover(at Place) bool {
	if !slices.Contains(l.Hosts, at.Host) || len(l.Methods) > 0 && !slices.Contains(l.Methods, at.Method) {
		return false
	}
	if len(l.Paths) == 0 {
		return true
	}
	return len(at.Paths) > 0 && !slices.ContainsFunc(at.Paths, func(path string) bool { return !l.coverPath(path) })
}

func (l *TokenLimits) coverPath(path string) bool {
	return slices.ContainsFunc(l.Paths, func(limit string) bool {
		if below, ok := strings.CutSuffix(limit, "*"); ok {
			return strings.HasPrefix(path, below)
		}
		return path == limit
	})
}

// makeAccessToken returns a new token, which is told once and stored nowhere.
func makeAccessToken() string {
	return AccessTokenPrefix + base64.RawURLEncoding.EncodeToString([]byte(newToken()))
}

// HoldsAccessToken reports whether something that looks like an access token stands anywhere in s.
func HoldsAccessToken(s string) bool {
	for {
		i := strings.Index(s, AccessTokenPrefix)
		if i < 0 {
			return false
		}
		if s = s[i:]; len(s) >= accessTokenLength && wellFormed(s[:accessTokenLength]) {
			return true
		}
		s = s[1:]
	}
}

// wellFormed reports whether s could be an access token. What could not is refused without a look into the store.
func wellFormed(s string) bool {
	secret, ok := strings.CutPrefix(s, AccessTokenPrefix)
	if !ok || len(s) != accessTokenLength {
		return false
	}
	for i := range len(secret) {
		if c := secret[i]; !alphanumeric(c) && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

func alphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// clean returns n as it is stored, or an *Invalid that names the field of the form.
func (n NewAccessToken) clean() (*NewAccessToken, error) {
	if n.Days < 1 || n.Days > MaxTokenDays {
		return nil, NewInvalid("days", "invalid.token.days", "Choose 1 to {{.Count}} days.", MaxTokenDays)
	}
	out := &NewAccessToken{Days: n.Days}
	for _, host := range n.Hosts {
		host = strings.ToLower(host)
		if !plainHost(host) {
			return nil, NewInvalid("hosts", "invalid.token.host", "“{{.Host}}” is no host name, such as dash.example.com. Leave out https:// and the port.", host)
		}
		out.Hosts = appendNew(out.Hosts, host)
	}
	for _, path := range n.Paths {
		if !plainPath(path) {
			return nil, NewInvalid("paths", "invalid.token.path", "“{{.Path}}” is no path, such as /feed.xml, or /api/* for all below /api/. Write it as it is sent.", path)
		}
		out.Paths = appendNew(out.Paths, path)
	}
	for _, method := range n.Methods {
		method = strings.ToUpper(method)
		if len(method) > 20 || strings.Trim(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" || method == "" {
			return nil, NewInvalid("methods", "invalid.token.method", "“{{.Method}}” is no HTTP method, such as GET.", method)
		}
		out.Methods = appendNew(out.Methods, method)
	}
	switch {
	case len(out.Hosts) == 0:
		return nil, NewInvalid("hosts", "invalid.token.nohost", "Name at least one host.")
	case len(out.Hosts) > maxTokenHosts:
		return nil, NewInvalid("hosts", "invalid.token.hosts", "Name at most {{.Count}} hosts.", maxTokenHosts)
	case len(out.Paths) > maxTokenPaths:
		return nil, NewInvalid("paths", "invalid.token.paths", "Name at most {{.Count}} paths.", maxTokenPaths)
	case len(out.Methods) > maxTokenMethods:
		return nil, NewInvalid("methods", "invalid.token.methods", "Name at most {{.Count}} methods.", maxTokenMethods)
	}
	return out, nil
}

func appendNew(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

// plainHost takes names and addresses as a request's host is read: lower case, without port and brackets.
func plainHost(host string) bool {
	if host == "" || len(host) > 253 {
		return false
	}
	for i := range len(host) {
		if c := host[i]; !alphanumeric(c) && c != '-' && c != '.' && c != '_' && c != ':' {
			return false
		}
	}
	return strings.Count(host, ":") != 1 // one is a port, more an IPv6 address
}

// plainPath takes paths that have one reading: no empty or dot segments, and nothing that would be encoded on its way.
func plainPath(path string) bool {
	path, below := strings.CutSuffix(path, "/*")
	if path == "" {
		return below
	}
	if path[0] != '/' || len(path) > 256 {
		return false
	}
	segments := strings.Split(path[1:], "/")
	for i, segment := range segments {
		if segment == "" && (i < len(segments)-1 || below) || segment == "." || segment == ".." {
			return false
		}
		for j := range len(segment) {
			if c := segment[j]; !alphanumeric(c) && !strings.ContainsRune("-._~!$&'()+,=:@", rune(c)) {
				return false
			}
		}
	}
	return true
}
