package loginui

import (
	"context"
	"errors"
	"net/http"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// press is a page behind a link of a mail, on which one press does what the link is for, without a sign-in.
type press struct {
	path, file, id string
	do             func(*auth.Realm, context.Context, auth.Visit, string) error
	// says is the message that it was done, or, with bad, that the link no longer works.
	says func(x *exchange, bad bool) Message
}

// notMe is behind the "This wasn't me" of a notice. Whoever needs it may be unable to sign in.
var notMe = press{"/not-me", "not_me", "notme", (*auth.Realm).NotMe, func(x *exchange, bad bool) Message {
	if bad {
		return x.plain("badnotme")
	}
	m := x.bare("notme.done")
	if x.realm.Mails() {
		m.Link, m.Label = x.prefix+"/forgot", x.t("login.forgot")
	}
	return m
}}

// stopReset is behind the link of a mail that announces a reset. To stop one harms nobody.
var stopReset = press{"/stop-reset", "stop_reset", "stop", (*auth.Realm).StopReset, func(x *exchange, bad bool) Message {
	id := "stop.done"
	if bad {
		id = "badstop"
	}
	m := x.bare(id)
	m.Link, m.Label = x.prefix+securityPath, x.t("plain.security") // by way of a sign-in where that is needed
	return m
}}

func (p *press) page(x *exchange) *page {
	pg := x.newPage(p.file, p.id)
	pg.fields, pg.Token = []string{"token"}, x.form.trimmed("token")
	return pg
}

func (p *press) get(x *exchange) error {
	if x.r.URL.Query().Has("done") {
		return x.message(http.StatusOK, p.says(x, false))
	}
	x.preFlow()
	return x.render(p.page(x))
}

func (p *press) post(x *exchange) error {
	token := x.form.trimmed("token")
	if token == "" {
		return x.refuse(p.page(x), &auth.Invalid{Field: "token", Text: x.t("token.empty")})
	}
	err := p.do(x.realm, x.r.Context(), x.in.Visit, token)
	if errors.Is(err, auth.ErrToken) {
		return x.message(http.StatusUnprocessableEntity, p.says(x, true))
	}
	if err != nil {
		return x.refuse(p.page(x), err)
	}
	return x.redirect(x.prefix + p.path + "?done=1")
}
