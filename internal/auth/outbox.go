package auth

import (
	"maps"
	"sync"
	"time"
)

// outbox is what a State keeps in memory about its queue.
type outbox struct {
	wake    chan struct{}
	running sync.WaitGroup // what Close waits for

	mu      sync.Mutex
	outlet  *outlet              // nil: mails wait
	flying  map[string]claimed   // being delivered here
	settled map[string]settledAs // delivered, or refused, but the store did not take it yet
	waiting int                  // mails at the last look
	added   int                  // since then
	broken  bool                 // the store failed at the last look
}

// settledAs is the event that ends a mail, "" for none.
type settledAs string

func newOutbox() *outbox {
	return &outbox{wake: make(chan struct{}, 1), flying: map[string]claimed{}, settled: map[string]settledAs{}}
}

// admit counts a mail, unless too many wait. A transaction that runs twice counts twice, until the next look.
func (o *outbox) admit(limit int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.waiting+o.added >= limit {
		return false
	}
	o.added++
	return true
}

// count is how many mails came since the last look.
func (o *outbox) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.added
}

// counted takes the result of a look that began when there were before.
func (o *outbox) counted(mails []claimed, before int) {
	there := make(map[string]bool, len(mails))
	for _, m := range mails {
		there[m.id] = true
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.waiting, o.added, o.broken = len(mails), o.added-before, false
	gone := func(id string) bool { return !there[id] }
	maps.DeleteFunc(o.settled, func(id string, _ settledAs) bool { return gone(id) })
	if o.outlet != nil {
		maps.DeleteFunc(o.outlet.tried, func(id string, _ bool) bool { return gone(id) })
	}
}

// fault reports whether err is the first since the store last worked.
func (o *outbox) fault(err error) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	first := err != nil && !o.broken
	o.broken = o.broken || err != nil
	return first
}

// plan is what to do about a mail: one of the first three, or nothing before at.
type plan struct {
	renew  bool
	held   claimed
	ended  bool
	event  string
	outlet *outlet // delivers it, and has a slot for it
	at     time.Time
}

func (o *outbox) plan(now time.Time, m claimed) plan {
	o.mu.Lock()
	defer o.mu.Unlock()
	if held, ok := o.flying[m.id]; ok {
		return plan{renew: held.Leased.Sub(now) < leaseLife/2, held: held}
	}
	if event, ok := o.settled[m.id]; ok {
		return plan{ended: true, event: string(event)}
	}
	out := o.outlet
	switch {
	case now.Before(m.Leased):
		return plan{at: m.Leased}
	case !now.Before(m.Until):
		return plan{ended: true, event: EventMailExpired}
	case out == nil:
		return plan{at: m.Until}
	}
	fresh := !out.tried[m.id] && !m.Tried.After(out.since)
	if !fresh && now.Before(m.Due) {
		return plan{at: m.Due}
	}
	if young := m.Tries == 0 && m.Created.After(out.failed); out.failures > 0 && !young {
		if now.Before(out.paused) {
			return plan{at: out.paused}
		}
		if out.busy > 0 { // after a pause, one mail finds out for all
			return plan{}
		}
	}
	if out.busy >= deliveries {
		return plan{}
	}
	out.busy++
	out.tried[m.id] = true
	return plan{outlet: out}
}

// fly notes a delivery, landed its end.
func (o *outbox) fly(c claimed) {
	c.message.Text, c.message.HTML = "", ""
	o.mu.Lock()
	defer o.mu.Unlock()
	o.flying[c.id] = c
}

func (o *outbox) landed(out *outlet, id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.flying, id)
	out.busy--
}

func (o *outbox) renewed(c claimed) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, ok := o.flying[c.id]; ok {
		o.flying[c.id] = c
	}
}
