package auth

import (
	"bytes"
	"errors"

	"github.com/caddy-mfa/caddy-mfa/storage"
)

// Renewing is a Method whose records say how they were made, and are made anew at sign-in where that has changed since (S7).
//
// Making one takes time, which must not tell that a password was right. So it is made of right answers only where a right answer shows
// anyway. On the first of two pages it is made of wrong ones as well, goes along in the sealed cookie, and is stored once a second kind
// was proven.
type Renewing interface {
	Method
	// Outdated reports whether a Credential.Secret would be made otherwise today; not for one that cannot be read.
	Outdated(secret []byte) bool
	// Renewed is Credential.Secret as it is made of an answer today. It does not ask whether the answer is right; one that is too long
	// to be is ErrRejected.
	Renewed(answer []byte) ([]byte, error)
}

// freshSize is the room for a record in an untold sign-in, in bytes. Cookies have the same length with one and without.
const freshSize = 112

// renew makes the record of a right answer anew, if it is outdated.
func renew(given answer, secret *[]byte) (err error) {
	if m, ok := given.m.(Renewing); ok && m.Outdated(*secret) {
		*secret, err = m.Renewed(given.text)
	}
	return err
}

// fresh makes a record of a password of which nobody must learn whether it was right, if the account has an outdated one.
func fresh(creds []held, given answer) ([]byte, error) {
	room := make([]byte, freshSize)
	m, ok := given.m.(Renewing)
	for i := range creds {
		if c := &creds[i]; ok && c.Method == MethodPassword && !c.Disabled && m.Outdated(c.Secret) {
			secret, err := m.Renewed(given.text)
			if err != nil && !errors.Is(err, ErrRejected) {
				return nil, err
			}
			if len(secret) <= freshSize {
				copy(room, secret)
			}
		}
	}
	return room, nil
}

// renewUntold stores what fresh made of the password, which has turned out right, in place of a record that is outdated still.
func (r *Realm) renewUntold(tx storage.Tx, f *flow, u *User, creds []held) error {
	m, ok := r.method(MethodPassword).(Renewing)
	secret := bytes.TrimRight(f.untold.Fresh, "\x00")
	for i := range creds {
		if c := &creds[i]; ok && c.ID == f.Proofs[0].Credential && m.Outdated(c.Secret) && len(secret) > 0 {
			if there, err := exists(tx, keyCred(u.ID, c.ID)); err != nil || !there { // a Scan promises no conflict
				return errors.Join(err, errStale)
			}
			c.Secret = secret
			return r.putCred(tx, u.ID, c.Credential)
		}
	}
	return nil
}
