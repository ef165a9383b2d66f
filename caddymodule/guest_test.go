package caddymodule

import (
	"io"
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

func TestGuestURL(t *testing.T) {
	for address, good := range map[string]bool{
		"https://wiki.example.com/page": true, "https://wiki.example.com:8443/a?b=c#d": true, "http://localhost:8080/": true, "https://wiki.example.com": true,
		"https://wiki.example.com/%C3%BCber": true, "https://wiki.example.com/%C3%BC_(b)": false, "https://wiki.example.com/a_(b)": true, "https://wiki.example.com/a_%28b%29": true, "http://wiki.example.com/": false, "wiki.example.com/page": false, "https://alice@wiki.example.com/": false,
		"https://wiki.example.com/a%2Fb": false, "https://wiki.example.com/a/../b": false, "https://wiki.example.com//b": false, "https://wiki.example.com/a;b": false,
		"javascript:alert(1)": false, "": false, "https://": false,
	} {
		if _, err := guestURL(address); (err == nil) != good {
			t.Errorf("%s: %v", address, err)
		}
	}
}
