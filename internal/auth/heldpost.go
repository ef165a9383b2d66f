package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/caddy-mfa/caddy-mfa/storage"
)

// A form that somebody signed in sends to a page which asks for more first is kept, so that nobody types it twice: sealed, for as long
// as a flow lives, for the user, the session and the host that it came from. It is given back once.

// CookieHeld names a form that is kept. It is like the other cookies of ours.
const CookieHeld = "__Host-mfa-post"

const (
	// MaxHeld bounds a form that is kept, in bytes.
	MaxHeld = 1 << 20

	heldPart  = 128 << 10 // what goes into one transaction of any engine
	maxHeldBy = 3         // forms of one user that are kept at once; the oldest goes first
)

// ErrNotHeld means that no form is kept under the visitor's cookie: none was, it was given back, it is too old, or it is somebody else's.
var ErrNotHeld = errors.New("auth: no form is kept")

// HeldPost is a form that is kept.
type HeldPost struct {
	URI  string // path and query as they were sent
	Type string // Content-Type
	At   time.Time
	Body []byte
}

// heldRecord is a HeldPost as it is stored, but for the body.
type heldRecord struct {
	UserID  string    `json:"user"`
	Session string    `json:"session"`
	Host    string    `json:"host"`
	URI     string    `json:"uri"`
	Type    string    `json:"type"`
	At      time.Time `json:"at"`
	Parts   int       `json:"parts"`
}

func keyHeld(hash string) string            { return "held-post/" + hash }
func keyHeldPart(hash string, n int) string { return "held-post/" + hash + "/" + strconv.Itoa(n) }
func keyHeldBy(user string) string          { return "held-by/" + user }
func (h *heldRecord) of(s *Session) bool {
	return h.UserID == s.UserID && h.Session == s.ID && h.Host == s.Host
}
func (h *heldRecord) post(body []byte) HeldPost { return HeldPost{h.URI, h.Type, h.At, body} }

// Hold keeps a form of the session s, and returns the cookie that names it.
func (r *Realm) Hold(ctx context.Context, s *Session, p HeldPost) (Cookie, error) {
	if len(p.Body) > MaxHeld {
		return Cookie{}, fmt.Errorf("auth: a form of %d bytes is too large to be kept", len(p.Body))
	}
	token := newToken()
	hash, now := hashToken(token), r.now()
	end, seal := now.Add(flowLife), r.sealer.Load()
	record := heldRecord{UserID: s.UserID, Session: s.ID, Host: s.Host, URI: p.URI, Type: p.Type, At: now}
	for part := range slices.Chunk(p.Body, heldPart) {
		key := keyHeldPart(hash, record.Parts)
		record.Parts++
		if err := r.store.Update(ctx, func(tx storage.Tx) error { return tx.Put(key, seal.seal(key, part), end) }); err != nil {
			return Cookie{}, err
		}
	}
	head, err := json.Marshal(record)
	if err != nil {
		return Cookie{}, fmt.Errorf("encoding a form: %w", err)
	}
	err = r.store.Update(ctx, func(tx storage.Tx) error {
		var mine []string
		if err := getJSON(tx, keyHeldBy(s.UserID), &mine); err != nil && !errors.Is(err, storage.ErrNotFound) {
			return err
		}
		for mine = append(mine, hash); len(mine) > maxHeldBy; mine = mine[1:] {
			if err := dropHeld(tx, mine[0]); err != nil {
				return err
			}
		}
		return errors.Join(putJSON(tx, keyHeldBy(s.UserID), mine, end), tx.Put(keyHeld(hash), seal.seal(keyHeld(hash), head), end))
	})
	if err != nil {
		return Cookie{}, err
	}
	value, err := r.sealCookie(CookieHeld, token)
	return Cookie{Name: CookieHeld, Value: value, MaxAge: flowLife}, err
}

// Held returns the form that the cookie names, without its body, if it is of the session s.
func (r *Realm) Held(ctx context.Context, s *Session, cookie string) (p HeldPost, err error) {
	err = r.store.View(ctx, func(tx storage.Tx) error {
		h, _, err := r.readHeld(tx, s, cookie)
		if err == nil {
			p = h.post(nil)
		}
		return err
	})
	return p, err
}

// TakeHeld is Held with the body, of a form for uri. It is gone from then on: whoever asks next gets ErrNotHeld.
func (r *Realm) TakeHeld(ctx context.Context, s *Session, cookie, uri string) (p HeldPost, err error) {
	err = r.store.Update(ctx, func(tx storage.Tx) error {
		h, hash, err := r.readHeld(tx, s, cookie)
		if err != nil {
			return err
		}
		if h.URI != uri {
			return ErrNotHeld
		}
		var body []byte
		for n := range h.Parts {
			key := keyHeldPart(hash, n)
			e, err := tx.Get(key)
			if err != nil {
				return notHeld(err)
			}
			part, err := r.sealer.Load().open(key, e.Value)
			if err != nil {
				return err
			}
			body = append(body, part...)
		}
		p = h.post(body)
		return dropHeld(tx, hash)
	})
	return p, err
}

func (r *Realm) readHeld(tx storage.Tx, s *Session, cookie string) (*heldRecord, string, error) {
	token := r.openCookie(CookieHeld, cookie)
	if token == "" {
		return nil, "", ErrNotHeld
	}
	hash, h := hashToken(token), new(heldRecord)
	e, err := tx.Get(keyHeld(hash))
	if err != nil {
		return nil, "", notHeld(err)
	}
	plain, err := r.sealer.Load().open(keyHeld(hash), e.Value)
	if err != nil { // the secret was given up since
		return nil, "", ErrNotHeld
	}
	if err := json.Unmarshal(plain, h); err != nil {
		return nil, "", fmt.Errorf("decoding record %q: %w", keyHeld(hash), err)
	}
	if !h.of(s) {
		return nil, "", ErrNotHeld
	}
	return h, hash, nil
}

func notHeld(err error) error {
	if errors.Is(err, storage.ErrNotFound) {
		return ErrNotHeld
	}
	return err
}

// dropHeld removes a form, however many parts it has.
func dropHeld(tx storage.Tx, hash string) error {
	for n := range MaxHeld/heldPart + 1 {
		if err := tx.Delete(keyHeldPart(hash, n)); err != nil {
			return err
		}
	}
	return tx.Delete(keyHeld(hash))
}
