package caddymodule

import (
	"context"
	"log/slog"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/exp/zapslog"
)

// processLog returns a logger for what outlives a config: it writes to the log that Caddy uses at that moment. The logger of a
// config goes silent when the next one replaces it.
func processLog() *slog.Logger { return slog.New(currentLog{}) }

// currentLog is a slog.Handler over Caddy's default log. with repeats what was added to it.
type currentLog struct {
	with func(slog.Handler) slog.Handler
}

func (c currentLog) handler() slog.Handler {
	core := caddy.Log().Named("mfa").WithOptions(zap.WithCaller(false)).Core()
	var h slog.Handler = zapslog.NewHandler(core, zapslog.WithName("mfa"), zapslog.AddStacktraceAt(slog.Level(127)))
	if c.with != nil {
		h = c.with(h)
	}
	return h
}

func (c currentLog) add(f func(slog.Handler) slog.Handler) slog.Handler {
	before := c.with
	return currentLog{func(h slog.Handler) slog.Handler {
		if before != nil {
			h = before(h)
		}
		return f(h)
	}}
}

func (c currentLog) Enabled(ctx context.Context, level slog.Level) bool {
	return c.handler().Enabled(ctx, level)
}

func (c currentLog) Handle(ctx context.Context, r slog.Record) error {
	return c.handler().Handle(ctx, r)
}

func (c currentLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return c.add(func(h slog.Handler) slog.Handler { return h.WithAttrs(attrs) })
}

func (c currentLog) WithGroup(name string) slog.Handler {
	return c.add(func(h slog.Handler) slog.Handler { return h.WithGroup(name) })
}
