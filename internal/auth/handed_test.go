package auth_test

import (
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// What becomes of sessions that were handed over.

// Whatever ends the portal's session ends all that came of it, at once, with what goes on in them.
func TestHandedOverEndsWithItsParent(t *testing.T) { // S54, S55, S56, S57, S73
	for _, c := range []struct {
		name string
		end  func(r *rig, p *person, a *browser) error
	}{
		{"signed out at the portal", func(r *rig, p *person, _ *browser) error { _, err := r.SignOut(r.t.Context(), p.home.v); return err }},
		{"signed out at a host", func(r *rig, _ *person, a *browser) error { _, err := r.SignOut(r.t.Context(), a.v); return err }},
		{"disabled", func(r *rig, _ *person, _ *browser) error { return r.SetDisabled(r.t.Context(), "alice", true) }},
		{"all revoked", func(r *rig, _ *person, _ *browser) error {
			_, err := r.RevokeSessions(r.t.Context(), "alice", "")
			return err
		}},
		{"revoked by its ID", func(r *rig, p *person, _ *browser) error {
			_, err := r.RevokeSessions(r.t.Context(), "alice", r.live(p.home).ID)
			return err
		}},
		{"revoked by the ID of a host's", func(r *rig, _ *person, a *browser) error {
			_, err := r.RevokeSessions(r.t.Context(), "alice", r.live(a).ID)
			return err
		}},
		{"ended by its owner", func(r *rig, p *person, _ *browser) error {
			id, b := r.live(p.home).ID, newBrowser()
			r.signIn(p, b)
			_, err := r.Change(r.t.Context(), b.v, auth.Change{Op: auth.ChangeEndSession, Session: id}, "")
			return err
		}},
		{"all others ended", func(r *rig, p *person, _ *browser) error {
			b := newBrowser()
			r.signIn(p, b)
			_, err := r.Change(r.t.Context(), b.v, auth.Change{Op: auth.ChangeEndOthers}, "")
			return err
		}},
		{"a new sign-in in the same browser", func(r *rig, p *person, _ *browser) error { r.signIn(p, p.home); return nil }},
		{"idle", func(r *rig, _ *person, _ *browser) error { r.clock.Add(time.Hour); return nil }},
		{"over", func(r *rig, p *person, _ *browser) error {
			for range 48 {
				r.clock.Add(30 * time.Minute)
				_, _, _ = r.Session(r.t.Context(), host, p.home.v.Session)
			}
			return nil
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newPortalRig(t)
			p := r.person("alice")
			a, b := r.handOver(p.home, firstHost), r.handOver(p.home, secondHost)
			streams := []*line{r.watch(a, everybody), r.watch(b, everybody)}
			if err := c.end(r, p, a); err != nil {
				t.Fatal(err)
			}
			if r.signedIn(a) || r.signedIn(b) {
				t.Errorf("signed in: the first %v, the second %v", r.signedIn(a), r.signedIn(b))
			}
			for _, l := range streams {
				l.ended(t)
			}
		})
	}
}

// What somebody does on one host keeps them signed in on all, and nothing of that is written at once.
func TestHandedOverIsASignOfLife(t *testing.T) { // S55
	r := newPortalRig(t)
	p := r.person("alice")
	a, b := r.handOver(p.home, firstHost), r.handOver(p.home, secondHost)
	for range 4 {
		r.clock.Add(50 * time.Minute)
		if !r.signedIn(a) {
			t.Fatal("the host in use was signed out")
		}
	}
	peeked, _, err := r.PeekSession(t.Context(), secondHost, b.v.Session)
	if err != nil || !peeked.IdleEnd.Equal(r.clock.Now().Add(time.Hour)) {
		t.Errorf("the other host: idle at %v, %v", peeked, err)
	}
	if !r.signedIn(b) || !r.signedIn(p.home) {
		t.Error("the other hosts were signed out")
	}
	r.reopen(secret) // what was seen is written by then
	if !r.signedIn(a) || !r.signedIn(b) || !r.signedIn(p.home) {
		t.Error("signed out by a restart")
	}
	for range 2 {
		r.clock.Add(40 * time.Minute)
		if _, _, err := r.PeekSession(t.Context(), firstHost, a.v.Session); err != nil && r.clock.Now().Before(peeked.IdleEnd) {
			t.Error(err)
		}
	}
	if r.signedIn(a) || r.signedIn(b) {
		t.Error("asking was taken for a sign of life")
	}
}

// A further proof reaches a host by a new code; the host's old cookie is dead, and what goes on there goes on.
func TestHandedOverAgain(t *testing.T) { // S52
	r := newPortalRig(t)
	p := r.person("alice")
	a := r.handOver(p.home, firstHost)
	old, id := *a, r.live(a).ID
	l := r.watch(a, everybody)
	r.clock.Add(20 * time.Minute)
	r.must(p.home, auth.StepVerify)(r.Change(t.Context(), p.home.v, auth.Change{Op: auth.ChangeProve, MaxAge: time.Minute}, ""))
	r.must(p.home, auth.StepDone)(r.Prove(t.Context(), p.home.v, auth.MethodTOTP, []byte(p.now())))
	fresh := auth.Requirement{Mode: auth.ModeSignedIn, MaxAge: time.Minute}
	decide := func(b *browser) auth.Decision {
		s, u, err := r.Session(t.Context(), firstHost, b.v.Session)
		if err != nil {
			t.Fatal(err)
		}
		return auth.Decide(r.clock.Now(), fresh, u, s)
	}
	if d := decide(a); d != auth.StepUp {
		t.Errorf("before the hand-over: %v", d)
	}
	r.takeOver(a, r.code(p.home, a, "/deep?x=1"))
	if d := decide(a); d != auth.Allow {
		t.Errorf("after it: %v", d)
	}
	if r.signedIn(&old) {
		t.Error("the old cookie still counts")
	}
	if got := r.live(a).ID; got != id || len(r.keys("session/")) != 2 {
		t.Errorf("session %s, was %s; %v", got, id, r.keys("session/"))
	}
	l.goesOn(t, r)
	// Also where the browser has lost the host's cookie, and somebody else has it.
	old = *a
	a.v.Session = ""
	if r.takeOver(a, r.code(p.home, a, "/deep?x=1")); r.signedIn(&old) || !r.signedIn(a) {
		t.Errorf("signed in with the old cookie %v, with the new one %v", r.signedIn(&old), r.signedIn(a))
	}
}

// With a new password only the session in which it was changed goes on; hosts get new ones out of it.
func TestHandedOverAfterANewPassword(t *testing.T) { // S56
	r := newPortalRig(t)
	p := r.person("alice")
	r.signIn(p, p.home) // two fresh proofs
	a := r.handOver(p.home, firstHost)
	r.must(p.home, auth.StepDone)(r.Change(t.Context(), p.home.v, auth.Change{Op: auth.ChangePassword, Password: "another walk by the sea"}, ""))
	if r.signedIn(a) || !r.signedIn(p.home) {
		t.Errorf("signed in: one %v, portal %v", r.signedIn(a), r.signedIn(p.home))
	}
	if s := r.live(p.home); len(s.Handed) != 0 {
		t.Errorf("handed over to %v", s.Handed)
	}
	if a = r.handOver(p.home, firstHost); !r.signedIn(a) {
		t.Error("not handed over")
	}
}

// Whoever ends their other sessions stays signed in at the portal, and gets back to each host from there. A copy of a host's cookie is one
// of the others.
func TestEndingOthersEndsCopies(t *testing.T) { // S52, S57
	r := newPortalRig(t)
	p := r.person("alice")
	other := newBrowser()
	r.signIn(p, other)
	elsewhere := r.handOver(other, firstHost)
	r.signIn(p, p.home)
	a := r.handOver(p.home, firstHost)
	stolen := *a
	l, gone := r.watch(a, everybody), r.watch(elsewhere, everybody)
	r.must(p.home, auth.StepDone)(r.Change(t.Context(), p.home.v, auth.Change{Op: auth.ChangeEndOthers}, ""))
	if !r.signedIn(p.home) || r.signedIn(&stolen) || r.signedIn(elsewhere) || r.signedIn(other) {
		t.Errorf("signed in: portal %v, a copy %v, the others %v %v", r.signedIn(p.home), r.signedIn(&stolen), r.signedIn(elsewhere), r.signedIn(other))
	}
	gone.ended(t)
	l.ended(t)
	if n := len(r.keys("session/")); n != 1 {
		t.Errorf("%d sessions are left", n)
	}
	if again := r.handOver(p.home, firstHost); !r.signedIn(again) || r.signedIn(&stolen) {
		t.Errorf("signed in again %v, the copy %v", r.signedIn(again), r.signedIn(&stolen))
	}
}

// Signing out where the session has ended before ends nothing, and says so: the portal's may be there still.
func TestSignOutOfWhatHasEnded(t *testing.T) { // S54
	r := newPortalRig(t)
	p := r.person("alice")
	a := r.handOver(p.home, firstHost)
	if out, err := r.SignOut(t.Context(), a.v); err != nil || out.NoneEnded || r.signedIn(p.home) {
		t.Fatalf("%+v, %v", out, err)
	}
	r.signIn(p, p.home)
	if out, err := r.SignOut(t.Context(), a.v); err != nil || !out.NoneEnded || !r.signedIn(p.home) {
		t.Errorf("%+v, %v", out, err)
	}
}

// What a portal handed over that has moved to another host counts no more.
func TestPortalMoves(t *testing.T) {
	r := newPortalRig(t)
	p := r.person("alice")
	a := r.handOver(p.home, firstHost)
	r.Realm = r.realm(func(c *auth.Config) {
		c.Portal = &auth.Portal{Host: "sign-in.example.com", Lists: func(h string) bool { return h == firstHost }}
	})
	if r.signedIn(a) {
		t.Error("it counts")
	}
}

// Sessions from before there was a portal count no more where it hands them over, and its own count nowhere else.
func TestPortalComesAndGoes(t *testing.T) {
	r := newRig(t)
	p := r.person("alice")
	before := p.home
	r.change = func(c *auth.Config) {
		only := func(h string) bool { return h == host }
		c.Portal = &auth.Portal{Host: secondHost, Lists: only, Names: only}
	}
	r.Realm = r.realm(r.change)
	if r.signedIn(before) {
		t.Error("a session without a parent counts on a gated host")
	}
	home := newBrowser().at(secondHost)
	r.signIn(p, home)
	a := r.handOver(home, host)
	r.Realm = r.realm(nil)
	if r.signedIn(a) {
		t.Error("without a portal, what it handed over counts")
	}
}
