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
)

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

	rotation  chan struct{} // capacity 1: held by a commit that may make a new log, and by compaction
	compacted int64         // bytes of tables after the last compaction; of collect
	lossy     bool          // compaction lost something, which is still in the directory; of collect

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
	if err := restoreList(s.dir); err != nil {
		return nil, err
	}
	todo, err := check(ctx, s.dir)
	if err != nil {
		return nil, err
	}
	if err := todo.do(s.dir); err != nil {
		return nil, err
	}
	db, err := openBadger(badgerOptions(s))
	if err != nil {
		return nil, err
	}
	e := &engine{
		db: db, changed: make(chan struct{}, 1), rotation: make(chan struct{}, 1),
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

// flushPatience bounds how long a commit waits for full logs to become tables, which Badger tries again and again.
const flushPatience = 5 * time.Second

// lockRotation waits until a commit may make a new log: not during compaction, and not while two full logs wait, when Badger
// would hold the commit, and every transaction that begins after it, until the disk takes them.
func (e *engine) lockRotation(ctx context.Context, dir string) error {
	select {
	case e.rotation <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	patience := time.After(flushPatience)
	for {
		n, err := countLogs(dir)
		if err == nil && n <= 2 {
			return nil
		}
		if err == nil {
			select {
			case <-time.After(flushPoll):
				continue
			case <-ctx.Done():
				err = ctx.Err()
			case <-patience:
				err = errors.New("badgerstore: the disk does not take what was committed before")
			}
		}
		e.unlockRotation()
		return err
	}
}

func (e *engine) unlockRotation() { <-e.rotation }
