package loginui

import (
	"strings"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// reconfigure goes on with another configuration, as a reload does.
func (r *rig) reconfigure(change func(*auth.Config)) {
	change(&r.config)
	r.realm = r.state.Realm(r.config)
}

// leaveOut switches a method off.
func (r *rig) leaveOut(name string) {
	r.reconfigure(func(c *auth.Config) {
		var rest []auth.Method
		for _, m := range c.Methods {
			if m.Name() != name {
				rest = append(rest, m)
			}
		}
		c.Methods = rest
	})
}

// signIn signs alice in with her app and returns where that leads.
func (b *browser) signIn(secret, to string) string {
	b.t.Helper()
	b.pass(30 * time.Second)
	b.get("/.mfa/login")
	b.want(b.post("/.mfa/login", "name", "alice", "password", password, "to", to), 303, "/.mfa/verify/totp")
	return b.want(b.post("/.mfa/verify/totp", "code", b.code(secret)), 303).Header.Get("Location")
}

// appOf makes alice with an app, and returns its secret.
func (r *rig) appOf() (b *browser, secret string) {
	r.t.Helper()
	r.addAlice()
	b = r.browser()
	b.get("/.mfa/login")
	b.want(b.post("/.mfa/login", "name", "alice", "password", password), 303, "/.mfa/enroll")
	secret, _ = b.enroll("/")
	return b, secret
}

func (b *browser) lacks(a answer, texts ...string) {
	b.t.Helper()
	for _, text := range texts {
		if strings.Contains(a.body, text) {
			b.t.Errorf("the page says %q:\n%s", text, a.body)
		}
	}
}

// What an admin switched off stands there as that, can go, and cannot be changed.
func TestSwitchedOffMethod(t *testing.T) {
	r := newRig(t)
	d := device()
	r.holder(d)
	b := r.browser()
	b.want(b.passkey(d), 303, "/deep")
	b.want(b.post("/.mfa/security/add", "method", "totp"), 303, "/.mfa/enroll/totp")
	b.want(b.post("/.mfa/enroll/totp", "code", b.code(b.secret())), 303, "/.mfa/security?done=add")
	r.leaveOut(auth.MethodTOTP)
	page := b.want(b.get("/.mfa/security"), 200, "Two-factor authentication is on", ">Switched off by your administrator</span>", "It signs nobody in.", "Then it does not come back")
	b.lacks(page, ">Replace</summary>", "Add an authenticator app")
	if n := strings.Count(page.body, ">Rename</summary>"); n != 1 {
		t.Errorf("%d can be renamed, want the key alone", n)
	}
	b.want(b.post("/.mfa/security/remove", "id", r.credentials("alice")["Authenticator app"].ID), 303, "/.mfa/security?done=remove")
	b.lacks(b.get("/.mfa/security"), "Switched off")

	b.want(b.get("/.mfa/security"), 200, "a second method, or a passkey")

	r.leaveOut(auth.MethodRecovery)
	page = b.want(b.get("/.mfa/security"), 200, ">Switched off by your administrator</span>")
	b.lacks(page, "of 10 left", "Make ten new codes")
}

// Where no second method works the page says what is left, and what can be done.
func TestNoSecondMethodWorks(t *testing.T) {
	r := newRig(t)
	b, _ := r.account()
	app := r.credentials("alice")["Authenticator app"].ID
	r.leaveOut(auth.MethodTOTP)
	page := b.want(b.get("/.mfa/security"), 200, "Two-factor authentication is off", "No second method that works is set up. Beside your password, only your recovery codes can sign you in. Set one up now",
		"Beside it you have no second method that works here.")
	b.lacks(page, `action="/.mfa/security/remove"`, "only second method that works")
	b.want(b.post("/.mfa/security/remove", "id", app), 422, "Beside it you have no second method that works here.")
	r.leaveOut(auth.MethodWebAuthn)
	b.want(b.get("/.mfa/security"), 200, "can sign you in. You cannot set one up here: ask your administrator.")
	r.leaveOut(auth.MethodRecovery)
	b.lacks(b.want(b.get("/.mfa/security"), 200, "is set up. You cannot"), "recovery codes can")
}

// What a policy holds says so before anybody presses.
func TestKeptByPolicy(t *testing.T) {
	r := newRig(t)
	d := device()
	r.holder(d)
	b := r.browser()
	b.want(b.passkey(d), 303, "/deep")
	b.want(b.post("/.mfa/security/add", "method", "totp"), 303, "/.mfa/enroll/totp")
	b.want(b.post("/.mfa/enroll/totp", "code", b.code(b.secret())), 303, "/.mfa/security?done=add")
	b.lacks(b.get("/.mfa/security"), "requires it")
	r.reconfigure(func(c *auth.Config) {
		c.Policies = []auth.Policy{{Name: "Keys <for> all", Methods: []string{auth.MethodWebAuthn}}}
	})
	page := b.want(b.get("/.mfa/security"), 200, "<p>Your administrator requires it: Keys &lt;for&gt; all. Set up another one first.</p>")
	if n := strings.Count(page.body, `action="/.mfa/security/remove"`); n != 1 {
		t.Errorf("%d can be removed, want the app alone", n)
	}
	for _, c := range r.credentials("alice") {
		if c.Method == auth.MethodWebAuthn {
			b.want(b.post("/.mfa/security/remove", "id", c.ID), 422, "Your administrator requires it: Keys &lt;for&gt; all.")
		}
	}
	b.addKey(device(), "Red key")
	b.lacks(b.get("/.mfa/security"), "requires it")
}

// Who has an app and needs a key is not told that a password is not enough.
func TestOneMoreIsRequired(t *testing.T) {
	r := newRig(t)
	_, secret := r.appOf()
	r.reconfigure(func(c *auth.Config) {
		c.Policies = []auth.Policy{{Name: "Keys", Methods: []string{auth.MethodWebAuthn}}}
	})
	b := r.browser()
	if to := b.signIn(secret, "/deep"); to != "/.mfa/enroll" {
		t.Fatalf("led to %s", to)
	}
	page := b.want(b.get("/.mfa/enroll"), 200, "One more way to sign in is required.", `Keys</bdi></p><p class="row-more">Security key or passkey<`)
	b.lacks(page, "Your password alone")
	b.want(b.post("/.mfa/enroll", "method", "webauthn"), 303, "/.mfa/enroll/webauthn")
	b.register(device(), "", "/deep")
}

// The reminder names the date, and brings those who set something up to where they wanted to go.
func TestReminderLeadsOn(t *testing.T) {
	r := newRig(t)
	_, secret := r.appOf()
	const day = 24 * time.Hour
	keys := auth.Policy{Name: "Keys", Methods: []string{auth.MethodWebAuthn}, Grace: 14 * day}
	r.reconfigure(func(c *auth.Config) { c.Policies = []auth.Policy{keys} })
	b := r.browser()
	const here = "/.mfa/remind?to=%2Fdeep%3Fa%3Db"
	if to := b.signIn(secret, "/deep?a=b"); to != here {
		t.Fatalf("led to %s", to)
	}
	due := machine(r.time().Add(14 * day))
	page := b.want(b.get(here), 200, "One more way to sign in is needed soon", due, "you cannot sign in without it", "Security key or passkey", `name="to" value="`+here+`"`, `href="/deep?a=b">Later<`)
	if n := strings.Count(page.body, "<time"); n != 1 {
		t.Errorf("%d dates, want one", n)
	}
	b.lacks(page, "Ask your administrator", "Add an authenticator app")

	// Proofs that are too old are asked for on the way. Whoever leaves it comes back here, and whoever loses it hears of that.
	r.pass(11 * time.Minute)
	b.want(b.post("/.mfa/security/add", "method", "webauthn", "to", here), 303, "/.mfa/verify/password")
	b.want(b.get("/.mfa/verify/password"), 200, `name="to" value="`+here+`"`, `<a href="`+here+`">Cancel</a>`)
	b.want(b.post("/.mfa/verify/password", "password", password, "to", here), 303, "/.mfa/verify/totp")
	b.want(b.post("/.mfa/verify/totp", "code", b.code(secret), "to", here), 303, "/.mfa/enroll/webauthn")
	b.register(device(), "Blue key", here)
	b.want(b.get(here), 303, "/deep?a=b") // it is met
	b.want(b.get("/.mfa/security"), 200, `Keys</bdi> <span class="tag">Met</span>`)
	b.want(b.post("/.mfa/enroll/webauthn", "response", "{}", "to", here), 303, "/.mfa/security?lost=1")

	// Of what else a form says as its target only paths of this host count, as a step-up says them.
	for _, to := range []string{"//evil.example", "https://evil.example/.mfa/remind?to=/", "/.mfa/logout", "/.mfa/remindful?to=/"} {
		b.want(b.post("/.mfa/security/add", "method", "webauthn", "to", to), 303, "/.mfa/enroll/webauthn")
		b.register(device(), "", "/.mfa/security?done=add")
	}
}

// Dates that differ stand beside what they are of, and what cannot be set up here says so.
func TestReminderOfSeveral(t *testing.T) {
	r := newRig(t)
	_, secret := r.appOf()
	from := r.time().Add(48 * time.Hour)
	r.leaveOut(auth.MethodWebAuthn)
	keys := auth.Policy{Name: "Keys", Methods: []string{auth.MethodWebAuthn}, From: from}
	r.reconfigure(func(c *auth.Config) { c.Policies = []auth.Policy{keys} })
	b := r.browser()
	b.signIn(secret, "/deep")
	const here = "/.mfa/remind?to=%2Fdeep"
	page := b.want(b.get(here), 200, machine(from), "It cannot be set up here. Ask your administrator.", `<a class="main" href="/deep">Later<`)
	b.lacks(page, "/.mfa/security/add")
	b.want(b.get("/.mfa/security"), 200, "Needed by", "It cannot be set up here. Ask your administrator.")

	later := keys
	later.Name, later.From = "More keys", from.Add(time.Hour)
	r.reconfigure(func(c *auth.Config) { c.Policies = append(c.Policies, later) })
	b.want(b.get(here), 200, "After its date, you cannot sign in without it.", "Needed by <time datetime=\""+machine(from), "Needed by <time datetime=\""+machine(later.From))
}

// Where a policy came into force in an open session the page says what the next sign-in asks.
func TestOverdueOnSecurityPage(t *testing.T) {
	r := newRig(t)
	b, _ := r.appOf()
	b.lacks(b.want(b.get("/.mfa/security"), 200, "Signing in takes your password and a second method."), "or a passkey")
	r.reconfigure(func(c *auth.Config) {
		c.Policies = []auth.Policy{{Name: "Keys", Methods: []string{auth.MethodWebAuthn}}}
	})
	b.want(b.get("/.mfa/security"), 200, `Keys</bdi> <span class="tag warn">Not met</span>`, "At your next sign-in you have to set it up")
	r.leaveOut(auth.MethodWebAuthn)
	b.lacks(b.want(b.get("/.mfa/security"), 200, "It cannot be set up here."), "At your next sign-in")
}
