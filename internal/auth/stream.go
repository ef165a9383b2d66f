package auth

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// streamEvery is how often every stream is held against its session.
	streamEvery = 500 * time.Millisecond
	// streamPause is what lies between two such looks at least, however many sessions end.
	streamPause = 50 * time.Millisecond
)

// Stream is a request that goes on: a WebSocket, an event stream, a long download. It may do so for as long as its session lasts
// and is allowed what the request needs (Holds), by the newest configuration: what it needed when it came may have changed since.
type Stream struct {
	realm   *Realm // that it began with
	request any    // what Config.Asks is asked about; nil: nothing
	ground  atomic.Pointer[ground]
	user    string
	id      string // of the session: its token changes at a step-up, and its streams stay
	end     func()
	heard   atomic.Bool

	access bool   // it is an access token's
	guest  string // the opening of a guest link, "" for none
	token  string // the session's, as it was found last; guarded by streams.mu
}

// ground is what a stream is judged by.
type ground struct {
	realm *Realm
	need  *Requirement
}

// streams are those that are open.
type streams struct {
	running sync.WaitGroup
	beat    atomic.Uint64

	mu     sync.Mutex
	closed bool
	open   map[*Stream]struct{}
}

// Watch has a request ended when it may no longer go on. s and need are what Decide or DecideToken allowed it on; need must not be changed.
// request is what newer configurations are asked about (Config.Asks).
// end is called once, from anywhere, possibly before Watch returns and shortly after Close; it must not wait for anything.
//
// Whatever happened to the session since it was read is found by the next look at all streams, or at once by Look.
func (r *Realm) Watch(s *Session, need *Requirement, request any, end func()) *Stream {
	st := &Stream{realm: r, request: request, user: s.UserID, id: s.ID, token: s.Token, end: end, access: s.Access != nil, guest: s.opening}
	st.ground.Store(&ground{r, need})
	if !r.streams.add(st) {
		end()
	}
	return st
}

// Look holds the stream against its session now, so that nothing falls between the decision and the watch.
func (st *Stream) Look() { st.realm.endStreams(st.realm.life, []*Stream{st}) }

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
			s.underway.tell(s.streams.beat.Add(1), false)
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
	s.underway.tell(s.streams.beat.Add(1), true)
	s.endStreams(ctx, s.streams.all(nil))
}
