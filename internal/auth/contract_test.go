package auth_test

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/storage"
)

// bare is a store that promises no more than package storage does: conflicts for keys that were read with Get, none for ranges.
// Badger gives more; another engine need not.
type bare struct {
	mu      sync.Mutex
	records map[string]version
	now     func() time.Time
	commit  func() // called before each commit, outside the lock
}

type version struct {
	value   []byte // nil: absent
	expires time.Time
	n       int
}

type bareTx struct {
	snapshot map[string]version
	now      time.Time
	read     map[string]int
	written  map[string]version
}

func (s *bare) begin() *bareTx {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &bareTx{maps.Clone(s.records), s.now(), map[string]int{}, map[string]version{}}
}

func (s *bare) View(_ context.Context, fn func(storage.Tx) error) error { return fn(s.begin()) }

func (s *bare) Update(_ context.Context, fn func(storage.Tx) error) error {
	for {
		tx := s.begin()
		if err := fn(tx); err != nil {
			return err
		}
		s.commit()
		if s.apply(tx) {
			return nil
		}
	}
}

func (s *bare) apply(tx *bareTx) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, n := range tx.read {
		if s.records[key].n != n {
			return false
		}
	}
	for key, v := range tx.written {
		v.n = s.records[key].n + 1
		s.records[key] = v
	}
	return true
}

func (s *bare) Close() error { return nil }

func (tx *bareTx) at(key string) (storage.Entry, bool) {
	v, ok := tx.written[key]
	if !ok {
		v = tx.snapshot[key]
	}
	live := v.value != nil && (v.expires.IsZero() || tx.now.Before(v.expires))
	return storage.Entry{Key: key, Value: slices.Clone(v.value), Expires: v.expires}, live
}

func (tx *bareTx) Get(key string) (storage.Entry, error) {
	tx.read[key] = tx.snapshot[key].n
	e, ok := tx.at(key)
	if !ok {
		return storage.Entry{}, storage.ErrNotFound
	}
	return e, nil
}

func (tx *bareTx) Put(key string, value []byte, expires time.Time) error {
	tx.written[key] = version{value: append([]byte{}, value...), expires: expires}
	return nil
}

func (tx *bareTx) Delete(key string) error {
	tx.written[key] = version{}
	return nil
}

func (tx *bareTx) Scan(prefix, after string) iter.Seq2[storage.Entry, error] {
	return func(yield func(storage.Entry, error) bool) {
		keys := maps.Clone(tx.snapshot)
		maps.Copy(keys, tx.written)
		for _, key := range slices.Sorted(maps.Keys(keys)) {
			if e, ok := tx.at(key); ok && strings.HasPrefix(key, prefix) && key > after && !yield(e, nil) {
				return
			}
		}
	}
}

func TestOneCodeRacedOnTheBareContract(t *testing.T) { // S17, S33
	for _, m := range []string{auth.MethodTOTP, auth.MethodRecovery} {
		t.Run(m, func(t *testing.T) {
			c := auth.NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
			store := &bare{records: map[string]version{}, now: c.Now, commit: func() {}}
			r := newRigOn(t, c, store)
			p := r.person("alice")
			browsers := make([]*browser, 2)
			for i := range browsers {
				browsers[i] = newBrowser()
				r.must(browsers[i], auth.StepVerify)(r.SignIn(t.Context(), browsers[i].v, "alice", password, ""))
			}
			answer := p.now()
			if m == auth.MethodRecovery {
				answer = p.codes[0]
			}
			// While the first is about to commit the session, the second goes all the way.
			commits, second := 0, errors.New("never began")
			store.commit = func() {
				if commits++; commits == 2 { // the first commit counted the try
					store.commit = func() {}
					_, second = r.Prove(t.Context(), browsers[1].v, m, []byte(answer))
				}
			}
			_, first := r.Prove(t.Context(), browsers[0].v, m, []byte(answer))
			if second != nil || !errors.Is(first, auth.ErrRejected) {
				t.Errorf("the first ended with %v, the second with %v", first, second)
			}
		})
	}
}
