package badgerstore

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/storage"
)

// disk is a disk whose room a test sets.
type disk struct{ left atomic.Uint64 }

func (d *disk) space(string) (diskSpace, error) { return diskSpace{d.left.Load(), 1 << 30}, nil }

func TestNothingIsWrittenWithoutRoom(t *testing.T) {
	var d disk
	dir := t.TempDir()
	if _, err := open(t.Context(), Options{Dir: dir}, d.space); !errors.Is(err, syscall.ENOSPC) || errors.Is(err, ErrDamaged) {
		t.Fatalf("Open = %v, want ENOSPC", err)
	}
	d.left.Store(minReserve)
	s, err := open(t.Context(), Options{Dir: dir}, d.space)
	if err != nil {
		t.Fatal(err)
	}
	mustPut(t, s, "key", "old")
	d.left.Store(minReserve - 1)
	if err := put(s, "key", "new"); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Update = %v, want ENOSPC", err)
	}
	wantContents(t, s, map[string]string{"key": "old"}) // reading goes on
	if err := s.Update(t.Context(), func(tx storage.Tx) error { _, err := tx.Get("key"); return err }); err != nil {
		t.Errorf("Update that writes nothing: %v", err)
	}
	d.left.Store(math.MaxInt64)
	mustPut(t, s, "key", "new")

	d.left.Store(0)
	began := time.Now()
	if err := s.Close(); !errors.Is(err, syscall.ENOSPC) || time.Since(began) > 5*time.Second {
		t.Errorf("Close = %v after %v, want ENOSPC at once", err, time.Since(began))
	}
	if err := s.Close(); err != nil {
		t.Errorf("second Close = %v", err)
	}
	if _, err := open(t.Context(), Options{Dir: dir}, d.space); !errors.Is(err, ErrLocked) {
		t.Errorf("Open = %v, want ErrLocked: the directory is not released yet", err)
	}
	d.left.Store(minReserve)
	eventually(t, "the directory is released", func() bool {
		s, err = open(t.Context(), Options{Dir: dir}, d.space)
		return err == nil
	})
	wantContents(t, s, map[string]string{"key": "new"})
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestAVanishedDirectoryIsAnError(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	s, err := Open(t.Context(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	mustPut(t, s, "key", "value")
	away := dir + ".away"
	if err := os.Rename(dir, away); err != nil {
		t.Fatal(err)
	}
	if err := put(s, "key", "new"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Update = %v, want that the directory does not exist", err)
	}
	if err := os.Rename(away, dir); err != nil {
		t.Fatal(err)
	}
	mustPut(t, s, "key", "new")
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestFullDisk fills a real file system while transactions run. Where the system lets nobody mount one,
// TestNothingIsWrittenWithoutRoom has to do.
func TestFullDisk(t *testing.T) {
	mount := smallDisk(t)
	if mount == "" {
		return
	}
	dir, ballast := filepath.Join(mount, "store"), filepath.Join(mount, "ballast")
	s := mustOpen(t, dir)
	want := map[string]string{}
	for round := range 3 {
		var mu sync.Mutex
		var writers sync.WaitGroup
		for w := range 4 {
			writers.Go(func() {
				for i := range 500 { // less than fills a log
					key, value := fmt.Sprintf("%d/%d/%d", round, w, i), pad(i, 200)
					err := put(s, key, value)
					if errors.Is(err, syscall.ENOSPC) {
						return
					}
					if err != nil {
						t.Errorf("Update = %v, want ENOSPC", err)
						return
					}
					mu.Lock()
					want[key] = value
					mu.Unlock()
				}
			})
		}
		fill(t, ballast)
		writers.Wait()
		if err := put(s, "full", ""); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("Update on a full disk = %v, want ENOSPC", err)
		}
		wantContents(t, s, want)
		if _, err := open(t.Context(), Options{Dir: filepath.Join(mount, "another")}, spaceBelow); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("Open on a full disk = %v, want ENOSPC", err)
		}
		if round == 1 {
			if err := s.Close(); !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("Close on a full disk = %v, want ENOSPC", err)
			}
		}
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		if round == 1 {
			eventually(t, "the directory is released", func() bool {
				var err error
				s, err = Open(context.Background(), Options{Dir: dir})
				return err == nil
			})
		}
		mustPut(t, s, "after", fmt.Sprint(round))
		want["after"] = fmt.Sprint(round)
		wantContents(t, s, want)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	s = mustOpen(t, dir)
	wantContents(t, s, want)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// fill writes a file until the disk is full.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for chunk := make([]byte, 1<<20); len(chunk) > 0; {
		n, err := f.Write(chunk)
		if err != nil && !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
		if err != nil {
			chunk = chunk[:n/2]
		}
	}
}
