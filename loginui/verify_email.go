package loginui

import (
	"errors"
	"net/http"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// verifyEmailPage asks for the code of a mail, or offers to send one where none is out. Opening it sends nothing (S28).
func (x *exchange) verifyEmailPage() (*page, auth.Progress, error) {
	pg, now, err := x.verifyPage(auth.MethodEmail)
	if err != nil {
		return nil, now, err
	}
	err = pg.mailed(now)
	return pg, now, err
}

// mailed makes pg a page about a code by mail. Without a code that counts it has no field.
func (pg *page) mailed(now auth.Progress) error {
	if now.Mail == nil {
		return errors.New("a code by mail is asked for, and there is no address for it")
	}
	pg.Mail = now.Mail
	if !now.Mail.Sent {
		pg.fields = nil
	}
	return nil
}

func getVerifyEmail(x *exchange) error {
	pg, now, err := x.verifyEmailPage()
	if err != nil {
		return err
	}
	x.sentAnew(pg, now)
	return x.render(pg)
}

// sentAnew says on the page after Send a new code what became of the old one.
func (x *exchange) sentAnew(pg *page, now auth.Progress) {
	if now.Mail.Sent && x.r.URL.Query().Has("sent") {
		pg.Notice, pg.Done = x.t("email.sent"), true
	}
}

func postVerifyEmail(x *exchange) error {
	pg, _, err := x.verifyEmailPage()
	if err != nil {
		return err
	}
	code := x.form.code()
	if code == "" {
		return x.refuse(pg, &auth.Invalid{Field: "code", Text: x.t("email.empty")})
	}
	out, err := x.realm.Prove(x.r.Context(), x.in.Visit, auth.MethodEmail, []byte(code))
	if err != nil {
		return x.refuseCode(pg, err)
	}
	return x.advance(out)
}

// refuseCode says what was wrong with a code. After the last try it is over, and the page offers to send another.
func (x *exchange) refuseCode(pg *page, wrong error) error {
	if errors.Is(wrong, auth.ErrRejected) {
		now, err := x.realm.Progress(x.r.Context(), x.in.Visit)
		if err != nil {
			return err
		}
		if err := pg.mailed(now); err != nil {
			return err
		}
		if !now.Mail.Sent && !now.Untold {
			pg.wrong = "email.spent"
		}
	}
	return x.refuse(pg, wrong)
}

func postVerifyEmailSend(x *exchange) error {
	pg, _, err := x.verifyEmailPage()
	if errors.Is(err, auth.ErrStep) { // whoever began to set something up may go back to mail
		pg, _, err = x.enrollPage()
	}
	if err != nil {
		return err
	}
	return x.sendCode(pg, "/verify/email")
}

// sendCode sends a code for the flow in progress, and leads to the page that asks for it. Where no more are sent for a while, the one
// that is out still counts.
func (x *exchange) sendCode(pg *page, path string) error {
	out, err := x.realm.SendCode(x.r.Context(), x.in.Visit)
	if err != nil {
		return x.refuseMail(pg, err, "email.wait")
	}
	x.setCookies(out.Cookies)
	to := x.prefix + path + along(out)
	switch {
	case x.form["new"] == "":
	case out.Untold: // and so nobody knows
	default:
		to += "?sent=1"
	}
	return x.redirect(to)
}

// refuseMail is refuse for what would have sent a mail: text says how long it takes until the next one.
func (x *exchange) refuseMail(pg *page, err error, text string) error {
	slow := (*auth.Throttled)(nil)
	if !errors.As(err, &slow) || slow.Off {
		return x.refuse(pg, err)
	}
	x.retryAfter(slow.RetryAfter)
	pg.status = http.StatusTooManyRequests
	pg.fault("", x.t(text, x.wait(slow.RetryAfter)))
	return x.render(pg)
}
