package auth

import (
	"context"
	"crypto/rand"
	"slices"
	"time"

	"github.com/caddy-mfa/caddy-mfa/storage"
)

// hashPassword makes the credential of a new password in one of the slots.
func (r *Realm) hashPassword(ctx context.Context, password string, context ...string) (Credential, error) {
	p := r.passwords()
	if err := p.Check(password, context...); err != nil {
		return Credential{}, err
	}
	release, err := r.slotsFor(p).take(ctx)
	if err != nil {
		return Credential{}, err
	}
	defer release()
	c, err := p.New(password, context...)
	c.ID, c.Method, c.Created = newID(), MethodPassword, r.now()
	return c, err
}

// setPassword replaces the password. Everything that the old one opened is over: sessions, flows, tokens, counters.
func (r *Realm) setPassword(tx storage.Tx, u *User, creds []held, c Credential) ([]held, error) {
	if err := r.endAll(tx, u); err != nil {
		return nil, err
	}
	creds, err := r.removeCreds(tx, u, creds, func(c held) bool { return c.Method == MethodPassword })
	if err != nil {
		return nil, err
	}
	return r.addCred(tx, u, creds, c)
}

// endAll bumps the epoch, so that sessions, flows and tokens are dead. The caller stores the user, and sweeps after the commit.
func (r *Realm) endAll(tx storage.Tx, u *User) error {
	u.Epoch++
	for _, key := range u.Tokens {
		if err := tx.Delete(key); err != nil {
			return err
		}
	}
	u.Tokens = nil
	return nil
}

// createUser gives a new user an id, takes the name, and ends the first set-up for good.
func (r *Realm) createUser(tx storage.Tx, u *User, handle []byte) error {
	taken, err := exists(tx, keyUserName(u.Name))
	if err != nil {
		return err
	}
	if taken {
		return NewInvalid("name", "invalid.name.taken", "There is a user {{.Name}} already.", u.Name)
	}
	now := r.now()
	u.ID, u.Handle, u.Created, u.EnrollUntil = newID(), slices.Clone(handle), now, now.Add(enrollWindow)
	for _, key := range []string{keyUserName(u.Name), keyHandle(u.Handle)} {
		if err := tx.Put(key, []byte(u.ID), time.Time{}); err != nil {
			return err
		}
	}
	if done, err := exists(tx, keySetup); err != nil {
		return err
	} else if !done {
		if err := putJSON(tx, keySetup, map[string]any{"at": now, "user": u.ID}, time.Time{}); err != nil {
			return err
		}
	}
	return putUser(tx, u)
}

func newHandle() []byte {
	b := make([]byte, 64) // WebAuthn Level 3, section 14.6.1
	rand.Read(b)
	return b
}
