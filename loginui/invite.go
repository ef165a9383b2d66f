package loginui

import (
	"errors"
	"net/http"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// newAccount is what the page for name and password shows.
type newAccount struct {
	Setup bool   // the name may be chosen
	Name  string // as typed, or as invited
}

// tokenPage asks for an invitation's token. The script fills it in from the fragment of the link.
func (x *exchange) tokenPage(to string) *page {
	pg := x.newPage("invite", "invite")
	pg.To = x.returnTarget(to)
	pg.fields = []string{"token"}
	return pg
}

// accountPage asks for what an open invitation still needs.
func (x *exchange) accountPage(now auth.Progress, typed string) *page {
	body := newAccount{Name: now.User.Name}
	pg := x.flowPage("account", "account", now)
	pg.fields = []string{"password"}
	pg.wrongField, pg.wrongStatus = "password", http.StatusUnprocessableEntity
	if now.Purpose == auth.PurposeSetup {
		body = newAccount{Setup: true, Name: typed}
		pg.Title = x.t("account.title.setup")
		pg.fields = append(pg.fields, "name")
	}
	pg.Body = body
	return pg
}

func getInvite(x *exchange) error {
	query := x.r.URL.Query()
	now, err := x.realm.Progress(x.r.Context(), x.in.Visit)
	switch {
	case err == nil && now.Step == auth.StepPassword:
		return x.render(x.accountPage(now, ""))
	case err == nil && query.Has("again"): // moved on by another request
		return x.redirect(x.next(now.Outcome))
	case err != nil && !errors.Is(err, auth.ErrNoFlow):
		return err
	case query.Get("check") == "cookies" && x.in.Visit.Flow == "":
		return auth.ErrNoFlow
	}
	pg := x.tokenPage(query.Get("to"))
	if query.Has("again") {
		pg.Notice = x.t("invite.again")
	}
	x.preFlow()
	return x.render(pg)
}

// postInvite takes the token, then name and password; or all at once, as scripts send them.
func postInvite(x *exchange) error {
	token := x.form.trimmed("token")
	_, account := x.form["password"]
	if token != "" || !account {
		done, err := x.openInvitation(token, account)
		if done || err != nil {
			return err
		}
	}
	now, err := x.realm.Progress(x.r.Context(), x.in.Visit)
	if errors.Is(err, auth.ErrNoFlow) {
		return x.redirect(x.prefix + "/invite?again=1")
	}
	if err != nil {
		return err
	}
	if now.Step != auth.StepPassword {
		return auth.ErrStep
	}
	name, password := x.form.trimmed("name"), x.form["password"]
	pg := x.accountPage(now, name)
	if now.Purpose == auth.PurposeSetup && name == "" {
		return x.refuse(pg, &auth.Invalid{Field: "name", Text: x.t("account.noname")})
	}
	if password == "" {
		return x.refuse(pg, &auth.Invalid{Field: "password", Text: x.t("account.nopassword")})
	}
	out, err := x.realm.AcceptInvitation(x.r.Context(), x.in.Visit, name, password)
	if errors.Is(err, auth.ErrToken) { // used or replaced since it was opened
		return x.refuseToken(x.tokenPage(pg.To))
	}
	if err != nil {
		return x.refuse(pg, err)
	}
	return x.advance(out)
}

// refuseToken says how to get a new link: from an administrator, or from the log where there is none yet.
func (x *exchange) refuseToken(pg *page) error {
	begun, err := x.realm.Begun(x.r.Context())
	if err != nil {
		return err
	}
	id := "invite.wrong"
	if !begun {
		id = "invite.first"
	}
	return x.refuse(pg, &auth.Invalid{Field: "token", Text: x.t(id)})
}

// openInvitation turns a token into a flow. It has answered when it reports done; else the request goes on in that flow.
func (x *exchange) openInvitation(token string, more bool) (done bool, err error) {
	pg := x.tokenPage(x.form["to"])
	if token == "" {
		return true, x.refuse(pg, &auth.Invalid{Field: "token", Text: x.t("invite.empty")})
	}
	out, err := x.realm.OpenInvitation(x.r.Context(), x.in.Visit, token, pg.To)
	if errors.Is(err, auth.ErrToken) {
		return true, x.refuseToken(pg)
	}
	if err != nil {
		return true, x.refuse(pg, err)
	}
	if !more || out.Step != auth.StepPassword {
		return true, x.advance(out)
	}
	x.setCookies(out.Cookies)
	for _, c := range out.Cookies {
		if c.Name == auth.CookieFlow {
			x.in.Visit.Flow = c.Value
		}
	}
	return false, nil
}
