package loginui

import (
	"strings"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// TestGuestPage: the token alone opens nothing, one press does; what is over says so; the maker sees the link and takes it back.
func TestGuestPage(t *testing.T) { // S28, S61
	r := newRig(t)
	r.addAlice()
	alice := r.browser()
	alice.get("/.mfa/login")
	alice.want(alice.post("/.mfa/login", "name", "alice", "password", password), 303, "/.mfa/enroll")
	secret, _ := alice.enroll("/")
	r.pass(20 * time.Minute)
	token, link, err := r.realm.MakeGuestLink(t.Context(), auth.NewGuestLink{
		Maker: "alice", Label: "<b>feed</b>", Host: "dash.example.com", Guest: auth.Guest{Path: "/plan", Query: "v=1", Frag: "top"}, For: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	b := r.browser()
	b.want(b.get("/.mfa/guest"), 200, "<h1>Open a page as a guest</h1>", `data-token="auto"`)
	b.want(b.post("/.mfa/guest"), 422)
	b.want(b.post("/.mfa/guest", "token", "x"), 422, "This link does not open anything")
	b.want(b.post("/.mfa/guest", "token", token), 200, "dash.example.com/plan", `value="open"`)
	if b.cookies[auth.CookieGuest] != "" {
		t.Fatal("looking opened it")
	}
	res := b.want(b.post("/.mfa/guest", "token", token, "do", "open"), 303, "/plan?v=1#top")
	set := strings.Join(res.Header["Set-Cookie"], "\n")
	if b.cookies[auth.CookieGuest] == "" || !strings.Contains(set, "__Host-mfa-guest=") || !strings.Contains(set, "HttpOnly; Secure; SameSite=Lax") {
		t.Errorf("cookie: %s", set)
	}
	b.want(b.get("/.mfa/security"), 303, "/.mfa/login?to=%2F.mfa%2Fsecurity") // S53
	alice.want(alice.get("/.mfa/security"), 200, ">Guest links</h2>", "&lt;b&gt;feed&lt;/b&gt;", "dash.example.com/plan?v=1", "Guest link “&lt;b&gt;feed&lt;/b&gt;” opened")
	b.want(b.post("/.mfa/security/links/revoke", "id", link.ID), 303, "/.mfa/login?to=%2F.mfa%2Fsecurity") // S57
	alice.want(alice.post("/.mfa/security/links/revoke", "id", link.ID), 303, "/.mfa/verify/password")     // S58
	alice.want(alice.post("/.mfa/verify/password", "password", password), 303, "/.mfa/verify/totp")
	alice.want(alice.post("/.mfa/verify/totp", "code", alice.code(secret)), 303, "/.mfa/security?done=revoke_link")
	b.want(b.post("/.mfa/guest", "token", token, "do", "open"), 422, "This link does not open anything")
	if strings.Contains(r.log.String(), token) { // S78
		t.Error("the log holds the token")
	}
}

// TestGuestLeavesByThePage: who opens the link again while in may go on or leave, and nobody else makes them leave.
func TestGuestLeavesByThePage(t *testing.T) { // S54, S61
	r := newRig(t)
	r.addAlice()
	b := r.browser()
	link := func(path string) string {
		t.Helper()
		token, _, err := r.realm.MakeGuestLink(t.Context(), auth.NewGuestLink{Maker: "alice", Host: "dash.example.com", Guest: auth.Guest{Path: path, Query: "v=1"}, For: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	token, other := link("/plan"), link("/other")
	b.get("/.mfa/guest")
	b.want(b.post("/.mfa/guest", "do", "leave"), 303, "/.mfa/guest?left=1") // nothing to leave
	b.want(b.post("/.mfa/guest", "token", token, "do", "open"), 303, "/plan?v=1")
	for _, a := range []answer{b.get("/.mfa/guest"), b.post("/.mfa/guest", "token", token)} {
		b.want(a, 200, "You have opened this page as a guest", `href="/.mfa/guest?on=1">Continue</a>`, `value="leave" aria-describedby="leave-hint">Leave</button>`)
		if strings.Contains(a.body, `value="open"`) {
			t.Error("it can be opened once more")
		}
	}
	b.want(b.get("/.mfa/logout"), 303, "/.mfa/guest")
	b.want(b.post("/.mfa/guest", "token", other), 200, "dash.example.com/other", `value="open"`)
	copied := r.browser()
	copied.cookies[auth.CookieGuest] = b.cookies[auth.CookieGuest]

	for name, header := range map[string][2]string{
		"another site": {"Sec-Fetch-Site", "cross-site"}, "a script": {"Sec-Fetch-Mode", "cors"}, "a frame": {"Sec-Fetch-Dest", "iframe"},
	} {
		b.headers[header[0]] = header[1]
		if a := b.post("/.mfa/guest", "do", "leave"); a.StatusCode != 403 || b.cookies[auth.CookieGuest] == "" {
			t.Errorf("%s: %s", name, a.Status)
		}
		delete(b.headers, header[0])
	}
	b.want(b.get("/.mfa/guest?do=leave"), 200, "Leave") // S61: no GET changes anything
	b.want(b.post("/.mfa/guest", "do", "leave"), 303, "/.mfa/guest?left=1")
	b.want(b.get("/.mfa/guest?left=1"), 200, "<h1>You have left</h1>", "open the link again")
	if b.cookies[auth.CookieGuest] != "" {
		t.Error("the cookie is kept")
	}
	copied.want(copied.get("/.mfa/guest"), 200, "See what it is before you open it")
	b.want(b.post("/.mfa/guest", "token", token, "do", "open"), 303, "/plan?v=1")
}

// TestGuestGoesOn: "Continue" leads to the address of the link as it is, byte for byte, since the gate compares the query so.
func TestGuestGoesOn(t *testing.T) {
	r := newRig(t)
	r.addAlice()
	for _, c := range []struct {
		guest auth.Guest
		to    string
	}{
		{auth.Guest{Path: "/plan", Query: "q=(a)|b'c"}, "/plan?q=(a)|b'c"},
		{auth.Guest{Path: "/plan", Query: "filter[]={x}", Frag: "top"}, "/plan?filter[]={x}#top"},
		{auth.Guest{Path: "/plan", Query: "q=%28a%29&r=%7Bx%7D&s=a+b"}, "/plan?q=%28a%29&r=%7Bx%7D&s=a+b"},
		{auth.Guest{Path: "/plan 2"}, "/plan%202"},
	} {
		t.Run(c.to, func(t *testing.T) {
			token, _, err := r.realm.MakeGuestLink(t.Context(), auth.NewGuestLink{Maker: "alice", Host: "dash.example.com", Guest: c.guest, For: time.Hour})
			if err != nil {
				t.Fatal(err)
			}
			b := r.browser()
			b.want(b.get("/.mfa/guest?on=1"), 200, "See what it is before you open it") // nothing is open
			location := func(a answer) {
				t.Helper()
				if to := a.Header.Get("Location"); a.StatusCode != 303 || to != c.to {
					t.Errorf("%s, to %q, want %q", a.Status, to, c.to)
				}
			}
			location(b.post("/.mfa/guest", "token", token, "do", "open"))
			b.want(b.get("/.mfa/guest"), 200, `href="/.mfa/guest?on=1">Continue</a>`)
			location(b.get("/.mfa/guest?on=1"))
			here := b.host
			b.host = "wiki.example.com"
			b.want(b.get("/.mfa/guest?on=1"), 200, "See what it is before you open it")
			b.host = here
			b.want(b.post("/.mfa/guest", "do", "leave"), 303, "/.mfa/guest?left=1")
			b.want(b.get("/.mfa/guest?on=1"), 200, "See what it is before you open it")
		})
	}
}

// TestGuestsLeaveTooOften: who is not noted any more is told the truth, and so is whoever has to wait.
func TestGuestsLeaveTooOften(t *testing.T) { // S54
	r := newRig(t)
	r.addAlice()
	token, _, err := r.realm.MakeGuestLink(t.Context(), auth.NewGuestLink{Maker: "alice", Host: "dash.example.com", Guest: auth.Guest{Path: "/plan"}, For: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	b := r.browser()
	leave := func() answer {
		b.want(b.post("/.mfa/guest", "token", token, "do", "open"), 303, "/plan")
		return b.post("/.mfa/guest", "do", "leave")
	}
	b.get("/.mfa/guest")
	for range 30 {
		b.want(leave(), 303, "/.mfa/guest?left=1")
	}
	slow := b.want(leave(), 429, "You have not left yet", "then leave")
	if slow.Header.Get("Retry-After") == "" || b.cookies[auth.CookieGuest] == "" {
		t.Errorf("%v", slow.Header)
	}
	r.pass(time.Minute)
	for n := 30; n < 200; n++ {
		if n%25 == 0 {
			r.pass(time.Minute)
		}
		b.want(leave(), 303, "/.mfa/guest?left=1")
	}
	r.pass(time.Minute)
	b.want(leave(), 303, "/.mfa/guest?left=here")
	if b.cookies[auth.CookieGuest] != "" {
		t.Error("the cookie is kept")
	}
	b.want(b.get("/.mfa/guest?left=here"), 200, "<h1>You have left in this browser</h1>", "only this browser forgets", "ask the person who sent you the link")
}

// TestGuestCodePage: the page says what its button does, where the code went, and what to do next.
func TestGuestCodePage(t *testing.T) { // S26
	r := newMailRig(t)
	r.addAlice()
	token, _, err := r.realm.MakeGuestLink(t.Context(), auth.NewGuestLink{
		Maker: "alice", Host: "dash.example.com", Guest: auth.Guest{Path: "/plan", Email: "bob@example.com"}, For: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	b := r.browser()
	b.get("/.mfa/guest")
	first := b.want(b.post("/.mfa/guest", "token", token), 200, "Press the button, and we send a code to", "b•••@example.com", ">Send me a code</button>")
	if strings.Contains(first.body, "Send a new code") || strings.Contains(first.body, "bob@example.com") {
		t.Errorf("before any code: %s", first.body)
	}
	b.want(b.post("/.mfa/guest", "token", token, "do", "send"), 200, "We sent a code to", "b•••@example.com", ">Send a new code</button>", `name="code"`)
	delete(b.cookies, auth.CookieFlow) // another tab began something else
	b.get("/.mfa/login")
	b.want(b.post("/.mfa/guest", "token", token), 200, "We sent a code to", `name="code"`)
	b.want(b.post("/.mfa/guest", "token", token, "do", "open", "code", "x"), 422, "That code is not right")
	stranger := r.browser()
	stranger.get("/.mfa/guest")
	stranger.want(stranger.post("/.mfa/guest", "token", token), 200, ">Send me a code</button>")
}

// TestGuestSignsOutOnAnotherHost: on a host whose people sign in elsewhere, a guest leaves on that host, and everybody else is led on.
func TestGuestSignsOutOnAnotherHost(t *testing.T) {
	r, _ := portalRig(t, auth.Config{})
	r.addAlice()
	token, _, err := r.realm.MakeGuestLink(t.Context(), auth.NewGuestLink{Maker: "alice", Host: app, Guest: auth.Guest{Path: "/plan"}, For: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	b := r.browser()
	b.host = app
	b.want(b.get("/.mfa/logout"), 303, "https://"+host+"/.mfa/logout")
	b.get("/.mfa/guest")
	b.want(b.post("/.mfa/guest", "token", token, "do", "open"), 303, "/plan")
	if to := b.get("/.mfa/logout").Header.Get("Location"); to != "/.mfa/guest" {
		t.Errorf("a guest is led to %q", to)
	}
}
