package loginui

import (
	"errors"
	"net/http"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// resetPage asks for a new password. The token comes from the fragment of the link, or is typed. A token that was sent comes back in
// the form, so that a password that was refused can be followed by another one.
func (x *exchange) resetPage() *page {
	pg := x.newPage("reset", "reset")
	pg.fields = []string{"token", "password"}
	pg.Token = x.form.trimmed("token")
	return pg
}

func getReset(x *exchange) error {
	x.preFlow()
	return x.render(x.resetPage())
}

func postReset(x *exchange) error {
	pg := x.resetPage()
	token, password := x.form.trimmed("token"), x.form["password"]
	if token == "" {
		return x.refuse(pg, &auth.Invalid{Field: "token", Text: x.t("token.empty")})
	}
	if password == "" {
		return x.refuse(pg, &auth.Invalid{Field: "password", Text: x.t("reset.nopassword")})
	}
	out, err := x.realm.ResetPassword(x.r.Context(), x.in.Visit, token, password)
	if errors.Is(err, auth.ErrToken) {
		m := x.plain("badreset")
		if x.realm.Mails() {
			m.Link, m.Label = x.prefix+"/forgot", x.t("badreset.again")
		}
		return x.message(http.StatusUnprocessableEntity, m)
	}
	if err != nil {
		return x.refuse(pg, err)
	}
	return x.advance(out)
}
