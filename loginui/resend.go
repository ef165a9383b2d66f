package loginui

import (
	"errors"
	"net/http"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// resendPath is where somebody who has proven what a page asked for sends the form again that was on its way to it.
const resendPath = "/resend"

// ResendBody is what the button there sends, to the form's own address. The gate puts the form in its place.
const ResendBody = "mfa_resend=1"

// ResendPath is the path of that page.
func (p *Portal) ResendPath() string { return p.prefix + resendPath }

func getResend(x *exchange) error {
	if x.in.Session == nil || x.in.User == nil {
		return x.redirect(x.LoginURL(""))
	}
	held, err := x.realm.Held(x.r.Context(), x.in.Session, x.in.Visit.Held)
	if errors.Is(err, auth.ErrNotHeld) {
		m := x.plain("resend.gone")
		m.Link = "/"
		return x.message(http.StatusGone, m)
	}
	if err != nil {
		return err
	}
	pg := x.newPage("resend", "resend")
	pg.Body = held.URI
	return x.render(pg)
}
