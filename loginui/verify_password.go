package loginui

import "github.com/caddy-mfa/caddy-mfa/internal/auth"

// verifyPasswordPage asks for the password where a key came first, or before a change. It shows whose password, for people and for
// their password manager.
func (x *exchange) verifyPasswordPage() (*page, error) {
	pg, now, err := x.verifyPage(auth.MethodPassword)
	if err != nil {
		return nil, err
	}
	pg.fields, pg.wrongField = []string{"password"}, "password"
	pg.Body = now.User.Name
	return pg, nil
}

func getVerifyPassword(x *exchange) error {
	pg, err := x.verifyPasswordPage()
	if err != nil {
		return err
	}
	return x.render(pg)
}

func postVerifyPassword(x *exchange) error {
	pg, err := x.verifyPasswordPage()
	if err != nil {
		return err
	}
	return x.prove(pg, auth.MethodPassword, x.form["password"])
}
