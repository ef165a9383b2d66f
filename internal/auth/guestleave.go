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
	// forgets the cookie, and that is all.
	maxGuestLeft = 200
)

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
// closed (S54). Others who opened the link stay. The cookies must be set, and there are some whether or not anything ended. An error is a fault
// of the store: the guest is still in.
func (r *Realm) LeaveGuestLink(ctx context.Context, v Visit) ([]Cookie, error) {
	forget := []Cookie{{Name: CookieGuest}}
	key, opening := r.readGuestCookie(v.Guest)
	if key == "" {
		return forget, nil
	}
	err := r.store.Update(ctx, func(tx storage.Tx) error {
		var t AccessToken
		err := getJSON(tx, key, &t)
		if errors.Is(err, storage.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if t.Guest == nil || t.Guest.hasLeft(opening) || len(t.Guest.Left) >= maxGuestLeft {
			return nil
		}
		t.Guest.Left = append(t.Guest.Left, opening)
		if now := r.now(); now.After(t.Used) {
			t.Used = now // what waits to be noted is dropped below
		}
		if err := putJSON(tx, key, t, t.Expires); err != nil {
			return err
		}
		u, err := getUser(tx, t.UserID)
		if u == nil || err != nil {
			return err
		}
		return r.audit(tx, Event{Name: EventLinkLeft, UserID: u.ID, User: u.Name, Actor: "guest", Label: t.Label, Host: v.Host, Addr: v.Addr.String()})
	})
	r.cache.invalidateSession(key) // also after an error: nobody knows what of it the store has kept
	if err != nil {
		return nil, err
	}
	return forget, nil
}
