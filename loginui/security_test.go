package loginui

import (
	"encoding/base64"
	"fmt"
	"html"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/internal/method/authenticator"
)

// credentials are those of a user, by what the Security page calls them.
func (r *rig) credentials(name string) map[string]auth.Credential {
	r.t.Helper()
	account, err := r.realm.User(r.t.Context(), name)
	if err != nil {
		r.t.Fatal(err)
	}
	all := map[string]auth.Credential{}
	for _, c := range account.Credentials {
		label := c.Label
		if label == "" {
			label = c.Method
		}
		all[label] = c
	}
	return all
}

// addKey adds a key on the Security page of somebody who has just proven two kinds.
func (b *browser) addKey(d *authenticator.Device, label string) {
	b.t.Helper()
	b.want(b.post("/.mfa/security/add", "method", "webauthn"), 303, "/.mfa/enroll/webauthn")
	b.want(b.get("/.mfa/enroll/webauthn"), 200, ">Cancel</a>")
	b.register(d, label, "/.mfa/security?done=add")
	b.want(b.get("/.mfa/security?done=add"), 200, "Added.", html.EscapeString(label))
}

func TestKeysOnSecurityPage(t *testing.T) {
	r := newRig(t)
	first, second := device(), device()
	second.Synced, second.Forgets = false, true
	r.holder(first)
	b := r.browser()
	b.want(b.passkey(first), 303, "/deep") // setting up is no proof
	b.addKey(second, "Blue key")
	page := b.want(b.get("/.mfa/security"), 200, "Passkey, synced between your devices", "<bdi>Security key</bdi> · ", "Blue key",
		"Add a security key or passkey", "Add an authenticator app", "End the other sessions that used it", ">Rename</summary>", ">Remove</summary>")
	if strings.Contains(page.body, "This is your only second method") {
		t.Error("one of two cannot be removed")
	}

	// The browser hears of all keys, and what the person is called.
	var ids []string
	for _, d := range []*authenticator.Device{first, second} {
		ids = append(ids, base64.RawURLEncoding.EncodeToString(d.Keys()[0].ID))
	}
	slices.Sort(ids)
	signals := signalsOn[map[string]struct {
		RPID        string   `json:"rpId"`
		User        string   `json:"userId"`
		IDs         []string `json:"allAcceptedCredentialIds"`
		Name        string   `json:"name"`
		DisplayName string   `json:"displayName"`
	}](t, page.body)
	accepted, details := signals["signalAllAcceptedCredentials"], signals["signalCurrentUserDetails"]
	slices.Sort(accepted.IDs)
	handle := base64.RawURLEncoding.EncodeToString(first.Keys()[0].UserHandle)
	if accepted.RPID != host || accepted.User != handle || !slices.Equal(accepted.IDs, ids) {
		t.Errorf("accepted: %+v, want %s of %s", accepted, ids, handle)
	}
	if details.RPID != host || details.User != handle || details.Name != "alice" || details.DisplayName != "alice" {
		t.Errorf("details: %+v", details)
	}

	// Rename.
	id := r.credentials("alice")["Blue key"].ID
	b.want(b.post("/.mfa/security/rename", "id", id, "label", " Green <key> "), 303, "/.mfa/security?done=rename")
	b.want(b.get("/.mfa/security?done=rename"), 200, "Renamed.", "Green &lt;key&gt;")
	b.want(b.post("/.mfa/security/rename", "id", id, "label", " "), 422, "Type a name.", "<details open>", `aria-invalid="true"`)
	b.want(b.post("/.mfa/security/rename", "id", id, "label", strings.Repeat("x", 65)), 422, "at most 64", strings.Repeat("x", 65))

	// Remove, and with it the sessions that used it.
	other := r.browser()
	other.get("/.mfa/login")
	other.want(other.post("/.mfa/login", "name", "alice", "password", password), 303, "/.mfa/verify/webauthn")
	f := keyFormOn(t, other.get("/.mfa/verify/webauthn").body)
	other.want(other.post("/.mfa/verify/webauthn", "challenge", f.sealed, "response", f.signed(t, second)), 303, "/")
	kept := r.browser()
	kept.want(kept.passkey(first), 303, "/deep")
	b.want(b.post("/.mfa/security/remove", "id", id, "end_sessions", "1"), 303, "/.mfa/security?done=remove")
	page = b.want(b.get("/.mfa/security?done=remove"), 200, "Removed.", "Removed “Green &lt;key&gt;”", "This is your only second method")
	if strings.Contains(page.body, id) {
		t.Error("the key is still there")
	}
	other.want(other.get("/.mfa/session"), 200, `"signed_in":false`)
	kept.want(kept.get("/.mfa/session"), 200, `"signed_in":true`)
	for _, c := range r.credentials("alice") {
		if c.Method == auth.MethodWebAuthn {
			b.want(b.post("/.mfa/security/remove", "id", c.ID), 422, "This is your only second method")
		}
	}
}

// What is wrong with a change is said, and nothing is changed.
func TestChangesRefused(t *testing.T) {
	r := newRig(t)
	d := device()
	r.holder(d)
	alice := r.browser()
	alice.want(alice.passkey(d), 303, "/deep")
	r.add("bob")
	b := r.browser()
	b.get("/.mfa/login")
	b.want(b.post("/.mfa/login", "name", "bob", "password", password), 303, "/.mfa/enroll")
	b.enroll("/")
	half := r.browser() // knows the password of bob
	half.get("/.mfa/login")
	half.want(half.post("/.mfa/login", "name", "bob", "password", password), 303, "/.mfa/verify/totp")

	var key, app, code string
	for _, c := range r.credentials("alice") {
		if c.Method == auth.MethodWebAuthn {
			key = c.ID
		}
	}
	for _, c := range r.credentials("bob") {
		switch c.Method {
		case auth.MethodTOTP:
			app = c.ID
		case auth.MethodRecovery:
			code = c.ID
		}
	}
	const login = "303 /.mfa/login?to=%2F.mfa%2Fsecurity"
	stranger := &browser{r, map[string]string{}, b.headers}
	script := &browser{r, alice.cookies, map[string]string{"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}}
	unsaid := &browser{r, alice.cookies, map[string]string{"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "same-origin"}}
	frame := &browser{r, alice.cookies, map[string]string{"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}}
	tests := map[string]struct {
		who  *browser
		path string
		form []string
		want string
	}{
		"rename somebody else's":   {alice, "rename", []string{"id", app, "label", "mine"}, "404"},
		"remove somebody else's":   {alice, "remove", []string{"id", app, "end_sessions", "1"}, "404"},
		"rename what is not there": {alice, "rename", []string{"id", "nothing", "label", "mine"}, "404"},
		"remove nothing":           {alice, "remove", nil, "404"},
		"remove recovery codes":    {b, "remove", []string{"id", code}, "404"},
		"rename to nothing":        {alice, "rename", []string{"id", key}, "422"},
		"rename to two lines":      {alice, "rename", []string{"id", key, "label", "a\nb"}, "422"},
		"remove the only one":      {alice, "remove", []string{"id", key}, "422"},
		"add what there is not":    {alice, "add", []string{"method", "email"}, "422"},
		"add a password":           {alice, "add", []string{"method", "password"}, "422"},
		"add nothing":              {alice, "add", nil, "422"},
		"stranger adds":            {stranger, "add", []string{"method", "webauthn"}, login},
		"stranger removes":         {stranger, "remove", []string{"id", app}, login},
		"half signed in adds":      {half, "add", []string{"method", "webauthn"}, login}, // S53
		"half signed in renames":   {half, "rename", []string{"id", app, "label", "mine"}, login},
		"half signed in removes":   {half, "remove", []string{"id", app}, login},
		"script adds":              {script, "add", []string{"method", "totp"}, "403"},
		"script renames":           {script, "rename", []string{"id", key, "label", "mine"}, "403"},
		"script removes":           {script, "remove", []string{"id", key}, "403"},
		"no page load adds":        {unsaid, "add", []string{"method", "totp"}, "403"},
		"frame adds":               {frame, "add", []string{"method", "totp"}, "403"},
	}
	before := r.records()
	for name, tt := range tests {
		a := tt.who.post("/.mfa/security/"+tt.path, tt.form...)
		if got := strings.TrimSpace(fmt.Sprint(a.StatusCode, " ", a.Header.Get("Location"))); got != tt.want {
			t.Errorf("%s: %s, want %s\n%s", name, got, tt.want, a.body)
		}
		if a.StatusCode == http.StatusUnprocessableEntity && !strings.Contains(a.body, `role="alert"`) {
			t.Errorf("%s: the page does not say why", name)
		}
		if !maps.Equal(before, r.records()) {
			t.Fatalf("%s: something was stored", name)
		}
	}
	for _, path := range []string{"/recovery-codes", "/enroll", "/enroll/totp", "/enroll/webauthn", "/enroll/email", "/enroll/email/send", "/reset", "/not-me", "/security/email", "/upgrade"} {
		script.want(script.post("/.mfa"+path), 403)
	}
}

// After ten minutes a change first asks who is there, and then makes itself.
func TestStaleProofsAskFirst(t *testing.T) { // S58
	r := newRig(t)
	first, second := device(), device()
	r.holder(first)
	b := r.browser()
	b.want(b.passkey(first), 303, "/deep")
	b.addKey(second, "Blue key")
	id := r.credentials("alice")["Blue key"].ID
	old := b.cookies[auth.CookieSession]

	r.pass(11 * time.Minute)
	b.want(b.post("/.mfa/security/rename", "id", id, "label", "Green key"), 303, "/.mfa/verify/webauthn")
	page := b.want(b.get("/.mfa/verify/webauthn"), 200, "Confirm that it is you, to rename “Blue key” to “Green key”.", ">Cancel</a>", "Use your password")
	if strings.Contains(page.body, "Not you?") {
		t.Error("somebody who is signed in is offered to be somebody else")
	}
	b.want(b.get("/.mfa/verify/password"), 200, "Enter your password", "Confirm that it is you")
	f := keyFormOn(t, page.body)
	b.want(b.post("/.mfa/verify/webauthn", "challenge", f.sealed, "response", f.signed(t, first)), 303, "/.mfa/security?done=rename")
	b.want(b.get("/.mfa/security?done=rename"), 200, "Renamed.", "Green key")
	if b.cookies[auth.CookieSession] == old { // S52
		t.Error("the session kept its token")
	}

	// By password and a key that shows possession only; adding goes on to the set-up.
	r.pass(11 * time.Minute)
	b.want(b.post("/.mfa/security/add", "method", "webauthn"), 303, "/.mfa/verify/webauthn")
	b.want(b.get("/.mfa/verify/webauthn"), 200, "Confirm that it is you, to add a security key or passkey.")
	b.want(b.post("/.mfa/security/add", "method", "totp"), 303, "/.mfa/verify/webauthn")
	b.want(b.get("/.mfa/verify/webauthn"), 200, "Confirm that it is you, to add an authenticator app.")
	f = keyFormOn(t, b.get("/.mfa/verify/webauthn").body)
	touched := f.signed(t, first, func(d *authenticator.Draft) { d.Flags &^= authenticator.UserVerified })
	b.want(b.post("/.mfa/verify/webauthn", "challenge", f.sealed, "response", touched), 303, "/.mfa/verify/password")
	b.want(b.get("/.mfa/enroll/totp"), 303, "/.mfa/verify/password") // not yet
	b.want(b.post("/.mfa/verify/password", "password", password), 303, "/.mfa/enroll/totp")
	b.want(b.get("/.mfa/enroll/totp"), 200, ">Cancel</a>")
	b.want(b.post("/.mfa/enroll/totp", "code", b.code(b.secret())), 303, "/.mfa/security?done=add")
	b.want(b.get("/.mfa/security"), 200, "Authenticator app")

	// Who leaves it changes nothing, and the flow alone does not either.
	r.pass(11 * time.Minute)
	b.want(b.post("/.mfa/security/remove", "id", id), 303, "/.mfa/verify/webauthn")
	b.want(b.get("/.mfa/verify/password"), 200, "Confirm that it is you, to remove “Green key”.")
	b.want(b.get("/.mfa/security"), 200, "Green key")
	thief := &browser{r, map[string]string{auth.CookieFlow: b.cookies[auth.CookieFlow]}, b.headers}
	thief.want(thief.get("/.mfa/verify/webauthn"), 303, "/.mfa/login?again=1")
	b.want(b.post("/.mfa/logout"), 303)
	b.want(b.get("/.mfa/verify/webauthn"), 303, "/.mfa/login?again=1")
}

// A change that was lost on the way says so, and never that it was made.
func TestLostChange(t *testing.T) {
	r := newRig(t)
	first := device()
	r.holder(first)
	b := r.browser()
	b.want(b.passkey(first), 303, "/deep")
	b.addKey(device(), "Blue key")
	id := r.credentials("alice")["Blue key"].ID
	r.pass(11 * time.Minute)
	b.want(b.post("/.mfa/security/remove", "id", id), 303, "/.mfa/verify/webauthn")
	b.want(b.get("/.mfa/verify/password"), 200, `name="to" value="/.mfa/security"`)
	r.pass(11 * time.Minute)
	const lost = "/.mfa/security?lost=1"
	for _, path := range []string{"/verify/webauthn", "/verify/password", "/enroll", "/enroll/totp", "/enroll/webauthn"} {
		b.want(b.get("/.mfa"+path), 303, lost)
		b.want(b.post("/.mfa"+path, "to", "/.mfa/security", "password", password, "code", "123456"), 303, lost)
	}
	page := b.want(b.get(lost), 200, "That took too long, or went on in another window.", "Blue key")
	if strings.Contains(page.body, "Removed.") {
		t.Error("what was not done is said to be done")
	}
	// A form of the sign-in that was sent twice leads on instead.
	b.want(b.post("/.mfa/verify/webauthn", "to", "/deep", "response", "{}"), 303, "/.mfa/login?again=1&to=%2Fdeep")
	for _, op := range []string{"", "removed", "x"} {
		if page := b.want(b.get("/.mfa/security?done="+op), 200); strings.Contains(page.body, `role="status"`) {
			t.Errorf("done=%s: a notice", op)
		}
	}
}

// A key that somebody has already, here or on another account.
func TestDuplicateKey(t *testing.T) { // S45
	r := newRig(t)
	d := device()
	r.holder(d)
	b := r.browser()
	b.want(b.passkey(d), 303, "/deep")
	again := func(b *browser) {
		t.Helper()
		page := b.want(b.get("/.mfa/enroll/webauthn"), 200, `data-duplicate="This security key is already registered`)
		made, err := device().Create([]byte(keyFormOn(t, page.body).options), func(made *authenticator.Draft) { made.CredentialID = d.Keys()[0].ID })
		if err != nil {
			t.Fatal(err)
		}
		b.want(b.post("/.mfa/enroll/webauthn", "response", string(made)), 422, `<p class="note bad" id="alert" role="alert">This security key is already registered`, "Try again")
	}
	b.want(b.post("/.mfa/security/add", "method", "webauthn"), 303, "/.mfa/enroll/webauthn")
	again(b)
	if n := len(r.credentials("alice")); n != 3 {
		t.Errorf("%d credentials", n)
	}
	r.add("bob")
	b = r.browser()
	b.get("/.mfa/login")
	b.want(b.post("/.mfa/login", "name", "bob", "password", password), 303, "/.mfa/enroll")
	b.want(b.post("/.mfa/enroll", "method", "webauthn"), 303, "/.mfa/enroll/webauthn")
	again(b)
	b.want(b.post("/.mfa/enroll", "method", "webauthn"), 303, "/.mfa/enroll/webauthn")
	b.register(device(), "", "/.mfa/recovery-codes")
}

func TestUpgrade(t *testing.T) {
	r := newRig(t)
	r.addAlice()
	b := r.browser()
	b.get("/.mfa/login")
	b.want(b.post("/.mfa/login", "name", "alice", "password", password, "to", "/deep"), 303, "/.mfa/enroll")
	secret, _ := b.enroll("/deep")
	signIn := func(upgrade string) answer {
		t.Helper()
		b = r.browser()
		b.get("/.mfa/login")
		b.want(b.post("/.mfa/login", "name", "alice", "password", password, "to", "/deep?a=b"), 303, "/.mfa/verify/totp")
		b.want(b.get("/.mfa/verify/totp"), 200, `<input type="hidden" name="upgrade">`)
		r.pass(time.Minute)
		return b.post("/.mfa/verify/totp", "code", r.code(secret), "upgrade", upgrade)
	}
	b.want(signIn(""), 303, "/deep?a=b") // a browser that cannot
	const page = "/.mfa/upgrade?to=%2Fdeep%3Fa%3Db"
	b.want(signIn("1"), 303, page)
	a := b.want(b.get(page), 200, "One moment…", `href="/deep?a=b"`, ">Continue</a>")
	f := keyFormOn(t, a.body)
	absent := device()
	absent.Absent, absent.Verifies = true, false
	made, err := absent.Create([]byte(f.options))
	if err != nil {
		t.Fatal(err)
	}
	// Whatever goes wrong, it leads on.
	for _, broken := range []string{"", "nonsense"} {
		f := keyFormOn(t, b.get(page).body)
		b.want(b.post("/.mfa/upgrade", "challenge", f.sealed, "response", broken, "to", "/deep?a=b"), 303, "/deep?a=b")
	}
	b.want(b.post("/.mfa/upgrade", "response", string(made), "to", "//evil.example"), 303, "/")
	if n := len(r.credentials("alice")); n != 3 {
		t.Fatalf("%d credentials", n)
	}
	b.want(b.post("/.mfa/upgrade", "challenge", f.sealed, "response", string(made), "to", "/deep?a=b"), 303, "/deep?a=b")
	if n := len(r.credentials("alice")); n != 4 {
		t.Fatalf("%d credentials", n)
	}
	b.want(b.get(page), 303, "/deep?a=b")                      // there is nothing more to offer
	b.want(b.get("/.mfa/upgrade?to=//evil.example"), 303, "/") //
	b.want(r.browser().get(page), 303, "/deep?a=b")            // nobody is signed in: the gate asks
	b = r.browser()
	b.get("/.mfa/login")
	b.want(b.post("/.mfa/login", "name", "alice", "password", password), 303, "/.mfa/verify/webauthn")
	b.want(b.get("/.mfa/verify/webauthn"), 200, "Use authenticator app")
	present := device()
	for _, k := range absent.Keys() {
		present.Add(k)
	}
	b = r.browser()
	b.want(b.passkey(present), 303, "/.mfa/verify/password") // S42: not established in a flow with another kind
	if r.log.Len() > 0 {
		t.Errorf("logged: %s", r.log)
	}
}

// TestOptionsEscaped: what pages hand to the script stands in attributes, escaped.
func TestOptionsEscaped(t *testing.T) { // S62
	r := newRig(t)
	const name = `"><script>alert(1)</script>'&amp;`
	if _, _, err := r.realm.AddUser(t.Context(), auth.NewUser{Name: "alice", DisplayName: name, Password: password}); err != nil {
		t.Fatal(err)
	}
	b := r.browser()
	b.get("/.mfa/login")
	b.want(b.post("/.mfa/login", "name", "alice", "password", password), 303, "/.mfa/enroll")
	b.want(b.post("/.mfa/enroll", "method", "webauthn"), 303)
	page := b.want(b.get("/.mfa/enroll/webauthn"), 200)
	if regexp.MustCompile(`<script>|alert\(1\)</`).MatchString(page.body) {
		t.Error("a name became markup")
	}
	d := device()
	b.register(d, name, "/.mfa/recovery-codes")
	b.want(b.get("/.mfa/recovery-codes"), 200)
	b.want(b.post("/.mfa/recovery-codes", "confirm", "1"), 303)
	page = b.want(b.get("/.mfa/security"), 200)
	if strings.Contains(page.body, "<script>") {
		t.Error("a name became markup")
	}
	if got := signalsOn[map[string]map[string]any](t, page.body)["signalCurrentUserDetails"]["displayName"]; got != name {
		t.Errorf("display name %q", got)
	}
}
