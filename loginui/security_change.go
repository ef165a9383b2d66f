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

// change makes a change, or begins one that first asks who is there. In the end the Security page says what was done (see next).
func (x *exchange) change(c auth.Change) error {
	if x.in.Session == nil || x.in.User == nil {
		return auth.ErrNoSession
	}
	out, err := x.realm.Change(x.r.Context(), x.in.Visit, c, x.prefix+securityPath)
	if err == nil {
		return x.advance(out)
	}
	if invalid := (*auth.Invalid)(nil); !errors.As(err, &invalid) {
		return err
	}
	pg, body, again := x.securityPage()
	if again != nil {
		return again
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
