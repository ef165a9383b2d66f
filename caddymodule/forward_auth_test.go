package caddymodule

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

const forwardSite = `http://:{port} {
	mfa_forward_auth {
		hosts dash.example.com wiki.example.com
		public /public/* @odd
		rule /admin/* {
			allow group:admins
		}
		rule @expression {
			allow group:admins
		}
	}
	@odd method PROPFIND
	@expression ` + "`path('/cel/*') && {method} == 'PUT' && {uri} == '/cel/a?b=c' && {host} == 'dash.example.com'`" + `
	handle_errors {
		respond yes 200
	}
}
`

// newForwardSite runs forwardSite for proxies on this machine.
func newForwardSite(t *testing.T) *site {
	t.Helper()
	s := newSite(t)
	s.trusted = "127.0.0.0/8"
	s.serve(forwardSite, "url https://dash.example.com")
	return s
}

// question is what a proxy asks about a request. Each of changes is a header, "Name: value"; "-Name" takes one out.
func question(method, address string, changes ...string) []string {
	proto, rest, _ := strings.Cut(address, "://")
	host, uri, _ := strings.Cut(rest, "/")
	headers := []string{
		"Host: 127.0.0.1:9091", "X-Forwarded-For: 198.51.100.7", "X-Forwarded-Method: " + method, "X-Forwarded-Proto: " + proto, "X-Forwarded-Host: " + host,
		"X-Forwarded-Uri: /" + uri,
	}
	for _, c := range changes {
		if name, out := strings.CutPrefix(c, "-"); out {
			for i, h := range headers {
				if strings.HasPrefix(h, name+":") {
					headers[i] = "X-Nothing: 1"
				}
			}
			continue
		}
		headers = append(headers, c)
	}
	return headers
}

func TestForwardAuth(t *testing.T) { // S70, S73
	s := newForwardSite(t)
	alice := sessionCookie(signIn(t, "dash.example.com", "alice", "admins", "dev"))
	bob := sessionCookie(signIn(t, "dash.example.com", "bob"))
	for _, c := range []struct {
		name, at, method, address string
		headers                   []string
		want                      int
		has                       string // in Location, or in the body
	}{
		{"signed in", "/forward-auth", "GET", "https://dash.example.com/a", []string{alice}, 200, ""},
		{"with a port", "/forward-auth", "GET", "https://Dash.Example.com:8443/a", []string{alice}, 200, ""},
		{"a WebSocket", "/forward-auth", "GET", "wss://dash.example.com/a", []string{alice, "Sec-Fetch-Mode: websocket"}, 200, ""},
		{"a person", "/forward-auth", "GET", "https://dash.example.com/a?b=c", []string{asPage}, 303, "/.mfa/login?to=%2Fa%3Fb%3Dc"},
		{"a program", "/forward-auth", "GET", "https://dash.example.com/a", []string{asScript}, 401, `{"error":"sign_in_required","login":"/.mfa/login"}`},
		{"a WebSocket without a session", "/forward-auth", "GET", "wss://dash.example.com/a", []string{"Sec-Fetch-Mode: websocket"}, 401, "sign_in_required"},
		{"public", "/forward-auth", "GET", "https://dash.example.com/public/x", nil, 200, ""},
		{"an access token, which the app would get to see", "/forward-auth", "GET", "https://dash.example.com/a", []string{"Authorization: Bearer mfa_x"}, 403, "token_not_taken"},
		{"the same, public", "/forward-auth", "GET", "https://dash.example.com/public/x", []string{"Authorization: Bearer mfa_x"}, 403, "token_not_taken"},
		{"the app's own", "/forward-auth", "GET", "https://dash.example.com/a", []string{alice, "Authorization: Basic YTpi"}, 200, ""},
		{"public by its method", "/forward-auth", "PROPFIND", "https://dash.example.com/x", nil, 200, ""},
		{"hardly public", "/forward-auth", "GET", "https://dash.example.com/public/x;y", []string{asPage}, 303, "/.mfa/login"},
		{"by plain HTTP", "/forward-auth", "GET", "http://dash.example.com/a", []string{alice, asPage}, 403, "This site needs HTTPS"},
		{"ambiguous", "/forward-auth", "GET", "https://dash.example.com/public/../a", []string{alice, asPage}, 400, "This address cannot be used"},
		{"ambiguous, encoded", "/forward-auth", "GET", "https://dash.example.com/public/%2e%2e/a", []string{alice, asScript}, 400, "ambiguous_path"},
		{"for somebody else", "/forward-auth", "GET", "https://dash.example.com/admin/x", []string{bob, asPage}, 403, "You are signed in as bob, but"},
		{"for her", "/forward-auth", "GET", "https://dash.example.com/admin/x", []string{alice}, 200, ""},
		{"by an expression", "/forward-auth", "PUT", "https://dash.example.com/cel/a?b=c", []string{bob}, 403, "forbidden"},
		{"not by it", "/forward-auth", "PUT", "https://dash.example.com/cel/a?b=d", []string{bob}, 200, ""},
		{"on another host", "/forward-auth", "GET", "https://wiki.example.com/a", []string{alice, asPage}, 303, "/.mfa/login?to=%2Fa"},
		{"the sign-in pages", "/forward-auth", "GET", "https://dash.example.com/.mfa/login", nil, 400, "this path is for the sign-in pages"},

		{"terse, signed in", "/auth-request", "GET", "https://dash.example.com/a", []string{alice}, 200, ""},
		{"terse, a person", "/auth-request", "GET", "https://dash.example.com/a", []string{asPage}, 401, ""},
		{"terse, a program", "/auth-request", "GET", "https://dash.example.com/a", []string{asScript}, 401, ""},
		{"terse, for somebody else", "/auth-request", "GET", "https://dash.example.com/admin/x", []string{bob, asPage}, 403, ""},
		{"terse, ambiguous", "/auth-request", "GET", "https://dash.example.com/a/..;/b", []string{alice, asPage}, 403, ""},
		{"terse, unclear", "/auth-request", "get", "https://dash.example.com/a", []string{alice, asPage}, 403, ""},

		{"shown, a person", "/auth-request/answer", "GET", "https://dash.example.com/a?b=c", []string{asPage}, 303, "/.mfa/login?to=%2Fa%3Fb%3Dc"},
		{"shown, for somebody else", "/auth-request/answer", "GET", "https://dash.example.com/admin/x", []string{bob, asPage}, 403, "You are signed in as bob, but"},
		{"shown, unclear", "/auth-request/answer", "get", "https://dash.example.com/a", []string{alice, asPage}, 400, "the method is none that is known"},
		{"shown, and a yes by now", "/auth-request/answer", "GET", "https://dash.example.com/a", []string{alice, asPage}, 503, "Please try again"},

		{"nowhere", "/", "GET", "https://dash.example.com/a", []string{alice}, 404, "/forward-auth"},
		{"nowhere, by a spelling of the pages", "/.MFA/login", "GET", "https://dash.example.com/a", []string{alice}, 404, "Nothing is here"},
	} {
		t.Run(c.name, func(t *testing.T) {
			res := s.get(c.at, question(c.method, c.address, c.headers...)...)
			body, _ := io.ReadAll(res.Body)
			if res.StatusCode != c.want {
				t.Fatalf("%s\n%s", res.Status, body)
			}
			if got := res.Header.Get("Location") + string(body); !strings.Contains(got, c.has) || c.has == "" && len(body) > 0 {
				t.Errorf("got %s", got)
			}
			if res.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("Cache-Control %q", res.Header.Get("Cache-Control"))
			}
			if c.want != 200 && (len(res.Header["Remote-User"]) > 0 || len(res.Header["Cookie"]) > 0) {
				t.Errorf("a no tells %v", res.Header)
			}
		})
	}
}

// Nobody but a proxy that is configured gets an answer, neither about a request nor pages.
func TestForwardAuthBelievesItsProxiesOnly(t *testing.T) { // S69, S71
	s := newSite(t) // which trusts others
	s.serve(forwardSite, "url https://dash.example.com")
	cookie := sessionCookie(signIn(t, "dash.example.com", "alice"))
	for _, at := range []string{"/forward-auth", "/auth-request", "/ext-authz/public/x", "/.mfa/login", "/.well-known/webauthn", "/"} {
		res := s.get(at, question("GET", "https://dash.example.com/public/x", cookie)...)
		if body, _ := io.ReadAll(res.Body); res.StatusCode != http.StatusForbidden || !strings.Contains(string(body), "trusted_proxies") || res.Header.Get("Remote-User") != "" {
			t.Errorf("%s: %s\n%s", at, res.Status, body)
		}
	}
	eventually(t, "the log tells of it once", func() bool {
		return strings.Count(s.logged(), "refused to answer somebody who is not in trusted_proxies") == 1
	})
}

// What is not said once and clearly gets no decision (CVE-2024-47070).
func TestForwardAuthUnclearQuestions(t *testing.T) { // S69, S79
	s := newForwardSite(t)
	cookie := sessionCookie(signIn(t, "dash.example.com", "alice"))
	ask := func(at string, changes ...string) int {
		return s.get(at, append(question("GET", "https://dash.example.com/public/x", changes...), cookie)...).StatusCode
	}
	if got := ask("/forward-auth"); got != http.StatusOK {
		t.Fatal(got)
	}
	for name, values := range map[string][]string{
		"X-Forwarded-Method": {"", "get", "GET, POST", "GET POST", "G=T", strings.Repeat("A", 33)},
		"X-Forwarded-Proto":  {"", "HTTPS", "https, http", "ftp", "javascript"},
		"X-Forwarded-Host": {
			"", "dash.example.com, wiki.example.com", "alice@dash.example.com", "dash.example.com:80:443", "dash.example.com:", "dash.example.com:x", "dash.example.com/public",
			"dash.example.com#", "dash.example.com?", `dash.example.com\`, "dash..example.com", ".", "[::1", "::1", "dash%2eexample.com", "d\u00e4sh.example.com",
			"dash.example.com:443@evil.example", strings.Repeat("a", 300),
		},
		"X-Forwarded-Uri": {
			"", "public/x", "*", "https://dash.example.com/public/x", "?/public/x", `\public\x`, "/public/x y", "/public/x\ty", "/public/%zz", "#/public/x",
		},
	} {
		for _, at := range []string{"/forward-auth", "/auth-request"} {
			want := map[string]int{"/forward-auth": http.StatusBadRequest, "/auth-request": http.StatusForbidden}[at]
			if got := ask(at, "-"+name); got != want {
				t.Errorf("%s without %s: %d", at, name, got)
			}
			if got := ask(at, name+": "+"x"); got != want {
				t.Errorf("%s with %s twice: %d", at, name, got)
			}
			for _, v := range values {
				if got := ask(at, "-"+name, name+": "+v); got != want {
					t.Errorf("%s with %s %.40q: %d, want %d", at, name, v, got, want)
				}
			}
		}
	}
	if log := s.logged(); strings.Contains(log, "evil.example") {
		t.Error("the log quotes what a client sent")
	}
}

func TestForwardAuthOfOtherProxies(t *testing.T) {
	s := newForwardSite(t)
	cookie := sessionCookie(signIn(t, "dash.example.com", "alice"))
	for _, c := range []struct {
		name, at string
		headers  []string
		want     int
		location string
	}{
		{"envoy", "/ext-authz/a", []string{"Host: dash.example.com", "X-Forwarded-Proto: https", cookie}, 200, ""},
		{"envoy, a person", "/ext-authz/a?b=c", []string{"Host: dash.example.com", "X-Forwarded-Proto: https", asPage}, 303, "/.mfa/login?to=%2Fa%3Fb%3Dc"},
		{"envoy, the start page", "/ext-authz/", []string{"Host: dash.example.com", "X-Forwarded-Proto: https", asPage}, 303, "/.mfa/login?to=%2F"},
		{"envoy, nothing", "/ext-authz", []string{"Host: dash.example.com", "X-Forwarded-Proto: https", cookie}, 400, ""},
		{"envoy, no scheme", "/ext-authz/a", []string{"Host: dash.example.com", cookie}, 400, ""},
		{"envoy takes no other description", "/ext-authz/a", []string{"Host: dash.example.com", "X-Forwarded-Proto: https", "X-Forwarded-Uri: /public/x", "X-Original-Url: https://dash.example.com/public/x", asPage}, 303, "/.mfa/login?to=%2Fa"},
		{"envoy, an unclear path", "/ext-authz/public/../a", []string{"Host: dash.example.com", "X-Forwarded-Proto: https", cookie}, 400, ""},
		{"envoy, empty segments", "/ext-authz//evil.example/public/x", []string{"Host: dash.example.com", "X-Forwarded-Proto: https", asPage}, 303, "/.mfa/login?to=%2F%2Fevil.example%2Fpublic%2Fx"},
		{"ingress", "/auth-request", []string{"X-Original-Method: GET", "X-Original-Url: https://dash.example.com/a", cookie}, 200, ""},
		{"ingress, a stranger", "/auth-request", []string{"X-Original-Method: GET", "X-Original-Url: https://dash.example.com/a", asPage}, 401, "/.mfa/login?to=%2Fa"},
		{"ingress, no path", "/auth-request", []string{"X-Original-Method: GET", "X-Original-Url: https://dash.example.com", cookie}, 403, ""},
		{"ingress, no scheme", "/auth-request", []string{"X-Original-Method: GET", "X-Original-Url: /public/x", cookie}, 403, ""},
		{"ingress, no method", "/auth-request", []string{"X-Original-Url: https://dash.example.com/a", cookie}, 403, ""},
		{"ingress, a name before the host", "/auth-request", []string{"X-Original-Method: GET", "X-Original-Url: https://dash.example.com@evil.example/public/x"}, 403, ""},
		{"ingress, and the client's own", "/auth-request", []string{"X-Original-Method: GET", "X-Original-Url: https://dash.example.com/a", "X-Forwarded-Uri: /public/x"}, 403, ""},
		{"others take no X-Original-URL", "/forward-auth", []string{"X-Original-Method: GET", "X-Original-Url: https://dash.example.com/public/x"}, 400, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			res := s.get(c.at, c.headers...)
			if res.StatusCode != c.want || res.Header.Get("Location") != c.location {
				t.Errorf("%s to %q", res.Status, res.Header.Get("Location"))
			}
		})
	}
}

// `caddy mfa rules check` knows what a proxy would be told.
func TestRuleCheckOfForwardAuth(t *testing.T) {
	newForwardSite(t)
	signIn(t, "dash.example.com", "bob")
	for path, want := range map[string][2]string{
		"/a": {"sign_in", "allow"}, "/public/x": {"public", "public"}, "/admin/x": {"sign_in", "deny"}, "/.mfa/login": {"portal", "portal"}, "/public/../a": {"ambiguous_path", "ambiguous_path"},
	} {
		got := ask(t, askedRequest{URL: "https://dash.example.com" + path, User: "bob"})
		if got.Stranger.Decision != want[0] || got.User == nil || got.User.Decision != want[1] {
			t.Errorf("%s: %+v %+v, want %v", path, got.Stranger, got.User, want)
		}
	}
}

// The pages are those of the host that the browser has, over whatever the proxy says.
func TestForwardAuthServesPages(t *testing.T) {
	s := newForwardSite(t)
	alice := sessionCookie(signIn(t, "dash.example.com", "alice"))
	for _, c := range []struct {
		name    string
		headers []string
		want    int
		has     string
	}{
		{"of its host", []string{"Host: dash.example.com", "X-Forwarded-Proto: https", alice}, 200, `"alice"`},
		{"of another", []string{"Host: wiki.example.com", "X-Forwarded-Proto: https", alice}, 200, `"signed_in":false`},
		{"of another, said to be its host", []string{"Host: wiki.example.com", "X-Forwarded-Host: dash.example.com", "X-Forwarded-Proto: https", alice}, 200, `"signed_in":false`},
		{"by plain HTTP", []string{"Host: dash.example.com", alice}, 403, "https_required"},
	} {
		t.Run(c.name, func(t *testing.T) {
			res := s.get("/.mfa/session", c.headers...)
			if body, _ := io.ReadAll(res.Body); res.StatusCode != c.want || !strings.Contains(string(body), c.has) {
				t.Errorf("%s\n%s", res.Status, body)
			}
		})
	}
}

// A form cannot be kept where the body is not here.
func TestForwardAuthKeepsNoForm(t *testing.T) {
	s := newSite(t)
	s.trusted = "127.0.0.0/8"
	s.serve(`http://:{port} {
	mfa_forward_auth {
		require webauthn
	}
}
`, "url https://dash.example.com")
	alice := sessionCookie(signIn(t, "dash.example.com", "alice"))
	res := s.get("/forward-auth", question("POST", "https://dash.example.com/save", alice, asPage, "Sec-Fetch-Site: same-origin", "Content-Type: application/x-www-form-urlencoded")...)
	if got := res.Header.Get("Location"); res.StatusCode != http.StatusSeeOther || got != "/.mfa/step-up?methods=webauthn&to=%2Fsave&lost=1" || len(res.Cookies()) > 0 {
		t.Errorf("%s to %s, cookies %v", res.Status, got, res.Cookies())
	}
}

// Caddy answers 200 where nothing is for a request. A site in which that could happen to a question is refused.
func TestForwardAuthWhereItCouldNotAnswer(t *testing.T) {
	s := newSite(t)
	for _, c := range []struct{ name, sites, url, want string }{
		{"a site with a name", "http://127.0.0.1:{port} {\n\tmfa_forward_auth\n}\n", "url https://dash.example.com", "answer yes to what a proxy asks under another one"},
		{"some paths", "http://:{port} {\n\thandle /auth-request {\n\t\tmfa_forward_auth\n\t}\n}\n", "url https://dash.example.com", "only some requests lead to mfa_forward_auth"},
		{"some requests", "http://:{port} {\n\t@get method GET\n\thandle @get {\n\t\tmfa_forward_auth\n\t}\n}\n", "url https://dash.example.com", "only some requests lead to mfa_forward_auth"},
		{"error routes", "http://:{port} {\n\trespond ok\n\thandle_errors {\n\t\tmfa_forward_auth\n\t}\n}\n", "url https://dash.example.com", "does not belong into handle_errors"},
		{"no address", "http://:{port} {\n\tmfa_forward_auth {\n\t\thosts dash.example.com\n\t}\n}\n", "", "needs the address that links"},
		{"no hosts", "http://:{port} {\n\tmfa_forward_auth\n}\n", "", "needs the hosts that it answers for"},
		{"no hosts, and the address of a site", "http://one.localhost:{port} {\n\tmfa\n}\nhttp://:{port} {\n\tmfa_forward_auth\n}\n", "", "needs the hosts that it answers for"},
		{"no names", "http://auth.localhost:{port} {\n\tmfa_portal\n}\nhttp://:{port} {\n\tmfa_forward_auth\n}\n", "portal http://auth.localhost:{port} *.apps.localhost", "lists by their names, and it lists none"},
		{"a host below a wildcard", "http://auth.localhost:{port} {\n\tmfa_portal\n}\nhttp://:{port} {\n\tmfa_forward_auth {\n\t\thosts x.apps.localhost\n\t}\n}\n", portalOption, "does not list that host by its name"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := s.load(c.sites, c.url); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v", err)
			}
		})
	}
	s.serve("http://:{port} {\n\troute {\n\t\tmfa_forward_auth\n\t}\n}\n", "url https://dash.example.com")
}
