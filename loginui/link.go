package loginui

import (
	"errors"
	"net/http"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// mailedLink is what the page behind the link of a sign-in mail shows. The token stands in the fragment: whatever fetches the
// address sends none, and changes nothing (S28).
type mailedLink struct {
	Here bool   // this browser waits for a mailed code: one press finishes its sign-in
	Code string // elsewhere, after the token came: what is to be typed where the sign-in began
}

// linkPage shows what the link does here. Outside a flow the script sends the token by itself, for all that comes of it is a page
// with the code.
func (x *exchange) linkPage() (*page, error) {
	now, err := x.realm.Progress(x.r.Context(), x.in.Visit)
	if err != nil && !errors.Is(err, auth.ErrNoFlow) {
		return nil, err
	}
	body := mailedLink{Here: err == nil && asks(now, auth.MethodEmail) && now.Mail != nil && now.Mail.Sent}
	id := "link"
	if body.Here {
		id = "link.here"
	}
	pg := x.newPage("link", id)
	if body.Here {
		pg.To, pg.Who = x.returnTarget(now.To), now.User.Display()
	}
	pg.fields, pg.Token = []string{"token"}, x.form.trimmed("token")
	pg.Body = body
	return pg, nil
}

func getLink(x *exchange) error {
	pg, err := x.linkPage()
	if err != nil {
		return err
	}
	x.preFlow()
	return x.render(pg)
}

func postLink(x *exchange) error {
	token := x.form.trimmed("token")
	if token == "" {
		pg, err := x.linkPage()
		if err != nil {
			return err
		}
		return x.refuse(pg, &auth.Invalid{Field: "token", Text: x.t("token.empty")})
	}
	out, code, err := x.realm.FollowLink(x.r.Context(), x.in.Visit, token)
	if errors.Is(err, auth.ErrToken) {
		return x.linkOver()
	}
	if err != nil {
		pg, again := x.linkPage()
		if again != nil {
			return again
		}
		return x.refuse(pg, err)
	}
	if code == "" {
		return x.advance(out)
	}
	pg := x.newPage("link", "link.code")
	pg.Body, pg.once = mailedLink{Code: code}, true
	return x.render(pg)
}

// linkOver answers a link that was used, replaced or is too old. Whoever still waits for a code goes back to where one is sent.
func (x *exchange) linkOver() error {
	m := x.plain("badlink")
	if x.in.Session != nil {
		m.Todo = x.t("badlink.signedin")
	}
	if now, err := x.realm.Progress(x.r.Context(), x.in.Visit); err == nil && asks(now, auth.MethodEmail) {
		m.Link, m.Label, m.Todo = x.prefix+"/verify/email", x.t("badlink.back"), x.t("badlink.here")
	}
	return x.message(http.StatusUnprocessableEntity, m)
}
