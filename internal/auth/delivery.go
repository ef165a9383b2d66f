package auth

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"math/big"
	"regexp"
	"sort"
	"strings"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/mail"
	"github.com/caddy-mfa/caddy-mfa/storage"
)

// Post takes mails for delivery; *mail.Sender is one. It is safe for concurrent use.
type Post interface {
	// Send returns nil once the mail is taken, a *mail.Refused where trying again is useless, and another error where it is not: one
	// that is a mail.ErrServer is about all mails. It ends when ctx does, and bounds its own time.
	Send(ctx context.Context, m mail.Message) error
}

const (
	// deliveries is how many mails are sent at once, so that a server that falls silent in the middle of one does not hold up all.
	deliveries = 4
	// lookEvery is how often the queue is looked at unasked: for what another node left, and for leases that need to be renewed.
	lookEvery = 5 * time.Second
	// noteTime bounds how long the end of a delivery may take to be noted, also while the State closes.
	noteTime = 5 * time.Second
)

// backoffs are the pauses after so many failures; the last one stays.
var backoffs = []time.Duration{5 * time.Second, 15 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute}

// backoff is the pause after n failures, a fifth more or less: what failed together is not tried together.
func backoff(n int) time.Duration {
	d := backoffs[min(max(n, 1), len(backoffs))-1]
	spread, err := rand.Int(rand.Reader, big.NewInt(int64(d)*2/5))
	if err != nil {
		return d
	}
	return d*4/5 + time.Duration(spread.Int64())
}

// outlet is a Post in use, and how it fares. The outbox's lock guards it.
type outlet struct {
	post     Post
	since    time.Time
	tried    map[string]bool // mails that it had
	busy     int             // deliveries
	failures int             // in a row, of the server: each ends in a pause
	failed   time.Time       // the last of them
	paused   time.Time       // until then, only mails that are younger than failed are tried
}

// UsePost says by whom mails are sent from now on; nil: they wait. Deliveries that have begun are finished by whoever began them. All
// mails that wait are tried at once: what was wrong before may have been the configuration.
func (s *State) UsePost(p Post) {
	o := s.outbox
	o.mu.Lock()
	o.outlet = nil
	if p != nil {
		o.outlet = &outlet{post: p, since: s.now(), tried: map[string]bool{}}
	}
	o.mu.Unlock()
	s.wakeMail()
}

// deliverMails sends what waits until ctx ends. Deliveries of that moment are broken off and left in the queue.
func (s *State) deliverMails(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.outbox.wake:
		case <-timer.C:
		}
		timer.Reset(s.lookAtMails(ctx))
	}
}

// lookAtMails starts what is due, and returns when to look again.
func (s *State) lookAtMails(ctx context.Context) time.Duration {
	wait := lookEvery
	mails, err := s.waitingMails(ctx)
	if s.outbox.fault(err) && ctx.Err() == nil {
		s.log.Error("reading the mails that wait failed; they stay where they are", "error", err)
	}
	for _, m := range mails {
		if ctx.Err() != nil {
			break
		}
		now := s.now()
		p := s.outbox.plan(now, m)
		switch {
		case p.renew:
			s.renew(ctx, now, p.held)
		case p.ended:
			s.end(ctx, m, p.event)
		case p.outlet != nil:
			s.take(ctx, now, p.outlet, m)
		case p.at.After(now):
			wait = min(wait, p.at.Sub(now))
		}
	}
	return max(wait, 10*time.Millisecond)
}

// waitingMails are all mails, those with the fewest tries first, then the oldest: a mail at which a server stumbles does not stay
// ahead of the others.
func (s *State) waitingMails(ctx context.Context) (mails []claimed, err error) {
	before := s.outbox.count()
	err = s.store.View(ctx, func(tx storage.Tx) error {
		mails = nil
		for e, err := range tx.Scan(keyQueue, "") {
			if err != nil {
				return err
			}
			m := claimed{id: strings.TrimPrefix(e.Key, keyQueue)}
			if err := json.Unmarshal(e.Value, &m.queued); err != nil {
				m.queued = queued{} // damaged: it has expired for all that is known
			}
			mails = append(mails, m)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.outbox.counted(mails, before)
	sort.SliceStable(mails, func(i, j int) bool { return mails[i].Tries < mails[j].Tries })
	return mails, nil
}

// take claims a mail for an outlet that has a slot for it, and begins to deliver it.
func (s *State) take(ctx context.Context, now time.Time, out *outlet, m claimed) {
	var c claimed
	err := s.store.Update(ctx, func(tx storage.Tx) (err error) {
		c, err = s.claim(tx, now, m.id, m.queued)
		return err
	})
	if err == nil {
		s.outbox.fly(c)
		s.outbox.running.Go(func() { s.deliver(ctx, out, c) })
		return
	}
	s.outbox.landed(out, m.id)
	switch {
	case errors.Is(err, errTaken), ctx.Err() != nil:
	case errors.Is(err, errOutlived):
		s.end(ctx, m, EventMailExpired)
	case errors.Is(err, errUnreadable):
		s.log.Error("a mail in the queue cannot be read any more, and is dropped", "mail", m.id, "user", m.User, "error", err)
		s.end(ctx, m, "")
	default:
		if s.outbox.fault(err) {
			s.log.Error("taking a mail from the queue failed; it stays there", "error", err)
		}
	}
}

// deliver sends a mail, and notes how that went.
func (s *State) deliver(ctx context.Context, out *outlet, c claimed) {
	defer s.wakeMail()
	defer s.outbox.landed(out, c.id)
	err := out.post.Send(ctx, c.message)
	note, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteTime)
	defer cancel()
	log := s.log.With("mail", c.id, "user", c.User, "try", c.Tries)
	_, refused := errors.AsType[*mail.Refused](err)
	switch {
	case err == nil:
		s.reached(out)
		log.Debug("mail sent")
		s.settle(note, c, "")
	case refused:
		s.reached(out)
		log.Warn("mail refused for good", "error", discreet(err, c.message))
		s.settle(note, c, EventMailRefused)
	case ctx.Err() != nil:
		s.giveBack(note, c, s.now())
	case errors.Is(err, mail.ErrServer):
		s.unreachable(out, discreet(err, c.message))
		s.giveBack(note, c, s.now())
	default:
		s.reached(out)
		wait := backoff(c.Tries)
		if c.Tries == 1 {
			log.Warn("mail not sent; it is tried again", "error", discreet(err, c.message), "in", wait.Round(time.Second))
		} else {
			log.Debug("mail not sent again", "error", discreet(err, c.message), "in", wait.Round(time.Second))
		}
		s.giveBack(note, c, s.now().Add(wait))
	}
}

// reached ends the pauses of an outlet.
func (s *State) reached(out *outlet) {
	s.outbox.mu.Lock()
	again := out.failures > 0
	out.failures, out.paused = 0, time.Time{}
	s.outbox.mu.Unlock()
	if again {
		s.log.Info("mail can be sent again")
	}
}

// unreachable begins a pause of an outlet, unless it has one: then a mail that is new has merely found the same. So there is one line
// in the log for each pause, however many mails wait.
func (s *State) unreachable(out *outlet, reason string) {
	o, now := s.outbox, s.now()
	o.mu.Lock()
	first := out == o.outlet && !now.Before(out.paused)
	var wait time.Duration
	if first {
		out.failures++
		wait = backoff(out.failures)
		out.failed, out.paused = now, now.Add(wait)
	}
	waiting := o.waiting + o.added
	o.mu.Unlock()
	if first {
		s.log.Warn("mail cannot be sent; it is tried again", "error", reason, "in", wait.Round(time.Second), "waiting", waiting)
	}
}

// settle removes a mail that was sent or refused. Where the store fails, the next look does it: the mail is not sent twice.
func (s *State) settle(ctx context.Context, c claimed, event string) {
	err := s.store.Update(ctx, func(tx storage.Tx) error { return s.dequeue(tx, c.id, c.queued, event) })
	if err == nil {
		return
	}
	s.outbox.mu.Lock()
	s.outbox.settled[c.id] = settledAs(event)
	s.outbox.mu.Unlock()
	if s.outbox.fault(err) {
		s.log.Error("removing a mail from the queue failed", "error", err)
	}
}

// end removes a mail that nobody is delivering.
func (s *State) end(ctx context.Context, m claimed, event string) {
	err := s.store.Update(ctx, func(tx storage.Tx) error { return s.dequeue(tx, m.id, m.queued, event) })
	if err != nil {
		if s.outbox.fault(err) && ctx.Err() == nil {
			s.log.Error("removing a mail from the queue failed", "error", err)
		}
		return
	}
	s.outbox.mu.Lock()
	delete(s.outbox.settled, m.id)
	s.outbox.mu.Unlock()
	if event == EventMailExpired {
		s.log.Warn("mail not sent in time, and dropped", "mail", m.id, "user", m.User, "tries", m.Tries)
	}
}

// giveBack puts a mail back into the queue.
func (s *State) giveBack(ctx context.Context, c claimed, due time.Time) {
	err := s.store.Update(ctx, func(tx storage.Tx) error {
		return c.change(tx, func(q *queued) { q.Leased, q.Due = time.Time{}, due })
	})
	if err != nil && s.outbox.fault(err) {
		s.log.Error("putting a mail back into the queue failed; its lease runs out soon", "error", err)
	}
}

// renew keeps the lease of a delivery that takes long.
func (s *State) renew(ctx context.Context, now time.Time, c claimed) {
	c.Leased = now.Add(leaseLife)
	err := s.store.Update(ctx, func(tx storage.Tx) error {
		return c.change(tx, func(q *queued) { q.Leased = c.Leased })
	})
	if err == nil {
		s.outbox.renewed(c)
	}
}

var wordy = regexp.MustCompile(`[A-Za-z0-9_-]{6,}`)

// discreet is an error as it may stand in the log: servers quote from the mail, and the mail holds a code and a token.
func discreet(err error, m mail.Message) string {
	return wordy.ReplaceAllStringFunc(err.Error(), func(word string) string {
		secret := len(word) >= 40 || strings.ContainsAny(word, "0123456789")
		if secret && strings.Contains(m.Text+"\n"+m.HTML, word) {
			return "***"
		}
		return word
	})
}
