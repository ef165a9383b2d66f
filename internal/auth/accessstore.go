package auth

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sort"
	"strings"
	"sync/atomic"
	"time"

	"github.com/caddy-mfa/caddy-mfa/storage"
)

const (
	keyAccessTokens = "access-token/"
	keyGuestLinks   = "guest-link/"
)

func keyAccessToken(token string) string { return keyAccessTokens + hashToken(token) }

func keyUserAccessTokens(user string) string { return "user-access-token/" + user + "/" }

func keyUserGuestLinks(user string) string { return "user-guest-link/" + user + "/" }

// bearers are the two kinds of bearers that stand for a user: access tokens, and the links of guests.
type bearers struct{ list, records string }

func tokensOf(user string) bearers { return bearers{keyUserAccessTokens(user), keyAccessTokens} }

func guestLinksOf(user string) bearers { return bearers{keyUserGuestLinks(user), keyGuestLinks} }

// AccessToken returns what stands for an access token, and its user, and notes that it was used. ErrNoSession: there is none that
// counts. *Throttled: too many that do not exist came from the address. Any other error is a fault of the store, and the request must
// not pass. What it returns is shared and must not be changed; DecideToken takes it.
//
// It goes through the cache of the sessions, under the key of its record, which no session has.
func (r *Realm) AccessToken(ctx context.Context, token string, from netip.Addr) (*Session, *User, error) {
	if !wellFormed(token) {
		return nil, nil, ErrNoSession
	}
	gen, key := r.cache.gen.Load(), keyAccessToken(token)
	e := r.cache.get(key)
	if e == nil {
		// Counted after the look: an app that begins with fifty requests at once is not wrong fifty times meanwhile.
		if err := r.tokenAddresses.check(r.now(), from); err != nil {
			return nil, nil, err
		}
		var err error
		if e, err = r.loadAccessToken(ctx, gen, key); err != nil {
			if errors.Is(err, ErrNoSession) {
				_, _ = r.tokenAddresses.take(r.now(), from) // the next one is told
			}
			return nil, nil, err
		}
	}
	now, s := r.now(), e.session.Load()
	if !liveToken(now, e.user, s) {
		return nil, nil, ErrNoSession
	}
	return r.see(found{now, key, e, s}), e.user, nil
}

func (s *State) loadAccessToken(ctx context.Context, gen uint64, key string) (*entry, error) {
	e := new(entry)
	err := s.store.View(ctx, func(tx storage.Tx) error {
		t := new(AccessToken)
		if err := getJSON(tx, key, t); err != nil {
			return err
		}
		u, err := getUser(tx, t.UserID)
		if err != nil {
			return err
		}
		if u == nil {
			return storage.ErrNotFound
		}
		if t.Guest != nil {
			t.Guest.user = t.GuestUser()
		}
		e.session.Store(&Session{
			ID: t.ID, Token: key, UserID: t.UserID, Epoch: t.Epoch, Created: t.Created, Seen: t.Used, IdleEnd: t.Expires, End: t.Expires,
			Access: t, asserted: new(atomic.Pointer[asserted]),
		})
		e.user = u
		return nil
	})
	if errors.Is(err, storage.ErrNotFound) {
		return nil, ErrNoSession
	}
	if err != nil {
		return nil, err
	}
	s.cache.add(gen, key, e)
	return e, nil
}

// noteUsed writes when a token was used last, unless it is gone.
func noteUsed(tx storage.Tx, key string, used time.Time) error {
	var t AccessToken
	err := getJSON(tx, key, &t)
	if errors.Is(err, storage.ErrNotFound) || err == nil && !used.After(t.Used) {
		return nil
	}
	if err != nil {
		return err
	}
	t.Used = used
	return putJSON(tx, key, t, t.Expires)
}

// AccessTokens returns a user's tokens that count, by label.
func (r *Realm) AccessTokens(ctx context.Context, name string) (out []AccessToken, err error) {
	err = r.store.View(ctx, func(tx storage.Tx) error {
		u, err := byName(tx, name)
		if err != nil {
			return err
		}
		out, _, err = r.accessTokens(tx, u, tokensOf(u.ID))
		return err
	})
	sort.Slice(out, func(i, j int) bool { return out[i].Label < out[j].Label })
	return out, err
}

// accessTokens returns the tokens that count, and the keys of what is left of others.
func (r *Realm) accessTokens(tx storage.Tx, u *User, of bearers) (live []AccessToken, dead []string, err error) {
	for e, err := range tx.Scan(of.list, "") {
		if err != nil {
			return nil, nil, err
		}
		var t AccessToken
		key := of.records + string(e.Value)
		err = getJSON(tx, key, &t)
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			return nil, nil, err
		}
		if err != nil || u.Disabled || !t.live(r.now(), u) {
			dead = append(dead, e.Key, key)
			continue
		}
		if used := r.cache.seenAt(key); used.After(t.Used) {
			t.Used = used // later than was noted
		}
		live = append(live, t)
	}
	return live, dead, nil
}

// mayChangeToken returns why a token cannot be made or revoked, or nil. What it finds of tokens that are dead it returns by their keys.
func (r *Realm) mayChangeToken(tx storage.Tx, c *Change, u *User) (dead []string, err error) {
	switch c.Op {
	case ChangeAddToken:
	case ChangeRevokeToken:
		_, err := userToken(tx, tokensOf(u.ID), c.TokenID)
		return nil, err
	case ChangeRevokeLink:
		_, err := userToken(tx, guestLinksOf(u.ID), c.TokenID)
		return nil, err
	default:
		return nil, nil
	}
	live, dead, err := r.accessTokens(tx, u, tokensOf(u.ID))
	switch {
	case err != nil:
		return nil, err
	case c.Access == nil:
		return nil, ErrStep
	case c.Label == "":
		return nil, NewInvalid("label", "invalid.label.empty", "Type a name.")
	case RoomForToken(len(live)) != nil:
		return nil, RoomForToken(len(live))
	case slices.ContainsFunc(live, func(t AccessToken) bool { return t.Label == c.Label }): // also what a page asks for that is sent again
		return nil, NewInvalid("label", "invalid.token.taken", "You have an access token of this name. Choose another name.")
	}
	return dead, nil
}

// RoomForToken returns why somebody with n access tokens can make no further one, or nil.
func RoomForToken(n int) error {
	if n < MaxAccessTokens {
		return nil
	}
	return NewInvalid("", "invalid.token.many", "You have {{.Count}} access tokens. Revoke one first.", n)
}

// addToken makes the token of a ChangeAddToken, and leaves it in the flow for the page that shows it.
func (r *Realm) addToken(tx storage.Tx, now time.Time, f *flow, u *User) error {
	c := f.Change
	dead, err := r.mayChangeToken(tx, c, u)
	if err != nil {
		return err
	}
	for _, key := range dead {
		if err := tx.Delete(key); err != nil {
			return err
		}
	}
	token := makeAccessToken()
	t := AccessToken{
		ID: newID(), UserID: u.ID, Epoch: u.Epoch, Label: c.Label, TokenLimits: c.Access.TokenLimits,
		Created: now, Expires: now.Add(time.Duration(c.Access.Days) * 24 * time.Hour),
	}
	if err := putJSON(tx, keyAccessToken(token), t, t.Expires); err != nil {
		return err
	}
	if err := tx.Put(keyUserAccessTokens(u.ID)+t.ID, []byte(hashToken(token)), t.Expires); err != nil {
		return err
	}
	f.issued = &IssuedToken{Token: token, AccessToken: t}
	return putUser(tx, u) // it was read by its key: of two that are made at once, one waits, and is counted
}

// userToken finds a bearer by its ID, and returns its key. An unknown one, or somebody else's, is ErrNoCredential.
func userToken(tx storage.Tx, of bearers, id string) (key string, err error) {
	if id == "" || strings.Contains(id, "/") {
		return "", ErrNoCredential
	}
	e, err := tx.Get(of.list + id)
	if errors.Is(err, storage.ErrNotFound) {
		return "", ErrNoCredential
	}
	return of.records + string(e.Value), err
}

// revokeToken removes a bearer.
func revokeToken(tx storage.Tx, of bearers, id string) (t AccessToken, err error) {
	key, err := userToken(tx, of, id)
	if err != nil {
		return t, err
	}
	if err := getJSON(tx, key, &t); err != nil && !errors.Is(err, storage.ErrNotFound) {
		return t, err
	}
	return t, errors.Join(tx.Delete(key), tx.Delete(of.list+id))
}

// revokeTokens removes all tokens of u, and counts those that counted.
func (r *Realm) revokeTokens(tx storage.Tx, u *User) (int, error) {
	of := tokensOf(u.ID)
	live, dead, err := r.accessTokens(tx, u, of)
	for _, key := range dead {
		err = errors.Join(err, tx.Delete(key))
	}
	for _, t := range live {
		_, gone := revokeToken(tx, of, t.ID)
		err = errors.Join(err, gone)
	}
	return len(live), err
}

// RevokeAccessTokens revokes one access token of a user by its ID, or with id "" all of them. It returns how many there were. An unknown
// id is an *Invalid.
func (r *Realm) RevokeAccessTokens(ctx context.Context, name, id string) (n int, err error) {
	event := Event{Name: EventTokenRevoked}
	_, err = r.changeAs(ctx, name, &event, func(tx storage.Tx, u *User) (err error) {
		if id == "" {
			n, err = r.revokeTokens(tx, u)
			return err
		}
		n = 1
		t, err := revokeToken(tx, tokensOf(u.ID), id)
		event.Label = t.Label
		if errors.Is(err, ErrNoCredential) {
			return NewInvalid("id", "invalid.token", "There is no such access token.")
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}
