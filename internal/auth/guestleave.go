package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"

	"github.com/caddy-mfa/caddy-mfa/storage"
)

const (
	openingSize = 8 // bytes

	// maxGuestLeft bounds the record of a link, which anybody who has it can open and leave as often as they like. Of those beyond, the browser
	// forgets the cookie, and that is all: they are told, and so is the maker, who can revoke the link.
	maxGuestLeft = 200
)

// ErrGuestsLeft means that too many have left a guest link already: a browser forgets the cookie, but copies of it go on.
var ErrGuestsLeft = errors.New("auth: too many have left a guest link")

// newGuestCookie is the value for somebody who opens a link. It tells this opening from others, of which nothing is stored until they leave.
func (r *Realm) newGuestCookie(token string) (string, error) {
	sum := sha256.Sum256([]byte(token))
	opening := make([]byte, openingSize)
	rand.Read(opening)
	return r.sealCookie(CookieGuest, string(sum[:])+string(opening))
}

// readGuestCookie returns the key of the link that a guest's cookie names, and the opening; "" for a cookie that we did not make.
func (r *Realm) readGuestCookie(cookie string) (key, opening string) {
	named := r.openCookie(CookieGuest, cookie)
	if named == "" {
		return "", ""
	}
	return keyGuestLinks + hex.EncodeToString([]byte(named[:sha256.Size])), hex.EncodeToString([]byte(named[sha256.Size:]))
}

func (g *Guest) hasLeft(opening string) bool { return slices.Contains(g.Left, opening) }

// LeaveGuestLink ends what the visitor opened by a guest link: the cookie counts no more, also for whoever copied it, and the streams are
// closed (S54). Others who opened the link stay. The cookies must be set, and there are some whether or not anything ended. With ErrGuestsLeft
// there are too. After *Throttled (too often from the address) and any other error, which is a fault of the store, the guest is still in.
func (r *Realm) LeaveGuestLink(ctx context.Context, v Visit) ([]Cookie, error) {
	forget := []Cookie{{Name: CookieGuest}}
	key, opening := r.readGuestCookie(v.Guest)
	if key == "" {
		return forget, nil
	}
	if _, err := r.askAddresses.take(r.now(), v.Addr); err != nil {
		return nil, err
	}
	changed, full := false, false
	err := r.store.Update(ctx, func(tx storage.Tx) error {
		changed, full = false, false
		var t AccessToken
		err := getJSON(tx, key, &t)
		if errors.Is(err, storage.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if t.Guest == nil || t.Guest.hasLeft(opening) {
			return nil
		}
		if full = len(t.Guest.Left) >= maxGuestLeft; full {
			return nil
		}
		t.Guest.Left = append(t.Guest.Left, opening)
		now := r.now()
		if now.After(t.Used) {
			t.Used = now // what waits to be noted is dropped below
		}
		shown := t.Guest.note(now)
		changed = true
		if err := putJSON(tx, key, t, t.Expires); err != nil {
			return err
		}
		u, err := getUser(tx, t.UserID)
		if u == nil || err != nil {
			return err
		}
		left := guestEvent(EventLinkLeft, v, u, &t)
		left.unseen = !shown
		if err := r.audit(tx, left); err != nil || len(t.Guest.Left) < maxGuestLeft {
			return err
		}
		return r.audit(tx, guestEvent(EventLinkFull, v, u, &t)) // once: nobody is added any more
	})
	// Not where nothing changed: it costs everybody's next request, and a guest may leave as often as they like. But after an error, since
	// nobody knows what of it the store has kept.
	if changed || err != nil {
		r.cache.invalidateSession(key)
	}
	if err != nil {
		return nil, err
	}
	if full {
		return forget, ErrGuestsLeft
	}
	return forget, nil
}
