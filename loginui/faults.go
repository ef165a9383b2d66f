package loginui

import (
	"log/slog"
	"sync"
	"time"
)

// faultsLogged is how many faults are logged in faultsEvery: enough to find the one whose id a person reads out, too few to fill a
// disk that is full already.
const (
	faultsLogged = 10
	faultsEvery  = 10 * time.Second
)

// faults counts what went wrong on our side.
type faults struct {
	sync.Mutex
	since time.Time
	count int
}

// log reports whether the fault of x is one to log. It logs how many were not, once it goes on.
func (f *faults) log(x *exchange) bool {
	f.Lock()
	defer f.Unlock()
	now := x.now()
	if now.Sub(f.since) >= faultsEvery {
		if dropped := f.count - faultsLogged; dropped > 0 {
			x.logger.LogAttrs(x.r.Context(), slog.LevelError, "portal: more requests failed", slog.Int("count", dropped), slog.Time("since", f.since))
		}
		f.since, f.count = now, 0
	}
	f.count++
	return f.count <= faultsLogged
}
