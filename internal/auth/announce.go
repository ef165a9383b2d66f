package auth

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/mail"
	"github.com/caddy-mfa/caddy-mfa/storage"
)

// MinResetDelay and MaxResetDelay bound how long beforehand a reset is announced.
const (
	MinResetDelay = time.Hour
	MaxResetDelay = 30 * 24 * time.Hour

	// resetLate is how late a reset is still done. One that is found later is of a server that stood still, whose link nobody could use,
	// or of a copy of the store that is older than what its owner said since. Until then the link works, for the reset may be done yet.
	resetLate = time.Hour
)

// pendingReset is a reset that was announced by mail to the person that it is about, who can stop it.
type pendingReset struct {
	Due time.Time `json:"due"`
	// Token is the key of the link that stops it. It is not among User.Tokens, for whoever is in the account could bump the epoch
	// there, with a new password for example, and take the link away from its owner. To stop a reset harms nobody.
	Token string `json:"token"`
	Mail  string `json:"mail"`           // ID of the announcement
	Told  bool   `json:"told,omitempty"` // a mail server took it; else there is no reset
}

// getPending returns nil if no reset is pending.
func getPending(tx storage.Tx, user string) (*pendingReset, error) {
	p := new(pendingReset)
	err := getJSON(tx, keyPendingReset(user), p)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

// dropPending forgets the reset that is pending, its link, and its announcement if that still waits. It reports whether there was one.
func dropPending(tx storage.Tx, user string) (bool, error) {
	p, err := getPending(tx, user)
	if err != nil || p == nil {
		return false, err
	}
	for _, key := range []string{keyPendingReset(user), p.Token, keyQueued(p.Mail), keyQueuedText(p.Mail)} {
		if err := tx.Delete(key); err != nil {
			return false, err
		}
	}
	return true, nil
}

// AnnounceReset has ResetMFA done after a delay, and announces it to the user, who can stop it by a link that works until it is done. It
// returns when that is, and the address that is written to. One that is pending is replaced. An *Invalid says what is in the way;
// nothing was changed then.
//
// A mail server has to take the announcement in the first half of the delay, and a State has to run when it is due or within an hour
// after. Else nothing is reset.
func (r *Realm) AnnounceReset(ctx context.Context, name string, delay time.Duration) (due time.Time, to string, err error) {
	if delay < MinResetDelay || delay > MaxResetDelay {
		return due, "", &Invalid{Field: "delay", Text: "A reset is announced 1 hour to 30 days beforehand."}
	}
	token := newTravelToken()
	_, err = r.change(ctx, name, EventResetAnnounced, func(tx storage.Tx, u *User) error {
		obstacle := ""
		switch {
		case u.Disabled:
			return &Invalid{Field: "name", Text: "The user " + u.Name + " is disabled. Enable them first."}
		case r.mail == nil || r.mail.Base("") == "":
			obstacle = "It cannot be announced, for no mail is sent from here."
		case !u.EmailConfirmed || mail.CheckAddress(u.Email) != nil:
			obstacle = u.Name + " has no confirmed address to announce it to."
		}
		if obstacle != "" {
			return &Invalid{Field: "delay", Text: obstacle + " Reset without --delay, after making sure that it is " + u.Name + " who asks."}
		}
		if _, err := dropPending(tx, u.ID); err != nil {
			return err
		}
		now := r.now()
		due, to = now.Add(delay), u.Email
		letter := mail.ResetAnnounced{Due: due, Event: mail.Event{
			Lang: u.Lang, Product: r.name, Name: u.Name, At: now, Link: r.mail.Base("") + "/stop-reset#" + token, ByAdmin: true,
		}}.Message()
		letter.To = to
		id, err := r.enqueueUpTo(maxQueued+queueReserve, tx, u, letter, now.Add(delay/2))
		if errors.Is(err, ErrBusy) {
			return &Invalid{Field: "delay", Text: "It cannot be announced, for too many mails wait to be sent."}
		}
		if err != nil {
			return err
		}
		key := keyToken(token)
		until := due.Add(resetLate)
		if err := putJSON(tx, key, ticket{Purpose: purposeStopReset, UserID: u.ID, Epoch: u.Epoch, Expires: until}, until); err != nil {
			return err
		}
		return putJSON(tx, keyPendingReset(u.ID), pendingReset{Due: due, Token: key, Mail: id}, time.Time{})
	})
	if err != nil {
		return time.Time{}, "", err
	}
	r.wakeMail()
	return due, to, nil
}

// announced notes how the delivery of a mail ended, which may have been the announcement of a reset.
func (s *State) announced(tx storage.Tx, id string, q queued, event string) error {
	if q.UserID == "" {
		return nil
	}
	p, err := getPending(tx, q.UserID)
	if err != nil || p == nil || p.Mail != id {
		return err
	}
	if event != "" {
		return s.undelivered(tx, q.UserID, q.User)
	}
	p.Told = true
	return putJSON(tx, keyPendingReset(q.UserID), p, time.Time{})
}

// undelivered drops a reset of which its owner could not be told.
func (s *State) undelivered(tx storage.Tx, user, name string) error {
	return s.callOff(tx, Event{UserID: user, User: name, Actor: "mail"}, "the mail that announces it could not be delivered")
}

// callOff drops the reset that is pending, if there is one. e says whose it is and who does so.
func (s *State) callOff(tx storage.Tx, e Event, why string) error {
	had, err := dropPending(tx, e.UserID)
	if err != nil || !had {
		return err
	}
	s.log.Warn("a reset that was announced is called off", "user", e.User, "why", why)
	e.Name = EventResetStopped
	return s.audit(tx, e)
}

// StopReset is for somebody who got the announcement of a reset that they did not ask for. ErrToken: the link was used or replaced, or
// the reset is done or was taken back.
func (r *Realm) StopReset(ctx context.Context, v Visit, token string) error {
	if len(token) != len(newTravelToken()) {
		return ErrToken
	}
	key := keyToken(token)
	err := r.store.View(ctx, func(tx storage.Tx) error {
		_, _, err := r.redeemable(tx, key, purposeStopReset)
		return err
	})
	if err != nil {
		return err // before any write: a wrong token stores nothing
	}
	err = r.store.Update(ctx, func(tx storage.Tx) error {
		_, u, err := r.redeemable(tx, key, purposeStopReset)
		if err != nil {
			return err
		}
		if err := r.callOff(tx, Event{UserID: u.ID, User: u.Name, Addr: v.Addr.String()}, "somebody used the link in its mail: find out who asked for it"); err != nil {
			return err
		}
		return r.notify(tx, v, u, notice{at: r.now(), kind: mailNotice, write: resetStopped})
	})
	if err == nil {
		r.wakeMail()
	}
	return err
}

// CancelReset takes back a reset that was announced. An *Invalid says that none is pending.
func (r *Realm) CancelReset(ctx context.Context, name string) error {
	_, err := r.change(ctx, name, EventResetStopped, func(tx storage.Tx, u *User) error {
		had, err := dropPending(tx, u.ID)
		if err != nil {
			return err
		}
		if !had {
			return &Invalid{Field: "cancel", Text: "No reset of " + u.Name + " is pending."}
		}
		return r.notify(tx, Visit{}, u, notice{at: r.now(), kind: mailNotice, write: resetStopped})
	})
	if err == nil {
		r.wakeMail()
	}
	return err
}

// DoDue has the State do what is due as r says, from now on, and look at once. Without it resets that were announced wait.
func (r *Realm) DoDue() {
	r.realm.Store(r)
	select {
	case r.look <- struct{}{}:
	default:
	}
}

// doDueResets does the resets that are due.
func (s *State) doDueResets(ctx context.Context) {
	r := s.realm.Load()
	if r == nil {
		return
	}
	var pending []string
	err := s.store.View(ctx, func(tx storage.Tx) error {
		pending = nil
		for e, err := range tx.Scan(keyPendingResets, "") {
			if err != nil {
				return err
			}
			pending = append(pending, strings.TrimPrefix(e.Key, keyPendingResets))
		}
		return nil
	})
	for _, user := range pending {
		err = errors.Join(err, r.resetDue(ctx, user))
	}
	if err != nil && ctx.Err() == nil {
		s.log.Error("doing the resets that are due failed; they are tried again", "error", err)
	}
}

// resetDue does a reset that was announced, if it is due, unless another node was quicker or it was stopped meanwhile. One that was due
// too long ago it calls off, and tells its owner.
func (r *Realm) resetDue(ctx context.Context, user string) error {
	var u *User
	late := false
	err := r.store.Update(ctx, func(tx storage.Tx) error {
		u, late = nil, false
		p, err := getPending(tx, user)
		if err != nil || p == nil || r.now().Before(p.Due) {
			return err
		}
		who, err := getUser(tx, user)
		if err != nil {
			return err
		}
		if who == nil || who.Disabled { // whatever made it so has dropped it; but nobody is reset by a record that was left over
			_, err := dropPending(tx, user)
			return err
		}
		if !p.Told {
			return r.undelivered(tx, who.ID, who.Name)
		}
		if late = r.now().Sub(p.Due) >= resetLate; late {
			if err := r.callOff(tx, Event{UserID: who.ID, User: who.Name, Actor: "late"}, "it came due while no server ran; announce it anew if it is still wanted"); err != nil {
				return err
			}
			return r.notify(tx, Visit{}, who, notice{at: r.now(), kind: mailNotice, write: resetTooLate})
		}
		u = who
		if err := r.resetMFA(tx, u); err != nil {
			return err
		}
		return r.audit(tx, Event{Name: EventReset, UserID: u.ID, User: u.Name, Actor: "command"})
	})
	if late && err == nil {
		r.wakeMail()
	}
	if err != nil || u == nil {
		return err
	}
	r.cache.invalidateUser(u.ID)
	r.log.Info("a reset was done that had been announced", "user", u.Name)
	return r.sweepReset(ctx, u)
}
