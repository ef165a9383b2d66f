package auth

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/storage"
)

// capped asks for a mail as a stranger, and returns how long to wait, 0 if it may be sent.
func (o *postOffice) capped(user, address string, what mailKind) (time.Duration, error) {
	return o.cappedIn("", user, address, what)
}

// cappedIn asks as a browser with that pool.
func (o *postOffice) cappedIn(pool, user, address string, what mailKind) (time.Duration, error) {
	r := o.Realm(Config{Name: "Example"})
	err := o.store.Update(o.t.Context(), func(tx storage.Tx) error { return r.capMail(tx, o.clock.Now(), user, pool, address, what) })
	if wait, ok := errors.AsType[*Throttled](err); ok {
		return wait.RetryAfter, nil
	}
	return 0, err
}

// grants asks until a mail is refused, n times at most, and returns how many were granted.
func (o *postOffice) grants(n int, user, address string, what mailKind) int {
	o.t.Helper()
	for i := range n {
		wait, err := o.capped(user, address, what)
		if err != nil {
			o.t.Fatal(err)
		}
		if wait > 0 {
			return i
		}
	}
	return n
}

func TestMailsAreCappedPerAccount(t *testing.T) { // S14, S15
	for what, row := range map[mailKind]struct {
		first, day int
		window     time.Duration
	}{
		mailCode:    {5, 20, 15 * time.Minute},
		mailConfirm: {5, 10, time.Hour},
		mailReset:   {3, 10, time.Hour},
		mailSignIn:  {10, 240, time.Hour},
		mailSetting: {10, 240, time.Hour},
	} {
		t.Run(string(what), func(t *testing.T) {
			o := newPostOffice(t)
			begin, total := o.clock.Now(), 0
			elsewhere := func() string { total++; return fmt.Sprintf("person%d@example.com", total) }
			burst := func() (n int) { // each to another mailbox
				for n < 100 {
					wait, err := o.capped("5f1c", elsewhere(), what)
					if err != nil {
						t.Fatal(err)
					}
					if wait > 0 {
						break
					}
					n++
				}
				return n
			}
			if n := burst(); n != row.first {
				t.Fatalf("%d at once, want %d", n, row.first)
			}
			o.clock.Add(row.window - time.Second)
			if wait, err := o.capped("5f1c", elsewhere(), what); wait != time.Second || err != nil {
				t.Errorf("a second before the window ends: wait %s, %v", wait, err)
			}
			if wait, err := o.capped("77aa", elsewhere(), what); wait != 0 || err != nil {
				t.Errorf("somebody else: wait %s, %v", wait, err)
			}
			o.clock.Add(time.Second)
			sum := row.first
			for o.clock.Now().Sub(begin) < 24*time.Hour {
				sum += burst()
				o.clock.Add(row.window)
			}
			if sum != row.day {
				t.Errorf("%d in a day, want %d", sum, row.day)
			}
			if n := burst(); n != row.first {
				t.Errorf("%d on the next day, want %d", n, row.first)
			}
		})
	}
}

func TestMailsAreCappedPerMailbox(t *testing.T) { // S15
	o := newPostOffice(t)
	user := 0
	someone := func() string { user++; return fmt.Sprint("user", user) }
	kinds := []mailKind{mailCode, mailReset}
	spellings := []string{"info@bücher.example", "Info@bücher.example", "INFO@XN--BCHER-KVA.example", " info@bu\u0308cher.example", "info@BÜCHER.EXAMPLE"}
	burst := func() (n int) {
		for n < 100 {
			wait, err := o.capped(someone(), spellings[n%len(spellings)], kinds[n%len(kinds)])
			if err != nil {
				t.Fatal(err)
			}
			if wait > 0 {
				break
			}
			n++
		}
		return n
	}
	begin := o.clock.Now()
	if n := burst(); n != 10 {
		t.Fatalf("%d at once, want 10", n)
	}
	if n := o.grants(1, someone(), "other@example.com", mailCode); n != 1 {
		t.Error("another mailbox is full, too")
	}
	if n := o.grants(50, "user1", spellings[0], mailNotice); n != 30 {
		t.Errorf("%d notices", n)
	}
	if n := o.grants(1, someone(), spellings[0], mailSignIn); n != 1 {
		t.Error("a mailbox that somebody filled keeps the notice of a sign-in away")
	}
	sum := 10
	for o.clock.Add(time.Hour); o.clock.Now().Sub(begin) < 24*time.Hour; o.clock.Add(time.Hour) {
		sum += burst()
	}
	if sum != 30 {
		t.Errorf("%d in a day, want 30", sum)
	}
	for key, v := range o.records("") {
		if s := strings.ToLower(key + v); strings.Contains(s, "info") || strings.Contains(s, "example") {
			t.Errorf("%s: %s tells the address", key, v)
		}
	}
}

// TestRefusedMailsAreNotCounted: whoever asks too often keeps nobody from the mail that is due later, and a mailbox that is full
// does not use up the account's own.
func TestRefusedMailsAreNotCounted(t *testing.T) { // S15
	o := newPostOffice(t)
	for range 10 {
		if n := o.grants(1, "", "full@example.com", mailReset); n != 1 {
			t.Fatal("refused too early")
		}
	}
	if n := o.grants(20, "5f1c", "full@example.com", mailCode); n != 0 {
		t.Fatalf("%d more", n)
	}
	if n := o.grants(20, "5f1c", "alice@example.com", mailCode); n != 5 {
		t.Errorf("%d codes, want 5", n)
	}
}

// TestKnownBrowsersHaveCapsOfTheirOwn: strangers use up nothing of theirs, neither by the account nor by the mailbox, nor one of
// another; but none is without a cap.
func TestKnownBrowsersHaveCapsOfTheirOwn(t *testing.T) { // S15
	for what, limit := range map[mailKind]int{mailCode: 5, mailReset: 3} {
		t.Run(string(what), func(t *testing.T) {
			o := newPostOffice(t)
			if n := o.grants(50, "5f1c", "alice@example.com", what); n != limit {
				t.Fatalf("%d to strangers, want %d", n, limit)
			}
			for i := 0; o.grants(1, fmt.Sprint("user", i), "alice@example.com", what) == 1; i++ { // until the mailbox is full
			}
			for _, pool := range []string{"home", "office"} {
				n := 0
				for ; n < 50; n++ {
					wait, err := o.cappedIn(pool, "5f1c", "alice@example.com", what)
					if err != nil {
						t.Fatal(err)
					}
					if wait > 0 {
						break
					}
				}
				if n != limit {
					t.Errorf("%d at %s, want %d", n, pool, limit)
				}
			}
		})
	}
}

func TestCapsAreAtomic(t *testing.T) { // S13, S15
	o := newPostOffice(t)
	for name, row := range map[string]struct {
		user, address func(i int) string
		want          int32
	}{
		"one account": {func(int) string { return "5f1c" }, func(i int) string { return fmt.Sprintf("p%d@example.com", i) }, 5},
		"one mailbox": {func(i int) string { return fmt.Sprint("user", i) }, func(int) string { return "alice@example.com" }, 10},
	} {
		t.Run(name, func(t *testing.T) {
			var granted atomic.Int32
			var wg sync.WaitGroup
			start := make(chan struct{})
			for i := range 100 {
				wg.Go(func() {
					<-start
					wait, err := o.capped(row.user(i), row.address(i), mailCode)
					if err != nil {
						t.Error(err)
					} else if wait == 0 {
						granted.Add(1)
					}
				})
			}
			close(start)
			wg.Wait()
			if n := granted.Load(); n != row.want {
				t.Errorf("%d of 100 were granted, want %d", n, row.want)
			}
		})
	}
}

// TestConfirmationsAreCappedPerMailbox: apart from all else, so that people who type somebody's address keep no code from that person.
func TestConfirmationsAreCappedPerMailbox(t *testing.T) { // S12, S15
	o := newPostOffice(t)
	n := 0
	for i := range 50 {
		n += o.grants(1, fmt.Sprint("user", i), "alice@example.com", mailConfirm)
	}
	if n != 10 {
		t.Errorf("%d confirmations at once, want 10", n)
	}
	if n := o.grants(5, "alice", "alice@example.com", mailCode); n != 5 {
		t.Errorf("%d codes are left to her", n)
	}
}
