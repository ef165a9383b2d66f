package badgerstore

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"sync"
	"syscall"
	"testing"

	"github.com/caddy-mfa/caddy-mfa/storage"
)

// TestAFailedWriteHeals has Badger fail where another commit would make it end the process: it cannot make its next log.
// What makes it fail is a limit on the size of files.
func TestAFailedWriteHeals(t *testing.T) {
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	s := mustOpen(t, t.TempDir())
	want := map[string]string{}
	for round := range 2 {
		for range 2 { // so that the log has its blocks, also if the first makes a new one
			mustPut(t, s, "before", "")
		}
		want["before"] = ""
		restore := limit(t, syscall.RLIMIT_FSIZE, 1<<20)
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
				t.Error("no write fails")
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

// limit sets a limit of the process, until it is told to restore it.
func limit(t *testing.T, what int, to uint64) (restore func()) {
	t.Helper()
	var was syscall.Rlimit
	if err := syscall.Getrlimit(what, &was); err != nil {
		t.Fatal(err)
	}
	set := func(l syscall.Rlimit) {
		if err := syscall.Setrlimit(what, &l); err != nil {
			t.Error(err)
		}
	}
	set(syscall.Rlimit{Cur: to, Max: was.Max})
	return func() { set(was) }
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
