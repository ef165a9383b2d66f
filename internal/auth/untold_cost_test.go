package auth_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/internal/method"
	"github.com/caddy-mfa/caddy-mfa/storage"
)

// counted counts what is verified.
type (
	countedPassword struct {
		*method.Password
		n *atomic.Int32
	}
	countedRecovery struct {
		*method.Recovery
		n *atomic.Int32
	}
	countedTOTP struct {
		*method.TOTP
		n *atomic.Int32
	}
)

func (c countedPassword) Verify(now time.Time, u auth.User, creds []auth.Credential, ch auth.Challenge, answer []byte) (auth.Verified, error) {
	c.n.Add(1)
	return c.Password.Verify(now, u, creds, ch, answer)
}

func (c countedRecovery) Verify(now time.Time, u auth.User, creds []auth.Credential, ch auth.Challenge, answer []byte) (auth.Verified, error) {
	c.n.Add(1)
	return c.Recovery.Verify(now, u, creds, ch, answer)
}

func (c countedTOTP) Verify(now time.Time, u auth.User, creds []auth.Credential, ch auth.Challenge, answer []byte) (auth.Verified, error) {
	c.n.Add(1)
	return c.TOTP.Verify(now, u, creds, ch, answer)
}

// countingStore counts the transactions that wrote, and what they wrote: each waits for the disk, so their number is time.
type countingStore struct {
	storage.Store
	commits, puts atomic.Int32
}

type countingTx struct {
	storage.Tx
	puts *int
}

func (tx countingTx) Put(key string, value []byte, expires time.Time) error {
	*tx.puts++
	return tx.Tx.Put(key, value, expires)
}

func (s *countingStore) Update(ctx context.Context, fn func(storage.Tx) error) error {
	puts := 0
	err := s.Store.Update(ctx, func(tx storage.Tx) error { puts = 0; return fn(countingTx{tx, &puts}) })
	if puts > 0 && err == nil {
		s.commits.Add(1)
		s.puts.Add(int32(puts))
	}
	return err
}

// TestUntoldCostsTheSame counts the work of each try: runs of each method, and writes that wait for the disk.
func TestUntoldCostsTheSame(t *testing.T) { // S88
	base := newRig(t)
	p := base.person("alice")
	store := &countingStore{Store: base.store}
	r := newRigOn(t, base.clock, store)
	var passwords, recoveries, apps atomic.Int32
	r.Realm = r.realm(func(c *auth.Config) {
		c.OnePage = true
		for i, m := range c.Methods {
			switch m := m.(type) {
			case *method.Password:
				c.Methods[i] = countedPassword{m, &passwords}
			case *method.Recovery:
				c.Methods[i] = countedRecovery{m, &recoveries}
			case *method.TOTP:
				c.Methods[i] = countedTOTP{m, &apps}
			}
		}
	})
	ctx := t.Context()
	cost := func(try func() error) string {
		r.clock.Add(2 * time.Hour)
		passwords.Store(0)
		recoveries.Store(0)
		apps.Store(0)
		store.commits.Store(0)
		store.puts.Store(0)
		err := try()
		return fmt.Sprintf("%v: %d passwords, %d recovery codes, %d apps, %d commits of %d records",
			err, passwords.Load(), recoveries.Load(), apps.Load(), store.commits.Load(), store.puts.Load())
	}
	for name, try := range map[string]func(name, password string) error{
		"no code": func(name, password string) error {
			_, err := r.SignIn(ctx, stranger(1).v, name, password, "")
			return err
		},
		"a wrong code": func(name, password string) error {
			_, err := r.SignInAtOnce(ctx, stranger(1).v, name, password, auth.MethodTOTP, "000000", "")
			return err
		},
		"a wrong recovery": func(name, password string) error {
			_, err := r.SignInAtOnce(ctx, stranger(1).v, name, password, auth.MethodRecovery, "aaaaa-aaaaa-aaaaa", "")
			return err
		},
		"what is no code": func(name, password string) error {
			_, err := r.SignInAtOnce(ctx, stranger(1).v, name, password, auth.MethodRecovery, "?", "")
			return err
		},
		"the second page": func(name, password string) error {
			_, err := r.Prove(ctx, r.second(name, password).v, auth.MethodTOTP, []byte("000000"))
			return err
		},
		"recovery there": func(name, password string) error {
			_, err := r.Prove(ctx, r.second(name, password).v, auth.MethodRecovery, []byte("aaaaa-aaaaa-aaaaa"))
			return err
		},
		"asking for the key": func(name, password string) error {
			_, err := r.Ask(ctx, r.second(name, password).v, auth.MethodWebAuthn)
			return err
		},
	} {
		want := cost(func() error { return try("alice", password) })
		for part, who := range wrongParts {
			if got := cost(func() error { return try(who.name, who.password) }); got != want {
				t.Errorf("%s, %s: %s; with the right password %s", name, part, got, want)
			}
		}
	}
	// A right code with a wrong password is verified like any other.
	right := cost(func() error {
		_, err := r.SignInAtOnce(ctx, stranger(1).v, "alice", "wrong", auth.MethodTOTP, p.now(), "")
		return err
	})
	if wrong := cost(func() error {
		_, err := r.SignInAtOnce(ctx, stranger(1).v, "alice", "wrong", auth.MethodTOTP, "000000", "")
		return err
	}); right != wrong {
		t.Errorf("a right code: %s; a wrong one: %s", right, wrong)
	}
}
