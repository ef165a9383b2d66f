package loginui

import (
	"net/http"
	"strings"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// forgotPage asks whose password was forgotten. Its answer is one for everybody: whether there is such an account, and an address
// for it, is told to the mailbox alone (S88).
func (x *exchange) forgotPage(typed string) *page {
	pg := x.newPage("forgot", "forgot")
	pg.fields, pg.To = []string{"name"}, x.in.Visit.To
	pg.Body = typed
	return pg
}

func getForgot(x *exchange) error {
	if !x.realm.Mails() {
		return x.message(http.StatusNotFound, x.plain("notfound"))
	}
	if x.r.URL.Query().Has("sent") {
		m := x.plain("forgot.sent")
		if x.in.Session == nil {
			m.Link = x.LoginURL(x.in.Visit.To)
		}
		return x.message(http.StatusOK, m)
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
	return x.redirect(x.forgotURL("?sent=1&to=", pg.To))
}

// forgotURL is the address of the page with a return target, which query ends with; without one, it is without that.
func (p *Portal) forgotURL(query, to string) string {
	if to == "" {
		return p.prefix + "/forgot" + strings.TrimRight(strings.TrimSuffix(query, "to="), "?&")
	}
	return string(appendQuery([]byte(p.prefix+"/forgot"+query), to))
}
