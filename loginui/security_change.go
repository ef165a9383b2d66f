package loginui

import (
	"errors"
	"net/http"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

func postSecurityAdd(x *exchange) error {
	return x.changeTo(auth.Change{Op: auth.ChangeAdd, Method: x.form["method"]}, x.returnTarget(x.form["to"]))
}

func postSecurityRename(x *exchange) error {
	return x.change(auth.Change{Op: auth.ChangeRename, Credential: x.form["id"], Label: x.form.trimmed("label")})
}

func postSecurityRemove(x *exchange) error {
	return x.change(auth.Change{Op: auth.ChangeRemove, Credential: x.form["id"], EndSessions: x.form["end_sessions"] != ""})
}

func postSecurityReplace(x *exchange) error {
	return x.change(auth.Change{Op: auth.ChangeReplace, Method: auth.MethodTOTP, Credential: x.form["id"]})
}

func postSecurityPassword(x *exchange) error {
	if x.form["password"] == "" {
		return x.refuseChange(auth.Change{Op: auth.ChangePassword}, &auth.Invalid{Field: "password", Text: x.t("security.nopassword")})
	}
	return x.change(auth.Change{Op: auth.ChangePassword, Password: x.form["password"]})
}

func postSecurityName(x *exchange) error {
	return x.change(auth.Change{Op: auth.ChangeName, Label: x.form.trimmed("display_name")})
}

func postSecurityFirst(x *exchange) error {
	return x.change(auth.Change{Op: auth.ChangePrefer, Method: x.form["method"]})
}

func postSecurityCodes(x *exchange) error {
	return x.change(auth.Change{Op: auth.ChangeCodes})
}

func postSecurityViewCodes(x *exchange) error {
	return x.change(auth.Change{Op: auth.ChangeViewCodes})
}

// offWord is what people type to turn two-factor authentication off: nobody does that by a slip.
const offWord = "DISABLE"

func postSecurityOff(x *exchange) error {
	if typed := x.form.trimmed("confirm"); typed != offWord {
		return x.refuseChange(auth.Change{Op: auth.ChangeOff, Label: typed}, &auth.Invalid{Field: "confirm", Text: x.t("security.off.word", offWord)})
	}
	return x.change(auth.Change{Op: auth.ChangeOff})
}

// postSecuritySessions ends the session with the ID, or with the field others every one but this.
func postSecuritySessions(x *exchange) error {
	if x.form["others"] != "" {
		return x.change(auth.Change{Op: auth.ChangeEndOthers})
	}
	return x.change(auth.Change{Op: auth.ChangeEndSession, Session: x.form["id"]})
}

func postSecurityEmail(x *exchange) error {
	if x.in.Session != nil && !x.realm.Mails() {
		return x.message(http.StatusNotFound, x.plain("notfound"))
	}
	c := auth.Change{Op: auth.ChangeAddress, Address: x.form.trimmed("email")}
	if x.form["confirm"] != "" { // by the button beside the address, of a page that may be stale
		c.Op = auth.ChangeConfirm
	}
	return x.change(c)
}

// change is changeTo for the Security page.
func (x *exchange) change(c auth.Change) error { return x.changeTo(c, "") }

// changeTo makes a change, or begins one that first asks who is there. In the end the visitor goes to the given page; with none the
// Security page says what was done (see next).
func (x *exchange) changeTo(c auth.Change, to string) error {
	if x.in.Session == nil || x.in.User == nil {
		return auth.ErrNoSession
	}
	if to == "" {
		to = x.prefix + securityPath
	}
	out, err := x.realm.Change(x.r.Context(), x.in.Visit, c, to)
	if err == nil {
		return x.advance(out)
	}
	if errors.Is(err, auth.ErrStep) { // the configuration knows no such thing, and no page offers it
		return x.message(http.StatusNotFound, x.plain("notfound"))
	}
	return x.refuseChange(c, err)
}

// refuseChange shows the page again with what was typed, and what was wrong with it.
func (x *exchange) refuseChange(c auth.Change, err error) error {
	invalid, slow := (*auth.Invalid)(nil), (*auth.Throttled)(nil)
	sends := (c.Op == auth.ChangeAddress || c.Op == auth.ChangeConfirm) && errors.As(err, &slow) && !slow.Changes // or would have, but for the limit
	if !errors.As(err, &invalid) && !sends {
		return err
	}
	pg, body, again := x.securityPage()
	if again != nil {
		return again
	}
	body.Open = string(c.Op)
	switch c.Op {
	case auth.ChangeAddress:
		body.Typed, pg.fields = c.Address, []string{"email"}
	case auth.ChangePassword:
		pg.fields = []string{"password"}
	case auth.ChangeName:
		body.Typed, pg.fields = c.Label, []string{"display_name"}
	case auth.ChangeOff:
		body.Typed, pg.fields = c.Label, []string{"confirm"}
		if body.Off.Why != "" { // no word would help, and none is asked for
			err = &auth.Invalid{Text: body.Off.Why}
		}
	case auth.ChangeAddToken:
		body.Token = tokenForm{x.form["label"], x.form["days"], x.form["hosts"], x.form["paths"], x.form["methods"]}
		pg.fields = []string{"label", "days", "hosts", "paths", "methods"}
	case auth.ChangeRename:
		body.Open += " " + c.Credential
		for _, e := range body.Ways {
			if e.ID == c.Credential {
				body.Typed, pg.fields = c.Label, []string{"label"}
			}
		}
	default: // nothing was typed
	}
	if sends {
		return x.refuseMail(pg, err, "mail.wait")
	}
	pg.wrongStatus = http.StatusUnprocessableEntity
	return x.refuse(pg, err)
}
