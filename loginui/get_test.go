package loginui

import (
	"maps"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/internal/method/authenticator"
)

// visitors returns one visitor at every step of a flow, before and after it too, and a query that would do something at each of them
// if any page took it for a form.
func (r *rig) visitors() (at map[string]*browser, query string) {
	r.t.Helper()
	at = map[string]*browser{"nowhere": {r, map[string]string{}, nil}, "the sign-in page": r.browser()}
	at["the sign-in page"].get("/.mfa/login")
	invited := func(name string) (token string) {
		_, invited, err := r.realm.AddUser(r.t.Context(), auth.NewUser{Name: name})
		if err != nil {
			r.t.Fatal(err)
		}
		return invited.Token
	}
	// led is a visitor whom the password leads to a page.
	led := func(name, to string) *browser {
		b := r.browser()
		b.get("/.mfa/login")
		b.want(b.post("/.mfa/login", "name", name, "password", password), 303, to)
		return b
	}
	// begun is one who then sees the key for the app.
	begun := func(name string) (b *browser, key string) {
		r.add(name)
		b = led(name, "/.mfa/enroll")
		b.want(b.post("/.mfa/enroll", "method", "totp"), 303, "/.mfa/enroll/totp")
		return b, b.secret()
	}

	r.add("peggy")
	r.pass(100 * time.Hour) // longer than peggy may set something up
	at["ask the administrator"] = led("peggy", "/.mfa/ask-admin")

	r.addAlice()
	at["signed in"] = led("alice", "/.mfa/enroll")
	key, _ := at["signed in"].enroll("/")
	at["the code"] = led("alice", "/.mfa/verify/totp")
	b := &browser{r, maps.Clone(at["signed in"].cookies), at["signed in"].headers}
	b.want(b.post("/.mfa/security/add", "method", "webauthn"), 303, "/.mfa/verify/totp") // setting up was no proof
	at["a change, to be confirmed"] = b
	b = led("alice", "/.mfa/verify/totp")
	b.want(b.post("/.mfa/verify/totp", "code", b.code(key)), 303, "/")
	b.want(b.post("/.mfa/security/add", "method", "webauthn"), 303, "/.mfa/enroll/webauthn")
	at["a method to add"] = b
	r.pass(time.Minute)

	r.add("bob")
	at["the choice"] = led("bob", "/.mfa/enroll")
	at["the set-up"], _ = begun("carol")

	at["the key's set-up"] = r.keyBegun("grace", led)
	d := device()
	b = r.keyBegun("heidi", led)
	b.register(d, "", "/.mfa/recovery-codes")
	b.want(b.post("/.mfa/recovery-codes", "confirm", "1"), 303, "/")
	at["the key"] = led("heidi", "/.mfa/verify/webauthn")
	b = r.browser()
	b.want(b.passkey(d, func(d *authenticator.Draft) { d.Flags &^= authenticator.UserVerified }), 303, "/.mfa/verify/password")
	at["the password after the key"] = b
	b = r.browser()
	b.want(b.passkey(d), 303, "/deep")
	at["signed in by passkey"] = b

	b, again := begun("dave")
	b.want(b.post("/.mfa/enroll/totp", "code", b.code(again)), 303, "/.mfa/recovery-codes")
	at["the recovery codes"] = b
	r.pass(time.Minute)
	b = led("dave", "/.mfa/verify/totp")
	b.want(b.post("/.mfa/verify/totp", "code", b.code(again)), 303, "/.mfa/recovery-codes")
	b.want(b.get("/.mfa/recovery-codes"), 200, "Show my codes")
	at["the recovery codes, not made yet"] = b

	b = r.browser()
	b.get("/.mfa/invite")
	b.want(b.post("/.mfa/invite", "token", invited("erin")), 303, "/.mfa/invite")
	at["the invitation"] = b

	if r.letters != nil {
		r.mailVisitors(at, led)
	}

	var id string
	for _, c := range r.credentials("alice") {
		if c.Method == auth.MethodTOTP {
			id = c.ID
		}
	}
	if id == "" {
		r.t.Fatal("alice has no app to rename or remove")
	}
	return at, "?" + url.Values{
		"name": {"alice"}, "password": {password}, "token": {invited("frank")}, "confirm": {"1"}, "download": {"1"}, "method": {"totp"},
		"code": {r.code(key)}, "to": {"/x"}, "again": {"1"}, "check": {"cookies"}, "signed_out": {"1"}, "done": {"add"}, "passkey": {"1"},
		"id": {id}, "label": {"x"}, "end_sessions": {"1"}, "upgrade": {"1"}, "email": {"x@example.com"}, "sent": {"1"}, "new": {"1"}, "others": {"1"}, "display_name": {"x"}, "response": {"{}"}, "challenge": {"x"},
	}.Encode()
}

// mailVisitors adds those who wait for a mail.
func (r *rig) mailVisitors(at map[string]*browser, led func(name, to string) *browser) {
	r.t.Helper()
	for _, name := range []string{"ivan", "judy"} {
		if _, _, err := r.realm.AddUser(r.t.Context(), auth.NewUser{Name: name, Email: name + "@example.com", Password: password}); err != nil {
			r.t.Fatal(err)
		}
	}
	at["the mailed code"] = led("ivan", "/.mfa/verify/email")
	r.letter(aboutCode)
	b := led("judy", "/.mfa/verify/email")
	b.want(b.post("/.mfa/verify/email", "code", r.part(r.letter(aboutCode), sixDigits)), 303, "/.mfa/recovery-codes")
	b.want(b.post("/.mfa/recovery-codes"), 303)
	b.want(b.post("/.mfa/recovery-codes", "confirm", "1"), 303, "/")
	b.want(b.post("/.mfa/security/email", "email", "judy@example.org"), 303, "/.mfa/enroll/email")
	r.letter("Confirm your address")
	at["the address to be confirmed"] = b
}

// keyBegun is a visitor who is asked for a first key.
func (r *rig) keyBegun(name string, led func(name, to string) *browser) *browser {
	r.t.Helper()
	r.add(name)
	b := led(name, "/.mfa/enroll")
	b.want(b.post("/.mfa/enroll", "method", "webauthn"), 303, "/.mfa/enroll/webauthn")
	return b
}

// TestGetChangesNothing: no address that a link or an image could hold does anything, wherever its visitor is.
func TestGetChangesNothing(t *testing.T) { // S61
	r := newMailRig(t)
	visitors, query := r.visitors()
	before, letters := r.quiet(), len(r.letters)
	if len(before) < 50 {
		t.Fatalf("%d records; want one visitor at every step", len(before))
	}
	paths := []string{"/nowhere", staticPath + asset("mfa.js").name}
	for path := range routes {
		paths = append(paths, path)
	}
	for where, visitor := range visitors {
		for _, path := range paths {
			for _, method := range []string{http.MethodGet, http.MethodHead} {
				for _, q := range []string{"", query} {
					b := &browser{r, maps.Clone(visitor.cookies), visitor.headers}
					a := b.send(b.request(method, "/.mfa"+path+q, ""))
					for _, c := range a.Cookies() { // the nonce that binds a browser is the one thing that a page gives
						if c.Name != auth.CookieFlow || c.MaxAge < 0 || visitor.cookies[auth.CookieFlow] != "" {
							t.Errorf("at %s, %s %s sets %s", where, method, path, c.Name)
						}
					}
					after := r.records()
					for key := range before {
						if after[key] != before[key] {
							t.Errorf("at %s, %s %s: %s was\n%s, is\n%s", where, method, path, key, before[key], after[key])
						}
					}
					for key := range after {
						if _, ok := before[key]; !ok {
							t.Errorf("at %s, %s %s stored %s", where, method, path, key)
						}
					}
					before = after
				}
			}
		}
	}
	if len(r.letters) > letters { // S28
		t.Error("a mail was sent")
	}
}
