package loginui

import (
	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/internal/method"
)

func getVerifyTOTP(x *exchange) error {
	pg, _, err := x.verifyPage(auth.MethodTOTP)
	if err != nil {
		return err
	}
	return x.render(pg)
}

// postVerifyTOTP also takes a recovery code: whoever has lost the phone finds this field first.
func postVerifyTOTP(x *exchange) error {
	pg, now, err := x.verifyPage(auth.MethodTOTP)
	if err != nil {
		return err
	}
	code := x.form.code()
	if method.LooksLikeRecoveryCode(code) && asks(now, auth.MethodRecovery) {
		if !now.Untold {
			pg.wrong = "recovery.wrong"
		}
		return x.prove(pg, auth.MethodRecovery, code)
	}
	return x.prove(pg, auth.MethodTOTP, code)
}
