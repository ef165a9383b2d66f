package badgerstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

// The sizes below keep about 6 MiB of live heap and as much disk when idle. Badger's own keep 86 MiB, and 2 GiB apparent.
const (
	memTableSize = 4 << 20
	valueLogSize = 1 << 20                 // the least that Badger takes; nothing is written there
	tableSize    = 1 << 20                 // below level 0; building one takes twice that, for a few seconds
	badgerMaxTx  = 15 * memTableSize / 100 // Badger's own limit on the bytes of a transaction
	stallNever   = 1 << 30
	openFiles    = 32 // to spare before Badger opens the directory: for want of one it would end the process
)

// roomPoll is how often a store that cannot close looks for room.
const roomPoll = time.Second

// engine is one opening of the directory by Badger.
type engine struct {
	db      *badger.DB
	users   sync.RWMutex  // read-locked by each transaction; locked for good by quiesce
	wrote   atomic.Bool   // there may be something to flush
	failed  atomic.Bool   // nothing may be committed any more
	wal     wal           // where commits go; guarded by Store.commit
	tables  atomic.Int64  // bytes that all tables take
	changed chan struct{} // capacity 1: collect has something to do
	stop    chan struct{} // ends collect
	stopped chan struct{} // collect has ended

	compacted int64 // bytes of tables after the last compaction; of collect

	quiet   sync.Once
	retired sync.Once
	result  error // of retired
}

func badgerOptions(s *Store) badger.Options {
	return badger.DefaultOptions(s.dir).
		WithLogger(logger{s.log}).
		WithSyncWrites(true).
		WithDetectConflicts(true).
		WithBypassLockGuard(locksDirs).
		WithMetricsEnabled(false).
		WithChecksumVerificationMode(options.OnBlockRead).
		WithMemTableSize(memTableSize).
		WithNumMemtables(1).
		WithBaseTableSize(tableSize).
		// Most of what is kept is random or sealed. Not compressed, it is read where it is mapped and needs no cache.
		WithCompression(options.None).
		WithBlockCacheSize(0).
		WithIndexCacheSize(0).
		WithValueLogFileSize(valueLogSize).
		WithValueThreshold(badgerMaxTx).
		// Compaction runs in collect, which looks for room first, and never makes writes wait.
		WithNumCompactors(0).
		WithNumLevelZeroTablesStall(stallNever)
}

// start checks the directory and has Badger open it.
func (s *Store) start(ctx context.Context) (*engine, error) {
	if err := s.room(0); err != nil {
		return nil, err
	}
	todo, err := check(ctx, s.dir)
	if err != nil {
		return nil, err
	}
	if err := todo.do(s.dir); err != nil {
		return nil, err
	}
	if !filesToSpare(openFiles) {
		return nil, fmt.Errorf("badgerstore: the process cannot open %d more files: %w", openFiles, syscall.EMFILE)
	}
	db, err := openBadger(badgerOptions(s))
	if err != nil {
		return nil, err
	}
	e := &engine{
		db: db, changed: make(chan struct{}, 1),
		stop: make(chan struct{}), stopped: make(chan struct{}),
	}
	if err := errors.Join(restrict(s.dir), e.wal.find(s.dir)); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	e.measure()
	go s.collect(e)
	return e, nil
}

// openBadger turns what Badger makes of a damaged directory, panics included, into ErrDamaged.
func openBadger(opts badger.Options) (db *badger.DB, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", ErrDamaged, r)
		}
	}()
	db, err = badger.Open(opts)
	var errno syscall.Errno
	switch {
	case err == nil:
		return db, nil
	case !locksDirs && isLockError(err):
		return nil, fmt.Errorf("%w: %s: %w", ErrLocked, opts.Dir, err)
	case errors.As(err, &errno):
		return nil, err // the system's refusal says nothing about what is in the files
	default:
		return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, opts.Dir, err)
	}
}

// poke has collect look whether there is something to do.
func (e *engine) poke() {
	select {
	case e.changed <- struct{}{}:
	default:
	}
}

// quiesce lets no transaction begin and waits for those that run.
func (e *engine) quiesce() {
	e.quiet.Do(e.users.Lock)
}

// needsRoom returns an error if closing e would write to a disk that has no room.
func (e *engine) needsRoom(s *Store) error {
	if !e.wrote.Load() {
		return nil
	}
	return s.room(0)
}

// retire closes e. It waits for the room that Badger needs to close: without it, writing a table to its mapped file would
// kill the process.
func (e *engine) retire(s *Store) error {
	e.quiesce()
	e.retired.Do(func() {
		close(e.stop)
		<-e.stopped
		for e.needsRoom(s) != nil {
			<-time.After(roomPoll)
		}
		e.result = errors.Join(e.db.Close(), restrict(s.dir))
		e.wrote.Store(false)
	})
	return e.result
}

// fail takes e out of service after a failed write, and brings the store back when its cause is gone. What Badger holds in
// memory may not be what is in its files, and another commit to it could end the process.
func (s *Store) fail(e *engine, cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.failed.Swap(true) || s.closed {
		return
	}
	s.failure = fmt.Errorf("badgerstore: out of service after a failed write: %w", cause)
	s.log.Error("a write to the store failed; opening it again", "dir", s.dir, "error", cause)
	s.heals.Add(1)
	go s.heal(e)
}

func (s *Store) heal(e *engine) {
	defer s.heals.Done()
	if err := e.retire(s); err != nil {
		s.log.Warn("closing the store after a failed write", "dir", s.dir, "error", err)
	}
	for delay := 100 * time.Millisecond; ; delay = min(2*delay, 10*time.Second) {
		fresh, err := s.start(context.Background())
		if err == nil {
			s.replace(fresh)
			return
		}
		s.log.Warn("opening the store again", "dir", s.dir, "error", err)
		select {
		case <-s.done:
			return
		case <-time.After(delay):
		}
	}
}

// replace puts a fresh engine into service, unless the store was closed meanwhile.
func (s *Store) replace(fresh *engine) {
	s.mu.Lock()
	closed := s.closed
	if !closed {
		s.current.Store(fresh)
		s.failure = nil
	}
	s.mu.Unlock()
	if !closed {
		s.log.Info("the store is back in service", "dir", s.dir)
		return
	}
	if err := fresh.retire(s); err != nil {
		s.log.Warn("closing the store", "dir", s.dir, "error", err)
	}
}
