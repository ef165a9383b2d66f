package badgerstore

import (
	"errors"
	"math"
	"os"
	"path/filepath"
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
