package auth

import (
	"context"
	"crypto/subtle"
	"errors"
	"slices"
	"time"

	"github.com/caddy-mfa/caddy-mfa/storage"
)

// confirmAddress makes an address the user's own: from here on it finds the user, and where codes by mail are a method it is a
// credential, whose ID is returned. The one before goes. An *Invalid says that it is another user's; nothing was changed then.
func (r *Realm) confirmAddress(tx storage.Tx, u *User, creds []held, address string) (_ []held, credential string, err error) {
	folded, err := FoldEmail(address)
	if err != nil {
		return nil, "", err
	}
	e, err := tx.Get(keyUserEmail(folded))
	switch {
	case errors.Is(err, storage.ErrNotFound):
	case err != nil:
		return nil, "", err
	case string(e.Value) != u.ID:
		return creds, "", NewInvalid("code", "invalid.email.taken", "This address belongs to another account. Ask your administrator.")
	}
	if creds, err = r.removeAddress(tx, u, creds); err != nil {
		return nil, "", err
	}
	if err := tx.Put(keyUserEmail(folded), []byte(u.ID), time.Time{}); err != nil {
		return nil, "", err
	}
	u.Email, u.EmailConfirmed, u.EmailSince = address, true, r.now()
	m := r.mailed()
	if m == nil {
		return creds, "", putUser(tx, u)
	}
	c := m.New(address)
	c.ID, c.Method, c.Created, c.Used = newID(), MethodEmail, r.now(), r.now()
	creds, err = r.addCred(tx, u, creds, c)
	return creds, c.ID, err
}

// removeAddress takes a confirmed address from the user, and the credential that it was. The caller stores the user.
func (r *Realm) removeAddress(tx storage.Tx, u *User, creds []held) ([]held, error) {
	if u.EmailConfirmed {
		if folded, err := FoldEmail(u.Email); err == nil {
			if err := tx.Delete(keyUserEmail(folded)); err != nil {
				return nil, err
			}
		}
	}
	u.EmailConfirmed, u.EmailSince = false, time.Time{}
	creds = slices.DeleteFunc(slices.Clone(creds), func(c held) bool { return c.ID == pendingAddress })
	return r.removeCreds(tx, u, creds, func(c held) bool { return c.Method == MethodEmail })
}

// SendCode sends a code by mail for the flow in progress: for its second method, or for the address that is to be confirmed. A code
// that is out dies. *Throttled where too many were sent; ErrBusy where too many mails wait; ErrStep where the flow takes none.
func (r *Realm) SendCode(ctx context.Context, v Visit) (out Outcome, err error) {
	if p := r.openUntold(v); p != nil {
		return r.sendUntold(ctx, v, p)
	}
	err = r.store.Update(ctx, func(tx storage.Tx) error {
		f, u, creds, err := r.getFlow(tx, v)
		if err != nil {
			return err
		}
		now := r.now()
		if r.next(now, v.site(), f, u, creds).Mail == nil {
			return ErrStep
		}
		if err := r.sendCode(tx, now, v, f, u, r.withAddress(u, creds)); err != nil {
			return err
		}
		out = r.next(now, v.site(), f, u, creds).Outcome
		out.Method = MethodEmail
		return r.putFlow(tx, f)
	})
	if err == nil {
		r.wakeMail()
	}
	return out, err
}

// FollowLink takes the link of a mail with a code. In the browser whose sign-in asked for it that goes on, as if the code had been
// typed (S26). Anywhere else nothing happens, and the code is returned, for the person to type where it is asked. ErrToken: it was
// used or replaced, or has expired.
func (r *Realm) FollowLink(ctx context.Context, v Visit, token string) (out Outcome, code string, err error) {
	if len(token) != len(newTravelToken()) {
		return out, "", ErrToken
	}
	here := false
	err = r.store.View(ctx, func(tx storage.Tx) error {
		t, _, err := r.redeemable(tx, keyToken(token), purposeLink)
		if err != nil {
			return err
		}
		plain, err := r.sealer.Load().open(keyToken(token), t.Sealed)
		if err != nil {
			return ErrToken // sealed with a secret that was given up
		}
		code = string(plain)
		f, _, _, err := r.getFlow(tx, v)
		if errors.Is(err, ErrNoFlow) {
			return nil
		}
		if err != nil {
			return err
		}
		here = r.carries(f, token)
		return nil
	})
	if err != nil || !here {
		return out, code, err
	}
	out, err = r.Prove(ctx, v, MethodEmail, []byte(token))
	return out, "", err
}

// carries reports whether the link with this token is of the code that the flow waits for.
func (r *Realm) carries(f *flow, token string) bool {
	m, ch := r.mailed(), f.secrets.Challenge
	if m == nil || ch == nil || ch.Method != MethodEmail {
		return false
	}
	_, own, err := m.Letter(*ch)
	return err == nil && subtle.ConstantTimeCompare([]byte(own), []byte(token)) == 1
}

// replaceAddress makes the address that a change is about the user's, and tells the one before.
func (r *Realm) replaceAddress(tx storage.Tx, v Visit, f *flow, u *User, creds []held, c Credential) ([]held, string, error) {
	if address := r.mail.Codes.Address(c); address != f.Change.Address {
		return nil, "", ErrStep // the code was for another one
	}
	before := *u
	creds, id, err := r.confirmAddress(tx, u, creds, f.Change.Address)
	if err != nil {
		return nil, "", err
	}
	if !f.Change.Same { // one that an admin set stays theirs
		u.EmailOwn = true
	}
	if err := putUser(tx, u); err != nil {
		return nil, "", err
	}
	if before.EmailConfirmed && !f.Change.Same {
		if err := r.notify(tx, v, &before, notice{at: u.EmailSince, kind: mailNotice, write: addressChanged}); err != nil {
			return nil, "", err
		}
	}
	return creds, id, nil
}
