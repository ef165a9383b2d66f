//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package badgerstore

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// locksDirs says that lockDir locks. It does so as Badger would, on the directory itself, so that Badger's own tools stay
// away, but holds the lock while the directory is checked and while Badger is closed and opened again.
const locksDirs = true

// dirLock is the lock on a directory.
type dirLock struct{ dir *os.File }

func lockDir(dir string) (*dirLock, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	switch {
	case err == nil:
		pid := strconv.Itoa(os.Getpid()) + "\n"
		err = os.WriteFile(filepath.Join(dir, pidFile), []byte(pid), fileMode)
	case errors.Is(err, syscall.EWOULDBLOCK):
		err = lockedError(dir)
	default:
		err = &os.PathError{Op: "flock", Path: dir, Err: err}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &dirLock{f}, nil
}

// release removes the name of the process and the lock.
func (l *dirLock) release() error {
	err := os.Remove(filepath.Join(l.dir.Name(), pidFile))
	return errors.Join(err, l.dir.Close())
}

func isLockError(error) bool { return false } // Badger does not lock

// syncDir makes the names in dir survive power loss.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
