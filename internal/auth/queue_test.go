package auth

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
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
	o.clock.Add(time.Hour)
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
				o.clock.Add(pause*4/5 - time.Second)
				o.lookAtMails(t.Context())
				o.idle(1)
				if n := srv.Connections(); n != try+1 {
					t.Fatalf("%d connections before the pause was over, want %d", n, try+1)
				}
				o.clock.Add(pause*2/5 + time.Second)
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
	o.clock.Add(10 * time.Minute)
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
	o.clock.Add(10 * time.Minute)
	o.wakeMail()
	o.idle(0)
	if e := o.events(); !slices.Equal(e, []string{"mail_expired 5f1c alice"}) {
		t.Errorf("events %q", e)
	}
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
	o.clock.Add(leaseLife - time.Second)
	o.lookAtMails(t.Context())
	o.idle(1)
	if n := srv.Connections(); n != 0 {
		t.Errorf("%d connections while the mail is somebody else's", n)
	}
	o.clock.Add(time.Second)
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
	o.clock.Add(10 * time.Minute)
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
