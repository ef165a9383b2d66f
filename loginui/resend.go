package loginui

import (
	"errors"
	"net/http"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// resendPath is where somebody who has proven what a page asked for sends the form again that was on its way to it.
const resendPath = "/resend"

// What the button there sends, to the form's own address: the field with the ID of the form, which the gate puts in its place.
const (
	ResendField  = "mfa_resend"
	ResendLength = int64(len(ResendField) + len("=") + 32)
)

// ResendURL is the address of that page for a form.
func (p *Portal) ResendURL(id string) string { return p.prefix + resendPath + "?form=" + id }

// Sendable reports whether the page may show an address, and send to it.
func (p *Portal) Sendable(uri string) bool { return p.returnTarget(uri) == uri }

// resend is what the page shows.
type resend struct{ ID, URI string }

func getResend(x *exchange) error {
	if x.in.Session == nil || x.in.User == nil {
		return x.redirect(x.LoginURL(""))
	}
	id := x.r.URL.Query().Get("form")
	form, err := x.realm.KeptForm(x.r.Context(), x.in.Session, id)
	if errors.Is(err, auth.ErrNoForm) {
		m := x.plain("resend.gone")
		m.Link = "/"
		return x.message(http.StatusGone, m)
	}
	if err != nil {
		return err
	}
	pg := x.newPage("resend", "resend")
	pg.Body = resend{id, form.URI}
	return x.render(pg)
}

// postResend forgets a form that is not to be sent.
func postResend(x *exchange) error {
	if x.in.Session == nil || x.in.User == nil {
		return x.redirect(x.LoginURL(""))
	}
	if err := x.realm.DropForm(x.r.Context(), x.in.Session, x.form["form"]); err != nil {
		return err
	}
	return x.redirect("/")
}
