package auth_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/storage"
)

// silentStore is a store that answers no more once it was silenced: whoever asks gets what those get who wait in vain. It notes until
// when each would have waited.
type silentStore struct {
	storage.Store
	mu     sync.Mutex
	silent bool
	until  []time.Time
}

func (s *silentStore) View(ctx context.Context, fn func(storage.Tx) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.silent {
		return s.Store.View(ctx, fn)
	}
	if until, ok := ctx.Deadline(); ok { // a look, and nothing else that goes on
		s.until = append(s.until, until)
	}
	return context.DeadlineExceeded
}

func (s *silentStore) silence() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.silent = true
}

// Streams of many sessions, of which none is in memory, wait for the store as long as one, and those that memory is enough for do
// not wait at all.
func TestOneLookWaitsOnce(t *testing.T) { // S73, S76
	base := newRig(t)
	store := &silentStore{Store: base.store}
	r := newRigOn(t, base.clock, store)
	known, p := r.person("bob"), r.person("alice")
	r.signIn(known, known.home)
	lines := []*line{r.watch(known.home, everybody)}
	for range 8 {
		b := newBrowser()
		r.signIn(p, b)
		lines = append(lines, r.watch(b, everybody))
	}
	store.silence()
	r.state.Forget("alice")
	for _, l := range lines[1:] {
		l.ended(t)
	}
	lines[0].goesOn(t, r)
	store.mu.Lock()
	defer store.mu.Unlock()
	looks := map[time.Time]bool{}
	for _, until := range store.until {
		looks[until] = true
	}
	if len(looks) > 2 { // one may have been under way
		t.Errorf("they wait until %v, one after another", store.until)
	}
	if len(store.until) != len(lines)-1 {
		t.Errorf("the store was asked %d times, want %d", len(store.until), len(lines)-1)
	}
}

// told counts how often it is told that it lasts.
type told struct{ times chan struct{} }

func (r told) Lasts() { r.times <- struct{}{} }

func TestWhatLastsIsTold(t *testing.T) { // S73
	r := newRig(t)
	var short, long, last auth.Underway
	often := told{make(chan struct{}, 10)}
	if !r.Begin(&short, often) || !r.Begin(&long, often) || !r.Begin(&last, often) {
		t.Fatal("nothing may begin")
	}
	r.Over(&short)
	r.Over(&short)
	<-often.times
	<-often.times
	for from := r.Beat(); r.Beat() < from+2; {
		<-time.After(10 * time.Millisecond)
	}
	r.Over(&long)
	if len(often.times) > 0 {
		t.Error("one that is over, or told already, is told")
	}
	if !r.Begin(&short, often) || !r.Begin(&long, often) { // once more
		t.Fatal("nothing may begin")
	}
	r.Over(&long)
	if err := r.state.Close(); err != nil {
		t.Fatal(err)
	}
	if len(often.times) != 1 {
		t.Errorf("at the end %d are told, want 1", len(often.times))
	}
	if r.Begin(&last, often) {
		t.Error("one begins though nobody would tell it")
	}
}
