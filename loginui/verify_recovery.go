package loginui

import (
	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

func getVerifyRecovery(x *exchange) error {
	pg, _, err := x.verifyPage(auth.MethodRecovery)
	if err != nil {
		return err
	}
	return x.render(pg)
}

func postVerifyRecovery(x *exchange) error {
	pg, _, err := x.verifyPage(auth.MethodRecovery)
	if err != nil {
		return err
	}
	return x.prove(pg, auth.MethodRecovery, x.form.code())
}

// codesLeft is what the page after a used recovery code shows.
type codesLeft struct {
	To  string
	Few bool
}

// fewCodes is how many recovery codes are so few that somebody should make new ones.
const fewCodes = 3

// getRecoveryUsed tells how many codes are left (S35), once somebody has signed in with one, and leads on.
func getRecoveryUsed(x *exchange) error {
	to := x.returnTarget(x.r.URL.Query().Get("to"))
	if x.in.Session == nil || x.in.User == nil {
		return x.redirect(x.LoginURL(to))
	}
	if to == "" {
		to = "/"
	}
	account, err := x.realm.Account(x.r.Context(), x.in.Visit, x.in.User.ID)
	if err != nil {
		return err
	}
	pg := x.newPage("recovery_used", "used")
	pg.Title = x.count("used.title", account.RecoveryLeft)
	pg.Body = codesLeft{To: x.href(to), Few: account.RecoveryLeft <= fewCodes}
	return x.render(pg)
}
