package auth

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/caddy-mfa/caddy-mfa/storage"
)

// auditLife is how long events are kept.
const auditLife = 90 * 24 * time.Hour

// Names of the events.
const (
	EventSignIn        = "sign_in"
	EventSignInFailed  = "sign_in_failed" // Count of a minute, of everybody whose name was not proven
	EventSignOut       = "sign_out"
	EventWrongAnswer   = "wrong_answer" // after the first proof
	EventSetupFailed   = "setup_failed" // a wrong answer by which nothing was to be proven but that a new method works
	EventMethodShut    = "method_shut"  // after too many of them, for browsers that the account does not know
	EventReplaced      = "session_replaced"
	EventHandedOver    = "handed_over" // a session of the portal began on another host; not in what the person sees
	EventUserAdded     = "user_added"
	EventUserDisabled  = "user_disabled"
	EventUserEnabled   = "user_enabled"
	EventUserDeleted   = "user_deleted"
	EventGroups        = "groups_changed"
	EventInvited       = "invited"
	EventInviteUsed    = "invitation_accepted"
	EventEnrolled      = "method_added"
	EventRenamed       = "method_renamed"
	EventStepUp        = "proved_again" // a session got further proofs, for a change
	EventRemoved       = "method_removed"
	EventCounter       = "counter_went_back" // a security key may have been cloned
	EventRecoveryNew   = "recovery_codes_made"
	EventRecoveryUsed  = "recovery_code_used"
	EventRecoverySeen  = "recovery_codes_viewed" // by their owner, again
	EventReset         = "mfa_reset"
	EventSessionsEnded = "sessions_revoked"

	EventAddressConfirmed = "address_confirmed"
	EventAddressChanged   = "address_changed"
	EventResetAsked       = "reset_asked"    // a mail for it was sent
	EventPasswordReset    = "password_reset" // by mail
	EventNotMe            = "not_me"         // somebody used the link of a notice
	EventResetAnnounced   = "reset_announced"
	EventResetStopped     = "reset_stopped" // by the link in its announcement, "This wasn't me" or an admin, or it could not be announced or done in time

	EventPasswordChanged = "password_changed"
	EventNameChanged     = "display_name_changed"
	EventPreferred       = "preferred_method_changed"
	EventOff             = "two_factor_off" // every second method was removed
	EventSessionEnded    = "session_ended"  // by its owner, from another one

	EventTokenAdded   = "access_token_added"
	EventTokenRevoked = "access_token_revoked"

	EventLinkMade    = "guest_link_made"
	EventLinkOpened  = "guest_link_opened" // by somebody who is nobody's user
	EventLinkLeft    = "guest_link_left"   // likewise
	EventLinkFull    = "guest_link_full"   // the last to leave who is kept has left
	EventLinkRevoked = "guest_link_revoked"
)

// Event is one line of the audit trail. It never holds a secret.
type Event struct {
	Name    string    `json:"event"`
	Time    time.Time `json:"time"`
	UserID  string    `json:"user,omitempty"`
	User    string    `json:"name,omitempty"`  // as it was then; the account may be gone
	Actor   string    `json:"actor,omitempty"` // "command" for what an admin did, "mail" for a reset that could not be announced, "late" for one that nothing did in time; else the person
	Session string    `json:"session,omitempty"`
	Addr    string    `json:"addr,omitempty"`
	Host    string    `json:"host,omitempty"` // that a session was handed over to
	Method  string    `json:"method,omitempty"`
	Methods []string  `json:"methods,omitempty"`
	Label   string    `json:"label,omitempty"`  // of a method or an access token that was added, renamed or removed: what the person calls it, 64 characters as a rule
	Before  string    `json:"before,omitempty"` // of one that was renamed: what it was called
	Count   int       `json:"count,omitempty"`

	unseen bool // it is for admins alone
}

// audit writes an event in the transaction of what it tells, so that neither is without the other.
func (s *State) audit(tx storage.Tx, e Event) error {
	if e.Time.IsZero() {
		e.Time = s.now()
	}
	id, until := ulid.Make(), e.Time.Add(auditLife)
	if e.UserID != "" && e.Name != EventUserDeleted && e.Name != EventHandedOver && !e.unseen {
		if err := putJSON(tx, keyActivity(e.UserID)+newestFirst(id), e, until); err != nil {
			return err
		}
	}
	return putJSON(tx, "audit/"+id.String(), e, until)
}

// newestFirst spells an ID so that later ones come before it: Scan knows one direction, and whoever has done much must not make a view
// of the newest read all.
func newestFirst(id ulid.ULID) string {
	for i := range id {
		id[i] = ^id[i]
	}
	return id.String()
}

// MaxActivity is how many events Activity returns at most.
const MaxActivity = 200

// Activity returns what happened to an account in the last 90 days, the newest first, MaxActivity at most.
func (r *Realm) Activity(ctx context.Context, userID string) (events []Event, err error) {
	err = r.store.View(ctx, func(tx storage.Tx) error {
		events = nil
		for e, err := range tx.Scan(keyActivity(userID), "") {
			if err != nil {
				return err
			}
			var event Event
			if err := json.Unmarshal(e.Value, &event); err != nil {
				return fmt.Errorf("decoding record %q: %w", e.Key, err)
			}
			if events = append(events, event); len(events) == MaxActivity {
				break
			}
		}
		return nil
	})
	return events, err
}

// maxFailures bounds the events that wait to be written: they go in one transaction.
const maxFailures = 300

// failures counts wrong answers of visitors whose name is not proven. They become one line a minute: whoever guesses must not
// fill the log or the disk. Events wait with them that must not be seen to be written.
type failures struct {
	sync.Mutex
	count  int
	events []Event
}

func (s *State) failed(events ...Event) {
	s.failures.Lock()
	defer s.failures.Unlock()
	s.failures.count++
	if len(s.failures.events) < maxFailures {
		s.failures.events = append(s.failures.events, events...)
	}
}

func (s *State) reportFailures(ctx context.Context) {
	s.failures.Lock()
	n, events := s.failures.count, s.failures.events
	s.failures.count, s.failures.events = 0, nil
	s.failures.Unlock()
	if n == 0 {
		return
	}
	s.log.Warn("sign-ins failed during the last minute", "count", n)
	for _, e := range events {
		s.log.Warn("wrong answer", "event", e.Name, "user", e.User, "method", e.Method, "client", e.Addr)
	}
	err := s.store.Update(ctx, func(tx storage.Tx) error {
		for _, e := range events {
			if err := s.audit(tx, e); err != nil {
				return err
			}
		}
		return s.audit(tx, Event{Name: EventSignInFailed, Count: n})
	})
	if err != nil {
		s.log.Error("writing the audit trail failed", "error", err)
	}
}
