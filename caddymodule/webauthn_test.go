package caddymodule

import (
	"encoding/json"
	"errors"
	"html"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/internal/method"
	"github.com/caddy-mfa/caddy-mfa/internal/method/authenticator"
)

const yubikey = "ee882879-721c-4913-9775-3dfcce97072a"

func TestWebAuthnOptions(t *testing.T) {
	t.Setenv("MFA_TEST_RP_ID", "example.com")
	t.Setenv("MFA_TEST_ORIGIN", "https://example.net")
	t.Setenv("MFA_TEST_WORD", "required")
	t.Setenv("MFA_TEST_AAGUID", yubikey)
	w := &WebAuthn{
		RPID: "{env.MFA_TEST_RP_ID}", Origins: []string{"https://dash.{env.MFA_TEST_RP_ID}", "{env.MFA_TEST_ORIGIN}"},
		UserVerification: "{env.MFA_TEST_WORD}", AAGUIDs: &AAGUIDs{Deny: []string{"{env.MFA_TEST_AAGUID}"}},
	}
	c, err := w.config(caddy.NewReplacer(), "Example Corp")
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	want, err := json.Marshal(method.WebAuthnConfig{
		Name: "Example Corp", RPID: "example.com", Origins: []string{"https://dash.example.com", "https://example.net"},
		UserVerification: "required", DenyAAGUIDs: []string{yubikey},
	})
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("got %s\nwant %s", got, want)
	}
	app := &App{WebAuthn: w}
	if err := app.prepare(caddy.NewReplacer()); err != nil {
		t.Fatal(err)
	}
	if r := app.settings.related; r == nil || r.host != "example.com" || string(r.body) != `{"origins":["https://example.net"]}` {
		t.Errorf("related origins %+v", r)
	}
}

// What JSON may hold but must not, what shows only when a placeholder is replaced, and metadata that is of no use.
func TestWrongWebAuthnOptions(t *testing.T) {
	t.Setenv("MFA_TEST_EMPTY", "")
	t.Setenv("MFA_TEST_RP_ID", "com")
	dir := t.TempDir()
	missing, junk := filepath.Join(dir, "missing.jwt"), filepath.Join(dir, "junk.jwt")
	if err := os.WriteFile(junk, []byte("<html>"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		app  *App
		want string
	}{
		{"rp_id alone", &App{WebAuthn: &WebAuthn{RPID: "example.com"}}, "option webauthn: rp_id needs origins"},
		{"origins alone", &App{WebAuthn: &WebAuthn{Origins: []string{"https://example.com"}}}, "option webauthn: origins need rp_id"},
		{"no origin", &App{WebAuthn: &WebAuthn{RPID: "example.com", Origins: []string{""}}}, `option webauthn: "" is not an origin`},
		{"empty placeholder", &App{WebAuthn: &WebAuthn{RPID: "{env.MFA_TEST_EMPTY}"}}, "option webauthn: rp_id: evaluated placeholder {env.MFA_TEST_EMPTY} is empty"},
		{"placeholder", &App{WebAuthn: &WebAuthn{RPID: "{env.MFA_TEST_RP_ID}", Origins: []string{"https://example.com"}}}, `option webauthn: rp_id "com" is a public suffix`},
		{"unknown placeholder", &App{WebAuthn: &WebAuthn{AAGUIDs: &AAGUIDs{Allow: []string{"{nonsense}"}}}}, "option webauthn: aaguids: unrecognized placeholder"},
		{"both lists", &App{WebAuthn: &WebAuthn{AAGUIDs: &AAGUIDs{Allow: []string{yubikey}, Deny: []string{yubikey}}}}, "option webauthn: aaguids are allowed or denied, not both"},
		{"switched off", &App{WebAuthn: &WebAuthn{}, Methods: []string{"totp"}}, "option webauthn: webauthn has options, but methods (totp) leaves it out"},
		{"metadata missing", &App{WebAuthn: &WebAuthn{Attestation: "direct", Metadata: missing}}, "option webauthn: metadata " + missing + ": "},
		{"metadata a directory", &App{WebAuthn: &WebAuthn{Attestation: "direct", Metadata: dir}}, "option webauthn: metadata " + dir + ": "},
		{"metadata unsigned", &App{WebAuthn: &WebAuthn{Attestation: "direct", Metadata: junk}}, "option webauthn: metadata " + junk + ": it is no signed metadata"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := c.app.prepare(caddy.NewReplacer()); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestRelatedOrigins(t *testing.T) {
	const (
		options = "webauthn {\n\t\t\trp_id localhost\n\t\t\torigins http://localhost:1 http://a.localhost:1 https://dash.example.com https://example.net\n\t\t}"
		path    = "/.well-known/webauthn"
		want    = `{"origins":["https://dash.example.com","https://example.net"]}`
	)
	s := newSite(t)
	s.serve("http://:{port} {\n\tmfa {\n\t\tpublic /x\n\t}\n\treverse_proxy {app}\n}\n", options)
	cookie := sessionCookie(signIn(t, "localhost", "alice"))
	other := sessionCookie(signIn(t, "a.localhost", "bob"))

	for _, c := range []struct {
		name    string
		headers []string
	}{
		{"a browser", []string{"Sec-Fetch-Mode: no-cors"}},
		{"somebody signed in", []string{cookie}},
		{"a page", []string{asPage}},
		{"the host in capitals, with a port", []string{"Host: LocalHost:8443"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			res := s.get(path+"?x", c.headers...)
			body, err := io.ReadAll(res.Body)
			if err != nil || res.StatusCode != http.StatusOK || string(body) != want {
				t.Errorf("%s %v\n%s", res.Status, err, body)
			}
			if res.Header.Get("Content-Type") != "application/json" || res.Header.Get("Cache-Control") != "public, max-age=3600" ||
				len(res.Cookies()) > 0 {
				t.Errorf("%v", res.Header)
			}
		})
	}
	t.Run("HEAD", func(t *testing.T) {
		r, _ := http.NewRequest("HEAD", "http://localhost"+path, nil)
		if res := s.send(r); res.StatusCode != http.StatusOK || res.ContentLength != int64(len(want)) {
			t.Errorf("%s, %d bytes", res.Status, res.ContentLength)
		}
	})
	t.Run("nothing but reading", func(t *testing.T) {
		for _, m := range []string{"POST", "PUT", "DELETE", "OPTIONS"} {
			r, _ := http.NewRequest(m, "http://localhost"+path, nil)
			if res := s.send(r); res.StatusCode != http.StatusMethodNotAllowed || res.Header.Get("Allow") != "GET, HEAD" {
				t.Errorf("%s: %s %v", m, res.Status, res.Header)
			}
		}
	})
	t.Run("another host's path is its app's", func(t *testing.T) {
		if res := s.get(path, "Host: a.localhost", asScript); res.StatusCode != http.StatusUnauthorized {
			t.Error(res.Status)
		}
		arrived(t, s.get(path, "Host: a.localhost", other))
	})
	t.Run("another spelling is a path like any other", func(t *testing.T) {
		for _, target := range []string{"/.well-known/%77ebauthn", "/.well-known/webauthn/", "/.Well-Known/webauthn", "//.well-known/webauthn"} {
			if res := s.get(target, asScript); res.StatusCode != http.StatusUnauthorized {
				t.Errorf("%s: %s", target, res.Status)
			}
		}
	})
}

// Without related origins the path belongs to the app, as it does without us.
func TestNoRelatedOrigins(t *testing.T) {
	for name, option := range map[string]string{
		"defaults":         "",
		"none are related": "webauthn {\n\t\t\trp_id localhost\n\t\t\torigins http://localhost:1 http://a.localhost:1\n\t\t}",
		"no keys":          "methods totp recovery",
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.serve(plainGate, option)
			if res := s.get(wellKnownOrigins, asScript); res.StatusCode != http.StatusUnauthorized {
				t.Error(res.Status)
			}
			arrived(t, s.get(wellKnownOrigins, sessionCookie(signIn(t, "localhost", "alice"))))
		})
	}
}

// The gate tells the pages the origin that the browser has, or keys would not work at all.
func TestOriginOfAVisit(t *testing.T) {
	for _, c := range []struct {
		host   string
		secure bool
		want   string
	}{
		{"dash.example.com", true, "https://dash.example.com"},
		{"Dash.Example.com:443", true, "https://dash.example.com"},
		{"dash.example.com:8443", true, "https://dash.example.com:8443"},
		{"dash.example.com:80", true, "https://dash.example.com:80"},
		{"localhost:8080", false, "http://localhost:8080"},
		{"localhost:80", false, "http://localhost"},
		{"localhost:443", false, "http://localhost:443"},
		{"[::1]:8080", false, "http://[::1]:8080"},
		{"[::1]", false, "http://[::1]"},
		{"dash.example.com:", true, "https://dash.example.com"},
		{"dash.example.com:1@evil.example", true, "https://dash.example.com"},
		{"dash.example.com:1;sandbox", true, "https://dash.example.com"},
	} {
		v := visit{r: &http.Request{Host: c.host, URL: new(url.URL)}, secure: c.secure}
		v.host = hostOf(v.r)
		if got := v.origin(); got != c.want {
			t.Errorf("%s: got %s, want %s", c.host, got, c.want)
		}
	}
}

var keyOptions = regexp.MustCompile(`data-options="([^"]*)"`)

// answerKey fills the page's form with what device makes of the options in it, as the script of the page does, and submits it.
func answerKey(t *testing.T, page *rig.Page, button string, device func(options []byte, change ...func(*authenticator.Draft)) ([]byte, error)) *rig.Page {
	t.Helper()
	options := keyOptions.FindSubmatch(page.Body)
	if options == nil {
		t.Fatalf("%s asks for no key: %s", page.URL, page.Text())
	}
	answer, err := device([]byte(html.UnescapeString(string(options[1]))))
	if err != nil {
		t.Fatal(err)
	}
	form, err := page.Form(button)
	if err != nil {
		t.Fatal(err)
	}
	form.Values.Set("response", string(answer))
	next, err := form.Submit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return next
}

// With the default config a key works, through everything that is between a browser and the store: set up beside a password, it is
// a whole sign-in at its host, and nothing at another.
func TestKeySignsIn(t *testing.T) {
	s := newSite(t)
	s.serve("http://:{port} {\n\tmfa\n\treverse_proxy {app}\n}\n")
	ctx := t.Context()
	realm, err := running(t).Realm(ctx)
	if err != nil {
		t.Fatal(err)
	}
	alice := &rig.Person{Name: "alice", Password: "correct horse battery staple 42"}
	if _, _, err := realm.AddUser(ctx, auth.NewUser{Name: alice.Name, Password: alice.Password}); err != nil {
		t.Fatal(err)
	}
	visit := func(host, path string) *rig.Page {
		t.Helper()
		v := rig.NewVisitor("http://" + host + ":" + s.port)
		v.Transport = s.http.Transport
		page, err := v.Get(ctx, path)
		if err != nil {
			t.Fatal(err)
		}
		return page
	}
	fill := func(page *rig.Page, button string, fields map[string]string) *rig.Page {
		t.Helper()
		next, err := rig.Fill(ctx, page, button, fields)
		if err != nil {
			t.Fatal(err)
		}
		return next
	}
	password := map[string]string{"Username or email": alice.Name, "Password": alice.Password}
	appSaw := func(page *rig.Page, uri string) {
		t.Helper()
		var got seen
		if err := json.Unmarshal(page.Body, &got); err != nil || got.URI != uri || got.Header.Get("Remote-User") != "alice" {
			t.Errorf("at %s, not at the app: %s", page.URL, page.Body)
		}
	}

	device := &authenticator.Device{Origin: "http://localhost:" + s.port, Verifies: true}
	page := fill(fill(visit("localhost", "/"), "Sign in", password), "Security key or passkey", nil)
	page = answerKey(t, page, "Register", device.Create)
	if page, err = alice.Finish(ctx, page); err != nil {
		t.Fatal(err)
	}
	appSaw(page, "/")
	appSaw(answerKey(t, visit("localhost", "/deep?x=1"), "Sign in with a passkey", device.Get), "/deep?x=1")

	page = visit("a.localhost", "/")
	options := keyOptions.FindSubmatch(page.Body)
	if options == nil {
		t.Fatalf("no passkeys at another host: %s", page.Text())
	}
	if _, err := device.Get([]byte(html.UnescapeString(string(options[1])))); !errors.Is(err, authenticator.ErrNoKey) {
		t.Errorf("the key works at another host: %v", err)
	}
	if page = fill(page, "Sign in", password); page.URL.Path != "/.mfa/verify/recovery" {
		t.Errorf("after the password, another host asks at %s", page.URL)
	}

	account, err := realm.User(ctx, alice.Name)
	if err != nil {
		t.Fatal(err)
	}
	var shown strings.Builder
	view := viewAccount(&account)
	printAccount(&shown, &view)
	if !strings.Contains(shown.String(), "\n  webauthn for localhost  Passkey  20") {
		t.Errorf("the account is shown as\n%s", shown.String())
	}
}
