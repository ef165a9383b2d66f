package loginui

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/internal/mail"
	"github.com/caddy-mfa/caddy-mfa/internal/method"
	"github.com/caddy-mfa/caddy-mfa/internal/words/wordstest"
	"github.com/caddy-mfa/caddy-mfa/storage"
	"github.com/caddy-mfa/caddy-mfa/storage/badgerstore"
)

const (
	host     = "dash.example.com"
	password = "a long walk by the sea"
)

// rig is a portal onto a real realm over a real store, at a time that the test moves.
type rig struct {
	*Portal
	t     *testing.T
	state *auth.State
	store storage.Store
	log   *bytes.Buffer
	host  string   // that browsers open
	data  []string // that pages show, beside the values that all tests have

	config auth.Config // of the realm

	letters chan mail.Message // what was sent, in a rig with mail

	mu    sync.Mutex
	clock time.Time
}

func newRig(t *testing.T) *rig {
	t.Helper()
	return newRigWith(t, auth.Config{})
}

// newMailRig is a rig that sends mails.
func newMailRig(t *testing.T) *rig {
	t.Helper()
	email := method.NewEmail()
	r := newRigWith(t, auth.Config{
		Methods: []auth.Method{email},
		Mail:    &auth.Mail{Base: func(string) string { return "https://" + host + "/.mfa" }, Codes: email},
	})
	r.letters = make(chan mail.Message, 1000)
	r.state.UsePost(r)
	return r
}

// Send takes a mail for delivery.
func (r *rig) Send(_ context.Context, m mail.Message) error {
	r.letters <- m
	return nil
}

// newRigWith is a rig with further methods, mail and policies.
func newRigWith(t *testing.T, c auth.Config) *rig {
	t.Helper()
	return newRigOf(t, c, false)
}

// newRigOf is one in which recovery codes may be seen again.
func newRigOf(t *testing.T, c auth.Config, viewable bool) *rig {
	t.Helper()
	r := &rig{t: t, log: &bytes.Buffer{}, host: host, clock: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	store, err := badgerstore.Open(t.Context(), badgerstore.Options{Dir: t.TempDir(), Now: r.time})
	if err != nil {
		t.Fatal(err)
	}
	r.store = store
	r.state, err = auth.NewState(t.Context(), auth.Options{Store: store, Secrets: [][]byte{bytes.Repeat([]byte("k"), 32)}, Now: r.time})
	if err != nil {
		store.Close()
		t.Fatal(err)
	}
	t.Cleanup(func() { r.state.Close() })
	keys, err := method.NewWebAuthn(method.WebAuthnConfig{Name: "Example Corp"})
	if err != nil {
		t.Fatal(err)
	}
	c.Name, c.Idle, c.Lifetime = "Example Corp", time.Hour, 24*time.Hour
	recovery := method.NewRecovery().CheapForTests()
	if viewable {
		recovery.KeepCodes()
	}
	c.Methods = append([]auth.Method{method.NewPassword("Example Corp").CheapForTests(), keys, method.NewTOTP("Example Corp")}, append(c.Methods, recovery)...)
	r.config = c
	realm := r.state.Realm(c)
	if r.Portal, err = New(realm, Options{Now: r.time, Logger: slog.New(slog.NewTextHandler(r.log, nil))}); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) time() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.clock
}

func (r *rig) pass(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.clock = r.clock.Add(d)
}

// add makes a user with a password and no second method.
func (r *rig) add(name string) {
	r.t.Helper()
	if _, _, err := r.realm.AddUser(r.t.Context(), auth.NewUser{Name: name, Password: password}); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) addAlice() {
	r.t.Helper()
	r.add("alice")
}

// records is everything that is stored, with when it expires.
func (r *rig) records() map[string]string {
	r.t.Helper()
	all := map[string]string{}
	err := r.store.View(r.t.Context(), func(tx storage.Tx) error {
		for e, err := range tx.Scan("", "") {
			if err != nil {
				return err
			}
			all[e.Key] = fmt.Sprintf("%q until %v", e.Value, e.Expires)
		}
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return all
}

// browser keeps cookies and looks at every answer.
type browser struct {
	*rig
	cookies map[string]string
	headers map[string]string // of every request
}

func (r *rig) browser() *browser {
	return &browser{r, map[string]string{}, map[string]string{"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}}
}

// answer is what came back, with its body as text.
type answer struct {
	*http.Response
	body string
}

func (b *browser) get(path string) answer { return b.send(b.request(http.MethodGet, path, "")) }

// post sends pairs of field and value.
func (b *browser) post(path string, pairs ...string) answer {
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	return b.send(b.request(http.MethodPost, path, form.Encode()))
}

func (b *browser) request(method, path, body string) *http.Request {
	req := httptest.NewRequestWithContext(b.t.Context(), method, "https://"+b.host+path, strings.NewReader(body))
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for k, v := range b.headers {
		req.Header.Set(k, v)
	}
	return req
}

// send plays the gate: it reads the cookies and looks the session up.
func (b *browser) send(req *http.Request) answer {
	b.t.Helper()
	in := Request{Lang: b.cookies[auth.CookieLang], Secure: true, Away: b.config.Portal != nil && b.host != host, Visit: auth.Visit{
		Host: b.host, Origin: "https://" + b.host, Addr: netip.MustParseAddr("192.0.2.1"), UserAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
		Session: b.cookies[auth.CookieSession], Flow: b.cookies[auth.CookieFlow], Browser: b.cookies[auth.CookieBrowser],
		Guest: b.cookies[auth.CookieGuest], GuestCode: b.cookies[auth.CookieGuestCode],
	}}
	look := b.realm.Session
	if b.Passive(req.URL.Path) {
		look = b.realm.PeekSession
	}
	if s, u, err := look(req.Context(), b.host, in.Visit.Session); err == nil {
		in.Session, in.User = s, u
	}
	w := httptest.NewRecorder()
	if err := b.ServeHTTP(w, req, in); err != nil {
		b.t.Fatalf("%s %s: %v", req.Method, req.URL.Path, err)
	}
	a := answer{w.Result(), w.Body.String()}
	if strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") {
		checkWords(b.t, req.Method+" "+req.URL.Path, a.page(b.t), b.data)
	}
	if page := wordstest.Unmark(a.page(b.t)); a.Header.Get("Content-Encoding") == "" {
		a.body = page
	} else if strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") { // as it would be without marks
		a.body = string(b.sheet().zip([]byte(page)))
	}
	for _, c := range a.Cookies() {
		if !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || len(c.Raw) > 4096 { // S59
			b.t.Errorf("%s %s: cookie %s", req.Method, req.URL.Path, c.Raw)
		}
		if b.cookies[c.Name] = c.Value; c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		}
	}
	checkHeaders(b.t, b.sheet(), req, a)
	if strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") && req.Method != http.MethodHead {
		checkPage(b.t, b.sheet(), req.Method+" "+req.URL.Path, a.page(b.t))
	}
	return a
}

// want fails unless a has the status and, for a redirect, leads to the address; of other answers the body must hold every text.
func (b *browser) want(a answer, status int, texts ...string) answer {
	b.t.Helper()
	if a.StatusCode != status {
		b.t.Fatalf("status is %d, want %d:\n%s", a.StatusCode, status, a.body)
	}
	if status == http.StatusSeeOther {
		if got := a.Header.Get("Location"); len(texts) > 0 && got != texts[0] {
			b.t.Fatalf("led to %q, want %q", got, texts[0])
		}
		return a
	}
	for _, text := range texts {
		if !strings.Contains(a.body, text) {
			b.t.Fatalf("the page lacks %q:\n%s", text, a.body)
		}
	}
	return a
}

// code is what an authenticator app with the secret shows now.
func (r *rig) code(secret string) string {
	r.t.Helper()
	code, err := totp.GenerateCode(secret, r.time())
	if err != nil {
		r.t.Fatal(err)
	}
	return code
}

// enroll goes from the choice of methods to the app, and returns the secret and the recovery codes.
func (b *browser) enroll(to string) (secret string, codes []string) {
	b.t.Helper()
	b.want(b.post("/.mfa/enroll", "method", "totp"), 303, "/.mfa/enroll/totp")
	secret = b.secret()
	b.want(b.post("/.mfa/enroll/totp", "code", b.code(secret)), 303, "/.mfa/recovery-codes")
	codes = codesOn(b.want(b.get("/.mfa/recovery-codes"), 200, "Save your recovery codes").body)
	b.want(b.post("/.mfa/recovery-codes", "confirm", "1"), 303, to)
	b.pass(time.Minute) // the code that was used is burned
	return secret, codes
}

// account makes alice with everything set up, and the browser in which that user is signed in.
func (r *rig) account() (b *browser, codes []string) {
	r.t.Helper()
	r.addAlice()
	b = r.browser()
	b.get("/.mfa/login")
	b.want(b.post("/.mfa/login", "name", "alice", "password", password), 303, "/.mfa/enroll")
	_, codes = b.enroll("/")
	return b, codes
}

// codesOn reads the recovery codes off the page.
func codesOn(page string) (codes []string) {
	for _, part := range strings.Split(page, "<li><code>")[1:] {
		code, _, _ := strings.Cut(part, "<")
		codes = append(codes, code)
	}
	return codes
}
