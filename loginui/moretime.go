package loginui

import (
	"errors"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// getMoreTime leads back to the flow whoever opens the address that gives more time: that takes a POST.
func getMoreTime(*exchange) error { return auth.ErrStep }

// postMoreTime gives the step of a flow more time, and leads back to the page that asked. Where there is none left, that page says so.
func postMoreTime(x *exchange) error {
	err := x.realm.MoreTime(x.r.Context(), x.in.Visit)
	page := x.form["page"]
	if err != nil && !errors.Is(err, auth.ErrStep) {
		return err
	}
	if !cleanPrefix(page) {
		return auth.ErrStep
	}
	return x.redirect(x.prefix + page)
}
