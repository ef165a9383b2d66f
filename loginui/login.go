package loginui

import (
	"net/http"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// loginForm is the sign-in page with what was typed, the password excepted.
func (x *exchange) loginForm(name, to string) *page {
	pg := x.newPage("login", "login")
	pg.To = x.returnTarget(to)
	pg.fields = []string{"name", "password"}
	pg.Body = name
	return pg
}

func getLogin(x *exchange) error {
	query := x.r.URL.Query()
	to := query.Get("to")
	if x.in.Session != nil {
		if to = x.returnTarget(to); to == "" {
			to = x.prefix + "/security"
		}
		return x.redirect(to)
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
		pg.Notice = x.t("login.signedout")
	}
	x.preFlow()
	return x.render(pg)
}

func postLogin(x *exchange) error {
	name, password := x.form["name"], x.form["password"]
	pg := x.loginForm(name, x.form["to"])
	x.preFlow()
	if name == "" {
		return x.refuse(pg, &auth.Invalid{Field: "name", Text: x.t("login.noname")})
	}
	if password == "" {
		return x.refuse(pg, &auth.Invalid{Field: "password", Text: x.t("login.nopassword")})
	}
	out, err := x.realm.SignIn(x.r.Context(), x.in.Visit, name, password, pg.To)
	if err != nil {
		return x.refuse(pg, err)
	}
	return x.advance(out)
}

// preFlow gives the visitor the cookie that binds the coming flow to this browser, unless there is one already.
func (x *exchange) preFlow() {
	if c, ok := x.realm.PreFlow(x.in.Visit); ok {
		x.setCookies([]auth.Cookie{c})
	}
}

func getLogout(x *exchange) error {
	if x.in.Session == nil {
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

// getSession answers the scripts of apps, which cannot read the cookie.
func getSession(x *exchange) error {
	if x.in.Session == nil || x.in.User == nil {
		x.json(http.StatusOK, map[string]bool{"signed_in": false})
		return nil
	}
	s := x.in.Session
	x.json(http.StatusOK, struct {
		SignedIn bool     `json:"signed_in"`
		User     string   `json:"user"`
		Methods  []string `json:"methods"`
		Ends     string   `json:"ends"`
		IdleEnds string   `json:"idle_ends"`
	}{true, x.in.User.Name, methodsOf(s), machine(s.End), machine(s.IdleEnd)})
	return nil
}

// methodsOf names the methods that a session was opened with, in order, each once.
func methodsOf(s *auth.Session) []string {
	methods := []string{}
	seen := map[string]bool{}
	for _, p := range s.Proofs {
		if !seen[p.Method] {
			seen[p.Method] = true
			methods = append(methods, p.Method)
		}
	}
	return methods
}
