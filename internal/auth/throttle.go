package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/caddy-mfa/caddy-mfa/storage"
)

const (
	throttleFree  = 5   // wrong answers before the first delay
	throttleOff   = 100 // wrong answers in a row, after which a pool is shut (NIST SP 800-63B-4, section 3.2.2)
	throttleFirst = 30 * time.Second
	throttleMax   = time.Hour
	nameBuckets   = 1 << 16             // counters that all unknown names share
	browserLife   = 90 * 24 * time.Hour // how long a browser stays known
	strangers     = "strangers"         // the pool of all browsers that the account does not know

	// Whoever holds one factor can be right as often as they like, and each time takes a run of argon2id and leaves a flow. So an
	// account may begin that many sign-ins without finishing one, in that time, for each pool.
	unfinishedLimit = 60
	unfinishedLife  = 10 * time.Minute
)

// counter is the record of wrong answers in a row. Only a right answer clears a user's. Those of unknown names stay as long, or else
// time would tell them from users; their number is fixed.
type counter struct {
	Count int       `json:"count"`
	Until time.Time `json:"until,omitzero"`
}

// subject is whose answers are counted: a user, or the bucket that an unknown name falls into.
type subject struct {
	id    string // user id or bucket
	known bool   // the browser is known to the user
	pool  string
}

// mails is the pool for the caps of mails.
func (s subject) mails() string {
	if s.known {
		return s.pool
	}
	return ""
}

func (s subject) key(method string) string { return keyThrottle(s.id) + method + "/" + s.pool }

// subjectOf picks the counters for a visitor who claims to be u, or, with u nil, whoever has the typed name.
func (s *State) subjectOf(tx storage.Tx, u *User, typed, browser string) (subject, error) {
	if u == nil {
		mac := hmac.New(sha256.New, s.bucketKey)
		mac.Write([]byte(foldTyped(typed)))
		n := binary.BigEndian.Uint32(mac.Sum(nil)) % nameBuckets
		return subject{id: fmt.Sprintf("bucket-%d", n), pool: strangers}, nil
	}
	if browser != "" {
		e, err := tx.Get(keyBrowser(u.ID, browser))
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			return subject{}, err
		}
		if err == nil && !e.Expires.Add(-browserLife).Before(u.BrowsersSince.Truncate(time.Microsecond)) {
			return subject{id: u.ID, known: true, pool: hashToken(browser)}, nil
		}
	}
	return subject{id: u.ID, pool: strangers}, nil
}

// charge counts an answer as wrong before it is verified and returns the count, or *Throttled. The read and the write are one transaction, so
// that parallel guesses cannot get more than the limit (S13).
func charge(tx storage.Tx, now time.Time, sub subject, method string) (n int, err error) {
	var c counter
	key := sub.key(method)
	if err := getJSON(tx, key, &c); err != nil && !errors.Is(err, storage.ErrNotFound) {
		return 0, err
	}
	if c.Count >= throttleOff {
		return 0, &Throttled{Off: true}
	}
	if now.Before(c.Until) {
		return 0, &Throttled{RetryAfter: c.Until.Sub(now)}
	}
	c.Count++
	if c.Count >= throttleFree {
		c.Until = now.Add(delay(c.Count))
	}
	var expires time.Time
	if sub.known {
		expires = now.Add(browserLife)
	}
	return c.Count, putJSON(tx, key, c, expires)
}

// delay is the pause after n wrong answers in a row.
func delay(n int) time.Duration {
	d := throttleFirst
	for range n - throttleFree {
		if d *= 2; d >= throttleMax {
			return throttleMax
		}
	}
	return d
}

func (s subject) unfinished() string { return s.key("unfinished") }

// checkUnfinished returns *Throttled where too many sign-ins were begun and none of them finished.
func checkUnfinished(tx storage.Tx, now time.Time, sub subject) error {
	var c counter
	err := getJSON(tx, sub.unfinished(), &c)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return nil
	case err != nil:
		return err
	case c.Count >= unfinishedLimit:
		return &Throttled{RetryAfter: c.Until.Sub(now)}
	}
	return nil
}

// countUnfinished counts a sign-in that was begun. The record goes by itself when its time is over, and when a sign-in is finished.
func countUnfinished(tx storage.Tx, now time.Time, sub subject) error {
	c := counter{Until: now.Add(unfinishedLife)}
	if err := getJSON(tx, sub.unfinished(), &c); err != nil && !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	c.Count++
	return putJSON(tx, sub.unfinished(), c, c.Until)
}

// shut names the methods that are off for strangers.
func shut(tx storage.Tx, user string) (methods []string, err error) {
	for _, method := range []string{MethodPassword, MethodTOTP, MethodEmail, MethodRecovery} {
		var c counter
		err := getJSON(tx, subject{id: user, pool: strangers}.key(method), &c)
		switch {
		case errors.Is(err, storage.ErrNotFound):
		case err != nil:
			return nil, err
		case c.Count >= throttleOff:
			methods = append(methods, method)
		}
	}
	return methods, nil
}

// reopen clears the strangers' counters that are shut: the person has signed in from a browser that the account knows.
func reopen(tx storage.Tx, user string) error {
	methods, err := shut(tx, user)
	for _, method := range methods {
		err = errors.Join(err, tx.Delete(subject{id: user, pool: strangers}.key(method)))
	}
	return err
}
