package loginui

import (
	"errors"
	"net/http"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// notMePage is behind the "This wasn't me" of a notice. One press does it: whoever needs it may be unable to sign in.
func (x *exchange) notMePage() *page {
	pg := x.newPage("not_me", "notme")
	pg.fields, pg.Token = []string{"token"}, x.form.trimmed("token")
	return pg
}

func getNotMe(x *exchange) error {
	if x.r.URL.Query().Has("done") {
		m := x.plain("notme.done")
		m.Link, m.Label = "", ""
		if x.realm.Mails() {
			m.Link, m.Label = x.prefix+"/forgot", x.t("login.forgot")
		}
		return x.message(http.StatusOK, m)
	}
	x.preFlow()
	return x.render(x.notMePage())
}

func postNotMe(x *exchange) error {
	token := x.form.trimmed("token")
	if token == "" {
		return x.refuse(x.notMePage(), &auth.Invalid{Field: "token", Text: x.t("token.empty")})
	}
	err := x.realm.NotMe(x.r.Context(), x.in.Visit, token)
	if errors.Is(err, auth.ErrToken) {
		return x.message(http.StatusUnprocessableEntity, x.plain("badnotme"))
	}
	if err != nil {
		return x.refuse(x.notMePage(), err)
	}
	return x.redirect(x.prefix + "/not-me?done=1")
}
