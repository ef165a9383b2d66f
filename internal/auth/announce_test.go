package auth_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
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
