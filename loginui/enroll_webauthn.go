package loginui

import (
	"errors"
	"net/http"
	"slices"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// keySetup is what the page shows for setting up a security key or passkey.
type keySetup struct {
	Options string // for the script; "" if the challenge was answered or is over
	Left    int64  // milliseconds that the challenge still counts, by our clock: it was made before this page
	Label   string // as typed
	Example string // of a name
}

// enrollKeyPage shows the enrolment of a key. What was begun and is over is begun again by a button.
func (x *exchange) enrollKeyPage() (*page, *keySetup, error) {
	now, err := x.realm.Progress(x.r.Context(), x.in.Visit)
	if err != nil {
		return nil, nil, err
	}
	if now.Step != auth.StepEnroll || !slices.Contains(now.Enrollable, auth.MethodWebAuthn) {
		return nil, nil, auth.ErrStep
	}
	body := &keySetup{Label: x.form.trimmed("label"), Example: x.t("enrollkey.example")}
	if browser, system := auth.Describe(x.in.Visit.UserAgent); browser != "" && system != "" {
		body.Example = x.t("browser.on", browser, system)
	}
	begun := now.Method == auth.MethodWebAuthn && now.Challenge != nil
	if begun && x.now().Before(now.Challenge.Expires) {
		body.Options, body.Left = string(now.Challenge.Public), now.Challenge.Expires.Sub(x.now()).Milliseconds()
	}
	pg := x.flowPage("enroll_webauthn", "enrollkey", now)
	pg.fields, pg.wrongStatus = []string{"label"}, http.StatusUnprocessableEntity
	pg.Body = body
	if begun && body.Options == "" {
		pg.Notice = x.t("enrollkey.expired")
	}
	return pg, body, nil
}

func getEnrollWebAuthn(x *exchange) error {
	pg, body, err := x.enrollKeyPage()
	if err != nil {
		return err
	}
	if body.Options == "" && pg.Notice == "" { // not begun: settle leads to where it begins
		return auth.ErrStep
	}
	return x.render(pg)
}

func postEnrollWebAuthn(x *exchange) error {
	pg, _, err := x.enrollKeyPage()
	if err != nil {
		return err
	}
	answer := x.form["response"]
	if answer == "" {
		return x.refuse(pg, &auth.Invalid{Text: x.t("webauthn.empty")})
	}
	out, err := x.realm.FinishEnroll(x.r.Context(), x.in.Visit, auth.MethodWebAuthn, x.form.trimmed("label"), []byte(answer))
	if err == nil {
		return x.advance(out)
	}
	pg, _, gone := x.enrollKeyPage() // the answer may have spent the challenge
	if gone != nil {
		return gone
	}
	if errors.Is(err, auth.ErrDuplicate) {
		pg.wrong = "enrollkey.duplicate"
	}
	return x.refuse(pg, err)
}
