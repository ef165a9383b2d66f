package loginui

import (
	"slices"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// verifyPage is the page that asks for a method, if the flow would take it now: else ErrStep, for settle to lead on. Its
// template and its texts are those of the method.
func (x *exchange) verifyPage(method string) (*page, auth.Progress, error) {
	now, err := x.realm.Progress(x.r.Context(), x.in.Visit)
	if err != nil {
		return nil, now, err
	}
	if !asks(now, method) {
		return nil, now, auth.ErrStep
	}
	pg := x.flowPage("verify_"+method, method, now)
	pg.fields, pg.wrongField, pg.empty = []string{"code"}, "code", method+".empty"
	if pg.Change {
		pg.Notice = x.t("change.confirm")
	}
	ways := slices.DeleteFunc(append([]string{now.Method}, now.Others...), func(m string) bool { return m == method })
	pg.Others = withPage("verify_", ways...)
	return pg, now, nil
}

// asks reports whether a flow would take method now.
func asks(now auth.Progress, method string) bool {
	return now.Step == auth.StepVerify && (now.Method == method || slices.Contains(now.Others, method))
}

// prove answers what was typed on pg.
func (x *exchange) prove(pg *page, method, typed string) error {
	if typed == "" {
		return x.refuse(pg, &auth.Invalid{Field: pg.wrongField, Text: x.t(pg.empty)})
	}
	out, err := x.realm.Prove(x.r.Context(), x.in.Visit, method, []byte(typed))
	if err != nil {
		return x.refuse(pg, err)
	}
	return x.advance(out)
}
