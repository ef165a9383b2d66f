package loginui

import (
	"slices"
	"strings"

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
	pg.asks, pg.Mail, pg.SetUp = true, now.Mail, len(withPage("enroll_", slices.Clone(now.Enrollable)...)) > 0
	if pg.along = along(now.Outcome); now.Untold {
		pg.wrong = "onepage.wrong"
	}
	if pg.Change {
		pg.Notice = x.confirm(now.Change)
	}
	if len(now.Elsewhere) > 0 && !asks(now, auth.MethodWebAuthn) {
		pg.Notice = strings.TrimSpace(pg.Notice + " " + x.keysElsewhere(now))
	}
	ways := slices.DeleteFunc(append([]string{now.Method}, now.Others...), func(m string) bool { return m == method })
	pg.Others = withPage("verify_", ways...)
	return pg, now, nil
}

// confirm says what a proof is asked for.
func (x *exchange) confirm(c *auth.Change) string {
	name := x.label(c.Name)
	if name == "" { // an app that nobody named
		name = x.t("method." + c.Method)
	}
	switch {
	case c.Op == auth.ChangeAdd && x.has("change.add."+c.Method):
		return x.t("change.add." + c.Method)
	case c.Op == auth.ChangeRename && name != "":
		return x.t("change.rename", name, c.Label)
	case c.Op == auth.ChangeRemove && name != "":
		return x.t("change.remove", name)
	case c.Op == auth.ChangeReplace:
		return x.t("change.replace", name)
	case c.Same:
		return x.t("change.same_address", c.Address)
	case c.Op == auth.ChangeAddress:
		return x.t("change.address", c.Address)
	case c.Op != auth.ChangeAdd && c.Op != auth.ChangeRename && c.Op != auth.ChangeRemove && x.has("change."+string(c.Op)):
		return x.t("change." + string(c.Op))
	}
	return x.t("change.confirm")
}

// keysElsewhere says for which hosts somebody's keys are, where they are for another one than this.
func (x *exchange) keysElsewhere(now auth.Progress) string {
	return x.t("keys.elsewhere", x.list(now.Elsewhere))
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
