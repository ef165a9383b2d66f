package auth_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/storage"
)

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
		{"due", func(r *rig) { r.clock.Add(24 * time.Hour); r.look() }, 1},
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
