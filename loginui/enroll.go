package loginui

import (
	"net/http"
	"slices"
	"sort"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// enrollment is what the page of the methods that may be set up shows.
type enrollment struct {
	Choices []string
	Duties  []duty // policies that must be met now
	More    bool   // something is set up already, and is not enough
}

// enrollPage offers the methods that may be set up now.
func (x *exchange) enrollPage() (*page, []string, error) {
	now, err := x.realm.Progress(x.r.Context(), x.in.Visit)
	if err != nil {
		return nil, nil, err
	}
	if now.Step != auth.StepEnroll && (now.Step != auth.StepVerify || len(now.Enrollable) == 0) {
		return nil, nil, auth.ErrStep
	}
	pg := x.flowPage("enroll", "enroll", now)
	if pg.Mail = now.Mail; now.Mail != nil && !pg.Change { // an address that the person was given does, too
		pg.Others = []string{auth.MethodEmail}
	}
	choices := withPage("enroll_", slices.Clone(now.Enrollable)...)
	sortMethods(choices)
	body := &enrollment{Choices: choices, More: len(now.Duties) > 0 && now.User.HasSecond()}
	for _, d := range now.Duties {
		body.Duties = append(body.Duties, x.duty(d, choices))
	}
	pg.Body = body
	return pg, choices, nil
}

// sortMethods puts first what is easiest for people, and safest.
func sortMethods(methods []string) {
	sort.SliceStable(methods, func(i, j int) bool { return methods[i] == auth.MethodWebAuthn && methods[j] != auth.MethodWebAuthn })
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
	id := "askadmin"
	switch {
	case now.MailOnly:
		id = "askmailonly"
	case len(now.Policies) > 0:
		id = "askpolicy"
	case now.Purpose == auth.PurposeChange:
		id = "nochange"
	case len(now.Elsewhere) > 0:
		id = "askelsewhere"
	}
	m := x.plain(id)
	if id == "askpolicy" {
		m.Text = x.t("askpolicy.text", x.list(now.Policies))
	}
	if len(now.Elsewhere) > 0 {
		m.Text += " " + x.keysElsewhere(now)
	}
	return x.message(http.StatusOK, m)
}
