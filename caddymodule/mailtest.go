package caddymodule

import (
	"context"
	"fmt"

	"github.com/caddy-mfa/caddy-mfa/internal/mail"
)

type (
	mailTestInput struct {
		Address string `json:"address"`
	}
	mailTestView struct {
		Address string `json:"address"`
		Server  string `json:"server,omitempty"` // that took the mail; absent where it was written to the log
	}
)

// mailError is a test mail that did not go out: a sentence about what happened, and what to do.
type mailError struct{ text string }

func (e *mailError) Error() string { return e.text }

// testMail sends a test mail past the queue, and tells what the server answers.
func testMail(ctx context.Context, c call, in mailTestInput) (mailTestView, error) {
	if err := mail.CheckAddress(in.Address); err != nil {
		return mailTestView{}, &inputError{fmt.Sprintf("%q is not exactly one mail address, such as alice@example.com.", in.Address)}
	}
	s := &c.app.settings
	switch {
	case !s.mails:
		return mailTestView{}, &inputError{"There is no mail server: the option smtp is not set."}
	case s.sender == nil && c.offline:
		return mailTestView{}, &mailError{"Mail is written to Caddy's log (smtp log), and no Caddy is running."}
	case s.sender == nil:
		return mailTestView{Address: in.Address}, newLogPost().Send(ctx, mail.Message{
			To: in.Address, Subject: "Test mail from " + s.name, Text: "This is a test. Nobody has to do anything.\n",
		})
	}
	// The admin API gives up a request after ten seconds (its server's limit for reading one), a mail server may take longer.
	if err := s.sender.Try(context.WithoutCancel(ctx), in.Address); err != nil {
		return mailTestView{}, &mailError{err.Error()}
	}
	return mailTestView{Address: in.Address, Server: s.mailServer}, nil
}
