package auth

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/mail"
	"github.com/caddy-mfa/caddy-mfa/internal/mail/smtptest"
	"github.com/caddy-mfa/caddy-mfa/storage"
)

func TestServerDownThenUp(t *testing.T) {
	o := newPostOffice(t)
	a, addr := smtptest.NewAuthority(t), deadAddr(t)
	o.UsePost(senderTo(t, addr, a))
	to := people(30)
	o.queue(time.Hour, to...)
	for range 8 {
		o.idle(len(to))
		o.clock.Add(18 * time.Minute / 8)
		o.lookAtMails(t.Context())
	}
	o.idle(len(to))
	pauses := o.log.count("WARN")
	if pauses < 3 || pauses > 8 {
		t.Errorf("%d lines:\n%s", pauses, o.log)
	}
	tried := 0
	for _, q := range o.mails() {
		tried += q.Tries
	}
	if tried > deliveries+pauses-1 { // after a pause, one mail finds out for all
		t.Errorf("%d tries with %d pauses", tried, pauses)
	}

	srv := smtptest.Start(t, smtptest.Options{Addr: addr, Authority: a})
	o.lookAtMails(t.Context())
	o.idle(len(to))
	if n := srv.Connections(); n != 0 {
		t.Errorf("%d connections during the pause", n)
	}
	o.clock.Add(time.Second)
	o.queue(time.Hour, "young@example.com") // tries at once, and finds out for all
	o.arrive(srv, len(to)+1)
	o.idle(0)
	if n := len(srv.Mails()); n != len(to)+1 || !strings.Contains(o.log.String(), "mail can be sent again") {
		t.Errorf("%d mails\n%s", n, o.log)
	}
}

func TestServerStopsAndComesBack(t *testing.T) {
	o := newPostOffice(t)
	a, addr := smtptest.NewAuthority(t), deadAddr(t)
	first := smtptest.Start(t, smtptest.Options{Addr: addr, Authority: a, Answer: func(step smtptest.Step, arg string) error {
		if step == smtptest.Recipient && arg != "personaa@example.com" {
			return smtptest.ErrStall
		}
		return nil
	}})
	o.UsePost(senderTo(t, addr, a))
	to := people(12)
	o.queue(time.Hour, to...)
	o.arrive(first, 1)
	eventually(t, "that mail to be noted as sent", func() bool { return len(o.mails()) == len(to)-1 }) // a server that ends sooner says nothing
	first.Stop()
	eventually(t, "every delivery to end", func() bool {
		o.outbox.mu.Lock()
		defer o.outbox.mu.Unlock()
		return len(o.outbox.flying) == 0 && o.outbox.outlet.failures > 0
	})
	o.idle(len(to) - 1)
	second := smtptest.Start(t, smtptest.Options{Addr: addr, Authority: a})
	o.clock.Add(10 * time.Second)
	o.wakeMail()
	o.arrive(second, len(to)-1)
	o.idle(0)
	if n := len(first.Mails()) + len(second.Mails()); n != len(to) {
		t.Errorf("%d mails arrived, want %d", n, len(to))
	}
}

func TestOneStalledMailHoldsUpNone(t *testing.T) {
	o := newPostOffice(t)
	srv, sender := startServer(t, func(step smtptest.Step, arg string) error {
		if step == smtptest.Recipient && strings.HasPrefix(arg, "stall") {
			return smtptest.ErrStall
		}
		return nil
	})
	o.UsePost(sender)
	o.queue(time.Hour, "stall1@example.com", "stall2@example.com", "stall3@example.com")
	o.queue(time.Hour, people(10)...)
	o.arrive(srv, 10)
	eventually(t, "the others to end", func() bool { return len(o.mails()) == 3 })
}

func TestCloseWhileStalled(t *testing.T) {
	o := newPostOffice(t)
	stalled := make(chan struct{}, 4)
	_, sender := startServer(t, func(step smtptest.Step, _ string) error {
		if step == smtptest.Data {
			stalled <- struct{}{}
			return smtptest.ErrStall
		}
		return nil
	})
	o.UsePost(sender)
	o.queue(time.Hour, "alice@example.com")
	<-stalled
	var id string
	for key := range o.records(keyQueue) {
		id = strings.TrimPrefix(key, keyQueue)
	}
	begin := time.Now()
	o.reopen(queueSecret)
	if d := time.Since(begin); d > 5*time.Second {
		t.Errorf("closing took %s", d)
	}
	if q := o.mails(); len(q) != 1 || !q[0].Leased.IsZero() || !q[0].Due.Equal(o.clock.Now()) {
		t.Fatalf("the queue holds %+v", q)
	}
	if o.log.count("WARN") != 0 { // nothing is wrong with the server for all that is known
		t.Errorf("%s", o.log)
	}
	srv, sender := startServer(t, nil)
	o.UsePost(sender)
	if m := o.arrive(srv, 1); idOf(m[0]) != "<"+id+"@example.com>" {
		t.Errorf("another mail: %s, want %s", idOf(m[0]), id)
	}
	o.idle(0)
}

func TestPostChanges(t *testing.T) {
	o := newPostOffice(t)
	a := smtptest.NewAuthority(t)
	o.UsePost(senderTo(t, deadAddr(t), a))
	to := people(8)
	o.queue(time.Hour, to...)
	eventually(t, "a pause", func() bool {
		o.outbox.mu.Lock()
		defer o.outbox.mu.Unlock()
		return o.outbox.outlet.failures > 0
	})
	o.idle(len(to))

	var stalled atomic.Int32
	slow, slowSender := startServer(t, func(step smtptest.Step, _ string) error {
		if step == smtptest.Data {
			stalled.Add(1)
			return smtptest.ErrStall
		}
		return nil
	})
	o.UsePost(slowSender) // the clock does not move: all are tried at once
	eventually(t, "all slots taken", func() bool { return stalled.Load() == deliveries })

	srv, sender := startServer(t, nil)
	o.UsePost(sender)
	o.arrive(srv, len(to)-deliveries) // those that are not with the slow one
	slow.Stop()
	o.arrive(srv, len(to))
	o.idle(0)
	if n := len(srv.Mails()); n != len(to) {
		t.Errorf("%d mails", n)
	}

	o.UsePost(nil)
	o.queue(time.Hour, "alice@example.com")
	o.lookAtMails(t.Context())
	o.idle(1)
	if n := len(srv.Mails()); n != len(to) {
		t.Errorf("a mail was sent without a Post")
	}
}

// TestTwoNodes: States over one store send each mail once, and one does not take what the other is still delivering.
func TestTwoNodes(t *testing.T) {
	o := newPostOffice(t)
	var stall atomic.Bool
	stalled := make(chan struct{}, 1)
	srv, sender := startServer(t, func(step smtptest.Step, _ string) error {
		if step == smtptest.Data && stall.CompareAndSwap(true, false) {
			stalled <- struct{}{}
			return smtptest.ErrStall
		}
		return nil
	})
	other := o.node(o.store, queueSecret)
	t.Cleanup(func() { other.Close() })
	o.queue(time.Hour, people(60)...)
	o.UsePost(sender)
	other.UsePost(sender)
	o.arrive(srv, 60)
	o.idle(0)

	stall.Store(true)
	other.UsePost(nil)
	o.queue(time.Hour, "alice@example.com")
	<-stalled
	other.UsePost(sender)
	for range 6 {
		o.clock.Add(leaseLife * 2 / 3)
		o.lookAtMails(t.Context()) // renews
		other.lookAtMails(t.Context())
	}
	if n := len(srv.Mails()); n != 60 {
		t.Errorf("%d mails", n)
	}
	if q := o.mails(); len(q) != 1 || q[0].Tries != 1 {
		t.Errorf("the queue holds %+v", q)
	}
}

// breakable is a store whose writes can be made to fail.
type breakable struct {
	storage.Store
	broken atomic.Bool
}

func (b *breakable) Update(ctx context.Context, fn func(storage.Tx) error) error {
	if b.broken.Load() {
		return errors.New("disk full")
	}
	return b.Store.Update(ctx, fn)
}

// postFunc is a Post made of a function.
type postFunc func(ctx context.Context, m mail.Message) error

func (f postFunc) Send(ctx context.Context, m mail.Message) error { return f(ctx, m) }

func TestStoreFailsAfterSending(t *testing.T) {
	o := newPostOffice(t)
	store := &breakable{Store: o.store}
	s := o.node(store, queueSecret)
	t.Cleanup(func() { s.Close() })
	var mu sync.Mutex
	var sent []string
	s.UsePost(postFunc(func(_ context.Context, m mail.Message) error {
		mu.Lock()
		defer mu.Unlock()
		sent = append(sent, m.ID)
		store.broken.Store(true)
		return nil
	}))
	o.queue(time.Hour, "alice@example.com")
	s.wakeMail()
	eventually(t, "the mail to be sent and stay", func() bool {
		s.outbox.mu.Lock()
		defer s.outbox.mu.Unlock()
		return len(s.outbox.settled) == 1
	})
	for range 3 {
		o.clock.Add(2 * leaseLife)
		s.lookAtMails(t.Context())
	}
	store.broken.Store(false)
	s.wakeMail()
	o.idle(0)
	mu.Lock()
	defer mu.Unlock()
	if len(sent) != 1 {
		t.Errorf("sent %q", sent)
	}
	if n := o.log.count("ERROR"); n == 0 || n > 6 {
		t.Errorf("%d errors:\n%s", n, o.log)
	}
}

func TestBackoff(t *testing.T) {
	for n, want := range map[int]time.Duration{0: 5 * time.Second, 1: 5 * time.Second, 2: 15 * time.Second, 3: time.Minute, 4: 5 * time.Minute, 5: 15 * time.Minute, 600: 15 * time.Minute} {
		seen := map[time.Duration]bool{}
		for range 50 {
			d := backoff(n)
			seen[d] = true
			if d < want*4/5 || d > want*6/5 {
				t.Errorf("after %d failures %s", n, d)
			}
		}
		if len(seen) < 2 {
			t.Errorf("after %d failures always %v", n, seen)
		}
	}
}

func TestErrorsQuoteNoMail(t *testing.T) { // S78
	m := signInCode("alice@example.com")
	for said, want := range map[string]string{
		"550 5.1.1 <alice@example.com>: user unknown":           "550 5.1.1 <alice@example.com>: user unknown",
		"554 your code " + mailedCode + " looks bad":            "554 your code *** looks bad",
		"554 https://dash.example.com/.mfa/link#" + mailedToken: "554 https://dash.example.com/.mfa/link#***",
		"451 queue id 4F2A9C81D0":                               "451 queue id 4F2A9C81D0",
		"sending mail by mail.example.com:587":                  "sending mail by mail.example.com:587",
	} {
		if got := discreet(errors.New(said), m); got != want {
			t.Errorf("%q became %q", said, got)
		}
	}
}
