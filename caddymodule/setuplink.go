package caddymodule

import (
	"context"
	"fmt"

	"go.uber.org/zap"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// announceSetup logs the link with which the first admin makes an account, once a process, while there is no account.
func (a *App) announceSetup(ctx context.Context, realm *auth.Realm) error {
	token, expires, err := realm.SetupToken(ctx)
	if err != nil {
		return fmt.Errorf("looking for the first account: %w", err)
	}
	if token == "" {
		return nil
	}
	if !a.offersSetUp() {
		a.log.Warn("there is no account, and no method to set up: make the first with caddy mfa user add NAME --email ADDRESS")
		return nil // the link would lead to an account without a second method
	}
	if !a.lease.first() {
		return nil
	}
	// A warning, so that it shows where the log is set to hold no more than those: without it nobody gets in.
	a.log.Warn("open this link to create the first admin account",
		zap.String("link", a.LinkFor(token)), zap.Time("expires", expires))
	return nil
}

// LinkFor returns the address at which the token of an invitation is accepted. Where neither the option url nor a running Caddy
// says under which address the site is reached, it begins with the path.
func (a *App) LinkFor(token string) string {
	_ = a.look() // what it finds wrong keeps the config from starting
	// In the fragment: it is not sent, so no log on the way holds it (S30).
	return a.base("") + "/invite#" + token
}
