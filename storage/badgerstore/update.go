package badgerstore

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/caddy-mfa/caddy-mfa/storage"
)

// How often and how long Update runs a transaction again that conflicts.
const (
	maxAttempts = 50
	maxRetry    = 10 * time.Second
	maxBackoff  = 16 * time.Millisecond
)

// View implements storage.Store.
func (s *Store) View(ctx context.Context, fn func(storage.Tx) error) error {
	e, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer e.users.RUnlock()
	t := &tx{ctx: ctx, txn: e.db.NewTransaction(false), now: s.now()}
	defer t.end()
	if err := fn(t); err != nil {
		return err
	}
	return ctx.Err()
}

// Update implements storage.Store. The first attempt runs beside others. Those that conflict run again one at a time, so
// that they collide with first attempts only and all of them get through.
func (s *Store) Update(ctx context.Context, fn func(storage.Tx) error) error {
	e, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer e.users.RUnlock()
	err = s.attempt(ctx, e, fn)
	if !errors.Is(err, badger.ErrConflict) {
		return err
	}

	patience := time.NewTimer(maxRetry)
	defer patience.Stop()
	select {
	case s.lane <- struct{}{}:
		defer func() { <-s.lane }()
	case <-ctx.Done():
		return ctx.Err()
	case <-patience.C:
		return storage.ErrConflict
	}
	backoff := time.Millisecond
	for range maxAttempts {
		err = s.attempt(ctx, e, fn)
		if !errors.Is(err, badger.ErrConflict) {
			return err
		}
		select {
		case <-time.After(rand.N(backoff)): //nolint:gosec // spreads retries, keeps no secret
			backoff = min(2*backoff, maxBackoff)
		case <-ctx.Done():
			return ctx.Err()
		case <-patience.C:
			return storage.ErrConflict
		}
	}
	return storage.ErrConflict
}

func (s *Store) begin(ctx context.Context) (*engine, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return s.enter()
}

// attempt runs and commits fn once.
func (s *Store) attempt(ctx context.Context, e *engine, fn func(storage.Tx) error) error {
	t := &tx{ctx: ctx, txn: e.db.NewTransaction(true), now: s.now(), write: true}
	defer t.end()
	if err := fn(t); err != nil {
		return err
	}
	switch {
	case t.fault != nil:
		return t.fault
	case ctx.Err() != nil:
		return ctx.Err()
	case t.writes == 0:
		return nil
	}
	return s.commitTx(t, e)
}

func (t *tx) end() {
	t.ended = true
	t.txn.Discard()
}

// commitTx commits, one transaction at a time: Badger writes them to its log one by one anyway, and would end the process
// if another followed one that failed.
func (s *Store) commitTx(t *tx, e *engine) error {
	select {
	case s.commit <- struct{}{}:
		defer func() { <-s.commit }()
	case <-t.ctx.Done():
		return t.ctx.Err()
	}
	if e.failed.Load() {
		return errors.New("badgerstore: out of service after a failed write")
	}
	if err := s.room(e.tables.Load()); err != nil {
		e.poke()
		return err
	}
	if err := e.wal.prepare(); err != nil {
		return err
	}
	e.wrote.Store(true)
	err := t.txn.Commit()
	switch {
	case err == nil:
	case errors.Is(err, badger.ErrConflict):
		return err
	case errors.Is(err, badger.ErrTxnTooBig):
		return storage.ErrTooLarge
	default:
		s.fail(e, err)
		return err
	}
	rotated, err := e.wal.follow()
	if err != nil {
		s.fail(e, err)
		return err
	}
	if rotated {
		e.poke()
	}
	return nil
}
