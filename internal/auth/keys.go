package auth

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/gorilla/securecookie"

	"github.com/caddy-mfa/caddy-mfa/storage"
)

const (
	// MaxLifetime bounds a session, and with it the age of a cookie that is accepted.
	MaxLifetime = 30 * 24 * time.Hour

	keyTurn  = 30 * 24 * time.Hour // a new signing key is made so often
	keyReady = 2 * time.Hour       // and signs only after every node has read it
	flowLife = 10 * time.Minute
)

// signingKey is the record of a key that seals cookies.
type signingKey struct {
	ID      string    `json:"id"`
	Created time.Time `json:"created"`
	Sealed  []byte    `json:"secret"`
	secret  []byte
}

// keyring seals and opens cookies. Each purpose has codecs of its own, as their cookies live for different times.
type keyring struct {
	session, flow, browser []securecookie.Codec
	asks                   []securecookie.Codec // challenges in pages
	targets                []securecookie.Codec // where somebody wants to go, on another host
}

// raw passes the 32 bytes of a token through, instead of encoding them again.
type raw struct{}

func (raw) Serialize(src any) ([]byte, error) {
	b, ok := src.([]byte)
	if !ok {
		return nil, errors.New("auth: a cookie holds bytes")
	}
	return b, nil
}

func (raw) Deserialize(src []byte, dst any) error {
	p, ok := dst.(*[]byte)
	if !ok {
		return errors.New("auth: a cookie holds bytes")
	}
	*p = slices.Clone(src)
	return nil
}

// newKeyring takes the live keys, newest first among those that sign.
func newKeyring(keys []signingKey) *keyring {
	codecs := func(life time.Duration) []securecookie.Codec {
		var out []securecookie.Codec
		for _, k := range keys {
			out = append(out, securecookie.New(k.secret, nil).SetSerializer(raw{}).MaxAge(int(life.Seconds())))
		}
		return out
	}
	asks := codecs(time.Hour) // they say themselves when they expire
	for _, c := range asks {
		c.(*securecookie.SecureCookie).MaxLength(maxAsk)
	}
	targets := codecs(targetKept)
	for _, c := range targets {
		c.(*securecookie.SecureCookie).MaxLength(maxTarget)
	}
	return &keyring{session: codecs(MaxLifetime), flow: codecs(time.Hour), browser: codecs(browserLife), asks: asks, targets: targets}
}

func (k *keyring) codecs(name string) []securecookie.Codec {
	switch name {
	case CookieSession, CookieGuest:
		return k.session
	case CookieFlow, CookieGuestCode:
		return k.flow
	}
	return k.browser
}

// askName is the name under which challenges in pages are sealed: no cookie has it.
const askName = "ask"

// sealCookie returns the value of the cookie that carries token.
func (s *State) sealCookie(name, token string) (string, error) {
	v, err := s.keys.Load().codecs(name)[0].Encode(name, []byte(token))
	if err != nil {
		return "", fmt.Errorf("sealing cookie %s: %w", name, err)
	}
	return v, nil
}

// openCookie returns the token of a cookie's value, or "" if we did not make it or it is too old.
func (s *State) openCookie(name, value string) string {
	if value == "" || len(value) > 512 {
		return ""
	}
	var token []byte
	size := 32
	if name == CookieGuest {
		size += openingSize
	}
	for _, c := range s.keys.Load().codecs(name) {
		if c.Decode(name, value, &token) == nil && len(token) == size {
			return string(token)
		}
	}
	return ""
}

// refreshKeys reads the signing keys, and makes a new one when the newest is old. A new key signs only after keyReady, so that no
// node meets a cookie whose key it has not read (S82).
func (s *State) refreshKeys(ctx context.Context) error {
	var keys []signingKey
	fresh := make([]byte, 64)
	rand.Read(fresh)
	id := newID()
	err := s.store.Update(ctx, func(tx storage.Tx) error {
		now := s.now()
		keys = nil
		// The Get of one key makes two nodes that rotate at once conflict.
		if _, err := exists(tx, keyKeyTurn); err != nil {
			return err
		}
		var newest time.Time
		for e, err := range tx.Scan("key/", "") {
			if err != nil {
				return err
			}
			var k signingKey
			if err := json.Unmarshal(e.Value, &k); err != nil {
				return fmt.Errorf("decoding record %q: %w", e.Key, err)
			}
			if k.secret, err = s.sealer.Load().open(e.Key, k.Sealed); err != nil {
				return err
			}
			if k.Created.After(newest) {
				newest = k.Created
			}
			keys = append(keys, k)
		}
		if now.Sub(newest) < keyTurn {
			return nil
		}
		k := signingKey{ID: id, Created: now, secret: fresh}
		k.Sealed = s.sealer.Load().seal("key/"+id, fresh)
		keys = append(keys, k)
		if err := tx.Put(keyKeyTurn, []byte(id), time.Time{}); err != nil {
			return err
		}
		return putJSON(tx, "key/"+id, k, now.Add(keyTurn+keyReady+browserLife))
	})
	if err != nil {
		return fmt.Errorf("reading the signing keys: %w", err)
	}
	now := s.now()
	// slices.SortFunc would be compiled once more for this type, 25 KB of binary.
	sort.Slice(keys, func(i, j int) bool { return keys[j].Created.Before(keys[i].Created) })
	// The newest that every node knows signs; a store's very first key signs at once.
	sign := slices.IndexFunc(keys, func(k signingKey) bool { return now.Sub(k.Created) >= keyReady })
	if sign > 0 {
		k := keys[sign]
		copy(keys[1:], keys[:sign])
		keys[0] = k
	}
	s.keys.Store(newKeyring(keys))
	s.cache.forgetCookies()
	return nil
}
