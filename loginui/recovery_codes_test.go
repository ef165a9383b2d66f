package loginui

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// begin begins a change in b's session, as a form of the Security page does, and returns the address that it leads to.
func (b *browser) begin(c auth.Change) string {
	b.t.Helper()
	out, err := b.realm.Change(b.t.Context(), auth.Visit{
		Host: b.host, Origin: "https://" + b.host, Addr: netip.MustParseAddr("192.0.2.1"),
		Session: b.cookies[auth.CookieSession], Flow: b.cookies[auth.CookieFlow], Browser: b.cookies[auth.CookieBrowser],
	}, c, "/.mfa/security")
	if err != nil {
		b.t.Fatal(err)
	}
	for _, c := range out.Cookies {
		b.cookies[c.Name] = c.Value
	}
	return b.next(out)
}

// TestRecoveryCodesSeenAgain: asked for in place, shown as what they are, saved, and left.
func TestRecoveryCodesSeenAgain(t *testing.T) { // S36, S58
	r := newRigOf(t, auth.Config{}, true)
	r.addAlice()
	b := r.browser()
	b.get("/.mfa/login")
	b.want(b.post("/.mfa/login", "name", "alice", "password", password), 303, "/.mfa/enroll")
	secret, codes := b.enroll("/")
	r.pass(20 * time.Minute)
	if to := b.begin(auth.Change{Op: auth.ChangeViewCodes}); to != "/.mfa/verify/password" && to != "/.mfa/verify/totp" {
		t.Fatalf("led to %q", to)
	}
	for _, path := range []string{"/.mfa/recovery-codes", "/.mfa/verify/totp"} {
		if a := b.get(path); len(codesOn(a.body)) > 0 {
			t.Errorf("%s shows codes before any proof", path)
		}
	}
	b.want(b.post("/.mfa/recovery-codes", "confirm", "1"), 303)
	b.want(b.post("/.mfa/recovery-codes", "download", "1"), 303)
	b.want(b.post("/.mfa/verify/totp", "code", b.code(secret)), 303, "/.mfa/verify/password")
	b.want(b.post("/.mfa/verify/password", "password", password), 303, "/.mfa/recovery-codes")

	page := b.want(b.get("/.mfa/recovery-codes"), 200, "<h1>Your recovery codes</h1>", "Copy", "Download", ">Done</button>", `name="to" value="/.mfa/security"`)
	if got := codesOn(page.body); !slices.Equal(got, codes) {
		t.Errorf("shows %q, want %q", got, codes)
	}
	if got := page.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control %q", got)
	}
	for _, text := range []string{"Save your recovery codes", "Save them before", "saved my codes"} {
		if strings.Contains(page.body, text) {
			t.Errorf("the page says %q of codes that are in use", text)
		}
	}
	file := b.want(b.post("/.mfa/recovery-codes", "download", "1"), 200, "Unused on: 1 Mar 2026, 12:", codes[0], codes[9])
	if strings.Contains(file.body, "Made:") || file.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s, %v", file.body, file.Header)
	}
	b.want(b.post("/.mfa/recovery-codes"), 303, "/.mfa/recovery-codes") // nothing new is made
	if got := codesOn(b.get("/.mfa/recovery-codes").body); !slices.Equal(got, codes) {
		t.Errorf("then %q", got)
	}

	stranger := r.browser() // with the flow's cookie alone
	stranger.cookies[auth.CookieFlow] = b.cookies[auth.CookieFlow]
	stranger.want(stranger.get("/.mfa/recovery-codes"), 303, "/.mfa/login?again=1")

	b.want(b.post("/.mfa/recovery-codes", "confirm", "1"), 303, "/.mfa/security?done=view_codes")
	b.want(b.get("/.mfa/security?done=view_codes"), 200, "Recovery codes")
	b.want(b.get("/.mfa/recovery-codes"), 303, "/.mfa/security?lost=1")

	// Whoever looks for longer than the proofs count is asked again for more, but not for leaving.
	r.pass(5 * time.Minute)
	if to := b.begin(auth.Change{Op: auth.ChangeViewCodes}); to != "/.mfa/recovery-codes" {
		t.Fatalf("led to %q", to)
	}
	r.pass(4 * time.Minute)
	b.want(b.get("/.mfa/recovery-codes"), 200, codes[0])
	r.pass(2 * time.Minute)
	b.want(b.get("/.mfa/recovery-codes"), 303, "/.mfa/verify/password")
	b.want(b.post("/.mfa/recovery-codes", "confirm", "1"), 303, "/.mfa/security?done=view_codes")
}

// TestPagesNameThePolicies: whoever must set something up, or cannot, sees who says so.
func TestPagesNameThePolicies(t *testing.T) {
	keys := auth.Policy{Name: "Keys & <nothing> else", Methods: []string{auth.MethodWebAuthn}}
	r := newRigWith(t, auth.Config{Policies: []auth.Policy{keys, {Name: "Two factors"}, {Name: "Later", Grace: time.Hour}}})
	r.addAlice()
	b := r.browser()
	b.get("/.mfa/login")
	b.want(b.post("/.mfa/login", "name", "alice", "password", password), 303, "/.mfa/enroll")
	page := b.want(b.get("/.mfa/enroll"), 200, "Your password alone is not enough here.", "Your administrator requires:",
		"Keys &amp; &lt;nothing&gt; else</bdi></p><p class=\"row-more\">Security key or passkey<", "Two factors</bdi></p><p class=\"row-more\">A security key, a passkey or an authenticator app<")
	if strings.Contains(page.body, "Later") || strings.Contains(page.body, `value="totp"`) {
		t.Error("it names what is not required yet, or offers what would not do")
	}

	r = newRigWith(t, auth.Config{Policies: []auth.Policy{{Name: "Letters", Methods: []string{auth.MethodEmail}}}})
	r.addAlice()
	b = r.browser()
	b.get("/.mfa/login")
	b.want(b.post("/.mfa/login", "name", "alice", "password", password), 303, "/.mfa/enroll")
	b.want(b.post("/.mfa/enroll", "method", "totp"), 303, "/.mfa/enroll/totp")
	b.want(b.post("/.mfa/enroll/totp", "code", b.code(b.secret())), 303, "/.mfa/ask-admin")
	b.want(b.get("/.mfa/ask-admin"), 200, "Ask your administrator", "Your administrator requires: Letters.")
}
