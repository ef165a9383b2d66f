package auth

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-mfa/caddy-mfa/storage"
)

// schemaVersion is the version of the table of keys.
const schemaVersion = 1

// Options are what a State is made of.
type Options struct {
	Store   storage.Store    // closed by State.Close
	Secrets [][]byte         // the first seals, all open; at least one, each of MinSecret bytes or more
	Now     func() time.Time // nil: time.Now
	Logger  *slog.Logger     // nil: none
}

// State is what outlives a reload of the configuration: the store, its keys, the cache of sessions, the counters. Any number of
// Realms share it.
type State struct {
	store     storage.Store
	now       func() time.Time
	log       *slog.Logger
	sealer    atomic.Pointer[sealer]
	keys      atomic.Pointer[keyring]
	bucketKey []byte
	cache     *cache
	hashing   *slots
	light     *slots
	addresses *addresses

	keyAddresses *addresses // for wrong answers of keys
	askAddresses *addresses // for those who ask for mails
	failures     failures

	setup struct {
		sync.Mutex
		token   string
		expires time.Time
	}

	outbox     *outbox
	streams    streams
	assertions assertions
	underway

	realm atomic.Pointer[Realm] // does what is due; nil: nobody
	look  chan struct{}         // for what is due

	resets     chan struct{} // one for each reset that waits to be looked up
	resetting  sync.Mutex    // held by the one that is
	lastResets sync.Once
	life       context.Context
	stop       context.CancelFunc
	done       chan struct{}
}

// schema is the record that tells a store in use from an empty one. Its sealed part shows whether a secret is the right one.
type schema struct {
	Version int       `json:"version"`
	Created time.Time `json:"created"`
	Sealed  []byte    `json:"secret"` // keys the buckets of unknown names
}

// Initialized reports whether the store was ever used.
func Initialized(ctx context.Context, store storage.Store) (ok bool, err error) {
	err = store.View(ctx, func(tx storage.Tx) error {
		ok, err = exists(tx, keySchema)
		return err
	})
	return ok, err
}

// NewState prepares a store: an empty one gets its keys. Errors wrap ErrSecret if no secret opens the store. The store stays open
// after an error.
func NewState(ctx context.Context, o Options) (*State, error) {
	s := &State{
		store: o.Store, now: o.Now, log: o.Logger,
		cache: newCache(), addresses: newAddresses(), keyAddresses: newAddresses(), askAddresses: newAddresses(),
		hashing: newSlots(min(runtime.GOMAXPROCS(0), hashRuns), hashQueue), light: newSlots(lightRuns, lightQueue),
		outbox: newOutbox(), look: make(chan struct{}, 1),
		done: make(chan struct{}),
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	sealer, err := newSealer(o.Secrets)
	if err != nil {
		return nil, err
	}
	if err := s.initialize(ctx, sealer); err != nil {
		return nil, err
	}
	if err := s.refreshKeys(ctx); err != nil {
		return nil, err
	}
	bg, stop := context.WithCancel(context.Background())
	s.life, s.stop, s.resets = bg, stop, make(chan struct{}, resetRuns)
	go s.run(bg)
	s.streams.running.Go(func() { s.watchStreams(bg) })
	s.outbox.running.Go(func() { s.deliverMails(bg) })
	return s, nil
}

// initialize reads the schema record, or writes it into an empty store.
func (s *State) initialize(ctx context.Context, sealer *sealer) error {
	fresh := make([]byte, 32)
	rand.Read(fresh)
	var rec schema
	err := s.store.Update(ctx, func(tx storage.Tx) error {
		rec = schema{}
		err := getJSON(tx, keySchema, &rec)
		if !errors.Is(err, storage.ErrNotFound) {
			return err
		}
		rec = schema{Version: schemaVersion, Created: s.now(), Sealed: sealer.seal(keySchema, fresh)}
		return putJSON(tx, keySchema, rec, time.Time{})
	})
	if err != nil {
		return fmt.Errorf("preparing the store: %w", err)
	}
	if rec.Version != schemaVersion {
		return fmt.Errorf("the store has version %d, this program knows %d", rec.Version, schemaVersion)
	}
	return s.adopt(ctx, sealer, rec)
}

// UseSecrets changes the secrets of a running State. It changes nothing and returns ErrSecret if they do not open the store. What
// was sealed before stays as it is until the next NewState: the configuration that brought them may yet fail, and the one before
// must still open the store.
func (s *State) UseSecrets(ctx context.Context, secrets [][]byte) error {
	next, err := newSealer(secrets)
	if err != nil {
		return err
	}
	var rec schema
	err = s.store.View(ctx, func(tx storage.Tx) error { return getJSON(tx, keySchema, &rec) })
	if err != nil {
		return fmt.Errorf("reading the schema: %w", err)
	}
	if _, err := next.open(keySchema, rec.Sealed); err != nil {
		return err
	}
	s.sealer.Store(next.preferring(keySchema, rec.Sealed))
	return nil
}

// run does what must be done now and then, until the State is closed.
func (s *State) run(ctx context.Context) {
	defer close(s.done)
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for n := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-s.look:
			s.doDueResets(ctx)
			continue
		case <-tick.C:
			n++
		}
		s.doDueResets(ctx)
		if err := s.flushSeen(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("noting when sessions were last seen failed", "error", err)
		}
		s.reportFailures(ctx)
		if n%60 == 0 {
			if err := s.refreshKeys(ctx); err != nil && ctx.Err() == nil {
				s.log.Error("refreshing the signing keys failed", "error", err)
			}
			if _, err := s.refreshAssertionKeys(ctx, ""); err != nil && ctx.Err() == nil {
				s.log.Error("refreshing the keys of assertions failed", "error", err)
			}
		}
	}
}

// Close ends all streams, notes what is in memory only, and closes the store.
func (s *State) Close() error {
	s.stop()
	<-s.done
	s.streams.running.Wait()
	s.lastResets.Do(func() {
		for range resetRuns { // takes the places of all that may run, for good
			s.resets <- struct{}{}
		}
	})
	s.outbox.running.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err := s.flushSeen(ctx)
	s.reportFailures(ctx)
	return errors.Join(err, s.store.Close())
}
