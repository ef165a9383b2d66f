package storagetest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/storage"
)

var endCases = []testCase{
	{"AnErrorOfFnRollsBack", testErrorRollsBack},
	{"APanicOfFnRollsBack", testPanicRollsBack}, // S95
	{"ADoneContextStopsBeforeTheFirstRun", testCancelBefore},
	{"ADoneContextStopsARun", testCancelWithin},
	{"ADoneContextStopsAScan", testCancelScan},
	{"ADoneContextStopsRetries", testCancelRetries},
	{"CloseWaitsForTransactions", testCloseWaits},
	{"CallsAfterCloseReturnErrClosed", testClosed},
	{"ATransactionThatWasKeptIsDead", testKeptTx},
}

func testErrorRollsBack(t *testing.T, e Engine) {
	s := open(t, e)
	s.put("key", "old", never)
	write := func(tx storage.Tx) error {
		return errors.Join(tx.Put("key", []byte("new"), never), tx.Put("another", nil, never))
	}
	runs := 0
	err := s.Update(t.Context(), func(tx storage.Tx) error {
		runs++
		return errors.Join(write(tx), fmt.Errorf("wrapped: %w", errTest))
	})
	if !errors.Is(err, errTest) || runs != 1 {
		t.Errorf("Update = %v after %d runs, want fn's error after 1", err, runs)
	}
	s.want("key", "old")
	s.wantAbsent("another")
	if err := s.View(t.Context(), func(storage.Tx) error { return errTest }); !errors.Is(err, errTest) {
		t.Errorf("View = %v, want fn's error", err)
	}
	err = s.Update(t.Context(), func(tx storage.Tx) error {
		_, err := tx.Get("absent")
		return errors.Join(write(tx), err)
	})
	if !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("Update = %v, want fn's error", err)
	}
	s.want("key", "old")
}

func testPanicRollsBack(t *testing.T, e Engine) {
	s := open(t, e)
	s.put("key", "old", never)
	panics := func(call func(context.Context, func(storage.Tx) error) error, fn func(storage.Tx)) {
		t.Helper()
		defer func() {
			if r := recover(); r != errTest { //nolint:errorlint // the value itself
				t.Errorf("recovered %v, want what fn panicked with", r)
			}
		}()
		err := call(t.Context(), func(tx storage.Tx) error { fn(tx); panic(errTest) })
		t.Errorf("a call whose fn panics returned %v", err)
	}
	panics(s.Update, func(tx storage.Tx) { _ = tx.Put("key", []byte("new"), never) })
	panics(s.Update, func(tx storage.Tx) {
		for range tx.Scan("", "") {
			panic(errTest)
		}
	})
	panics(s.View, func(tx storage.Tx) {
		for range tx.Scan("", "") {
			panic(errTest)
		}
	})
	s.want("key", "old")
	s.put("key", "after", never)
	within(t, 10*time.Second, "Close after a panic", func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}

func testCancelBefore(t *testing.T, e Engine) {
	s := open(t, e)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer cancel()
	for want, ctx := range map[error]context.Context{context.Canceled: gone, context.DeadlineExceeded: late} {
		for name, call := range map[string]func(context.Context, func(storage.Tx) error) error{"View": s.View, "Update": s.Update} {
			err := call(ctx, func(storage.Tx) error { t.Errorf("%s ran fn", name); return nil })
			if !errors.Is(err, want) {
				t.Errorf("%s = %v, want %v", name, err, want)
			}
		}
	}
}

func testCancelWithin(t *testing.T, e Engine) {
	s := open(t, e)
	s.put("key", "old", never)
	ctx, cancel := context.WithCancel(t.Context())
	err := s.Update(ctx, func(tx storage.Tx) error {
		if err := tx.Put("key", []byte("new"), never); err != nil {
			return err
		}
		cancel()
		_, err := tx.Get("key")
		for name, err := range map[string]error{
			"Get": err, "Put": tx.Put("b", nil, never), "Delete": tx.Delete("key"), "Scan": firstError(tx.Scan("", "")),
		} {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%s = %v, want %v", name, err, context.Canceled)
			}
		}
		return nil // an fn that does not look
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Update = %v, want %v", err, context.Canceled)
	}
	s.want("key", "old")

	ctx, cancel = context.WithCancel(t.Context())
	if err := s.View(ctx, func(storage.Tx) error { cancel(); return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("View = %v, want %v", err, context.Canceled)
	}
}

func firstError(seq iter.Seq2[storage.Entry, error]) error {
	for _, err := range seq {
		return err
	}
	return nil
}

func testCancelScan(t *testing.T, e Engine) {
	s := open(t, e)
	s.update(func(tx storage.Tx) error {
		for i := range 1000 {
			if err := tx.Put(fmt.Sprintf("k/%03d", i), nil, never); err != nil {
				return err
			}
		}
		return nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	seen, failed := 0, 0
	err := s.View(ctx, func(tx storage.Tx) error {
		var last error
		for _, err := range tx.Scan("k/", "") {
			if last != nil {
				t.Error("Scan goes on after an error")
			}
			if last = err; err != nil {
				failed++
				continue
			}
			if seen++; seen == 10 {
				cancel()
			}
		}
		return last
	})
	if !errors.Is(err, context.Canceled) || seen != 10 || failed != 1 {
		t.Errorf("%d entries and %d errors, View = %v; want 10, 1 and %v", seen, failed, err, context.Canceled)
	}
}

func testCancelRetries(t *testing.T, e Engine) {
	s := open(t, e)
	ctx, cancel := context.WithCancel(t.Context())
	runs := 0
	err := s.Update(ctx, func(tx storage.Tx) error {
		runs++
		if _, err := tx.Get("key"); err != nil && !errors.Is(err, storage.ErrNotFound) {
			return err
		}
		s.interfere("key")
		if runs == 2 {
			cancel()
		}
		return tx.Put("key", []byte("mine"), never)
	})
	if runs != 2 || !errors.Is(err, context.Canceled) {
		t.Errorf("Update = %v after %d runs, want %v after 2", err, runs, context.Canceled)
	}
	s.want("key", "theirs")
}

func testCloseWaits(t *testing.T, e Engine) {
	s := open(t, e)
	s.put("key", "old", never)
	running, finish := make(chan struct{}, 2), make(chan struct{})
	results := make(chan error, 2)
	go func() {
		results <- s.Update(background(), func(tx storage.Tx) error {
			running <- struct{}{}
			<-finish
			return tx.Put("key", []byte("new"), never)
		})
	}()
	go func() {
		results <- s.View(background(), func(tx storage.Tx) error {
			running <- struct{}{}
			<-finish
			_, err := tx.Get("key")
			return err
		})
	}()
	<-running
	<-running
	var closed atomic.Bool
	done := make(chan error, 2)
	for range 2 {
		go func() { err := s.Close(); closed.Store(true); done <- err }()
	}
	// Close has begun when it turns callers away.
	within(t, 10*time.Second, "Close to begin", func() {
		for !errors.Is(s.View(background(), func(storage.Tx) error { return nil }), storage.ErrClosed) {
			<-time.After(time.Millisecond)
		}
	})
	if closed.Load() {
		t.Error("Close did not wait")
	}
	close(finish)
	for range 2 {
		if err := <-results; err != nil {
			t.Errorf("a transaction that ran when Close was called: %v", err)
		}
		if err := <-done; err != nil {
			t.Errorf("Close: %v", err)
		}
	}
}

func testClosed(t *testing.T, e Engine) {
	s := open(t, e)
	s.put("key", "value", never)
	for range 3 {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		fn := func(storage.Tx) error { t.Error("fn runs after Close"); return nil }
		if err := s.Update(t.Context(), fn); !errors.Is(err, storage.ErrClosed) {
			t.Errorf("Update after Close = %v", err)
		}
		if err := s.View(t.Context(), fn); !errors.Is(err, storage.ErrClosed) {
			t.Errorf("View after Close = %v", err)
		}
	}
}

func testKeptTx(t *testing.T, e Engine) {
	s := open(t, e)
	s.put("key", "value", never)
	var kept []storage.Tx
	keep := func(tx storage.Tx) error { kept = append(kept, tx); return nil }
	s.update(keep)
	s.view(keep)
	for _, tx := range kept {
		_, err := tx.Get("key")
		for name, err := range map[string]error{
			"Get": err, "Put": tx.Put("key", nil, never), "Delete": tx.Delete("key"), "Scan": firstError(tx.Scan("", "")),
		} {
			if err == nil {
				t.Errorf("%s works after its transaction", name)
			}
		}
	}
	s.want("key", "value")
}
