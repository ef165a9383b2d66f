package caddymodule

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

func TestSecretNeedsAPlace(t *testing.T) {
	base := t.TempDir()
	if err := os.Chmod(filepath.Dir(base), 0o755); err != nil { // nobody must be able to look inside
		t.Fatal(err)
	}
	parent := filepath.Join(base, "parent")
	if err := os.Mkdir(parent, 0o555); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		// As root, file permissions do not count; as nobody, on this thread alone, they do. The thread ends with the goroutine.
		runtime.LockOSThread()
		if os.Geteuid() == 0 {
			if err := syscall.Setfsuid(65534); err != nil {
				done <- err
				return
			}
		}
		_, err := besideStore(filepath.Join(parent, "mfa")).secret(false)
		done <- err
	}()
	err := <-done
	for _, want := range []string{parent + " is not writable", "option secret", "storage badger " + filepath.Join(parent, "mfa", "store")} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
}
