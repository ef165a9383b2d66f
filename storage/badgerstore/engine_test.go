package badgerstore

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/storage"
)

func TestCommitsAreSynced(t *testing.T) { // S90
	s := mustOpen(t, t.TempDir())
	if opts := s.current.Load().db.Opts(); !opts.SyncWrites || !opts.DetectConflicts {
		t.Errorf("SyncWrites %v, DetectConflicts %v", opts.SyncWrites, opts.DetectConflicts)
	}
}

func TestRetriesAreBounded(t *testing.T) { // S91
	s := mustOpen(t, t.TempDir())
	runs := 0
	err := s.Update(t.Context(), func(tx storage.Tx) error {
		runs++
		_, _ = tx.Get("key")
		done := make(chan error)
		go func() { done <- put(s, "key", "theirs") }()
		return errors.Join(<-done, tx.Put("key", []byte("mine"), time.Time{}))
	})
	if !errors.Is(err, storage.ErrConflict) || runs > maxAttempts+1 {
		t.Errorf("Update = %v after %d runs, want ErrConflict after %d at most", err, runs, maxAttempts+1)
	}
}

func TestLoggingIsQuiet(t *testing.T) {
	var out strings.Builder
	dir := t.TempDir()
	for i := range 2 {
		s, err := Open(t.Context(), Options{Dir: dir, Logger: textLogger(&out)})
		if err != nil {
			t.Fatal(err)
		}
		mustPut(t, s, "key", fmt.Sprint(i))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if out.Len() > 0 {
		t.Errorf("opening, writing and closing logs above debug:\n%s", out.String())
	}
}
