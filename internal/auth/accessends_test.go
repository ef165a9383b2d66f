package auth_test

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/storage"
)

func TestAccessTokenEnds(t *testing.T) { // S54, S56
	for _, c := range []struct {
		name string
		end  func(r *rig, p *person, b *browser, id string) error
	}{
		{"revoked by its owner", func(r *rig, _ *person, b *browser, id string) error {
			r.changes(b, auth.Change{Op: auth.ChangeRevokeToken, TokenID: id})
			return nil
		}},
		{"revoked by its owner, who was asked first", func(r *rig, p *person, b *browser, id string) error {
			r.clock.Add(20 * time.Minute)
			r.must(b, auth.StepVerify)(r.Change(r.t.Context(), b.v, auth.Change{Op: auth.ChangeRevokeToken, TokenID: id}, ""))
			r.must(b, auth.StepVerify)(r.Prove(r.t.Context(), b.v, auth.MethodPassword, []byte(password)))
			r.must(b, auth.StepDone)(r.Prove(r.t.Context(), b.v, auth.MethodTOTP, []byte(p.now())))
			return nil
		}},
		{"all other sessions ended", func(r *rig, _ *person, b *browser, _ string) error {
			r.changes(b, auth.Change{Op: auth.ChangeEndOthers})
			return nil
		}},
		{"new password", func(r *rig, _ *person, b *browser, _ string) error {
			r.changes(b, auth.Change{Op: auth.ChangePassword, Password: "seven grey geese in a row"})
			return nil
		}},
		{"revoked by an admin", func(r *rig, p *person, _ *browser, id string) error {
			n, err := r.RevokeAccessTokens(r.t.Context(), p.name, id)
			return errors.Join(err, one(n))
		}},
		{"all revoked by an admin", func(r *rig, p *person, _ *browser, _ string) error {
			n, err := r.RevokeAccessTokens(r.t.Context(), p.name, "")
			return errors.Join(err, one(n))
		}},
		{"sessions ended by an admin", func(r *rig, p *person, _ *browser, _ string) error {
			_, err := r.RevokeSessions(r.t.Context(), p.name, "")
			return err
		}},
		{"reset", func(r *rig, p *person, _ *browser, _ string) error { return r.ResetMFA(r.t.Context(), p.name) }},
		{"user disabled", func(r *rig, p *person, _ *browser, _ string) error {
			return r.SetDisabled(r.t.Context(), p.name, true)
		}},
		{"user disabled and enabled", func(r *rig, p *person, _ *browser, _ string) error {
			return errors.Join(r.SetDisabled(r.t.Context(), p.name, true), r.SetDisabled(r.t.Context(), p.name, false))
		}},
		{"user deleted", func(r *rig, p *person, _ *browser, _ string) error { return r.DeleteUser(r.t.Context(), p.name) }},
		{"expired", func(r *rig, _ *person, _ *browser, _ string) error { r.clock.Add(30 * 24 * time.Hour); return nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			p, b, issued := r.bearer()
			if !r.passes(issued.Token, everybody) {
				t.Fatal("it does not pass")
			}
			s, _, err := r.AccessToken(t.Context(), issued.Token, netip.Addr{})
			if err != nil {
				t.Fatal(err)
			}
			stream := r.watchSession(s, everybody)
			if err := c.end(r, p, b, issued.ID); err != nil {
				t.Fatal(err)
			}
			if r.passes(issued.Token, everybody) {
				t.Error("it passes")
			}
			stream.ended(t)
			if c.name == "expired" { // what is dead goes with the next, or when its time is over
				return
			}
			if left := append(r.keys("access-token/"), r.keys("user-access-token/")...); len(left) != 0 {
				t.Errorf("left: %q", left)
			}
		})
	}
}

func one(n int) error {
	if n != 1 {
		return fmt.Errorf("%d were revoked", n)
	}
	return nil
}

func TestAccessTokenStreamGoesOn(t *testing.T) { // S73
	r := newRig(t)
	ops := &auth.Requirement{Mode: auth.ModeSignedIn, Allow: []auth.Principal{{Group: "ops"}}}
	alice, b, issued := r.bearer("ops")
	s, _, err := r.AccessToken(t.Context(), issued.Token, netip.Addr{})
	if err != nil {
		t.Fatal(err)
	}
	stream := r.watchSession(s, ops)
	r.clock.Add(25 * time.Hour) // longer than any session
	stream.Heard()
	stream.goesOn(t, r)
	if _, err := r.ChangeGroups(t.Context(), alice.name, nil, []string{"dev"}); err != nil {
		t.Fatal(err)
	}
	stream.goesOn(t, r)
	if r.signedIn(b) {
		t.Error("the session goes on, too")
	}
	if _, err := r.ChangeGroups(t.Context(), alice.name, nil, []string{"ops"}); err != nil {
		t.Fatal(err)
	}
	stream.ended(t)
}

// What ends the other sessions ends the tokens, and leaves the session that one is made in.
func TestAccessTokenAfterOthersEnded(t *testing.T) { // S56
	r := newRig(t)
	_, b, first := r.bearer()
	r.changes(b, auth.Change{Op: auth.ChangeEndOthers})
	if !r.signedIn(b) {
		t.Fatal("this session has ended, too")
	}
	second := r.issue(b, newToken("script")) // the name is free again
	if r.passes(first.Token, everybody) || !r.passes(second.Token, everybody) {
		t.Error("the wrong one passes")
	}
	r.changes(b, auth.Change{Op: auth.ChangePassword, Password: "seven grey geese in a row"})
	if r.passes(second.Token, everybody) || !r.passes(r.issue(b, newToken("script")).Token, everybody) {
		t.Error("after a new password the wrong one passes")
	}
}

func TestAccessTokenUsedAndRevokedAtOnce(t *testing.T) { // S91
	r := newRig(t)
	_, b, issued := r.bearer()
	var wg sync.WaitGroup
	var revoked atomic.Int32
	for range 50 {
		wg.Go(func() {
			r.passes(issued.Token, everybody)
			v := b.v
			v.Flow = ""
			out, err := r.Change(t.Context(), v, auth.Change{Op: auth.ChangeRevokeToken, TokenID: issued.ID}, "")
			if err == nil && out.Step == auth.StepDone {
				revoked.Add(1)
			}
			if !errors.Is(err, storage.ErrConflict) && r.passes(issued.Token, everybody) { // by this one, or by another one before
				t.Errorf("it passes after it was revoked: %v", err)
			}
		})
	}
	wg.Wait()
	if n := revoked.Load(); n != 1 {
		t.Errorf("%d were told that they revoked it", n)
	}
}

func TestAccessTokenLastUse(t *testing.T) {
	r := newRig(t)
	_, _, issued := r.bearer()
	used := func() time.Time {
		t.Helper()
		all, err := r.AccessTokens(t.Context(), "alice")
		if err != nil || len(all) != 1 {
			t.Fatalf("%+v, %v", all, err)
		}
		return all[0].Used
	}
	if !used().IsZero() {
		t.Fatalf("used before it was: %v", used())
	}
	first := r.clock.Now()
	r.passes(issued.Token, everybody)
	if !used().Equal(first) {
		t.Errorf("used at %v, not %v", used(), first)
	}
	r.clock.Add(5 * time.Minute)
	r.passes(issued.Token, everybody)
	if _, err := r.ChangeGroups(t.Context(), "alice", []string{"dev"}, nil); err != nil { // drops it from the cache
		t.Fatal(err)
	}
	if want := r.clock.Now(); !used().Equal(want) {
		t.Errorf("used at %v, not %v", used(), want)
	}
	want := r.clock.Now()
	r.reopen(secret)
	if !used().Equal(want) {
		t.Errorf("after a restart: used at %v, not %v", used(), want)
	}
	// What was in use and is revoked does not come back when its use is noted.
	r.clock.Add(5 * time.Minute)
	r.passes(issued.Token, everybody)
	if _, err := r.RevokeAccessTokens(t.Context(), "alice", ""); err != nil {
		t.Fatal(err)
	}
	r.reopen(secret)
	if left := r.keys("access-token/"); len(left) != 0 || r.passes(issued.Token, everybody) {
		t.Errorf("left: %q", left)
	}
}
