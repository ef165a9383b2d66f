package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/caddy-mfa/caddy-mfa/storage"
)

const (
	inviteLife = 72 * time.Hour
	setupLife  = time.Hour

	// AdminGroup is the group that the first user is put into.
	AdminGroup = "admins"
)

// ticket is the record of a token that travels by link.
type ticket struct {
	Purpose Purpose   `json:"purpose"`
	UserID  string    `json:"user,omitempty"`
	Epoch   uint64    `json:"epoch"`
	Expires time.Time `json:"expires"`

	Address string    `json:"address,omitempty"` // that it was mailed to
	Since   time.Time `json:"since,omitzero"`    // of purposeNotMe: when that address was confirmed
	Own     bool      `json:"own,omitempty"`     // of purposeNotMe: whether the person gave that address
	At      time.Time `json:"at,omitzero"`       // of purposeNotMe: the event
	Sealed  []byte    `json:"secret,omitempty"`  // of purposeLink: the code
}

// revoke ends the live token of a purpose, if there is one. The caller stores the user.
func (s *State) revoke(tx storage.Tx, u *User, p Purpose) error {
	old := u.Tokens[p]
	if old == "" {
		return nil
	}
	delete(u.Tokens, p)
	return tx.Delete(old)
}

// issue makes a token for a user; a live one of the same purpose dies. The caller stores the user.
func (s *State) issue(tx storage.Tx, u *User, p Purpose, token, address string, expires time.Time) error {
	if err := s.revoke(tx, u, p); err != nil {
		return err
	}
	if u.Tokens == nil {
		u.Tokens = map[Purpose]string{}
	}
	key := keyToken(token)
	u.Tokens[p] = key
	return putJSON(tx, key, ticket{Purpose: p, UserID: u.ID, Epoch: u.Epoch, Expires: expires, Address: address}, expires)
}

// redeemable reads the ticket under key and the user it is for, who does not exist yet for a set-up. It returns ErrToken if the
// ticket does not count, or is for none of the purposes.
func (s *State) redeemable(tx storage.Tx, key string, purposes ...Purpose) (*ticket, *User, error) {
	t := new(ticket)
	err := getJSON(tx, key, t)
	if errors.Is(err, storage.ErrNotFound) || err == nil && !slices.Contains(purposes, t.Purpose) {
		return nil, nil, ErrToken
	}
	if err != nil {
		return nil, nil, err
	}
	var u *User
	if t.Purpose != PurposeSetup {
		if u, err = getUser(tx, t.UserID); err != nil {
			return nil, nil, err
		}
		if u == nil {
			return nil, nil, ErrToken
		}
	}
	counts := false
	switch t.Purpose {
	case PurposeSetup:
		done, err := exists(tx, keySetup)
		if err != nil {
			return nil, nil, err
		}
		cur, err := tx.Get(keySetupToken)
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			return nil, nil, err
		}
		counts = !done && string(cur.Value) == key
	case PurposeInvite, purposeInviteMail, PurposeReset, purposeLink:
		// A link is tied to its flow instead: people may sign in at two places.
		newest := t.Purpose == purposeLink || u.Tokens[t.Purpose] == key
		theirs := t.Address == "" || t.Address == u.Email // else it went to a mailbox that is not this person's any more
		counts = !u.Disabled && u.Epoch == t.Epoch && newest && theirs
	case purposeNotMe: // an intruder may have bumped the epoch, and cannot take this away
		counts = !u.undone(t.At)
	case purposeStopReset:
		p, err := getPending(tx, t.UserID)
		if err != nil {
			return nil, nil, err
		}
		counts = !u.Disabled && p != nil && p.Token == key
	case PurposeSignIn, PurposeChange: // begin with a password
	}
	if !counts {
		return nil, nil, ErrToken
	}
	return t, u, nil
}

// Begun reports whether anybody was ever added.
func (r *Realm) Begun(ctx context.Context) (begun bool, err error) {
	err = r.store.View(ctx, func(tx storage.Tx) error {
		begun, err = exists(tx, keySetup)
		return err
	})
	return begun, err
}

// SetupToken returns the token of the set-up link while nobody was ever added, else "". Every State makes one of its own, which
// replaces those of earlier runs; it lives an hour.
func (r *Realm) SetupToken(ctx context.Context) (token string, expires time.Time, err error) {
	s := r.State
	s.setup.Lock()
	defer s.setup.Unlock()
	token, expires = s.setup.token, s.setup.expires
	made := token == ""
	if made {
		token, expires = newTravelToken(), s.now().Add(setupLife)
	}
	done := false
	err = s.store.Update(ctx, func(tx storage.Tx) error {
		var err error
		if done, err = exists(tx, keySetup); err != nil || done || !made {
			return err
		}
		old, err := tx.Get(keySetupToken)
		if err == nil {
			err = tx.Delete(string(old.Value))
		}
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			return err
		}
		key := keyToken(token)
		if err := tx.Put(keySetupToken, []byte(key), expires); err != nil {
			return err
		}
		return putJSON(tx, key, ticket{Purpose: PurposeSetup, Expires: expires}, expires)
	})
	if err != nil {
		return "", time.Time{}, fmt.Errorf("making the set-up link: %w", err)
	}
	if done {
		s.setup.token = ""
		return "", time.Time{}, nil
	}
	s.setup.token, s.setup.expires = token, expires
	return token, expires, nil
}
