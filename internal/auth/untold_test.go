package auth_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/internal/method"
	"github.com/caddy-mfa/caddy-mfa/storage"
)

// TestUntoldStoresNothing: neither wrong passwords nor right ones without a code leave more than counters.
func TestUntoldStoresNothing(t *testing.T) {
	r, _ := onePageRig(t)
	ctx := t.Context()
	rest := func() (keys []string) {
		for _, k := range r.keys("") {
			if !strings.HasPrefix(k, "throttle/") {
				keys = append(keys, k)
			}
		}
		return keys
	}
	before := rest()
	for i := range 20 {
		r.clock.Add(61 * time.Second)
		for part, who := range wrongParts {
			b := stranger(byte(i))
			out, err := r.SignIn(ctx, b.v, who.name, who.password, "")
			b.take(out)
			if err != nil && !throttled(err) {
				t.Fatal(part, err)
			}
			_, _ = r.Prove(ctx, b.v, auth.MethodTOTP, []byte("000000"))
			_, _ = r.Prove(ctx, b.v, auth.MethodRecovery, []byte("aaaaa-aaaaa-aaaaa"))
			_, _ = r.SignInAtOnce(ctx, b.v, who.name, who.password, auth.MethodTOTP, "000000", "")
		}
	}
	if after := rest(); !slices.Equal(before, after) {
		t.Errorf("before:\n%q\nafter:\n%q", before, after)
	}
}

// TestUntoldReachesNothing: a password, right or wrong, opens nothing but the pages that ask for more.
func TestUntoldReachesNothing(t *testing.T) { // S53
	for part, who := range wrongParts {
		t.Run(part, func(t *testing.T) {
			r, _ := onePageRig(t)
			ctx := t.Context()
			b := r.second(who.name, who.password)
			before := r.keys("")
			for name, want := range map[string]struct {
				err  error
				call func(auth.Visit) error
			}{
				"begin a set-up": {auth.ErrStep, func(v auth.Visit) error { _, err := r.BeginEnroll(ctx, v, auth.MethodTOTP); return err }},
				"finish a set-up": {auth.ErrStep, func(v auth.Visit) error {
					_, err := r.FinishEnroll(ctx, v, auth.MethodTOTP, "", []byte("000000"))
					return err
				}},
				"make recovery codes":    {auth.ErrStep, func(v auth.Visit) error { _, err := r.MakeRecoveryCodes(ctx, v); return err }},
				"confirm recovery codes": {auth.ErrStep, func(v auth.Visit) error { _, err := r.ConfirmRecoveryCodes(ctx, v); return err }},
				"accept an invitation":   {auth.ErrStep, func(v auth.Visit) error { _, err := r.AcceptInvitation(ctx, v, "alice", password); return err }},
				"prove the password":     {auth.ErrStep, func(v auth.Visit) error { _, err := r.Prove(ctx, v, auth.MethodPassword, []byte(password)); return err }},
				"prove by mail":          {auth.ErrStep, func(v auth.Visit) error { _, err := r.Prove(ctx, v, auth.MethodEmail, []byte("000000")); return err }},
				"ask for mail":           {auth.ErrStep, func(v auth.Visit) error { _, err := r.SendCode(ctx, v); return err }},
				"change something":       {auth.ErrNoSession, func(v auth.Visit) error { _, err := r.Change(ctx, v, auth.Change{Op: auth.ChangeOff}, ""); return err }},
				"upgrade":                {auth.ErrNoSession, func(v auth.Visit) error { _, err := r.UpgradeAsk(ctx, v); return err }},
				"have a session":         {auth.ErrNoSession, func(v auth.Visit) error { _, _, err := r.Session(ctx, v.Host, v.Flow); return err }},
				"answer on another host": {auth.ErrNoFlow, func(v auth.Visit) error {
					v.Host = "wiki.example.com"
					_, err := r.Prove(ctx, v, auth.MethodTOTP, []byte("000000"))
					return err
				}},
				"look from another host": {auth.ErrNoFlow, func(v auth.Visit) error { v.Host = "wiki.example.com"; _, err := r.Progress(ctx, v); return err }},
				"answer with it changed": {auth.ErrNoFlow, func(v auth.Visit) error {
					v.Flow = changed(v.Flow)
					_, err := r.Prove(ctx, v, auth.MethodTOTP, []byte("000000"))
					return err
				}},
				"answer as the browser's": {auth.ErrNoFlow, func(v auth.Visit) error {
					v.Flow, v.Browser = "", v.Flow
					_, err := r.Prove(ctx, v, auth.MethodTOTP, []byte("000000"))
					return err
				}},
			} {
				if err := want.call(b.v); !errors.Is(err, want.err) {
					t.Errorf("%s: %v", name, err)
				}
			}
			p := r.progress(b)
			if p.Step != auth.StepVerify || p.Method != auth.MethodTOTP || !slices.Equal(p.Others, []string{auth.MethodWebAuthn, auth.MethodRecovery}) ||
				p.Enrollable != nil || p.User.ID != "" || p.User.Name != who.name {
				t.Errorf("progress %+v", p)
			}
			if after := r.keys(""); !slices.Equal(before, after) {
				t.Errorf("before:\n%q\nafter:\n%q", before, after)
			}
			r.clock.Add(10 * time.Minute)
			if _, err := r.Prove(ctx, b.v, auth.MethodTOTP, []byte("000000")); !errors.Is(err, auth.ErrNoFlow) {
				t.Errorf("expired: %v", err)
			}
		})
	}
}

// changed is a cookie's value with a character in its midst exchanged.
func changed(value string) string {
	b := []byte(value)
	i := len(b) / 2
	if b[i]++; b[i] == value[i] || b[i] > 'z' {
		b[i] = 'A'
	}
	return string(b)
}

// TestUntoldIsVoid: what becomes of the account meanwhile makes a right password wrong, and says no more.
func TestUntoldIsVoid(t *testing.T) { // S56
	for name, do := range map[string]func(*rig) error{
		"disabled": func(r *rig) error { return r.SetDisabled(r.t.Context(), "alice", true) },
		"disabled twice": func(r *rig) error {
			return errors.Join(r.SetDisabled(r.t.Context(), "alice", true), r.SetDisabled(r.t.Context(), "alice", false))
		},
		"deleted":        func(r *rig) error { return r.DeleteUser(r.t.Context(), "alice") },
		"sessions ended": func(r *rig) error { return r.ResetMFA(r.t.Context(), "alice") },
		"made anew": func(r *rig) error {
			if err := r.DeleteUser(r.t.Context(), "alice"); err != nil {
				return err
			}
			_, _, err := r.AddUser(r.t.Context(), auth.NewUser{Name: "alice", Password: password})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, p := onePageRig(t)
			b := r.second("alice", password)
			if err := do(r); err != nil {
				t.Fatal(err)
			}
			for _, answer := range []string{p.now(), "000000"} {
				if _, err := r.Prove(t.Context(), b.v, auth.MethodTOTP, []byte(answer)); err != auth.ErrRejected { //nolint:errorlint // and nothing but that
					t.Errorf("%v", err)
				}
			}
		})
	}
}

// TestUntoldOfAnotherSignIn: a proof of one password is none for another name, nor in a cookie that somebody made up.
func TestUntoldOfAnotherSignIn(t *testing.T) {
	r, _ := onePageRig(t)
	r.Realm = r.realm(nil)
	bob := r.person("bob")
	r.Realm = r.realm(onePage)
	b := r.second("alice", password)
	if _, err := r.Prove(t.Context(), b.v, auth.MethodTOTP, []byte(bob.now())); !errors.Is(err, auth.ErrRejected) {
		t.Errorf("with bob's code: %v", err)
	}
	half := stranger(2)
	r.must(half, auth.StepVerify)(r.realm(nil).SignIn(t.Context(), half.v, "bob", password, ""))
	if len(half.v.Flow) == len(b.v.Flow) {
		t.Fatal("the cookies are of one kind")
	}
}

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

// TestUntoldIsKept: that somebody knew the password is written to the account's trail, only later, when time does not tell it.
func TestUntoldIsKept(t *testing.T) { // S77, S88
	r, _ := onePageRig(t)
	ctx := t.Context()
	at := r.clock.Now()
	for _, part := range []string{"right password", "wrong password", "unknown name"} {
		who := wrongParts[part]
		if _, err := r.SignInAtOnce(ctx, stranger(1).v, who.name, who.password, auth.MethodTOTP, "000000", ""); !errors.Is(err, auth.ErrRejected) {
			t.Fatal(err)
		}
		if _, err := r.Prove(ctx, r.second(who.name, who.password).v, auth.MethodRecovery, []byte("000000")); !errors.Is(err, auth.ErrRejected) {
			t.Fatal(err)
		}
	}
	if slices.Contains(r.events(), auth.EventWrongAnswer) {
		t.Error("it is written at once")
	}
	r.clock.Add(time.Minute)
	r.reopen(secret)
	var methods []string
	events, err := r.Activity(ctx, r.user("alice").ID)
	for _, e := range events {
		if e.Name == auth.EventWrongAnswer {
			methods = append(methods, e.Method)
			if !e.Time.Equal(at) || e.Addr != "198.51.100.1" {
				t.Errorf("event %+v", e)
			}
		}
	}
	slices.Sort(methods)
	if err != nil || !slices.Equal(methods, []string{auth.MethodRecovery, auth.MethodTOTP}) {
		t.Errorf("wrong answers of %q, %v", methods, err)
	}
}

// asked is what a page shows of a challenge of keys, and what stands in its seal.
type asked struct {
	AllowCredentials []struct {
		ID         string   `json:"id"`
		Type       string   `json:"type"`
		Transports []string `json:"transports"`
	} `json:"allowCredentials"`
}

func (r *rig) askedFor(name, typed string) (auth.Ask, asked, *browser) {
	r.t.Helper()
	b := r.second(name, typed)
	a, err := r.Ask(r.t.Context(), b.v, auth.MethodWebAuthn)
	if err != nil {
		r.t.Fatal(err)
	}
	var got asked
	if err := json.Unmarshal(a.Public, &got); err != nil || len(got.AllowCredentials) == 0 {
		r.t.Fatalf("%s: %v", a.Public, err)
	}
	return *a, got, b
}

func TestUntoldKeys(t *testing.T) { // S47, S88
	r := newRig(t)
	d := stick()
	_, home := r.keyPerson("alice", d)
	r.person("bob")
	r.Realm = r.realm(onePage)
	ctx := t.Context()
	seen := map[string]bool{}
	for _, name := range []string{"alice", "bob", "nobody", "somebody"} {
		_, first, _ := r.askedFor(name, password)
		r.clock.Add(time.Minute)
		_, again, _ := r.askedFor(" "+strings.ToUpper(name), "not the password")
		r.clock.Add(time.Minute)
		if fmt.Sprint(first) != fmt.Sprint(again) {
			t.Errorf("%s: %v with the right password, %v with a wrong one", name, first, again)
		}
		id := first.AllowCredentials[0].ID
		if seen[id] || len(id) < 20 || len(first.AllowCredentials) != 1 {
			t.Errorf("%s: %v", name, first)
		}
		seen[id] = true
	}
	for _, typed := range []string{"not the password", password} {
		r.clock.Add(time.Minute)
		a, _, b := r.askedFor("alice", typed)
		if strings.Contains(a.Sealed, r.user("alice").ID) || strings.Contains(string(a.Public), r.user("alice").ID) {
			t.Error("the page shows the user's ID")
		}
		answer, err := d.Get(a.Public)
		if err != nil {
			t.Fatal(err)
		}
		out, err := r.ProveAsked(ctx, b.v, auth.MethodWebAuthn, answer, a.Sealed)
		if right := typed == password; right != (err == nil && out.Step == auth.StepDone) || !right && !errors.Is(err, auth.ErrRejected) {
			t.Errorf("with %q: %+v, %v", typed, out, err)
		}
		if _, err := r.ProveAsked(ctx, b.v, auth.MethodWebAuthn, answer, a.Sealed); !errors.Is(err, auth.ErrRejected) && !errors.Is(err, auth.ErrNoFlow) {
			t.Errorf("again: %v", err)
		}
	}
	if !r.signedIn(home) {
		t.Error("the person's own session ended")
	}
}
