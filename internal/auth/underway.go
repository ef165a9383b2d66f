package auth

import "sync"

// Lasting is a request that may go on for longer than most.
type Lasting interface {
	// Lasts is called when the request is still going on at the first beat after it began, from anywhere and at most once. It must be
	// quick: other requests wait. What it has watched is held against its session right after.
	Lasts()
}

// Underway is a request's place among those that have begun and are not over. It lies in an allocation that the request has anyway, and
// costs it two turns of a lock. Its zero value is ready; it must not be copied once it is in use.
type Underway struct {
	request    Lasting // nil: it is not among them
	beat       uint64
	prev, next *Underway
}

// underway are the requests whose first beat is to come, in the order in which they began.
type underway struct {
	mu     sync.Mutex
	closed bool
	ring   Underway // before the first and after the last
}

// Begin has request told if it lasts. It returns false where everything has ended, and nobody will tell any more.
func (s *State) Begin(u *Underway, request Lasting) bool {
	o := &s.underway
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return false
	}
	if o.ring.next == nil {
		o.ring.prev, o.ring.next = &o.ring, &o.ring
	}
	*u = Underway{request: request, beat: s.Beat(), prev: o.ring.prev, next: &o.ring}
	u.prev.next, o.ring.prev = u, u
	return true
}

// Over forgets a request: it is not told when Over has returned, nor being told. It may come more than once.
func (s *State) Over(u *Underway) {
	s.underway.mu.Lock()
	defer s.underway.mu.Unlock()
	u.leave()
}

func (u *Underway) leave() {
	if u.request != nil {
		u.prev.next, u.next.prev = u.next, u.prev
		*u = Underway{}
	}
}

// tell tells those that began before the beat, and has it that no more begin if that is the last.
func (o *underway) tell(beat uint64, last bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = last
	for u := o.ring.next; u != nil && u.request != nil && u.beat < beat; u = o.ring.next {
		request := u.request
		u.leave()
		request.Lasts()
	}
}
