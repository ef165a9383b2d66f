package caddymodule

import (
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

func TestIdentityHeadersOfClientsAreDeleted(t *testing.T) { // S67
	for _, name := range []string{
		"Remote-User", "remote-user", "REMOTE-USER", "Remote_User", "REMOTE_USER", "remote.user", "Remote.Name", "rEMOTE_nAME",
		"Remote-Email", "remote_email", "Remote-Groups", "Remote.Groups", "Remote~Groups", "Forwarded", "FORWARDED",
		"X-Original-URL", "X_Original_Url", "x.rewrite.url", "X-Rewrite-Url",
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			r.Header[name] = []string{"mallory"}
			r.Header.Set("Accept", "*/*")
			toldByDefault.clean(r)
			if len(r.Header) != 1 {
				t.Errorf("left: %v", r.Header)
			}
		})
	}
}

func TestOtherHeadersStay(t *testing.T) {
	want := http.Header{
		"Remoteuser": {"a"}, "Remote-Users": {"b"}, "X-Remote-User": {"c"}, "Remote-Use": {"d"}, "Remote--User": {"e"},
		"Connection": {"keep-alive, Upgrade"}, "Remotexuser": {"f"}, "X-Forwarded-For": {"192.0.2.1"}, "Remote-Usér": {"g"},
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.Header = want.Clone()
	toldByDefault.clean(r)
	if !maps.EqualFunc(r.Header, want, func(a, b []string) bool { return strings.Join(a, "|") == strings.Join(b, "|") }) {
		t.Errorf("got %v", r.Header)
	}
}

func TestConnectionCannotNameIdentityHeaders(t *testing.T) { // S68
	for _, c := range []struct {
		name string
		in   []string
		want string
	}{
		{"alone", []string{"Remote-User"}, ""},
		{"among others", []string{"keep-alive, remote_groups,  Upgrade"}, "keep-alive, Upgrade"},
		{"several lines", []string{"Remote.Email", "close"}, "close"},
		{"untouched", []string{"keep-alive,Upgrade"}, "keep-alive,Upgrade"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			r.Header["Connection"] = c.in
			toldByDefault.clean(r)
			if got := strings.Join(r.Header["Connection"], "|"); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// endingBody fills in trailers at its end, as net/http does.
type endingBody struct {
	io.Reader
	end func()
}

func (b *endingBody) Close() error { return nil }

func (b *endingBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		b.end()
	}
	return n, err
}

func TestTrailersCannotNameIdentityHeaders(t *testing.T) { // S68
	r := httptest.NewRequest("POST", "/", nil)
	r.Header["Trailer"] = []string{"X-Checksum, Remote-User"}
	r.Trailer = http.Header{"X-Checksum": nil, "Remote-User": nil}
	shared := r.Trailer
	r.Body = &endingBody{strings.NewReader("body"), func() {
		shared["X-Checksum"] = []string{"1"}
		shared["Remote-User"] = []string{"mallory"}
		shared["Remote_groups"] = []string{"admins"} // never announced
	}}
	toldByDefault.clean(r)
	if _, ok := r.Trailer["Remote-User"]; ok || r.Header.Get("Trailer") != "X-Checksum" {
		t.Errorf("announced: %v, %v", r.Trailer, r.Header)
	}
	if body, err := io.ReadAll(r.Body); err != nil || string(body) != "body" {
		t.Fatalf("body %q, %v", body, err)
	}
	if len(r.Trailer) != 1 || r.Trailer.Get("X-Checksum") != "1" {
		t.Errorf("got %v", r.Trailer)
	}
}

func TestCleaningAllocatesNothing(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	for name, value := range browserHeaders {
		r.Header.Set(name, value)
	}
	if n := testing.AllocsPerRun(100, func() { toldByDefault.clean(r); takeCookies(r.Header) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// browserHeaders are what a browser sends, beside cookies.
var browserHeaders = map[string]string{
	"User-Agent":                "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
	"Accept":                    "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
	"Accept-Language":           "en-US,en;q=0.5",
	"Accept-Encoding":           "gzip, deflate, br, zstd",
	"Connection":                "keep-alive",
	"Upgrade-Insecure-Requests": "1",
	"Sec-Fetch-Dest":            "document",
	"Sec-Fetch-Mode":            "navigate",
	"Sec-Fetch-Site":            "same-origin",
}

func TestIdentityHeadersAreSet(t *testing.T) {
	for _, c := range []struct {
		name string
		user auth.User
		want map[string]string
	}{
		{"name alone", auth.User{Name: "alice"}, map[string]string{"Remote-User": "alice"}},
		{
			"everything", auth.User{Name: "alice", DisplayName: "Alice Ångström", Email: "alice@example.com", Groups: []string{"dev", "ops"}},
			map[string]string{"Remote-User": "alice", "Remote-Name": "Alice Ångström", "Remote-Email": "alice@example.com", "Remote-Groups": "dev,ops"},
		},
		{
			"control characters", auth.User{Name: "alice", DisplayName: "A\r\nRemote-Groups: admins\x7f"},
			map[string]string{"Remote-User": "alice", "Remote-Name": "ARemote-Groups: admins"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := http.Header{}
			id := identity{user: &c.user}
			id.setHeaders(h, toldByDefault)
			if len(h) != len(c.want) {
				t.Errorf("got %v", h)
			}
			for name, want := range c.want {
				if h.Get(name) != want {
					t.Errorf("%s is %q, want %q", name, h.Get(name), want)
				}
			}
			// A handler that appends to one value must not change another.
			h.Add("Remote-User", "x")
			if want := c.want["Remote-Name"]; h.Get("Remote-Name") != want {
				t.Errorf("Remote-Name became %q", h.Get("Remote-Name"))
			}
		})
	}
}
