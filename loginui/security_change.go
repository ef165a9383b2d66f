package loginui

import (
	"errors"
	"net/http"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

func postSecurityAdd(x *exchange) error {
	return x.change(auth.Change{Op: auth.ChangeAdd, Method: x.form["method"]})
}

func postSecurityRename(x *exchange) error {
	return x.change(auth.Change{Op: auth.ChangeRename, Credential: x.form["id"], Label: x.form.trimmed("label")})
}

func postSecurityRemove(x *exchange) error {
	return x.change(auth.Change{Op: auth.ChangeRemove, Credential: x.form["id"], EndSessions: x.form["end_sessions"] != ""})
}

func postSecurityEmail(x *exchange) error {
	if x.in.Session != nil && !x.realm.Mails() {
		return x.message(http.StatusNotFound, x.plain("notfound"))
	}
	return x.change(auth.Change{Op: auth.ChangeAddress, Address: x.form.trimmed("email")})
}

// change makes a change, or begins one that first asks who is there. In the end the Security page says what was done (see next).
func (x *exchange) change(c auth.Change) error {
	if x.in.Session == nil || x.in.User == nil {
		return auth.ErrNoSession
	}
	out, err := x.realm.Change(x.r.Context(), x.in.Visit, c, x.prefix+securityPath)
	if err == nil {
		return x.advance(out)
	}
	invalid, slow := (*auth.Invalid)(nil), (*auth.Throttled)(nil)
	sends := c.Op == auth.ChangeAddress && errors.As(err, &slow) // or would have, but for the limit
	if !errors.As(err, &invalid) && !sends {
		return err
	}
	pg, body, again := x.securityPage()
	if again != nil {
		return again
	}
	if c.Op == auth.ChangeAddress {
		body.Address.Typed, body.Address.Open = c.Address, true
		pg.fields = []string{"email"}
	}
	if sends {
		return x.refuseMail(pg, err, "mail.wait")
	}
	if c.Op == auth.ChangeRename {
		body.Label = c.Label
		for i, e := range body.Methods {
			if e.Own && e.ID == c.Credential {
				body.Methods[i].Open = true
				pg.fields = []string{"label"}
			}
		}
	}
	pg.wrongStatus = http.StatusUnprocessableEntity
	return x.refuse(pg, err)
}
