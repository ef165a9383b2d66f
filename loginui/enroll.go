package loginui

import (
	"slices"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// enrollPage offers the methods that may be set up now.
func (x *exchange) enrollPage() (*page, []string, error) {
	now, err := x.realm.Progress(x.r.Context(), x.in.Visit)
	if err != nil {
		return nil, nil, err
	}
	if now.Step != auth.StepEnroll {
		return nil, nil, auth.ErrStep
	}
	pg := x.flowPage("enroll", "enroll", now)
	choices := withPage("enroll_", slices.Clone(now.Enrollable)...)
	pg.Body = choices
	return pg, choices, nil
}

func getEnroll(x *exchange) error {
	pg, _, err := x.enrollPage()
	if err != nil {
		return err
	}
	return x.render(pg)
}

func postEnroll(x *exchange) error {
	pg, choices, err := x.enrollPage()
	if err != nil {
		return err
	}
	method := x.form["method"]
	if !slices.Contains(choices, method) {
		return x.refuse(pg, &auth.Invalid{Text: x.t("enroll.unknown")})
	}
	out, err := x.realm.BeginEnroll(x.r.Context(), x.in.Visit, method)
	if err != nil {
		return x.refuse(pg, err)
	}
	return x.advance(out)
}

// getAskAdmin is for people who may not set anything up by themselves.
func getAskAdmin(x *exchange) error {
	now, err := x.realm.Progress(x.r.Context(), x.in.Visit)
	if err != nil {
		return err
	}
	if now.Step != auth.StepAskAdmin {
		return auth.ErrStep
	}
	return x.message(200, x.plain("askadmin"))
}
