package auth_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/storage"
)

// exhaust has codes sent to a sign-in in progress until no more are, and forgets them.
func (r *rig) exhaust(b *browser) {
	r.t.Helper()
	for range 20 {
		_, err := r.SendCode(r.t.Context(), b.v)
		if throttled(err) {
			r.clear()
			return
		}
		if err != nil {
			r.t.Fatal(err)
		}
	}
	r.t.Fatal("codes have no limit")
}

// TestStrangersUseUpNoCodes: whoever has the password, and not the mailbox, keeps the owner from no code.
func TestStrangersUseUpNoCodes(t *testing.T) { // S15
	t.Parallel()
	r := newMailRig(t)
	ctx := t.Context()
	p := r.reader("alice")
	r.clock.Add(time.Hour)
	b := stranger(1)
	r.half(b, "alice")
	r.exhaust(b)
	other := stranger(2) // strangers have one count
	r.must(other, auth.StepVerify)(r.SignIn(ctx, other.v, "alice", password, ""))
	r.noMail("to another stranger")
	code := r.half(p.home, "alice")
	r.must(p.home, auth.StepDone)(r.Prove(ctx, p.home.v, auth.MethodEmail, []byte(code)))
	r.clock.Add(time.Second)
	r.half(p.home, "alice")
	r.exhaust(p.home) // is not without a limit
}

// TestStrangersUseUpNoResets: nor from a reset.
func TestStrangersUseUpNoResets(t *testing.T) { // S15
	t.Parallel()
	r := newMailRig(t)
	p := r.member("alice")
	r.clock.Add(time.Hour)
	for i := range 3 {
		r.asks(stranger(byte(i)), "alice", aliceMail)
		r.clock.Add(10 * time.Minute)
	}
	r.forgot(stranger(4), "alice")
	r.noMail("a fourth within the hour")
	token := r.asks(p.home, "alice", aliceMail)
	b := stranger(5)
	r.must(b, auth.StepVerify)(r.ResetPassword(t.Context(), b.v, token, newPassword))
}

// forgot asks for a reset, and waits until it was looked up.
func (r *rig) forgot(b *browser, typed string) {
	r.t.Helper()
	if err := r.Forgot(r.t.Context(), b.v, typed); err != nil {
		r.t.Fatal(err)
	}
	r.state.AwaitResets()
}

// TestConfirmationsAreCappedInKnownBrowsersToo: everybody who is signed in is in one, and may type anybody's address.
func TestConfirmationsAreCappedInKnownBrowsersToo(t *testing.T) { // S12, S15
	t.Parallel()
	const victim = "victim@example.net"
	r := newMailRig(t)
	var all []*person
	for _, name := range []string{"alice", "bob", "carol"} {
		all = append(all, r.reader(name))
	}
	for _, p := range all {
		b := p.home
		r.must(b, auth.StepEnroll)(r.Change(t.Context(), b.v, auth.Change{Op: auth.ChangeAddress, Address: victim}, ""))
		for range 10 {
			if _, err := r.SendCode(t.Context(), b.v); err != nil && !throttled(err) {
				t.Fatal(err)
			}
		}
	}
	if n := len(r.subjects()); n != 10 {
		t.Errorf("%d mails to one address, want 10", n)
	}
}

// entries are the records below a prefix, with the moments at which they end.
func (r *rig) entries(prefix string) (out []storage.Entry) {
	r.t.Helper()
	err := r.store.View(context.Background(), func(tx storage.Tx) error {
		out = nil
		for e, err := range tx.Scan(prefix, "") {
			if err != nil {
				return err
			}
			e.Value = slices.Clone(e.Value)
			out = append(out, e)
		}
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return out
}

func (r *rig) putBack(entries []storage.Entry) {
	r.t.Helper()
	err := r.store.Update(context.Background(), func(tx storage.Tx) error {
		for _, e := range entries {
			if err := tx.Put(e.Key, e.Value, e.Expires); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

// mark makes alice's password one that came by mail.
func (r *rig) mark() {
	r.t.Helper()
	id := r.user("alice").ID
	for _, e := range r.entries("user/" + id) {
		var u auth.User
		if err := json.Unmarshal(e.Value, &u); err != nil {
			r.t.Fatal(err)
		}
		u.MailedPassword = true
		var err error
		if e.Value, err = json.Marshal(u); err != nil {
			r.t.Fatal(err)
		}
		r.putBack([]storage.Entry{e})
	}
	if !r.user("alice").MailedPassword {
		r.t.Fatal("not marked")
	}
}

// whole signs p in at b, with the app or, without one, by mail.
func (r *rig) whole(p *person, b *browser, word string) {
	r.t.Helper()
	ctx := r.t.Context()
	out := r.must(b, auth.StepVerify)(r.SignIn(ctx, b.v, p.name, word, ""))
	var err error
	if out.Method == auth.MethodTOTP {
		out, err = r.Prove(ctx, b.v, auth.MethodTOTP, []byte(p.now()))
	} else {
		out, err = r.Prove(ctx, b.v, auth.MethodEmail, []byte(r.sentCode(p.name+"@example.com")))
	}
	if err != nil {
		r.t.Fatal(err)
	}
	b.take(out)
	if out.Step == auth.StepRecovery {
		r.must(b, auth.StepRecovery)(r.MakeRecoveryCodes(ctx, b.v))
		out = r.must(b, auth.StepDone)(r.ConfirmRecoveryCodes(ctx, b.v))
	}
	if out.Step != auth.StepDone {
		r.t.Fatalf("step is %d", out.Step)
	}
	r.clock.Add(time.Minute)
}

// TestBrowsersBecomeStrangers: with the moment, not with the sweep of their records, which may fail.
func TestBrowsersBecomeStrangers(t *testing.T) { // S80, S11
	t.Parallel()
	for name, row := range map[string]struct {
		word string
		do   func(r *rig, p *person) error
	}{
		"this wasn't me": {password, func(r *rig, p *person) error {
			r.signIn(p, stranger(1))
			return errors.Join(
				r.NotMe(r.t.Context(), stranger(2).v, notMe(r.t, r.letter(aliceMail, "New sign-in"))),
				r.SetDisabled(r.t.Context(), "alice", false),
			)
		}},
		"reset-mfa": {password, func(r *rig, _ *person) error { return r.ResetMFA(r.t.Context(), "alice") }},
		"reset": {newPassword, func(r *rig, _ *person) error {
			b := stranger(1)
			_, err := r.ResetPassword(r.t.Context(), b.v, r.asks(b, "alice", aliceMail), newPassword)
			return err
		}},
		"invitation": {newPassword, func(r *rig, _ *person) error {
			in, err := r.Invite(r.t.Context(), "alice")
			b := stranger(1)
			r.must(b, auth.StepPassword)(r.OpenInvitation(r.t.Context(), b.v, in.Token, ""))
			_, accepted := r.AcceptInvitation(r.t.Context(), b.v, "", newPassword)
			return errors.Join(err, accepted)
		}},
		"nothing": {password, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newMailRig(t)
			ctx := t.Context()
			p := r.member("alice")
			before := r.entries("browser/" + p.user(r) + "/")
			if len(before) != 1 {
				t.Fatalf("known browsers: %+v", before)
			}
			if row.do != nil {
				if err := row.do(r, p); err != nil {
					t.Fatal(err)
				}
				for _, e := range r.entries("browser/") {
					if e.Key == before[0].Key {
						t.Error("was not swept")
					}
				}
			}
			r.putBack(before)
			r.clock.Add(time.Hour)
			r.clear()
			for range 5 {
				if _, err := r.SignIn(ctx, p.home.v, "alice", "a wrong guess", ""); !errors.Is(err, auth.ErrRejected) {
					t.Fatal(err)
				}
			}
			_, err := r.SignIn(ctx, stranger(9).v, "alice", "a wrong guess", "")
			if shared := throttled(err); shared != (row.do != nil) {
				t.Errorf("a stranger after wrong guesses at home: %v", err)
			}
			r.clock.Add(time.Hour)
			r.whole(p, p.home, row.word)
			told := slices.ContainsFunc(r.subjects(), func(s string) bool { return strings.Contains(s, "New sign-in") })
			if told != (row.do != nil) {
				t.Errorf("a sign-in at home is told: %v", told)
			}
			// From here on it is known, as any other.
			r.clear()
			r.clock.Add(time.Hour)
			r.whole(p, p.home, row.word)
			if got := r.subjects(); slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, "New sign-in") }) {
				t.Errorf("the next one: %q", got)
			}
		})
	}
}
