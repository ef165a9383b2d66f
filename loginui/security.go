package loginui

import (
	"strings"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// overview is what the Security page shows.
type overview struct {
	User    *auth.User
	Session *auth.Session
	With    string // the methods of the session, in words
	From    string // browser and system
	Methods []enrolled
}

// enrolled is one way to sign in.
type enrolled struct {
	auth.Credential
	Name string // of the method
	Left string // of recovery codes
}

func getSecurity(x *exchange) error {
	if x.in.Session == nil || x.in.User == nil {
		return x.redirect(x.LoginURL(x.prefix + "/security"))
	}
	account, err := x.realm.Account(x.r.Context(), x.in.User.ID)
	if err != nil {
		return err
	}
	pg := x.newPage("security", "security")
	body := overview{User: &account.User, Session: x.in.Session, From: x.machine(x.in.Session)}
	var with []string
	for _, m := range methodsOf(x.in.Session) {
		with = append(with, x.t("method."+m))
	}
	body.With = strings.Join(with, ", ")
	for _, c := range account.Credentials {
		e := enrolled{Credential: c, Name: x.t("method." + c.Method)}
		if c.Method == auth.MethodRecovery {
			e.Left = x.count("security.left", account.RecoveryLeft)
		}
		body.Methods = append(body.Methods, e)
	}
	pg.Body = body
	return x.render(pg)
}

// machine is the browser and system of a session, as far as they were recognised.
func (x *exchange) machine(s *auth.Session) string {
	if s.Browser != "" && s.OS != "" {
		return x.t("browser.on", s.Browser, s.OS)
	}
	return s.Browser + s.OS
}
