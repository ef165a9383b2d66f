package loginui

import (
	"maps"
	"net/http"
	"testing"
	"time"
)

// unconfirmed makes alice with an app, and with an address that an admin set and nobody has confirmed.
func (r *rig) unconfirmed() (b *browser, secret string) {
	r.t.Helper()
	r.addMailed()
	b, _, _ = r.mailed("")
	secret, _ = b.enroll("/")
	return b, secret
}

// TestConfirmTheAddressThatIsThere: what is not confirmed has a button that confirms it, by the flow of a change.
func TestConfirmTheAddressThatIsThere(t *testing.T) {
	r := newMailRig(t)
	b, secret := r.unconfirmed()
	page := b.want(b.get("/.mfa/security"), 200, ">Not confirmed<", `<input type="hidden" name="email" value="`+mailbox+`">`, ">Confirm this address</button>",
		"codes are mailed to you only once your address is confirmed. Confirm it first.")
	b.lacks(page, "cannot be mailed")

	r.pass(11 * time.Minute) // S58
	b.want(b.post("/.mfa/security/email", "email", mailbox), 303, "/.mfa/verify/password")
	b.want(b.get("/.mfa/verify/password"), 200, "to have your email address "+mailbox+" confirmed.")

	b = r.again(secret)
	b.want(b.post("/.mfa/security/email", "email", mailbox), 303, "/.mfa/enroll/email")
	page = b.want(b.get("/.mfa/enroll/email"), 200, "Check your email</h1>", mailbox, "With it you confirm that this is your address.")
	b.lacks(page, "the one before")
	b.want(b.post("/.mfa/enroll/email", "code", r.part(r.letter("Confirm your address"), sixDigits)), 303, "/.mfa/security?done=confirm")
	page = b.want(b.get("/.mfa/security?done=confirm"), 200, "Your address is confirmed.", ">Confirmed<", `<p class="row-name">Email address confirmed</p>`)
	b.lacks(page, "Confirm this address", "Email address changed", "Confirm it first")
	b.want(b.post("/.mfa/security/email", "email", mailbox), 422, "This is your address already.")
}

// TestConfirmPressedTwice: the button of a page that is stale leads on to what is so by now, and begins nothing.
func TestConfirmPressedTwice(t *testing.T) {
	r := newMailRig(t)
	_, secret := r.unconfirmed()
	b := r.again(secret)
	press := []string{"email", mailbox, "confirm", "1"}
	b.want(b.get("/.mfa/security"), 200, `<input type="hidden" name="confirm" value="1">`)
	b.want(b.post("/.mfa/security/email", press...), 303, "/.mfa/enroll/email")
	b.want(b.post("/.mfa/enroll/email", "code", r.part(r.letter("Confirm your address"), sixDigits)), 303, "/.mfa/security?done=confirm")
	before := r.quiet()
	for _, typed := range []string{mailbox, "ALICE@Example.com"} {
		b.want(b.post("/.mfa/security/email", "email", typed, "confirm", "1"), 303, "/.mfa/security?done=confirm")
	}
	page := b.want(b.get("/.mfa/security?done=confirm"), 200, "Your address is confirmed.")
	b.lacks(page, `id="email-error"`, "This is your address already.")
	if !maps.Equal(before, r.quiet()) {
		t.Error("something began")
	}

	// A page from before the address became another.
	b.want(b.post("/.mfa/security/email", "email", "alice@example.org"), 303, "/.mfa/enroll/email")
	b.want(b.post("/.mfa/enroll/email", "code", r.part(r.letter("Confirm your address"), sixDigits)), 303, "/.mfa/security?done=address")
	before = r.quiet()
	if a := b.post("/.mfa/security/email", press...); a.StatusCode != 303 || a.Header.Get("Location") != "/.mfa/security" {
		t.Errorf("status %d, to %q", a.StatusCode, a.Header.Get("Location"))
	}
	if !maps.Equal(before, r.quiet()) {
		t.Error("a change back began")
	}
	b.want(b.get("/.mfa/enroll/email"), 303)
	stranger := r.browser()
	stranger.want(stranger.post("/.mfa/security/email", press...), 303, "/.mfa/login?to=%2F.mfa%2Fsecurity")
}

// TestMistypedSetupIsNoWarning: who mistypes a code while an app is set up does not read of a wrong answer at a sign-in.
func TestMistypedSetupIsNoWarning(t *testing.T) {
	r := newRig(t)
	r.addAlice()
	b := r.browser()
	b.get("/.mfa/login")
	b.want(b.post("/.mfa/login", "name", "alice", "password", password), 303, "/.mfa/enroll")
	b.want(b.post("/.mfa/enroll", "method", "totp"), 303, "/.mfa/enroll/totp")
	b.want(b.post("/.mfa/enroll/totp", "code", "000000"), http.StatusUnprocessableEntity)
	b.enroll("/")
	page := b.want(b.get("/.mfa/security"), 200, `<p class="row-name">Wrong answer during set-up</p>`)
	b.lacks(page, "Wrong answer after")
}

// TestWrongPasswordAmongProofs: who is signed in and mistypes the password does not read that it was right.
func TestWrongPasswordAmongProofs(t *testing.T) {
	r := newRig(t)
	r.addAlice()
	b := r.browser()
	b.get("/.mfa/login")
	b.want(b.post("/.mfa/login", "name", "alice", "password", password), 303, "/.mfa/enroll")
	b.enroll("/")
	r.pass(time.Hour / 2)
	b.want(b.post("/.mfa/security/name", "display_name", "Alice"), 303, "/.mfa/verify/password")
	b.want(b.post("/.mfa/verify/password", "password", "not the password"), http.StatusUnauthorized)
	page := b.want(b.get("/.mfa/security"), 200, "Wrong password after another check was passed")
	b.lacks(page, "Wrong answer after")
}
