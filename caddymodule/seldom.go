package caddymodule

import (
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-mfa/caddy-mfa/loginui"
)

// seldom lets the log tell of something that happens at requests, which come faster than anybody reads. The zero value is ready.
type seldom struct {
	mu   sync.Mutex
	last int64  // when it was told, in seconds
	more int64  // not told since
	id   string // under which it was told
}

// tell has it told now, unless that was done within so many seconds. It returns the id under which it stands in the log in either case.
// more is how often it happened untold since the last time.
func (s *seldom) tell(now time.Time, seconds int64, log func(id string, more int64)) (id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := now.Unix() - s.last; d >= 0 && d < seconds { // else the clock was set back
		s.more++
		return s.id
	}
	s.last, s.id = now.Unix(), loginui.NewErrorID()
	log(s.id, s.more)
	s.more = 0
	return s.id
}

// faultLog logs that the store fails, at most once in ten seconds.
type faultLog struct {
	log *zap.Logger
	seldom
}

// report returns the id under which it stands in the log.
func (f *faultLog) report(now time.Time, err error) (id string) {
	return f.tell(now, 10, func(id string, more int64) {
		f.log.Error("requests are refused because the store fails", zap.String("error_id", id), zap.Error(err), zap.Int64("since_last_report", more))
	})
}

// noAddress logs that a visitor at the sign-in pages has no address, at most once a minute.
func (a *App) noAddress(now time.Time) {
	a.addressless.tell(now, 60, func(_ string, more int64) {
		a.log.Warn("visitors have no address, so wrong answers are limited by account alone; where a proxy reaches Caddy by a Unix socket, "+
			"it takes trusted_proxies_unix and the proxy's X-Forwarded-For", zap.Int64("since_last_report", more))
	})
}
