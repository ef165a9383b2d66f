package e2e

import (
	"context"
	"encoding/json"
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

// check compares the server with what it had acknowledged to the people who were touched.
func (w *worker) check() {
	for _, a := range w.touched {
		w.checkOne(a)
		a.out, a.used, a.lost = nil, nil, nil
	}
	w.touched = w.touched[:0]
}

func (w *worker) checkOne(a *account) {
	ctx := w.t.Context()
	groups, methods, err := w.show(ctx, a.Name)
	if err != nil {
		w.t.Errorf("%s is lost: %v", a.Name, err)
		return
	}
	most := a.groups
	if a.unsure {
		most++
	}
	if groups < a.groups || groups > most {
		w.t.Errorf("%s has %d groups, want %d", a.Name, groups, a.groups)
	}
	a.groups, a.unsure = groups, false
	for _, v := range a.in {
		if !signedIn(w.t, v) {
			w.t.Errorf("%s was signed out by the crash", a.Name)
		}
	}
	for _, v := range a.out {
		if signedIn(w.t, v) {
			w.t.Errorf("%s is signed in again after signing out", a.Name)
		}
	}
	for _, l := range a.lost {
		w.retry(ctx, a, l)
	}
	for _, c := range a.used[max(0, len(a.used)-2):] { // more wrong answers would close the account for a while
		w.replay(ctx, a, c)
	}
	if !a.complete {
		if err := w.finish(ctx, a); err != nil {
			w.t.Errorf("%s (%s) cannot finish what the crash interrupted: %v", a.Name, methods, err)
		}
	}
}

// visitor is somebody at an address of their own: wrong answers are counted for each address, too.
func (w *worker) visitor() *rig.Visitor {
	w.addressed++
	v := rig.NewVisitor(w.s.URL)
	v.Addr = fmt.Sprintf("2001:db8:%x:%x::1", w.n+1, w.addressed)
	return v
}

// verify signs in with the password and a code that was sent before. The server knows the code from wrong ones only where the
// status is 303 or 401; others mean that it did not look.
func (w *worker) verify(ctx context.Context, a *account, code string) (v *rig.Visitor, status int) {
	v = w.visitor()
	if _, err := v.Post(ctx, "/.mfa/login", url.Values{"name": {a.Name}, "password": {a.Password}}); err != nil {
		w.t.Errorf("%s cannot sign in: %v", a.Name, err)
		return v, 0
	}
	page, err := v.Post(ctx, "/.mfa/verify/totp", url.Values{"code": {code}})
	if err != nil {
		w.t.Errorf("%s: %v", a.Name, err)
		return v, 0
	}
	in := signedIn(w.t, v)
	switch page.Status {
	case http.StatusSeeOther, http.StatusUnauthorized, http.StatusTooManyRequests, http.StatusServiceUnavailable:
		if in == (page.Status == http.StatusSeeOther) {
			return v, page.Status
		}
	}
	w.t.Errorf("%s: the code %s gets %d, signed in: %v: %s", a.Name, code, page.Status, in, page.Text())
	return v, 0
}

// replay tries a code that has opened a session before.
func (w *worker) replay(ctx context.Context, a *account, used string) {
	switch _, status := w.verify(ctx, a, used); status {
	case http.StatusSeeOther:
		w.t.Errorf("%s: the used code %s opened a second session", a.Name, used)
	case http.StatusUnauthorized:
		w.refused++
	}
}

// retry tries a code whose answer was lost. Using it and opening the session are one, so of the two tries one has opened a session:
// the lost one if it was used up by it, or else this one. A code of the phone may have grown too old meanwhile.
func (w *worker) retry(ctx context.Context, a *account, l try) {
	before := w.sessionsFrom(ctx, a.Name, l.addr)
	v, status := w.verify(ctx, a, l.code)
	opened := before
	switch status {
	case http.StatusSeeOther:
		opened++
		a.in, a.used = append(a.in, v), append(a.used, l.code)
	case http.StatusUnauthorized:
	default:
		return
	}
	w.lost++
	w.counted += before
	if recovery := strings.Contains(l.code, "-"); opened > 1 || recovery && opened == 0 {
		w.t.Errorf("%s: the code %s, whose answer was lost, opened %d sessions, %d of them before the crash", a.Name, l.code, opened, before)
	}
}

// sessionsFrom counts the live sessions of a user that were opened from an address.
func (w *worker) sessionsFrom(ctx context.Context, name, addr string) (n int) {
	var list []struct {
		Addr string `json:"addr"`
	}
	if err := w.ask(ctx, "session/list", name, &list); err != nil {
		w.t.Errorf("%s: %v", name, err)
	}
	for _, s := range list {
		if s.Addr == addr {
			n++
		}
	}
	return n
}

// show asks for a user as an admin would.
func (w *worker) show(ctx context.Context, name string) (groups int, methods string, err error) {
	var u struct {
		Name    string   `json:"name"`
		Groups  []string `json:"groups"`
		Methods []string `json:"methods"`
	}
	if err := w.ask(ctx, "user/show", name, &u); err != nil {
		return 0, "", err
	}
	if u.Name != name {
		return 0, "", fmt.Errorf("%q is shown", u.Name)
	}
	return len(u.Groups), strings.Join(u.Methods, ","), nil
}

// ask reads from the admin API what an operation says of a user.
func (w *worker) ask(ctx context.Context, op, name string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+w.s.Admin+"/mfa/"+op+"?name="+name, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: status %d", op, resp.StatusCode)
	}
	return json.NewDecoder(resp.Body).Decode(into)
}
