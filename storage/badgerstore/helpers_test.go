package badgerstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/storage"
)

func mustOpen(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(t.Context(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return s
}

func put(s *Store, key, value string) error {
	return s.Update(context.Background(), func(tx storage.Tx) error { return tx.Put(key, []byte(value), time.Time{}) })
}

func mustPut(t *testing.T, s *Store, key, value string) {
	t.Helper()
	if err := put(s, key, value); err != nil {
		t.Fatalf("Put(%q): %v", key, err)
	}
}

// contents returns all that s holds.
func contents(t *testing.T, s *Store) map[string]string {
	t.Helper()
	got := make(map[string]string)
	err := s.View(context.Background(), func(tx storage.Tx) error {
		for e, err := range tx.Scan("", "") {
			if err != nil {
				return err
			}
			got[e.Key] = string(e.Value)
		}
		return nil
	})
	if err != nil {
		t.Errorf("View: %v", err)
	}
	return got
}

func wantContents(t *testing.T, s *Store, want map[string]string) {
	t.Helper()
	if got := contents(t, s); !maps.Equal(got, want) {
		t.Errorf("the store holds %d records, want %d", len(got), len(want))
	}
}

// eventually waits until what holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); {
		if time.Now().After(deadline) {
			t.Fatalf("not in 20 seconds: %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// copyDir copies the files of a store, which may be open: the copy is what kill -9 would leave at that moment, but for LOCK.
func copyDir(t *testing.T, from string) string {
	t.Helper()
	to := t.TempDir()
	files, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f.Name() == pidFile {
			continue
		}
		in, err := os.Open(filepath.Join(from, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		out, err := os.OpenFile(filepath.Join(to, f.Name()), os.O_CREATE|os.O_WRONLY, fileMode)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(out, in)
		if err := errors.Join(err, in.Close(), out.Close()); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// pad makes a value of n bytes that differs with i.
func pad(i, n int) string {
	return fmt.Sprintf("%0*s", n, strconv.Itoa(i))
}
