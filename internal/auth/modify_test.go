package auth_test

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// apps returns the IDs of a person's authenticator apps.
func (r *rig) apps(name string) (ids []string) {
	r.t.Helper()
	a, err := r.User(r.t.Context(), name)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, c := range a.Credentials {
		if c.Method == auth.MethodTOTP {
			ids = append(ids, c.ID)
		}
	}
	return ids
}

// add sets up a further app in a session whose proofs are fresh.
func (r *rig) add(b *browser) {
	r.t.Helper()
	ctx := r.t.Context()
	out := r.must(b, auth.StepEnroll)(r.Change(ctx, b.v, auth.Change{Op: auth.ChangeAdd, Method: auth.MethodTOTP}, "/.mfa/security"))
	if out.Method != auth.MethodTOTP {
		r.t.Fatalf("the set-up of %q was begun", out.Method)
	}
	p, err := r.Progress(ctx, b.v)
	if err != nil {
		r.t.Fatal(err)
	}
	r.must(b, auth.StepDone)(r.FinishEnroll(ctx, b.v, auth.MethodTOTP, "tablet", []byte(appOf(r, p).now())))
	r.clock.Add(time.Minute)
}

func TestChangeNeedsFreshProofs(t *testing.T) { // S58, S52
	r := newRig(t)
	ctx := t.Context()
	p, b := r.person("alice"), newBrowser()
	r.signIn(p, b)
	r.add(b)
	ids := r.apps("alice")
	if len(ids) != 2 {
		t.Fatalf("apps %q", ids)
	}
	r.clock.Add(10 * time.Minute)
	old, end := b.v, r.end(b)
	rename := auth.Change{Op: auth.ChangeRename, Credential: ids[0], Label: "old phone"}
	out := r.must(b, auth.StepVerify)(r.Change(ctx, b.v, rename, "/.mfa/security"))
	if out.Method != auth.MethodPassword {
		t.Errorf("asks for %q first", out.Method)
	}
	if got := r.label("alice", ids[0]); got == "old phone" {
		t.Error("renamed before anything was proven")
	}
	if _, err := r.Prove(ctx, b.v, auth.MethodPassword, []byte("not the password")); !errors.Is(err, auth.ErrRejected) {
		t.Fatalf("a wrong password: %v", err)
	}
	r.must(b, auth.StepVerify)(r.Prove(ctx, b.v, auth.MethodPassword, []byte(password)))
	if !r.signedIn(b) {
		t.Error("signed out half way")
	}
	out = r.must(b, auth.StepDone)(r.Prove(ctx, b.v, auth.MethodTOTP, []byte(p.now())))
	if out.To != "/.mfa/security" {
		t.Errorf("goes to %q", out.To)
	}
	if got := r.label("alice", ids[0]); got != "old phone" {
		t.Errorf("the label is %q", got)
	}
	if b.v.Session == old.Session || !r.signedIn(b) {
		t.Error("the token was not rotated")
	}
	if r.signedIn(&browser{old}) {
		t.Error("the token before still counts")
	}
	if s, _, err := r.Session(ctx, host, b.v.Session); err != nil || !s.End.Equal(end) {
		t.Errorf("the session now ends at %v, %v; before at %v", s.End, err, end)
	}
	// Now they are fresh.
	r.must(b, auth.StepDone)(r.Change(ctx, b.v, auth.Change{Op: auth.ChangeRemove, Credential: ids[1]}, ""))
	if got := r.apps("alice"); !slices.Equal(got, ids[:1]) {
		t.Errorf("apps %q", got)
	}
}

func TestChangeIsOfOneSession(t *testing.T) { // S53, S87
	r := newRig(t)
	ctx := t.Context()
	p, b := r.person("alice"), newBrowser()
	r.signIn(p, b)
	mallory := r.person("bob")
	theirs := r.apps("bob")[0]
	ids := r.apps("alice")
	for name, c := range map[string]auth.Change{
		"somebody else's":  {Op: auth.ChangeRemove, Credential: theirs},
		"renaming theirs":  {Op: auth.ChangeRename, Credential: theirs, Label: "mine"},
		"none":             {Op: auth.ChangeRemove, Credential: "0123"},
		"the password":     {Op: auth.ChangeRemove, Credential: r.cred(auth.MethodPassword)},
		"recovery codes":   {Op: auth.ChangeRemove, Credential: r.cred(auth.MethodRecovery)},
		"an unknown thing": {Op: "promote", Credential: ids[0]},
	} {
		if _, err := r.Change(ctx, b.v, c, ""); !errors.Is(err, auth.ErrNoCredential) && !errors.Is(err, auth.ErrStep) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var invalid *auth.Invalid
	if _, err := r.Change(ctx, b.v, auth.Change{Op: auth.ChangeRemove, Credential: ids[0]}, ""); !errors.As(err, &invalid) {
		t.Errorf("removing the only second method: %v", err)
	}

	half := newBrowser()
	r.must(half, auth.StepVerify)(r.SignIn(ctx, half.v, "alice", password, ""))
	for name, v := range map[string]auth.Visit{"nobody": newBrowser().v, "half signed in": half.v} {
		if _, err := r.Change(ctx, v, auth.Change{Op: auth.ChangeAdd, Method: auth.MethodTOTP}, ""); !errors.Is(err, auth.ErrNoSession) {
			t.Errorf("%s: %v", name, err)
		}
	}

	r.clock.Add(15 * time.Minute)
	begin := func() {
		t.Helper()
		r.must(b, auth.StepVerify)(r.Change(ctx, b.v, auth.Change{Op: auth.ChangeAdd, Method: auth.MethodTOTP}, ""))
	}
	begin()
	stolen := b.v
	stolen.Session = ""
	other := b.v
	other.Session = mallory.home.v.Session
	for name, v := range map[string]auth.Visit{"the flow without the session": stolen, "in another's session": other} {
		if _, err := r.Prove(ctx, v, auth.MethodPassword, []byte(password)); !errors.Is(err, auth.ErrNoFlow) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := r.RevokeSessions(ctx, "alice", ""); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Prove(ctx, b.v, auth.MethodPassword, []byte(password)); !errors.Is(err, auth.ErrNoFlow) {
		t.Errorf("after the session was ended: %v", err)
	}
	if got := r.apps("alice"); !slices.Equal(got, ids) {
		t.Errorf("apps %q", got)
	}
}

func TestEnrollingIsNoProofForAChange(t *testing.T) { // S58
	r := newRig(t)
	p := r.person("alice") // signed in by setting up the app
	_, err := r.Change(t.Context(), p.home.v, auth.Change{Op: auth.ChangeAdd, Method: auth.MethodTOTP}, "")
	if err != nil {
		t.Fatal(err)
	}
	out := r.must(p.home, auth.StepVerify)(r.Change(t.Context(), p.home.v, auth.Change{Op: auth.ChangeAdd, Method: auth.MethodTOTP}, ""))
	if out.Method != auth.MethodTOTP { // the password was typed a minute ago
		t.Errorf("asks for %q", out.Method)
	}
	out = r.must(p.home, auth.StepEnroll)(r.Prove(t.Context(), p.home.v, auth.MethodTOTP, []byte(p.now())))
	if out.Method != auth.MethodTOTP {
		t.Errorf("goes on with %q", out.Method)
	}
}

func TestLastTwoMethodsRemovedAtOnce(t *testing.T) { // S91
	r := newRig(t)
	ctx := t.Context()
	p, b := r.person("alice"), newBrowser()
	r.signIn(p, b)
	r.add(b)
	ids := r.apps("alice")
	var wg sync.WaitGroup
	errs := make([]error, len(ids))
	for i, id := range ids {
		wg.Go(func() { _, errs[i] = r.Change(ctx, b.v, auth.Change{Op: auth.ChangeRemove, Credential: id}, "") })
	}
	wg.Wait()
	var invalid *auth.Invalid
	if (errs[0] == nil) == (errs[1] == nil) || !errors.As(errors.Join(errs...), &invalid) {
		t.Errorf("errors %v", errs)
	}
	if got := r.apps("alice"); len(got) != 1 {
		t.Errorf("apps %q", got)
	}
}

func TestRemovingEndsSessionsThatUsedIt(t *testing.T) { // S56
	r := newRig(t)
	ctx := t.Context()
	p, b := r.person("alice"), newBrowser()
	r.signIn(p, b)
	first := r.apps("alice")
	r.add(b)
	with, without := newBrowser(), newBrowser()
	r.signIn(p, with)
	r.must(without, auth.StepVerify)(r.SignIn(ctx, without.v, "alice", password, ""))
	r.must(without, auth.StepDone)(r.Prove(ctx, without.v, auth.MethodRecovery, []byte(p.codes[0])))
	r.must(b, auth.StepDone)(r.Change(ctx, b.v, auth.Change{Op: auth.ChangeRemove, Credential: first[0], EndSessions: true}, ""))
	if r.signedIn(with) {
		t.Error("a session that used the app goes on")
	}
	if !r.signedIn(without) || !r.signedIn(b) {
		t.Error("a session that did not use it, or the one at work, was ended")
	}
}

func (r *rig) end(b *browser) time.Time {
	r.t.Helper()
	s, _, err := r.Session(r.t.Context(), host, b.v.Session)
	if err != nil {
		r.t.Fatal(err)
	}
	return s.End
}

func (r *rig) find(name string, is func(auth.Credential) bool) auth.Credential {
	r.t.Helper()
	a, err := r.User(r.t.Context(), name)
	if err != nil {
		r.t.Fatal(err)
	}
	i := slices.IndexFunc(a.Credentials, is)
	if i < 0 {
		r.t.Fatal("no such credential")
	}
	return a.Credentials[i]
}

func (r *rig) label(name, id string) string {
	r.t.Helper()
	return r.find(name, func(c auth.Credential) bool { return c.ID == id }).Label
}

// cred is the ID of the credential of a method of alice's.
func (r *rig) cred(method string) string {
	r.t.Helper()
	return r.find("alice", func(c auth.Credential) bool { return c.Method == method }).ID
}
