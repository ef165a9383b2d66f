package auth_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/storage"
)

// node is another State over the store of a rig, as another server has it.
func (r *rig) node() *rig {
	r.t.Helper()
	n := &rig{t: r.t, clock: r.clock}
	n.use(r.store, secret)
	return n
}

// somebody is enough of a session and a user to be told about.
func somebody() (*auth.Session, *auth.User) {
	return &auth.Session{Host: host}, &auth.User{ID: "1", Name: "alice"}
}

// For two months two servers sign once an hour, and each hour somebody fetches the keys from one of them. Whatever is signed verifies by
// the keys that were fetched up to an hour ago, from either; a key signs only after it was published for a day; and an old one goes.
func TestAssertionKeysTurnWithoutAGap(t *testing.T) { // S82
	for _, alg := range []string{auth.AlgEdDSA, auth.AlgES256} {
		t.Run(alg, func(t *testing.T) {
			a := newRig(t)
			nodes := []*rig{a, a.node()}
			s, u := somebody()
			first := a.assert(alg, s, u)
			firstID, _ := claimed(t, first, a.jwks())
			published, signed := map[string]time.Time{}, map[string]time.Time{} // since when
			for _, k := range a.jwks().Keys {
				published[k.KeyID] = time.Time{}
			}
			var cached []*jose.JSONWebKeySet
			for hour := range 24 * 65 {
				for n, node := range nodes {
					if hour%7 != n { // now and then a server does not get to it in time
						if err := node.state.RefreshAssertionKeys(t.Context()); err != nil {
							t.Fatal(err)
						}
					}
				}
				fresh := []*jose.JSONWebKeySet{nodes[0].jwks(), nodes[1].jwks()}
				for _, node := range nodes {
					token := node.assert(alg, s, u)
					for _, keys := range append(cached, fresh...) {
						kid, _ := claimed(t, token, keys)
						if _, ok := signed[kid]; !ok {
							signed[kid] = a.clock.Now()
							if since, ok := published[kid]; !ok || a.clock.Now().Sub(since) < 24*time.Hour {
								t.Fatalf("%s signs %s after it was published", kid, a.clock.Now().Sub(since))
							}
						}
					}
				}
				for _, k := range fresh[hour%2].Keys {
					if _, ok := published[k.KeyID]; !ok {
						published[k.KeyID] = a.clock.Now()
					}
				}
				cached = fresh
				a.clock.Add(time.Hour)
			}
			if len(signed) != 3 {
				t.Errorf("%d keys signed in 65 days, want 3", len(signed))
			}
			if n := len(a.keys("assertion-key/")); n > 2 {
				t.Errorf("%d keys are kept", n)
			}
			if found := a.jwks().Key(firstID); len(found) > 0 {
				t.Error("the first key is still published")
			}
		})
	}
}

// What was signed by the old key verifies until it expires, and the old key outlives that by more than the keys may be kept.
func TestOldAssertionVerifiesAfterATurn(t *testing.T) { // S82
	r := newRig(t)
	s, u := somebody()
	old, _ := claimed(t, r.assert(auth.AlgEdDSA, s, u), r.jwks())
	r.clock.Add(30 * 24 * time.Hour) // nobody was here in the meantime
	if kid, _ := claimed(t, r.assert(auth.AlgEdDSA, s, u), r.jwks()); kid != old || len(r.jwks().Keys) != 2 {
		t.Fatalf("signed by %s, not by %s; %d keys", kid, old, len(r.jwks().Keys))
	}
	r.clock.Add(25*time.Hour - time.Second)
	last := r.assert(auth.AlgEdDSA, s, u)
	r.clock.Add(time.Second)
	if kid, _ := claimed(t, r.assert(auth.AlgEdDSA, &auth.Session{Host: host}, u), r.jwks()); kid == old {
		t.Fatal("the old key goes on signing")
	}
	for range 2 { // hours
		if err := r.state.RefreshAssertionKeys(t.Context()); err != nil {
			t.Fatal(err)
		}
		if kid, _ := claimed(t, last, r.jwks()); kid != old {
			t.Errorf("signed by %s", kid)
		}
		r.clock.Add(time.Hour)
	}
	r.clock.Add(24 * time.Hour)
	if err := r.state.RefreshAssertionKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(r.jwks().Key(old)) != 0 || len(r.keys("assertion-key/")) != 1 {
		t.Error("the old key is kept")
	}
}

// Fifty first requests on each of two servers make one key.
func TestFirstAssertionKeyIsMadeOnce(t *testing.T) { // S91
	a := newRig(t)
	nodes := []*rig{a, a.node()}
	tokens := make([]string, 100)
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range tokens {
		wg.Go(func() {
			s, u := somebody()
			<-start
			var err error
			if tokens[i], err = nodes[i%2].Assertion(t.Context(), auth.AlgES256, issuer, s, u); err != nil {
				t.Error(err)
			}
		})
	}
	close(start)
	wg.Wait()
	if keys := a.keys("assertion-key/"); len(keys) != 1 {
		t.Fatalf("keys: %v", keys)
	}
	for i, token := range tokens {
		claimed(t, token, nodes[1-i%2].jwks())
	}
	a.clock.Add(30 * 24 * time.Hour) // and so does the next turn
	for i := range 50 {
		wg.Go(func() {
			if err := nodes[i%2].state.RefreshAssertionKeys(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if keys := a.keys("assertion-key/"); len(keys) != 2 {
		t.Errorf("keys: %v", keys)
	}
}

func TestPublishingWritesNothing(t *testing.T) { // S61
	r := newRig(t)
	before := r.keys("")
	for range 3 {
		if jwks, some, err := r.AssertionKeys(t.Context()); err != nil || some || string(jwks) != "{\"keys\":[]}\n" {
			t.Errorf("%s, %v, %v", jwks, some, err)
		}
	}
	if after := r.keys(""); strings.Join(before, " ") != strings.Join(after, " ") {
		t.Errorf("before %v\nafter %v", before, after)
	}
	if err := r.PrepareAssertions(t.Context(), auth.AlgEdDSA); err != nil {
		t.Fatal(err)
	}
	if _, some, err := r.AssertionKeys(t.Context()); err != nil || !some {
		t.Errorf("not published: %v", err)
	}
	if err := r.PrepareAssertions(t.Context(), "HS256"); err == nil {
		t.Error("a key is made for an algorithm that nobody knows")
	}
}

func TestAssertionWithoutStore(t *testing.T) { // S76
	s, u := somebody()
	t.Run("keys that were not read", func(t *testing.T) {
		r := newRig(t)
		if err := r.store.Close(); err != nil {
			t.Fatal(err)
		}
		if token, err := r.Assertion(t.Context(), auth.AlgEdDSA, issuer, s, u); err == nil || token != "" {
			t.Errorf("got %q", token)
		}
		if _, _, err := r.AssertionKeys(t.Context()); err == nil {
			t.Error("something is published")
		}
	})
	t.Run("keys that were read", func(t *testing.T) {
		r := newRig(t)
		r.assert(auth.AlgEdDSA, s, u)
		if err := r.store.Close(); err != nil {
			t.Fatal(err)
		}
		r.clock.Add(24*time.Hour - time.Second)
		claimed(t, r.assert(auth.AlgEdDSA, s, u), r.jwks())
		if _, err := r.Assertion(t.Context(), auth.AlgES256, issuer, s, u); err == nil {
			t.Error("another algorithm signs")
		}
		r.clock.Add(time.Second) // by now the key may be published no more
		if token, err := r.Assertion(t.Context(), auth.AlgEdDSA, issuer, s, u); err == nil || token != "" {
			t.Errorf("got %q", token)
		}
	})
}

func TestAssertionKeysAreSealed(t *testing.T) { // S81
	r := newRig(t)
	s, u := somebody()
	kids := map[string]string{}
	for _, alg := range []string{auth.AlgEdDSA, auth.AlgES256} {
		kids[alg], _ = claimed(t, r.assert(alg, s, u), r.jwks())
	}
	next := []byte(strings.Repeat("n", 32))
	r.reopen(next, secret)
	r.reopen(next) // the old one is given up
	for alg, want := range kids {
		if kid, _ := claimed(t, r.assert(alg, s, u), r.jwks()); kid != want {
			t.Errorf("%s: signed by another key after the secret changed", alg)
		}
	}
	records := r.keys("assertion-key/")
	err := r.store.Update(t.Context(), func(tx storage.Tx) error {
		a, err := tx.Get(records[0])
		if err != nil {
			return err
		}
		b, err := tx.Get(records[1])
		if err != nil {
			return err
		}
		var rec map[string]any
		if err := json.Unmarshal(a.Value, &rec); err != nil {
			return err
		}
		if sealed, err := base64.StdEncoding.DecodeString(fmt.Sprint(rec["secret"])); err != nil || len(sealed) < 32+12+16 {
			t.Errorf("record %s", a.Value)
		}
		if bytes.Equal(a.Value, b.Value) {
			t.Error("two keys are the same")
		}
		return tx.Put(records[1], a.Value, time.Time{}) // one key in the place of another
	})
	if err != nil {
		t.Fatal(err)
	}
	r.reopen(next)
	if _, err := r.Assertion(t.Context(), auth.AlgEdDSA, issuer, s, u); err == nil {
		t.Error("a key that was moved signs")
	}
}
