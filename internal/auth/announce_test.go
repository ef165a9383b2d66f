package auth_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/internal/mail"
	"github.com/caddy-mfa/caddy-mfa/storage"
)

// announce has alice's reset announced, and returns the token of the link that stops it.
func (r *rig) announce(delay time.Duration) string {
	r.t.Helper()
	due, to, err := r.AnnounceReset(r.t.Context(), "alice", delay)
	if err != nil || to != aliceMail || !due.Equal(r.clock.Now().Add(delay)) {
		r.t.Fatal(due, to, err)
	}
	m := r.letter(aliceMail, "going to be reset")
	r.drained() // it was noted that a server has it
	return tokenOf(r.t, m, "stop-reset")
}

// look has the State look for what is due, as happens every minute.
func (r *rig) look() {
	r.DoDue()
	r.state.DoDueResets(r.t.Context())
}

// pending is when alice's reset is due.
func (r *rig) pending() time.Time {
	r.t.Helper()
	a, err := r.User(r.t.Context(), "alice")
	if err != nil {
		r.t.Fatal(err)
	}
	return a.ResetAt
}

// count is how often something happened.
func (r *rig) count(event string) (n int) {
	r.t.Helper()
	for _, e := range r.events() {
		if e == event {
			n++
		}
	}
	return n
}

// untouched fails if alice's account is not as it was, or if anything is left of the reset.
func (r *rig) untouched(t *testing.T, when string) {
	t.Helper()
	r.clock.Add(40 * 24 * time.Hour)
	r.look()
	if n := r.count(auth.EventReset); n != 0 || len(r.apps("alice")) != 1 {
		t.Errorf("%s: %d resets, %d apps", when, n, len(r.apps("alice")))
	}
	if left := r.keys("pending-reset/"); len(left) > 0 {
		t.Errorf("%s: left %q", when, left)
	}
}

func TestAnnouncedReset(t *testing.T) { // S86, S80
	r := newMailRig(t)
	ctx := t.Context()
	alice, b := r.member("alice"), newBrowser()
	r.signIn(alice, b)
	r.clear()
	begun := r.clock.Now()
	due, to, err := r.AnnounceReset(ctx, "ALICE", 24*time.Hour)
	if err != nil || to != aliceMail {
		t.Fatal(to, err)
	}
	m := r.letter(aliceMail, "going to be reset")
	for _, want := range []string{"Account   alice", "Reset at  2 March 2026", "When      1 March 2026", "an administrator", "https://login.example.com/.mfa/stop-reset#"} {
		if !strings.Contains(m.Text, want) {
			t.Errorf("no %q in %s", want, m.Text)
		}
	}
	r.drained()
	if at := r.pending(); !at.Equal(due) || !at.Equal(begun.Add(24*time.Hour)) {
		t.Errorf("due at %v", at)
	}
	r.look()
	if !r.signedIn(b) || len(r.apps("alice")) != 1 {
		t.Fatal("reset at once")
	}
	r.clock.Add(begun.Add(24*time.Hour - time.Hour).Sub(r.clock.Now()))
	again := newBrowser()
	r.signIn(alice, again) // is told by the Security page, and stops nothing
	r.clear()
	r.clock.Add(begun.Add(24*time.Hour - time.Nanosecond).Sub(r.clock.Now()))
	r.look()
	if len(r.apps("alice")) != 1 {
		t.Fatal("reset too early")
	}
	r.clock.Add(time.Nanosecond)
	for range 3 {
		r.look()
	}
	u := r.user("alice")
	if len(r.apps("alice")) != 0 || r.signedIn(again) || !u.EnrollUntil.Equal(r.clock.Now().Add(72*time.Hour)) || u.HasSecond() {
		t.Errorf("not reset: %+v", u)
	}
	says(t, r.letter(aliceMail, "An administrator reset"), "alice")
	r.noMail("anything else")
	if r.count(auth.EventResetAnnounced) != 1 || r.count(auth.EventReset) != 1 || r.count(auth.EventResetStopped) != 0 {
		t.Errorf("events %q", r.events())
	}
	if !r.pending().IsZero() || len(r.keys("pending-reset/")) != 0 {
		t.Error("still pending")
	}
	fresh := newBrowser()
	r.must(fresh, auth.StepVerify)(r.SignIn(ctx, fresh.v, "alice", password, "")) // by her address, or with a new method
	if got := r.progress(fresh).Enrollable; !slices.Contains(got, auth.MethodTOTP) {
		t.Errorf("she may set up %q", got)
	}
}

func TestStopReset(t *testing.T) { // S28, S80, S77
	r := newMailRig(t)
	ctx := t.Context()
	alice := r.member("alice")
	token := r.announce(24 * time.Hour)
	r.clear()
	before := r.records("")
	for name, wrong := range map[string]string{
		"nothing": "", "another": strings.Repeat("x", len(token)), "longer": token + "x", "in capitals": strings.ToUpper(token),
	} {
		if err := r.StopReset(ctx, stranger(1).v, wrong); !errors.Is(err, auth.ErrToken) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := r.NotMe(ctx, stranger(1).v, token); !errors.Is(err, auth.ErrToken) {
		t.Errorf("the token for something else: %v", err)
	}
	if _, err := r.ResetPassword(ctx, stranger(1).v, token, newPassword); !errors.Is(err, auth.ErrToken) {
		t.Errorf("the token for something else: %v", err)
	}
	if !sameRecords(before, r.records("")) {
		t.Error("a wrong token stored something")
	}
	if err := r.StopReset(ctx, stranger(7).v, token); err != nil {
		t.Fatal(err)
	}
	if !r.pending().IsZero() {
		t.Error("still pending")
	}
	says(t, r.letter(aliceMail, "was stopped"), "alice", "198.51.100.7", "Chrome on Windows")
	events, err := r.Activity(ctx, alice.user(r))
	if err != nil || events[0].Name != auth.EventResetStopped || events[0].Addr != "198.51.100.7" || events[0].Actor != "" {
		t.Errorf("event %+v, %v", events[0], err)
	}
	if err := r.StopReset(ctx, stranger(7).v, token); !errors.Is(err, auth.ErrToken) {
		t.Errorf("used twice: %v", err)
	}
	r.untouched(t, "stopped")
}

// TestStopLinkEnds: by a newer announcement, by the reset itself, by an admin, and with the account.
func TestStopLinkEnds(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(r *rig)
		done int // resets
	}{
		{"announced anew", func(r *rig) {
			newer := r.announce(48 * time.Hour)
			if err := r.StopReset(r.t.Context(), newBrowser().v, newer); err != nil {
				r.t.Fatal(err)
			}
		}, 0},
		{"taken back", func(r *rig) {
			if err := r.CancelReset(r.t.Context(), "alice"); err != nil {
				r.t.Fatal(err)
			}
			if m := r.letter(aliceMail, "taken back"); !strings.Contains(m.Text, "There is nothing to do.") {
				r.t.Error(m.Text)
			}
			if refused := (*auth.Invalid)(nil); !errors.As(r.CancelReset(r.t.Context(), "alice"), &refused) {
				r.t.Error("taken back twice")
			}
		}, 0},
		{"done at once", func(r *rig) {
			if err := r.ResetMFA(r.t.Context(), "alice"); err != nil {
				r.t.Fatal(err)
			}
		}, 1},
		{"due", func(r *rig) { r.clock.Add(24 * time.Hour) }, 1},
		{"disabled", func(r *rig) {
			for _, disabled := range []bool{true, false} {
				if err := r.SetDisabled(r.t.Context(), "alice", disabled); err != nil {
					r.t.Fatal(err)
				}
			}
		}, 0},
		{"deleted, and made again", func(r *rig) {
			if err := r.DeleteUser(r.t.Context(), "alice"); err != nil {
				r.t.Fatal(err)
			}
			r.member("alice")
		}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newMailRig(t)
			r.member("alice")
			token := r.announce(24 * time.Hour)
			tt.do(r)
			if err := r.StopReset(t.Context(), newBrowser().v, token); !errors.Is(err, auth.ErrToken) {
				t.Errorf("the link: %v", err)
			}
			r.look()
			r.clock.Add(40 * 24 * time.Hour)
			r.look()
			if n := r.count(auth.EventReset); n != tt.done {
				t.Errorf("%d resets", n)
			}
			if left := r.keys("pending-reset/"); len(left) > 0 {
				t.Errorf("left %q", left)
			}
		})
	}
}

// TestStopLinkCannotBeTakenAway: an intruder who does in the account what ends all else leaves its owner the link.
func TestStopLinkCannotBeTakenAway(t *testing.T) { // S86
	for _, tt := range []struct {
		name string
		do   func(r *rig, thief *browser)
	}{
		{"another password", func(r *rig, thief *browser) {
			r.changes(thief, auth.Change{Op: auth.ChangePassword, Password: newPassword})
		}},
		{"a password reset by mail", func(r *rig, _ *browser) {
			b := stranger(2)
			if _, err := r.ResetPassword(r.t.Context(), b.v, r.asks(b, "alice", aliceMail), newPassword); err != nil {
				r.t.Fatal(err)
			}
		}},
		{"another address", func(r *rig, thief *browser) {
			ctx := r.t.Context()
			r.must(thief, auth.StepEnroll)(r.Change(ctx, thief.v, auth.Change{Op: auth.ChangeAddress, Address: malloryMail}, ""))
			code := codeOf(r.t, r.letter(malloryMail, "Confirm"))
			r.must(thief, auth.StepDone)(r.FinishEnroll(ctx, thief.v, auth.MethodEmail, "", []byte(code)))
		}},
		{"another app", func(r *rig, thief *browser) { r.replaceApp(thief, r.apps("alice")[0], "") }},
		{"all sessions ended", func(r *rig, _ *browser) {
			if _, err := r.RevokeSessions(r.t.Context(), "alice", ""); err != nil {
				r.t.Fatal(err)
			}
		}},
		{"an invitation", func(r *rig, _ *browser) {
			if _, err := r.Invite(r.t.Context(), "alice"); err != nil {
				r.t.Fatal(err)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newMailRig(t)
			alice, thief := r.member("alice"), newBrowser()
			r.signIn(alice, thief)
			token := r.announce(24 * time.Hour)
			tt.do(r, thief)
			if r.pending().IsZero() {
				t.Fatal("it is not pending any more")
			}
			if err := r.StopReset(t.Context(), newBrowser().v, token); err != nil {
				t.Errorf("the owner's link: %v", err)
			}
			r.untouched(t, "stopped")
		})
	}
}

// TestNotMeDropsAnAnnouncedReset: the intruder may have asked for it.
func TestNotMeDropsAnAnnouncedReset(t *testing.T) {
	r := newMailRig(t)
	alice := r.member("alice")
	r.signIn(alice, stranger(66))
	link := notMe(t, r.letter(aliceMail, "New sign-in"))
	token := r.announce(24 * time.Hour)
	if err := r.NotMe(t.Context(), stranger(5).v, link); err != nil {
		t.Fatal(err)
	}
	if !r.pending().IsZero() || r.count(auth.EventResetStopped) != 1 {
		t.Errorf("pending %v, events %q", r.pending(), r.events())
	}
	if err := r.StopReset(t.Context(), stranger(5).v, token); !errors.Is(err, auth.ErrToken) {
		t.Errorf("the link: %v", err)
	}
	r.untouched(t, "not me")
}

func TestResetThatCannotBeAnnounced(t *testing.T) { // S86
	ctx := t.Context()
	refused := func(t *testing.T, r *auth.Realm, delay time.Duration, part string) {
		t.Helper()
		_, _, err := r.AnnounceReset(ctx, "alice", delay)
		if no := (*auth.Invalid)(nil); !errors.As(err, &no) || !strings.Contains(no.Text, part) {
			t.Errorf("%v, want %q", err, part)
		}
	}
	r := newMailRig(t)
	r.member("alice")
	before := r.records("")
	for _, delay := range []time.Duration{-24 * time.Hour, 0, time.Hour - 1, 30*24*time.Hour + 1} {
		refused(t, r.Realm, delay, "1 hour to 30 days")
	}
	refused(t, r.realm(func(c *auth.Config) { c.Mail = nil }), time.Hour, "no mail is sent from here. Reset without --delay, after making sure that it is alice who asks.")
	refused(t, r.realm(func(c *auth.Config) { c.Mail.Base = func(string) string { return "" } }), time.Hour, "no mail is sent")
	if _, _, err := r.AnnounceReset(ctx, "nobody", time.Hour); !errors.Is(err, auth.ErrUnknownUser) {
		t.Error(err)
	}
	if !sameRecords(before, r.records("")) {
		t.Error("something was stored")
	}
	for _, delay := range []time.Duration{time.Hour, 30 * 24 * time.Hour} {
		r.announce(delay)
	}
	if err := r.SetDisabled(ctx, "alice", true); err != nil {
		t.Fatal(err)
	}
	refused(t, r.Realm, time.Hour, "is disabled")

	other := newMailRig(t)
	if _, _, err := other.AddUser(ctx, auth.NewUser{Name: "alice", Email: aliceMail, Password: password}); err != nil {
		t.Fatal(err)
	}
	refused(t, other.Realm, time.Hour, "alice has no confirmed address to announce it to. Reset without --delay, after making sure that it is alice who asks.")
}

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

// TestAnnouncedResetAfterARestart: what came due while nothing ran is done at the next start, and by a State that serves somebody
// alone: a command that opens the store for something else resets nobody.
func TestAnnouncedResetAfterARestart(t *testing.T) {
	r := newMailRig(t)
	r.member("alice")
	token := r.announce(24 * time.Hour)
	r.reopen(secret)
	if r.pending().IsZero() {
		t.Fatal("forgotten")
	}
	r.clock.Add(48 * time.Hour)
	r.reopen(secret)
	r.state.DoDueResets(t.Context())
	if r.count(auth.EventReset) != 0 {
		t.Fatal("done by nobody")
	}
	if err := r.StopReset(t.Context(), newBrowser().v, token); !errors.Is(err, auth.ErrToken) {
		t.Errorf("the link after it came due: %v", err)
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

// TestStopRacesDue: whichever is first, a reset is either stopped, once, or done, once.
func TestStopRacesDue(t *testing.T) {
	t.Parallel()
	stopped := 0
	for range 8 {
		r := newMailRig(t)
		r.member("alice")
		token := r.announce(time.Hour)
		r.clear()
		r.DoDue()
		r.clock.Add(time.Hour - time.Second)
		var due sync.WaitGroup
		due.Go(func() {
			r.clock.Add(time.Second)
			r.state.DoDueResets(t.Context())
		})
		won, errs := race(50, func(i int) error { return r.StopReset(t.Context(), stranger(byte(i)).v, token) })
		due.Wait()
		for _, err := range errs {
			if err != nil && !errors.Is(err, auth.ErrToken) && !errors.Is(err, storage.ErrConflict) {
				t.Error(err)
			}
		}
		r.look()
		done := r.count(auth.EventReset)
		if int(won)+done != 1 || r.count(auth.EventResetStopped) != int(won) || (len(r.apps("alice")) == 0) != (done == 1) {
			t.Fatalf("stopped %d times, done %d times: %q", won, done, r.events())
		}
		if got := r.subjects(); len(got) != 1 {
			t.Errorf("mails %q", got)
		}
		stopped += int(won)
	}
	t.Logf("stopped %d of 8 times", stopped)
}

// TestStopRaced: of many who press at once one has stopped it.
func TestStopRaced(t *testing.T) {
	r := newMailRig(t)
	r.member("alice")
	token := r.announce(time.Hour)
	r.clear()
	won, errs := race(50, func(i int) error { return r.StopReset(t.Context(), stranger(byte(i)).v, token) })
	if won != 1 || r.count(auth.EventResetStopped) != 1 {
		t.Errorf("%d won: %v; events %q", won, errs, r.events())
	}
	if got := r.subjects(); len(got) != 1 {
		t.Errorf("mails %q", got)
	}
	r.untouched(t, "stopped")
}

// TestAnnouncedResetOfABlockedAccount: as with one that is done at once, the password goes, too, and no window opens.
func TestAnnouncedResetOfABlockedAccount(t *testing.T) {
	r := newMailRig(t)
	alice := r.member("alice")
	r.signIn(alice, stranger(66))
	if err := r.NotMe(t.Context(), stranger(5).v, notMe(t, r.letter(aliceMail, "New sign-in"))); err != nil {
		t.Fatal(err)
	}
	r.announce(time.Hour)
	r.clock.Add(time.Hour)
	r.look()
	if u := r.user("alice"); len(u.Enrolled) > 0 || !u.EnrollUntil.IsZero() {
		t.Errorf("%+v", u)
	}
}
