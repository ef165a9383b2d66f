package auth

import (
	"context"
	"sync"
	"time"
)

// Clock is a time that a test moves.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock returns a clock that stands at now.
func NewClock(now time.Time) *Clock { return &Clock{now: now} }

// Now is the time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Add moves it.
func (c *Clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// DoDueResets looks for resets that are due, as happens every minute.
func (s *State) DoDueResets(ctx context.Context) { s.doDueResets(ctx) }

// AwaitResets returns when every reset that was asked for has been looked up. Close does not do for that: it gives up what waits.
func (s *State) AwaitResets() {
	for range resetRuns {
		s.resets <- struct{}{}
	}
	for range resetRuns {
		<-s.resets
	}
}

// RefreshAssertionKeys does what is due for the keys of assertions, as happens every hour.
func (s *State) RefreshAssertionKeys(ctx context.Context) error {
	_, err := s.refreshAssertionKeys(ctx, "")
	return err
}

// LookAtStreams ends the streams that may not go on.
func (s *State) LookAtStreams() {
	s.endStreams(context.Background(), s.streams.all(nil))
}
