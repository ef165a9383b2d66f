package auth

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/mail"
	"github.com/caddy-mfa/caddy-mfa/storage"
)

// notMeLife is how long the link of a notice works.
const notMeLife = 7 * 24 * time.Hour

// notice is something that a person should hear of (S80).
type notice struct {
	at    time.Time // of the event; what was made at that moment or later is what its link undoes
	kind  mailKind
	write func(mail.Event) mail.Message
}

func newSignIn(e mail.Event) mail.Message       { return mail.NewSignIn{Event: e}.Message() }
func codesChanged(e mail.Event) mail.Message    { return mail.CodesChanged{Event: e}.Message() }
func codesViewed(e mail.Event) mail.Message     { return mail.CodesViewed{Event: e}.Message() }
func passwordChanged(e mail.Event) mail.Message { return mail.PasswordChanged{Event: e}.Message() }
func methodsReset(e mail.Event) mail.Message    { return mail.MethodsReset{Event: e}.Message() }
func resetStopped(e mail.Event) mail.Message    { return mail.ResetStopped{Event: e}.Message() }
func resetTooLate(e mail.Event) mail.Message    { return mail.ResetTooLate{Event: e}.Message() }
func addressChanged(e mail.Event) mail.Message  { return mail.AddressChanged{Event: e}.Message() }

func sessionsEnded(n int) func(mail.Event) mail.Message {
	return func(e mail.Event) mail.Message { return mail.SessionsEnded{Event: e, Count: n}.Message() }
}

func codeUsed(left int) func(mail.Event) mail.Message {
	return func(e mail.Event) mail.Message { return mail.CodeUsed{Event: e, Left: left}.Message() }
}

func throttled(method string) func(mail.Event) mail.Message {
	return func(e mail.Event) mail.Message { return mail.Throttled{Event: e, Method: method}.Message() }
}

func methodAdded(c Credential) func(mail.Event) mail.Message {
	return func(e mail.Event) mail.Message {
		return mail.MethodAdded{Event: e, Method: c.Method, Label: c.Label}.Message()
	}
}

func methodRemoved(c Credential) func(mail.Event) mail.Message {
	return func(e mail.Event) mail.Message {
		return mail.MethodRemoved{Event: e, Method: c.Method, Label: c.Label}.Message()
	}
}

// notify tells the user, at the address that was confirmed, in the transaction of what it tells. A zero Visit is an admin's command.
// A notice that finds no room in the queue is left out: what it tells of has happened all the same. Wake the mail after the commit.
func (r *Realm) notify(tx storage.Tx, v Visit, u *User, n notice) error {
	if r.mail == nil || !u.EmailConfirmed {
		return nil
	}
	now := r.now()
	err := r.capMail(tx, now, u.ID, "", u.Email, n.kind)
	if slow := (*Throttled)(nil); errors.As(err, &slow) {
		r.log.Warn("a notice was left out: there were too many", "user", u.Name)
		return nil
	}
	if err != nil {
		return err
	}
	token := newTravelToken()
	letter := n.write(mail.Event{
		Lang: u.reads(v), Product: r.name, Name: u.Name, At: n.at, Browser: machine(u.reads(v), v), Addr: addrOf(v), Link: r.mail.Base("") + "/not-me#" + token,
		ByAdmin: v.Host == "",
	})
	letter.To = u.Email
	expires := now.Add(notMeLife)
	if err := r.enqueueNotice(tx, u, letter, expires); errors.Is(err, ErrBusy) {
		r.log.Warn("a notice was left out: too many mails wait", "user", u.Name)
		return nil
	} else if err != nil {
		return err
	}
	t := ticket{
		Purpose: purposeNotMe, UserID: u.ID, Epoch: u.Epoch, Expires: expires,
		Address: u.Email, Since: u.EmailSince, Own: u.EmailOwn, At: n.at,
	}
	if !t.At.After(t.Since) { // whoever reads an address undoes nothing of before it was theirs, nor that it became so
		t.At = t.Since.Add(1)
	}
	return putJSON(tx, keyToken(token), t, expires)
}

// tell is notify for a change that has no message of its own.
func (r *Realm) tell(tx storage.Tx, v Visit, u *User, at time.Time, kind mailKind, c mail.Changed) error {
	return r.notify(tx, v, u, notice{at: at, kind: kind, write: func(e mail.Event) mail.Message { c.Event = e; return c.Message() }})
}

// undone reports whether what happened at a moment was undone since.
func (u *User) undone(at time.Time) bool {
	return slices.ContainsFunc(u.Undone, func(s Span) bool { return !at.Before(s.From) && !at.After(s.To) })
}

// NotMe is for somebody who got a notice of what they did not do. It ends every session, flow, invitation and reset, also one that was
// announced, forgets the known browsers, suspends what was set up since, gives the account back the address that the notice went to,
// and lets nobody sign in until the password was reset through that mailbox and a method proven that is older, or until an admin
// helps. What an intruder was told meanwhile undoes nothing of this: links about events of that time are void. ErrToken: used, void
// or expired.
func (r *Realm) NotMe(ctx context.Context, v Visit, token string) error {
	if len(token) != len(newTravelToken()) {
		return ErrToken
	}
	key := keyToken(token)
	err := r.store.View(ctx, func(tx storage.Tx) error {
		_, _, err := r.redeemable(tx, key, purposeNotMe)
		return err
	})
	if err != nil {
		return err // before any write: a wrong token stores nothing
	}
	var u *User
	err = r.store.Update(ctx, func(tx storage.Tx) error {
		t, user, err := r.redeemable(tx, key, purposeNotMe)
		if err != nil {
			return err
		}
		u = user
		if err := tx.Delete(key); err != nil {
			return err
		}
		if err := r.endAll(tx, u); err != nil {
			return err
		}
		if err := r.callOff(tx, Event{UserID: u.ID, User: u.Name, Addr: v.Addr.String()}, "somebody else was in the account"); err != nil {
			return err
		}
		creds, err := r.getCreds(tx, u.ID)
		if err != nil {
			return err
		}
		if creds, err = r.restoreAddress(tx, u, creds, t); err != nil {
			return err
		}
		if err := r.suspend(tx, u, creds, t.At); err != nil {
			return err
		}
		now := r.now()
		u.Rev++
		u.EnrollUntil, u.BrowsersSince = time.Time{}, now
		if u.Blocked.IsZero() || t.At.Before(u.Blocked) {
			u.Blocked = t.At
		}
		u.Undone = slices.DeleteFunc(u.Undone, func(s Span) bool { return now.Sub(s.To) > notMeLife })
		u.Undone = append(u.Undone, Span{t.At, now})
		if err := r.mailWayBack(tx, now, v, u); err != nil {
			return err
		}
		if err := putUser(tx, u); err != nil {
			return err
		}
		return r.audit(tx, Event{Name: EventNotMe, UserID: u.ID, User: u.Name, Addr: v.Addr.String()})
	})
	if err != nil {
		return err
	}
	r.cache.invalidateUser(u.ID)
	r.wakeMail()
	r.log.Warn("sign-in was blocked by a link of a notice", "user", u.Name, "client", v.Addr)
	if err := r.sweep(ctx, u.ID, u.Epoch, keyBrowsers(u.ID)); err != nil {
		r.log.Warn("removing ended sessions and known browsers failed", "error", err)
	}
	return nil
}

// mailWayBack mails a reset to whoever pressed, whatever was asked for before: without it only an admin could help. The caller
// stores the user.
func (r *Realm) mailWayBack(tx storage.Tx, now time.Time, v Visit, u *User) error {
	if r.mail == nil || !u.EmailConfirmed || u.Disabled {
		return nil
	}
	token := newTravelToken()
	letter := mail.Reset{
		Product: r.name, Link: r.mail.Base("") + "/reset#" + token, Hours: int(resetLife / time.Hour), Browser: machine(u.reads(v), v), Addr: addrOf(v), Lang: u.reads(v),
	}.Message()
	letter.To = u.Email
	if err := r.enqueueNotice(tx, u, letter, now.Add(resetLife)); errors.Is(err, ErrBusy) {
		return nil
	} else if err != nil {
		return err
	}
	return r.issue(tx, u, PurposeReset, token, u.Email, now.Add(resetLife))
}

// suspend disables the credentials that were made at a moment or later, and codes that were shown since. The address is what
// restoreAddress left.
func (r *Realm) suspend(tx storage.Tx, u *User, creds []held, at time.Time) error {
	for _, c := range creds {
		if c.Disabled || c.Method == MethodEmail || c.Created.Before(at) && c.Shown.Before(at) {
			continue
		}
		// By its key: a Get promises a conflict with whoever writes it.
		if _, err := exists(tx, keyCred(u.ID, c.ID)); err != nil {
			return err
		}
		c.Disabled = true
		if err := r.putCred(tx, u.ID, c.Credential); err != nil {
			return err
		}
	}
	return nil
}

// restoreAddress makes the address that the notice went to the user's again. If it is somebody else's by now the user has none.
func (r *Realm) restoreAddress(tx storage.Tx, u *User, creds []held, t *ticket) ([]held, error) {
	if u.EmailConfirmed && u.Email == t.Address && u.EmailSince.Before(t.At) {
		return creds, nil
	}
	creds, err := r.removeAddress(tx, u, creds)
	if err != nil {
		return nil, err
	}
	creds, id, err := r.confirmAddress(tx, u, creds, t.Address)
	if taken := (*Invalid)(nil); errors.As(err, &taken) {
		u.Email = ""
		return creds, nil
	}
	if err != nil {
		return nil, err
	}
	u.EmailSince, u.EmailOwn = t.Since, t.Own
	for i, c := range creds {
		if c.ID != id {
			continue
		}
		creds[i].Created, creds[i].Used = t.Since, t.Since
		if err := r.putCred(tx, u.ID, creds[i].Credential); err != nil {
			return nil, err
		}
	}
	return creds, nil
}
