package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
)

const (
	crashRounds  = 50
	crashWorkers = 4
)

// TestCrashes works on the real binary, kills it at random moments, starts it again and compares what it knows with what it had
// acknowledged. Every person is looked after by one worker, so there is one truth about each.
func TestCrashes(t *testing.T) { // S17, S33, S54, S89, S90
	t.Parallel()
	s := start(t, rig.Config{Caddyfile: rig.Proxied})
	seed := uint64(time.Now().UnixNano())
	rnd := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	workers := make([]*worker, crashWorkers)
	sent := make(chan struct{}, 1) // a code is on its way
	for i := range workers {
		workers[i] = &worker{t: t, s: s, n: i, rnd: rand.New(rand.NewPCG(seed, uint64(i+1))), sent: sent}
	}
	// Where the machine is busy, codes are seldom caught on their way: then it takes more rounds.
	for round := 0; round < crashRounds || round < 2*crashRounds && !sum(workers).enough(); round++ {
		ctx, stop := context.WithCancel(t.Context())
		each(workers, func(w *worker) {
			for ctx.Err() == nil {
				w.act(ctx)
			}
		}, func() {
			<-time.After(time.Duration(rnd.IntN(800)) * time.Millisecond)
			switch round % 4 {
			case 1:
				underway(sent, time.Duration(rnd.IntN(60_000))*time.Microsecond)
			case 3:
				afterSignIn(s)
			}
			s.Kill()
			stop()
		})
		rig.CloseIdle()
		if err := s.Again(t.Context()); err != nil {
			t.Fatalf("round %d: the server does not start again: %v", round, err)
		}
		each(workers, (*worker).check, nil)
		if t.Failed() {
			t.Fatalf("failed in round %d", round)
		}
	}
	all := sum(workers)
	t.Logf("%+v", all)
	if !all.enough() {
		t.Error("too little happened between the crashes to prove anything")
	}
}

// happened is what the workers went through.
type happened struct {
	users   int
	refused int // used codes
	lost    int // codes without an answer, tried again
	counted int // those of them that had counted
}

func sum(workers []*worker) (h happened) {
	for _, w := range workers {
		h.users += len(w.people)
		h.refused += w.refused
		h.lost += w.lost
		h.counted += w.counted
	}
	return h
}

// enough reports whether it is enough to prove something.
func (h happened) enough() bool {
	return h.users >= crashRounds/2 && h.refused >= crashRounds/4 && h.lost >= crashRounds/5 && h.counted > 0
}

// underway waits until a code is sent, and then some: it or its answer is under way.
func underway(sent <-chan struct{}, after time.Duration) {
	select {
	case <-sent: // long ago
	default:
	}
	select {
	case <-sent:
		<-time.After(after)
	case <-time.After(time.Second):
	}
}

// afterSignIn waits until the server says that a code has opened a session: its answer is hardly on its way.
func afterSignIn(s *rig.Server) {
	const line = `"signed_in":true`
	before := strings.Count(s.Log.String(), line)
	for begun := time.Now(); strings.Count(s.Log.String(), line) == before && time.Since(begun) < time.Second; {
		<-time.After(50 * time.Microsecond)
	}
}

// each runs f for every worker at once, and beside them what else is given.
func each(workers []*worker, f func(*worker), beside func()) {
	var wg sync.WaitGroup
	for _, w := range workers {
		wg.Go(func() { f(w) })
	}
	if beside != nil {
		beside()
	}
	wg.Wait()
}

// worker looks after people: it makes accounts, signs them in and out, and remembers what was acknowledged.
type worker struct {
	t         *testing.T
	s         *rig.Server
	n         int
	rnd       *rand.Rand
	sent      chan<- struct{} // told of every code that is sent
	people    []*account
	touched   []*account // since the last start
	named     int        // how many names were given away
	addressed int        // how many addresses

	refused int // used codes that were verified again, and refused
	lost    int // codes whose answer a crash took, and that were verified again
	counted int // of these, those that had opened a session
}

// account is what the server acknowledged about a person. What was under way when it died may have happened or not.
type account struct {
	rig.Person
	complete bool // enrolled, and the recovery codes are confirmed
	in, out  []*rig.Visitor
	used     []string // codes that opened a session
	lost     []try    // codes that may have
	groups   int      // how many were added
	unsure   bool     // a group was under way
}

// try is a code that no answer came to, and the address it came from, which no other sign-in has.
type try struct{ code, addr string }

// act does one thing with somebody.
func (w *worker) act(ctx context.Context) {
	if len(w.people) == 0 || w.rnd.IntN(3) == 0 {
		w.signUp(ctx)
		return
	}
	a := w.people[w.rnd.IntN(len(w.people))]
	w.touched = append(w.touched, a)
	switch n := w.rnd.IntN(4); {
	case !a.complete:
		w.during(a, w.finish(ctx, a))
	case n == 0 && len(a.in) > 0:
		w.signOut(ctx, a)
	case n == 1:
		a.unsure = true
		if _, err := w.s.API(ctx, "user/group", map[string]any{"name": a.Name, "add": []string{fmt.Sprintf("g%d", a.groups)}}); err == nil {
			a.groups++
			a.unsure = false
		}
	default:
		w.signIn(ctx, a)
	}
}

func (w *worker) signUp(ctx context.Context) {
	w.named++
	name := fmt.Sprintf("user-%d-%d", w.n, w.named)
	a := &account{Person: rig.Person{Name: name, Password: "correct horse battery " + name}}
	if err := w.s.AddUser(ctx, &a.Person); err != nil {
		return // it may exist all the same, with nobody to look after it
	}
	w.people, w.touched = append(w.people, a), append(w.touched, a)
	w.during(a, w.finish(ctx, a))
}

// during judges an error between two crashes: a refusal is wrong, a lost connection is what this is about.
func (w *worker) during(a *account, err error) {
	if errors.Is(err, rig.ErrRefused) && !strings.Contains(err.Error(), ": 503:") {
		w.t.Errorf("%s: %v", a.Name, err)
	}
}

// finish signs in and does whatever is asked until the app is reached.
func (w *worker) finish(ctx context.Context, a *account) error {
	v := rig.NewVisitor(w.s.URL)
	page, err := a.SignIn(ctx, v, "/")
	if err != nil {
		return err
	}
	if page.Heading() != "Example app" {
		return fmt.Errorf("is at %s: %s", page.URL, page.Text())
	}
	a.complete = true
	a.in = append(a.in, v)
	return nil
}

// signIn uses a code of the phone if there is one left in this step, or else a recovery code.
func (w *worker) signIn(ctx context.Context, a *account) {
	v := w.visitor()
	page, err := v.Post(ctx, "/.mfa/login", url.Values{"name": {a.Name}, "password": {a.Password}})
	if err != nil || page.Status == http.StatusServiceUnavailable {
		return
	}
	one, ready, err := a.Phone.Next(time.Now())
	if err != nil {
		w.t.Error(err)
		return
	}
	if time.Until(ready) > 0 {
		if len(a.Recovery) == 0 {
			return
		}
		one, a.Recovery = a.Recovery[0], a.Recovery[1:]
	}
	select {
	case w.sent <- struct{}{}:
	default:
	}
	page, err = v.Post(ctx, "/.mfa/verify/totp", url.Values{"code": {one}})
	if err != nil {
		a.lost = append(a.lost, try{one, v.Addr})
		return
	}
	if page.Status == http.StatusServiceUnavailable {
		return
	}
	if page.Status == http.StatusTooManyRequests {
		return // by the codes that were tried again
	}
	if page.Status != http.StatusSeeOther || v.Cookie(sessionCookie) == "" {
		w.t.Errorf("%s: a fresh code gets %d: %s", a.Name, page.Status, page.Text())
		return
	}
	a.used = append(a.used, one)
	a.in = append(a.in, v)
}

func (w *worker) signOut(ctx context.Context, a *account) {
	v := a.in[0]
	a.in = a.in[1:]
	gone := v.Clone() // with the cookie that signing out takes away
	if page, err := v.Post(ctx, "/.mfa/logout", url.Values{}); err == nil && page.Status == http.StatusSeeOther {
		a.out = append(a.out, gone)
	}
}
