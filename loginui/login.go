package loginui

import (
	"errors"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/internal/method"
)

// signIn is what the sign-in page shows.
type signIn struct {
	Name    string  // as typed
	Key     *keyAsk // nil where passkeys do not work
	Signals string  // what the browser should know about its passkeys
	OnePage bool    // a code is asked for, too
	Refused bool    // a passkey was not taken: the error is about that
	unknown string  // ID of a passkey that nobody has here
}

// loginForm is the sign-in page with what was typed, the password excepted.
func (x *exchange) loginForm(name, to string) *page {
	pg := x.newPage("login", "login")
	pg.To = x.returnTarget(to)
	pg.fields = []string{"name", "password"}
	pg.Body = &signIn{Name: name, OnePage: x.realm.OnePage()}
	if x.realm.OnePage() {
		pg.wrong = "onepage.wrong"
	}
	return pg
}

// showLogin answers with the sign-in page, and what was wrong if something was. It holds a new challenge for a passkey.
func (x *exchange) showLogin(pg *page, wrong error) error {
	x.preFlow()
	ask, err := x.realm.PasskeyAsk(x.in.Visit)
	if err != nil {
		return err
	}
	if body, ok := pg.Body.(*signIn); ok && ask != nil {
		pg.policy = fetchPolicy
		body.Key = &keyAsk{Options: string(ask.Public), Sealed: ask.Sealed, Source: x.LoginURL(pg.To)}
		body.Signals = unknownKey(ask, body.unknown)
	}
	if wrong != nil {
		return x.refuse(pg, wrong)
	}
	return x.render(pg)
}

func getLogin(x *exchange) error {
	query := x.r.URL.Query()
	to := query.Get("to")
	if x.in.Session != nil {
		return x.signedIn(to)
	}
	pg := x.loginForm("", to)
	switch {
	case query.Has("again"):
		// Of two posts of one form the later finds the flow moved on, and its answer is the one that the browser shows.
		if now, err := x.realm.Progress(x.r.Context(), x.in.Visit); err == nil && now.Step != auth.StepStart {
			return x.redirect(x.next(now.Outcome))
		}
		pg.Notice = x.t("login.again")
	case query.Has("signed_out"):
		pg.Notice, pg.Done = x.t("login.signedout"), true
	}
	return x.showLogin(pg, nil)
}

// signedIn leads on somebody who has nothing to do at the sign-in page.
func (x *exchange) signedIn(to string) error {
	if to = x.returnTarget(to); to == "" {
		to = x.prefix + securityPath
	}
	return x.leave(to, nil)
}

func postLogin(x *exchange) error {
	name, password := x.form["name"], x.form["password"]
	pg := x.loginForm(name, x.form["to"])
	if name == "" {
		return x.showLogin(pg, &auth.Invalid{Field: "name", Text: x.t("login.noname")})
	}
	if password == "" {
		return x.showLogin(pg, &auth.Invalid{Field: "password", Text: x.t("login.nopassword")})
	}
	code := x.form.code()
	if code == "" || !x.realm.OnePage() { // since a reload, perhaps
		out, err := x.realm.SignIn(x.r.Context(), x.in.Visit, name, password, pg.To)
		if err != nil {
			return x.showLogin(pg, err)
		}
		return x.advance(out)
	}
	which := auth.MethodTOTP
	if method.LooksLikeRecoveryCode(code) {
		which = auth.MethodRecovery
	}
	out, err := x.realm.SignInAtOnce(x.r.Context(), x.in.Visit, name, password, which, code, pg.To)
	sent := errors.Is(err, auth.ErrNoFlow) // before: it is the second of two posts of one form
	if x.in.Session != nil && (sent || errors.Is(err, auth.ErrRejected)) {
		return x.signedIn(pg.To)
	}
	if sent {
		x.setCookies(out.Cookies)
		return err
	}
	if err != nil {
		return x.showLogin(pg, err)
	}
	return x.advance(out)
}

// preFlow gives the visitor the cookie that binds the coming flow to this browser, unless there is one already. From then on the
// visit has it.
func (x *exchange) preFlow() {
	if c, ok := x.realm.PreFlow(x.in.Visit); ok {
		x.setCookies([]auth.Cookie{c})
		x.in.Visit.Flow = c.Value
	}
}

func getLogout(x *exchange) error {
	if x.in.Session == nil {
		link, err := x.guestIn()
		if err != nil {
			return err
		}
		if link != nil { // who is in without signing in leaves there
			return x.redirect(x.prefix + GuestPath)
		}
		return x.redirect(x.prefix + "/login")
	}
	return x.render(x.newPage("logout", "logout"))
}

func postLogout(x *exchange) error {
	out, err := x.realm.SignOut(x.r.Context(), x.in.Visit)
	if err != nil {
		return err // the browser keeps its cookie: without it, nobody could try again to end the session
	}
	x.setCookies(out.Cookies)
	return x.redirect(x.prefix + "/login?signed_out=1")
}
