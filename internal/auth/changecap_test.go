package auth_test

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/internal/method"
)

// counted is the password with a count of what it hashed.
type counted struct {
	*method.Password
	runs *atomic.Int32
}

func (c counted) New(password string, about ...string) (auth.Credential, error) {
	c.runs.Add(1)
	return c.Password.New(password, about...)
}

// counting is a realm that counts the passwords it hashes.
func (r *rig) counting() (*auth.Realm, *atomic.Int32) {
	runs := new(atomic.Int32)
	return r.realm(func(c *auth.Config) { c.Methods[0] = counted{c.Methods[0].(*method.Password), runs} }), runs
}

// tooMany reports whether err says that there were too many changes.
func tooMany(err error) bool {
	slow := (*auth.Throttled)(nil)
	return errors.As(err, &slow) && slow.Changes && !slow.Off && slow.RetryAfter > 0
}

// TestStaleSessionCostsLittle: whoever has a stolen session and no proof has nothing hashed, fills no store, and does not keep the
// account's owner from changing the password.
func TestStaleSessionCostsLittle(t *testing.T) { // S8, S13, S58
	t.Parallel()
	r := newRig(t)
	ctx := t.Context()
	p, thief := r.person("alice"), newBrowser()
	r.signIn(p, thief)
	r.clock.Add(15 * time.Minute)
	realm, runs := r.counting()
	full := r.state.FillHashing()
	begun, errs := race(200, func(i int) error {
		_, err := realm.Change(ctx, thief.v, auth.Change{Op: auth.ChangePassword, Password: fmt.Sprint("a password of the thief's ", i)}, "")
		return err
	})
	full()
	for _, err := range errs {
		if err != nil && !tooMany(err) {
			t.Errorf("unexpected: %v", err)
		}
	}
	if n := len(r.keys("flow/")); begun != 60 || n != 60 || runs.Load() != 0 {
		t.Errorf("%d begun, %d flows, %d runs of argon2id", begun, n, runs.Load())
	}
	if _, err := realm.Change(ctx, thief.v, auth.Change{Op: auth.ChangeEndOthers}, ""); !tooMany(err) {
		t.Errorf("another change: %v", err)
	}

	r.signIn(p, p.home)
	next := auth.Change{Op: auth.ChangePassword, Password: "seven grey geese in a row"}
	if out := r.must(p.home, auth.StepDone)(realm.Change(ctx, p.home.v, next, "")); out.Changed != auth.ChangePassword || runs.Load() != 1 {
		t.Errorf("the owner: %+v, %d runs", out, runs.Load())
	}
	if !r.signedIn(p.home) || r.signedIn(thief) {
		t.Error("the thief is still there")
	}
	if _, err := r.SignIn(ctx, newBrowser().v, "alice", next.Password, ""); err != nil {
		t.Errorf("the new password: %v", err)
	}
}

// TestRefusedPasswordIsNoChange: what cannot be a password is refused where it was typed, and counts for nothing.
func TestRefusedPasswordIsNoChange(t *testing.T) { // S5
	r := newRig(t)
	p, b := r.person("alice"), newBrowser()
	r.signIn(p, b)
	r.clock.Add(15 * time.Minute)
	for range 3 {
		for name, wrong := range map[string]string{"nothing": "", "short": "1234567", "common": "password1", "her name": "alice-alice", "long": strings.Repeat("ab1!", 300)} {
			refused := (*auth.Invalid)(nil)
			if _, err := r.Change(t.Context(), b.v, auth.Change{Op: auth.ChangePassword, Password: wrong}, ""); !errors.As(err, &refused) || refused.Field != "password" {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if left := append(r.keys("flow/"), r.keys("throttle/"+r.user("alice").ID+"/change")...); len(left) > 0 {
		t.Errorf("left %q", left)
	}
}

// TestPasswordWaitsForASlot: where no slot is free the change asks once more for the present password, and goes on by it.
func TestPasswordWaitsForASlot(t *testing.T) { // S8
	r := newRig(t)
	ctx := t.Context()
	p, b := r.person("alice"), newBrowser()
	r.signIn(p, b)
	const next = "seven grey geese in a row"
	release := r.state.FillHashing()
	out := r.must(b, auth.StepVerify)(r.Change(ctx, b.v, auth.Change{Op: auth.ChangePassword, Password: next}, ""))
	release()
	if out.Method != auth.MethodPassword {
		t.Errorf("asks for %q", out.Method)
	}
	for key, value := range r.records("flow/") {
		if strings.Contains(value, next) {
			t.Errorf("%s holds the new password", key)
		}
	}
	if found := grepDir(t, r.dir, next); found != "" {
		t.Error("the new password stands in a file")
	}
	r.must(b, auth.StepDone)(r.Prove(ctx, b.v, auth.MethodPassword, []byte(password)))
	if _, err := r.SignIn(ctx, newBrowser().v, "alice", next, ""); err != nil {
		t.Errorf("the new password: %v", err)
	}
}

// TestChangesAreCapped: each leaves events for 90 days.
func TestChangesAreCapped(t *testing.T) { // S13
	r := newRig(t)
	ctx := t.Context()
	p := r.person("alice")
	browsers := make([]*browser, 3)
	for i := range browsers {
		browsers[i] = newBrowser()
		r.signIn(p, browsers[i])
	}
	other := r.person("bob")
	r.signIn(other, other.home)
	name := func(b *browser, i int) error {
		_, err := r.Change(ctx, b.v, auth.Change{Op: auth.ChangeName, Label: fmt.Sprint("Alice ", i)}, "")
		return err
	}
	made, errs := race(90, func(i int) error { return name(browsers[i%3], i) })
	for _, err := range errs {
		if err != nil && !tooMany(err) {
			t.Errorf("unexpected: %v", err)
		}
	}
	if n := r.count(auth.EventNameChanged); made != 60 || n != 60 {
		t.Errorf("%d made, %d events", made, n)
	}
	if len(r.keys("flow/")) > 0 {
		t.Errorf("flows are left: %q", r.keys("flow/"))
	}
	if err := name(other.home, 1); err != nil {
		t.Errorf("somebody else: %v", err)
	}
	r.clock.Add(59 * time.Minute)
	r.signIn(p, browsers[0])
	if err := name(browsers[0], 2); err != nil {
		t.Errorf("an hour later: %v", err)
	}
}
