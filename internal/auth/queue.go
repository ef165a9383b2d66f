package auth

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/caddy-mfa/caddy-mfa/internal/mail"
	"github.com/caddy-mfa/caddy-mfa/storage"
)

// Mails wait in the store, so that none is lost with the process and no page waits for a mail server. Each has two records: what
// the queue must know about it, which is small because it is read often, and its text, which is sealed because it holds live tokens.
const (
	keyQueue      = "mail/"
	keyQueueTexts = "mail-text/"
)

func keyQueued(id string) string     { return keyQueue + id }
func keyQueuedText(id string) string { return keyQueueTexts + id }

const (
	// maxQueued bounds the mails that wait. Calls at the same moment may exceed it by a few.
	maxQueued = 1000
	// queueReserve are places for notices alone: when codes fill the queue, people still hear of what happens to their accounts.
	queueReserve = 200
	// leaseLife is how long a mail is left alone when whoever took it fell silent. Deliveries that take longer renew it.
	leaseLife = time.Minute
	// queueGrace is how long the record of an expired mail waits to be reported. Its text goes at once.
	queueGrace = 24 * time.Hour
)

// Names of the events of the queue.
const (
	EventMailRefused = "mail_refused" // for good, by the mail server or before it
	EventMailExpired = "mail_expired" // no server took it while it was of use
)

// errQueueFull means that too many mails wait already. It is an ErrBusy.
var errQueueFull = fmt.Errorf("too many mails wait to be sent: %w", ErrBusy)

// queued is a mail that waits.
type queued struct {
	UserID  string    `json:"user,omitempty"` // whom it is about
	User    string    `json:"name,omitempty"`
	Created time.Time `json:"created"`
	Until   time.Time `json:"until"` // of no use any more
	Due     time.Time `json:"due"`   // not before
	Tries   int       `json:"tries,omitempty"`
	Tried   time.Time `json:"tried,omitzero"`  // the last time
	Leased  time.Time `json:"leased,omitzero"` // somebody is delivering it, until then
}

// sealedText is the record of a mail's text.
type sealedText struct {
	Sealed []byte `json:"secret"` // mail.Message as JSON
}

// claimed is a mail that is being delivered here. Its record's Tries is the number of the claim: whoever finds another there has lost
// the mail to somebody else.
type claimed struct {
	id string
	queued
	message mail.Message
}

// enqueue puts a mail about u (nil for nobody) into the queue, in the transaction of what it tells; wakeMail after the commit has it
// sent. Message needs no ID and no Date. From until on it is of no use, and no longer sent. errQueueFull leaves the transaction as it
// was: the caller decides whether to go on without the mail.
//
// A mail is sent at least once: one whose delivery broke off, or whose end could not be noted, is sent again, with the same Message-ID.
func (s *State) enqueue(tx storage.Tx, u *User, m mail.Message, until time.Time) error {
	_, err := s.enqueueUpTo(maxQueued, tx, u, m, until)
	return err
}

// enqueueNotice is enqueue for what must be heard.
func (s *State) enqueueNotice(tx storage.Tx, u *User, m mail.Message, until time.Time) error {
	_, err := s.enqueueUpTo(maxQueued+queueReserve, tx, u, m, until)
	return err
}

func (s *State) enqueueUpTo(limit int, tx storage.Tx, u *User, m mail.Message, until time.Time) (id string, err error) {
	if !s.outbox.admit(limit) {
		return "", errQueueFull
	}
	now := s.now()
	q := queued{Created: now, Due: now, Until: until}
	if u != nil {
		q.UserID, q.User = u.ID, u.Name
	}
	id = ulid.Make().String()
	m.ID, m.Date = id, now
	plain, err := json.Marshal(m)
	if err != nil {
		return "", fmt.Errorf("encoding a mail: %w", err)
	}
	key := keyQueuedText(id)
	if err := putJSON(tx, key, sealedText{s.sealer.Load().seal(key, plain)}, until); err != nil {
		return "", err
	}
	return id, putQueued(tx, id, q)
}

func putQueued(tx storage.Tx, id string, q queued) error {
	return putJSON(tx, keyQueued(id), q, q.Until.Add(queueGrace))
}

// wakeMail has the queue looked at now.
func (s *State) wakeMail() {
	select {
	case s.outbox.wake <- struct{}{}:
	default:
	}
}

var (
	errTaken    = errors.New("the mail is somebody else's")
	errOutlived = errors.New("the mail has expired")

	errUnreadable = errors.New("the mail cannot be read")
)

// claim leases a mail for a delivery, and reads it. errTaken: nothing to do; errOutlived: it has expired; errUnreadable: its secret was given up, or the
// record is damaged.
func (s *State) claim(tx storage.Tx, now time.Time, id string, seen queued) (c claimed, err error) {
	c.id = id
	err = getJSON(tx, keyQueued(id), &c.queued)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return c, errTaken
	case err != nil:
		return c, err
	case c.Tries != seen.Tries || now.Before(c.Leased):
		return c, errTaken
	case !now.Before(c.Until):
		return c, errOutlived
	}
	var text sealedText
	key := keyQueuedText(id)
	err = getJSON(tx, key, &text)
	if errors.Is(err, storage.ErrNotFound) {
		return c, errOutlived
	}
	if err != nil {
		return c, err
	}
	plain, err := s.sealer.Load().open(key, text.Sealed)
	if err != nil {
		return c, errors.Join(errUnreadable, err)
	}
	if err := json.Unmarshal(plain, &c.message); err != nil {
		return c, errors.Join(errUnreadable, err)
	}
	c.Tries++
	c.Tried, c.Leased = now, now.Add(leaseLife)
	return c, putQueued(tx, id, c.queued)
}

// change stores what fn makes of a mail, if it is still this claim's.
func (c claimed) change(tx storage.Tx, fn func(q *queued)) error {
	var q queued
	err := getJSON(tx, keyQueued(c.id), &q)
	if errors.Is(err, storage.ErrNotFound) || err == nil && q.Tries != c.Tries {
		return nil
	}
	if err != nil {
		return err
	}
	fn(&q)
	return putQueued(tx, c.id, q)
}

// dequeue removes a mail, and notes why if event says so.
func (s *State) dequeue(tx storage.Tx, id string, q queued, event string) error {
	there, err := exists(tx, keyQueued(id)) // several nodes may find that it has expired
	if err != nil || !there {
		return err
	}
	err = errors.Join(tx.Delete(keyQueued(id)), tx.Delete(keyQueuedText(id)), s.announced(tx, id, q, event))
	if err != nil || event == "" {
		return err
	}
	return s.audit(tx, Event{Name: event, UserID: q.UserID, User: q.User, Method: MethodEmail})
}
