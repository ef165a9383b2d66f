package loginui

import (
	"html"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// The portal of these tests lists app by its name, and stray by a wildcard.
const app, stray = "app.example.net", "stray.example.net"

// portalRig is a rig whose host is the portal of another one, and what the gate there sealed for /deep?a=b.
func portalRig(t *testing.T, c auth.Config) (r *rig, to string) {
	t.Helper()
	c.Portal = &auth.Portal{Host: host, Lists: func(h string) bool { return h == app || h == stray }, Names: func(h string) bool { return h == app }}
	r = newRigWith(t, c)
	r.home()
	to, _, err := r.realm.SealTarget(auth.Visit{Host: app, Origin: "https://" + app}, "/deep?a=b")
	if err != nil {
		t.Fatal(err)
	}
	return r, to
}

// home makes r's pages those of the portal.
func (r *rig) home() {
	r.t.Helper()
	var err error
	if r.Portal, err = New(r.state.Realm(r.config), Options{Now: r.time, Logger: r.logger, Home: "https://" + host}); err != nil {
		r.t.Fatal(err)
	}
}

// wantAway fails the test unless a leads to the other host with a code.
func (b *browser) wantAway(a answer) {
	b.t.Helper()
	if to := a.Header.Get("Location"); a.StatusCode != 303 || !strings.HasPrefix(to, "https://"+app+"/.mfa/handover?code=") || len(to) < 80 {
		b.t.Fatalf("%s to %q", a.Status, to)
	}
}

// Whatever lies between a sign-in and the app leads on to the other host in the end, and its policy lets forms go there (S62).
func TestWaysToAnotherHost(t *testing.T) {
	r, to := portalRig(t, auth.Config{})
	escaped := url.QueryEscape(to)
	const policyThere = "form-action 'self' https://" + app + "; frame-ancestors"
	allowed := func(a answer, want bool) {
		t.Helper()
		if policy := a.Header.Get("Content-Security-Policy"); strings.Contains(policy, policyThere) != want || strings.Contains(policy, app) != want {
			t.Errorf("policy %s", policy)
		}
	}
	r.addAlice()
	b := r.browser()
	allowed(b.want(b.get("/.mfa/login?to="+escaped), 200, "to continue to <strong>"+app+"</strong>", `name="to" value="`+html.EscapeString(to)), true)
	b.want(b.post("/.mfa/login", "name", "alice", "password", password, "to", to), 303, "/.mfa/enroll")
	allowed(b.want(b.get("/.mfa/enroll"), 200), true)
	b.want(b.post("/.mfa/enroll", "method", "totp"), 303, "/.mfa/enroll/totp")
	secret := b.secret()
	allowed(b.want(b.get("/.mfa/enroll/totp"), 200, "img"), true)
	b.want(b.post("/.mfa/enroll/totp", "code", b.code(secret)), 303, "/.mfa/recovery-codes")
	page := b.want(b.get("/.mfa/recovery-codes"), 200)
	allowed(page, true)
	b.wantAway(b.post("/.mfa/recovery-codes", "confirm", "1"))
	b.wantAway(b.get("/.mfa/login?to=" + escaped))
	allowed(b.want(b.get("/.mfa/security"), 200), false)
	codes := codesOn(page.body)

	signIn := func() *browser {
		t.Helper()
		r.pass(time.Minute)
		b := r.browser()
		b.get("/.mfa/login")
		b.want(b.post("/.mfa/login", "name", "alice", "password", password, "to", to), 303, "/.mfa/verify/totp")
		return b
	}
	b = signIn()
	allowed(b.want(b.get("/.mfa/verify/totp"), 200), true)
	allowed(b.want(b.post("/.mfa/verify/totp", "code", "000000"), 401), true)
	b.wantAway(b.post("/.mfa/verify/totp", "code", b.code(secret)))

	b = signIn()
	b.want(b.post("/.mfa/verify/recovery", "code", codes[0]), 303, "/.mfa/recovery-used?to="+escaped)
	b.want(b.get("/.mfa/recovery-used?to="+escaped), 200, `href="/.mfa/login?to=`+escaped)

	b = signIn()
	b.want(b.post("/.mfa/verify/totp", "code", b.code(secret), "upgrade", "1"), 303, "/.mfa/upgrade?to="+escaped)
	allowed(b.want(b.get("/.mfa/upgrade?to="+escaped), 200, `href="/.mfa/login?to=`+escaped), true)
	b.want(b.post("/.mfa/upgrade", "response", "{}", "to", to), 303, "/.mfa/login?to="+escaped)

	// More is asked for on the other host: what was proven is enough, or is not.
	b.wantAway(b.get("/.mfa/step-up?methods=totp&max_age=600&to=" + escaped))
	allowed(b.want(b.get("/.mfa/step-up?methods=recovery&to="+escaped), 200, "Confirm that it is you"), true)
	b.want(b.post("/.mfa/step-up", "methods", "recovery", "to", to), 303, "/.mfa/verify/recovery")
	b.want(b.post("/.mfa/verify/recovery", "code", codes[1]), 303, "/.mfa/recovery-used?to="+escaped)

	r.config.OnePage = true
	r.home()
	r.pass(time.Minute)
	b = r.browser()
	b.get("/.mfa/login?to=" + escaped)
	b.want(b.post("/.mfa/login", "name", "alice", "password", password, "to", to), 303, "/.mfa/verify/totp?to="+escaped)
	allowed(b.want(b.get("/.mfa/verify/totp?to="+escaped), 200), true)
	b.wantAway(b.post("/.mfa/verify/totp?to="+escaped, "code", b.code(secret), "to", to))

	// Nothing but what a gate sealed.
	for _, forged := range []string{to[:len(to)-3] + "AAA", "https://" + app + "/", to + "A"} {
		b.want(b.get("/.mfa/login?to="+url.QueryEscape(forged)), 303, "/.mfa/security")
		b.want(b.get("/.mfa/recovery-used?to="+url.QueryEscape(forged)), 200, `href="/"`)
		b.want(b.get("/.mfa/upgrade?to="+url.QueryEscape(forged)), 200)
	}
	// Of an old one only the address is left, and the gate begins anew.
	for range 2 {
		r.pass(20 * time.Minute)
		b.want(b.get("/.mfa/security"), 200)
	}
	b.want(b.get("/.mfa/login?to="+escaped), 303, "https://"+app+"/deep?a=b")
}

// A host that only a wildcard lists may be somebody else's: whoever goes there confirms it first, once in a session, by a button of that very page.
func TestContinueToAHostBelowAWildcard(t *testing.T) { // S61, S62, S65
	r, exact := portalRig(t, auth.Config{})
	r.addAlice()
	b := r.browser()
	b.get("/.mfa/login")
	b.want(b.post("/.mfa/login", "name", "alice", "password", password), 303, "/.mfa/enroll")
	secret, _ := b.enroll("/")
	seal := func(h, path string) string {
		t.Helper()
		to, _, err := r.realm.SealTarget(auth.Visit{Host: h, Origin: "https://" + h}, path)
		if err != nil {
			t.Fatal(err)
		}
		return to
	}
	to := seal(stray, "/deep?a=b")
	login := "/.mfa/login?to=" + url.QueryEscape(to)
	for range 2 {
		a := b.want(b.get(login), 200, "Continue to "+stray+"?", "https://"+stray, `action="/.mfa/continue"`, html.EscapeString(to))
		if policy := a.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "form-action 'self' https://"+stray+"; frame-ancestors 'none'") {
			t.Errorf("policy %s", policy)
		}
	}
	b.wantAway(b.get("/.mfa/login?to=" + url.QueryEscape(exact)))
	for name, c := range map[string]struct {
		header, value string
		want          int
	}{
		"another host of the domain": {"Sec-Fetch-Site", "same-site", 403},
		"another site":               {"Sec-Fetch-Site", "cross-site", 403},
		"a script":                   {"Sec-Fetch-Mode", "cors", 403},
		"a frame":                    {"Sec-Fetch-Dest", "iframe", 403},
		"nobody knows":               {"Sec-Fetch-Site", "", 403},
	} {
		before := b.headers[c.header]
		if b.headers[c.header] = c.value; c.value == "" {
			delete(b.headers, c.header)
		}
		if a := b.post("/.mfa/continue", "to", to); a.StatusCode != c.want || strings.Contains(a.Header.Get("Location"), stray) {
			t.Errorf("sent by %s: %s to %s", name, a.Status, a.Header.Get("Location"))
		}
		b.headers[c.header] = before
	}
	b.want(b.get("/.mfa/continue?to="+url.QueryEscape(to)), 303, login)
	b.want(b.get(login), 200, "Continue to ")
	b.want(b.post("/.mfa/continue", "to", "https://"+stray+"/"), 303, "/.mfa/login")
	b.want(b.post("/.mfa/continue"), 303, "/.mfa/login")
	stranger := r.browser()
	stranger.want(stranger.post("/.mfa/continue", "to", to), 303, login)

	toStray := func(a answer) {
		t.Helper()
		if to := a.Header.Get("Location"); a.StatusCode != 303 || !strings.HasPrefix(to, "https://"+stray+"/.mfa/handover?code=") {
			t.Fatalf("%s to %q", a.Status, to)
		}
	}
	toStray(b.post("/.mfa/continue", "to", to))
	toStray(b.get(login))
	toStray(b.get("/.mfa/login?to=" + url.QueryEscape(seal(stray, "/other"))))

	// Who leaves the page open for long has confirmed, too, and the gate begins anew.
	late := r.browser()
	old := seal(stray, "/late?x")
	late.want(late.get(late.signIn(secret, old)), 200, "Continue to ")
	for range 2 {
		r.pass(20 * time.Minute)
		late.want(late.get("/.mfa/security"), 200)
	}
	late.want(late.post("/.mfa/continue", "to", old), 303, "https://"+stray+"/late?x")
	toStray(late.get("/.mfa/login?to=" + url.QueryEscape(seal(stray, "/late?x"))))
}

// Whoever is sent round in circles sees that after a while.
func TestWaysToAnotherHostAreCounted(t *testing.T) {
	r, to := portalRig(t, auth.Config{})
	b, _ := r.appOf()
	login := "/.mfa/login?to=" + url.QueryEscape(to)
	for range 60 {
		b.wantAway(b.get(login))
	}
	a := b.want(b.get(login), 429, "Too many pages at once", "Wait 60 seconds", `href="/.mfa/security"`)
	if wait := a.Header.Get("Retry-After"); wait != "60" {
		t.Errorf("Retry-After %q", wait)
	}
	r.pass(time.Minute)
	b.wantAway(b.get(login))
}

// The reminder of a policy is one of those ways.
func TestReminderOnTheWayToAnotherHost(t *testing.T) {
	r, to := portalRig(t, auth.Config{Policies: []auth.Policy{{Name: "Keys for everybody", Methods: []string{auth.MethodWebAuthn}, Grace: 24 * time.Hour}}})
	escaped := url.QueryEscape(to)
	r.addAlice()
	b := r.browser()
	b.get("/.mfa/login")
	b.want(b.post("/.mfa/login", "name", "alice", "password", password, "to", to), 303, "/.mfa/enroll")
	b.enroll("/.mfa/remind?to=" + escaped)
	b.want(b.get("/.mfa/remind?to="+escaped), 200, "Keys for everybody", `href="/.mfa/login?to=`+escaped)
}

// What is as long as a target may be is not lost on the way over the reminder, nor where somebody sets up from there what is required.
func TestLongTargetsOverTheReminder(t *testing.T) {
	policies := []auth.Policy{{Name: "Keys for everybody", Methods: []string{auth.MethodWebAuthn}, Grace: 24 * time.Hour}}
	long := "/deep?q=" + strings.Repeat("%22%C3%A9", 900)
	for _, name := range []string{"here", "on another host"} {
		t.Run(name, func(t *testing.T) {
			c := auth.Config{Policies: policies}
			var r *rig
			to, leads := long, html.EscapeString(long)
			if name == "here" {
				r = newRigWith(t, c)
			} else {
				r, _ = portalRig(t, c)
				sealed, _, err := r.realm.SealTarget(auth.Visit{Host: app, Origin: "https://" + app}, long)
				if err != nil {
					t.Fatal(err)
				}
				to, leads = sealed, "/.mfa/login?to="+url.QueryEscape(sealed)
			}
			r.addAlice()
			b := r.browser()
			b.get("/.mfa/login")
			b.want(b.post("/.mfa/login", "name", "alice", "password", password), 303, "/.mfa/enroll")
			secret, _ := b.enroll("/.mfa/remind?to=%2F")
			reminder := b.signIn(secret, to)
			if reminder != "/.mfa/remind?to="+url.QueryEscape(to) {
				t.Fatalf("led to %.100s", reminder)
			}
			b.want(b.get(reminder), 200, "Keys for everybody", `href="`+leads+`"`, `value="`+html.EscapeString(reminder)+`"`)
			// What is begun there and given up leads back.
			next := b.want(b.post("/.mfa/security/add", "method", "webauthn", "to", reminder), 303).Header.Get("Location")
			b.want(b.get(next), 200, `href="`+html.EscapeString(reminder)+`"`)
			other := r.browser()
			other.want(other.get("/.mfa/recovery-used?to="+url.QueryEscape(reminder)), 303, "/.mfa/login?to="+url.QueryEscape(reminder))
			other.want(other.get("/.mfa/login?to="+url.QueryEscape(reminder)), 200, `value="`+html.EscapeString(reminder)+`"`)
			if got := other.signIn(secret, reminder); got == "/" || !strings.Contains(got, url.QueryEscape(to)) {
				t.Errorf("a sign-in on the way there leads to %.100s", got)
			}
		})
	}
}

// A link to the page of a step-up on a gated host, as the script for apps opens it, leads to the portal's with a target that it signed.
func TestStepUpBeginsOnAnotherHost(t *testing.T) {
	r, _ := portalRig(t, auth.Config{})
	b := r.browser()
	b.host = app
	lead := b.want(b.get("/.mfa/step-up?methods=totp&max_age=900&to=%2F.mfa%2Fsigned-in"), 303).Header.Get("Location")
	u, err := url.Parse(lead)
	if err != nil || u.Host != host || u.Path != "/.mfa/step-up" || u.Query().Get("methods") != "totp" || u.Query().Get("max_age") != "900" {
		t.Fatalf("led to %q", lead)
	}
	target, ok := r.realm.OpenTarget(u.Query().Get("to"))
	if !ok || target.Host != app || target.Path != "/.mfa/signed-in" {
		t.Errorf("for %+v, %v", target, ok)
	}
	b.headers["Sec-Fetch-Mode"] = "cors"
	b.want(b.get("/.mfa/step-up?methods=totp"), 403)
}
