package auth_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/storage"
)

// fill gives alice disabled apps until she has n credentials.
func (r *rig) fill(n int) {
	r.t.Helper()
	id := r.user("alice").ID
	err := r.store.Update(r.t.Context(), func(tx storage.Tx) (err error) {
		for i := len(r.keys("cred/" + id + "/")); i < n; i++ {
			filler := fmt.Sprintf(`{"id":"filler-%d","method":"totp","disabled":true}`, i)
			err = errors.Join(err, tx.Put(fmt.Sprintf("cred/%s/filler-%d", id, i), []byte(filler), r.clock.Now().AddDate(1, 0, 0)))
		}
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

// TestCredentialsAreCapped: also where several set-ups were begun while there was room for one.
func TestCredentialsAreCapped(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	p := r.person("alice")
	r.fill(99)
	full := func(name string, err error) {
		t.Helper()
		if refused := (*auth.Invalid)(nil); !errors.As(err, &refused) || refused.Text != "You have 100 ways to sign in. Remove one first." {
			t.Errorf("%s: %v", name, err)
		}
	}
	add := auth.Change{Op: auth.ChangeAdd, Method: auth.MethodTOTP}
	var both [2]*browser
	var apps [2]app
	for i := range both {
		both[i] = newBrowser()
		r.signIn(p, both[i])
		r.must(both[i], auth.StepEnroll)(r.Change(ctx, both[i].v, add, ""))
		apps[i] = appOf(r, r.progress(both[i]))
	}
	r.must(both[0], auth.StepDone)(r.FinishEnroll(ctx, both[0].v, auth.MethodTOTP, "", []byte(apps[0].now())))
	_, err := r.FinishEnroll(ctx, both[1].v, auth.MethodTOTP, "", []byte(apps[1].now()))
	full("the second of two", err)
	_, err = r.Change(ctx, both[0].v, add, "")
	full("one more", err)
	r.must(both[0], auth.StepEnroll)(r.Change(ctx, both[0].v, auth.Change{Op: auth.ChangeReplace, Method: auth.MethodTOTP, Credential: "filler-5"}, ""))
	next := appOf(r, r.progress(both[0]))
	r.must(both[0], auth.StepDone)(r.FinishEnroll(ctx, both[0].v, auth.MethodTOTP, "", []byte(next.now())))
	if n := len(r.keys("cred/" + p.user(r) + "/")); n != 100 {
		t.Errorf("%d credentials", n)
	}
}

// TestPasskeyOfItselfIsCapped: the browser adds none where there is no room.
func TestPasskeyOfItselfIsCapped(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	p, b := r.person("alice"), r.keyBrowser()
	r.fill(99)
	r.signIn(p, b)
	a, err := r.UpgradeAsk(ctx, b.v)
	if err != nil {
		t.Fatal(err)
	}
	d := phone()
	d.Absent, d.Verifies = true, false
	answer, err := d.Create(a.Public)
	if err != nil {
		t.Fatal(err)
	}
	r.fill(100)
	if err := r.Upgrade(ctx, b.v, answer, a.Sealed); !errors.Is(err, auth.ErrStep) {
		t.Errorf("begun before: %v", err)
	}
	if _, err := r.UpgradeAsk(ctx, b.v); !errors.Is(err, auth.ErrStep) {
		t.Errorf("begun now: %v", err)
	}
	r.must(b, auth.StepVerify)(r.SignIn(ctx, b.v, "alice", password, ""))
	if out := r.must(b, auth.StepDone)(r.Prove(ctx, b.v, auth.MethodTOTP, []byte(p.now()))); out.Upgrade {
		t.Error("it is offered")
	}
	if n := len(r.keys("cred/" + p.user(r) + "/")); n != 100 {
		t.Errorf("%d credentials", n)
	}
}
