package auth

import (
	"errors"
	"time"

	"github.com/caddy-mfa/caddy-mfa/storage"
)

const (
	// changeLimit bounds the changes in changeWindow, which begins with the first: those that are begun in a session, each of which may
	// leave a flow, and those that are made in an account, each of which leaves events for 90 days. What is begun is counted for each
	// session by itself: whoever has a stolen one, and no proof, must not keep its owner from changing the password.
	changeLimit  = 60
	changeWindow = time.Hour
)

func keyChangesMade(u *User) string { return keyThrottle(u.ID) + "change/all" }

// keyChangesBegun counts step-ups by themselves: who browses must not use up the changes.
func keyChangesBegun(u *User, s *Session, op ChangeOp) string {
	if op == ChangeProve {
		return keyThrottle(u.ID) + "prove/" + s.ID
	}
	return keyThrottle(u.ID) + "change/" + s.ID
}

// countChange counts n changes under key, in the transaction that begins or makes them, or returns *Throttled. With 0 it only looks.
func countChange(tx storage.Tx, now time.Time, key string, n int) error {
	wait, err := countUp(tx, now, key, n, changeLimit, changeWindow)
	if err == nil && wait > 0 {
		err = &Throttled{RetryAfter: wait, Changes: true}
	}
	return err
}

// countUp counts n under key, in the transaction in which something is done, or says how long to wait where limit is reached in a window, which
// begins with the first.
func countUp(tx storage.Tx, now time.Time, key string, n, limit int, window time.Duration) (wait time.Duration, err error) {
	var c counter
	if err := getJSON(tx, key, &c); err != nil && !errors.Is(err, storage.ErrNotFound) {
		return 0, err
	}
	if !now.Before(c.Until) {
		c = counter{Until: now.Add(window)}
	}
	if c.Count >= limit {
		return c.Until.Sub(now), nil
	}
	if c.Count += n; n == 0 {
		return 0, nil
	}
	return 0, putJSON(tx, key, c, c.Until)
}
