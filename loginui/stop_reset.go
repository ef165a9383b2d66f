package loginui

import (
	"errors"
	"net/http"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// stopResetPage is behind the link of a mail that announces a reset. One press stops it, without a sign-in: stopping harms nobody.
func (x *exchange) stopResetPage() *page {
	pg := x.newPage("stop_reset", "stop")
	pg.fields, pg.Token = []string{"token"}, x.form.trimmed("token")
	return pg
}

func getStopReset(x *exchange) error {
	if x.r.URL.Query().Has("done") {
		return x.stopResetSays(http.StatusOK, "stop.done")
	}
	x.preFlow()
	return x.render(x.stopResetPage())
}

func postStopReset(x *exchange) error {
	token := x.form.trimmed("token")
	if token == "" {
		return x.refuse(x.stopResetPage(), &auth.Invalid{Field: "token", Text: x.t("token.empty")})
	}
	err := x.realm.StopReset(x.r.Context(), x.in.Visit, token)
	if errors.Is(err, auth.ErrToken) {
		return x.stopResetSays(http.StatusUnprocessableEntity, "badstop")
	}
	if err != nil {
		return x.refuse(x.stopResetPage(), err)
	}
	return x.redirect(x.prefix + "/stop-reset?done=1")
}

// stopResetSays leads to the Security page, by way of a sign-in where that is needed.
func (x *exchange) stopResetSays(status int, id string) error {
	m := x.plain(id)
	m.Link = x.prefix + securityPath
	return x.message(status, m)
}
