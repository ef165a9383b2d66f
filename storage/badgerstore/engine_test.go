package badgerstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/storage"
)

// TestAFailedWriteHeals has Badger fail where another commit would make it end the process: it cannot make its next log.
func TestAFailedWriteHeals(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir)
	want := map[string]string{}
	for round := range 2 {
		mustPut(t, s, "before", "") // so that the log has its blocks
		want["before"] = ""
		restore := noMoreFiles(t)
		var mu sync.Mutex
		var writers sync.WaitGroup
		for w := range 8 {
			writers.Go(func() {
				for i := range 1000 {
					key, value := fmt.Sprintf("%d/%d/%d", round, w, i), pad(i, 20_000)
					if put(s, key, value) != nil {
						return
					}
					mu.Lock()
					want[key] = value
					mu.Unlock()
				}
				t.Error("no write fails without files")
			})
		}
		writers.Wait()
		err := s.View(context.Background(), func(storage.Tx) error { return nil })
		if err == nil || errors.Is(err, storage.ErrClosed) {
			t.Errorf("View of a store out of service: %v", err)
		}
		restore()
		eventually(t, "the store is back in service", func() bool { return put(s, "after", fmt.Sprint(round)) == nil })
		got := contents(t, s)
		for key := range want {
			if got[key] != want[key] {
				t.Fatalf("%s was acknowledged and is not there", key)
			}
		}
		if got["after"] != fmt.Sprint(round) {
			t.Errorf("after = %q", got["after"])
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// noMoreFiles lets the process open no more files until it is told to.
func noMoreFiles(t *testing.T) (restore func()) {
	t.Helper()
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	now := was
	now.Cur = 3
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &now); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
			t.Error(err)
		}
	}
}

func TestCloseWhileOutOfService(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir)
	mustPut(t, s, "key", "value")
	s.fail(s.current.Load(), errors.New("a cause"))
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := put(s, "key", "new"); !errors.Is(err, storage.ErrClosed) {
		t.Errorf("Update = %v, want ErrClosed", err)
	}
	s = mustOpen(t, dir)
	wantContents(t, s, map[string]string{"key": "value"})
}

func TestFailedStoreSaysWhy(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	cause := errors.New("a cause")
	running, finish := make(chan struct{}), make(chan struct{})
	go func() { // keeps the store from being opened again
		_ = s.View(context.Background(), func(storage.Tx) error { close(running); <-finish; return nil })
	}()
	<-running
	s.fail(s.current.Load(), cause)
	eventually(t, "callers are turned away", func() bool { return errors.Is(put(s, "key", "value"), cause) })
	close(finish)
	eventually(t, "the store is back in service", func() bool { return put(s, "key", "value") == nil })
}

// TestSpaceIsReclaimed writes sixty times what is kept.
func TestSpaceIsReclaimed(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir)
	for i := range 600 {
		mustPut(t, s, fmt.Sprintf("key/%d", i%10), pad(i, 200_000))
	}
	eventually(t, "old versions are gone from the disk", func() bool {
		return tableBytes(dir) < 30<<20
	})
	for i := range 10 {
		if err := s.Update(t.Context(), func(tx storage.Tx) error { return tx.Delete(fmt.Sprintf("key/%d", i)) }); err != nil {
			t.Fatal(err)
		}
	}
	wantContents(t, s, map[string]string{})
}

// tableBytes returns the size of all tables.
func tableBytes(dir string) (size int64) {
	names, _ := filepath.Glob(filepath.Join(dir, "*"+tableSuffix))
	for _, name := range names {
		if info, err := os.Stat(name); err == nil {
			size += info.Size()
		}
	}
	return size
}

func TestWorthCompaction(t *testing.T) {
	var d disk
	d.left.Store(1 << 40)
	s, err := open(t.Context(), Options{Dir: t.TempDir()}, d.space)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	e := s.current.Load()
	close(e.stop) // the test collects itself
	<-e.stopped
	e.stop = make(chan struct{})
	full := func() {
		before, _ := e.measure()
		eventually(t, "a log becomes a table", func() bool {
			mustPut(t, s, "key", pad(1, 500_000))
			top, _ := e.measure()
			return top > before
		})
	}
	for range topTables - 1 {
		full()
	}
	if s.worthCompaction(e) {
		t.Error("a few tables are worth a compaction")
	}
	full()
	_, all := e.measure()
	rows := []struct {
		name      string
		left      uint64
		compacted int64
		want      bool
	}{
		{"room", 1 << 40, 0, true},
		{"a little since the last", 1 << 40, all * 9 / 10, false},
		{"a quarter since the last", 1 << 40, all * 8 / 10, true},
		{"just room for a copy", uint64(all) + minReserve/2, all * 9 / 10, true},
		{"no room for a copy", uint64(all) + minReserve/2 - 1, 0, false},
		{"nothing to gain", uint64(all) + minReserve/2, all, false},
	}
	for _, r := range rows {
		d.left.Store(r.left)
		e.compacted = r.compacted
		if got := s.worthCompaction(e); got != r.want {
			t.Errorf("%s: %v", r.name, got)
		}
	}
	d.left.Store(1 << 40)
}

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
