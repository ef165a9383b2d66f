package auth_test

import (
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/internal/method/authenticator"
	"github.com/caddy-mfa/caddy-mfa/storage"
)

// Whoever knows the password cannot keep the person's key out.
func TestKeyIsNotShutOutByThePassword(t *testing.T) { // S12
	t.Parallel()
	r := newRig(t)
	ctx := t.Context()
	d := phone()
	r.keyPerson("alice", d)
	var throttled *auth.Throttled
	for range 60 {
		b := newBrowser()
		b.v.Addr = netip.MustParseAddr("203.0.113.9")
		if _, err := r.SignIn(ctx, b.v, "alice", password, ""); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.SignIn(ctx, newBrowser().v, "alice", password, ""); !errors.As(err, &throttled) {
		t.Fatalf("the 61st sign-in that was not finished: %v", err)
	}
	b := r.keyBrowser()
	r.must(b, auth.StepDone)(r.passkey(b, d))
}

// Answers of keys are cheap: they must not fill the counters of everybody else (CVE-2026-77561).
func TestWrongKeysDoNotShutOutPasswords(t *testing.T) { // S12
	r := newRig(t)
	d := phone()
	r.keyPerson("alice", d)
	var err error
	for range 31 {
		_, err = r.passkey(r.keyBrowser(), d, func(f *authenticator.Draft) { f.UserHandle = nil })
	}
	if !throttled(err) {
		t.Errorf("31 wrong keys from one address: %v", err)
	}
	if _, err := r.SignIn(t.Context(), newBrowser().v, "alice", password, ""); err != nil {
		t.Errorf("the password from that address: %v", err)
	}
}

func TestChallengeIsSpentOnce(t *testing.T) { // S38
	r := newRig(t)
	ctx := t.Context()
	d := phone()
	r.keyPerson("alice", d)
	b := r.keyBrowser()
	answer, sealed := r.assertion(b, d)
	var wg sync.WaitGroup
	errs := make([]error, 50)
	for i := range errs {
		v := b.v
		v.Addr = netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}) // one address alone would be throttled
		wg.Go(func() { _, errs[i] = r.Passkey(ctx, v, answer, sealed, "") })
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		switch {
		case err == nil:
			won++
		case !errors.Is(err, auth.ErrRejected):
			t.Errorf("a loser got %v", err)
		}
	}
	if won != 1 {
		t.Errorf("%d of %d uses of one challenge succeeded", won, len(errs))
	}

	b = r.keyBrowser()
	right, sealed := r.assertion(b, d)
	wrong := slices.Clone(right)
	copy(wrong[slices.Index(wrong, ':'):], ":0") // malformed
	if _, err := r.Passkey(ctx, b.v, wrong, sealed, ""); !errors.Is(err, auth.ErrRejected) {
		t.Fatalf("a malformed answer: %v", err)
	}
	if _, err := r.Passkey(ctx, b.v, right, sealed, ""); !errors.Is(err, auth.ErrRejected) {
		t.Errorf("a right answer after a wrong one: %v", err)
	}
}

func TestChallengeIsBoundToTheBrowser(t *testing.T) { // S38
	r := newRig(t)
	ctx := t.Context()
	d := phone()
	_, home := r.keyPerson("alice", d)
	b := r.keyBrowser()
	before := len(r.keys(""))
	answer, sealed := r.assertion(b, d)
	if n := len(r.keys("")); n != before {
		t.Errorf("asking stored %d records", n-before)
	}
	otherHost := b.v
	otherHost.Host, otherHost.Origin = "wiki.example.com", "https://wiki.example.com"
	otherPort := b.v
	otherPort.Origin += ":8443"
	none := b.v
	none.Flow = ""
	for name, v := range map[string]auth.Visit{
		"another browser": r.keyBrowser().v, "another host": otherHost, "another port": otherPort, "no cookie": none,
	} {
		if out, err := r.Passkey(ctx, v, answer, sealed, ""); !errors.Is(err, auth.ErrRejected) {
			t.Errorf("%s: %+v, %v", name, out, err)
		}
	}
	// Nor is one for signing in good for anything else.
	if err := r.Upgrade(ctx, home.v, answer, sealed); !errors.Is(err, auth.ErrRejected) {
		t.Errorf("as an upgrade: %v", err)
	}
	answer, sealed = r.assertion(b, d)
	r.clock.Add(5 * time.Minute)
	var hint *auth.Hint
	if _, err := r.Passkey(ctx, b.v, answer, sealed, ""); !errors.As(err, &hint) || !errors.Is(err, auth.ErrRejected) {
		t.Errorf("after five minutes: %v", err)
	}
}

func TestKeyOfSomebodyElse(t *testing.T) { // S45, S46, S87
	r := newRig(t)
	ctx := t.Context()
	mine, theirs := phone(), phone()
	_, home := r.keyPerson("alice", mine)
	r.keyPerson("bob", theirs)
	// Mallory's authenticator claims alice's credential ID, or her handle, or both.
	id, handle := mine.Keys()[0].ID, mine.Keys()[0].UserHandle
	for name, lie := range map[string]func(*authenticator.Draft){
		"her credential":            func(f *authenticator.Draft) { f.CredentialID = id },
		"her handle":                func(f *authenticator.Draft) { f.UserHandle = handle },
		"her credential and handle": func(f *authenticator.Draft) { f.CredentialID, f.UserHandle = id, handle },
		"no handle":                 func(f *authenticator.Draft) { f.UserHandle = nil },
	} {
		b := r.keyBrowser()
		if out, err := r.passkey(b, theirs, lie); !errors.Is(err, auth.ErrRejected) {
			t.Errorf("%s: %+v, %v", name, out, err)
		}
	}
	// The browser may forget a key of a user of ours that is gone. One of another service under the same RP ID it must keep.
	unknown := func(f *authenticator.Draft) { f.CredentialID = []byte("0123456789abcdef") }
	if _, err := r.passkey(r.keyBrowser(), theirs, unknown); !errors.Is(err, auth.ErrUnknownKey) {
		t.Errorf("an unknown key: %v", err)
	}
	for name, change := range map[string]func(*authenticator.Draft){
		"another service's": func(f *authenticator.Draft) { f.UserHandle = []byte("their user"); unknown(f) },
		"no handle":         func(f *authenticator.Draft) { f.UserHandle = nil; unknown(f) },
		"malformed":         func(f *authenticator.Draft) { f.JSON = func(m map[string]any) { m["type"] = "secret" } },
	} {
		if _, err := r.passkey(r.keyBrowser(), theirs, change); !errors.Is(err, auth.ErrRejected) || errors.Is(err, auth.ErrUnknownKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Nor can it be registered a second time, by anybody.
	r.must(home, auth.StepEnroll)(r.Change(ctx, home.v, auth.Change{Op: auth.ChangeAdd, Method: auth.MethodWebAuthn}, ""))
	p, err := r.Progress(ctx, home.v)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := phone().Create(p.Challenge.Public, func(f *authenticator.Draft) { f.CredentialID = theirs.Keys()[0].ID })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.FinishEnroll(ctx, home.v, auth.MethodWebAuthn, "", answer); !errors.Is(err, auth.ErrDuplicate) {
		t.Errorf("bob's credential registered by alice: %v", err)
	}
	if _, err := mine.Create(p.Challenge.Public); !errors.Is(err, authenticator.ErrExcluded) { // S49
		t.Errorf("the key that is there: %v", err)
	}
}

func TestCounterThatGoesBack(t *testing.T) { // S48
	r := newRig(t)
	ctx := t.Context()
	d := stick()
	d.Verifies, d.Forgets = true, false
	r.keyPerson("alice", d)
	b := r.keyBrowser()
	r.must(b, auth.StepDone)(r.passkey(b, d))
	var hint *auth.Hint
	clone := r.keyBrowser()
	if _, err := r.passkey(clone, d, func(f *authenticator.Draft) { f.Counter = 1 }); !errors.Is(err, auth.ErrCounter) || !errors.As(err, &hint) {
		t.Fatalf("a counter that went back: %v", err)
	}
	found := false
	err := r.store.View(ctx, func(tx storage.Tx) error {
		for e, err := range tx.Scan("audit/", "") {
			if err != nil {
				return err
			}
			var ev auth.Event
			if err := json.Unmarshal(e.Value, &ev); err != nil {
				return err
			}
			found = found || ev.Name == auth.EventCounter && ev.User == "alice"
		}
		return nil
	})
	if err != nil || !found {
		t.Errorf("the audit trail says nothing, %v", err)
	}
}
