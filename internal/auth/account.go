package auth

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/caddy-mfa/caddy-mfa/storage"
)

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
	SwitchedOff  []string     // methods of the Credentials that this configuration leaves out
	// May says of the changes that depend on what is set up (ChangeOff, ChangeCodes, ChangeViewCodes) what speaks against them: nil for nothing,
	// an *Invalid, or ErrStep where this configuration has no such thing.
	May map[ChangeOp]error
	// Kept says of credentials that their owner cannot remove at the visitor's site why, by their ID: a sentence. Of Realm.Account alone.
	Kept      map[string]*Invalid
	ResetAt   time.Time // when the reset that was announced is due; zero for none
	ResetTold bool      // a mail server took the announcement
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
		a, err = r.account(tx, u, nil)
		return err
	})
	return a, err
}

// Account returns what there is about the user with the given id, for the visitor who is that user.
func (r *Realm) Account(ctx context.Context, v Visit, userID string) (a Account, err error) {
	err = r.store.View(ctx, func(tx storage.Tx) error {
		u, err := getUser(tx, userID)
		if err != nil {
			return err
		}
		if u == nil {
			return ErrUnknownUser
		}
		a, err = r.account(tx, u, &v)
		return err
	})
	return a, err
}

func (r *Realm) account(tx storage.Tx, u *User, v *Visit) (Account, error) {
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
		if r.method(c.Method) == nil && !slices.Contains(a.SwitchedOff, c.Method) {
			a.SwitchedOff = append(a.SwitchedOff, c.Method)
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
	if v != nil {
		a.Kept = r.kept(*v, u, creds)
	}
	a.Shut, err = shut(tx, u.ID)
	return a, err
}
