package badgerstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/storage"
)

// TestSpaceIsReclaimed writes thirty times what is kept.
func TestSpaceIsReclaimed(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir)
	for i := range 300 {
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

// TestNothingIsLostWhileFilesFail has the process be out of files again and again, for moments, while it writes and compacts.
func TestNothingIsLostWhileFilesFail(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	want := map[string]string{}
	for round := range 4 {
		stop := make(chan struct{})
		var trouble sync.WaitGroup
		trouble.Go(func() {
			for {
				restore := limit(t, syscall.RLIMIT_NOFILE, 3)
				runtime.Gosched()
				restore()
				select {
				case <-stop:
					return
				case <-time.After(rand.N(time.Millisecond)):
				}
			}
		})
		for i := range 150 {
			if key, value := fmt.Sprintf("%d/%03d", round%2, i), pad(round*1000+i, 200_000); put(s, key, value) == nil {
				want[key] = value
			} else {
				delete(want, key) // it may be there or not
			}
		}
		close(stop)
		trouble.Wait()
		eventually(t, "the store is in service", func() bool { return put(s, "after", fmt.Sprint(round)) == nil })
		want["after"] = fmt.Sprint(round)
		lost := 0
		got := contents(t, s)
		for key, value := range want {
			if got[key] != value {
				lost++
			}
		}
		if lost > 0 {
			t.Fatalf("%d of %d records are lost in round %d", lost, len(want), round)
		}
	}
}

// TestACrashDuringCompaction holds that a compaction that was not seen to its end is undone.
func TestACrashDuringCompaction(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	e := s.current.Load()
	want := map[string]string{}
	for i := range 100 {
		key := fmt.Sprintf("%03d", i)
		want[key] = pad(i, 100_000)
		mustPut(t, s, key, want[key])
	}
	eventually(t, "all full logs are tables", func() bool { n, err := countLogs(s.dir); return n == 1 && err == nil })
	if err := keepList(s.dir); err != nil {
		t.Fatal(err)
	}
	held := e.db.NewTransaction(false)
	before := held.NewIterator(allRecords)
	sound := copyDir(t, s.dir)
	tables, _ := glob(s.dir, tableSuffix)
	list, err := os.ReadFile(filepath.Join(s.dir, badgerManifest))
	if err != nil {
		t.Fatal(err)
	}
	if len(tables) < 2 {
		t.Fatalf("%d tables", len(tables))
	}
	// As compaction leaves it that has lost everything: another list, more tables.
	edit(badgerManifest, func(list []byte) []byte { return list[:16] })(t, sound)
	add("009999.sst", "a new table")(t, sound)
	before.Close()
	held.Discard()
	if err := os.Remove(filepath.Join(s.dir, keptList)); err != nil {
		t.Fatal(err)
	}

	again := mustOpen(t, sound)
	wantContents(t, again, want)
	restored, err := os.ReadFile(filepath.Join(sound, badgerManifest))
	if err != nil || !bytes.HasPrefix(restored, list) {
		t.Errorf("the list of tables was not restored: %d bytes, were %d, %v", len(restored), len(list), err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
	wantContents(t, mustOpen(t, sound), want)
}

// TestLossIsNoticed compares snapshots that differ, as those before and after a bad compaction do.
func TestLossIsNoticed(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	e := s.current.Load()
	for _, key := range []string{"a", "b", "c"} {
		mustPut(t, s, key, "value of "+key)
	}
	old := e.db.NewTransaction(false)
	defer old.Discard()
	compare := func() error {
		now := e.db.NewTransaction(false)
		defer now.Discard()
		before := old.NewIterator(allRecords)
		defer before.Close()
		return sameRecords(before, now.NewIterator(allRecords))
	}
	if err := compare(); err != nil {
		t.Errorf("the same: %v", err)
	}
	for _, r := range []struct {
		name string
		fn   func(storage.Tx) error
	}{
		{"a value", func(tx storage.Tx) error { return tx.Put("b", nil, time.Time{}) }},
		{"the last key", func(tx storage.Tx) error { return tx.Delete("c") }},
		{"the first key", func(tx storage.Tx) error { return tx.Delete("a") }},
		{"one more", func(tx storage.Tx) error { return tx.Put("d", nil, time.Time{}) }},
	} {
		if err := s.Update(t.Context(), r.fn); err != nil {
			t.Fatal(err)
		}
		if err := compare(); !errors.Is(err, errLost) {
			t.Errorf("%s: %v, want errLost", r.name, err)
		}
		err := s.Update(t.Context(), func(tx storage.Tx) error {
			err := tx.Delete("d")
			for _, key := range []string{"a", "b", "c"} {
				err = errors.Join(err, tx.Put(key, []byte("value of "+key), time.Time{}))
			}
			return err
		})
		if err != nil || compare() != nil {
			t.Fatal(err, compare())
		}
	}
}

func TestCommitsWaitForTables(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	e := s.current.Load()
	e.rotation <- struct{}{} // as compaction does
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	n := 0
	for ; n < 100; n++ {
		err := s.Update(ctx, func(tx storage.Tx) error { return tx.Put("key", []byte(pad(n, 100_000)), time.Time{}) })
		if errors.Is(err, context.DeadlineExceeded) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if n < walQuiet/100_000-2 || n > walQuiet/100_000 {
		t.Errorf("%d commits of 100 kB went to a log that may not be full", n)
	}
	e.unlockRotation()
	mustPut(t, s, "key", "value")

	for _, name := range []string{"98.mem", "99.mem"} { // as if the disk took no table
		add(name, "")(t, s.dir)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	err := s.Update(ctx, func(tx storage.Tx) error { return tx.Put("key", []byte(pad(0, 100_000)), time.Time{}) })
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Update = %v, want %v", err, context.DeadlineExceeded)
	}
	for _, name := range []string{"98.mem", "99.mem"} {
		if err := os.Remove(filepath.Join(s.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	mustPut(t, s, "key", "value")
}
