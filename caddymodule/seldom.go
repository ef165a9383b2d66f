package caddymodule

import (
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-mfa/caddy-mfa/loginui"
)

// seldom lets the log tell of something that happens at requests, which come faster than anybody reads. The zero value is ready.
type seldom struct {
	last atomic.Int64
	more atomic.Int64 // not told since
}

// due reports whether it may be told now, after at least so many seconds of silence, and how often it was not since the last time.
func (s *seldom) due(now time.Time, seconds int64) (more int64, ok bool) {
	last := s.last.Load()
	if now.Unix()-last < seconds || !s.last.CompareAndSwap(last, now.Unix()) {
		s.more.Add(1)
		return 0, false
	}
	return s.more.Swap(0), true
}

// faultLog logs that the store fails, at most once in ten seconds.
type faultLog struct {
	log *zap.Logger
	seldom
}

// report returns the id under which it was logged, "" if it was not.
func (f *faultLog) report(now time.Time, err error) (id string) {
	if more, ok := f.due(now, 10); ok {
		id = loginui.NewErrorID()
		f.log.Error("requests are refused because the store fails", zap.String("error_id", id), zap.Error(err), zap.Int64("since_last_report", more))
	}
	return id
}

// noAddress logs that a visitor at the sign-in pages has no address, at most once a minute.
func (a *App) noAddress(now time.Time) {
	if more, ok := a.addressless.due(now, 60); ok {
		a.log.Warn("visitors have no address, so wrong answers are limited by account alone; where a proxy reaches Caddy by a Unix socket, "+
			"it takes trusted_proxies_unix and the proxy's X-Forwarded-For", zap.Int64("since_last_report", more))
	}
}
