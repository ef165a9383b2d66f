package loginui

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"html"
	"maps"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-mfa/caddy-mfa/internal/method/authenticator"
)

// device is an authenticator of this site's visitors. Change what it can before its first use.
func device() *authenticator.Device {
	return &authenticator.Device{Origin: "https://" + host, Verifies: true, Synced: true, Transports: []string{"internal"}, Attachment: "platform"}
}

// keyForm is what the script reads off a page: the options for the browser, and the sealed challenge.
type keyForm struct{ options, sealed string }

var (
	drawnOptions = regexp.MustCompile(`data-options="([^"]*)"`)
	drawnSealed  = regexp.MustCompile(`name="challenge" value="([^"]*)"`)
)

// undrawn is a page without what is drawn for it by chance.
func undrawn(page string) string {
	return drawnSealed.ReplaceAllString(drawnOptions.ReplaceAllString(page, ""), "")
}

func keyFormOn(t *testing.T, page string) keyForm {
	t.Helper()
	options := drawnOptions.FindStringSubmatch(page)
	if options == nil {
		t.Fatalf("the page asks for no key:\n%s", page)
	}
	f := keyForm{options: html.UnescapeString(options[1])}
	if sealed := drawnSealed.FindStringSubmatch(page); sealed != nil {
		f.sealed = html.UnescapeString(sealed[1])
	}
	return f
}

// signed is the answer of a device to the form, as the script sends it.
func (f keyForm) signed(t *testing.T, d *authenticator.Device, change ...func(*authenticator.Draft)) string {
	t.Helper()
	answer, err := d.Get([]byte(f.options), change...)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}

// register sets up the key that a device makes, from the page for it, and leads to an address.
func (b *browser) register(d *authenticator.Device, label, to string) {
	b.t.Helper()
	page := b.want(b.get("/.mfa/enroll/webauthn"), 200, "Set up a security key or passkey", ">Register</button>")
	answer, err := d.Create([]byte(keyFormOn(b.t, page.body).options))
	if err != nil {
		b.t.Fatal(err)
	}
	b.want(b.post("/.mfa/enroll/webauthn", "label", label, "response", string(answer)), 303, to)
}

// holder makes alice with a password and the key of d, confirmed recovery codes included.
func (r *rig) holder(d *authenticator.Device) {
	r.t.Helper()
	r.addAlice()
	b := r.browser()
	b.get("/.mfa/login")
	b.want(b.post("/.mfa/login", "name", "alice", "password", password), 303, "/.mfa/enroll")
	b.want(b.post("/.mfa/enroll", "method", "webauthn"), 303, "/.mfa/enroll/webauthn")
	b.register(d, "", "/.mfa/recovery-codes")
	b.want(b.get("/.mfa/recovery-codes"), 200, "Save your recovery codes")
	b.want(b.post("/.mfa/recovery-codes", "confirm", "1"), 303, "/")
}

// passkey answers the sign-in page by a passkey.
func (b *browser) passkey(d *authenticator.Device, change ...func(*authenticator.Draft)) answer {
	b.t.Helper()
	f := keyFormOn(b.t, b.want(b.get("/.mfa/login?to=/deep"), 200, "Sign in with a passkey").body)
	return b.post("/.mfa/verify/webauthn", "passkey", "1", "challenge", f.sealed, "response", f.signed(b.t, d, change...), "to", "/deep")
}

func TestKeySetUp(t *testing.T) {
	r := newRig(t)
	r.addAlice()
	b := r.browser()
	b.get("/.mfa/login")
	b.want(b.post("/.mfa/login", "name", "alice", "password", password), 303, "/.mfa/enroll")
	choice := b.want(b.get("/.mfa/enroll"), 200, ">Security key or passkey</button>", ">Authenticator app</button>", "Recommended",
		`<noscript><p class="hint warn">This way needs JavaScript`)
	if strings.Index(choice.body, "Security key or passkey") > strings.Index(choice.body, "Authenticator app") {
		t.Error("the easiest way does not come first")
	}
	b.want(b.get("/.mfa/enroll/webauthn"), 303, "/.mfa/enroll") // not begun
	b.want(b.post("/.mfa/enroll", "method", "webauthn"), 303, "/.mfa/enroll/webauthn")
	page := b.want(b.get("/.mfa/enroll/webauthn"), 200, `placeholder="Firefox on Linux"`, ">Name</label>", ">Register</button>", "<noscript>", "Choose another way",
		"<div class=\"turns scripted\">\n<p class=\"lead\">Press Register.")
	if again := b.get("/.mfa/enroll/webauthn"); again.body != page.body {
		t.Error("GET drew another challenge")
	}
	d := device()
	options := []byte(keyFormOn(t, page.body).options)
	made, err := d.Create(options)
	if err != nil {
		t.Fatal(err)
	}
	b.want(b.post("/.mfa/enroll/webauthn", "label", "x"), 422, "Nothing came from your security key", `value="x"`, "data-options=") // without script
	b.want(b.post("/.mfa/enroll/webauthn", "label", strings.Repeat("鍵", 65), "response", string(made)), 422, `id="label-error"`, "data-options=")
	for name, broken := range map[string]string{ // S50
		"no JSON": "nonsense", "other JSON": "[]", "empty object": "{}", "cut short": string(made[:len(made)/2]), "long": strings.Repeat("9", 30000),
		"no CBOR": `{"id":"AAAA","rawId":"AAAA","type":"public-key","response":{"clientDataJSON":"e30","attestationObject":"oA"}}`,
	} {
		a := b.want(b.post("/.mfa/enroll/webauthn", "label", "Mine", "response", broken), 422, "That key was not accepted", "Try again")
		if drawnOptions.MatchString(a.body) {
			t.Fatalf("%s: the challenge stands after an answer", name)
		}
		b.want(b.post("/.mfa/enroll/webauthn", "response", string(made)), 303, "/.mfa/enroll") // S38: it is spent
		b.want(b.post("/.mfa/enroll", "method", "webauthn"), 303, "/.mfa/enroll/webauthn")
		r.pass(10e9) // the address has its tries back
	}
	b.want(b.post("/.mfa/enroll/webauthn", "response", string(made)), 422, "That key was not accepted") // S38: the challenge before
	b.want(b.post("/.mfa/enroll", "method", "webauthn"), 303)

	b.want(b.get("/.mfa/enroll/webauthn"), 200, `data-left="300000"`)
	r.pass(4 * 60e9)
	b.want(b.get("/.mfa/enroll/webauthn"), 200, `data-left="60000"`) // the challenge is as old as before
	r.pass(60e9)
	b.want(b.get("/.mfa/enroll/webauthn"), 200, "That took too long", "Try again")
	b.want(b.post("/.mfa/enroll/webauthn", "response", string(made)), 303, "/.mfa/enroll/webauthn")
	b.want(b.post("/.mfa/enroll", "method", "webauthn"), 303)

	b.register(d, "Käthe's laptop", "/.mfa/recovery-codes")
	b.want(b.get("/.mfa/recovery-codes"), 200, "Save your recovery codes")
	b.want(b.post("/.mfa/recovery-codes", "confirm", "1"), 303, "/")
	b.want(b.get("/.mfa/security"), 200, "Käthe&#39;s laptop", "Passkey, synced between your devices", "This is your only second method")
}

func TestKeySecondStep(t *testing.T) {
	r := newRig(t)
	d := device()
	r.holder(d)
	b := r.browser()
	b.get("/.mfa/login")
	b.want(b.post("/.mfa/login", "name", "alice", "password", password, "to", "/deep"), 303, "/.mfa/verify/webauthn")
	page := b.want(b.get("/.mfa/verify/webauthn"), 200, "Use your security key", " data-auto", "Try again", "<noscript>", "Use a recovery code", `data-source="/.mfa/verify/webauthn"`)
	first := keyFormOn(t, page.body)
	good := first.signed(t, d)

	b.want(b.post("/.mfa/verify/webauthn", "challenge", first.sealed), 422, "Nothing came from your security key") // without script
	for name, broken := range map[string][2]string{                                                                // S50
		"no JSON":              {"nonsense", first.sealed},
		"no CBOR":              {`{"id":"AAAA","rawId":"AAAA","type":"public-key","response":{}}`, keyFormOn(t, b.get("/.mfa/verify/webauthn").body).sealed},
		"nobody's key":         {keyFormOn(t, page.body).signed(t, d, func(d *authenticator.Draft) { d.CredentialID = []byte("nobody's") }), keyFormOn(t, b.get("/.mfa/verify/webauthn").body).sealed},
		"no challenge":         {good, ""},
		"forged challenge":     {good, "nonsense"},
		"challenge of sign-in": {good, keyFormOn(t, r.browser().get("/.mfa/login").body).sealed},
	} {
		a := b.want(b.post("/.mfa/verify/webauthn", "challenge", broken[1], "response", broken[0]), 401, `<p class="note bad" id="alert" role="alert">`, "Try again")
		next := keyFormOn(t, a.body)
		if next.sealed == broken[1] || next.options == first.options || strings.Contains(a.body, "data-auto") {
			t.Errorf("%s: the page asks the same again, or by itself", name)
		}
		r.pass(3e9)
	}
	b.want(b.post("/.mfa/verify/webauthn", "challenge", first.sealed, "response", good), 401, "That key was not accepted") // S38: spent

	late := keyFormOn(t, b.get("/.mfa/verify/webauthn").body)
	r.pass(5 * 60e9)
	b.want(b.post("/.mfa/verify/webauthn", "challenge", late.sealed, "response", late.signed(t, d)), 401, "That took too long") // S38
	f := keyFormOn(t, b.get("/.mfa/verify/webauthn").body)
	answer := f.signed(t, d)
	b.want(b.post("/.mfa/verify/webauthn", "challenge", f.sealed, "response", answer), 303, "/deep")
	b.want(b.post("/.mfa/verify/webauthn", "challenge", f.sealed, "response", answer), 303, "/.mfa/login?again=1")
	b.want(b.get("/.mfa/session"), 200, `"methods":["password","webauthn"]`)
}

func TestCopiedKey(t *testing.T) { // S48
	r := newRig(t)
	d := device()
	d.Counts = true
	r.holder(d)
	b := r.browser()
	for range 2 {
		b.want(b.passkey(d), 303, "/deep")
		b.want(b.post("/.mfa/logout"), 303)
	}
	back := func(d *authenticator.Draft) { d.Counter = 1 }
	b.want(b.passkey(d, back), 401, "This security key may have been copied")
	b.want(b.post("/.mfa/login", "name", "alice", "password", password), 303, "/.mfa/verify/webauthn")
	f := keyFormOn(t, b.get("/.mfa/verify/webauthn").body)
	b.want(b.post("/.mfa/verify/webauthn", "challenge", f.sealed, "response", f.signed(t, d, back)), 401, "This security key may have been copied", "Use a recovery code")
}

func TestPasskey(t *testing.T) {
	r := newRig(t)
	d := device()
	r.holder(d)
	b := r.browser()
	b.want(b.get("/.mfa/login"), 200, `autocomplete="username webauthn"`, "Sign in with a passkey")
	b.want(b.passkey(d), 303, "/deep")
	b.want(b.get("/.mfa/session"), 200, `"methods":["webauthn"]`)

	// In another browser, the page of the first is worth nothing.
	b = r.browser()
	f := keyFormOn(t, b.get("/.mfa/login").body)
	other := r.browser()
	other.get("/.mfa/login")
	other.want(other.post("/.mfa/verify/webauthn", "passkey", "1", "challenge", f.sealed, "response", f.signed(t, d)), 401, "in two places")
	other.want(other.get("/.mfa/session"), 200, `"signed_in":false`)

	// Spent by whatever was answered first.
	refused := b.want(b.post("/.mfa/verify/webauthn", "passkey", "1", "challenge", f.sealed, "response", "nonsense"), 401, "That passkey was not accepted",
		`autofocus aria-describedby="alert">Sign in with a passkey</button>`)
	if strings.Count(refused.body, "autofocus") != 1 || strings.Count(refused.body, `aria-describedby="alert"`) != 1 {
		t.Error("what was refused is said of a field, too:\n" + refused.body)
	}
	b.want(b.post("/.mfa/verify/webauthn", "passkey", "1", "challenge", f.sealed, "response", f.signed(t, d)), 401, "That passkey was not accepted")
	b.want(b.post("/.mfa/verify/webauthn", "passkey", "1", "challenge", f.sealed), 422, "Nothing came from your security key")

	f = keyFormOn(t, b.get("/.mfa/login").body)
	r.pass(5 * 60e9)
	b.want(b.post("/.mfa/verify/webauthn", "passkey", "1", "challenge", f.sealed, "response", f.signed(t, d)), 401, "That took too long")

	// An hour later the cookie is no longer taken either: the page that the script then loads brings a new one.
	r.pass(2 * 3600e9)
	b.want(b.passkey(d), 303, "/deep")
}

func TestPasskeyWithoutVerification(t *testing.T) { // S42
	r := newRig(t)
	d := device()
	r.holder(d)
	b := r.browser()
	b.want(b.passkey(d, func(d *authenticator.Draft) { d.Flags &^= authenticator.UserVerified }), 303, "/.mfa/verify/password")
	b.want(b.get("/.mfa/session"), 200, `"signed_in":false`)
	b.want(b.get("/.mfa/security"), 303, "/.mfa/login?to=%2F.mfa%2Fsecurity")                                                                                                          // S53
	b.want(b.post("/.mfa/security/add", "method", "totp"), 303, "/.mfa/login?to=%2F.mfa%2Fsecurity")                                                                                   // S53
	b.want(b.get("/.mfa/verify/webauthn"), 303, "/.mfa/verify/password")                                                                                                               // a key twice is one kind
	b.want(b.get("/.mfa/upgrade"), 303, "/")                                                                                                                                           //
	page := b.want(b.get("/.mfa/verify/password"), 200, "Enter your password", `value="alice"`, ">Verify</button>", "Not you?", "Cannot use your password?", "ask your administrator") //
	if strings.Contains(page.body, `href="/.mfa/verify/`) {
		t.Error("other ways that show the same kind are offered")
	}
	b.want(b.post("/.mfa/verify/password", "password", ""), 422, `id="password-error"`)
	b.want(b.post("/.mfa/verify/password", "password", "wrong"), 401, `id="password-error"`, "That password is not right")
	b.want(b.post("/.mfa/verify/password", "password", password), 303, "/deep")
	b.want(b.get("/.mfa/session"), 200, `"methods":["webauthn","password"]`)
}

// A key that alice had here: the browser may forget it. Of one that may be of another service it hears nothing.
func TestUnknownPasskey(t *testing.T) {
	r := newRig(t)
	r.addAlice()
	alice, err := r.realm.User(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	b := r.browser()
	d := device()
	key, err := authenticator.NewKey(authenticator.ES256)
	if err != nil {
		t.Fatal(err)
	}
	key.ID, key.RPID, key.UserHandle, key.Discoverable = []byte("nobody's key"), host, alice.User.Handle, true
	d.Add(key)
	a := b.want(b.passkey(d), 401, "This passkey is not known here")
	want := map[string]map[string]string{"signalUnknownCredential": {"rpId": host, "credentialId": base64.RawURLEncoding.EncodeToString(key.ID)}}
	if got := signalsOn[map[string]map[string]string](t, a.body); got["signalUnknownCredential"]["credentialId"] != want["signalUnknownCredential"]["credentialId"] || got["signalUnknownCredential"]["rpId"] != host || len(got) != 1 {
		t.Errorf("signals %v, want %v", got, want)
	}
	foreign := device()
	theirs := *key
	theirs.ID, theirs.UserHandle = []byte("somebody's key"), bytes.Repeat([]byte("h"), 64)
	foreign.Add(&theirs)
	if a := b.want(b.passkey(foreign), 401, "That passkey was not accepted"); strings.Contains(a.body, "data-signals") {
		t.Error("a key that may be of another service is to be forgotten")
	}
	for name, id := range map[string]string{"empty": "", "long": strings.Repeat("A", 1400), "no base64url": `\"><script>`} {
		f := keyFormOn(t, b.get("/.mfa/login").body)
		a := b.post("/.mfa/verify/webauthn", "passkey", "1", "challenge", f.sealed, "response", `{"id":"`+id+`","rawId":"`+id+`","type":"public-key","response":{}}`)
		b.want(a, 401, "That passkey was not accepted")
		if strings.Contains(a.body, "data-signals") {
			t.Errorf("%s: an ID that is none was signalled", name)
		}
	}
}

// A browser that refuses cookies is told so, and not that its passkey is wrong.
func TestPasskeyWithoutCookies(t *testing.T) {
	r := newRig(t)
	d := device()
	r.holder(d)
	b := r.browser()
	f := keyFormOn(t, b.get("/.mfa/login").body)
	clear(b.cookies)
	b.want(b.post("/.mfa/verify/webauthn", "passkey", "1", "challenge", f.sealed, "response", f.signed(t, d)), 400, "Your browser refuses cookies")
}

// TestPasskeyInTwoTabs: whoever signed in by one tab is no stranger to cookies in the other.
func TestPasskeyInTwoTabs(t *testing.T) {
	r := newRig(t)
	d := device()
	r.holder(d)
	b := r.browser()
	first, second := keyFormOn(t, b.get("/.mfa/login").body), keyFormOn(t, b.get("/.mfa/login?to=/b").body)
	for _, f := range []struct {
		sealed, response, to string
	}{{first.sealed, first.signed(t, d), "/a"}, {second.sealed, second.signed(t, d), "/b"}} {
		b.want(b.post("/.mfa/verify/webauthn", "passkey", "1", "challenge", f.sealed, "response", f.response, "to", f.to), 303, f.to)
	}
}

// TestKeysElsewhere: whoever opens another host than that of their keys is told why they are not asked for.
func TestKeysElsewhere(t *testing.T) {
	r := newRig(t)
	r.holder(device())
	r.add("bob")
	b := r.browser()
	b.get("/.mfa/login")
	b.want(b.post("/.mfa/login", "name", "bob", "password", password), 303, "/.mfa/enroll")
	b.want(b.post("/.mfa/enroll", "method", "webauthn"), 303, "/.mfa/enroll/webauthn")
	b.register(device(), "", "/.mfa/recovery-codes") // and leaves without the codes

	const said = "Your security keys are for dash.example.com."
	for _, where := range []string{"wiki.example.com", host} {
		r.host = where
		b := r.browser()
		b.get("/.mfa/login")
		b.want(b.post("/.mfa/login", "name", "alice", "password", password), 303)
		if page := b.want(b.get("/.mfa/verify/recovery"), 200); strings.Contains(page.body, said) != (where != host) {
			t.Errorf("%s: the page for a code says the wrong thing:\n%s", where, page.body)
		}
	}
	r.host = "wiki.example.com"
	b = r.browser()
	b.get("/.mfa/login")
	b.want(b.post("/.mfa/login", "name", "bob", "password", password), 303, "/.mfa/ask-admin")
	if page := b.want(b.get("/.mfa/ask-admin"), 200, said); strings.Contains(page.body, "no second way") {
		t.Error("a key is no second way")
	}
}

// signalsOn are the signals that a page holds.
func signalsOn[T any](t *testing.T, page string) (v T) {
	t.Helper()
	m := regexp.MustCompile(`data-signals="([^"]*)"`).FindStringSubmatch(page)
	if m == nil {
		t.Fatalf("no signals:\n%s", page)
	}
	if err := json.Unmarshal([]byte(html.UnescapeString(m[1])), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// TestScriptSize: what the pages for keys load, on the wire.
func TestScriptSize(t *testing.T) {
	sum := len(asset("mfa.js").zipped) + len(asset("webauthn.js").zipped)
	if sum > 8<<10 {
		t.Errorf("%d bytes", sum)
	}
	t.Logf("%d bytes", sum)
}

// TestKeyPagesStoreNothing: a challenge stands in the page alone, and nothing is stored for whoever only looks.
func TestKeyPagesStoreNothing(t *testing.T) { // S61
	r := newRig(t)
	d := device()
	r.holder(d)
	signedIn, possession := r.browser(), r.browser()
	signedIn.want(signedIn.passkey(d), 303, "/deep")
	possession.want(possession.passkey(d, func(d *authenticator.Draft) { d.Flags &^= authenticator.UserVerified }), 303, "/.mfa/verify/password")
	r.add("bob")
	fresh := r.browser() // may be given a passkey
	fresh.get("/.mfa/login")
	fresh.want(fresh.post("/.mfa/login", "name", "bob", "password", password), 303, "/.mfa/enroll")
	secret, _ := fresh.enroll("/")
	fresh = r.browser()
	fresh.get("/.mfa/login")
	fresh.want(fresh.post("/.mfa/login", "name", "bob", "password", password), 303, "/.mfa/verify/totp")
	fresh.want(fresh.post("/.mfa/verify/totp", "code", r.code(secret), "upgrade", "1"), 303, "/.mfa/upgrade?to=%2F")
	before := r.records()
	for name, b := range map[string]*browser{"nobody": r.browser(), "by passkey": signedIn, "by possession": possession, "to be given one": fresh} {
		f := keyFormOn(t, r.browser().get("/.mfa/login").body)
		query := url.Values{"passkey": {"1"}, "challenge": {f.sealed}, "response": {f.signed(t, d)}, "password": {password}, "method": {"webauthn"}, "upgrade": {"1"}}
		for path := range routes {
			b.get("/.mfa" + path + "?" + query.Encode())
			if !maps.Equal(before, r.records()) {
				t.Fatalf("%s: GET %s stored something", name, path)
			}
		}
	}
}
