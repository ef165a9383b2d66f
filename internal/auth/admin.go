package auth

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/mail"
	"github.com/caddy-mfa/caddy-mfa/storage"
)

// ErrUnknownUser means that no user has the name.
var ErrUnknownUser = errors.New("auth: no such user")

// NewUser is what AddUser needs. With no Password it issues an invitation.
type NewUser struct {
	Name, DisplayName, Email string
	Groups                   []string
	Password                 string
}

// Invited is an invitation that was made.
type Invited struct {
	Token    string // to be sent to the person, "" where none was needed
	Expires  time.Time
	MailedTo string // the address that a link of its own was mailed to, "" for none
}

// AddUser makes a user, who may set up a second method during the next 72 hours. Without a password it invites the person. An
// *Invalid says what was wrong; nothing was changed then.
func (r *Realm) AddUser(ctx context.Context, n NewUser) (u User, in Invited, err error) {
	asked, err := n.user()
	if err != nil {
		return u, in, err
	}
	var cred Credential
	if n.Password != "" {
		if cred, err = r.hashPassword(ctx, n.Password, r.name, asked.Name, asked.DisplayName, asked.Email); err != nil {
			return u, in, err
		}
	}
	handle := newHandle()
	err = r.store.Update(ctx, func(tx storage.Tx) error {
		u = *asked
		if err := r.createUser(tx, &u, handle); err != nil {
			return err
		}
		if n.Password == "" {
			if in, err = r.invite(tx, &u); err != nil {
				return err
			}
		} else if _, err := r.addCred(tx, &u, nil, cred); err != nil {
			return err
		}
		if err := putUser(tx, &u); err != nil {
			return err
		}
		return r.audit(tx, Event{Name: EventUserAdded, UserID: u.ID, User: u.Name, Actor: "command"})
	})
	if err != nil {
		return User{}, Invited{}, err
	}
	r.wakeMail()
	r.log.Info("user added", "user", u.Name)
	return u, in, nil
}

// user is the user that n asks for. The error is an *Invalid.
func (n *NewUser) user() (*User, error) {
	u := &User{Email: strings.TrimSpace(n.Email)}
	var err error
	if u.Name, err = FoldName(n.Name); err != nil {
		return nil, err
	}
	if u.DisplayName, err = cleanDisplayName(n.DisplayName); err != nil {
		return nil, err
	}
	if u.Groups, err = mergeGroups(nil, n.Groups, nil); err != nil {
		return nil, err
	}
	if n.Email == "" {
		return u, nil
	}
	if _, err := FoldEmail(n.Email); err != nil {
		return nil, err
	}
	if mail.CheckAddress(u.Email) != nil {
		return nil, &Invalid{Field: "email", Text: "No mail can be sent to this address."}
	}
	return u, nil
}

// byName returns ErrUnknownUser where findUser returns nil.
func byName(tx storage.Tx, name string) (*User, error) {
	u, err := findUser(tx, name)
	if err == nil && u == nil {
		err = ErrUnknownUser
	}
	return u, err
}

// change applies fn to a user in one transaction; the next request of each of the user's sessions sees it.
func (r *Realm) change(ctx context.Context, name, event string, fn func(storage.Tx, *User) error) (*User, error) {
	return r.changeAs(ctx, name, &Event{Name: event}, fn)
}

// changeAs is change where fn has more to say in the event.
func (r *Realm) changeAs(ctx context.Context, name string, event *Event, fn func(storage.Tx, *User) error) (u *User, err error) {
	var id string
	err = r.store.Update(ctx, func(tx storage.Tx) error {
		if u, err = byName(tx, name); err != nil {
			return err
		}
		id = u.ID
		if err := fn(tx, u); err != nil {
			return err
		}
		event.UserID, event.User, event.Actor = u.ID, u.Name, "command"
		return r.audit(tx, *event)
	})
	if id != "" {
		r.cache.invalidateUser(id)
	}
	if err == nil {
		r.log.Info("user changed", "event", event.Name, "user", u.Name)
	}
	return u, err
}

// SetDisabled shuts a user out, or lets one in again. Disabling ends all sessions, flows and tokens, for good.
func (r *Realm) SetDisabled(ctx context.Context, name string, disabled bool) error {
	event := EventUserEnabled
	if disabled {
		event = EventUserDisabled
	}
	u, err := r.change(ctx, name, event, func(tx storage.Tx, u *User) error {
		u.Disabled = disabled
		if !disabled {
			u.Blocked = time.Time{}
		} else {
			if err := r.endAll(tx, u); err != nil {
				return err
			}
			if _, err := dropPending(tx, u.ID); err != nil {
				return err
			}
		}
		return putUser(tx, u)
	})
	if err != nil {
		return err
	}
	return r.sweep(ctx, u.ID, u.Epoch)
}

// DeleteUser removes a user and everything that belongs to them, but the audit trail.
func (r *Realm) DeleteUser(ctx context.Context, name string) error {
	u, err := r.change(ctx, name, EventUserDeleted, func(tx storage.Tx, u *User) error {
		if err := r.endAll(tx, u); err != nil {
			return err
		}
		if _, err := dropPending(tx, u.ID); err != nil {
			return err
		}
		keys := []string{keyUser(u.ID), keyUserName(u.Name), keyHandle(u.Handle)}
		if u.EmailConfirmed {
			if folded, err := FoldEmail(u.Email); err == nil {
				keys = append(keys, keyUserEmail(folded))
			}
		}
		for _, k := range keys {
			if err := tx.Delete(k); err != nil {
				return err
			}
		}
		creds, err := r.getCreds(tx, u.ID)
		if err != nil {
			return err
		}
		_, err = r.removeCreds(tx, u, creds, func(held) bool { return true })
		return err
	})
	if err != nil {
		return err
	}
	return r.sweep(ctx, u.ID, u.Epoch, keyBrowsers(u.ID), keyThrottle(u.ID), keyActivity(u.ID))
}

// Invite issues a new invitation; an older one dies. The person may set up a second method for 72 hours, if they have none.
func (r *Realm) Invite(ctx context.Context, name string) (in Invited, err error) {
	_, err = r.change(ctx, name, EventInvited, func(tx storage.Tx, u *User) error {
		if u.Disabled {
			return &Invalid{Field: "name", Text: "The user " + u.Name + " is disabled. Enable them first."}
		}
		u.EnrollUntil = r.now().Add(enrollWindow)
		if in, err = r.invite(tx, u); err != nil {
			return err
		}
		return putUser(tx, u)
	})
	if err != nil {
		return Invited{}, err
	}
	r.wakeMail()
	return in, nil
}

// ResetMFA removes every second method, recovery codes, known browsers and an address that the person gave too, ends all sessions and
// opens a new enrolment window. Where somebody said "This wasn't me" the password goes as well, and no window opens: an intruder may
// know it, so an invitation must follow. One that was announced is dropped.
func (r *Realm) ResetMFA(ctx context.Context, name string) error {
	u, err := r.change(ctx, name, EventReset, r.resetMFA)
	if err != nil {
		return err
	}
	return r.sweepReset(ctx, u)
}

// resetMFA is the transaction of ResetMFA; sweepReset follows the commit.
func (r *Realm) resetMFA(tx storage.Tx, u *User) error {
	creds, err := r.getCreds(tx, u.ID)
	if err != nil {
		return err
	}
	if _, err := dropPending(tx, u.ID); err != nil {
		return err
	}
	blocked := !u.Blocked.IsZero()
	if err := r.notify(tx, Visit{}, u, notice{at: r.now(), kind: mailNotice, write: methodsReset}); err != nil {
		return err
	}
	if creds, err = r.removeAddress(tx, u, creds); err != nil { // it may be confirmed again
		return err
	}
	if u.EmailOwn { // for whoever was in the account may have given it
		u.Email, u.EmailOwn = "", false
	}
	if _, err := r.removeCreds(tx, u, creds, func(c held) bool { return blocked || c.Method != MethodPassword }); err != nil {
		return err
	}
	if err := r.endAll(tx, u); err != nil {
		return err
	}
	u.EnrollUntil, u.BrowsersSince = time.Time{}, r.now()
	if !blocked {
		u.EnrollUntil = r.now().Add(enrollWindow)
	}
	return putUser(tx, u)
}

func (r *Realm) sweepReset(ctx context.Context, u *User) error {
	r.wakeMail()
	return r.sweep(ctx, u.ID, u.Epoch, keyBrowsers(u.ID), keyThrottle(u.ID))
}

// ChangeGroups adds and removes groups.
func (r *Realm) ChangeGroups(ctx context.Context, name string, add, remove []string) (User, error) {
	u, err := r.change(ctx, name, EventGroups, func(tx storage.Tx, u *User) (err error) {
		if u.Groups, err = mergeGroups(u.Groups, add, remove); err != nil {
			return err
		}
		return putUser(tx, u)
	})
	if err != nil {
		return User{}, err
	}
	return *u, nil
}
