package caddymodule

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/loginui"
)

// formSite is a site where forms need a proof that the first session lacks.
const formSite = `{address} {
	mfa {
		rule /admin/* {
			require totp
		}
	}
	reverse_proxy {app}
}
`

// formClient is somebody's browser at a site.
type formClient struct {
	*site
	jar    http.CookieJar
	visit  auth.Visit
	secret string // of the app
}

func newFormClient(s *site, name string) *formClient {
	s.t.Helper()
	realm, err := running(s.t).Realm(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	c := &formClient{site: s}
	c.jar, _ = cookiejar.New(nil)
	c.visit, c.secret = enrolled(s.t, realm, "localhost", name)
	c.keep(&http.Cookie{Name: auth.CookieSession, Value: c.visit.Session})
	return c
}

var formURL = &url.URL{Scheme: "https", Host: "localhost", Path: "/"}

func (c *formClient) keep(cookies ...*http.Cookie) {
	for _, k := range cookies {
		k.Path = "/"
	}
	c.jar.SetCookies(formURL, cookies)
}

// post sends a form as a browser does, with changes to its headers.
func (c *formClient) post(target, media, body string, headers ...string) *http.Response {
	c.t.Helper()
	r, err := http.NewRequest("POST", "http://localhost:"+c.port+target, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("Content-Type", media)
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if r.Header.Set(name, value); value == "" {
			r.Header.Del(name)
		}
	}
	for _, k := range c.jar.Cookies(formURL) {
		r.AddCookie(k)
	}
	res := c.site.send(r)
	c.keep(res.Cookies()...)
	return res
}

// button sends the form that lead, the address of a step-up, leads on to.
func (c *formClient) button(lead, target string, headers ...string) *http.Response {
	c.t.Helper()
	return c.post(target, formMedia, loginui.ResendField+"="+formOf(lead), headers...)
}

// formOf is the ID of the form that a step-up leads on to, "" for none.
func formOf(lead string) string {
	u, err := url.Parse(lead)
	if err != nil {
		return ""
	}
	_, id, _ := strings.Cut(u.Query().Get("to"), "/.mfa/resend?form=")
	return id
}

func (c *formClient) page(target string) (*http.Response, string) {
	c.t.Helper()
	var cookies []string
	for _, k := range c.jar.Cookies(formURL) {
		cookies = append(cookies, k.Name+"="+k.Value)
	}
	res := c.get(target, "Cookie: "+strings.Join(cookies, "; "), asPage)
	body, _ := io.ReadAll(res.Body)
	return res, string(body)
}

// prove gives the session the proof that it lacks.
func (c *formClient) prove() {
	c.t.Helper()
	realm, err := running(c.t).Realm(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	out, err := realm.Change(c.t.Context(), c.visit, auth.Change{Op: auth.ChangeProve, Methods: []string{auth.MethodTOTP}}, "")
	if err != nil {
		c.t.Fatal(err)
	}
	for _, k := range out.Cookies {
		if k.Name == auth.CookieFlow {
			c.visit.Flow = k.Value
		}
	}
	code, err := totp.GenerateCode(c.secret, time.Now().Add(30*time.Second)) // the first one was used for the set-up
	if err != nil {
		c.t.Fatal(err)
	}
	if out, err = realm.Prove(c.t.Context(), c.visit, auth.MethodTOTP, []byte(code)); err != nil {
		c.t.Fatal(err)
	}
	for _, k := range out.Cookies {
		if k.Name == auth.CookieSession {
			c.visit.Session = k.Value
			c.keep(&http.Cookie{Name: k.Name, Value: k.Value})
		}
	}
}

const formMedia = "application/x-www-form-urlencoded"

// A form that was on its way when more was asked for is kept, sealed, and sent by a button, once.
func TestFormIsSentAgain(t *testing.T) {
	s := newSite(t)
	s.serve(formSite)
	c := newFormClient(s, "alice")
	form := "title=A+long+letter&text=" + strings.Repeat("x", 400<<10) + "&secret=hunter2hunter2"
	res := c.post("/admin/save?draft=1", formMedia, form)
	lead := res.Header.Get("Location")
	id := formOf(lead)
	if res.StatusCode != 303 || lead != "/.mfa/step-up?methods=totp&to=%2F.mfa%2Fresend%3Fform%3D"+id || len(id) != 32 {
		t.Fatalf("%s to %q", res.Status, lead)
	}
	page := "/.mfa/resend?form=" + id
	res, body := c.page(page)
	if res.StatusCode != 200 || !strings.Contains(body, `action="/admin/save?draft=1"`) || !strings.Contains(body, `value="`+id+`"`) || strings.Contains(body, "hunter2") {
		t.Fatalf("%s\n%s", res.Status, body)
	}
	if res := c.button(lead, "/admin/save?draft=1"); res.StatusCode != 303 || res.Header.Get("Location") != lead { // nothing was proven yet
		t.Fatalf("%s to %q", res.Status, res.Header.Get("Location"))
	}
	c.prove()
	if res := c.button(lead, "/admin/other"); res.StatusCode != 410 {
		t.Errorf("at another address: %s", res.Status)
	}
	got := arrived(t, c.button(lead, "/admin/save?draft=1"))
	if got.Method != "POST" || got.URI != "/admin/save?draft=1" || got.Body != form || got.Header.Get("Content-Type") != formMedia || got.Header.Get(headerUser) != "alice" {
		t.Errorf("%s %s with %d bytes of %s", got.Method, got.URI, len(got.Body), got.Header.Get("Content-Type"))
	}
	if res := c.button(lead, "/admin/save?draft=1"); res.StatusCode != 410 {
		t.Errorf("a second time: %s", res.Status)
	}
	if res, body := c.page(page); res.StatusCode != 410 || !strings.Contains(body, "not there any more") {
		t.Errorf("the page afterwards: %s", res.Status)
	}
	for _, form := range []string{"a=b", loginui.ResendField + "=" + strings.Repeat("X", 32), strings.Repeat("y", int(loginui.ResendLength))} {
		if got := arrived(t, c.post("/admin/save", formMedia, form)); got.Body != form {
			t.Errorf("%q arrived as %q", form, got.Body)
		}
	}
}

// Each page's button sends the form of that page, and one that is not wanted goes.
func TestFormsOfTwoPages(t *testing.T) {
	s := newSite(t)
	s.serve(formSite)
	c := newFormClient(s, "alice")
	one, two, three := c.post("/admin/save", formMedia, "n=1").Header.Get("Location"), c.post("/admin/save", formMedia, "n=2").Header.Get("Location"), c.post("/admin/save", formMedia, "n=3").Header.Get("Location")
	c.prove()
	if res := c.post("/.mfa/resend", formMedia, "form="+formOf(three), "Sec-Fetch-Dest: document"); res.StatusCode != 303 || res.Header.Get("Location") != "/" {
		t.Errorf("dropping one: %s", res.Status)
	}
	if res := c.button(three, "/admin/save"); res.StatusCode != 410 {
		t.Errorf("one that was dropped: %s", res.Status)
	}
	for lead, want := range map[string]string{one: "n=1", two: "n=2"} {
		if got := arrived(t, c.button(lead, "/admin/save")); got.Body != want {
			t.Errorf("the button of %s sent %s", want, got.Body)
		}
	}
}

// Forms of several parts pass byte for byte, and 50 presses of the button send one.
func TestFormIsSentOnce(t *testing.T) { // S89
	s := newSite(t)
	s.serve(formSite)
	c := newFormClient(s, "alice")
	const media = "multipart/form-data; boundary=b"
	form := "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x\"\r\n\r\n\x00é\r\n--b--\r\n"
	lead := c.post("/admin/up", media, form).Header.Get("Location")
	c.prove()
	var sent, gone atomic.Int32
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			switch res := c.button(lead, "/admin/up"); res.StatusCode {
			case 200:
				if got := arrived(t, res); got.Body != form || got.Header.Get("Content-Type") != media {
					t.Errorf("arrived as %q, %s", got.Body, got.Header.Get("Content-Type"))
				}
				sent.Add(1)
			case 410, 503: // 503: too many at the same record
				gone.Add(1)
			default:
				t.Error(res.Status)
			}
		})
	}
	wg.Wait()
	if sent.Load() != 1 {
		t.Errorf("sent %d times, refused %d times", sent.Load(), gone.Load())
	}
}

// What is not a form of this site, of somebody who is signed in, is not kept; nor is it anybody else's.
func TestFormIsNotKept(t *testing.T) {
	s := newSite(t)
	s.serve(formSite)
	c := newFormClient(s, "alice")
	for name, post := range map[string]func() *http.Response{
		"from another site":         func() *http.Response { return c.post("/admin/x", formMedia, "a=b", "Sec-Fetch-Site: cross-site") },
		"from a sibling":            func() *http.Response { return c.post("/admin/x", formMedia, "a=b", "Sec-Fetch-Site: same-site") },
		"without a word where from": func() *http.Response { return c.post("/admin/x", formMedia, "a=b", "Sec-Fetch-Site: ") },
		"from another origin": func() *http.Response {
			return c.post("/admin/x", formMedia, "a=b", "Sec-Fetch-Site: ", "Origin: http://localhost:1")
		},
		"too large":                   func() *http.Response { return c.post("/admin/x", formMedia, strings.Repeat("x", auth.MaxForm+1)) },
		"not a form":                  func() *http.Response { return c.post("/admin/x", "application/json", "{}") },
		"of a media type that is bad": func() *http.Response { return c.post("/admin/x", "a/b/c", "{}") },
	} {
		if res := post(); res.StatusCode != 303 || res.Header.Get("Location") != "/.mfa/step-up?methods=totp&to=%2Fadmin%2Fx&lost=1" {
			t.Errorf("%s: %s to %q", name, res.Status, res.Header.Get("Location"))
		}
	}
	if res := c.post("//evil.example.com/../admin/x", formMedia, "a=b"); res.StatusCode == 200 || formOf(res.Header.Get("Location")) != "" { // S65
		t.Errorf("for another host: %s to %q", res.Status, res.Header.Get("Location"))
	}
	if res := c.post("//evil.example.com/admin/x", formMedia, "a=b"); formOf(res.Header.Get("Location")) != "" {
		t.Errorf("for what looks like another host: %s to %q", res.Status, res.Header.Get("Location"))
	}
	stranger := &formClient{site: s}
	stranger.jar, _ = cookiejar.New(nil)
	if res := stranger.post("/admin/x", formMedia, "a=b"); res.Header.Get("Location") != "/.mfa/login?to=%2Fadmin%2Fx" || len(res.Cookies()) > 0 {
		t.Errorf("a stranger: %s, %v", res.Header.Get("Location"), res.Cookies())
	}
	if res := c.post("/admin/x", formMedia, "a=b", "Sec-Fetch-Mode: cors"); res.StatusCode != 401 {
		t.Errorf("a script: %s", res.Status)
	}
	lead := c.post("/admin/x", formMedia, "a=b", "Sec-Fetch-Site: ", "Origin: http://localhost:"+s.port).Header.Get("Location") // an Origin alone will do
	if formOf(lead) == "" {
		t.Fatalf("led to %q", lead)
	}
	t.Run("somebody else with its address", func(t *testing.T) { // S87
		mallory := newFormClient(s, "mallory")
		mallory.prove()
		if res, _ := mallory.page("/.mfa/resend?form=" + formOf(lead)); res.StatusCode != 410 {
			t.Errorf("the page: %s", res.Status)
		}
		if res := mallory.button(lead, "/admin/x"); res.StatusCode != 410 {
			t.Errorf("the button: %s", res.Status)
		}
	})
	t.Run("a button on another site", func(t *testing.T) { // S61
		c.prove()
		if got := arrived(t, c.button(lead, "/admin/x", "Sec-Fetch-Site: cross-site")); !strings.HasPrefix(got.Body, loginui.ResendField) {
			t.Errorf("arrived as %q", got.Body)
		}
		if got := arrived(t, c.button(lead, "/admin/x")); got.Body != "a=b" {
			t.Errorf("arrived as %q", got.Body)
		}
	})
}

// Forms that do not arrive take memory for a bounded number of their senders, and nobody waits for them.
func TestSlowFormsAreFew(t *testing.T) {
	s := newSite(t)
	s.serve(formSite)
	c := newFormClient(s, "alice")
	l := running(t).live.Load()
	for range cap(l.forms) { // as many as are being read
		l.forms <- struct{}{}
	}
	if res := c.post("/admin/x", formMedia, "a=b"); res.Header.Get("Location") != "/.mfa/step-up?methods=totp&to=%2Fadmin%2Fx&lost=1" {
		t.Errorf("%s to %q", res.Status, res.Header.Get("Location"))
	}
	for range cap(l.forms) {
		<-l.forms
	}
	if res := c.post("/admin/x", formMedia, "a=b"); formOf(res.Header.Get("Location")) == "" {
		t.Errorf("%s to %q", res.Status, res.Header.Get("Location"))
	}
}
