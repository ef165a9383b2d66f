package loginui

import (
	"maps"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

func TestStepUpURL(t *testing.T) {
	p := newRig(t).Portal
	for _, c := range []struct {
		need auth.Requirement
		to   string
		want string
	}{
		{auth.Requirement{Methods: []string{"webauthn", "totp"}, MaxAge: 15 * time.Minute}, "/a?b=c&d", "/.mfa/step-up?methods=webauthn+totp&max_age=900&to=%2Fa%3Fb%3Dc%26d"},
		{auth.Requirement{MaxAge: time.Minute}, "/", "/.mfa/step-up?max_age=60&to=%2F"},
		{auth.Requirement{Methods: []string{"totp"}}, "", "/.mfa/step-up?methods=totp"},
		{auth.Requirement{Methods: []string{"totp"}}, "/" + strings.Repeat("x", maxTarget), "/.mfa/step-up?methods=totp"},
	} {
		if got := p.StepUpURL(c.need, c.to, false); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
	if got := p.StepUpURL(auth.Requirement{MaxAge: time.Minute}, "/a", true); got != "/.mfa/step-up?max_age=60&to=%2Fa&lost=1" {
		t.Errorf("for a form that is lost: %q", got)
	}
}

func TestStepUpPages(t *testing.T) {
	r := newRig(t)
	r.addAlice()
	first := r.browser()
	first.get("/.mfa/login")
	first.want(first.post("/.mfa/login", "name", "alice", "password", password), 303, "/.mfa/enroll")
	secret, codes := first.enroll("/")
	b := r.again(secret)
	r.pass(20 * time.Minute)
	page := b.want(b.get("/.mfa/step-up?max_age=900&to=%2Fadmin%2F%3Fa%3Db"), 200, "Confirm that it is you", "more than 15 minutes old", `action="/.mfa/step-up"`,
		`name="max_age" value="900"`, `name="to" value="/admin/?a=b"`, "Continue").body
	if strings.Contains(page, "Set up") {
		t.Error("offers a set-up")
	}
	before := maps.Clone(b.cookies)
	b.want(b.post("/.mfa/step-up", "max_age", "900", "methods", "", "to", "/admin/?a=b"), 303, "/.mfa/verify/totp")
	b.want(b.get("/.mfa/verify/totp"), 200, "Confirm that it is you, to go on.", "Use a recovery code")
	b.want(b.post("/.mfa/verify/totp", "code", "000000"), 401)
	r.pass(time.Minute)
	b.want(b.post("/.mfa/verify/totp", "code", b.code(secret)), 303, "/admin/?a=b")
	if b.cookies[auth.CookieSession] == before[auth.CookieSession] {
		t.Error("the session's token was not rotated")
	}
	b.want(b.post("/.mfa/step-up", "max_age", "900", "to", "/admin/"), 303, "/admin/") // nothing is left to prove

	// A recovery code where an app is asked for.
	r.pass(5 * time.Minute)
	b.want(b.post("/.mfa/step-up", "methods", "totp", "max_age", "60", "to", "/admin/"), 303, "/.mfa/verify/totp")
	b.want(b.post("/.mfa/verify/totp", "code", codes[0]), 401, "That code is not right")
	if page := b.get("/.mfa/verify/totp").body; strings.Contains(page, "Use a recovery code") {
		t.Error("a recovery code is offered")
	}

	// The page asks for what is not set up.
	b.want(b.get("/.mfa/step-up?methods=webauthn&to=%2Fadmin%2F"), 200, "What counts: Security key or passkey", "You have none of that set up yet", `action="/.mfa/security/add"`,
		`name="method" value="webauthn"`, `name="to" value="/admin/"`)

	// What works nowhere here.
	b.want(b.get("/.mfa/step-up?methods=email&to=%2Fadmin%2F"), 403, "You may not see this page yet", "Email", "ask your administrator")
	b.want(b.post("/.mfa/step-up", "methods", "email", "to", "/admin/"), 303, "/.mfa/ask-admin")
	b.want(b.get("/.mfa/ask-admin"), 200, "Ask your administrator")

	// A form that could not be kept, and times in words.
	for query, want := range map[string]string{
		"max_age=60&lost=1": "What you sent could not be kept.", "max_age=60": "more than 1 minute old", "max_age=90": "more than 90 seconds old", "max_age=6000": "more than 100 minutes old",
		"max_age=7200": "more than 2 hours old", "max_age=604800": "more than 7 days old",
	} {
		b.want(b.get("/.mfa/step-up?"+query), 200, want)
	}

	// Strange values.
	for _, query := range []string{"", "methods=sms", "methods=totp+totp+%3Cb%3E", "max_age=-1", "max_age=99999999999999999999", "max_age=1e3", "max_age=x&methods=" + strings.Repeat("a", 3000)} {
		if page := b.want(b.get("/.mfa/step-up?"+query), 200, "Confirm that it is you").body; strings.Contains(page, "<b>") {
			t.Errorf("%s came through", query)
		}
		values, _ := url.ParseQuery(query)
		if a := b.post("/.mfa/step-up", "methods", values.Get("methods"), "max_age", values.Get("max_age")); a.StatusCode != 303 && a.StatusCode != 422 {
			t.Errorf("%s: %s", query, a.Status)
		}
	}

	// Other sites as target. S65
	for _, to := range []string{"//evil.example.com", "https://evil.example.com/", "/.mfa/logout", `/\evil.example.com`} {
		if page := b.get("/.mfa/step-up?max_age=60&to=" + url.QueryEscape(to)).body; strings.Contains(page, `name="to"`) {
			t.Errorf("%q is a target", to)
		}
		b.want(b.post("/.mfa/step-up", "methods", "password totp", "to", to), 303, "/")
	}

	// A script may not begin it.
	records := r.records()
	b.headers["Sec-Fetch-Mode"], b.headers["Sec-Fetch-Dest"] = "cors", "empty"
	b.want(b.post("/.mfa/step-up", "max_age", "60"), 403)
	b.headers["Sec-Fetch-Mode"], b.headers["Sec-Fetch-Dest"] = "navigate", "document"
	if !maps.Equal(records, r.records()) {
		t.Error("something was stored")
	}

	// Nobody signed in.
	stranger := r.browser()
	stranger.want(stranger.get("/.mfa/step-up?max_age=60&to=%2Fadmin%2F"), 303, "/.mfa/login?to=%2Fadmin%2F")
	stranger.get("/.mfa/login")
	stranger.want(stranger.post("/.mfa/step-up", "max_age", "60", "to", "/admin/"), 303, "/.mfa/login?to=%2Fadmin%2F")
}
