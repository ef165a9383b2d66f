// Package badgerstore keeps the records of one server in a directory, with Badger. It is the default engine.
//
// Badger writes through memory-mapped, sparse files and ends the process in places where others return an error, so most of
// this package is about meeting Badger's terms before it runs:
//
//   - directory.go: one process at a time owns the directory, and nobody else may read it;
//   - check.go and wal.go: a damaged directory is refused before Badger could drop the part that it cannot read;
//   - disk.go: a write to a mapped file on a full disk is a signal that kills the process, so nothing is committed while room
//     is short, and the log that a commit goes to has its blocks beforehand;
//   - engine.go: after a failed write Badger's memory and its files may differ, so it is closed and opened again from the
//     files;
//   - collect.go: compaction reclaims old versions and expired records when there is room for it.
//
// update.go and tx.go are the contract of package storage itself. Values never go to Badger's value log: the largest
// transaction is smaller than the threshold, so the log stays empty and compaction alone collects.
package badgerstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-mfa/caddy-mfa/storage"
)

var (
	// ErrLocked means that another process, or another Store of this one, has the directory open.
	ErrLocked = errors.New("badgerstore: directory is in use")
	// ErrDamaged means that files of the directory are missing or do not hold what was written. Nothing was changed.
	ErrDamaged = errors.New("badgerstore: directory is damaged")
)

// Options say where a store is and what it uses.
type Options struct {
	Dir    string           // made if absent. It belongs to the store alone: mode 0700, its files 0600
	Now    func() time.Time // judges expiry; nil: time.Now
	Logger *slog.Logger     // what Badger has to say, at debug and warn; nil: nowhere
}

// closePatience bounds how long Close waits for the disk, once no transaction runs.
const closePatience = 30 * time.Second

// Store is a storage.Store in a directory.
type Store struct {
	dir  string
	now  func() time.Time
	log  *slog.Logger
	disk func(dir string) (diskSpace, error)
	lock *dirLock

	commit chan struct{} // capacity 1: held while a transaction commits
	lane   chan struct{} // capacity 1: held by a transaction that runs again after a conflict

	current atomic.Pointer[engine]
	done    chan struct{} // closed by Close

	mu      sync.Mutex
	closed  bool
	failure error          // why current is not usable, while it is being opened again
	heals   sync.WaitGroup // running heal
	closing sync.Once
}

// Open opens the store in opts.Dir, or makes it. It returns an error that wraps ErrLocked or ErrDamaged where these apply,
// and one that wraps syscall.ENOSPC if a hundredth of the disk (12 to 256 MiB) is not left. A torn end of the log, as power loss leaves it
// behind, is no damage: no commit in it was acknowledged.
func Open(ctx context.Context, opts Options) (*Store, error) {
	return open(ctx, opts, spaceBelow)
}

func open(ctx context.Context, opts Options, disk func(string) (diskSpace, error)) (*Store, error) {
	s := &Store{
		dir: opts.Dir, now: opts.Now, log: opts.Logger, disk: disk,
		commit: make(chan struct{}, 1), lane: make(chan struct{}, 1), done: make(chan struct{}),
	}
	if s.dir == "" {
		return nil, errors.New("opening store: no directory is given")
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := makeDir(s.dir); err != nil {
		return nil, fmt.Errorf("opening store: %w", err)
	}
	var err error
	if s.lock, err = lockDir(s.dir); err != nil {
		return nil, fmt.Errorf("opening store: %w", err)
	}
	e, err := s.start(ctx)
	if err != nil {
		return nil, fmt.Errorf("opening store: %w", errors.Join(err, s.lock.release()))
	}
	s.current.Store(e)
	return s, nil
}

// enter returns the engine, kept open until the caller unlocks its users.
func (s *Store) enter() (*engine, error) {
	for {
		e := s.current.Load()
		if e.users.TryRLock() {
			if !e.failed.Load() {
				return e, nil
			}
			e.users.RUnlock()
		}
		s.mu.Lock()
		closed, failure := s.closed, s.failure
		s.mu.Unlock()
		switch {
		case closed:
			return nil, storage.ErrClosed
		case failure != nil:
			return nil, failure
		}
		// Neither: the cause is about to be known, or a new engine has replaced e.
	}
}

// Close waits for running transactions and closes the store. With the disk full it does not wait for room, but returns an
// error that wraps syscall.ENOSPC: nothing acknowledged is lost, and the directory is released as soon as there is room.
func (s *Store) Close() error {
	var err error
	s.closing.Do(func() { err = s.close() })
	return err
}

func (s *Store) close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	close(s.done)
	e := s.current.Load()
	e.quiesce()

	finished := make(chan error, 1)
	go func() {
		s.heals.Wait()
		err := e.retire(s)
		finished <- errors.Join(err, s.lock.release())
	}()
	patience := closePatience
	noRoom := e.needsRoom(s)
	if noRoom != nil {
		patience = 0
	}
	select {
	case err := <-finished:
		if err != nil {
			return fmt.Errorf("closing store: %w", err)
		}
		return nil
	case <-time.After(patience):
		if noRoom != nil {
			return fmt.Errorf("closing store: %s is released when there is room: %w", s.dir, noRoom)
		}
		return fmt.Errorf("closing store: the disk below %s does not answer", s.dir)
	}
}

// Interface guard
var _ storage.Store = (*Store)(nil)
