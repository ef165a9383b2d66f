package auth_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// Streams are judged by the newest configuration, as far as that knows their requests, and by the one before where it is given up.
func TestStreamsAreJudgedByTheNewest(t *testing.T) { // S73
	for _, c := range []struct {
		name   string
		change func(c *auth.Config)
		ends   bool
	}{
		{"nothing changed", func(*auth.Config) {}, false},
		{"nothing known of it", func(c *auth.Config) { c.Asks = func(any) *auth.Requirement { return nil } }, false},
		{"it needs what it has", func(c *auth.Config) { c.Asks = func(any) *auth.Requirement { return everybody } }, false},
		{"nobody may", func(c *auth.Config) { c.Asks = func(any) *auth.Requirement { return new(auth.Requirement) } }, true},
		{"somebody else may", func(c *auth.Config) {
			c.Asks = func(request any) *auth.Requirement {
				if request != "a request" {
					return nil
				}
				return &auth.Requirement{Mode: auth.ModeSignedIn, Allow: []auth.Principal{{User: "bob"}}}
			}
		}, true},
		{"sessions are shorter", func(c *auth.Config) { c.Lifetime = 5 * time.Minute }, true},
		{"people sign in elsewhere", func(c *auth.Config) {
			c.Portal = &auth.Portal{Host: "auth.example.com", Lists: func(h string) bool { return h == host }}
		}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			r.DoDue()
			alice := r.person("alice")
			r.clock.Add(10 * time.Minute)
			s := r.live(alice.home)
			l := &line{over: make(chan struct{})}
			l.Stream = r.Watch(s, everybody, "a request", func() {
				if l.ends.Add(1) == 1 {
					close(l.over)
				}
			})
			l.goesOn(t, r)
			r.realm(c.change).DoDue()
			if c.ends {
				l.ended(t)
				return
			}
			l.goesOn(t, r)
			r.Realm.DoDue() // the reload failed later
			l.goesOn(t, r)
		})
	}
}

// A configuration is asked once about each stream, however often they are looked at.
func TestNewestIsAskedOnce(t *testing.T) {
	r := newRig(t)
	alice := r.person("alice")
	var asked atomic.Int32
	l := &line{over: make(chan struct{})}
	l.Stream = r.Watch(r.live(alice.home), everybody, "a request", func() { close(l.over) })
	r.realm(func(c *auth.Config) {
		c.Asks = func(any) *auth.Requirement { asked.Add(1); return everybody }
	}).DoDue()
	l.goesOn(t, r)
	l.goesOn(t, r)
	if n := asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}
