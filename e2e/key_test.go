package e2e

import (
	"context"
	"fmt"
	"regexp"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
)

// model is a kind of authenticator.
type model = webauthn.VirtualAuthenticatorOptions

// The models. All but the touch of a finger is real: Chromium makes keys and signs with them.
var (
	touchKey = model{ // knows nobody's names and has no PIN
		Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportUsb,
	}
	oldKey = model{ // from before FIDO2
		Protocol: webauthn.AuthenticatorProtocolU2f, Transport: webauthn.AuthenticatorTransportUsb,
	}
	pinKey = model{ // holds passkeys and has a PIN
		Protocol: webauthn.AuthenticatorProtocolCtap2, Ctap2version: webauthn.Ctap2versionCtap21,
		Transport: webauthn.AuthenticatorTransportNfc, HasResidentKey: true, HasUserVerification: true, IsUserVerified: true,
	}
	laptop = model{ // with a fingerprint reader, and passkeys that are synced
		Protocol: webauthn.AuthenticatorProtocolCtap2, Ctap2version: webauthn.Ctap2versionCtap21,
		Transport: webauthn.AuthenticatorTransportInternal, HasResidentKey: true, HasUserVerification: true, IsUserVerified: true,
		DefaultBackupEligibility: true, DefaultBackupState: true,
	}
	bareLaptop = model{ // cannot tell who sits before it; Chromium takes none of its passkeys without a name
		Protocol: webauthn.AuthenticatorProtocolCtap2, Ctap2version: webauthn.Ctap2versionCtap21,
		Transport: webauthn.AuthenticatorTransportInternal, HasResidentKey: true,
	}
)

// key is an authenticator within reach of a tab.
type key struct {
	*tab
	id webauthn.AuthenticatorID
}

// plug puts an authenticator within reach. While it is touched it answers whatever the browser asks, the offer of passkeys in the
// name field too.
func (b *tab) plug(m model, touched bool) *key {
	b.t.Helper()
	b.do(command(webauthn.Enable, webauthn.EnableParams{}))
	m.AutomaticPresenceSimulation = touched
	got := run(b, func(ctx context.Context, t *chromedp.Target) (webauthn.AddVirtualAuthenticatorResult, error) {
		return cdp.Call(ctx, t, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &m})
	})
	return &key{b, got.AuthenticatorID}
}

// touch says whether somebody touches it when it asks; a request that is under way stays as it was.
func (k *key) touch(on bool) {
	k.t.Helper()
	k.do(command(webauthn.SetAutomaticPresenceSimulation, webauthn.SetAutomaticPresenceSimulationParams{AuthenticatorID: k.id, Enabled: on}))
}

// verify says whether finger or PIN are right when it asks.
func (k *key) verify(right bool) {
	k.t.Helper()
	k.do(command(webauthn.SetUserVerified, webauthn.SetUserVerifiedParams{AuthenticatorID: k.id, IsUserVerified: right}))
}

// nonsense says whether its signatures are.
func (k *key) nonsense(on bool) {
	k.t.Helper()
	k.do(command(webauthn.SetResponseOverrideBits, webauthn.SetResponseOverrideBitsParams{AuthenticatorID: k.id, IsBogusSignature: &on}))
}

// forget makes it sign from now on that it did not verify anybody.
func (k *key) forget() {
	k.t.Helper()
	k.do(command(webauthn.SetResponseOverrideBits, webauthn.SetResponseOverrideBitsParams{AuthenticatorID: k.id, IsBadUV: new(true)}))
}

// holds are the credentials in it.
func (k *key) holds() []*webauthn.Credential {
	k.t.Helper()
	return run(k.tab, func(ctx context.Context, t *chromedp.Target) (webauthn.GetCredentialsResult, error) {
		return cdp.Call(ctx, t, webauthn.GetCredentials, webauthn.GetCredentialsParams{AuthenticatorID: k.id})
	}).Credentials
}

// carry takes it over to another browser, where it is not touched.
func (k *key) carry(to *tab, m model) *key {
	k.t.Helper()
	m.HasCmtgKey = true // the credential comes with a word about such keys, which others refuse
	there := to.plug(m, false)
	for _, c := range k.holds() {
		to.do(command(webauthn.AddCredential, webauthn.AddCredentialParams{AuthenticatorID: there.id, Credential: c}))
	}
	return there
}

// inject runs a script at the begin of every page from now on.
func (b *tab) inject(script string) {
	b.t.Helper()
	b.injected = append(b.injected, script)
	b.do(func(ctx context.Context, t *chromedp.Target) (v chromedp.Void, err error) {
		_, err = cdp.Call(ctx, t, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: script})
		return v, err
	})
}

// told fails the test unless the page, without being loaded again, alerts to words.
func (b *tab) told(words string) {
	b.t.Helper()
	b.do(chromedp.WaitVisible(fmt.Sprintf(`//*[@role="alert"][contains(normalize-space(),%q)]`, words)))
}

// click presses the button that says words, which loads no page.
func (b *tab) click(words string) {
	b.t.Helper()
	b.do(chromedp.Click(button(words), chromedp.NodeVisible))
}

// prompted opens a page that asks for a key, presses its button unless it asks by itself, and waits for what it says of the answer.
func (b *tab) prompted(path string) {
	b.t.Helper()
	b.visit(path)
	b.do(chromedp.Poll[chromedp.Void](`(() => {
		const form = document.querySelector("form[data-key]"), said = document.querySelector("[data-said]");
		if (!form.hasAttribute("aria-busy") && !said.innerText.trim()) form.querySelector("button:not([data-peek])").click();
		return said.innerText.trim() !== "";
	})()`))
}

// password gives the first proof on the way to path.
func (b *tab) password(p *rig.Person, path string) {
	b.t.Helper()
	b.visit(path)
	b.fill("Username or email", p.Name)
	b.fill("Password", p.Password)
	b.press("Sign in")
}

// begins signs in somebody without a second method, from the page that is open, and sets up an app, up to the recovery codes.
func (b *tab) begins(p *rig.Person) {
	b.t.Helper()
	b.fill("Username or email", p.Name)
	b.fill("Password", p.Password)
	b.press("Sign in")
	b.setUpApp(p)
}

// setUpApp sets up an app, on the page that asks which way to add, up to the recovery codes.
func (b *tab) setUpApp(p *rig.Person) {
	b.t.Helper()
	b.press("Authenticator app")
	p.Phone = b.qr()
	b.fill("Code", code(b.t, p.Phone))
	b.press("Verify & enable")
}

// setUp gives somebody without a second method a key, and leads to the app.
func (b *tab) setUp(p *rig.Person) {
	b.t.Helper()
	b.password(p, "/")
	b.press("Security key or passkey")
	b.fill("Name", "First key")
	b.press("Register")
	b.sees("Save your recovery codes")
	p.Recovery = b.recoveryCodes()
	b.press("I've saved my codes")
	b.sees("Example app")
}

// addKey adds a key on the Security page, in a session whose proofs are fresh.
func (b *tab) addKey(name string) {
	b.t.Helper()
	b.visit("/.mfa/security")
	b.press("Add a security key or passkey")
	b.sees("Set up a security key or passkey")
	b.fill("Name", name)
	b.press("Register")
	b.sees("Security")
	b.reads("Added.")
	b.reads(name)
}

// row is the entry of the Security page with that name.
func row(name string) string {
	return fmt.Sprintf(`//li[p[contains(@class,"row-name")][normalize-space()=%q]]`, name)
}

// unfold opens what the row hides behind a word.
func (b *tab) unfold(name, word string) {
	b.t.Helper()
	b.do(chromedp.Click(row(name)+fmt.Sprintf(`//summary[normalize-space()=%q]`, word), chromedp.NodeVisible))
}

// name types another name into an opened row.
func (b *tab) name(old, now string) {
	b.t.Helper()
	b.do(chromedp.Focus(row(old)+`//input[@name="label"]`), chromedp.Evaluate[chromedp.Void](`document.activeElement.select()`), chromedp.KeyEvent(now))
}

// within presses the button in an opened row.
func (b *tab) within(name, words string) {
	b.t.Helper()
	b.load(chromedp.Click(row(name)+button(words), chromedp.NodeVisible))
}

// anyUpgrade is an offer to make a passkey after the sign-in.
var anyUpgrade = regexp.MustCompile(`/\.mfa/upgrade\?`)

// upgrades are how many such offers there were.
func (b *tab) upgrades() (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, url := range b.requests {
		if anyUpgrade.MatchString(url) {
			n++
		}
	}
	return n
}
