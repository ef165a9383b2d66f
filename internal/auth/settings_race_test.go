package auth_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// TestPasswordChangeEndsWhatTheOldOneWas: links that were out are dead, it is no password that came by mail, and its owner is told.
func TestPasswordChangeEndsWhatTheOldOneWas(t *testing.T) { // S58, S80, S85
	t.Parallel()
	r := newMailRig(t)
	ctx := t.Context()
	p := r.member("alice")
	b := signedInAgain(r, p)
	in, err := r.Invite(ctx, "alice")
	if err != nil {
		t.Fatal(err)
	}
	mailed := tokenOf(t, r.letter(aliceMail, "invitation"), "invite")
	reset := r.asks(stranger(1), "alice", aliceMail)
	r.mark()
	r.clear()
	r.changes(b, auth.Change{Op: auth.ChangePassword, Password: newPassword})
	if r.user("alice").MailedPassword {
		t.Error("still counts as mailed")
	}
	m := r.letter(aliceMail, "Password changed")
	says(t, m, "alice", "192.0.2.1")
	for name, token := range map[string]string{"printed": in.Token, "mailed": mailed} {
		if _, err := r.OpenInvitation(ctx, stranger(2).v, token, ""); !errors.Is(err, auth.ErrToken) {
			t.Errorf("the %s invitation: %v", name, err)
		}
	}
	if _, err := r.ResetPassword(ctx, stranger(2).v, reset, "a third sentence of mine"); !errors.Is(err, auth.ErrToken) {
		t.Errorf("the reset: %v", err)
	}
	if err := r.NotMe(ctx, stranger(3).v, notMe(t, m)); err != nil {
		t.Fatal(err)
	}
	if set := r.find("alice", func(c auth.Credential) bool { return c.Method == auth.MethodPassword }); !set.Disabled {
		t.Error("the new password works after the link of its notice")
	}
}

// TestSettingsAskFirst: ten minutes after the sign-in nothing is changed before both kinds were proven again.
func TestSettingsAskFirst(t *testing.T) { // S58
	t.Parallel()
	r := newMailRig(t, func(c *auth.Config) { c.Idle = 24 * time.Hour })
	ctx := t.Context()
	p := r.member("alice")
	other, b := p.home, stranger(1)
	r.signIn(p, other)
	r.signIn(p, b)
	s, _, err := r.Session(ctx, host, other.v.Session)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]auth.Change{
		"end session": {Op: auth.ChangeEndSession, Session: s.ID},
		"end others":  {Op: auth.ChangeEndOthers},
		"off":         {Op: auth.ChangeOff},
		"name":        {Op: auth.ChangeName, Label: "Mallory"},
		"prefer":      {Op: auth.ChangePrefer, Method: auth.MethodEmail},
		"codes":       {Op: auth.ChangeCodes},
		"password":    {Op: auth.ChangePassword, Password: newPassword},
		"replace":     {Op: auth.ChangeReplace, Method: auth.MethodTOTP, Credential: r.apps("alice")[0]},
	} {
		t.Run(name, func(t *testing.T) {
			r.t = t
			fresh := stranger(2)
			r.signIn(p, fresh)
			r.clear()
			r.clock.Add(10 * time.Minute) // one has gone by since
			before := r.records("user/")
			r.must(fresh, auth.StepVerify)(r.Change(ctx, fresh.v, c, ""))
			if _, err := r.MakeRecoveryCodes(ctx, fresh.v); !errors.Is(err, auth.ErrStep) {
				t.Errorf("codes: %v", err)
			}
			if !r.signedIn(other) || !r.signedIn(b) || !sameRecords(before, r.records("user/")) || len(r.apps("alice")) != 1 {
				t.Error("it is made already")
			}
			if got := r.subjects(); slices.ContainsFunc(got, func(s string) bool { return !strings.Contains(s, "Your code") }) {
				t.Errorf("told of %q", got)
			}
		})
	}
	r.t = t
	r.must(b, auth.StepVerify)(r.Change(ctx, b.v, auth.Change{Op: auth.ChangeEndSession, Session: s.ID}, ""))
	r.must(b, auth.StepVerify)(r.Prove(ctx, b.v, auth.MethodPassword, []byte(password)))
	if !r.signedIn(other) {
		t.Error("one kind ended a session")
	}
	r.must(b, auth.StepDone)(r.Prove(ctx, b.v, auth.MethodTOTP, []byte(p.now())))
	if r.signedIn(other) || !r.signedIn(b) {
		t.Error("not exactly the one that was meant")
	}
}

// TestSettingsRaced: of two that do the same at once, one does it.
func TestSettingsRaced(t *testing.T) {
	t.Parallel()
	t.Run("off", func(t *testing.T) {
		t.Parallel()
		r := newMailRig(t)
		p := r.member("alice")
		b := signedInAgain(r, p)
		won, errs := race(2, func(int) error {
			_, err := r.Change(t.Context(), b.v, auth.Change{Op: auth.ChangeOff}, "")
			return err
		})
		if won != 1 {
			t.Errorf("%d of 2 turned it off: %v", won, errs)
		}
		r.letter(aliceMail, "turned off")
		r.noMail("a second time")
		if u := r.user("alice"); !slices.Equal(u.Enrolled, []string{auth.MethodEmail, auth.MethodPassword}) {
			t.Errorf("left: %q", u.Enrolled)
		}
	})
	t.Run("replace", func(t *testing.T) {
		t.Parallel()
		r := newMailRig(t)
		ctx := t.Context()
		p := r.member("alice")
		old := r.apps("alice")
		var both [2]*browser
		var apps [2]app
		for i := range both {
			both[i] = stranger(byte(i))
			r.signIn(p, both[i])
		}
		for i, b := range both {
			r.must(b, auth.StepEnroll)(r.Change(ctx, b.v, auth.Change{Op: auth.ChangeReplace, Method: auth.MethodTOTP, Credential: old[0]}, ""))
			apps[i] = appOf(r, r.progress(b))
		}
		r.clear()
		won, errs := race(2, func(i int) error {
			_, err := r.FinishEnroll(ctx, both[i].v, auth.MethodTOTP, "", []byte(apps[i].now()))
			return err
		})
		if won != 1 {
			t.Errorf("%d of 2 replaced it: %v", won, errs)
		}
		if now := r.apps("alice"); len(now) != 1 || now[0] == old[0] {
			t.Errorf("apps %q, before %q", now, old)
		}
		r.letter(aliceMail, "was replaced")
		r.noMail("a second time")
	})
}
