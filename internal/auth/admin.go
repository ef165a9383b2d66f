package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sort"
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

// Account is what people and admins see of a user.
type Account struct {
	User         User
	Credentials  []Credential // without secrets; the password and the recovery codes are among them
	RecoveryLeft int          // unused recovery codes
	Sessions     int          // live ones
	Shut         []string     // methods that are off, after too many wrong answers, for browsers that the account does not know
	Duties       []Duty       // the policies that apply, in the order of the configuration
	TwoFactor    bool         // a second method other than mail is set up and works
	First        []string     // the second methods that are set up and work, in the order in which a sign-in asks for them
	// May says of the changes that depend on what is set up (ChangeOff, ChangeCodes, ChangeViewCodes) what speaks against them: nil for nothing,
	// an *Invalid, or ErrStep where this configuration has no such thing.
	May       map[ChangeOp]error
	ResetAt   time.Time // when the reset that was announced is due; zero for none
	ResetTold bool      // a mail server took the announcement
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
	fail := func(err error) (User, Invited, error) { return User{}, Invited{}, err }
	name, err := FoldName(n.Name)
	if err != nil {
		return fail(err)
	}
	display, err := cleanDisplayName(n.DisplayName)
	if err != nil {
		return fail(err)
	}
	groups, err := mergeGroups(nil, n.Groups, nil)
	if err != nil {
		return fail(err)
	}
	if n.Email != "" {
		if _, err := FoldEmail(n.Email); err != nil {
			return fail(err)
		}
		if mail.CheckAddress(strings.TrimSpace(n.Email)) != nil {
			return fail(&Invalid{"email", "No mail can be sent to this address."})
		}
	}
	var cred Credential
	if n.Password != "" {
		if cred, err = r.hashPassword(ctx, n.Password, r.name, name, display, n.Email); err != nil {
			return fail(err)
		}
	}
	handle := newHandle()
	err = r.store.Update(ctx, func(tx storage.Tx) error {
		u = User{Name: name, DisplayName: display, Email: strings.TrimSpace(n.Email), Groups: groups}
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
		return fail(err)
	}
	r.wakeMail()
	r.log.Info("user added", "user", u.Name)
	return u, in, nil
}

// Users returns all users, by name.
func (r *Realm) Users(ctx context.Context) (users []User, err error) {
	err = r.store.View(ctx, func(tx storage.Tx) error {
		users = nil
		for e, err := range tx.Scan("user/", "") {
			if err != nil {
				return err
			}
			var u User
			if err := json.Unmarshal(e.Value, &u); err != nil {
				return fmt.Errorf("decoding record %q: %w", e.Key, err)
			}
			users = append(users, u)
		}
		return nil
	})
	// slices.SortFunc would be compiled once more for this type, 25 KB of binary.
	sort.Slice(users, func(i, j int) bool { return users[i].Name < users[j].Name })
	return users, err
}

// User returns what there is about the user with the given name.
func (r *Realm) User(ctx context.Context, name string) (a Account, err error) {
	err = r.store.View(ctx, func(tx storage.Tx) error {
		u, err := byName(tx, name)
		if err != nil {
			return err
		}
		a, err = r.account(tx, u)
		return err
	})
	return a, err
}

// Account returns what there is about the user with the given id.
func (r *Realm) Account(ctx context.Context, userID string) (a Account, err error) {
	err = r.store.View(ctx, func(tx storage.Tx) error {
		u, err := getUser(tx, userID)
		if err != nil {
			return err
		}
		if u == nil {
			return ErrUnknownUser
		}
		a, err = r.account(tx, u)
		return err
	})
	return a, err
}

func (r *Realm) account(tx storage.Tx, u *User) (Account, error) {
	creds, err := r.getCreds(tx, u.ID)
	if err != nil {
		return Account{}, err
	}
	a := Account{User: *u, Duties: r.duties(r.now(), u, creds), TwoFactor: r.strong(creds), First: r.order(u, creds), May: map[ChangeOp]error{}}
	for _, op := range []ChangeOp{ChangeOff, ChangeCodes, ChangeViewCodes} {
		a.May[op] = r.settable(Change{Op: op}, u, creds)
	}
	for _, c := range creds {
		if set := r.codes(); set != nil && c.Method == MethodRecovery {
			a.RecoveryLeft += set.Left(c.Credential)
		}
		c.Secret = nil
		a.Credentials = append(a.Credentials, c.Credential)
	}
	sessions, err := r.liveSessions(tx, u)
	if err != nil {
		return Account{}, err
	}
	a.Sessions = len(sessions)
	p, err := getPending(tx, u.ID)
	if err != nil {
		return Account{}, err
	}
	if p != nil {
		a.ResetAt, a.ResetTold = p.Due, p.Told
	}
	a.Shut, err = shut(tx, u.ID)
	return a, err
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
func (r *Realm) change(ctx context.Context, name, event string, fn func(storage.Tx, *User) error) (u *User, err error) {
	var id string
	err = r.store.Update(ctx, func(tx storage.Tx) error {
		if u, err = byName(tx, name); err != nil {
			return err
		}
		id = u.ID
		if err := fn(tx, u); err != nil {
			return err
		}
		return r.audit(tx, Event{Name: event, UserID: u.ID, User: u.Name, Actor: "command"})
	})
	if id != "" {
		r.cache.invalidateUser(id)
	}
	if err == nil {
		r.log.Info("user changed", "event", event, "user", u.Name)
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
			return &Invalid{"name", "The user " + u.Name + " is disabled. Enable them first."}
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

// Sessions returns a user's live sessions, the newest first. What was handed over is no session of its own here: see Session.Handed.
func (r *Realm) Sessions(ctx context.Context, name string) (out []Session, err error) {
	err = r.store.View(ctx, func(tx storage.Tx) error {
		u, err := byName(tx, name)
		if err != nil {
			return err
		}
		out, err = r.liveSessions(tx, u)
		return err
	})
	sort.Slice(out, func(i, j int) bool { return out[j].Created.Before(out[i].Created) })
	return out, err
}

func (r *Realm) liveSessions(tx storage.Tx, u *User) (out []Session, err error) {
	for e, err := range tx.Scan(keyUserSessions(u.ID), "") {
		if err != nil {
			return nil, err
		}
		var s Session
		err = getJSON(tx, keySession(string(e.Value)), &s)
		if errors.Is(err, storage.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if s.Parent != "" { // it is a part of that
			continue
		}
		if cached := r.cache.get(s.Token); cached != nil {
			s.Seen, s.IdleEnd = cached.session.Load().Seen, cached.session.Load().IdleEnd // later than was noted
		}
		if live(r.now(), u, &s) {
			out = append(out, s)
		}
	}
	return out, nil
}

// RevokeSessions ends one session of a user by its ID, or with id "" all of them together with flows and invitations in progress.
// It returns how many ended. An unknown id is an *Invalid.
func (r *Realm) RevokeSessions(ctx context.Context, name, id string) (n int, err error) {
	var ended *Session
	u, err := r.change(ctx, name, EventSessionsEnded, func(tx storage.Tx, u *User) error {
		if id == "" {
			all, err := r.liveSessions(tx, u)
			if err != nil {
				return err
			}
			n = len(all)
			if err := r.endAll(tx, u); err != nil {
				return err
			}
			return putUser(tx, u)
		}
		s, err := sessionByID(tx, u.ID, id)
		if errors.Is(err, storage.ErrNotFound) {
			return &Invalid{"id", "There is no such session."}
		}
		if err != nil {
			return err
		}
		if s, err = root(tx, s); err != nil {
			return err
		}
		n = 1
		ended, err = deleteSession(tx, s.Token)
		return err
	})
	if ended != nil {
		r.cache.invalidateSession(ended.Token)
	}
	if err != nil {
		return 0, err
	}
	if id == "" {
		err = r.sweep(ctx, u.ID, u.Epoch)
	}
	return n, err
}
