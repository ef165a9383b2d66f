package loginui

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/internal/method"
)

// totpSetup is what the page shows for setting up an app.
type totpSetup struct{ method.TOTPSetup }

// Image is the QR code as a data: URI.
func (s totpSetup) Image() template.URL {
	return template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(s.QR)) //nolint:gosec // base64 escapes all
}

// Open is the address that authenticator apps on this device answer to; decodeTOTP has checked its scheme.
func (s totpSetup) Open() template.URL {
	return template.URL(s.URI) //nolint:gosec // an otpauth address runs nothing, and the template escapes quotes
}

// Grouped is the key in groups of four, to be typed.
func (s totpSetup) Grouped() []string {
	var groups []string
	for rest := s.Secret; rest != ""; {
		n := min(4, len(rest))
		groups = append(groups, rest[:n])
		rest = rest[n:]
	}
	return groups
}

func decodeTOTP(public []byte) (totpSetup, error) {
	var s totpSetup
	if err := json.Unmarshal(public, &s.TOTPSetup); err != nil {
		return s, fmt.Errorf("reading the challenge of totp: %w", err)
	}
	if u, err := url.Parse(s.URI); err != nil || u.Scheme != "otpauth" {
		return s, errors.New("reading the challenge of totp: no otpauth address")
	}
	return s, nil
}

// enrollTOTPPage shows the secret of the enrolment that was begun. Without one settle leads to where it begins.
func (x *exchange) enrollTOTPPage() (*page, error) {
	now, err := x.realm.Progress(x.r.Context(), x.in.Visit)
	if err != nil {
		return nil, err
	}
	if now.Step != auth.StepEnroll || now.Method != auth.MethodTOTP {
		return nil, auth.ErrStep
	}
	if now.Challenge == nil {
		return nil, errors.New("enrolment of totp without its challenge")
	}
	setup, err := decodeTOTP(now.Challenge.Public)
	if err != nil {
		return nil, err
	}
	pg := x.flowPage("enroll_totp", "enrolltotp", now)
	pg.policy = imagePolicy
	pg.fields, pg.wrongField, pg.wrongStatus = []string{"code"}, "code", http.StatusUnprocessableEntity
	pg.Body = setup
	return pg, nil
}

func getEnrollTOTP(x *exchange) error {
	pg, err := x.enrollTOTPPage()
	if err != nil {
		return err
	}
	return x.render(pg)
}

func postEnrollTOTP(x *exchange) error {
	pg, err := x.enrollTOTPPage()
	if err != nil {
		return err
	}
	code := x.form.code()
	if code == "" {
		return x.refuse(pg, &auth.Invalid{Field: "code", Text: x.t("enrolltotp.empty")})
	}
	out, err := x.realm.FinishEnroll(x.r.Context(), x.in.Visit, auth.MethodTOTP, "", []byte(code))
	if err != nil {
		return x.refuse(pg, err)
	}
	return x.advance(out)
}
