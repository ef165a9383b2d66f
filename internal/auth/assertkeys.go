package auth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-mfa/caddy-mfa/storage"
)

// Algorithms of assertions, as JOSE names them: RFC 8037 with Ed25519, and RFC 7518, section 3.4.
const (
	AlgEdDSA = "EdDSA"
	AlgES256 = "ES256"
)

const (
	assertionTurn = 30 * 24 * time.Hour // a new key is made so often

	// A new key signs so long after it was made. By then every node has published it for a day, as each reads the keys once an hour.
	assertionReady = 25 * time.Hour
	// An old key stays published so long after the next one began to sign. By then no node signs with it any more, nothing that it
	// signed is valid, and what others keep of the published keys (AssertionKeysLife) has been fetched again.
	assertionKeep = 26 * time.Hour
	// A node that could not read the keys for so long signs no more: it may not know that its key is published no longer.
	assertionStale = 24 * time.Hour

	// AssertionKeysLife is how long others may keep the published keys.
	AssertionKeysLife = time.Hour
)

// assertionKey is the record of a key that signs assertions: the seed of Ed25519 (RFC 8032), or the scalar of P-256.
type assertionKey struct {
	ID      string    `json:"id"` // the "kid"
	Alg     string    `json:"alg"`
	Created time.Time `json:"created"`
	Sealed  []byte    `json:"secret"`

	private crypto.Signer
	header  string // of what it signs, encoded
}

// assertionRing are the keys as they were read at a moment. It never changes.
type assertionRing struct {
	read time.Time
	keys []*assertionKey // the newest first
	jwks []byte
}

// assertions are the keys of a State.
type assertions struct {
	ring atomic.Pointer[assertionRing]
	mu   sync.Mutex // held while they are read
}

// signing is the key of an algorithm that signs at now, nil if there is none: the newest that everybody knows, or else a store's very
// first one.
func (r *assertionRing) signing(now time.Time, alg string) *assertionKey {
	var first *assertionKey
	for _, k := range r.keys {
		if k.Alg != alg {
			continue
		}
		if first = k; now.Sub(k.Created) >= assertionReady {
			break
		}
	}
	return first
}

// assertionKey returns the key that signs. The first time that an algorithm is asked for, its key is made.
func (s *State) assertionKey(ctx context.Context, alg string) (*assertionKey, error) {
	if r := s.assertions.ring.Load(); r != nil {
		if now := s.now(); now.Sub(r.read) < assertionStale {
			if k := r.signing(now, alg); k != nil {
				return k, nil
			}
		}
	}
	r, err := s.refreshAssertionKeys(ctx, alg)
	if err != nil {
		return nil, err
	}
	if k := r.signing(s.now(), alg); k != nil {
		return k, nil
	}
	return nil, fmt.Errorf("auth: no algorithm of assertions is called %q", alg)
}

// PrepareAssertions makes the first key of an algorithm if there is none yet, so that it is published before anything is signed.
func (r *Realm) PrepareAssertions(ctx context.Context, alg string) error {
	_, err := r.assertionKey(ctx, alg)
	return err
}

// AssertionKeys returns the public keys by which assertions are verified, as a JWK Set (RFC 7517), and whether there is any. It writes
// nothing, and reads the store only where the keys were not read lately. The bytes must not be changed.
func (r *Realm) AssertionKeys(ctx context.Context) (jwks []byte, some bool, err error) {
	old := r.assertions.ring.Load()
	ring := old
	if ring == nil || r.now().Sub(ring.read) >= assertionStale {
		err := r.store.View(ctx, func(tx storage.Tx) error {
			keys, err := r.readAssertionKeys(tx)
			if err == nil {
				ring, err = newAssertionRing(r.now(), keys)
			}
			return err
		})
		if err != nil {
			return nil, false, fmt.Errorf("reading the keys of assertions: %w", err)
		}
		if len(ring.keys) > 0 {
			r.assertions.ring.CompareAndSwap(old, ring)
		}
	}
	return ring.jwks, len(ring.keys) > 0, nil
}

// refreshAssertionKeys reads the keys. Of each algorithm that has one it makes a new key when the newest is old, and removes those that
// nobody needs any more; of the algorithm want, unless that is "", it makes the first one (S82).
func (s *State) refreshAssertionKeys(ctx context.Context, want string) (ring *assertionRing, err error) {
	s.assertions.mu.Lock()
	defer s.assertions.mu.Unlock()
	if r := s.assertions.ring.Load(); r != nil && want != "" && s.now().Sub(r.read) < assertionStale && r.signing(s.now(), want) != nil {
		return r, nil // somebody else was faster
	}
	err = s.store.Update(ctx, func(tx storage.Tx) error {
		now := s.now()
		// The Get of one key makes two nodes conflict that make a key at once.
		if _, err := exists(tx, keyAssertionTurn); err != nil {
			return err
		}
		keys, err := s.readAssertionKeys(tx)
		if err != nil {
			return err
		}
		for _, alg := range [...]string{AlgEdDSA, AlgES256} {
			if keys, err = s.turnAssertionKeys(tx, now, keys, alg, alg == want); err != nil {
				return err
			}
		}
		ring, err = newAssertionRing(now, keys)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the keys of assertions: %w", err)
	}
	s.assertions.ring.Store(ring)
	return ring, nil
}

// turnAssertionKeys does what is due for the keys of one algorithm, and returns all that there are now, the newest first.
func (s *State) turnAssertionKeys(tx storage.Tx, now time.Time, keys []*assertionKey, alg string, first bool) ([]*assertionKey, error) {
	newest := slices.IndexFunc(keys, func(k *assertionKey) bool { return k.Alg == alg })
	if newest >= 0 && now.Sub(keys[newest].Created) >= assertionTurn || newest < 0 && first {
		k, err := s.makeAssertionKey(tx, now, alg)
		if err != nil {
			return nil, err
		}
		return append([]*assertionKey{k}, keys...), nil
	}
	var kept []*assertionKey
	succeeded := false // a newer key has signed long enough
	for _, k := range keys {
		if k.Alg == alg && succeeded {
			if err := tx.Delete(keyAssertionKeys + k.ID); err != nil {
				return nil, err
			}
			continue
		}
		succeeded = succeeded || k.Alg == alg && now.Sub(k.Created) >= assertionReady+assertionKeep
		kept = append(kept, k)
	}
	return kept, nil
}

func (s *State) makeAssertionKey(tx storage.Tx, now time.Time, alg string) (*assertionKey, error) {
	secret := make([]byte, ed25519.SeedSize)
	rand.Read(secret)
	if alg == AlgES256 {
		private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		if secret, err = private.Bytes(); err != nil {
			return nil, err
		}
	}
	k := &assertionKey{ID: newID(), Alg: alg, Created: now}
	k.Sealed = s.sealer.Load().seal(keyAssertionKeys+k.ID, secret)
	if err := k.parse(secret); err != nil {
		return nil, err
	}
	if err := tx.Put(keyAssertionTurn, []byte(k.ID), time.Time{}); err != nil {
		return nil, err
	}
	return k, putJSON(tx, keyAssertionKeys+k.ID, k, time.Time{})
}

// readAssertionKeys returns all keys, the newest first.
func (s *State) readAssertionKeys(tx storage.Tx) ([]*assertionKey, error) {
	var keys []*assertionKey
	for e, err := range tx.Scan(keyAssertionKeys, "") {
		if err != nil {
			return nil, err
		}
		k := new(assertionKey)
		if err := json.Unmarshal(e.Value, k); err != nil {
			return nil, fmt.Errorf("decoding record %q: %w", e.Key, err)
		}
		secret, err := s.sealer.Load().open(e.Key, k.Sealed)
		if err == nil {
			err = k.parse(secret)
		}
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	sort.Slice(keys, func(i, j int) bool { return keys[j].Created.Before(keys[i].Created) })
	return keys, nil
}

func (k *assertionKey) parse(secret []byte) error {
	switch {
	case k.Alg == AlgEdDSA && len(secret) == ed25519.SeedSize:
		k.private = ed25519.NewKeyFromSeed(secret)
	case k.Alg == AlgES256:
		private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), secret)
		if err != nil {
			return fmt.Errorf("reading the key %s of assertions: %w", k.ID, err)
		}
		k.private = private
	default:
		return errors.New("auth: the key " + k.ID + " of assertions is none that this program knows")
	}
	k.header = encodeSegment([]byte(`{"alg":"` + k.Alg + `","kid":"` + k.ID + `","typ":"JWT"}`)) // neither needs escaping
	return nil
}

// newAssertionRing writes the public halves of the keys down as RFC 7517 has them, Ed25519's as RFC 8037.
func newAssertionRing(now time.Time, keys []*assertionKey) (*assertionRing, error) {
	var out []string
	for _, k := range keys {
		params := ""
		switch public := k.private.Public().(type) {
		case ed25519.PublicKey:
			params = `"kty":"OKP","crv":"Ed25519","x":"` + encodeSegment(public) + `"`
		case *ecdsa.PublicKey:
			point, err := public.Bytes() // 4, x, y: SEC 1, section 2.3.3
			if err != nil {
				return nil, err
			}
			params = `"kty":"EC","crv":"P-256","x":"` + encodeSegment(point[1:33]) + `","y":"` + encodeSegment(point[33:]) + `"`
		}
		out = append(out, `{`+params+`,"alg":"`+k.Alg+`","kid":"`+k.ID+`","use":"sig"}`)
	}
	return &assertionRing{now, keys, []byte(`{"keys":[` + strings.Join(out, ",") + "]}\n")}, nil
}

func encodeSegment(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
