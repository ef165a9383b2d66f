package loginui

import (
	"net/http"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// forgotPage asks whose password was forgotten. Its answer is one for everybody: whether there is such an account, and an address
// for it, is told to the mailbox alone (S88).
func (x *exchange) forgotPage(typed string) *page {
	pg := x.newPage("forgot", "forgot")
	pg.fields = []string{"name"}
	pg.Body = typed
	return pg
}

func getForgot(x *exchange) error {
	if !x.realm.Mails() {
		return x.message(http.StatusNotFound, x.plain("notfound"))
	}
	if x.r.URL.Query().Has("sent") {
		return x.message(http.StatusOK, x.plain("forgot.sent"))
	}
	x.preFlow()
	return x.render(x.forgotPage(""))
}

func postForgot(x *exchange) error {
	if !x.realm.Mails() {
		return x.message(http.StatusNotFound, x.plain("notfound"))
	}
	pg := x.forgotPage(x.form.trimmed("name"))
	if pg.Body == "" {
		return x.refuse(pg, &auth.Invalid{Field: "name", Text: x.t("forgot.empty")})
	}
	if err := x.realm.Forgot(x.r.Context(), x.in.Visit, x.form["name"]); err != nil {
		return x.refuseMail(pg, err, "forgot.wait")
	}
	return x.redirect(x.prefix + "/forgot?sent=1")
}
