package auth_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/storage"
)

// everybody is what a site without options asks for.
var everybody = &auth.Requirement{Mode: auth.ModeSignedIn}

// line is a stream as its handler sees it.
type line struct {
	*auth.Stream
	ends atomic.Int32
	over chan struct{}
}

// watch begins a stream in the session of b, as a gate does.
func (r *rig) watch(b *browser, need *auth.Requirement) *line {
	r.t.Helper()
	s, u, err := r.Session(r.t.Context(), b.v.Host, b.v.Session)
	if err != nil || auth.Decide(r.clock.Now(), *need, u, s) != auth.Allow {
		r.t.Fatalf("a request does not pass: %v", err)
	}
	return r.watchSession(s, need)
}

func (r *rig) watchSession(s *auth.Session, need *auth.Requirement) *line {
	r.t.Helper()
	l := &line{over: make(chan struct{})}
	l.Stream = r.Watch(s, need, nil, func() {
		if l.ends.Add(1) == 1 {
			close(l.over)
		}
	})
	l.Look()
	return l
}

// ended waits for the end.
func (l *line) ended(t testing.TB) {
	t.Helper()
	select {
	case <-l.over:
	case <-time.After(10 * time.Second):
		t.Fatal("the stream goes on")
	}
}

// goesOn fails the test if the stream has ended. Every stream is looked at between two beats of the clock that ticks for all.
func (l *line) goesOn(t testing.TB, r *rig) {
	t.Helper()
	for from := r.Beat(); r.Beat() < from+2; {
		select {
		case <-l.over:
			t.Fatal("the stream has ended")
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func TestStreamEndsWithItsSession(t *testing.T) { // S54, S55, S56, S57, S73
	ops := &auth.Requirement{Mode: auth.ModeSignedIn, Allow: []auth.Principal{{Group: "ops"}}}
	for _, c := range []struct {
		name string
		end  func(r *rig, p *person) error
	}{
		{"signed out", func(r *rig, p *person) error { _, err := r.SignOut(r.t.Context(), p.home.v); return err }},
		{"ended by its owner", func(r *rig, p *person) error {
			b := newBrowser()
			r.signIn(p, b)
			s, _, err := r.Session(r.t.Context(), host, p.home.v.Session)
			if err == nil {
				r.changes(b, auth.Change{Op: auth.ChangeEndSession, Session: s.ID})
			}
			return err
		}},
		{"all others ended by their owner", func(r *rig, p *person) error {
			b := newBrowser()
			r.signIn(p, b)
			r.changes(b, auth.Change{Op: auth.ChangeEndOthers})
			return nil
		}},
		{"ended by an admin", func(r *rig, p *person) error {
			s, _, err := r.Session(r.t.Context(), host, p.home.v.Session)
			if err == nil {
				_, err = r.RevokeSessions(r.t.Context(), p.name, s.ID)
			}
			return err
		}},
		{"all ended by an admin", func(r *rig, p *person) error { _, err := r.RevokeSessions(r.t.Context(), p.name, ""); return err }},
		{"another sign-in in the browser", func(r *rig, p *person) error { r.signIn(p, p.home); return nil }},
		{"user disabled", func(r *rig, p *person) error { return r.SetDisabled(r.t.Context(), p.name, true) }},
		{"user deleted", func(r *rig, p *person) error { return r.DeleteUser(r.t.Context(), p.name) }},
		{"reset", func(r *rig, p *person) error { return r.ResetMFA(r.t.Context(), p.name) }},
		{"group taken away", func(r *rig, p *person) error {
			_, err := r.ChangeGroups(r.t.Context(), p.name, nil, []string{"ops"})
			return err
		}},
		{"idle", func(r *rig, _ *person) error { r.clock.Add(time.Hour); return nil }},
		{"too old", func(r *rig, p *person) error {
			for range 48 {
				r.clock.Add(30 * time.Minute)
				r.signedIn(p.home)
			}
			return nil
		}},
		{"the store is closed", func(r *rig, _ *person) error { return r.state.Close() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			p, other := r.person("alice", "ops"), r.person("bob", "ops")
			r.signIn(p, p.home)
			r.signIn(other, other.home)
			l, theirs := r.watch(p.home, ops), r.watch(other.home, ops)
			if err := c.end(r, p); err != nil {
				t.Fatal(err)
			}
			l.ended(t)
			switch c.name {
			case "idle", "too old", "the store is closed":
				theirs.ended(t)
			default:
				theirs.goesOn(t, r)
				theirs.Close()
			}
			l.Close() // as its handler does, whatever came before
			if n := l.ends.Load(); n != 1 {
				t.Errorf("ended %d times", n)
			}
			if n := r.Streams(); n != 0 {
				t.Errorf("%d streams are left", n)
			}
		})
	}
}

// A step-up gives a session another token, and what its streams end with stays the same.
func TestStreamOutlivesItsToken(t *testing.T) { // S52, S73
	r := newRig(t)
	p := r.person("alice")
	r.signIn(p, p.home)
	l, old := r.watch(p.home, everybody), p.home.v.Session
	s, _, err := r.Session(t.Context(), host, old)
	if err != nil {
		t.Fatal(err)
	}
	r.clock.Add(15 * time.Minute)
	r.must(p.home, auth.StepVerify)(r.Change(t.Context(), p.home.v, auth.Change{Op: auth.ChangeRename, Credential: r.apps("alice")[0], Label: "phone"}, ""))
	r.must(p.home, auth.StepVerify)(r.Prove(t.Context(), p.home.v, auth.MethodPassword, []byte(password)))
	r.must(p.home, auth.StepDone)(r.Prove(t.Context(), p.home.v, auth.MethodTOTP, []byte(p.now())))
	if p.home.v.Session == old {
		t.Fatal("the token is the same")
	}
	l.goesOn(t, r)
	late := r.watchSession(s, everybody) // as of a request that came with the old token
	late.goesOn(t, r)
	if _, err := r.SignOut(t.Context(), p.home.v); err != nil {
		t.Fatal(err)
	}
	l.ended(t)
	late.ended(t)
}

// The session may end after the gate has decided and before the stream is watched.
func TestStreamOfASessionThatHasEnded(t *testing.T) { // S73
	r := newRig(t)
	p := r.person("alice")
	r.signIn(p, p.home)
	s, _, err := r.Session(t.Context(), host, p.home.v.Session)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.SignOut(t.Context(), p.home.v); err != nil {
		t.Fatal(err)
	}
	l := r.watchSession(s, everybody)
	if n := l.ends.Load(); n != 1 {
		t.Errorf("ended %d times", n)
	}
	if n := r.Streams(); n != 0 {
		t.Errorf("%d streams are left", n)
	}
}

func TestStreamsBegunWhileTheSessionEnds(t *testing.T) { // S73
	r := newRig(t)
	p := r.person("alice")
	r.signIn(p, p.home)
	s, _, err := r.Session(t.Context(), host, p.home.v.Session)
	if err != nil {
		t.Fatal(err)
	}
	lines := make([]*line, 50)
	var wg sync.WaitGroup
	for i := range lines {
		wg.Go(func() { lines[i] = r.watchSession(s, everybody) })
	}
	wg.Go(func() {
		if _, err := r.RevokeSessions(context.Background(), "alice", s.ID); err != nil {
			t.Error(err)
		}
	})
	wg.Wait()
	for i, l := range lines {
		l.ended(t)
		if n := l.ends.Load(); n != 1 {
			t.Errorf("stream %d ended %d times", i, n)
		}
	}
	if n := r.Streams(); n != 0 {
		t.Errorf("%d streams are left", n)
	}
}

// A stream is no sign of life by itself, or else a page that is left open would keep its session for ever. What the person sends is.
func TestHearingFromAStreamIsASignOfLife(t *testing.T) { // S55
	r := newRig(t)
	p := r.person("alice")
	r.signIn(p, p.home)
	active, silent := r.watch(p.home, everybody), newBrowser()
	r.signIn(p, silent)
	quiet := r.watch(silent, everybody)
	for range 3 {
		r.clock.Add(25 * time.Minute)
		active.Heard()
		active.goesOn(t, r)
	}
	quiet.ended(t)
	if s, _, err := r.PeekSession(t.Context(), host, p.home.v.Session); err != nil || r.clock.Now().Sub(s.Seen) > time.Minute {
		t.Errorf("seen at %v: %v", s, err)
	}
	r.clock.Add(61 * time.Minute)
	active.Heard() // comes too late
	active.ended(t)
}

// What was begun with a fresh proof is not cut off because the proof has grown old.
func TestStreamOutlivesMaxAge(t *testing.T) {
	r := newRig(t)
	p := r.person("alice")
	r.signIn(p, p.home)
	fresh := &auth.Requirement{Mode: auth.ModeSignedIn, Methods: []string{auth.MethodTOTP}, MaxAge: 15 * time.Minute}
	l := r.watch(p.home, fresh)
	r.clock.Add(20 * time.Minute)
	l.goesOn(t, r)
	l.Close()
}

// A config that was reloaded held sessions to its own limits; its streams still end by them.
func TestStreamKeepsItsConfigsLimits(t *testing.T) { // S55
	r := newRig(t)
	p := r.person("alice")
	r.signIn(p, p.home)
	strict := &rig{Realm: r.realm(func(c *auth.Config) { c.Idle = 10 * time.Minute }), t: t, clock: r.clock}
	l := strict.watch(p.home, everybody)
	r.clock.Add(11 * time.Minute)
	l.ended(t)
}

func TestStreamEndsWhereTheStoreFails(t *testing.T) { // S76
	r := newRig(t)
	p := r.person("alice")
	r.signIn(p, p.home)
	s, _, err := r.Session(t.Context(), host, p.home.v.Session)
	if err != nil {
		t.Fatal(err)
	}
	l := r.watchSession(s, everybody)
	if err := r.store.Close(); err != nil {
		t.Fatal(err)
	}
	l.goesOn(t, r) // what is in memory is enough, as it is for requests
	if err := r.SetDisabled(t.Context(), "alice", true); !errors.Is(err, storage.ErrClosed) {
		t.Fatalf("got %v", err)
	}
	if _, err := r.SignOut(t.Context(), p.home.v); !errors.Is(err, storage.ErrClosed) {
		t.Fatalf("got %v", err)
	}
	l.ended(t)
}

func TestHolds(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	user := func(change func(*auth.User)) *auth.User {
		u := &auth.User{ID: "u", Name: "alice", Groups: []string{"ops"}}
		change(u)
		return u
	}
	session := func(change func(*auth.Session)) *auth.Session {
		s := &auth.Session{UserID: "u", End: now.Add(time.Hour), IdleEnd: now.Add(time.Hour), Proofs: []auth.Proof{
			{Method: auth.MethodPassword, Kinds: auth.Knowledge, At: now.Add(-time.Hour)}, {Method: auth.MethodTOTP, Kinds: auth.Possession, At: now.Add(-time.Hour)},
		}}
		change(s)
		return s
	}
	same, sameSession := func(*auth.User) {}, func(*auth.Session) {}
	ops := auth.Requirement{Mode: auth.ModeSignedIn, Allow: []auth.Principal{{Group: "ops"}}, Methods: []string{auth.MethodTOTP}, MaxAge: time.Minute}
	for _, c := range []struct {
		name string
		need auth.Requirement
		u    *auth.User
		s    *auth.Session
		want bool
	}{
		{"nothing", auth.Requirement{}, nil, nil, false},
		{"zero requirement", auth.Requirement{}, user(same), session(sameSession), false},
		{"all as it was", ops, user(same), session(sameSession), true},
		{"no user", ops, nil, session(sameSession), false},
		{"no session", ops, user(same), nil, false},
		{"disabled", ops, user(func(u *auth.User) { u.Disabled = true }), session(sameSession), false},
		{"another epoch", ops, user(func(u *auth.User) { u.Epoch = 1 }), session(sameSession), false},
		{"another group", ops, user(func(u *auth.User) { u.Groups = []string{"dev"} }), session(sameSession), false},
		{"idle", ops, user(same), session(func(s *auth.Session) { s.IdleEnd = now }), false},
		{"over", ops, user(same), session(func(s *auth.Session) { s.End = now }), false},
		{"one kind", ops, user(same), session(func(s *auth.Session) { s.Proofs = slices.Delete(s.Proofs, 0, 1) }), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := auth.Holds(now, c.need, c.u, c.s); got != c.want {
				t.Errorf("got %t", got)
			}
		})
	}
}

// BenchmarkStreams is what 10000 streams cost twice a second.
func BenchmarkStreams(b *testing.B) {
	r := newRig(b)
	p := r.person("alice")
	r.signIn(p, p.home)
	for range 10000 {
		r.watch(p.home, everybody)
	}
	b.ReportAllocs()
	for b.Loop() {
		r.state.LookAtStreams()
	}
}
