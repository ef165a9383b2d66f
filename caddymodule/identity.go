package caddymodule

import (
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// The headers that tell the app who the person is. The first is always set for a signed-in request; the others are absent where
// there is nothing to say. Values are UTF-8, as Caddy's own placeholders are.
const (
	headerUser   = "Remote-User"
	headerName   = "Remote-Name"
	headerEmail  = "Remote-Email"
	headerGroups = "Remote-Groups" // comma-separated

	headerAssertion = "Remote-Assertion" // where the option identity asks for one
)

// told is what the apps behind a gate are told, and under which names. It never changes.
type told struct {
	names  [4]string // canonical: of the user, the name to show, the address, the groups; "" for what is not told
	strip  []string  // names beyond those that are always reserved, in lower case
	header string    // canonical, of the assertion
	alg    string    // that signs it; "" for no assertion
}

// toldVar is the variable of a request that holds what the innermost gate so far has told, if that is not the usual.
const toldVar = "mfa.told"

// String keeps {http.vars.mfa.told} from showing what is inside.
func (*told) String() string { return "" }

var toldByDefault = &told{names: [...]string{headerUser, headerName, headerEmail, headerGroups}}

// reserved reports whether a client must not send a header of this name to an app that is told so.
func (t *told) reserved(name string) bool {
	if reserved(name) {
		return true
	}
	for _, own := range t.strip {
		if len(own) == len(name) && spelled(name, own) {
			return true
		}
	}
	return false
}

// reserved reports whether a client must not send a header of this name to any app: identity headers, and those from which some frameworks
// take another path or host than the one that was decided about. Servers behind CGI, WSGI and PHP fold "-", "_" and "." into one,
// so every byte that is no letter or digit counts as the separator (CVE-2025-64484, Caddy's GHSA-f59h-q822-g45g).
func reserved(name string) bool {
	switch len(name) {
	case len("forwarded"):
		return spelled(name, "forwarded")
	case len("remote-user"):
		return spelled(name, "remote-user") || spelled(name, "remote-name")
	case len("remote-email"):
		return spelled(name, "remote-email")
	case len("remote-groups"):
		return spelled(name, "remote-groups") || spelled(name, "x-rewrite-url")
	case len("remote-assertion"):
		return spelled(name, "remote-assertion")
	case len("x-original-url"):
		return spelled(name, "x-original-url")
	}
	return false
}

// spelled compares without regard to case, and takes any separator for a hyphen. want is lower case and as long as name.
func spelled(name, want string) bool {
	for i := range len(want) {
		c := name[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		alnum := 'a' <= c && c <= 'z' || '0' <= c && c <= '9'
		if want[i] == '-' && alnum || want[i] != '-' && c != want[i] {
			return false
		}
	}
	return true
}

// clean removes what a client must not be able to say to the app: reserved headers and trailers, and tokens of Connection
// that name them, because Caddy's proxy would delete ours on their word. It allocates nothing where there is nothing to remove.
func (t *told) clean(r *http.Request) {
	for name := range r.Header {
		switch {
		case t.reserved(name):
			delete(r.Header, name)
		case name == "Connection", name == "Trailer":
			t.dropTokens(r.Header, name)
		}
	}
	if r.Trailer != nil {
		t.deleteReserved(r.Trailer)
		// net/http fills in trailers when the body ends, over HTTP/1 unannounced ones too.
		if r.Body != nil {
			r.Body = &trailerBody{r.Body, r.Trailer, t}
		}
	}
}

func (t *told) deleteReserved(h http.Header) {
	for name := range h {
		if t.reserved(name) {
			delete(h, name)
		}
	}
}

// dropTokens removes reserved names from a header that lists names.
func (t *told) dropTokens(h http.Header, header string) {
	if !slices.ContainsFunc(h[header], t.hasReservedToken) {
		return
	}
	var kept []string
	for token := range strings.SplitSeq(strings.Join(h[header], ","), ",") {
		if token = strings.TrimSpace(token); !t.reserved(token) {
			kept = append(kept, token)
		}
	}
	if len(kept) == 0 {
		delete(h, header)
		return
	}
	h[header] = []string{strings.Join(kept, ", ")}
}

func (t *told) hasReservedToken(value string) bool {
	for token := range strings.SplitSeq(value, ",") {
		if t.reserved(strings.TrimSpace(token)) {
			return true
		}
	}
	return false
}

// trailerBody removes reserved trailers the moment the body ends, before the proxy copies them.
type trailerBody struct {
	io.ReadCloser
	trailer http.Header
	told    *told
}

func (b *trailerBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		b.told.deleteReserved(b.trailer)
	}
	return n, err
}

// identity is what the app learns about the person. values backs the slices in the header map: they are this request's own,
// because handlers behind us may change them in place.
type identity struct {
	user   *auth.User // nil: nobody
	values [4]string
}

// setHeaders tells the app who the person is, as t has it. What has no value stays deleted.
func (id *identity) setHeaders(h http.Header, t *told) {
	id.values = [4]string{oneLine(id.user.Name), oneLine(id.user.DisplayName), oneLine(id.user.Email), joinGroups(id.user.Groups)}
	for i, name := range t.names {
		if name != "" && id.values[i] != "" {
			h[name] = id.values[i : i+1 : i+1]
		}
	}
}

// placeholder answers {http.auth.user.*}, with nothing where nobody is signed in. It is asked when a placeholder is used, so a
// request that uses none pays nothing.
func (id *identity) placeholder(key string) (any, bool) {
	field, ok := strings.CutPrefix(key, "http.auth.user.")
	if !ok {
		return nil, false
	}
	switch field {
	case "id", "name":
		return id.values[0], true
	case "display_name":
		if id.user == nil {
			return "", true
		}
		return oneLine(id.user.Display()), true
	case "email":
		return id.values[2], true
	case "groups":
		return id.values[3], true
	}
	return nil, false
}

func joinGroups(groups []string) string {
	switch len(groups) {
	case 0:
		return ""
	case 1:
		return oneLine(groups[0])
	}
	return oneLine(strings.Join(groups, ","))
}

// oneLine removes control characters, which could end a header or a line of a log.
func oneLine(s string) string {
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return strings.Map(func(r rune) rune {
				if r < ' ' || r == 0x7f {
					return -1
				}
				return r
			}, s)
		}
	}
	return s
}
