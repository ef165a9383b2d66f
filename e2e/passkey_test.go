package e2e

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
)

// passkeyLink is a page with everything that a link can have.
const passkeyLink = "/reports/2026%20Q1/a%2Fb?from=1&to=%2F%2Fexample.com&q=a+b#chapter-3?x=y"

// arrives fails the test unless the tab comes to that link of the app.
func (b *tab) arrives(user string) {
	b.t.Helper()
	b.sees("Example app")
	uri, _, _ := strings.Cut(passkeyLink, "#")
	if at := strings.TrimPrefix(b.location(), b.base); at != passkeyLink || b.text("#uri") != uri || b.text("#user") != user {
		b.t.Errorf("%s is at\n%s, and the app was asked for\n%s, want\n%s", b.text("#user"), at, b.text("#uri"), passkeyLink)
	}
}

// withPasskey signs alice in with an app, and adds the passkey.
func withPasskey(t *testing.T, s *rig.Server, m model) (*rig.Person, *tab, *key) {
	t.Helper()
	alice, _ := enrolled(t, s, "alice")
	b := open(t, s)
	b.signIn(alice) // its proofs are fresh
	k := b.plug(m, true)
	b.addKey("Laptop")
	k.touch(false)
	b.press("Sign out")
	b.sees("Sign in")
	return alice, b, k
}

// TestPasskey signs in without typing anything: by the button, by what the browser offers in the name field, and after the page
// was open for so long that its challenge is about to be over.
func TestPasskey(t *testing.T) {
	t.Parallel()
	s := start(t, rig.Config{})
	alice, b, k := withPasskey(t, s, laptop)
	for _, way := range []struct {
		name string
		do   func()
	}{
		{"button", func() {
			b.visit(passkeyLink)
			b.sees("Sign in")
			b.shoot("login-passkey")
			k.touch(true)
			b.press("Sign in with a passkey") // the offer in the name field makes way
		}},
		{"name field", func() {
			b.visit("/.mfa/nothing") // the page before would take the touch for its own offer, if it is slow to make it
			k.touch(true)
			b.visit(passkeyLink)
		}},
		{"button, later", func() {
			b.visit(passkeyLink)
			b.sees("Sign in")
			asked := b.asked("/.mfa/login")
			eval[int](b, `(() => { const now = Date.now; Date.now = () => now() + 280000; return 0; })()`)
			k.touch(true)
			b.press("Sign in with a passkey")
			b.sees("Example app")
			if b.asked("/.mfa/login") != asked+1 {
				t.Error("no new challenge was fetched")
			}
		}},
	} {
		way.do()
		b.arrives(alice.Name)
		if with := b.session().Methods; len(with) != 1 || with[0] != "webauthn" {
			t.Errorf("%s: the session was opened with %q, want the passkey alone", way.name, with)
		}
		k.touch(false)
		b.press("Sign out")
	}
}

// session is what the portal tells the app's scripts.
func (b *tab) session() (s struct {
	SignedIn bool `json:"signed_in"`
	Methods  []string
}) {
	b.t.Helper()
	return eval[struct {
		SignedIn bool `json:"signed_in"`
		Methods  []string
	}](b, `fetch("/.mfa/session").then(r => r.json())`)
}

// asked counts the requests for a path, whatever the query.
func (b *tab) asked(path string) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, url := range b.requests {
		if at, _, _ := strings.Cut(strings.TrimPrefix(url, b.base), "?"); at == path {
			n++
		}
	}
	return n
}

// TestPasskeyWithoutVerification signs in with a passkey that verifies nobody this time: it proves possession alone, and the password follows.
func TestPasskeyWithoutVerification(t *testing.T) { // S42, S53
	t.Parallel()
	s := start(t, rig.Config{})
	alice, b, k := withPasskey(t, s, laptop)
	k.forget()
	halfway := func() {
		k.touch(false)
		b.visit(passkeyLink)
		b.sees("Sign in")
		k.touch(true)
		b.press("Sign in with a passkey")
		b.sees("Enter your password")
	}
	halfway()
	b.shoot("verify-password")
	k.touch(false)
	b.visit("/private")
	b.sees("Sign in")
	halfway()
	b.fill("Password", "not the password")
	if status := b.press("Verify"); status != 401 {
		t.Errorf("a wrong password gives %d, want 401", status)
	}
	b.shoot("verify-password-wrong")
	b.fill("Password", alice.Password)
	b.press("Verify")
	b.arrives(alice.Name)
}

// recordSignals keeps what the page tells the browser about passkeys, and lets it through.
const recordSignals = `window.signalled = [];
if (window.PublicKeyCredential) for (const call of Object.getOwnPropertyNames(PublicKeyCredential).filter(n => n.startsWith("signal"))) {
	const real = PublicKeyCredential[call].bind(PublicKeyCredential);
	PublicKeyCredential[call] = (about) => { signalled.push({call, about, caught: real(about).then(() => "", String)}); return real(about); };
}`

// signal is a call that recordSignals recorded.
type signal struct {
	Call  string
	About struct {
		RPID         string   `json:"rpId"`
		UserID       string   `json:"userId"`
		CredentialID string   `json:"credentialId"`
		Accepted     []string `json:"allAcceptedCredentialIds"`
		Name         string
		DisplayName  string
	}
	Caught string // the error, once the browser has done it
}

// signals are those of the page, by name.
func (b *tab) signals() map[string]signal {
	b.t.Helper()
	b.do(chromedp.Poll[chromedp.Void](`window.signalled.length > 0`))
	found := map[string]signal{}
	for _, s := range eval[[]signal](b, `Promise.all(signalled.map(async (s) => ({...s, caught: await s.caught})))`) {
		if _, twice := found[s.Call]; twice {
			b.t.Errorf("the page calls %s twice", s.Call)
		}
		if s.Caught != "" || s.About.RPID != "localhost" {
			b.t.Errorf("%s for %s: %s", s.Call, s.About.RPID, s.Caught)
		}
		found[s.Call] = s
	}
	return found
}

// TestSignals keeps the browser's own list of passkeys true: after a removal on the Security page, after a new name, and where a
// passkey was removed from another browser.
func TestSignals(t *testing.T) {
	t.Parallel()
	s := start(t, rig.Config{})
	alice, b, k := withPasskey(t, s, laptop)
	elsewhere := open(t, s)
	elsewhere.inject(recordSignals)
	copied := k.carry(elsewhere, laptop)
	b.inject(recordSignals)
	b.visit("/.mfa/security")
	b.sees("Sign in")
	k.touch(true)
	b.press("Sign in with a passkey") // the offer in the name field is not for here: it may take long to come
	b.sees("Security")
	id := base64.RawURLEncoding.EncodeToString(k.holds()[0].CredentialID)
	user := base64.RawURLEncoding.EncodeToString(k.holds()[0].UserHandle)
	check := func(accepted ...string) {
		t.Helper()
		got := b.signals()
		all, details := got["signalAllAcceptedCredentials"].About, got["signalCurrentUserDetails"].About
		if len(got) != 2 || all.UserID != user || strings.Join(all.Accepted, " ") != strings.Join(accepted, " ") {
			t.Errorf("the page signals %+v, want %q accepted for %s", got, accepted, user)
		}
		if details.UserID != user || details.Name != alice.Name || details.DisplayName == "" {
			t.Errorf("the page signals %+v, want the details of alice", details)
		}
	}
	check(id)
	b.unfold("Laptop", "Rename")
	b.name("Laptop", "Old laptop")
	b.within("Laptop", "Save")
	b.reads("Renamed.")
	check(id)
	b.unfold("Old laptop", "Remove")
	b.within("Old laptop", "Remove")
	b.reads("Removed.")
	check()
	if held := k.holds(); len(held) != 0 {
		t.Errorf("the browser still offers %d passkeys", len(held))
	}

	// The other browser learns of it when it tries.
	elsewhere.visit("/")
	elsewhere.sees("Sign in")
	copied.touch(true)
	elsewhere.press("Sign in with a passkey")
	elsewhere.reads("This passkey is not known here")
	got := elsewhere.signals()["signalUnknownCredential"]
	if got.About.CredentialID != id {
		t.Errorf("the page signals %+v, want %s as unknown", got, id)
	}
	if held := copied.holds(); len(held) != 0 {
		t.Errorf("the other browser still offers %d passkeys", len(held))
	}
	if strings.Contains(elsewhere.text("body"), alice.Name) { // S46
		t.Error("the page names whose passkey it was")
	}
}
