package auth_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/internal/mail"
)

// told is the one mail that was sent, to alice, and says all that every notice says.
func (r *rig) told(t *testing.T, subject string, facts ...string) mail.Message {
	t.Helper()
	if got := r.subjects(); len(got) != 1 {
		t.Fatalf("mails %q, want one about %q", got, subject)
	}
	m := r.letter(aliceMail, subject)
	says(t, m, append(facts, "alice", "Firefox on Linux", "192.0.2.1")...)
	return m
}

// replaceApp puts another app in place of one.
func (r *rig) replaceApp(b *browser, old, label string) app {
	r.t.Helper()
	ctx := r.t.Context()
	r.must(b, auth.StepEnroll)(r.Change(ctx, b.v, auth.Change{Op: auth.ChangeReplace, Method: auth.MethodTOTP, Credential: old}, ""))
	a := appOf(r, r.progress(b))
	r.must(b, auth.StepDone)(r.FinishEnroll(ctx, b.v, auth.MethodTOTP, label, []byte(a.now())))
	r.clock.Add(time.Minute)
	return a
}

// TestEveryChangeIsTold: each thing that the Security page changes is told by one mail, with what was and what is now.
func TestEveryChangeIsTold(t *testing.T) { // S80
	const next = "seven grey geese in a row"
	label := func(r *rig) string {
		return r.find("alice", func(c auth.Credential) bool { return c.Method == auth.MethodTOTP }).Label
	}
	codes := func(r *rig, b *browser) {
		r.must(b, auth.StepRecovery)(r.Change(t.Context(), b.v, auth.Change{Op: auth.ChangeCodes}, ""))
		r.must(b, auth.StepRecovery)(r.MakeRecoveryCodes(t.Context(), b.v))
		r.must(b, auth.StepDone)(r.ConfirmRecoveryCodes(t.Context(), b.v))
	}
	for _, tt := range []struct {
		name   string
		do     func(r *rig, b *browser)
		told   string   // part of the subject; "": nothing
		facts  []string // in the mail
		silent bool     // for a change that changes nothing
	}{
		{name: "another app", do: func(r *rig, b *browser) { r.addApp(b) }, told: "New way to sign in", facts: []string{"Authenticator app"}},
		{name: "a new name of an app", do: func(r *rig, b *browser) {
			r.changes(b, auth.Change{Op: auth.ChangeRename, Credential: r.apps("alice")[0], Label: "old phone"})
		}, told: "was renamed", facts: []string{"Authenticator app", "Before      Authenticator app", "Now         old phone"}},
		{name: "the same name of an app", do: func(r *rig, b *browser) {
			r.changes(b, auth.Change{Op: auth.ChangeRename, Credential: r.apps("alice")[0], Label: label(r)})
		}, silent: true},
		{name: "an app less", do: func(r *rig, b *browser) {
			r.addApp(b) // the last one stays
			r.told(t, "New way to sign in")
			r.changes(b, auth.Change{Op: auth.ChangeRemove, Credential: r.apps("alice")[0], EndSessions: true})
		}, told: "was removed", facts: []string{"Name        Authenticator app"}},
		{name: "an app for another", do: func(r *rig, b *browser) { r.replaceApp(b, r.apps("alice")[0], "new phone") },
			told: "was replaced", facts: []string{"Authenticator app", "Before      Authenticator app", "Now         new phone"}},
		{name: "password", do: func(r *rig, b *browser) { r.changes(b, auth.Change{Op: auth.ChangePassword, Password: next}) },
			told: "Password changed"},
		{name: "display name", do: func(r *rig, b *browser) {
			r.changes(b, auth.Change{Op: auth.ChangeName, Label: "Alice at https://evil.example/"})
		},
			told: "Display name changed", facts: []string{"Before      none", "Now         Alice at https\u200a://evil\u200a.example/"}},
		{name: "the same display name", do: func(r *rig, b *browser) { r.changes(b, auth.Change{Op: auth.ChangeName}) }, silent: true},
		{name: "preferred method", do: func(r *rig, b *browser) { r.changes(b, auth.Change{Op: auth.ChangePrefer, Method: auth.MethodTOTP}) },
			told: "Preferred method", facts: []string{"Before      none", "Now         Authenticator app"}},
		{name: "the same preferred method", do: func(r *rig, b *browser) { r.changes(b, auth.Change{Op: auth.ChangePrefer}) }, silent: true},
		{name: "new codes", do: codes, told: "New recovery codes", facts: []string{"Older ones do"}},
		{name: "two-factor off", do: func(r *rig, b *browser) { r.changes(b, auth.Change{Op: auth.ChangeOff}) },
			told: "turned off", facts: []string{"Every second method but codes by mail was removed"}},
		{name: "one session", do: func(r *rig, b *browser) {
			s, err := r.Sessions(t.Context(), "alice")
			if err != nil || len(s) != 3 {
				t.Fatal(len(s), err)
			}
			r.changes(b, auth.Change{Op: auth.ChangeEndSession, Session: s[2].ID})
		}, told: "Sessions ended", facts: []string{"One session was ended."}},
		{name: "the other sessions", do: func(r *rig, b *browser) { r.changes(b, auth.Change{Op: auth.ChangeEndOthers}) },
			told: "Sessions ended", facts: []string{"2 sessions were ended."}},
		{name: "no other session", do: func(r *rig, b *browser) {
			r.changes(b, auth.Change{Op: auth.ChangeEndOthers})
			r.clear()
			r.changes(b, auth.Change{Op: auth.ChangeEndOthers})
		}, silent: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newMailRig(t)
			alice, b := r.member("alice"), newBrowser()
			r.signIn(alice, newBrowser())
			r.signIn(alice, b)
			r.clear()
			tt.do(r, b)
			if tt.silent {
				r.noMail("nothing was changed")
				return
			}
			r.told(t, tt.told, tt.facts...)
		})
	}
}

// TestFirstCodesAreTold: of a set that somebody makes who is signed in, also where there was none.
func TestFirstCodesAreTold(t *testing.T) { // S80
	r := newMailRig(t)
	ctx := t.Context()
	alice := r.member("alice")
	r.signIn(alice, alice.home)
	r.changes(alice.home, auth.Change{Op: auth.ChangeOff})
	r.clear()
	b := alice.home
	r.must(b, auth.StepVerify)(r.Change(ctx, b.v, auth.Change{Op: auth.ChangeAdd, Method: auth.MethodTOTP}, ""))
	r.must(b, auth.StepEnroll)(r.Prove(ctx, b.v, auth.MethodEmail, []byte(r.sentCode(aliceMail))))
	a := appOf(r, r.progress(b))
	r.must(b, auth.StepRecovery)(r.FinishEnroll(ctx, b.v, auth.MethodTOTP, "", []byte(a.now())))
	r.told(t, "New way to sign in")
	r.must(b, auth.StepDone)(r.ConfirmRecoveryCodes(ctx, b.v))
	r.told(t, "New recovery codes")
}

// TestSmallChangesCanBeUndone: whoever changes no more than a name was in the account all the same.
func TestSmallChangesCanBeUndone(t *testing.T) { // S80
	r := newMailRig(t)
	alice, thief := r.member("alice"), newBrowser()
	r.signIn(alice, thief)
	r.clear()
	r.changes(thief, auth.Change{Op: auth.ChangeName, Label: "Mallory"})
	link := notMe(t, r.told(t, "Display name"))
	theirs := r.replaceApp(thief, r.apps("alice")[0], "")
	if err := r.NotMe(t.Context(), stranger(1).v, link); err != nil {
		t.Fatal(err)
	}
	if r.signedIn(thief) || r.user("alice").Blocked.IsZero() {
		t.Error("the thief goes on")
	}
	if c := r.find("alice", func(c auth.Credential) bool { return c.Method == auth.MethodTOTP }); !c.Disabled {
		t.Errorf("the thief's app counts: %s", theirs.now())
	}
}

// TestReplacedByAThief: the one mail that tells of a replacement undoes what was put there.
func TestReplacedByAThief(t *testing.T) { // S80
	r := newMailRig(t)
	alice, thief := r.member("alice"), newBrowser()
	r.signIn(alice, thief)
	r.clear()
	r.replaceApp(thief, r.apps("alice")[0], "")
	if err := r.NotMe(t.Context(), stranger(1).v, notMe(t, r.told(t, "was replaced"))); err != nil {
		t.Fatal(err)
	}
	if c := r.find("alice", func(c auth.Credential) bool { return c.Method == auth.MethodTOTP }); !c.Disabled {
		t.Error("the thief's app counts")
	}
}

// TestSmallChangesUseUpNothing: an intruder who renames this and that until no more mails are sent about it is told on all the same
// when a way in is added.
func TestSmallChangesUseUpNothing(t *testing.T) { // S80, S15
	r := newMailRig(t)
	alice, thief := r.member("alice"), newBrowser()
	r.signIn(alice, thief)
	r.clear()
	for i := range 50 {
		r.changes(thief, auth.Change{Op: auth.ChangeName, Label: fmt.Sprint("Mallory ", i)})
	}
	if n := len(r.subjects()); n != 10 {
		t.Errorf("%d mails about names", n)
	}
	r.clear()
	r.addApp(thief)
	if got := r.subjects(); !slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, "New way to sign in") }) {
		t.Errorf("mails %q", got)
	}
}
