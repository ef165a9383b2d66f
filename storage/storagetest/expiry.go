package storagetest

import (
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/storage"
)

var expiryCases = []testCase{
	{"ExpiryIsJudgedByTheInjectedClock", testExpiry},
	{"AClockThatStandsStillExpiresNothing", testStandingClock},
	{"PutInThePastLeavesTheKeyAbsent", testPutPast},
	{"ATransactionReadsTheClockOnce", testOneInstant},
	{"ExpiredKeysCanBeWrittenAgain", testExpiredAgain},
	{"FarExpiriesAreKept", testFarExpiry},
}

func testExpiry(t *testing.T, e Engine) {
	rows := []struct {
		name string
		now  time.Time
	}{
		{"epoch of Unix", time.Unix(0, 0)},
		{"before it", time.Date(1931, 1, 1, 0, 0, 0, 0, time.UTC)},
		{"long ago", time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)},
		{"the suite's", epoch},
		{"the machine's", time.Now().Truncate(time.Microsecond)},
		{"far ahead", time.Date(2199, 12, 31, 23, 59, 59, 999999000, time.UTC)},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			c := newClock(r.now)
			s := openAt(t, e, t.TempDir(), c)
			end := r.now.Add(time.Hour)
			s.put("short", "1", end)
			s.put("long", "2", r.now.Add(1000*time.Hour))
			s.put("forever", "3", never)
			s.want("short", "1")
			c.set(end.Add(-time.Microsecond))
			s.want("short", "1")
			s.wantKeys("", "", "forever", "long", "short")
			c.set(end)
			s.wantAbsent("short")
			s.wantKeys("", "", "forever", "long")
			s.update(func(tx storage.Tx) error { wantAbsentIn(t, tx, "short"); return nil })
			c.set(end.Add(100_000 * time.Hour))
			s.wantKeys("", "", "forever")
			s.wantAbsent("long")
			s.want("forever", "3")
		})
	}
}

func testStandingClock(t *testing.T, e Engine) {
	c := newClock(epoch)
	s := openAt(t, e, t.TempDir(), c)
	s.put("key", "value", epoch.Add(20*time.Millisecond)) // of a clock that does not move
	<-time.After(100 * time.Millisecond)                  // of the machine's, which must not matter
	s.want("key", "value")
}

func testPutPast(t *testing.T, e Engine) {
	s := open(t, e)
	for name, at := range map[string]time.Time{
		"now": epoch, "just before": epoch.Add(-time.Microsecond), "long ago": time.Unix(1, 0), "before the machine": time.Date(1, 1, 2, 0, 0, 0, 0, time.UTC),
	} {
		s.put(name, "never seen", at)
		s.wantAbsent(name)
		s.put(name, "there", never)
		s.update(func(tx storage.Tx) error {
			err := tx.Put(name, []byte("gone"), at)
			wantAbsentIn(t, tx, name)
			return err
		})
		s.wantAbsent(name)
	}
}

func testOneInstant(t *testing.T, e Engine) {
	c := newClock(epoch)
	s := openAt(t, e, t.TempDir(), c)
	s.put("key", "value", epoch.Add(time.Minute))
	s.view(func(tx storage.Tx) error {
		wantIn(t, tx, "key", "value")
		c.set(epoch.Add(time.Hour))
		wantIn(t, tx, "key", "value")
		return nil
	})
	s.wantAbsent("key")
}

func testExpiredAgain(t *testing.T, e Engine) {
	c := newClock(epoch)
	s := openAt(t, e, t.TempDir(), c)
	s.put("key", "old", epoch.Add(time.Minute))
	c.set(epoch.Add(time.Hour))
	s.update(func(tx storage.Tx) error {
		wantAbsentIn(t, tx, "key")
		return tx.Put("key", []byte("new"), epoch.Add(2*time.Hour))
	})
	s.want("key", "new")
	s.update(func(tx storage.Tx) error { return tx.Delete("key") })
	s.wantAbsent("key")
}

func testFarExpiry(t *testing.T, e Engine) {
	s := open(t, e)
	for _, at := range []time.Time{
		epoch.Add(time.Microsecond), epoch.AddDate(100, 0, 0), time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC),
		epoch.Add(time.Hour).In(time.FixedZone("", 7200)),
	} {
		s.put("key", "value", at)
		s.view(func(tx storage.Tx) error {
			if got, err := tx.Get("key"); err != nil || !got.Expires.Equal(at) {
				t.Errorf("Expires = %v, %v; want %v", got.Expires, err, at)
			}
			for got, err := range tx.Scan("key", "") {
				if err != nil || !got.Expires.Equal(at) {
					t.Errorf("Expires = %v, %v in Scan; want %v", got.Expires, err, at)
				}
			}
			return nil
		})
	}
}
