package auth

import (
	"bytes"
	"errors"
	"slices"

	"github.com/caddy-mfa/caddy-mfa/storage"
)

// Renewing is a Method whose records say how they were made, and are made anew at sign-in where that has changed since (S7).
//
// Making one takes time, which must not tell that a password was right. So it is made of right answers only where a right answer shows
// anyway. On the first of two pages it is made of wrong ones as well, goes along in the sealed cookie, and is stored once a second kind
// was proven.
type Renewing interface {
	Method
	// Outdated reports whether a credential would be made otherwise today; not for a record that cannot be read.
	Outdated(c Credential) bool
	// Renewed is Credential.Secret as it is made of an answer today. It does not ask whether the answer is right; one that is too long
	// to be is ErrRejected.
	Renewed(answer []byte) ([]byte, error)
}

// freshSize is the room for a record in an untold sign-in, in bytes. Cookies have the same length with one and without.
const freshSize = 112

// renew makes the records of right answers anew, where it is time to.
func (r *Realm) renew(got []Verified, answers []answer) error {
	for i, given := range answers {
		m, ok := given.m.(Renewing)
		if !ok || !m.Outdated(got[i].Credential) {
			continue
		}
		secret, err := m.Renewed(given.text)
		if err != nil {
			return err
		}
		got[i].Credential.Secret = secret
	}
	return nil
}

// fresh makes a record of an answer of which nobody must learn whether it was right, if one of creds is outdated.
func (r *Realm) fresh(creds []held, given answer) ([]byte, error) {
	room := make([]byte, freshSize)
	m, ok := given.m.(Renewing)
	if !ok || !slices.ContainsFunc(usable(creds, m.Name()), m.Outdated) {
		return room, nil
	}
	secret, err := m.Renewed(given.text)
	if err != nil && !errors.Is(err, ErrRejected) {
		return nil, err
	}
	if len(secret) <= freshSize {
		copy(room, secret)
	}
	return room, nil
}

// renewUntold stores what fresh made of the password, which has turned out right, in place of a record that is outdated still.
func (r *Realm) renewUntold(tx storage.Tx, f *flow, u *User, creds []held) error {
	m, ok := r.method(MethodPassword).(Renewing)
	secret := bytes.TrimRight(f.untold.Fresh, "\x00")
	i := slices.IndexFunc(creds, func(c held) bool { return c.ID == f.Proofs[0].Credential })
	if !ok || i < 0 || len(secret) == 0 || !m.Outdated(creds[i].Credential) {
		return nil
	}
	if there, err := exists(tx, keyCred(u.ID, creds[i].ID)); err != nil || !there { // a Scan promises no conflict
		return errors.Join(err, errStale)
	}
	creds[i].Secret = secret
	return r.putCred(tx, u.ID, creds[i].Credential)
}
