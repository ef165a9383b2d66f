package auth_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/internal/method"
	"github.com/caddy-mfa/caddy-mfa/storage"
)

// hashing counts all runs of argon2id that a password takes.
type hashing struct {
	*method.Password
	checked, made *atomic.Int32
}

func (h hashing) Verify(now time.Time, u auth.User, creds []auth.Credential, ch auth.Challenge, answer []byte) (auth.Verified, error) {
	h.checked.Add(1)
	return h.Password.Verify(now, u, creds, ch, answer)
}

func (h hashing) Renewed(answer []byte) ([]byte, error) {
	h.made.Add(1)
	return h.Password.Renewed(answer)
}

// strongRig has alice with a hash that was made with weaker parameters than today's.
func strongRig(t *testing.T, onePage bool) (*rig, *person, hashing) {
	t.Helper()
	r := newRig(t)
	p := r.person("alice")
	h := hashing{method.NewPassword("Example"), new(atomic.Int32), new(atomic.Int32)}
	r.Realm = r.realm(func(c *auth.Config) { c.Methods[0], c.OnePage = h, onePage })
	return r, p, h
}

// hash is what is stored of the password of alice.
func (r *rig) hash() (value string) {
	r.t.Helper()
	key := r.credential("alice", auth.MethodPassword)
	if err := r.store.View(r.t.Context(), func(tx storage.Tx) error {
		e, err := tx.Get(key)
		value = string(e.Value)
		return err
	}); err != nil {
		r.t.Fatal(err)
	}
	return value
}

// TestOutdatedHashIsRenewed: a hash with other parameters than today's is made anew by a sign-in, and on one page only by a whole one.
func TestOutdatedHashIsRenewed(t *testing.T) { // S7
	for name, way := range map[string]struct {
		onePage bool
		signIn  func(r *rig, p *person, password, code string) error
	}{
		"two steps": {false, func(r *rig, _ *person, password, _ string) error {
			_, err := r.SignIn(r.t.Context(), stranger(1).v, "alice", password, "")
			return err
		}},
		"at once": {true, func(r *rig, _ *person, password, code string) error {
			_, err := r.SignInAtOnce(r.t.Context(), stranger(1).v, "alice", password, auth.MethodTOTP, code, "")
			return err
		}},
		"two pages": {true, func(r *rig, _ *person, password, code string) error {
			_, err := r.Prove(r.t.Context(), r.second("alice", password).v, auth.MethodTOTP, []byte(code))
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			r, p, h := strongRig(t, way.onePage)
			before := r.hash()
			wrong := map[string]string{"not the password": p.now()}
			if way.onePage {
				wrong[password] = "000000"
			}
			for password, code := range wrong {
				if err := way.signIn(r, p, password, code); !errors.Is(err, auth.ErrRejected) || r.hash() != before {
					t.Errorf("%q with %s: %v, or the hash was made anew", password, code, err)
				}
				r.clock.Add(time.Minute)
			}
			if err := way.signIn(r, p, password, p.now()); err != nil {
				t.Fatal(err)
			}
			after := r.hash()
			if after == before {
				t.Error("the hash stays as it was")
			}
			made := h.made.Load()
			r.clock.Add(time.Minute)
			if err := way.signIn(r, p, password, p.now()); err != nil {
				t.Errorf("with the new hash: %v", err)
			}
			if r.hash() != after || h.made.Load() != made {
				t.Error("it is made anew each time")
			}
		})
	}
}

// TestOutdatedHashTellsNothing: where nobody may learn whether the password was right, as many hashes are made of a wrong one, and the
// cookie is as long.
func TestOutdatedHashTellsNothing(t *testing.T) { // S88
	r, _, h := strongRig(t, true)
	ctx := t.Context()
	for at, try := range map[string]func(password string) (auth.Outcome, error){
		"no code": func(password string) (auth.Outcome, error) {
			return r.SignIn(ctx, stranger(1).v, "alice", password, "")
		},
		"a wrong code": func(password string) (auth.Outcome, error) {
			return r.SignInAtOnce(ctx, stranger(1).v, "alice", password, auth.MethodTOTP, "000000", "")
		},
		"the second page": func(password string) (auth.Outcome, error) {
			return r.Prove(ctx, r.second("alice", password).v, auth.MethodTOTP, []byte("000000"))
		},
	} {
		said := map[string]string{}
		for _, typed := range []string{password, "not the password"} {
			r.clock.Add(time.Hour)
			h.checked.Store(0)
			h.made.Store(0)
			out, err := try(typed)
			length := 0
			for _, c := range out.Cookies {
				length += len(c.Value)
			}
			said[typed] = fmt.Sprintf("%v: %d checked, %d made, %d bytes", err, h.checked.Load(), h.made.Load(), length)
		}
		if said[password] != said["not the password"] {
			t.Errorf("%s: %s; with a wrong password %s", at, said[password], said["not the password"])
		}
	}
	// A name that nobody has, and a hash of today, make no longer cookie.
	r.clock.Add(2 * time.Hour)
	b := r.second("alice", password)
	nobody := r.second("nobod", password)
	if len(b.v.Flow) != len(nobody.v.Flow) {
		t.Errorf("%d bytes of cookie, for a name that nobody has %d", len(b.v.Flow), len(nobody.v.Flow))
	}
}
