package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/mail"
	"github.com/caddy-mfa/caddy-mfa/internal/mail/smtptest"
	"github.com/caddy-mfa/caddy-mfa/storage"
)

func TestMailIsDelivered(t *testing.T) {
	o := newPostOffice(t)
	srv, sender := startServer(t, nil)
	o.UsePost(sender)
	to := people(9)
	o.queue(10*time.Minute, to...)
	var got []string
	for _, m := range o.arrive(srv, len(to)) {
		got = append(got, m.To)
		if !strings.Contains(string(m.Data), "Date: Sun, 01 Mar 2026 12:00:00 +0000") {
			t.Errorf("another date:\n%s", m.Data)
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, to) {
		t.Errorf("mails for %q", got)
	}
	o.idle(0)
	if left := o.records("mail"); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if e := o.events(); len(e) != 0 || o.log.count("WARN") != 0 {
		t.Errorf("%v\n%s", e, o.log)
	}
}

func TestMailIsSealedAtRest(t *testing.T) { // S22, S81
	o := newPostOffice(t)
	o.queue(10*time.Minute, "alice@example.com")
	if len(o.records(keyQueue)) != 1 || len(o.records(keyQueueTexts)) != 1 {
		t.Fatal("nothing waits")
	}
	for key, v := range o.records("") {
		if strings.HasPrefix(key, keyQueueTexts) { // JSON has it in base64
			var text sealedText
			if err := json.Unmarshal([]byte(v), &text); err != nil || len(text.Sealed) == 0 {
				t.Fatalf("%s: %v", key, err)
			}
			v += string(text.Sealed)
		}
		for _, secret := range []string{mailedCode, mailedToken, "alice@example.com", "Example Corp"} {
			if strings.Contains(v, secret) {
				t.Errorf("%s holds %q", key, secret)
			}
		}
	}
}

func TestMailRefusedForGood(t *testing.T) { // S77, S78
	o := newPostOffice(t)
	srv, sender := startServer(t, func(step smtptest.Step, arg string) error {
		switch {
		case step == smtptest.Recipient && arg == "nobody@example.com":
			return smtptest.Reply(550, "no such user")
		case step == smtptest.Data && strings.Contains(arg, "To: <spam@example.com>"):
			return smtptest.Reply(554, "blocked: link#"+mailedToken+" and "+mailedCode)
		}
		return nil
	})
	o.UsePost(sender)
	o.queue(10*time.Minute, "nobody@example.com", "spam@example.com", "alice@example.com", "not an address")
	o.arrive(srv, 1)
	o.idle(0)
	o.clock.add(time.Hour)
	o.lookAtMails(t.Context())
	o.idle(0)
	if n := len(srv.Mails()); n != 1 || srv.Connections() != 3 {
		t.Errorf("%d mails over %d connections", n, srv.Connections())
	}
	want := "mail_refused 5f1c alice"
	if e := o.events(); !slices.Equal(e, []string{want, want, want}) {
		t.Errorf("events: %q", e)
	}
	if n := o.log.count("WARN"); n != 3 || !strings.Contains(o.log.String(), "550 no such user") || !strings.Contains(o.log.String(), "link#*** and ***") {
		t.Errorf("%d warnings:\n%s", n, o.log)
	}
	for _, secret := range []string{mailedCode, mailedToken} {
		if strings.Contains(o.log.String(), secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
}

func TestMailIsTriedAgain(t *testing.T) {
	for name, trouble := range map[string]struct {
		step smtptest.Step
		err  error
	}{
		"greylisted":           {smtptest.Recipient, smtptest.Reply(451, "come back later")},
		"full":                 {smtptest.Data, smtptest.Reply(452, "no room")},
		"dropped at the end":   {smtptest.Data, smtptest.ErrDrop},
		"dropped at the start": {smtptest.Greeting, smtptest.ErrDrop},
		"closing":              {smtptest.Recipient, smtptest.Reply(421, "closing")},
		"sender not allowed":   {smtptest.Sender, smtptest.Reply(550, "not from here")},
	} {
		t.Run(name, func(t *testing.T) {
			o := newPostOffice(t)
			var fine atomic.Bool
			srv, sender := startServer(t, func(step smtptest.Step, _ string) error {
				if step == trouble.step && !fine.Load() {
					return trouble.err
				}
				return nil
			})
			o.UsePost(sender)
			o.queue(time.Hour, "alice@example.com")
			for try, pause := range []time.Duration{5 * time.Second, 15 * time.Second, time.Minute, 5 * time.Minute} {
				eventually(t, "the try", func() bool {
					q := o.mails()
					return len(q) == 1 && q[0].Tries == try+1 && q[0].Leased.IsZero()
				})
				o.idle(1)
				o.clock.add(pause*4/5 - time.Second)
				o.lookAtMails(t.Context())
				o.idle(1)
				if n := srv.Connections(); n != try+1 {
					t.Fatalf("%d connections before the pause was over, want %d", n, try+1)
				}
				o.clock.add(pause*2/5 + time.Second)
				fine.Store(try == 3)
				o.wakeMail()
			}
			o.arrive(srv, 1)
			o.idle(0)
			if n := srv.Connections(); n != 5 {
				t.Errorf("%d connections", n)
			}
			if e := o.events(); len(e) != 0 {
				t.Errorf("events: %q", e)
			}
		})
	}
}

func TestMailExpires(t *testing.T) { // S77
	o := newPostOffice(t)
	srv, sender := startServer(t, nil)
	o.queue(10*time.Minute, "alice@example.com", "bob@example.com")
	o.queue(time.Hour, "carol@example.com")
	o.clock.add(10 * time.Minute)
	if n := len(o.records(keyQueueTexts)); n != 1 {
		t.Errorf("%d texts are left", n)
	}
	o.UsePost(sender)
	if m := o.arrive(srv, 1); m[0].To != "carol@example.com" {
		t.Errorf("a mail for %s", m[0].To)
	}
	o.idle(0)
	want := "mail_expired 5f1c alice"
	if e := o.events(); !slices.Equal(e, []string{want, want}) || srv.Connections() != 1 || o.log.count("WARN") != 2 {
		t.Errorf("%d connections, events %q\n%s", srv.Connections(), e, o.log)
	}
}

func TestMailExpiresWithoutPost(t *testing.T) {
	o := newPostOffice(t)
	o.queue(10*time.Minute, "alice@example.com")
	o.idle(1)
	o.clock.add(10 * time.Minute)
	o.wakeMail()
	o.idle(0)
	if e := o.events(); !slices.Equal(e, []string{"mail_expired 5f1c alice"}) {
		t.Errorf("events %q", e)
	}
}

func TestServerDownThenUp(t *testing.T) {
	o := newPostOffice(t)
	a, addr := smtptest.NewAuthority(t), deadAddr(t)
	o.UsePost(senderTo(t, addr, a))
	to := people(30)
	o.queue(time.Hour, to...)
	for range 8 {
		o.idle(len(to))
		o.clock.add(18 * time.Minute / 8)
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
	o.clock.add(time.Second)
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
	first.Stop()
	eventually(t, "every delivery to end", func() bool {
		o.outbox.mu.Lock()
		defer o.outbox.mu.Unlock()
		return len(o.outbox.flying) == 0 && o.outbox.outlet.failures > 0
	})
	o.idle(len(to) - 1)
	second := smtptest.Start(t, smtptest.Options{Addr: addr, Authority: a})
	o.clock.add(10 * time.Second)
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

func TestMailsSurviveARestart(t *testing.T) {
	o := newPostOffice(t)
	o.queue(time.Hour, people(7)...)
	o.reopen(queueSecret)
	srv, sender := startServer(t, nil)
	o.UsePost(sender)
	o.arrive(srv, 7)
	o.idle(0)
}

// TestCrashInTheMiddle: a process died after it took a mail, and before it sent it.
func TestCrashInTheMiddle(t *testing.T) {
	o := newPostOffice(t)
	o.queue(10*time.Minute, "alice@example.com")
	err := o.store.Update(t.Context(), func(tx storage.Tx) error {
		for key := range o.recordsIn(tx, keyQueue) {
			if _, err := o.claim(tx, o.clock.Now(), strings.TrimPrefix(key, keyQueue), queued{}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	o.reopen(queueSecret)
	srv, sender := startServer(t, nil)
	o.UsePost(sender)
	o.clock.add(leaseLife - time.Second)
	o.lookAtMails(t.Context())
	o.idle(1)
	if n := srv.Connections(); n != 0 {
		t.Errorf("%d connections while the mail is somebody else's", n)
	}
	o.clock.add(time.Second)
	o.wakeMail()
	o.arrive(srv, 1)
	o.idle(0)
}

func TestQueueIsBounded(t *testing.T) {
	t.Parallel()
	o := newPostOffice(t)
	o.queue(10*time.Minute, people(maxQueued-100)...)
	o.queue(time.Hour, people(100)...)
	eventually(t, "a full queue", func() bool {
		o.outbox.mu.Lock()
		defer o.outbox.mu.Unlock()
		return o.outbox.waiting == maxQueued
	})
	for range 2 {
		err := o.tryQueue(time.Hour, "late@example.com")
		if !errors.Is(err, errQueueFull) || !errors.Is(err, ErrBusy) {
			t.Fatalf("a full queue: %v", err)
		}
		o.lookAtMails(t.Context())
	}
	o.reopen(queueSecret)
	o.lookAtMails(t.Context())
	if err := o.tryQueue(time.Hour, "late@example.com"); !errors.Is(err, errQueueFull) {
		t.Fatalf("a full queue after a restart: %v", err)
	}
	if n := len(o.mails()); n != maxQueued {
		t.Errorf("%d mails wait", n)
	}
	o.clock.add(10 * time.Minute)
	o.wakeMail()
	o.idle(100)
	o.lookAtMails(t.Context())
	o.queue(time.Hour, "late@example.com")
}

// TestQueueKeepsPlacesForNotices: codes that fill the queue keep nobody from hearing of what happens to their account.
func TestQueueKeepsPlacesForNotices(t *testing.T) { // S80, S15
	t.Parallel()
	o := newPostOffice(t)
	o.queue(time.Hour, people(maxQueued)...)
	eventually(t, "a full queue", func() bool {
		o.outbox.mu.Lock()
		defer o.outbox.mu.Unlock()
		return o.outbox.waiting == maxQueued
	})
	put := func(n int, enqueue func(storage.Tx, *User, mail.Message, time.Time) error) error { // wakes nobody: a look counts from before
		return o.store.Update(t.Context(), func(tx storage.Tx) error {
			for range n {
				if err := enqueue(tx, aliceUser, signInCode("alice@example.com"), o.clock.Now().Add(time.Hour)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	notices := func(n int) error { return put(n, o.enqueueNotice) }
	for range queueReserve / 25 {
		if err := put(1, o.enqueue); !errors.Is(err, errQueueFull) {
			t.Fatalf("a code: %v", err)
		}
		if err := notices(25); err != nil {
			t.Fatalf("a notice: %v", err)
		}
	}
	o.lookAtMails(t.Context())
	if err := notices(1); !errors.Is(err, errQueueFull) {
		t.Errorf("a notice where nothing is left: %v", err)
	}
	if n := len(o.mails()); n != maxQueued+queueReserve {
		t.Errorf("%d mails wait", n)
	}
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
		o.clock.add(leaseLife * 2 / 3)
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
		o.clock.add(2 * leaseLife)
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

func TestMailsAreSealedAnew(t *testing.T) {
	o := newPostOffice(t)
	o.queue(time.Hour, people(3)...)
	next := []byte(strings.Repeat("n", 32))
	o.reopen(next, queueSecret)
	o.reopen(next)
	srv, sender := startServer(t, nil)
	o.UsePost(sender)
	o.arrive(srv, 3)
	o.idle(0)
}

func TestUnreadableMailIsDropped(t *testing.T) { // S81
	o := newPostOffice(t)
	o.queue(time.Hour, "alice@example.com", "bob@example.com", "carol@example.com")
	err := o.store.Update(t.Context(), func(tx storage.Tx) error {
		texts := o.recordsIn(tx, keyQueueTexts)
		for key := range texts {
			return errors.Join(
				tx.Put(key, []byte(`{"secret":"AAAA"}`), o.clock.Now().Add(time.Hour)),
				tx.Put(keyQueue+"damaged", []byte("no JSON"), o.clock.Now().Add(time.Hour)))
		}
		return errors.New("nothing waits")
	})
	if err != nil {
		t.Fatal(err)
	}
	o.reopen([]byte(strings.Repeat("n", 32)), queueSecret) // holds up nothing
	srv, sender := startServer(t, nil)
	o.UsePost(sender)
	o.arrive(srv, 2)
	o.idle(0)
	if o.log.count("ERROR") != 1 || len(srv.Mails()) != 2 {
		t.Errorf("%d mails:\n%s", len(srv.Mails()), o.log)
	}
}

func TestMailMovedToAnotherRecord(t *testing.T) { // S81
	o := newPostOffice(t)
	o.queue(time.Hour, "alice@example.com", "bob@example.com")
	err := o.store.Update(t.Context(), func(tx storage.Tx) error {
		var keys, values []string
		for key, v := range o.recordsIn(tx, keyQueueTexts) {
			keys, values = append(keys, key), append(values, v)
		}
		return errors.Join(
			tx.Put(keys[0], []byte(values[1]), o.clock.Now().Add(time.Hour)), tx.Put(keys[1], []byte(values[0]), o.clock.Now().Add(time.Hour)))
	})
	if err != nil {
		t.Fatal(err)
	}
	srv, sender := startServer(t, nil)
	o.UsePost(sender)
	o.idle(0)
	if n := srv.Connections(); n != 0 {
		t.Errorf("%d connections", n)
	}
}

// recordsIn is records in a transaction.
func (o *postOffice) recordsIn(tx storage.Tx, prefix string) map[string]string {
	o.t.Helper()
	out := map[string]string{}
	for e, err := range tx.Scan(prefix, "") {
		if err != nil {
			o.t.Fatal(err)
		}
		out[e.Key] = string(e.Value)
	}
	return out
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

// FuzzQueueRecord feeds the queue records as they might lie on a damaged disk.
func FuzzQueueRecord(f *testing.F) {
	good, err := json.Marshal(queued{UserID: "5f1c", Created: time.Unix(1, 0), Until: time.Unix(2, 0), Tries: 3})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"tries":-1,"until":"9999-12-31T23:59:59Z"}`))
	f.Add([]byte("null"))
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, record []byte) {
		m := claimed{id: "01"}
		if json.Unmarshal(record, &m.queued) != nil {
			m.queued = queued{}
		}
		o := newOutbox()
		o.outlet = &outlet{since: now, tried: map[string]bool{}}
		for range 2 {
			if p := o.plan(now, m); p.outlet != nil && (!now.Before(m.Until) || now.Before(m.Leased)) {
				t.Errorf("%s is delivered", record)
			}
		}
		if d := backoff(m.Tries); d < 4*time.Second || d > 18*time.Minute {
			t.Error(fmt.Sprint(d))
		}
	})
}
