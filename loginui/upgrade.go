package loginui

import (
	"errors"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// The upgrade comes between a finished sign-in and where the visitor wanted to go: the browser may make a passkey by itself. It
// holds nobody up: whatever goes wrong, a malformed answer too, it leads on and says nothing. Who did not ask for a passkey need not
// hear why there is none; on the Security page they set one up and see what is wrong.

func getUpgrade(x *exchange) error {
	to := x.upgradeTarget(x.r.URL.Query().Get("to"))
	ask, err := x.realm.UpgradeAsk(x.r.Context(), x.in.Visit)
	if err != nil {
		return x.leadOn(to, err)
	}
	pg := x.newPage("upgrade", "upgrade")
	pg.To = to
	pg.Body = &keyAsk{Options: string(ask.Public), Sealed: ask.Sealed}
	return x.render(pg)
}

func postUpgrade(x *exchange) error {
	err := x.realm.Upgrade(x.r.Context(), x.in.Visit, []byte(x.form["response"]), x.form["challenge"])
	return x.leadOn(x.upgradeTarget(x.form["to"]), err)
}

func (x *exchange) upgradeTarget(to string) string {
	if to = x.returnTarget(to); to == "" {
		return "/"
	}
	return to
}

// leadOn goes to a target after whatever happened. Faults are logged.
func (x *exchange) leadOn(to string, err error) error {
	for _, fine := range []error{nil, auth.ErrStep, auth.ErrNoSession, auth.ErrRejected, auth.ErrBusy} {
		if errors.Is(err, fine) {
			return x.redirect(x.href(to))
		}
	}
	x.report(err)
	return x.redirect(x.href(to))
}
