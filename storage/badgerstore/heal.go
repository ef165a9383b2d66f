package badgerstore

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// roomPoll is how often a store that cannot close looks for room.
const roomPoll = time.Second

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
		if e.lossy {
			return // closing would write to what is about to be undone
		}
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
	if closed {
		if err := fresh.retire(s); err != nil {
			s.log.Warn("closing the store", "dir", s.dir, "error", err)
		}
		return
	}
	s.log.Info("the store is back in service", "dir", s.dir)
}
