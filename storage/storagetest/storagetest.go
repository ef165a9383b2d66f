// Package storagetest is the suite that every engine of package storage passes: one case for each sentence of the contract.
//
// The whole test of an engine is
//
//	func TestEngine(t *testing.T) {
//		storagetest.RunTests(t, storagetest.Engine{
//			Open: func(dir string, now func() time.Time) (storage.Store, error) {
//				return myengine.Open(dir, now)
//			},
//			MaxTx: myengine.MaxTx,
//		})
//	}
//
// RunTests must be called by a test function itself: the crash cases run the test's binary again, as a process to kill.
package storagetest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/storage"
)

// Engine is what the suite must know of an engine.
type Engine struct {
	// Open opens the store that belongs to dir, an empty directory the first time. The suite closes it before it opens dir
	// again, or kills the process that had it open.
	Open func(dir string, now func() time.Time) (storage.Store, error)
	// MaxTx is the size of the largest transaction that the engine states, in bytes of keys and values; what a write costs
	// beside these must be at most 512.
	MaxTx int
}

type testCase struct {
	name string
	run  func(*testing.T, Engine)
}

// RunTests runs the suite.
func RunTests(t *testing.T, e Engine) {
	if dir := writerDir(); dir != "" {
		runWriter(e, dir) // does not return
	}
	for _, c := range slices.Concat(recordCases, expiryCases, scanCases, raceCases, endCases, durableCases) {
		t.Run(c.name, func(t *testing.T) { c.run(t, e) })
	}
}

// epoch is where the suite's clocks begin, unless a case says otherwise.
var epoch = time.Date(2026, 3, 14, 15, 9, 26, 535897000, time.UTC)

// clock is a clock that stands still until it is set.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock(now time.Time) *clock { return &clock{now: now} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) set(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = now
}

// store is a store under test.
type store struct {
	storage.Store
	t *testing.T
}

// open opens a store of its own for a case, whose clock stands at epoch.
func open(t *testing.T, e Engine) store {
	return openAt(t, e, t.TempDir(), newClock(epoch))
}

func openAt(t *testing.T, e Engine, dir string, c *clock) store {
	t.Helper()
	s, err := e.Open(dir, c.Now)
	if err != nil {
		t.Fatalf("opening: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return store{s, t}
}

// update runs fn, which must succeed.
func (s store) update(fn func(storage.Tx) error) {
	s.t.Helper()
	if err := s.Update(s.t.Context(), fn); err != nil {
		s.t.Fatalf("Update: %v", err)
	}
}

func (s store) view(fn func(storage.Tx) error) {
	s.t.Helper()
	if err := s.View(s.t.Context(), fn); err != nil {
		s.t.Fatalf("View: %v", err)
	}
}

func (s store) put(key, value string, expires time.Time) {
	s.t.Helper()
	s.update(func(tx storage.Tx) error { return tx.Put(key, []byte(value), expires) })
}

// want holds that key has value, in Get and in Scan.
func (s store) want(key, value string) {
	s.t.Helper()
	s.view(func(tx storage.Tx) error { wantIn(s.t, tx, key, value); return nil })
}

func (s store) wantAbsent(key string) {
	s.t.Helper()
	s.view(func(tx storage.Tx) error { wantAbsentIn(s.t, tx, key); return nil })
}

func wantIn(t *testing.T, tx storage.Tx, key, value string) {
	t.Helper()
	e, err := tx.Get(key)
	if err != nil || e.Key != key || string(e.Value) != value {
		t.Errorf("Get(%.40q) = %.40q: %.40q, %v; want %.40q", key, e.Key, e.Value, err, value)
	}
	if got, ok := scanned(t, tx, key); !ok || got != value {
		t.Errorf("Scan yields %.40q, %v for %.40q; want %.40q", got, ok, key, value)
	}
}

func wantAbsentIn(t *testing.T, tx storage.Tx, key string) {
	t.Helper()
	if e, err := tx.Get(key); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("Get(%.40q) = %.40q, %v; want ErrNotFound", key, e.Value, err)
	}
	if got, ok := scanned(t, tx, key); ok {
		t.Errorf("Scan yields %.40q for %.40q, which should be absent", got, key)
	}
}

func scanned(t *testing.T, tx storage.Tx, key string) (string, bool) {
	t.Helper()
	for e, err := range tx.Scan(key, "") {
		if err != nil {
			t.Errorf("Scan(%.40q): %v", key, err)
		}
		return string(e.Value), err == nil && e.Key == key
	}
	return "", false
}

// keysOf returns the keys that Scan yields.
func keysOf(t *testing.T, tx storage.Tx, prefix, after string) []string {
	t.Helper()
	keys := []string{}
	for e, err := range tx.Scan(prefix, after) {
		if err != nil {
			t.Fatalf("Scan(%q, %q): %v", prefix, after, err)
		}
		keys = append(keys, e.Key)
	}
	return keys
}

func (s store) wantKeys(prefix, after string, want ...string) {
	s.t.Helper()
	s.view(func(tx storage.Tx) error { wantKeysIn(s.t, tx, prefix, after, want...); return nil })
}

func wantKeysIn(t *testing.T, tx storage.Tx, prefix, after string, want ...string) {
	t.Helper()
	if got := keysOf(t, tx, prefix, after); !slices.Equal(got, want) {
		t.Errorf("Scan(%q, %q) yields %q\nwant %q", prefix, after, got, want)
	}
}

// within fails the test if f takes longer than d, which it is then left to.
func within(t *testing.T, d time.Duration, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(d):
		t.Fatalf("%s takes longer than %v", what, d)
	}
}

var (
	never   = time.Time{}
	errTest = errors.New("an error of the caller's")
)

func letters(n int) string { return strings.Repeat("x", n) }

func background() context.Context { return context.Background() }
