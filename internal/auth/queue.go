package auth

import (
	"context"

	"github.com/caddy-mfa/caddy-mfa/internal/mail"
)

// Post takes mails for delivery; *mail.Sender is one. It is safe for concurrent use.
type Post interface {
	// Send returns nil once the mail is taken, a *mail.Refused where trying again is useless, and another error where it is not.
	Send(ctx context.Context, m mail.Message) error
}
