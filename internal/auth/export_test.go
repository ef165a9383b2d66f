package auth

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/caddy-mfa/caddy-mfa/storage"
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

// Invalidations counts how often what the cache knows was made void.
func (s *State) Invalidations() uint64 { return s.cache.gen.Load() }

// LookAtStreams ends the streams that may not go on.
func (s *State) LookAtStreams() {
	s.endStreams(context.Background(), s.streams.all(nil))
}

// FillHashing takes all slots of argon2id, also those of whoever waits for one.
func (s *State) FillHashing() (release func()) {
	n := 0
	for ; len(s.hashing.waiting) < cap(s.hashing.waiting); n++ {
		s.hashing.waiting <- struct{}{}
	}
	return func() {
		for range n {
			<-s.hashing.waiting
		}
	}
}

// Forget drops the sessions of a user from memory, as a change on another node does.
func (s *State) Forget(name string) {
	s.cache.mu.Lock()
	defer s.cache.mu.Unlock()
	for _, hash := range s.cache.sessions.Keys() {
		if e, _ := s.cache.sessions.Peek(hash); e.user.Name == name {
			s.cache.sessions.Remove(hash)
		}
	}
}

// PutSession stores a session, and returns the cookie that names it.
func (s *State) PutSession(tx storage.Tx, session Session) (string, error) {
	token := newToken()
	session.ID, session.Token = newID(), hashToken(token)
	err := errors.Join(putJSON(tx, keySession(session.Token), session, session.End),
		tx.Put(keyUserSessions(session.UserID)+session.ID, []byte(session.Token), session.End))
	if err != nil {
		return "", err
	}
	return s.sealCookie(CookieSession, token)
}

// MakeAccessToken returns a new access token, which is stored nowhere.
func MakeAccessToken() string { return makeAccessToken() }

// PutAccessToken stores what a token stands for.
func (s *State) PutAccessToken(tx storage.Tx, token string, t AccessToken) error {
	t.ID = newID()
	return errors.Join(putJSON(tx, keyAccessToken(token), t, t.Expires),
		tx.Put(keyUserAccessTokens(t.UserID)+t.ID, []byte(hashToken(token)), t.Expires))
}
