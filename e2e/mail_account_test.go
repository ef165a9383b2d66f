package e2e

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
)

// forgets asks for a reset on the page that the sign-in page links to, and returns the mail.
func (b *tab) forgets(o *post, typed, to string) *letter {
	b.t.Helper()
	b.visit("/.mfa/login")
	b.follow("Forgot password?")
	b.sees("Forgot your password?")
	b.fill("Username or email", typed)
	b.press("Send link")
	b.sees("Check your email")
	return o.open(to, aReset)
}

// resets follows a reset mail to where the second method is asked.
func (b *tab) resets(mail *letter, password string) {
	b.t.Helper()
	b.opens(mail, "Choose a new password")
	b.fill("New password", password)
	b.press("Set password")
}

// TestForgottenPassword resets a password by name and by address. The second method is asked as ever, other sessions are over, and the
// link works once.
func TestForgottenPassword(t *testing.T) { // S85
	t.Parallel()
	o := openPost(t)
	s := startMailing(t, o)
	alice, elsewhere := o.member(s, "alice")
	o.withApp(alice, elsewhere)
	if !signedIn(t, elsewhere) {
		t.Fatal("not signed in to begin with")
	}
	b := open(t, s)
	b.visit("/.mfa/login")
	b.follow("Forgot password?")
	b.shoot("mail-forgot")
	b.fill("Username or email", "nobody")
	b.press("Send link")
	b.sees("Check your email")
	b.reads("If there is an account")
	b.shoot("mail-forgot-sent")

	mail := b.forgets(o, "alice", "alice@example.com")
	b.opens(mail, "Choose a new password")
	b.shoot("mail-reset", func(seen *tab) { seen.clicks(mail) })
	b.fill("New password", "password")
	if status := b.press("Set password"); status != http.StatusUnprocessableEntity {
		t.Errorf("a common password gives %d, want 422", status)
	}
	b.shoot("mail-reset-refused")
	alice.Password = "another horse battery staple"
	b.fill("New password", alice.Password)
	b.press("Set password")
	b.sees("Enter your code")
	if signedIn(t, elsewhere) {
		t.Error("a session from before the reset still reaches the app")
	}
	b.lacks(button("Use email verification instead")) // the mailbox alone would do
	b.fill("Code", code(t, alice.Phone))
	b.press("Verify")
	b.visit("/")
	b.sees("Example app")
	o.open("alice@example.com", aNewPassword)
	b.press("Sign out")

	other := open(t, s)
	other.clicks(mail)
	other.fill("New password", "a third horse battery staple")
	if status := other.press("Set password"); status != http.StatusUnprocessableEntity {
		t.Errorf("a used link gives %d, want 422", status)
	}
	other.sees("This link no longer works")
	other.shoot("mail-reset-used")

	// By address, in another spelling; the older of two links is dead.
	older := b.forgets(o, "Alice@Example.COM", "alice@example.com")
	newer := b.forgets(o, "alice", "alice@example.com")
	b.resets(older, "a third horse battery staple")
	b.sees("This link no longer works")
	alice.Password = "a fourth horse battery staple"
	b.resets(newer, alice.Password)
	b.sees("Enter your code")
	b.fill("Code", code(t, alice.Phone))
	b.press("Verify")
	b.visit("/")
	b.sees("Example app")
}

// TestForgottenPasswordWithMailAlone has no second method but mail: a mailbox is not two.
func TestForgottenPasswordWithMailAlone(t *testing.T) { // S85
	t.Parallel()
	o := openPost(t)
	s := startMailing(t, o)
	alice, elsewhere := o.member(s, "alice")
	b := open(t, s)
	b.resets(b.forgets(o, "alice", "alice@example.com"), "another horse battery staple")
	if b.text("h1") == "Use a recovery code" { // which everybody has; it would do
		b.lacks(button("Use email verification instead"))
		b.fill("Recovery code", alice.Recovery[0])
		b.press("Verify")
		b.reads("9 left")
		b.visit("/")
		b.sees("Example app")
	}
	if signedIn(t, elsewhere) {
		t.Error("a session from before the reset still reaches the app")
	}

	// Somebody without recovery codes is told to ask.
	plain := openPost(t)
	s = startMailing(t, plain, "methods totp email")
	plain.member(s, "bob")
	b = open(t, s)
	b.resets(b.forgets(plain, "bob", "bob@example.com"), "another horse battery staple")
	b.sees("Ask your administrator")
	b.reads("your mailbox alone")
	b.shoot("mail-reset-ask")
	b.visit("/")
	b.sees("Sign in")
	b.password(&rig.Person{Name: "bob", Password: "another horse battery staple"}, "/")
	b.sees("Ask your administrator")
}

// TestStrangersHost asks for mails with the name of a stranger's host in the request. Links lead to the configured one.
func TestStrangersHost(t *testing.T) { // S29
	t.Parallel()
	o := openPost(t)
	config := mailing(o.option(), "url http://localhost:{port}") + "\nhttp://:{port} {\n\tbind 127.0.0.1\n\tmfa\n\trespond \"open\"\n}\n"
	s := start(t, rig.Config{Caddyfile: config, Env: []string{"SMTP_PASSWORD=" + mailPassword}})
	for who, tc := range map[string]struct{ name, host, forwarded string }{
		"alice": {"X-Forwarded-Host", "", "evil.example"},
		"bob":   {"Host", "evil.example", ""},
		"carol": {"both, with a port", "evil.example:8443", "evil.example:8443"},
	} {
		person, _ := o.member(s, who)
		for _, ask := range []struct {
			path, form, subject string
		}{
			{"/.mfa/forgot", "name=" + who, aReset},
			{"/.mfa/login", "name=" + who + "&password=" + strings.ReplaceAll(person.Password, " ", "+"), aCode},
		} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://127.0.0.1:"+s.Port+ask.path, strings.NewReader(ask.form))
			if err != nil {
				t.Fatal(err)
			}
			req.Host = "localhost:" + s.Port
			if tc.host != "" {
				req.Host = tc.host
			}
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			req.Header.Set("Sec-Fetch-Site", "same-origin")
			req.Header.Set("X-Forwarded-Proto", "https")
			req.Header.Set("X-Forwarded-Host", tc.forwarded)
			req.Header.Set("Forwarded", "host=evil.example;proto=https")
			resp, err := http.DefaultTransport.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if tc.host != "" && resp.StatusCode == http.StatusMisdirectedRequest { // nothing is asked there, and nothing mailed
				continue
			}
			if tc.host != "" || resp.StatusCode != http.StatusSeeOther {
				t.Errorf("%s: %s gives %d", tc.name, ask.path, resp.StatusCode)
				continue
			}
			mail := o.open(address(who), ask.subject)
			if !strings.HasPrefix(mail.link(t), s.URL+"/.mfa/") || strings.Contains(mail.Text+mail.HTML, "evil") {
				t.Errorf("%s: the mail says\n%s", tc.name, mail.Text)
			}
		}
	}
}

// TestAddressChange gives an account another address, and takes it back from the mailbox that it was taken from.
func TestAddressChange(t *testing.T) { // S80
	t.Parallel()
	o := openPost(t)
	s := startMailing(t, o)
	alice, member := o.member(s, "alice")
	o.withApp(alice, member)
	stranger := address("malory")

	// An intruder has the password and the phone for a moment. The proof is asked anew although the session is open.
	b := open(t, s)
	b.signIn(alice)
	b.scripts(false)
	b.visit("/.mfa/security")
	b.changeAddress("bob@", http.StatusUnprocessableEntity)
	b.shoot("mail-address-wrong")
	b.scripts(true)
	b.changeAddress(stranger, 0)
	b.sees("Check your email") // what was proven a moment ago is fresh
	b.reads(stranger)
	b.shoot("mail-address-code")
	confirm := o.open(stranger, aConfirmation)
	if len(confirm.links) != 0 || strings.Contains(confirm.Text, "alice@example.com") {
		t.Errorf("the mail to an address of whoever knows whom says\n%s", confirm.Text)
	}
	b.answer(another(confirm.code(t)))
	b.told("That code is not right.")
	b.answer(confirm.code(t))
	b.sees("Security")
	b.reads(stranger)
	b.reads("Your address was changed.")
	notice := o.open("alice@example.com", aNewAddress)
	if strings.Contains(notice.Text+notice.HTML, stranger) {
		t.Errorf("the old mailbox is told the new one:\n%s", notice.Text)
	}
	// What is set up now is suspended later.
	if err := alice.AddKey(t.Context(), member, rig.Device(s.URL), "Laptop"); err != nil {
		t.Fatal(err)
	}
	theirs := o.open(stranger, aNewMethod)

	// This wasn't me, from the old mailbox, in a browser that the account does not know.
	owner := open(t, s)
	owner.opens(notice, "This wasn't me")
	owner.shoot("mail-not-me", func(seen *tab) { seen.clicks(notice) })
	b.visit("/")
	b.sees("Example app") // opening it did nothing
	owner.press("Secure my account")
	owner.sees("Your account is secured")
	owner.shoot("mail-not-me-done")
	b.visit("/")
	b.sees("Sign in")
	if signedIn(t, member) {
		t.Error("a session survived")
	}
	b.password(alice, "/")
	b.reads("Sign-in to this account is blocked")
	b.shoot("mail-blocked")
	owner.clicks(notice)
	owner.press("Secure my account")
	owner.sees("This link no longer works")
	b.clicks(theirs) // what the intruder was told undoes nothing
	b.press("Secure my account")
	b.sees("This link no longer works")

	// The intruder's mailbox gets no reset; the owner's does, and the method that is older lets in.
	b.visit("/.mfa/forgot")
	b.fill("Username or email", stranger)
	b.press("Send link")
	mail := o.open("alice@example.com", aReset) // without being asked for
	alice.Password = "another horse battery staple"
	owner.resets(mail, alice.Password)
	owner.sees("Enter your code")
	owner.lacks(`//a[normalize-space()="Use a security key"]`)
	owner.fill("Code", code(t, alice.Phone))
	owner.press("Verify")
	owner.scripts(false)
	owner.visit("/.mfa/security")
	owner.sees("Security")
	owner.reads("alice@example.com")
	owner.reads("Suspended")
	owner.shoot("mail-suspended")
	o.settled(s, "carol")
	if n := o.count(stranger, aReset); n != 0 {
		t.Errorf("the intruder's mailbox got %d resets", n)
	}
}

// TestConfirmAddress: an address that an admin gave, of somebody who set up an app, is confirmed by the button that stands beside it.
func TestConfirmAddress(t *testing.T) { // S58
	t.Parallel()
	o := openPost(t)
	s := startMailing(t, o)
	alice := &rig.Person{Name: "alice", Password: "correct horse battery alice"}
	if _, err := s.MFA(t.Context(), alice.Password+"\n", "user", "add", alice.Name, "--email", address(alice.Name), "--password-stdin"); err != nil {
		t.Fatal(err)
	}
	b := open(t, s)
	b.password(alice, "/")
	b.sees("Check your email")
	b.follow("Set up another way")
	b.setUpApp(alice)
	b.press("I've saved my codes")
	b.sees("Example app")
	b.visit("/.mfa/security")
	b.reads("Not confirmed")
	b.reveal("Turn off two-factor authentication")
	b.reads("codes are mailed to you only once your address is confirmed")
	b.shoot("mail-unconfirmed")
	b.press("Confirm this address")
	b.sees("Enter your code") // the app was only set up
	b.reads("to have your email address alice@example.com confirmed.")
	b.fill("Code", code(t, alice.Phone))
	b.press("Verify")
	b.sees("Check your email")
	b.shoot("mail-confirm-address")
	b.answer(o.open(address(alice.Name), aConfirmation).code(t))
	b.sees("Security")
	b.reads("Your address is confirmed.")
	b.lacks(button("Confirm this address"))
}

// changeAddress types another address on the Security page. status 0 is that of a page that went well.
func (b *tab) changeAddress(to string, status int64) {
	b.t.Helper()
	// It is open where it was refused. A browser refuses most typing errors by itself.
	eval[bool](b, `(() => {
		const field = document.getElementById("email");
		field.closest("details").open = true;
		return field.form.noValidate = true;
	})()`)
	b.fill("New email address", to)
	if got := b.press("Send a code"); status != 0 && got != status {
		b.t.Errorf("the address %q gives %d, want %d", to, got, status)
	}
}

// TestResetIsStopped: an admin who cannot be sure who asks announces a reset; its owner stops it in a browser that nobody knows, and
// while pages run no scripts.
func TestResetIsStopped(t *testing.T) { // S28, S86
	t.Parallel()
	o := openPost(t)
	s := startMailing(t, o)
	alice, member := o.member(s, "alice")
	o.withApp(alice, member)
	announce := func() *letter {
		t.Helper()
		if _, err := s.MFA(t.Context(), "", "user", "reset-mfa", "alice", "--delay", "24h"); err != nil {
			t.Fatal(err)
		}
		return o.open(address("alice"), aComingReset)
	}
	pending := func() bool {
		t.Helper()
		shown, err := s.MFA(t.Context(), "", "user", "show", "alice", "--json")
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(shown, `"reset_at"`)
	}
	replaced := announce()
	mail := announce()
	b := open(t, s)
	b.opens(mail, "Stop the reset")
	b.shoot("mail-stop-reset", func(seen *tab) { seen.clicks(mail) })
	if !pending() { // also after the scanners
		t.Fatal("opening the link stopped it")
	}
	b.press("Stop the reset")
	b.sees("The reset is stopped")
	b.shoot("mail-stop-reset-done")
	o.open(address("alice"), aStoppedReset)
	b.clicks(replaced)
	b.press("Stop the reset")
	b.sees("This link no longer works")
	b.clicks(mail)
	b.press("Stop the reset")
	b.sees("This link no longer works")

	plain := withoutScripts(t, s)
	plain.paste(announce(), "Code from the link")
	plain.press("Stop the reset")
	plain.sees("The reset is stopped")
	if pending() || !signedIn(t, member) {
		t.Error("still pending, or done")
	}
	plain.follow("Go to the Security page")
	plain.sees("Sign in")
}
