package loginui

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

func TestFirstStartToApp(t *testing.T) {
	r := newRig(t)
	token, _, err := r.realm.SetupToken(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b := r.browser()
	b.want(b.get("/.mfa/invite"), 200, `name="token"`, "Continue")
	b.want(b.post("/.mfa/invite", "token", token), 303, "/.mfa/invite")
	page := b.want(b.get("/.mfa/invite"), 200, "Username", "Password", "Create account", `autocomplete="new-password"`)
	if strings.Contains(page.body, token) {
		t.Error("the token is on the page")
	}
	b.want(b.post("/.mfa/invite", "name", "alice", "password", "short"), 422, `value="alice"`, `id="password-error"`)
	b.want(b.post("/.mfa/invite", "name", "", "password", password), 422, `id="name-error"`)
	b.want(b.post("/.mfa/invite", "name", "alice", "password", ""), 422, `id="password-error"`)
	b.want(b.post("/.mfa/invite", "name", "Alice", "password", password), 303, "/.mfa/enroll")
	b.want(b.get("/.mfa/enroll"), 200, "Set up two-factor authentication", ">Authenticator app</button>")
	b.want(b.get("/.mfa/enroll/totp"), 303, "/.mfa/enroll") // not begun
	b.want(b.get("/.mfa/recovery-codes"), 303, "/.mfa/enroll")
	b.want(b.post("/.mfa/enroll", "method", "email"), 422)
	b.want(b.post("/.mfa/enroll", "method", "totp"), 303, "/.mfa/enroll/totp")
	page = b.want(b.get("/.mfa/enroll/totp"), 200, `alt="QR code"`, "Can&#39;t scan it?", "Verify &amp; enable", "Choose another way")
	if again := b.get("/.mfa/enroll/totp"); again.body != page.body {
		t.Error("GET changed the secret")
	}
	b.want(b.post("/.mfa/enroll/totp", "code", ""), 422, `id="code-error"`)
	b.want(b.post("/.mfa/enroll/totp", "code", "000000"), 422, `id="code-error"`, `alt="QR code"`)
	secret, codes := b.enroll("/")
	if len(codes) != 10 {
		t.Fatalf("%d recovery codes", len(codes))
	}
	b.want(b.get("/.mfa/security"), 200, "Security", "alice", "Authenticator app", "10 left", "Firefox on Linux")
	b.want(b.get("/.mfa/login"), 303, "/.mfa/security")
	b.want(b.get("/.mfa/login?to=/app?a=b%23c"), 303, "/app?a=b#c")
	b.want(b.get("/.mfa/enroll"), 303, "/.mfa/security?lost=1")

	var session struct {
		SignedIn bool      `json:"signed_in"`
		User     string    `json:"user"`
		Methods  []string  `json:"methods"`
		Ends     time.Time `json:"ends"`
		IdleEnds time.Time `json:"idle_ends"`
	}
	if err := json.Unmarshal([]byte(b.get("/.mfa/session").body), &session); err != nil {
		t.Fatal(err)
	}
	if !session.SignedIn || session.User != "alice" || strings.Join(session.Methods, " ") != "password totp" || !session.Ends.After(session.IdleEnds) {
		t.Errorf("session: %+v", session)
	}

	b.want(b.get("/.mfa/logout"), 200, "Sign out")
	b.want(b.post("/.mfa/logout"), 303, "/.mfa/login?signed_out=1")
	b.want(b.get("/.mfa/login?signed_out=1"), 200, "You are signed out")
	b.want(b.get("/.mfa/session"), 200, `{"signed_in":false}`)
	b.want(b.get("/.mfa/security"), 303, "/.mfa/login?to=%2F.mfa%2Fsecurity")
	b.want(b.get("/.mfa/logout"), 303, "/.mfa/login")

	b.want(b.post("/.mfa/login", "name", "ALICE", "password", password, "to", "/deep?q=1"), 303, "/.mfa/verify/totp")
	b.want(b.get("/.mfa/verify/totp"), 200, "Enter your code", "Use a recovery code", `inputmode="numeric"`, `autocomplete="one-time-code"`)
	b.want(b.get("/.mfa/enroll"), 303, "/.mfa/verify/totp") // S53
	b.want(b.post("/.mfa/verify/totp", "code", "123"), 401, `id="code-error"`, "the time on your phone may be off")
	b.want(b.post("/.mfa/verify/totp", "code", " "), 422, `id="code-error"`)
	code := b.code(secret)
	b.want(b.post("/.mfa/verify/totp", "code", code[:3]+" "+code[3:]), 303, "/deep?q=1")
}

func TestInvitation(t *testing.T) {
	r := newRig(t)
	_, invited, err := r.realm.AddUser(t.Context(), auth.NewUser{Name: "bob"})
	if err != nil {
		t.Fatal(err)
	}
	b := r.browser()
	b.want(b.get("/.mfa/invite"), 200)
	b.want(b.post("/.mfa/invite", "token", "wrong"), 422, `id="token-error"`, "Ask your administrator for a new link")
	b.want(b.post("/.mfa/invite", "token", ""), 422, `id="token-error"`)
	b.want(b.post("/.mfa/invite", "token", invited.Token, "to", "/deep"), 303, "/.mfa/invite")
	b.want(b.get("/.mfa/invite"), 200, `value="bob"`, "readonly", `name="to" value="/deep"`)
	b.want(b.post("/.mfa/invite", "name", "mallory", "password", password), 422, "This invitation is for bob.")

	b.pass(11 * time.Minute) // the flow is over, the invitation is not
	b.want(b.post("/.mfa/invite", "name", "bob", "password", password), 303, "/.mfa/invite?again=1")
	b.want(b.get("/.mfa/invite?again=1"), 200, "That took too long")

	b.want(b.post("/.mfa/invite", "token", invited.Token, "password", "bob"), 422, `id="password-error"`) // both at once
	b.want(b.get("/.mfa/invite"), 200, `value="bob"`)                                                     // and the flow stands
	b.want(b.post("/.mfa/invite", "token", invited.Token, "name", "bob", "password", password), 303, "/.mfa/enroll")
	b.enroll("/")
	b.want(b.post("/.mfa/invite", "token", invited.Token), 422, `id="token-error"`)
}

// Invitations that are replaced while one is open.
func TestInvitationReplaced(t *testing.T) {
	r := newRig(t)
	_, invited, err := r.realm.AddUser(t.Context(), auth.NewUser{Name: "bob"})
	if err != nil {
		t.Fatal(err)
	}
	b := r.browser()
	b.want(b.post("/.mfa/invite", "token", invited.Token), 303)
	if _, err := r.realm.Invite(t.Context(), "bob"); err != nil {
		t.Fatal(err)
	}
	b.want(b.post("/.mfa/invite", "password", password), 422, `id="token-error"`)
}

func TestRecoveryLeft(t *testing.T) { // S35
	r := newRig(t)
	_, codes := r.account()

	b := r.browser()
	b.get("/.mfa/login")
	b.want(b.post("/.mfa/login", "name", "alice", "password", password, "to", "/a?b=c&d"), 303, "/.mfa/verify/totp")
	b.want(b.get("/.mfa/verify/recovery"), 200, "Use a recovery code", "Recovery code</label>", "Use authenticator app")
	b.want(b.post("/.mfa/verify/recovery", "code", "aaaaa-aaaaa-aaaaa"), 401, "not right, or it was used already")
	used := b.want(b.post("/.mfa/verify/recovery", "code", codes[0]), 303, "/.mfa/recovery-used?to=%2Fa%3Fb%3Dc%26d")
	b.want(b.get(used.Header.Get("Location")), 200, "Recovery code used: 9 left", `href="/a?b=c&amp;d"`, ">Continue</a>")
	b.want(b.get("/.mfa/recovery-used?to=//evil.example"), 200, `href="/"`)

	b = r.browser()
	b.want(b.get("/.mfa/recovery-used?to=/a"), 303, "/.mfa/login?to=%2Fa")
	b.get("/.mfa/login")
	b.want(b.post("/.mfa/login", "name", "alice", "password", password), 303, "/.mfa/verify/totp")
	b.want(b.post("/.mfa/verify/totp", "code", codes[0]), 401, "used already") // typed into the field for the app
	b.want(b.post("/.mfa/verify/totp", "code", strings.ToUpper(codes[1])), 303, "/.mfa/recovery-used?to=%2F")
	b.want(b.get("/.mfa/recovery-used?to=%2F"), 200, "Recovery code used: 8 left")
}

func TestRecoveryCodesPage(t *testing.T) {
	r := newRig(t)
	r.addAlice()
	b := r.browser()
	b.get("/.mfa/login")
	b.want(b.post("/.mfa/login", "name", "alice", "password", password), 303, "/.mfa/enroll")
	b.want(b.post("/.mfa/recovery-codes"), 303, "/.mfa/enroll") // not yet
	b.want(b.post("/.mfa/enroll", "method", "totp"), 303)
	secret := b.secret()
	b.want(b.post("/.mfa/enroll/totp", "code", b.code(secret)), 303, "/.mfa/recovery-codes")

	page := b.want(b.get("/.mfa/recovery-codes"), 200, "Save your recovery codes", "Copy", "Download", "I&#39;ve saved my codes")
	codes := codesOn(page.body)
	file := b.want(b.post("/.mfa/recovery-codes", "download", "1"), 200, "Example Corp", host, "alice", "1 Mar 2026", codes[0], codes[9])
	if got := file.Header.Get("Content-Disposition"); got != `attachment; filename="recovery-codes-dash.example.com.txt"` {
		t.Errorf("Content-Disposition %q", got)
	}
	if got := file.Header.Get("Content-Type"); got != "text/plain; charset=utf-8" {
		t.Errorf("Content-Type %q", got)
	}
	b.want(b.post("/.mfa/recovery-codes"), 303, "/.mfa/recovery-codes") // another tab: somebody may be writing these down
	if again := codesOn(b.get("/.mfa/recovery-codes").body); !slices.Equal(again, codes) {
		t.Errorf("codes %q after %q", again, codes)
	}
	b.want(b.post("/.mfa/recovery-codes", "confirm", "1"), 303, "/")
	b.want(b.post("/.mfa/recovery-codes"), 303, "/.mfa/login?again=1") // S36: not shown again
}

func TestAskAdmin(t *testing.T) {
	r := newRig(t)
	r.addAlice()
	r.pass(100 * time.Hour)
	b := r.browser()
	b.want(b.get("/.mfa/ask-admin"), 303, "/.mfa/login?again=1")
	b.get("/.mfa/login")
	b.want(b.post("/.mfa/login", "name", "alice", "password", password), 303, "/.mfa/ask-admin")
	b.want(b.get("/.mfa/ask-admin"), 200, "Ask your administrator")
	b.want(b.get("/.mfa/enroll"), 303, "/.mfa/ask-admin")
	b.want(b.post("/.mfa/enroll", "method", "totp"), 303, "/.mfa/ask-admin")
}

func TestFlowOver(t *testing.T) {
	r := newRig(t)
	r.account()
	b := r.browser()
	b.get("/.mfa/login")
	b.want(b.post("/.mfa/login", "name", "alice", "password", password, "to", "/deep"), 303, "/.mfa/verify/totp")
	b.want(b.get("/.mfa/login?again=1"), 303, "/.mfa/verify/totp") // the flow lives: of two posts one was late
	b.want(b.get("/.mfa/verify/totp"), 200, `name="to" value="/deep"`)
	r.pass(11 * time.Minute)
	b.want(b.post("/.mfa/verify/totp", "code", "123456", "to", "/deep"), 303, "/.mfa/login?again=1&to=%2Fdeep")
	b.want(b.post("/.mfa/verify/totp", "code", "123456", "to", "//evil.example"), 303, "/.mfa/login?again=1")
	b.want(b.get("/.mfa/login?again=1&to=%2Fdeep"), 200, "took too long", `name="to" value="/deep"`)
}

// secret is that of the enrolment in progress.
func (b *browser) secret() string {
	b.t.Helper()
	now, err := b.realm.Progress(b.t.Context(), auth.Visit{
		Host: host, Origin: "https://" + host, Session: b.cookies[auth.CookieSession], Flow: b.cookies[auth.CookieFlow],
	})
	if err != nil {
		b.t.Fatal(err)
	}
	setup, err := decodeTOTP(now.Challenge.Public)
	if err != nil {
		b.t.Fatal(err)
	}
	return setup.Secret
}
