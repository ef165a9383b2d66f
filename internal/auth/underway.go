package auth

import "sync"

// Lasting is a request that may go on for longer than most.
type Lasting interface {
	// Lasts is called when the request is still going on at the first beat after it began, from anywhere and at most once. It must be quick:
	// other requests wait.
	// What it has watched by Enlist is held against its session right after.
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
	first  *Underway
	last   *Underway
}

// Begin has request told if it lasts. It returns false where everything has ended, and nobody will tell any more.
func (s *State) Begin(u *Underway, request Lasting) bool {
	o := &s.underway
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return false
	}
	u.request, u.beat, u.prev = request, s.Beat(), o.last
	if o.last == nil {
		o.first = u
	} else {
		o.last.next = u
	}
	o.last = u
	return true
}

// Over forgets a request: it is not told when Over has returned, nor being told. It may come more than once.
func (s *State) Over(u *Underway) {
	s.underway.mu.Lock()
	defer s.underway.mu.Unlock()
	s.underway.remove(u)
}

func (o *underway) remove(u *Underway) {
	if u.request == nil {
		return
	}
	if u.prev == nil {
		o.first = u.next
	} else {
		u.prev.next = u.next
	}
	if u.next == nil {
		o.last = u.prev
	} else {
		u.next.prev = u.prev
	}
	*u = Underway{}
}

// tell tells those that began before the beat, and has it that no more begin if that is the last.
func (o *underway) tell(beat uint64, last bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = o.closed || last
	for o.first != nil && o.first.beat < beat {
		request := o.first.request
		o.remove(o.first)
		request.Lasts()
	}
}
