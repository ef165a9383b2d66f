package auth_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/storage"
)

// crowd stores n sessions that are like the one in b, but for what change does.
func (r *rig) crowd(b *browser, n int, change func(i int, s *auth.Session)) {
	r.t.Helper()
	like, _, err := r.Session(r.t.Context(), b.v.Host, b.v.Session)
	if err != nil {
		r.t.Fatal(err)
	}
	for first := 0; first < n; first += 100 {
		err := r.store.Update(r.t.Context(), func(tx storage.Tx) (err error) {
			for i := first; i < min(first+100, n); i++ {
				s := *like
				s.ID, s.Token = fmt.Sprintf("%032x", i), fmt.Sprintf("%064x", i)
				change(i, &s)
				value, bad := json.Marshal(s)
				err = errors.Join(err, bad, tx.Put("session/"+s.Token, value, s.End), tx.Put("user-session/"+s.UserID+"/"+s.ID, []byte(s.Token), s.End))
			}
			return err
		})
		if err != nil {
			r.t.Fatal(err)
		}
	}
}

func same(int, *auth.Session) {}

// sessions are the IDs of alice's that are live.
func (r *rig) sessions() map[string]bool {
	r.t.Helper()
	all, err := r.Sessions(r.t.Context(), "alice")
	if err != nil {
		r.t.Fatal(err)
	}
	ids := map[string]bool{}
	for _, s := range all {
		ids[s.ID] = true
	}
	return ids
}

// TestManySessionsEnd: more than one transaction can delete.
func TestManySessionsEnd(t *testing.T) { // S56, S57
	for name, c := range map[string]auth.Change{
		"all others":                    {Op: auth.ChangeEndOthers},
		"a new password":                {Op: auth.ChangePassword, Password: newPassword},
		"those that a removed app made": {Op: auth.ChangeRemove, EndSessions: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			p, b := r.person("alice"), newBrowser()
			if c.Op == auth.ChangeRemove {
				c.Credential = r.apps("alice")[0]
			}
			r.signIn(p, b)
			r.add(b)
			other := newBrowser()
			r.signIn(p, other)
			r.signIn(p, b) // in place of the one before
			if n := len(r.sessions()); n != 3 {
				t.Fatalf("%d sessions", n)
			}
			if _, err := r.SignOut(t.Context(), p.home.v); err != nil {
				t.Fatal(err)
			}
			r.crowd(b, 4000, same)
			l := r.watch(other, everybody)
			kept := b.v.Session
			r.changes(b, c)
			l.ended(t)
			if r.signedIn(other) || !r.signedIn(b) || len(r.sessions()) != 1 {
				t.Errorf("elsewhere %v, here %v, %d sessions", r.signedIn(other), r.signedIn(b), len(r.sessions()))
			}
			if b.v.Session == kept || r.signedIn(&browser{auth.Visit{Host: host, Session: kept}}) {
				t.Error("the token was not rotated")
			}
			if a, z := len(r.keys("session/")), len(r.keys("user-session/")); a != 1 || z != 1 {
				t.Errorf("%d sessions are left, %d in the list", a, z)
			}
			if events, err := r.Activity(t.Context(), p.user(r)); err != nil || c.Op == auth.ChangeEndOthers && events[0].Count != 4001 {
				t.Errorf("%+v, %v", events[0], err)
			}
		})
	}
}

// TestEndingOthersEndsLinks: whoever was in the account, and is thrown out, may have asked for one.
func TestEndingOthersEndsLinks(t *testing.T) {
	r := newMailRig(t)
	p := r.member("alice")
	b := signedInAgain(r, p)
	in, err := r.Invite(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	half := newBrowser()
	r.must(half, auth.StepVerify)(r.SignIn(t.Context(), half.v, "alice", password, ""))
	r.changes(b, auth.Change{Op: auth.ChangeEndOthers})
	if _, err := r.OpenInvitation(t.Context(), stranger(2).v, in.Token, ""); !errors.Is(err, auth.ErrToken) {
		t.Errorf("the invitation: %v", err)
	}
	if _, err := r.Prove(t.Context(), half.v, auth.MethodTOTP, []byte(p.now())); !errors.Is(err, auth.ErrNoFlow) {
		t.Errorf("a sign-in in progress: %v", err)
	}
	r.changes(b, auth.Change{Op: auth.ChangeName, Label: "Alice Example"}) // the session goes on as fresh as it was
}

// TestSessionsAreCapped: a further one ends what has ended anyway, and then the one that was not seen for the longest.
func TestSessionsAreCapped(t *testing.T) {
	r := newRig(t)
	p := r.person("alice")
	r.signIn(p, p.home)
	now := r.clock.Now()
	r.crowd(p.home, 199, func(i int, s *auth.Session) {
		s.Seen = now.Add(time.Duration(i-300) * time.Second)
		if i >= 190 { // were idle for too long
			s.IdleEnd = now
		}
	})
	l := r.watch(p.home, everybody)
	id := func(i int) string { return fmt.Sprintf("%032x", i) }
	for n := range 9 {
		r.signIn(p, newBrowser())
		if live, stored := len(r.sessions()), len(r.keys("session/")); live != 192+n || stored != 200 {
			t.Fatalf("after %d more: %d live, %d stored", n+1, live, stored)
		}
	}
	if live := r.sessions(); len(live) != 200 || !live[id(0)] || r.count(auth.EventReplaced) != 1 { // that of the first sign-in in the browser
		t.Fatalf("%d live, events %q", len(live), r.events())
	}
	kept := r.sessions()
	r.signIn(p, newBrowser())
	live := r.sessions()
	for id := range live {
		delete(kept, id)
	}
	if len(live) != 200 || len(kept) != 1 || !kept[id(0)] || r.count(auth.EventReplaced) != 2 {
		t.Errorf("%d live, ended %v", len(live), kept)
	}
	// What is in memory, and its streams, ends as well.
	r.crowd(p.home, 199, func(_ int, s *auth.Session) { s.Seen = r.clock.Now().Add(time.Second) })
	r.signIn(p, newBrowser())
	l.ended(t)
	if r.signedIn(p.home) {
		t.Error("the oldest goes on")
	}
}

// TestSessionsRaced: of several sign-ins at once each may leave one more than there should be, until the next.
func TestSessionsRaced(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.person("alice")
	r.signIn(p, p.home)
	r.crowd(p.home, 198, same)
	const n = 8
	var bs [n]*browser
	for i := range bs {
		bs[i] = stranger(byte(i))
		r.must(bs[i], auth.StepVerify)(r.SignIn(t.Context(), bs[i].v, "alice", password, ""))
	}
	won, errs := race(n, func(i int) error {
		out, err := r.Prove(t.Context(), bs[i].v, auth.MethodRecovery, []byte(p.codes[i]))
		bs[i].take(out)
		return err
	})
	for _, err := range errs {
		if err != nil && !errors.Is(err, storage.ErrConflict) {
			t.Error(err)
		}
	}
	if have := len(r.sessions()); have < 200 || have > 199+int(won) {
		t.Errorf("%d sessions after %d sign-ins at once", have, won)
	}
	for _, b := range bs {
		if b.v.Session != "" && !r.signedIn(b) {
			t.Error("a new session ended")
		}
	}
	r.clock.Add(time.Minute)
	r.signIn(p, newBrowser())
	if have := len(r.sessions()); have != 200 {
		t.Errorf("%d sessions in the end", have)
	}
}

// TestEndingRaced: of 50 who end all others in one session at once, or change the password, one does it, and its session is the one that
// lives.
func TestEndingRaced(t *testing.T) { // S52, S91
	for name, tt := range map[string]struct {
		change auth.Change
		event  string
	}{
		"end others": {auth.Change{Op: auth.ChangeEndOthers}, auth.EventSessionEnded},
		"password":   {auth.Change{Op: auth.ChangePassword, Password: newPassword}, auth.EventPasswordChanged},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			p, b, other := r.person("alice"), newBrowser(), newBrowser()
			r.signIn(p, other)
			r.signIn(p, b)
			epoch := r.user("alice").Epoch
			outs := make([]auth.Outcome, 50)
			won, errs := race(len(outs), func(i int) (err error) {
				if outs[i], err = r.Change(t.Context(), b.v, tt.change, ""); err == nil && outs[i].Step != auth.StepDone {
					err = errors.New("asked for more")
				}
				return err
			})
			alive := 0
			for i, out := range outs {
				if mine := *b; errs[i] == nil {
					if mine.take(out); r.signedIn(&mine) {
						alive++
					}
				}
			}
			for _, err := range errs {
				if err != nil && !errors.Is(err, auth.ErrNoSession) && !errors.Is(err, auth.ErrNoFlow) && !errors.Is(err, storage.ErrConflict) && !errors.Is(err, auth.ErrBusy) {
					t.Errorf("unexpected: %v", err)
				}
			}
			if won != 1 || alive != 1 || r.signedIn(b) || r.signedIn(other) || len(r.sessions()) != 1 {
				t.Errorf("%d of 50 made it, %d alive, %d sessions: %v", won, alive, len(r.sessions()), errs)
			}
			if n, bumps := r.count(tt.event), r.user("alice").Epoch-epoch; n != 1 || bumps != 1 {
				t.Errorf("%d events, the epoch moved by %d", n, bumps)
			}
		})
	}
}
