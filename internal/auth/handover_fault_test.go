package auth_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/storage"
)

// failing is a store of which one write fails.
type failing struct {
	storage.Store
	left int // writes until then
}

var errBroken = errors.New("broken")

// Close leaves the store to whoever opened it.
func (f *failing) Close() error { return nil }

func (f *failing) Update(ctx context.Context, fn func(storage.Tx) error) error {
	return f.Store.Update(ctx, func(tx storage.Tx) error { return fn(&failingTx{tx, f}) })
}

type failingTx struct {
	storage.Tx
	f *failing
}

func (tx *failingTx) Put(key string, value []byte, expires time.Time) error {
	if tx.f.left--; tx.f.left == 0 {
		return errBroken
	}
	return tx.Tx.Put(key, value, expires)
}

// A store that fails on the way leaves no half of a session, and the code can be used when it is back.
func TestHandOverWhileTheStoreFails(t *testing.T) { // S76, S89
	probe := newPortalRig(t)
	store := &failing{Store: probe.store}
	state, err := auth.NewState(t.Context(), auth.Options{Store: store, Secrets: [][]byte{secret}, Now: probe.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { state.Close() })
	alice := probe.person("alice")
	b := alice.home.at(firstHost)
	code := probe.code(alice.home, b, "/deep?x=1")
	r := &rig{t: t, clock: probe.clock, state: state, store: store}
	r.Realm = r.realm(probe.change)
	before := slices.Concat(probe.keys("session/"), probe.keys("user-session/"), probe.keys("handover/"))
	for n := 1; ; n++ {
		store.left = n
		path, cookies, err := r.TakeOver(t.Context(), b.v, code)
		if err == nil {
			if n < 4 || path != "/deep?x=1" || len(cookies) != 1 {
				t.Errorf("after %d failures: %q, %v", n-1, path, cookies)
			}
			break
		}
		after := slices.Concat(probe.keys("session/"), probe.keys("user-session/"), probe.keys("handover/"))
		if !errors.Is(err, errBroken) || len(cookies) > 0 || !slices.Equal(before, after) {
			t.Fatalf("write %d fails: %v, %v\n%v", n, err, cookies, after)
		}
	}
}
