package caddymodule

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// guestLink makes a link in the name of alice for a host, and returns the cookie header of somebody who opened it.
func guestLink(t testing.TB, host string, change func(*auth.NewGuestLink)) (cookie string, link auth.GuestLink) {
	t.Helper()
	realm, err := running(t).Realm(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	n := auth.NewGuestLink{Maker: "alice", Host: host, Guest: auth.Guest{Path: "/page"}, Also: []string{"/assets/*"}, For: time.Hour}
	if change != nil {
		change(&n)
	}
	token, link, err := realm.MakeGuestLink(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	_, cookies, err := realm.OpenGuestLink(t.Context(), auth.Visit{Host: host}, token, "")
	if err != nil {
		t.Fatal(err)
	}
	return "Cookie: a=1; " + auth.CookieGuest + "=" + cookies[0].Value, link
}

func TestGuestAtTheGate(t *testing.T) { // S60, S67, S70
	s := newSite(t)
	s.serve(`{address} {
	mfa {
		public /public
		rule /assets/admin/* {
			allow group:admins
		}
		rule /assets/fresh/* {
			require recovery
		}
	}
	reverse_proxy {app} {
		header_up X-Id "{http.auth.user.id} {http.auth.user.name}"
	}
}
`)
	alice := sessionCookie(signIn(t, "localhost", "alice", "ops"))
	guest, link := guestLink(t, "localhost", nil)
	for _, path := range []string{"/page", "/assets/a.css", "/assets/a.css?v=3", "/assets/a%20b.css"} {
		got := arrived(t, s.get(path, guest, "Remote-User: alice", asPage))
		h := got.Header
		if h.Get("Remote-User") != "guest:"+link.ID || h.Get("Remote-Name") != "Guest" || h["Remote-Email"] != nil || h["Remote-Groups"] != nil || h.Get("Cookie") != "a=1" ||
			h.Get("X-Id") != "guest:"+link.ID+" guest:"+link.ID {
			t.Errorf("%s: the app got %v", path, h)
		}
	}
	if got := arrived(t, s.get("/public", guest)); got.Header.Get("Cookie") != "a=1" || got.Header["Remote-User"] != nil {
		t.Errorf("a public page: %v", got.Header)
	}
	for name, path := range map[string]string{
		"the start page": "/", "below": "/page/x", "another query": "/page?x=1", "in capitals": "/PAGE", "slash behind": "/page/", "parameters": "/page;x=1",
		"encoded slash": "/assets%2Fa.css", "up": "/assets/../secret", "encoded up": "/assets/%2e%2e/secret", "twice encoded": "/assets/%252e%252e/secret",
		"backslash": "/assets/%5c..%5csecret", "two slashes": "/assets//x", "end encoded": "/page%00", "question mark encoded": "/page%3Fx", "encoded letter": "/%70age",
		"the maker may not": "/assets/admin/x", "asks for proof": "/assets/fresh/x", "the Security page": "/.mfa/security",
	} {
		if res := s.get(path, guest, asScript); res.StatusCode == http.StatusOK {
			t.Errorf("%s: %s", name, res.Status)
		}
	}
	for _, more := range [][]string{
		{"Upgrade: websocket", "Connection: Upgrade"}, {bearerHeader(auth.AccessTokenPrefix + strings.Repeat("x", 43))},
	} {
		if res := s.get("/page", append(more, guest)...); res.StatusCode == http.StatusOK {
			t.Errorf("%q: %s", more, res.Status)
		}
	}
	both := guest + "; " + strings.TrimPrefix(alice, "Cookie: ")
	if got := arrived(t, s.get("/page", both)); got.Header.Get("Remote-User") != "alice" {
		t.Errorf("beside a session: %v", got.Header)
	}
	if got := arrived(t, s.get("/other", both)); got.Header.Get("Remote-User") != "alice" {
		t.Errorf("beside a session: %v", got.Header)
	}
	named, _ := guestLink(t, "localhost", func(n *auth.NewGuestLink) { n.Label = "For the auditors" })
	if got := arrived(t, s.get("/page", named)); got.Header.Get("Remote-Name") != "For the auditors" {
		t.Errorf("named: %v", got.Header)
	}
	brackets, _ := guestLink(t, "localhost", func(n *auth.NewGuestLink) { n.Guest.Path = "/a_(b)" })
	arrived(t, s.get("/a_(b)", brackets))
	arrived(t, s.get("/a_%28b%29", brackets))
	if res := s.get("/%61_(b)", brackets, asScript); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("a letter encoded: %s", res.Status)
	}
	elsewhere, _ := guestLink(t, "wiki.example.com", nil)
	if res := s.get("/page", elsewhere, asScript); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("a link for another host: %s", res.Status)
	}
	realm, _ := running(t).Realm(t.Context())
	if _, err := realm.RevokeGuestLink(t.Context(), link.ID); err != nil {
		t.Fatal(err)
	}
	if res := s.get("/page", guest, asScript); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("revoked: %s", res.Status)
	}
}

// Over HTTP/3 no request without a length says that it has no body, so a guest's has none for the app.
func TestGuestByEveryVersion(t *testing.T) { // S70
	l := newLiveSite(t)
	l.serveLive()
	bearer(t, liveHost, "alice", nil, "ops")
	cookie, link := guestLink(t, liveHost, nil)
	header := http.Header{"Cookie": {strings.TrimPrefix(cookie, "Cookie: ")}}
	for _, version := range []string{"HTTP/1.1", "HTTP/2.0", "HTTP/3.0"} {
		got := arrived(t, l.request(t.Context(), version, "GET", "/page", nil, header.Clone()))
		if got.Header.Get("Remote-User") != "guest:"+link.ID {
			t.Errorf("%s: the app got %v", version, got.Header)
		}
		r, _ := http.NewRequestWithContext(t.Context(), "GET", "https://"+liveHost+"/page", io.NopCloser(strings.NewReader("a body")))
		r.ContentLength, r.Header = -1, header.Clone()
		res, err := l.clients[version].Transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode == http.StatusOK {
			if got := arrived(t, res); got.Body != "" {
				t.Errorf("%s: the app got the body %q", version, got.Body)
			}
		} else if res.Body.Close(); version == "HTTP/3.0" || res.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s with a body: %s", version, res.Status)
		}
	}
}

func TestGuestStreamEnds(t *testing.T) { // S73
	l := newLiveSite(t)
	l.serveLive()
	realm := running(t).live.Load().realm
	bearer(t, liveHost, "alice", nil, "ops")
	cookie, link := guestLink(t, liveHost, func(n *auth.NewGuestLink) { n.Guest.Path = "/events" })
	events := l.connect("HTTP/2.0", "/events", cookie)
	eventually(t, "it is watched", func() bool { return l.streams() == 1 })
	events.goesOn(t)
	if _, err := realm.RevokeGuestLink(t.Context(), link.ID); err != nil {
		t.Fatal(err)
	}
	events.ended(t)
}

// TestGuestLeavesAtTheGate: what a guest has open ends when they leave, and what other guests of the link have open goes on.
func TestGuestLeavesAtTheGate(t *testing.T) { // S54, S73
	l := newLiveSite(t)
	l.serveLive()
	realm := running(t).live.Load().realm
	bearer(t, liveHost, "alice", nil, "ops")
	token, _, err := realm.MakeGuestLink(t.Context(), auth.NewGuestLink{Maker: "alice", Host: liveHost, Guest: auth.Guest{Path: "/events"}, For: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	open := func() string {
		_, cookies, err := realm.OpenGuestLink(t.Context(), auth.Visit{Host: liveHost}, token, "")
		if err != nil {
			t.Fatal(err)
		}
		return "Cookie: " + auth.CookieGuest + "=" + cookies[0].Value
	}
	one, two := open(), open()
	leaves, stays := l.connect("HTTP/2.0", "/events", one), l.connect("HTTP/1.1", "/events", two)
	eventually(t, "both are watched", func() bool { return l.streams() == 2 })
	send := func(method, path, body string, header http.Header) *http.Response {
		r, _ := http.NewRequestWithContext(t.Context(), method, "https://"+liveHost+path, strings.NewReader(body))
		r.Header = header
		res, err := l.clients["HTTP/2.0"].Transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { res.Body.Close() })
		return res
	}
	header := http.Header{"Cookie": {strings.TrimPrefix(one, "Cookie: ")}, "Content-Type": {"application/x-www-form-urlencoded"}, "Sec-Fetch-Site": {"same-origin"}, "Sec-Fetch-Mode": {"navigate"}}
	res := send("POST", "/.mfa/guest", "do=leave", header)
	if res.StatusCode != http.StatusSeeOther || !strings.Contains(res.Header.Get("Set-Cookie"), auth.CookieGuest+"=; Path=/; Max-Age=0") {
		t.Errorf("%s, %v", res.Status, res.Header)
	}
	leaves.ended(t)
	stays.goesOn(t)
	if res := send("GET", "/events", "", http.Header{"Cookie": header["Cookie"]}); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("who has left gets %s", res.Status)
	}
}

func TestGuestURL(t *testing.T) {
	for address, good := range map[string]bool{
		"https://wiki.example.com/page": true, "https://wiki.example.com:8443/a?b=c#d": true, "http://localhost:8080/": true, "https://wiki.example.com": true,
		"https://wiki.example.com/%C3%BCber": true, "https://wiki.example.com/über uns": true, "https://wiki.example.com/ü_(b)": true, "https://wiki.example.com/?q=für wen": true,
		"https://wiki.example.com/über/%C3%BC": true, "https://wiki.example.com/%FC": false, "https://wiki.example.com/50%": false, "https://bücher.example/": false,
		"https://wiki.example.com/%C3%BC_(b)": false, "https://wiki.example.com/a_(b)": true, "https://wiki.example.com/a_%28b%29": true, "http://wiki.example.com/": false, "wiki.example.com/page": false, "https://alice@wiki.example.com/": false,
		"https://wiki.example.com/a%2Fb": false, "https://wiki.example.com/a/../b": false, "https://wiki.example.com//b": false, "https://wiki.example.com/a;b": false,
		"javascript:alert(1)": false, "": false, "https://": false,
	} {
		if _, err := guestURL(address); (err == nil) != good {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// TestGuestQuery: what is kept of a query is what browsers send, which the gate compares byte for byte.
func TestGuestQuery(t *testing.T) {
	for typed, want := range map[string]string{
		"q=für wen": "q=f%C3%BCr%20wen", "q=(a)|b'c": "q=(a)|b%27c", "filter[]={x}": "filter[]={x}", "a=\"<>": "a=%22%3C%3E", "a=`^\\~!*;,$@:/?+%27%22": "a=`^\\~!*;,$@:/?+%27%22",
	} {
		u, err := guestURL("https://wiki.example.com/page?" + typed)
		if err != nil || u.RawQuery != want {
			t.Errorf("%s: %v, %v, want %s", typed, u, err, want)
		}
	}
}

// TestGuestLinkBehindAnotherProxy: where other proxies ask, nobody is a guest, so no link is made for such a host.
func TestGuestLinkBehindAnotherProxy(t *testing.T) {
	const portal = "http://auth.example.com:{port2} {\n\tmfa_portal\n}\n"
	for _, c := range []struct {
		name, more, host, want string
	}{
		{"asked about", "", "wiki.example.com", "mfa_forward_auth"},
		{"asked about, beside a site of another name", "localhost:{port2} {\n\tmfa\n}\n", "wiki.example.com", "mfa_forward_auth"},
		{"a site of its own too", "http://wiki.example.com:{port2} {\n\tmfa\n}\n", "wiki.example.com", ""},
		{"a site of a wildcard too", portal + "http://*.example.com:{port2} {\n\tmfa\n}\n", "wiki.example.com", ""},
		{"a site of another wildcard", portal + "http://*.example.net:{port2} {\n\tmfa\n}\n", "wiki.example.com", "mfa_forward_auth"},
		{"a site of any name too", "http://:{port2} {\n\tmfa\n}\n", "wiki.example.com", ""},
		{"another host", "http://dash.example.com:{port2} {\n\tmfa\n}\n", "dash.example.com", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			_, port, _ := net.SplitHostPort(freeAddress(t))
			option, at := "url https://wiki.example.com", "localhost"
			if strings.HasPrefix(c.more, portal) {
				option = "portal https://auth.example.com wiki.example.com *.example.com *.example.net"
				at = "auth.example.com"
			}
			s.serve("http://:{port} {\n\tmfa_forward_auth {\n\t\thosts wiki.example.com\n\t}\n}\n"+strings.ReplaceAll(c.more, "{port2}", port),
				option)
			app := running(t)
			realm, err := app.Realm(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			signIn(t, at, "alice")
			link, err := makeLink(t.Context(), call{app: app, realm: realm}, linkInput{URL: "https://" + c.host + "/page", For: "1h"})
			if c.want == "" && (err != nil || link.Link == "") || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n")) {
				t.Errorf("%v, %v", link, err)
			}
		})
	}
}

// FuzzGuestURL: what is taken for the address of a page is read by a server as it is by us, and is taken again as it was written.
func FuzzGuestURL(f *testing.F) {
	for _, seed := range []string{
		"https://wiki.example.com/page?q=1#top", "https://wiki.example.com/über uns?q=für", "https://wiki.example.com/a_(b)", "http://localhost:8080", "https://wiki.example.com/%C3%BC",
		"https://wiki.example.com/a%2Fb", "https://wiki.example.com//a", "https://a@b/", "https://wiki.example.com/a;b/../c", "https://[::1]/", "https://w/?\r\nX: y", "https://w/%FF", "javascript:1",
		"https://wiki.example.com/?q=(a)|b'c&filter[]={x}", "https://wiki.example.com/it's?\"<'`>\\^~",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		u, err := guestURL(typed)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("%q: %q is no line", typed, err)
			}
			return
		}
		again, err := guestURL(u.String())
		if err != nil || again.Path != u.Path || again.RawQuery != u.RawQuery || again.Host != u.Host {
			t.Errorf("%q: %v, and again %v (%v)", typed, u, again, err)
		}
		if strings.ContainsFunc(u.RequestURI(), func(c rune) bool { return c <= ' ' || c > '~' }) {
			return // auth refuses the query
		}
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET " + u.RequestURI() + " HTTP/1.1\r\nHost: w\r\n\r\n")))
		path := u.Path
		if path == "" {
			path = "/"
		}
		if err != nil || r.URL.Path != path || r.URL.RawQuery != u.RawQuery || ambiguous(path) || !ordinary(path) {
			t.Errorf("%q: %q, and a server reads %v (%v)", typed, u, r, err)
		}
	})
}
