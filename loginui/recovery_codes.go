package loginui

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// codeList is what the page of recovery codes shows.
type codeList struct {
	Codes []string
	Again bool // they are in use, and their owner sees them again
	// What stands over them on paper: whose they are, and since when.
	User, Date string
	Dated      string // text id of what the date means
}

// codesPage shows the pending codes of a flow, or a button that makes them; or codes that are in use.
func (x *exchange) codesPage() (*page, auth.Progress, error) {
	now, err := x.realm.Progress(x.r.Context(), x.in.Visit)
	if err != nil {
		return nil, now, err
	}
	if now.Step != auth.StepRecovery {
		return nil, now, auth.ErrStep
	}
	id, again := "codes", now.Change.Views()
	if again {
		id = "codes.again"
	}
	pg := x.flowPage("recovery_codes", id, now)
	pg.Body = codeList{now.RecoveryList, again, now.User.Name, x.Stamp(x.now()), dated(now)}
	return pg, now, nil
}

func getRecoveryCodes(x *exchange) error {
	pg, _, err := x.codesPage()
	if err != nil {
		return err
	}
	return x.render(pg)
}

// postRecoveryCodes makes a pending set, hands it out as a file, or makes it live, by the button that was pressed.
func postRecoveryCodes(x *exchange) error {
	pg, now, err := x.codesPage()
	_, download := x.form["download"]
	_, confirm := x.form["confirm"]
	if old := confirm && now.Change.Views() && errors.Is(err, auth.ErrStep); err != nil && !old { // who has seen them may go, however late
		return err
	}
	var out auth.Outcome
	switch {
	case download && len(now.RecoveryList) > 0:
		x.download(now)
		return nil
	case confirm:
		out, err = x.realm.ConfirmRecoveryCodes(x.r.Context(), x.in.Visit)
	default:
		out, err = x.realm.MakeRecoveryCodes(x.r.Context(), x.in.Visit)
	}
	if err != nil && pg != nil {
		return x.refuse(pg, err)
	}
	if err != nil {
		return err
	}
	return x.advance(out)
}

// download answers with the codes as a text file. It works without script.
func (x *exchange) download(now auth.Progress) {
	lines := []string{
		x.t("codes.file.head", x.realm.Name()), "", x.t("codes.file.site", x.in.Visit.Host), x.t("codes.file.user", now.User.Name),
		x.t(dated(now), x.Stamp(x.now())), "",
	}
	for i, code := range now.RecoveryList {
		lines = append(lines, fmt.Sprintf("%2d  %s", i+1, code))
	}
	lines = append(lines, "", x.t("codes.file.once"), "")
	x.w.Header().Set("Content-Disposition", `attachment; filename="recovery-codes-`+fileName(x.in.Visit.Host)+`.txt"`)
	x.write(http.StatusOK, "text/plain; charset=utf-8", []byte(strings.Join(lines, "\n")))
}

// dated is the text id of what the date beside recovery codes means.
func dated(now auth.Progress) string {
	if now.Change.Views() {
		return "codes.file.seen"
	}
	return "codes.file.made"
}

// fileName is s with everything replaced that a file system or a header could take amiss.
func fileName(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x80 && unreserved(byte(r)) {
			return r
		}
		return '_'
	}, s)
}
