package auth

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-mfa/caddy-mfa/storage"
)

const (
	// streamEvery is how often every stream is held against its session.
	streamEvery = 500 * time.Millisecond
	// streamPause is what lies between two such looks at least, however many sessions end.
	streamPause = 50 * time.Millisecond
	// streamWait bounds the wait for the store, for a session that is not in the cache.
	streamWait = 5 * time.Second
)

// Stream is a request that goes on: a WebSocket, an event stream, a long download. It may do so for as long as its session lasts
// and is allowed what it was allowed when the request came (Holds).
type Stream struct {
	realm *Realm
	need  *Requirement
	user  string
	id    string // of the session: its token changes at a step-up, and its streams stay
	end   func()
	heard atomic.Bool

	token string // the session's, as it was found last; guarded by streams.mu
}

// streams are those that are open.
type streams struct {
	running sync.WaitGroup
	beat    atomic.Uint64

	mu     sync.Mutex
	closed bool
	open   map[*Stream]struct{}
}

// Watch has a request ended when it may no longer go on. s and need are what Decide allowed it on; need must not be changed. end is
// called once, from anywhere, possibly before Watch returns and shortly after Close; it must not wait for anything.
//
// Whatever happened to the session since it was read is found here, so that nothing falls between the decision and the watch.
func (r *Realm) Watch(ctx context.Context, s *Session, need *Requirement, end func()) *Stream {
	st := &Stream{realm: r, need: need, user: s.UserID, id: s.ID, token: s.Token, end: end}
	if !r.streams.add(st) {
		end()
	} else if !r.holds(ctx, r.now(), st) && r.streams.remove(st) {
		end()
	}
	return st
}

// Close forgets a stream that is over.
func (st *Stream) Close() { st.realm.streams.remove(st) }

// Heard notes that the person did something on the stream, which is as much a sign of life as a request (S55).
func (st *Stream) Heard() {
	if !st.heard.Load() { // most of the time it is known, and other streams' readers are not disturbed
		st.heard.Store(true)
	}
}

// Beat is a clock that costs nothing to read: two readings that are the same are less than a second apart. It stands still once the
// State is closed.
func (s *State) Beat() uint64 { return s.streams.beat.Load() }

// Streams is how many are open.
func (s *State) Streams() int {
	s.streams.mu.Lock()
	defer s.streams.mu.Unlock()
	return len(s.streams.open)
}

// add returns false where everything has ended.
func (o *streams) add(st *Stream) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return false
	}
	if o.open == nil {
		o.open = map[*Stream]struct{}{}
	}
	o.open[st] = struct{}{}
	return true
}

// remove reports whether st was there: of several who end it, one does.
func (o *streams) remove(st *Stream) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, ok := o.open[st]
	delete(o.open, st)
	return ok
}

// all appends the open streams to buf.
func (o *streams) all(buf []*Stream) []*Stream {
	o.mu.Lock()
	defer o.mu.Unlock()
	for st := range o.open {
		buf = append(buf, st)
	}
	return buf
}

// watchStreams looks at the streams now and then, and at once when something was invalidated here. So an end that only time brings,
// or another node, is found as well. When the State is closed nobody can tell any more who may go on, and nobody may.
func (s *State) watchStreams(ctx context.Context) {
	tick := time.NewTicker(streamEvery)
	defer tick.Stop()
	var buf []*Stream
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-s.cache.ended:
		case <-tick.C:
			s.streams.beat.Add(1)
		}
		buf = s.endStreams(ctx, s.streams.all(buf[:0]))
		clear(buf) // so that it holds on to none
		select {
		case <-ctx.Done():
		case <-time.After(streamPause):
		}
	}
	s.streams.mu.Lock()
	s.streams.closed = true
	s.streams.mu.Unlock()
	s.streams.beat.Add(1) // for requests that are under way
	s.endStreams(ctx, s.streams.all(nil))
}

// endStreams ends those that may not go on. It returns its argument.
func (s *State) endStreams(ctx context.Context, all []*Stream) []*Stream {
	type who struct{ user, session string }
	var ended map[who]int
	now := s.now()
	for _, st := range all {
		if ctx.Err() == nil && s.holds(ctx, now, st) || !s.streams.remove(st) {
			continue
		}
		st.end()
		if ended == nil {
			ended = map[who]int{}
		}
		ended[who{st.user, st.id}]++
	}
	for w, n := range ended { // one line for 10000 streams
		s.log.Info("ended the streams of a session", "user", w.user, "session", w.session, "streams", n)
	}
	return all
}

// holds reports whether a stream may go on. One whose session can be found neither in memory nor in the store may not: a request
// would not pass either.
func (s *State) holds(ctx context.Context, now time.Time, st *Stream) bool {
	token, e, err := s.sessionOf(ctx, st)
	if err != nil {
		if !errors.Is(err, ErrNoSession) && ctx.Err() == nil {
			s.log.Warn("a stream is ended because its session cannot be read", "session", st.id, "error", err)
		}
		return false
	}
	cur := e.session.Load()
	if !st.realm.stands(now, e, cur) || !Holds(now, *st.need, e.user, cur) {
		return false
	}
	if st.heard.Load() && st.heard.Swap(false) {
		st.realm.see(found{now, token, e, cur})
	}
	return true
}

// sessionOf finds a stream's session under its present token, in the cache or else in the store.
func (s *State) sessionOf(ctx context.Context, st *Stream) (token string, e *entry, err error) {
	gen := s.cache.gen.Load()
	s.streams.mu.Lock()
	token = st.token
	s.streams.mu.Unlock()
	if e := s.cache.get(token); e != nil {
		return token, e, nil
	}
	ctx, cancel := context.WithTimeout(ctx, streamWait)
	defer cancel()
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
