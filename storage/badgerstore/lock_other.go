//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package badgerstore

import "strings"

// locksDirs says that lockDir locks. Here it is left to Badger.
const locksDirs = false

type dirLock struct{}

func lockDir(string) (*dirLock, error) { return &dirLock{}, nil }

func (*dirLock) release() error { return nil }

// isLockError knows Badger's refusal, which is text.
func isLockError(err error) bool { return strings.Contains(err.Error(), "Another process is using") }

func syncDir(string) error { return nil } // names cannot be synced
