package loginui

import (
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// onePage makes r's people sign in on one page, as a reload would.
func (r *rig) onePage() {
	r.t.Helper()
	r.config.OnePage = true
	var err error
	if r.Portal, err = New(r.state.Realm(r.config), Options{Now: r.time, Logger: r.logger}); err != nil {
		r.t.Fatal(err)
	}
}

// onePageRig is a rig with mail, whose alice has an app and recovery codes and signs in on one page.
func onePageRig(t *testing.T) (r *rig, secret string, codes []string) {
	t.Helper()
	r = newMailRig(t)
	r.addAlice()
	b := r.browser()
	b.get("/.mfa/login")
	b.want(b.post("/.mfa/login", "name", "alice", "password", password), 303, "/.mfa/enroll")
	secret, codes = b.enroll("/")
	r.onePage()
	return r, secret, codes
}

func TestOnePageSignsIn(t *testing.T) {
	r, secret, codes := onePageRig(t)
	b := r.browser()
	page := b.want(b.get("/.mfa/login?to=/deep"), 200, `<label for="code">Code <small>(if you have one at hand)</small></label>`,
		`autocomplete="one-time-code"`, "Sign in with a passkey", `name="upgrade"`)
	if strings.Count(page.body, "required") != 2 {
		t.Error("the code is demanded")
	}
	b.want(b.post("/.mfa/login", "name", "alice", "password", password, "code", " "+b.code(secret)+" ", "to", "/deep"), 303, "/deep")
	b.want(b.get("/.mfa/security"), 200, "alice")

	b = r.browser()
	b.get("/.mfa/login")
	b.want(b.post("/.mfa/login", "name", "alice", "password", password, "code", strings.ToUpper(codes[0]), "to", "/deep"), 303, "/.mfa/recovery-used?to=%2Fdeep")
	b.want(b.get("/.mfa/recovery-used?to=%2Fdeep"), 200, "9")

	for _, part := range [][]string{{"name", "", "password", password}, {"name", "alice", "password", ""}} {
		b.want(r.browser().post("/.mfa/login", append(part, "code", "000000")...), 422)
	}
}

func TestOnePageSecondPage(t *testing.T) {
	r, secret, codes := onePageRig(t)
	b := r.browser()
	to := "/d?" + strings.Repeat("x", 4000) + "=1"
	along := "?to=" + strings.NewReplacer("/", "%2F", "?", "%3F", "=", "%3D").Replace(to)
	b.get("/.mfa/login")
	b.want(b.post("/.mfa/login", "name", "alice", "password", password, "code", "", "to", to), 303, "/.mfa/verify/totp"+along)
	b.want(b.get("/.mfa/verify/totp"+along), 200, "Enter your code", "Use a security key", "Use email verification instead", "Use a recovery code",
		`href="/.mfa/verify/recovery`+along+`"`, "Signing in as", "<strong>alice</strong>", "Not you?")
	b.want(b.get("/.mfa/verify/webauthn"+along), 200, "Use your security key", `data-source="/.mfa/verify/webauthn`+along+`"`)
	b.want(b.get("/.mfa/login?again=1&to=/x"), 303, "/.mfa/verify/totp?to=%2Fx")
	b.want(b.post("/.mfa/verify/totp", "code", "", "to", to), 422)
	b.want(b.post("/.mfa/verify/totp", "code", "000000", "to", to), 401, "That name, password or code is not right.")
	b.want(b.post("/.mfa/verify/recovery", "code", codes[0], "to", to), 303)

	b = r.browser()
	b.want(b.post("/.mfa/login", "name", "alice", "password", password, "code", "", "to", "/x"), 303, "/.mfa/verify/totp?to=%2Fx&check=cookies")
	b.want(b.post("/.mfa/verify/totp", "code", b.code(secret), "to", "/x"), 303, "/x")
}

// TestOnePageSentTwice: whoever presses the button twice, without scripts to hold the second press, sees the answer of the second post.
// Whether the cookies of the first have arrived by then or not, it leads on.
func TestOnePageSentTwice(t *testing.T) {
	r, secret, _ := onePageRig(t)
	for name, arrived := range map[string]bool{"before the second": true, "after it": false} {
		r.pass(time.Minute) // for another code
		b := r.browser()
		b.get("/.mfa/login?to=/deep")
		before := maps.Clone(b.cookies)
		fields := []string{"name", "alice", "password", password, "code", b.code(secret), "to", "/deep"}
		b.want(b.post("/.mfa/login", fields...), 303, "/deep")
		if arrived {
			b.want(b.post("/.mfa/login", fields...), 303, "/deep")
			continue
		}
		session := b.cookies[auth.CookieSession]
		b.cookies = before
		b.want(b.post("/.mfa/login", fields...), 303, "/.mfa/login?again=1&to=%2Fdeep")
		if b.cookies[auth.CookieFlow] != "" {
			t.Errorf("%s: the cookie of a sign-in that is over stays", name)
		}
		b.cookies[auth.CookieSession] = session
		b.want(b.get("/.mfa/login?again=1&to=/deep"), 303, "/deep")
		delete(b.cookies, auth.CookieSession) // it was lost with the first answer
		b.want(b.get("/.mfa/login?again=1&to=/deep"), 200, "finished elsewhere")
		r.pass(time.Minute)
		b.want(b.post("/.mfa/login", "name", "alice", "password", password, "code", "000000", "to", "/deep"), 401)
		b.want(b.post("/.mfa/login", "name", "alice", "password", password, "code", b.code(secret), "to", "/deep"), 303, "/deep")
	}
}

// TestOnePageShowsNoOther: without the option nothing is there of it.
func TestOnePageShowsNoOther(t *testing.T) {
	r := newRig(t)
	r.account()
	b := r.browser()
	if page := b.get("/.mfa/login"); strings.Contains(page.body, "one-time-code") {
		t.Error("the sign-in page asks for a code")
	}
	b.want(b.post("/.mfa/login", "name", "alice", "password", "wrong", "code", "000000"), 401, "That name and password do not match.")
	b.want(b.post("/.mfa/login", "name", "alice", "password", password, "code", "000000"), 303, "/.mfa/verify/totp")
}

var drawnCookie = regexp.MustCompile(`=[A-Za-z0-9_=-]{60,}`)

// shape is everything of an answer but what is drawn by chance, of which the length is left, and what a visitor typed. What is asked of
// keys has a length of its own for each name, and in each store: TestUntoldKeys compares that.
func (a answer) shape(typed string) string {
	var b strings.Builder
	fmt.Fprintln(&b, a.StatusCode)
	keys := drawnOptions.MatchString(a.body)
	for _, name := range slices.Sorted(maps.Keys(a.Header)) {
		if keys && name == "Content-Length" {
			continue
		}
		for _, value := range a.Header[name] {
			value = drawnCookie.ReplaceAllStringFunc(value, func(s string) string { return fmt.Sprint("=", len(s)) })
			fmt.Fprintln(&b, name, value)
		}
	}
	page := drawnSealed.ReplaceAllStringFunc(drawnOptions.ReplaceAllString(a.body, "options"), func(s string) string {
		if keys { // a name has one to three
			return "sealed"
		}
		return fmt.Sprint("sealed ", len(s))
	})
	return b.String() + strings.ReplaceAll(page, typed, "NAME")
}

// TestOnePageAnswersAlike is the whole table: every name and password with every code, on the one page and on the second, in whole
// answers. The names are equally long, for they stand in the pages and the cookie.
func TestOnePageAnswersAlike(t *testing.T) { // S88
	type visitor struct{ name, password string }
	visitors := map[string]visitor{"right": {"alice", password}, "wrong password": {"alice", "not the password"}, "unknown name": {"malin", password}}
	codes := []string{"wrong", "used", "wrong recovery", "used recovery", "right", "right recovery", "no code"}
	pages := map[string]string{"app": "/.mfa/verify/totp", "recovery": "/.mfa/verify/recovery", "email": "/.mfa/verify/email"}
	for _, kind := range codes {
		said := map[string][]string{}
		for who, v := range visitors {
			r, secret, list := onePageRig(t)
			used := r.browser()
			code := r.code(secret)
			used.want(used.post("/.mfa/login", "name", "alice", "password", password, "code", code), 303)
			used.want(used.post("/.mfa/logout"), 303)
			used.want(used.post("/.mfa/login", "name", "alice", "password", password, "code", list[0]), 303)
			switch kind {
			case "wrong":
				code = "000000"
			case "wrong recovery":
				code = "aaaaa-aaaaa-aaaaa"
			case "used recovery":
				code = list[0]
			case "right", "right recovery": // all the rest must be right, too
				if who == "right" {
					continue
				}
				if code = list[1]; kind == "right" {
					r.pass(time.Minute)
					code = r.code(secret)
				}
			case "no code":
				code = "?"
			}
			say := func(a answer) { said[who] = append(said[who], a.shape(v.name)) }
			b := r.browser()
			say(b.get("/.mfa/login?to=/deep"))
			say(b.post("/.mfa/login", "name", v.name, "password", v.password, "code", code, "to", "/deep"))
			say(b.post("/.mfa/login", "name", v.name, "password", v.password, "code", "", "to", "/deep"))
			if strings.Contains(kind, "recovery") || kind == "no code" { // the field for apps takes these, too
				say(b.get(pages["app"]))
				say(b.post(pages["app"], "code", code))
			}
			for _, name := range []string{"app", "recovery", "email"} {
				say(b.get(pages[name] + "?to=/deep"))
				say(b.post(pages[name], "code", code, "to", "/deep"))
			}
			say(b.get("/.mfa/verify/webauthn?to=/deep"))
			say(b.post("/.mfa/verify/webauthn", "response", "{}", "challenge", "x", "to", "/deep"))
			say(b.post("/.mfa/verify/email/send", "to", "/deep"))
			say(b.get("/.mfa/verify/email?to=/deep"))
			say(b.post(pages["email"], "code", "000000", "to", "/deep"))
			say(b.post("/.mfa/verify/email/send", "new", "1", "to", "/deep"))
			for _, path := range []string{"/verify/totp", "/verify/password", "/enroll", "/enroll/totp", "/recovery-codes", "/security", "/ask-admin", "/upgrade", "/login?again=1", "/invite", "/"} {
				say(b.get("/.mfa" + path))
			}
			for _, path := range []string{"/enroll", "/enroll/totp", "/recovery-codes", "/verify/password", "/security/add"} {
				say(b.post("/.mfa"+path, "method", "totp", "password", password, "code", code))
			}
			for range 8 { // until it is too much
				say(b.post(pages["app"], "code", "000000", "to", "/deep"))
				say(b.post("/.mfa/login", "name", v.name, "password", v.password, "code", "", "to", "/deep"))
				say(b.post("/.mfa/login", "name", v.name, "password", v.password, "code", "000000", "to", "/deep"))
			}
			r.pass(10 * time.Minute)
			say(b.get(pages["app"]))
			say(b.post(pages["app"], "code", code))
		}
		want := said["unknown name"]
		for who, got := range said {
			for i := range want {
				if got[i] != want[i] {
					t.Errorf("code %s, answer %d: with %s\n%s\nand with an unknown name\n%s", kind, i, who, got[i], want[i])
					break
				}
			}
		}
	}
}

// TestOnePageWrongPartsAreSaidAlike: at once, there is one text for whatever was wrong, and it stays with the name.
func TestOnePageWrongPartsAreSaidAlike(t *testing.T) {
	r, secret, _ := onePageRig(t)
	for _, part := range [][]string{
		{"alice", "not the password", r.code(secret)}, {"alice", password, "000000"}, {"nobody", password, r.code(secret)},
	} {
		b := r.browser()
		page := b.want(b.post("/.mfa/login", "name", part[0], "password", part[1], "code", part[2]), 401, "That name, password or code is not right.", `value="`+part[0]+`"`)
		if strings.Contains(page.body, part[2]) || b.cookies[auth.CookieSession] != "" {
			t.Error("the code is on the page, or somebody is signed in")
		}
	}
}

// TestOnePageByMail goes the way of somebody who signs in with codes by mail.
func TestOnePageByMail(t *testing.T) {
	r := newMailRig(t)
	if _, _, err := r.realm.AddUser(t.Context(), auth.NewUser{Name: "alice", Email: "alice@example.com", Password: password}); err != nil {
		t.Fatal(err)
	}
	r.pass(73 * time.Hour)
	r.onePage()
	b := r.browser()
	b.get("/.mfa/login")
	b.want(b.post("/.mfa/login", "name", "alice", "password", password, "code", "", "to", "/deep"), 303, "/.mfa/verify/totp?to=%2Fdeep")
	b.want(b.get("/.mfa/verify/email?to=/deep"), 200, "Press the button", "if your password was right", ">Send a code</button>")
	b.want(b.post("/.mfa/verify/email/send", "to", "/deep"), 303, "/.mfa/verify/email?to=%2Fdeep")
	page := b.want(b.get("/.mfa/verify/email?to=/deep"), 200, "If your password was right, we sent a code to the address of your account.", "Use authenticator app")
	if strings.Contains(page.body, "alice@") || strings.Contains(page.body, "•") {
		t.Error("the page tells the address")
	}
	code := r.part(r.letter(aboutCode), sixDigits)
	b.want(b.post("/.mfa/verify/email", "code", "000000", "to", "/deep"), 401, "That name, password or code is not right.")
	b.want(b.post("/.mfa/verify/email", "code", code, "to", "/deep"), 303, "/.mfa/recovery-codes")
	b.want(b.post("/.mfa/recovery-codes"), 303, "/.mfa/recovery-codes")
	b.want(b.post("/.mfa/recovery-codes", "confirm", "1"), 303, "/deep")
}

// TestOnePageWithAKey goes the way of somebody whose key is all that they have, and of the same without the password.
func TestOnePageWithAKey(t *testing.T) {
	r := newRig(t)
	d := device()
	r.holder(d)
	r.onePage()
	for password, to := range map[string]string{password: "/deep", "not the password": ""} {
		b := r.browser()
		b.get("/.mfa/login")
		b.want(b.post("/.mfa/login", "name", "alice", "password", password, "code", "", "to", "/deep"), 303, "/.mfa/verify/totp?to=%2Fdeep")
		f := keyFormOn(t, b.want(b.get("/.mfa/verify/webauthn?to=/deep"), 200).body)
		a := b.post("/.mfa/verify/webauthn", "challenge", f.sealed, "response", f.signed(t, d), "to", "/deep")
		if to != "" {
			b.want(a, 303, to)
		} else {
			b.want(a, 401, "That name, password or code is not right.")
		}
	}
	b := r.browser()
	b.want(b.passkey(d), http.StatusSeeOther, "/deep") // without any of it
}
