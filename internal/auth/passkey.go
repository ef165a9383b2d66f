package auth

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"

	"github.com/caddy-mfa/caddy-mfa/storage"
)

// ErrUnknownKey wraps ErrRejected: a key that a user of ours had, and that is not registered any more. The browser may forget it.
// A key of another service under the same RP ID is merely rejected: the browser must keep that.
var ErrUnknownKey = fmt.Errorf("%w: unknown key", ErrRejected)

// identifier is the method that finds people by itself, nil where none works.
func (r *Realm) identifier(site Site) Identifier {
	m, _ := r.at(site, MethodWebAuthn).(Identifier)
	return m
}

// PasskeyAsk prepares a sign-in without a name, for the sign-in page. The visitor must have the cookie of PreFlow. It returns nil
// where passkeys do not work.
func (r *Realm) PasskeyAsk(v Visit) (*Ask, error) {
	m, token := r.identifier(v.site()), r.flowToken(v)
	if m == nil || token == "" {
		return nil, nil
	}
	ch, err := m.Challenge(r.now(), User{}, nil)
	if err != nil {
		return nil, fmt.Errorf("preparing the sign-in with a passkey: %w", err)
	}
	return r.sealAsk(v, askSignIn, token, m.Name(), ch)
}

// Passkey takes a passkey as the first proof of a sign-in. With user verification it shows two kinds and is all that is needed;
// without, the flow goes on to the password. ErrUnknownKey where nobody has this key.
func (r *Realm) Passkey(ctx context.Context, v Visit, response []byte, sealed, to string) (Outcome, error) {
	m := r.identifier(v.site())
	if m == nil {
		return Outcome{}, ErrStep
	}
	ch, spent, err := r.openAsk(v, askSignIn, r.flowToken(v), m.Name(), sealed)
	if err != nil {
		return Outcome{}, err
	}
	key, handle, err := m.Identify(response)
	if err != nil {
		key = "" // malformed: it spends the challenge like any other wrong answer
	}
	browser := r.openCookie(CookieBrowser, v.Browser)
	return r.verify(ctx, v, []answer{{m, response}}, func(tx storage.Tx) (a attempt, err error) {
		a.ch, a.spent = ch, spent
		if a.user, a.unknown, err = r.keyOwner(tx, key, handle); err != nil || a.user == nil {
			return a, err
		}
		if a.who, err = r.subjectOf(tx, a.user, "", browser); err != nil {
			return a, err
		}
		if a.creds, err = r.getCreds(tx, a.user.ID); err != nil {
			return a, err
		}
		a.creds = slices.DeleteFunc(a.creds, func(c held) bool { return c.Method == m.Name() && c.Key != key })
		a.flow = r.newFlow(v, PurposeSignIn, to)
		a.flow.UserID, a.flow.Epoch = a.user.ID, a.user.Epoch
		return a, nil
	})
}

// keyOwner finds who has the credential with the given key, nil if nobody has. The handle that the authenticator sent must be the
// user's (S46). unknown says that nobody has it, and that the handle is of a user of ours.
func (r *Realm) keyOwner(tx storage.Tx, key string, handle []byte) (u *User, unknown bool, err error) {
	if key == "" {
		return nil, false, nil
	}
	var o owner
	err = getJSON(tx, keyWebAuthn(key), &o)
	if errors.Is(err, storage.ErrNotFound) {
		ours, err := exists(tx, keyHandle(handle))
		return nil, ours, err
	}
	if err != nil {
		return nil, false, err
	}
	u, err = getUser(tx, o.User)
	if err != nil || u == nil || subtle.ConstantTimeCompare(u.Handle, handle) != 1 {
		return nil, false, err
	}
	return u, false, nil
}
