package auth

import (
	"context"
	"errors"
	"time"

	"github.com/caddy-mfa/caddy-mfa/storage"
)

// streamWait bounds what one look waits for the store, for all sessions together that are not in the cache.
const streamWait = 5 * time.Second

// endStreams ends those that may not go on. It returns its argument, in another order. One whose session can be found neither in
// memory nor in the store may not: a request would not pass either.
func (s *State) endStreams(ctx context.Context, all []*Stream) []*Stream {
	l := look{s: s, now: s.now()}
	rest := all[:0]
	for _, st := range all { // first those for which memory is enough: they need not wait for a store that is slow
		switch token, e := s.cached(st); {
		case ctx.Err() != nil:
			l.end(st, nil)
		case e == nil:
			rest = append(rest, st)
		case !s.holds(l.now, st, token, e):
			l.end(st, nil)
		}
	}
	if len(rest) > 0 {
		ctx, cancel := context.WithTimeout(ctx, streamWait)
		defer cancel()
		for _, st := range rest {
			if token, e, err := s.sessionOf(ctx, st); err != nil || !s.holds(l.now, st, token, e) {
				l.end(st, err)
			}
		}
	}
	for w, n := range l.ended { // one line for 10000 streams
		s.log.Info("ended the streams of a session", "user", w.user, "session", w.session, "streams", n)
	}
	return all
}

// look is one look at streams.
type look struct {
	s     *State
	now   time.Time
	ended map[who]int // streams
	lost  bool        // a session could not be read
}

type who struct{ user, session string }

// end ends a stream, unless somebody else does. err says why its session was not found.
func (l *look) end(st *Stream, err error) {
	if !l.s.streams.remove(st) {
		return
	}
	st.end()
	if l.ended == nil {
		l.ended = map[who]int{}
	}
	l.ended[who{st.user, st.id}]++
	if err != nil && !errors.Is(err, ErrNoSession) && l.s.life.Err() == nil && !l.lost {
		l.lost = true // of many, one says enough
		l.s.log.Warn("streams are ended because their sessions cannot be read", "session", st.id, "error", err)
	}
}

// holds reports whether a stream may go on with the session e, of which token is the present one.
func (s *State) holds(now time.Time, st *Stream, token string, e *entry) bool {
	cur, by := e.session.Load(), s.judging(st)
	if st.access {
		if !HoldsToken(now, *by.need, e.user, cur) || st.guest != "" && cur.Access.Guest.hasLeft(st.guest) {
			return false
		}
	} else if !by.realm.stands(now, e, cur) || !Holds(now, *by.need, e.user, cur) {
		return false
	}
	if st.heard.Load() && st.heard.Swap(false) {
		by.realm.see(found{now, token, e, cur})
	}
	return true
}

// judging is what a stream is judged by now. A configuration is asked once about each.
func (s *State) judging(st *Stream) *ground {
	by, newest := st.ground.Load(), s.realm.Load()
	if newest == nil || newest == by.realm {
		return by
	}
	by = &ground{newest, by.need}
	if newest.asks != nil && st.request != nil {
		if need := newest.asks(st.request); need != nil {
			by.need = need
		}
	}
	st.ground.Store(by)
	return by
}

// cached finds a stream's session under its present token in the cache. It returns a nil entry if it is not there.
func (s *State) cached(st *Stream) (token string, e *entry) {
	s.streams.mu.Lock()
	token = st.token
	s.streams.mu.Unlock()
	return token, s.cache.get(token)
}

// sessionOf finds a stream's session under its present token, in the cache or else in the store.
func (s *State) sessionOf(ctx context.Context, st *Stream) (token string, e *entry, err error) {
	gen := s.cache.gen.Load()
	if token, e = s.cached(st); e != nil {
		return token, e, nil
	}
	if st.access {
		e, err = s.loadAccessToken(ctx, gen, token)
		return token, e, err
	}
	if e, err = s.loadSession(ctx, gen, token); !errors.Is(err, ErrNoSession) {
		return token, e, err
	}
	if token, err = s.tokenOf(ctx, st.user, st.id); err != nil {
		return "", nil, err
	}
	s.streams.mu.Lock()
	st.token = token
	s.streams.mu.Unlock()
	e, err = s.loadSession(ctx, gen, token)
	return token, e, err
}

// tokenOf finds the present token of a session.
func (s *State) tokenOf(ctx context.Context, user, id string) (token string, err error) {
	err = s.store.View(ctx, func(tx storage.Tx) error {
		at, err := tx.Get(keyUserSessions(user) + id)
		token = string(at.Value)
		return err
	})
	if errors.Is(err, storage.ErrNotFound) {
		err = ErrNoSession
	}
	return token, err
}
