package auth_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/internal/mail"
	"github.com/caddy-mfa/caddy-mfa/storage"
)

// TestUndeliveredAnnouncement: of whom no mail server heard in time, nothing is reset.
func TestUndeliveredAnnouncement(t *testing.T) { // S86
	ctx := t.Context()
	for _, tt := range []struct {
		name string
		post auth.Post
		wait time.Duration
	}{
		{"nobody sends mail", nil, 24 * time.Hour},
		{"nobody sends mail until half of the time is over", nil, 12 * time.Hour},
		{"the server refuses it", refusing{}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newMailRig(t)
			r.member("alice")
			r.state.UsePost(tt.post)
			if _, _, err := r.AnnounceReset(ctx, "alice", 24*time.Hour); err != nil {
				t.Fatal(err)
			}
			r.clock.Add(tt.wait)
			r.state.UsePost(cmpPost(tt.post, r.inbox))
			r.drained()
			if got := r.subjects(); len(got) > 0 {
				t.Errorf("mails %q", got)
			}
			if !r.pending().IsZero() || r.count(auth.EventResetStopped) != 1 {
				t.Errorf("pending %v, events %q", r.pending(), r.events())
			}
			r.untouched(t, tt.name)
		})
	}
	t.Run("late, but in time", func(t *testing.T) {
		r := newMailRig(t)
		r.member("alice")
		r.state.UsePost(nil)
		if _, _, err := r.AnnounceReset(ctx, "alice", 24*time.Hour); err != nil {
			t.Fatal(err)
		}
		r.clock.Add(12*time.Hour - time.Second)
		r.state.UsePost(r.inbox)
		r.letter(aliceMail, "going to be reset")
		r.drained()
		r.clock.Add(12*time.Hour + time.Second)
		r.look()
		if r.count(auth.EventReset) != 1 {
			t.Errorf("events %q", r.events())
		}
	})
	// The queue did not get to note the end of the mail: after a stop in which the reset came due, for example.
	t.Run("not known", func(t *testing.T) {
		r := newMailRig(t)
		r.member("alice")
		r.state.UsePost(nil)
		if _, _, err := r.AnnounceReset(ctx, "alice", 24*time.Hour); err != nil {
			t.Fatal(err)
		}
		err := r.store.Update(ctx, func(tx storage.Tx) error {
			for _, key := range slices.Concat(r.keys("mail/"), r.keys("mail-text/")) {
				if err := tx.Delete(key); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		r.clock.Add(24 * time.Hour)
		r.look()
		if r.count(auth.EventReset) != 0 || r.count(auth.EventResetStopped) != 1 || !r.pending().IsZero() {
			t.Errorf("pending %v, events %q", r.pending(), r.events())
		}
	})
}

// refusing is a mail server that takes nothing.
type refusing struct{}

func (refusing) Send(context.Context, mail.Message) error { return &mail.Refused{Code: 550} }

func cmpPost(p auth.Post, otherwise *inbox) auth.Post {
	if p == nil {
		return otherwise
	}
	return p
}

// TestAnnouncedResetAfterARestart: what came due while nothing ran is done at the next start, if that is soon, and by a State that serves
// somebody alone: a command that opens the store for something else resets nobody.
func TestAnnouncedResetAfterARestart(t *testing.T) {
	r := newMailRig(t)
	r.member("alice")
	r.announce(24 * time.Hour)
	due := r.pending()
	r.reopen(secret)
	if r.pending().IsZero() {
		t.Fatal("forgotten")
	}
	r.clock.Add(due.Add(time.Hour - 1).Sub(r.clock.Now()))
	r.reopen(secret)
	r.state.DoDueResets(t.Context())
	if r.count(auth.EventReset) != 0 {
		t.Fatal("done by nobody")
	}
	r.DoDue() // looks by itself
	says(t, r.letter(aliceMail, "An administrator reset"), "alice")
	u := r.user("alice")
	if u.HasSecond() || !u.EnrollUntil.Equal(r.clock.Now().Add(72*time.Hour)) {
		t.Errorf("not reset: %+v", u)
	}
	r.look()
	if r.count(auth.EventReset) != 1 {
		t.Errorf("events %q", r.events())
	}
}

// TestAnnouncedResetTooLate: after an hour nobody could have stopped it, or the store is a copy of one in which its owner has. Nothing
// is reset, and the owner and the admin hear of it.
func TestAnnouncedResetTooLate(t *testing.T) { // S86
	r := newMailRig(t)
	ctx := t.Context()
	alice := r.member("alice")
	r.announce(24 * time.Hour)
	r.clock.Add(r.pending().Add(time.Hour).Sub(r.clock.Now()))
	r.reopen(secret)
	r.clear()
	r.look()
	m := r.letter(aliceMail, "was called off")
	if !strings.Contains(m.Text, "There is nothing to do.") || strings.Contains(m.Text, "administrator") {
		t.Error(m.Text)
	}
	if !r.pending().IsZero() || len(r.apps("alice")) != 1 {
		t.Errorf("pending %v, apps %q", r.pending(), r.apps("alice"))
	}
	events, err := r.Activity(ctx, alice.user(r))
	if err != nil || events[0].Name != auth.EventResetStopped || events[0].Actor != "late" {
		t.Errorf("event %+v, %v", events[0], err)
	}
	r.untouched(t, "too late")
	r.noMail("a second time")
	r.announce(time.Hour) // anew
	r.clock.Add(time.Hour)
	r.look()
	if r.count(auth.EventReset) != 1 {
		t.Errorf("events %q", r.events())
	}
}

// TestStopLinkWorksUntilTheReset is done, which may be a while after it was due.
func TestStopLinkWorksUntilTheReset(t *testing.T) { // S86
	for _, late := range []time.Duration{0, time.Minute, time.Hour - 1} {
		r := newMailRig(t)
		r.member("alice")
		token := r.announce(24 * time.Hour)
		r.clock.Add(r.pending().Add(late).Sub(r.clock.Now()))
		if err := r.StopReset(t.Context(), newBrowser().v, token); err != nil {
			t.Errorf("%v after it was due: %v", late, err)
		}
		r.look()
		r.untouched(t, "stopped")
	}
}

// TestResetDueOnManyNodes: several States over one store do it once.
func TestResetDueOnManyNodes(t *testing.T) {
	r := newMailRig(t)
	r.member("alice")
	r.announce(time.Hour)
	r.clear()
	nodes := []*auth.State{r.state}
	for range 3 {
		s, err := auth.NewState(t.Context(), auth.Options{Store: r.store, Secrets: [][]byte{secret}, Now: r.clock.Now})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		nodes = append(nodes, s)
	}
	r.clock.Add(time.Hour)
	first := r.state
	for _, s := range nodes {
		r.state = s
		s.UsePost(r.inbox)
		r.realm(nil).DoDue()
	}
	r.state = first
	race(len(nodes), func(i int) error { nodes[i].DoDueResets(t.Context()); return nil })
	r.letter(aliceMail, "An administrator reset")
	r.noMail("once is enough")
	if r.count(auth.EventReset) != 1 || len(r.apps("alice")) != 0 {
		t.Errorf("events %q", r.events())
	}
}
