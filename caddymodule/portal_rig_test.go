package caddymodule

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

const (
	portalOption = "portal http://auth.localhost:{port} one.localhost two.localhost *.apps.localhost"
	portalSites  = `http://auth.localhost:{port} {
	mfa_portal
}
http://one.localhost:{port}, http://two.localhost:{port} {
	mfa
	reverse_proxy {app}
}
`
)

// roamer is a browser with cookies by host, for a site with a portal. It follows no redirects by itself.
type roamer struct {
	*site
	jar map[string]map[string]string
}

func newRoamer(s *site) *roamer { return &roamer{s, map[string]map[string]string{}} }

// signedIn is a roamer who has signed in at the portal and been nowhere else.
func signedIn(s *site, name string) *roamer {
	s.t.Helper()
	b := newRoamer(s)
	b.jar["auth.localhost"] = map[string]string{auth.CookieSession: signIn(s.t, "auth.localhost", name)}
	return b
}

func (b *roamer) url(host, path string) string {
	return "http://" + host + ".localhost:" + b.port + path
}

// do sends a request with the cookies of its host, and keeps what is set there.
func (b *roamer) do(method, address, body string, headers ...string) *http.Response {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if r.Header.Set(name, value); name == "Host" {
			r.Host = value
		}
	}
	host := hostOf(r)
	for name, value := range b.jar[host] {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	res := b.send(r)
	for _, c := range res.Cookies() {
		if !strings.HasPrefix(c.Name, "__Host-") || c.Domain != "" || !c.Secure || !c.HttpOnly || c.Path != "/" { // S59
			if c.Name != "app" {
				b.t.Errorf("%s sets %s", address, c.Raw)
			}
			continue
		}
		if b.jar[host] == nil {
			b.jar[host] = map[string]string{}
		}
		if b.jar[host][c.Name] = c.Value; c.MaxAge < 0 {
			delete(b.jar[host], c.Name)
		}
	}
	return res
}

func (b *roamer) open(host, path string) *http.Response {
	b.t.Helper()
	return b.do(http.MethodGet, b.url(host, path), "")
}

// follow goes on until nothing redirects any more, and returns the last answer and the addresses on the way.
func (b *roamer) follow(res *http.Response) (*http.Response, []string) {
	b.t.Helper()
	var hops []string
	for res.StatusCode == http.StatusSeeOther {
		to, err := res.Request.URL.Parse(res.Header.Get("Location"))
		if err != nil || len(hops) == 10 {
			b.t.Fatalf("led around: %v %v", hops, err)
		}
		hops = append(hops, to.String())
		res = b.do(http.MethodGet, to.String(), "")
	}
	return res, hops
}

// follow1 is the last answer of follow.
func (b *roamer) follow1(res *http.Response) *http.Response {
	b.t.Helper()
	res, _ = b.follow(res)
	return res
}

// confirm presses the button of the page that asks whether to go on to a host, and follows.
func (b *roamer) confirm(res *http.Response) (*http.Response, []string) {
	b.t.Helper()
	if res.StatusCode != http.StatusOK || !strings.Contains(bodyOf(b.t, res), `action="/.mfa/continue"`) {
		b.t.Fatalf("%s at %s, want the page that asks", res.Status, res.Request.URL)
	}
	return b.follow(b.do(http.MethodPost, b.url("auth", "/.mfa/continue"), "to="+url.QueryEscape(res.Request.URL.Query().Get("to"))))
}

// led fails the test unless res redirects to where that begins.
func led(t *testing.T, res *http.Response, where string) string {
	t.Helper()
	to := res.Header.Get("Location")
	if res.StatusCode != http.StatusSeeOther || !strings.HasPrefix(to, where) {
		t.Fatalf("%s to %q, want %q", res.Status, to, where)
	}
	return to
}

func bodyOf(t *testing.T, res *http.Response) string {
	t.Helper()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
