package loginui

import (
	"maps"
	"net/http"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/internal/mail"
)

const mailbox = "alice@example.com"

// letter is the next mail with the subject, which must come; others before it are passed over.
func (r *rig) letter(subject string) mail.Message {
	r.t.Helper()
	late := time.After(10 * time.Second)
	for {
		select {
		case m := <-r.letters:
			if strings.HasPrefix(m.Subject, subject) {
				return m
			}
		case <-late:
			r.t.Fatalf("no mail came about %q", subject)
		}
	}
}

// part is what the expression finds in a mail.
func (r *rig) part(m mail.Message, expr string) string {
	r.t.Helper()
	found := regexp.MustCompile(expr).FindStringSubmatch(m.Text)
	if found == nil {
		r.t.Fatalf("the mail lacks %s:\n%s", expr, m.Text)
	}
	return found[1]
}

// quiet is what is stored once no mail waits any more.
func (r *rig) quiet() map[string]string {
	r.t.Helper()
	for late := time.Now().Add(10 * time.Second); time.Now().Before(late); runtime.Gosched() {
		all := r.records()
		if !slices.ContainsFunc(slices.Collect(maps.Keys(all)), func(key string) bool { return strings.HasPrefix(key, "mail/") }) {
			return all
		}
	}
	r.t.Fatal("a mail was not sent")
	return nil
}

const (
	sixDigits = `(?m)^\s*(\d{6})\s*$`
	aboutCode = "Your code"
)

// mailed is a browser whose sign-in waits for the code of a mail.
func (r *rig) mailed(to string) (b *browser, code, token string) {
	r.t.Helper()
	b = r.browser()
	b.get("/.mfa/login")
	b.want(b.post("/.mfa/login", "name", "alice", "password", password, "to", to), 303, "/.mfa/verify/email")
	m := r.letter(aboutCode)
	if m.To != mailbox {
		r.t.Fatalf("the code went to %q", m.To)
	}
	return b, r.part(m, sixDigits), r.part(m, `/link#(\S+)`)
}

// addMailed makes alice with an address and no second method.
func (r *rig) addMailed() {
	r.t.Helper()
	if _, _, err := r.realm.AddUser(r.t.Context(), auth.NewUser{Name: "alice", Email: mailbox, Password: password}); err != nil {
		r.t.Fatal(err)
	}
}

// mailAccount makes alice, who signs in by mail, and the browser in which that user is signed in.
func (r *rig) mailAccount() (b *browser, codes []string) {
	r.t.Helper()
	r.addMailed()
	b, code, _ := r.mailed("")
	b.want(b.post("/.mfa/verify/email", "code", code), 303, "/.mfa/recovery-codes")
	b.want(b.post("/.mfa/recovery-codes"), 303, "/.mfa/recovery-codes")
	codes = codesOn(b.get("/.mfa/recovery-codes").body)
	b.want(b.post("/.mfa/recovery-codes", "confirm", "1"), 303, "/")
	return b, codes
}

// other is six digits that are not code.
func other(code string) string { return string('0'+(code[0]-'0'+1)%10) + code[1:] }

func TestCodeByMail(t *testing.T) {
	r := newMailRig(t)
	r.addMailed()
	b, code, _ := r.mailed("/deep")
	page := b.want(b.get("/.mfa/verify/email"), 200, "Check your email</h1>", "a•••@example.com", "10 minutes", ">Code</label>", ">Verify</button>", ">Send a new code</button>",
		`autocomplete="one-time-code"`, `inputmode="numeric"`, "spam folder", "Not you?", `href="/.mfa/enroll">Set up another way`, `name="to" value="/deep"`)
	if strings.Contains(page.body, mailbox) || strings.Contains(page.body, "We sent a new code") {
		t.Error("the page says more than it should")
	}
	before := r.quiet()
	for _, path := range []string{"/verify/email", "/verify/email?sent=1", "/verify/email/send", "/link", "/guest"} { // S28
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			b.send(b.request(method, "/.mfa"+path, ""))
		}
	}
	if !maps.Equal(before, r.records()) || len(r.letters) > 0 {
		t.Error("GET did something")
	}
	b.want(b.post("/.mfa/verify/email", "code", " "), 422, `id="code-error"`, "Enter the code")
	b.want(b.post("/.mfa/verify/email", "code", other(code)), 401, `id="code-error"`, "That code is not right")
	b.want(b.post("/.mfa/verify/email/send", "new", "1"), 303, "/.mfa/verify/email?sent=1")
	b.want(b.get("/.mfa/verify/email?sent=1"), 200, "We sent a new code. Older ones no longer work.")
	fresh := r.part(r.letter(aboutCode), sixDigits)
	if fresh != code {
		b.want(b.post("/.mfa/verify/email", "code", code), 401, "That code is not right") // S26
	}
	b.want(b.post("/.mfa/verify/email", "code", fresh[:3]+" "+fresh[3:]), 303, "/.mfa/recovery-codes")
	b.want(b.post("/.mfa/verify/email", "code", fresh), 303, "/.mfa/recovery-codes") // S24: it is over
	b.want(b.get("/.mfa/session"), 200, `"signed_in":false`)
}

func TestCodeByMailHasFiveTries(t *testing.T) { // S27
	r := newMailRig(t)
	r.mailAccount()
	b, code, _ := r.mailed("")
	for range 4 {
		b.want(b.post("/.mfa/verify/email", "code", other(code)), 401, `id="code-error"`, ">Verify</button>")
	}
	last := b.want(b.post("/.mfa/verify/email", "code", other(code)), 401, `role="alert"`, "does not work any more", ">Send a new code</button>")
	none := b.want(b.get("/.mfa/verify/email"), 200, "Press the button", "a•••@example.com", ">Send a new code</button>")
	for _, page := range []answer{last, none} {
		if strings.Contains(page.body, ">Verify</button>") {
			t.Error("a code is asked for where none counts")
		}
	}
	b.want(b.post("/.mfa/verify/email", "code", code), 401, "no longer works")
	b.want(b.get("/.mfa/session"), 200, `"signed_in":false`)
}

func TestCodesByMailAreCapped(t *testing.T) { // S15
	r := newMailRig(t)
	r.addMailed()
	b, _, _ := r.mailed("/deep")
	code, status := "", 0
	for range 30 {
		a := b.post("/.mfa/verify/email/send", "new", "1")
		if status = a.StatusCode; status != http.StatusSeeOther {
			b.want(a, 429, "A few codes were sent already. Wait ", "Check your email</h1>", ">Verify</button>", ">Code</label>")
			if a.Header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
			break
		}
		code = r.part(r.letter(aboutCode), sixDigits)
	}
	if status != http.StatusTooManyRequests {
		t.Fatal("no cap")
	}
	b.want(b.post("/.mfa/verify/email", "code", code), 303, "/.mfa/recovery-codes") // the last one counts
}

func TestMailAmongOtherWays(t *testing.T) {
	r := newMailRig(t)
	b, _ := r.mailAccount()
	b.want(b.post("/.mfa/security/add", "method", "totp"), 303, "/.mfa/enroll/totp")
	b.want(b.post("/.mfa/enroll/totp", "code", b.code(b.secret())), 303, "/.mfa/security?done=add")
	r.letter("New way to sign in")

	b = r.browser()
	b.get("/.mfa/login")
	b.want(b.post("/.mfa/login", "name", "alice", "password", password, "to", "/deep"), 303, "/.mfa/verify/totp")
	const send, open = `action="/.mfa/verify/email/send"`, `<a href="/.mfa/verify/email">Use email verification instead</a>`
	page := b.want(b.get("/.mfa/verify/totp"), 200, send, `<button class="link">Use email verification instead</button>`)
	if strings.Contains(page.body, open) {
		t.Error("a link to a page without a code")
	}
	page = b.want(b.get("/.mfa/verify/email"), 200, "Press the button", "Use authenticator app") // opened by hand
	if strings.Contains(page.body, ">Verify</button>") || len(r.letters) > 0 {
		t.Error("opening the page did something")
	}
	b.want(b.post("/.mfa/verify/email/send"), 303, "/.mfa/verify/email")
	code := r.part(r.letter(aboutCode), sixDigits)
	page = b.want(b.get("/.mfa/verify/totp"), 200, open)
	if strings.Contains(page.body, send) {
		t.Error("another click would send another code")
	}
	b.want(b.post("/.mfa/verify/email", "code", code), 303, "/deep")
	b.want(b.get("/.mfa/session"), 200, `"methods":["password","email"]`)
}

// Whoever was given an address may set up something better at once, and go back to it.
func TestSetUpInsteadOfMail(t *testing.T) {
	r := newMailRig(t)
	r.addMailed()
	b, _, _ := r.mailed("")
	b.want(b.get("/.mfa/enroll"), 200, "Authenticator app", `<a href="/.mfa/verify/email">Use email verification instead</a>`)
	b.want(b.post("/.mfa/enroll", "method", "totp"), 303, "/.mfa/enroll/totp")
	b.want(b.get("/.mfa/enroll"), 200, `action="/.mfa/verify/email/send"`)
	b.want(b.post("/.mfa/verify/email/send"), 303, "/.mfa/verify/email")
	code := r.part(r.letter(aboutCode), sixDigits)
	b.want(b.post("/.mfa/verify/email", "code", code), 303, "/.mfa/recovery-codes")
}

func TestLinkByMail(t *testing.T) { // S26
	r := newMailRig(t)
	r.mailAccount()
	b, code, token := r.mailed("/deep")
	page := b.want(b.get("/.mfa/link"), 200, "Sign in on this device?", ">Sign in</button>", " data-token>", host)
	if form, _, _ := strings.Cut(page.body, "<footer"); strings.Count(form, "<button") != 1 { // languages are chosen below
		t.Error("more than one button")
	}
	b.want(b.post("/.mfa/link", "token", ""), 422, `id="token-error"`)
	b.want(b.post("/.mfa/link", "token", token[1:]+"x"), 422, "This link no longer works", `href="/.mfa/verify/email"`)
	b.want(b.get("/.mfa/verify/email"), 200, ">Verify</button>") // nothing is lost

	elsewhere := r.browser()
	elsewhere.want(elsewhere.get("/.mfa/link"), 200, "Your sign-in began elsewhere", `data-token="auto"`, ">Show the code</button>")
	before := r.quiet()
	for range 2 {
		elsewhere.want(elsewhere.post("/.mfa/link", "token", token), 200, "<code>"+code+"</code>", "in which you began")
	}
	if !maps.Equal(before, r.records()) {
		t.Error("a link elsewhere changed something")
	}
	elsewhere.want(elsewhere.get("/.mfa/session"), 200, `"signed_in":false`)

	b.want(b.post("/.mfa/link", "token", " "+token+" "), 303, "/deep")
	b.want(b.get("/.mfa/session"), 200, `"methods":["password","email"]`)
	b.want(b.post("/.mfa/link", "token", token), 422, "This link no longer works", "You are signed in here already", `href="/.mfa/security"`)
	elsewhere.want(elsewhere.post("/.mfa/link", "token", token), 422, "This link no longer works", `href="/.mfa/login"`)
}

func TestNotMe(t *testing.T) {
	r := newMailRig(t)
	signedIn, codes := r.mailAccount()
	r.pass(time.Minute)
	signedIn.want(signedIn.post("/.mfa/security/add", "method", "totp"), 303)
	signedIn.want(signedIn.post("/.mfa/enroll/totp", "code", r.code(signedIn.secret())), 303)
	token := r.part(r.letter("New way to sign in"), `/not-me#(\S+)`)
	b := r.browser()
	before := r.quiet()
	b.want(b.get("/.mfa/not-me"), 200, "This wasn&#39;t me</h1>", ">Secure my account</button>", " data-token>", "Every session ends", "Nobody can sign in")
	b.want(b.post("/.mfa/not-me", "token", ""), 422, `id="token-error"`)
	b.want(b.post("/.mfa/not-me", "token", token[1:]+"x"), 422, "This link no longer works", "Nothing was changed")
	if !maps.Equal(before, r.records()) {
		t.Error("something happened before the press")
	}
	b.want(b.post("/.mfa/not-me", "token", token), 303, "/.mfa/not-me?done=1")
	b.want(b.get("/.mfa/not-me?done=1"), 200, "Your account is secured", `href="/.mfa/forgot">Forgot password?</a>`, "ask your administrator")
	b.want(b.post("/.mfa/not-me", "token", token), 422, "This link no longer works")
	signedIn.want(signedIn.get("/.mfa/session"), 200, `"signed_in":false`)
	b.want(b.post("/.mfa/login", "name", "alice", "password", password), 401, "blocked", "Forgot password?")

	// A link for that has come by mail. By the mailbox and an older method the account is its owner's again. What was added meanwhile is there to be seen.
	b = r.browser()
	b.get("/.mfa/reset")
	b.want(b.post("/.mfa/reset", "token", r.part(r.letter("Reset your password"), `/reset#(\S+)`), "password", "a long swim in the lake"), 303, "/.mfa/verify/recovery")
	b.want(b.post("/.mfa/verify/recovery", "code", codes[0]), 303, "/.mfa/recovery-used?to=%2F")
	b.want(b.get("/.mfa/security"), 200, "Authenticator app", ">Suspended</span>", "was pressed in a mail", "remove it and set it up again")
	for _, c := range r.credentials("alice") {
		if c.Method == auth.MethodTOTP {
			b.want(b.post("/.mfa/security/remove", "id", c.ID), 303, "/.mfa/verify/password") // setting one is no proof
			b.want(b.post("/.mfa/verify/password", "password", "a long swim in the lake"), 303, "/.mfa/security?done=remove")
		}
	}
	if page := b.want(b.get("/.mfa/security"), 200); strings.Contains(page.body, "Suspended") {
		t.Error("it is still there")
	}
}

func TestChangeAddress(t *testing.T) {
	r := newMailRig(t)
	b, _ := r.mailAccount()
	page := b.want(b.get("/.mfa/security"), 200, mailbox, ">Confirmed<", ">Change address</summary>", ">New email address</label>", "Codes to sign in go there")
	if strings.Contains(page.body, ">Rename</summary>") {
		t.Error("an address can be renamed")
	}
	for typed, text := range map[string]string{"": "email-error", "alice": "email-error", mailbox: "This is your address already."} {
		b.want(b.post("/.mfa/security/email", "email", typed), 422, "<details open>", text, `value="`+typed+`"`)
	}
	const fresh = "alice@example.org"
	b.want(b.post("/.mfa/security/email", "email", " "+fresh+" "), 303, "/.mfa/enroll/email")
	m := r.letter("Confirm your address")
	code := r.part(m, sixDigits)
	if m.To != fresh || strings.Contains(m.Text, "/link#") {
		t.Errorf("to %s:\n%s", m.To, m.Text)
	}
	b.want(b.get("/.mfa/enroll/email"), 200, "Check your email</h1>", fresh, ">Verify</button>", ">Send a new code</button>", ">Cancel</a>")
	b.want(b.get("/.mfa/security"), 200, mailbox)
	b.want(b.post("/.mfa/enroll/email", "code", ""), 422, `id="code-error"`)
	b.want(b.post("/.mfa/enroll/email", "code", other(code)), 422, `id="code-error"`)
	b.want(b.post("/.mfa/enroll/email/send", "new", "1"), 303, "/.mfa/enroll/email?sent=1")
	b.want(b.get("/.mfa/enroll/email?sent=1"), 200, "We sent a new code")
	code = r.part(r.letter("Confirm your address"), sixDigits)
	b.want(b.post("/.mfa/enroll/email", "code", code), 303, "/.mfa/security?done=address")
	b.want(b.get("/.mfa/security?done=address"), 200, "Your address was changed", fresh, ">Confirmed<")
	if m := r.letter("Email address changed"); m.To != mailbox || strings.Contains(m.Text, fresh) {
		t.Errorf("to %s:\n%s", m.To, m.Text)
	}

	r.pass(11 * time.Minute) // S58
	b.want(b.post("/.mfa/security/email", "email", mailbox), 303, "/.mfa/verify/password")
	b.want(b.get("/.mfa/verify/password"), 200, "to change your email address to "+mailbox)
	stranger := r.browser()
	stranger.want(stranger.post("/.mfa/security/email", "email", fresh), 303, "/.mfa/login?to=%2F.mfa%2Fsecurity")
}

// Where no mail is sent, nothing about mail is offered.
func TestWithoutMail(t *testing.T) {
	r := newRig(t)
	b, _ := r.account()
	if page := b.want(b.get("/.mfa/security"), 200); strings.Contains(page.body, "address") {
		t.Error("an address can be changed")
	}
	b.want(b.post("/.mfa/security/email", "email", mailbox), 404)
	b = r.browser()
	if page := b.want(b.get("/.mfa/login"), 200); strings.Contains(page.body, "forgot") {
		t.Error("a password can be forgotten")
	}
	b.want(b.get("/.mfa/forgot"), 404, "Page not found")
	b.want(b.post("/.mfa/forgot", "name", "alice"), 404)
	b.want(b.post("/.mfa/link", "token", "x"), 422)
	b.want(b.post("/.mfa/reset", "token", "x", "password", password), 422)
	b.want(b.post("/.mfa/not-me", "token", "x"), 422)
}
