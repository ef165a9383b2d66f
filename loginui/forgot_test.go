package loginui

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestForgotTellsNobody(t *testing.T) { // S88
	r := newMailRig(t)
	r.mailAccount()
	r.add("bob") // has no address
	b := r.browser()
	b.want(b.get("/.mfa/login"), 200, `href="/.mfa/forgot">Forgot password?</a>`)
	b.want(b.get("/.mfa/forgot"), 200, ">Username or email</label>", ">Send link</button>")
	b.want(b.post("/.mfa/forgot", "name", " "), 422, `id="name-error"`)
	first := b.want(b.post("/.mfa/forgot", "name", mailbox), 303, "/.mfa/forgot?sent=1")
	for _, name := range []string{"alice", "bob", "nobody", "nobody@example.com", "a@b@c", "ALICE@EXAMPLE.COM", "<script>"} {
		a := b.want(b.post("/.mfa/forgot", "name", name), 303)
		if a.body != first.body || !slices.Equal(lines(a.Header), lines(first.Header)) {
			t.Errorf("%s: another answer: %v", name, a.Header)
		}
	}
	b.want(b.get("/.mfa/forgot?sent=1"), 200, "Check your email", "If there is an account with a confirmed address for what you typed", "ask your administrator")
	if m := r.letter("Reset your password"); m.To != mailbox {
		t.Errorf("it went to %s", m.To)
	}
	for range 100 {
		if a := b.post("/.mfa/forgot", "name", "nobody"); a.StatusCode == http.StatusTooManyRequests {
			b.want(a, 429, "Wait ", `value="nobody"`)
			return
		}
	}
	t.Error("it can be asked without end")
}

func lines(h http.Header) (all []string) {
	for k, v := range h {
		all = append(all, k+": "+strings.Join(v, ", "))
	}
	slices.Sort(all)
	return all
}

// resetLink is what comes by mail to whoever forgot the password.
func (r *rig) resetLink() (token string) {
	r.t.Helper()
	b := r.browser()
	b.get("/.mfa/forgot")
	b.want(b.post("/.mfa/forgot", "name", "alice"), 303)
	return r.part(r.letter("Reset your password"), `/reset#(\S+)`)
}

func TestResetPassword(t *testing.T) { // S85
	r := newMailRig(t)
	signedIn, _ := r.mailAccount()
	signedIn.want(signedIn.post("/.mfa/security/add", "method", "totp"), 303)
	secret := signedIn.secret()
	signedIn.want(signedIn.post("/.mfa/enroll/totp", "code", r.code(secret)), 303)
	token := r.resetLink()
	r.pass(time.Minute)
	const better = "a long swim in the lake"
	b := r.browser()
	page := b.want(b.get("/.mfa/reset"), 200, ">New password</label>", ">Set password</button>", `autocomplete="new-password"`, " data-token>", "At least 8 characters")
	if strings.Contains(page.body, token) {
		t.Error("the token is on the page")
	}
	b.want(b.post("/.mfa/reset", "password", better), 422, `id="token-error"`)
	b.want(b.post("/.mfa/reset", "token", token, "password", ""), 422, `id="password-error"`)
	b.want(b.post("/.mfa/reset", "token", token, "password", "password"), 422, `id="password-error"`, `<input type="hidden" name="token" value="`+token+`"`)
	b.want(b.post("/.mfa/reset", "token", token[1:]+"x", "password", better), 422, "This link no longer works", `href="/.mfa/forgot"`)
	signedIn.want(signedIn.get("/.mfa/session"), 200, `"signed_in":true`)
	b.want(b.post("/.mfa/reset", "token", token, "password", better), 303, "/.mfa/verify/totp")
	b.want(b.get("/.mfa/session"), 200, `"signed_in":false`)
	signedIn.want(signedIn.get("/.mfa/session"), 200, `"signed_in":false`)
	if page := b.want(b.get("/.mfa/verify/totp"), 200); strings.Contains(page.body, "Use email verification") {
		t.Error("the mailbox is the second method as well")
	}
	b.want(b.post("/.mfa/reset", "token", token, "password", better), 422, "This link no longer works")
	b.want(b.post("/.mfa/verify/totp", "code", b.code(secret)), 303, "/")
}

func TestMailAloneAsksTheAdmin(t *testing.T) { // S85
	r := newMailRig(t)
	r.addMailed()
	b, code, _ := r.mailed("")
	b.want(b.post("/.mfa/verify/email", "code", code), 303, "/.mfa/recovery-codes") // and leaves without them
	token := r.resetLink()
	b = r.browser()
	b.want(b.post("/.mfa/reset", "token", token, "password", "a long swim in the lake"), 303, "/.mfa/ask-admin?check=cookies")
	b.want(b.get("/.mfa/ask-admin"), 200, "Ask your administrator", "that would be your mailbox alone")
	b.want(b.post("/.mfa/verify/email/send"), 303, "/.mfa/ask-admin")
	b.want(b.get("/.mfa/session"), 200, `"signed_in":false`)
}

// TestForgotKeepsTheTarget: where somebody wanted to go is not lost on the way round by the mail (WCAG 2.2, success criterion 3.3.7).
func TestForgotKeepsTheTarget(t *testing.T) {
	b := newMailRig(t).browser()
	const login, back = "/.mfa/login?to=%2Fdeep%3Fa%3Db", `href="/.mfa/login?to=%2Fdeep%3Fa%3Db"`
	b.want(b.get(login), 200, `href="/.mfa/forgot?to=%2Fdeep%3Fa%3Db">Forgot password?</a>`)
	b.want(b.get("/.mfa/forgot?to=%2Fdeep%3Fa%3Db"), 200, `name="to" value="/deep?a=b"`, back)
	b.want(b.post("/.mfa/forgot", "name", "", "to", "/deep?a=b"), 422, back)
	b.want(b.post("/.mfa/forgot", "name", "bob", "to", "/deep?a=b"), 303, "/.mfa/forgot?sent=1&to=%2Fdeep%3Fa%3Db")
	b.want(b.get("/.mfa/forgot?sent=1&to=%2Fdeep%3Fa%3Db"), 200, back, `name="back" value="/.mfa/forgot?sent=1&amp;to=%2Fdeep%3Fa%3Db"`)
	b.want(b.post("/.mfa/forgot", "name", "bob", "to", "//evil.example"), 303, "/.mfa/forgot?sent=1")
}

// TestForgotAfterAKey: also where a password is asked for second, or before a change, there is a way out for who does not know it.
func TestForgotAfterAKey(t *testing.T) {
	for mails, r := range map[bool]*rig{true: newMailRig(t), false: newRig(t)} {
		b, _ := r.account()
		r.pass(30 * time.Minute) // what was proven is too old for a change
		b.want(b.post("/.mfa/security/name", "display_name", "Alice Example"), 303, "/.mfa/verify/password")
		page := b.want(b.get("/.mfa/verify/password"), 200, "Cannot use your password?")
		if got := strings.Contains(page.body, `<a href="/.mfa/forgot?to=%2F.mfa%2Fsecurity">Forgot password?</a>`); got != mails {
			t.Errorf("mails %t: a link to reset it is there: %t", mails, got)
		}
	}
}
