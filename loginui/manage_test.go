package loginui

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// signInAs makes another account with everything set up, and the browser in which that user is signed in.
func (r *rig) signInAs(name string) *browser {
	r.t.Helper()
	r.add(name)
	b := r.browser()
	b.get("/.mfa/login")
	b.want(b.post("/.mfa/login", "name", name, "password", password), 303, "/.mfa/enroll")
	b.enroll("/")
	return b
}

// again signs alice in, once more, in a browser of its own.
func (r *rig) again(secret string) *browser {
	r.t.Helper()
	b := r.browser()
	b.get("/.mfa/login")
	b.want(b.post("/.mfa/login", "name", "alice", "password", password), 303, "/.mfa/verify/totp")
	r.pass(30 * time.Second)
	b.want(b.post("/.mfa/verify/totp", "code", r.code(secret)), 303, "/")
	return b
}

// sessionsOf are the IDs of somebody's sessions, the newest first.
func (r *rig) sessionsOf(name string) (ids []string) {
	r.t.Helper()
	all, err := r.realm.Sessions(r.t.Context(), name)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, s := range all {
		ids = append(ids, s.ID)
	}
	return ids
}

// Nobody changes another's account, half signed in, by a script, or by a form that no page sends, and nothing is stored then.
func TestManagingRefused(t *testing.T) { // S53, S57, S87
	r := newRig(t)
	r.addAlice()
	alice := r.browser()
	alice.get("/.mfa/login")
	alice.want(alice.post("/.mfa/login", "name", "alice", "password", password), 303, "/.mfa/enroll")
	secret, _ := alice.enroll("/")
	alice = r.again(secret)
	bob := r.signInAs("bob")
	half := r.browser()
	half.get("/.mfa/login")
	half.want(half.post("/.mfa/login", "name", "alice", "password", password), 303, "/.mfa/verify/totp")
	app := r.credentials("bob")["Authenticator app"].ID
	theirs := r.sessionsOf("bob")[0]
	stranger := &browser{r, map[string]string{}, alice.headers}
	script := &browser{r, alice.cookies, map[string]string{"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}}
	const login = "303 /.mfa/login?to=%2F.mfa%2Fsecurity"

	forms := map[string][]string{
		"replace":  {"id", app},
		"password": {"password", "another walk by the sea"},
		"name":     {"display_name", "Alice"},
		"first":    {"method", "totp"},
		"codes":    nil,
		"off":      {"confirm", "DISABLE"},
		"sessions": {"others", "1"},
		"tokens":   {"label", "script", "days", "30", "hosts", host},

		"tokens/revoke": {"id", "x"},
	}
	before := r.records()
	unchanged := func(what string) {
		t.Helper()
		if !maps.Equal(before, r.records()) {
			t.Fatalf("%s: something was stored", what)
		}
	}
	for path, form := range forms {
		for name, tt := range map[string]struct {
			who  *browser
			want string
		}{"stranger": {stranger, login}, "half signed in": {half, login}, "script": {script, "403"}} {
			a := tt.who.post("/.mfa/security/"+path, form...)
			if got := strings.TrimSpace(fmt.Sprint(a.StatusCode, " ", a.Header.Get("Location"))); got != tt.want {
				t.Errorf("%s, %s: %s, want %s", path, name, got, tt.want)
			}
			unchanged(path + ", " + name)
		}
	}
	for name, tt := range map[string]struct {
		path string
		form []string
		want int
		says string
	}{
		"somebody else's app":       {"replace", []string{"id", app}, 404, ""},
		"no app":                    {"replace", nil, 404, ""},
		"somebody else's session":   {"sessions", []string{"id", theirs}, 404, ""},
		"no session":                {"sessions", nil, 404, ""},
		"a path for a session":      {"sessions", []string{"id", "../" + theirs}, 404, ""},
		"no password":               {"password", nil, 422, "Choose a password."},
		"a common password":         {"password", []string{"password", "password1"}, 422, "common"},
		"the name for a password":   {"password", []string{"password", "alicealice"}, 422, ""},
		"a short password":          {"password", []string{"password", "short"}, 422, "8 characters"},
		"a name of two lines":       {"name", []string{"display_name", "a\nb"}, 422, "one line"},
		"a long name":               {"name", []string{"display_name", strings.Repeat("x", 129)}, 422, "128"},
		"what is not set up":        {"first", []string{"method", "webauthn"}, 422, "not set this up"},
		"a method that is none":     {"first", []string{"method", "password"}, 422, "not set this up"},
		"off with nothing":          {"off", nil, 422, "codes cannot be mailed"},
		"off where nothing is left": {"off", []string{"confirm", "DISABLE"}, 422, "codes cannot be mailed"},
	} {
		a := alice.post("/.mfa/security/"+tt.path, tt.form...)
		if a.StatusCode != tt.want || !strings.Contains(a.body, tt.says) {
			t.Errorf("%s: %d, want %d and %q\n%s", name, a.StatusCode, tt.want, tt.says, a.body)
		}
		if a.StatusCode == http.StatusUnprocessableEntity && !strings.Contains(a.body, `role="alert"`) {
			t.Errorf("%s: the page does not say why", name)
		}
		unchanged(name)
	}
	bob.want(bob.get("/.mfa/session"), 200, `"signed_in":true`)
}

// What was typed stands in the page again, but for passwords, and the form is open.
func TestRefusedFormStaysOpen(t *testing.T) {
	r := newRig(t)
	b, _ := r.account()
	page := b.want(b.post("/.mfa/security/name", "display_name", strings.Repeat("x", 129)), 422)
	if !strings.Contains(page.body, strings.Repeat("x", 129)) || !strings.Contains(page.body, "<details open>\n<summary>Change display name") {
		t.Error("what was typed is gone, or hidden")
	}
	const secret = "alice-alice"
	page = b.want(b.post("/.mfa/security/password", "password", secret), 422, "<details open>\n<summary>Change password")
	if strings.Contains(page.body, secret) {
		t.Error("the page holds the password")
	}
}

// An aged session proves itself first, and then the very change is made that was begun, with what was typed.
func TestAgedSessionCompletes(t *testing.T) { // S58
	r := newRig(t)
	r.addAlice()
	first := r.browser()
	first.get("/.mfa/login")
	first.want(first.post("/.mfa/login", "name", "alice", "password", password), 303, "/.mfa/enroll")
	secret, _ := first.enroll("/")
	const next = "seven grey geese in a row"
	for _, tt := range []struct {
		name, path string
		form       []string
		confirm    string // what the page says that it is for
		done       string
		then       string // where else the change leads to, "" for the Security page
	}{
		{"display name", "name", []string{"display_name", "Alice Example"}, "to change your display name", "name", ""},
		{"preferred", "first", []string{"method", "totp"}, "to change what is asked first", "prefer", ""},
		{"others", "sessions", []string{"others", "1"}, "to end your other sessions", "end_others", ""},
		{"replace", "replace", []string{"id", ""}, "to replace “Authenticator app”", "", "/.mfa/enroll/totp"},
		{"codes", "codes", nil, "to make new recovery codes", "", "/.mfa/recovery-codes"},
		{"password", "password", []string{"password", next}, "to change your password", "password", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := r.again(secret)
			r.pass(11 * time.Minute)
			for i, v := range tt.form {
				if v == "" {
					tt.form[i] = r.credentials("alice")["Authenticator app"].ID
				}
			}
			led := b.want(b.post("/.mfa/security/"+tt.path, tt.form...), 303).Header.Get("Location")
			b.want(b.get(led), 200, "Confirm that it is you, "+tt.confirm, ">Cancel</a>")
			old := b.cookies[auth.CookieSession]
			b.want(b.post("/.mfa/verify/password", "password", password), 303, "/.mfa/verify/totp")
			done := "/.mfa/security?done=" + tt.done
			if tt.then != "" {
				done = tt.then
			}
			b.want(b.post("/.mfa/verify/totp", "code", r.code(secret)), 303, done)
			r.pass(30 * time.Second)
			if b.want(b.get(done), 200); tt.then == "" && b.cookies[auth.CookieSession] == old { // S52
				t.Error("the session kept its token")
			}
		})
	}
	account, err := r.realm.User(t.Context(), "alice")
	if err != nil || account.User.DisplayName != "Alice Example" || account.User.Preferred != "totp" {
		t.Errorf("%+v, %v", account.User, err)
	}
	b := r.browser()
	b.get("/.mfa/login")
	b.want(b.post("/.mfa/login", "name", "alice", "password", next), 303, "/.mfa/verify/totp")
}

// The page says when two-factor authentication is off, and how it goes on again.
func TestTurnOffAndOn(t *testing.T) {
	r := newMailRig(t)
	b, old := r.mailAccount()
	b.want(b.get("/.mfa/security"), 200, "Two-factor authentication is off", "No key and no app yet.")
	b.want(b.post("/.mfa/security/add", "method", "totp"), 303, "/.mfa/enroll/totp")
	secret := b.secret()
	b.want(b.post("/.mfa/enroll/totp", "code", b.code(secret)), 303, "/.mfa/security?done=add")
	page := b.want(b.get("/.mfa/security"), 200, "Two-factor authentication is on", "Asked first when you sign in: <strong>Authenticator app</strong>", "Type DISABLE to confirm", "Without this one two-factor authentication would be off. Turn it off instead, or set up another one first.")
	if strings.Contains(page.body, `action="/.mfa/security/remove"`) {
		t.Error("the last method can be removed without the word")
	}
	app := r.credentials("alice")["Authenticator app"].ID
	b.want(b.post("/.mfa/security/remove", "id", app), 422, "Turn it off instead")
	for _, word := range []string{"", "disable", "DISABLED"} {
		b.want(b.post("/.mfa/security/off", "confirm", word), 422, `id="confirm-error" role="alert">Type DISABLE, in capital letters.`)
	}
	b.want(b.post("/.mfa/security/off", "confirm", "DISABLE"), 303, "/.mfa/security?done=off")
	page = b.want(b.get("/.mfa/security?done=off"), 200, "Your keys, your apps and your recovery codes were removed.", "Signing in takes your password and a code by mail.")
	if n := strings.Count(page.body, "Two-factor authentication is off"); n != 1 {
		t.Errorf("it says %d times that it is off", n)
	}
	r.pass(time.Minute)
	fresh, code, _ := r.mailed("")
	fresh.want(fresh.post("/.mfa/verify/recovery", "code", old[0]), 303, "/.mfa/verify/email") // neither is asked for
	fresh.want(fresh.post("/.mfa/verify/totp", "code", r.code(secret)), 303, "/.mfa/verify/email")
	fresh.want(fresh.post("/.mfa/verify/email", "code", code), 303, "/.mfa/recovery-codes")
}

// The activity is one's own, in words, and its values are no markup.
func TestActivity(t *testing.T) { // S77, S87
	r := newRig(t)
	r.addAlice()
	b := r.browser()
	b.get("/.mfa/login")
	b.want(b.post("/.mfa/login", "name", "alice", "password", password), 303, "/.mfa/enroll")
	secret, _ := b.enroll("/")
	bob := r.signInAs("bob")
	b = r.again(secret)
	b.want(b.post("/.mfa/security/name", "display_name", "<b>Alice</b>"), 303)
	if page := b.get("/.mfa/security"); strings.Contains(page.body, "<b>") {
		t.Error("a name became markup")
	}
	r.again(secret)
	for _, e := range r.events("alice") {
		if !english.Has("event." + e) {
			t.Errorf("the event %s has no words", e)
		}
	}
	b.want(b.get("/.mfa/security/activity"), 200, "Account made", "by an administrator", "Signed in", "192.0.2.1")
	page := bob.want(bob.get("/.mfa/security/activity"), 200, "Signed in")
	if strings.Contains(page.body, "Display name changed") {
		t.Error("somebody else's events are shown")
	}
	if page := b.get("/.mfa/security/activity"); strings.Contains(page.body, "Alice</b>") {
		t.Error("a value stands in the activity")
	}
}

// events are the names of what happened to somebody's account.
func (r *rig) events(name string) (names []string) {
	r.t.Helper()
	account, err := r.realm.User(r.t.Context(), name)
	if err != nil {
		r.t.Fatal(err)
	}
	events, err := r.realm.Activity(r.t.Context(), account.User.ID)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, e := range events {
		names = append(names, e.Name)
	}
	return names
}

// A reset that was announced stands on the page, with the time when it is due.
func TestAnnouncedResetIsShown(t *testing.T) {
	r := newMailRig(t)
	b, _ := r.mailAccount()
	if page := b.get("/.mfa/security"); strings.Contains(page.body, "will reset your two-factor") {
		t.Error("a reset that nobody announced is shown")
	}
	due, _, err := r.realm.AnnounceReset(t.Context(), "alice", 24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	b.want(b.get("/.mfa/security"), 200, "Your administrator will reset your two-factor authentication on", machine(due), "stop it")
}
