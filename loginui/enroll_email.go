package loginui

import (
	"net/http"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// enrollEmailPage asks for the code that was mailed to an address, to confirm it. It is part of a change on the Security page: nobody
// chooses it among the methods.
func (x *exchange) enrollEmailPage() (*page, auth.Progress, error) {
	now, err := x.realm.Progress(x.r.Context(), x.in.Visit)
	if err != nil {
		return nil, now, err
	}
	if now.Step != auth.StepEnroll || now.Method != auth.MethodEmail {
		return nil, now, auth.ErrStep
	}
	pg := x.flowPage("confirm_address", "email", now)
	pg.fields, pg.wrongField, pg.wrongStatus = []string{"code"}, "code", http.StatusUnprocessableEntity
	pg.Body = now.Change.Same // there is none before it
	err = pg.mailed(now)
	return pg, now, err
}

func getEnrollEmail(x *exchange) error {
	pg, now, err := x.enrollEmailPage()
	if err != nil {
		return err
	}
	x.sentAnew(pg, now)
	return x.render(pg)
}

func postEnrollEmail(x *exchange) error {
	pg, _, err := x.enrollEmailPage()
	if err != nil {
		return err
	}
	code := x.form.code()
	if code == "" {
		return x.refuse(pg, &auth.Invalid{Field: "code", Text: x.t("email.empty")})
	}
	out, err := x.realm.FinishEnroll(x.r.Context(), x.in.Visit, auth.MethodEmail, "", []byte(code))
	if err != nil {
		return x.refuseCode(pg, err)
	}
	return x.advance(out)
}

func postEnrollEmailSend(x *exchange) error {
	pg, _, err := x.enrollEmailPage()
	if err != nil {
		return err
	}
	return x.sendCode(pg, "/enroll/email")
}
