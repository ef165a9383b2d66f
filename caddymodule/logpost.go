package caddymodule

import (
	"context"
	"log/slog"
	"strings"

	"github.com/caddy-mfa/caddy-mfa/internal/mail"
)

// logPost writes mails to Caddy's log in place of sending them, for trying things out.
type logPost struct{ log *slog.Logger }

func newLogPost() logPost { return logPost{processLog()} }

// Send logs the text of m line by line: a link then ends where its line does, whatever the log's format.
func (p logPost) Send(ctx context.Context, m mail.Message) error {
	var lines []string
	for line := range strings.Lines(m.Text) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	p.log.InfoContext(ctx, "mail", "to", m.To, "subject", m.Subject, "text", lines)
	return nil
}
