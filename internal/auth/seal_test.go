package auth_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/storage"
	"github.com/caddy-mfa/caddy-mfa/storage/badgerstore"
)

func TestSecretsAreSealed(t *testing.T) { // S22
	r := newRig(t)
	p := r.person("alice")
	r.reopen(secret)
	if found := grepDir(t, r.dir, p.secret, p.codes[0], strings.ReplaceAll(p.codes[0], "-", ""), "$argon2id$", password); found != "" {
		t.Errorf("the store's files hold %q", found)
	}
}

// swap exchanges the sealed fields of two records, as somebody could who writes to the disk without knowing the secret.
func (r *rig) swap(one, other string) {
	r.t.Helper()
	err := r.store.Update(r.t.Context(), func(tx storage.Tx) error {
		var records [2]storage.Entry
		var fields [2]map[string]json.RawMessage
		for i, key := range []string{one, other} {
			e, err := tx.Get(key)
			if err != nil {
				return err
			}
			if err := json.Unmarshal(e.Value, &fields[i]); err != nil {
				return err
			}
			if len(fields[i]["secret"]) == 0 {
				return errors.New("nothing is sealed in " + key)
			}
			records[i] = e
		}
		fields[0]["secret"], fields[1]["secret"] = fields[1]["secret"], fields[0]["secret"]
		for i, e := range records {
			b, err := json.Marshal(fields[i])
			if err != nil {
				return err
			}
			if err := tx.Put(e.Key, b, e.Expires); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

// credential returns the key of a person's credential.
func (r *rig) credential(name, method string) string {
	r.t.Helper()
	a, err := r.User(r.t.Context(), name)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, c := range a.Credentials {
		if c.Method == method {
			return "cred/" + a.User.ID + "/" + c.ID
		}
	}
	r.t.Fatalf("%s has no %s", name, method)
	return ""
}

// TestSealedValuesCountInTheirPlace moves what is sealed from one record to another. Nobody gets in by what was somebody else's.
func TestSealedValuesCountInTheirPlace(t *testing.T) { // S81
	t.Parallel()
	for _, m := range []string{auth.MethodPassword, auth.MethodTOTP, auth.MethodRecovery} {
		t.Run(m, func(t *testing.T) {
			r := newRig(t)
			r.person("alice")
			q := r.person("bob")
			r.swap(r.credential("alice", m), r.credential("bob", m))
			b := newBrowser()
			out, err := r.SignIn(t.Context(), b.v, "alice", password, "")
			if !errors.Is(err, auth.ErrSecret) {
				t.Errorf("the password leads to %d, %v; want ErrSecret", out.Step, err)
			}
			b.take(out)
			if _, err := r.Prove(t.Context(), b.v, auth.MethodTOTP, []byte(q.now())); err == nil {
				t.Error("bob's app opens alice's account")
			}
		})
	}
	t.Run("a whole credential", func(t *testing.T) {
		r := newRig(t)
		r.person("alice")
		r.person("bob")
		from, to := r.credential("bob", auth.MethodTOTP), r.credential("alice", auth.MethodTOTP)
		err := r.store.Update(t.Context(), func(tx storage.Tx) error {
			e, err := tx.Get(from)
			if err != nil {
				return err
			}
			return tx.Put(to, e.Value, e.Expires)
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.SignIn(t.Context(), newBrowser().v, "alice", password, ""); !errors.Is(err, auth.ErrSecret) {
			t.Errorf("sign-in: %v, want ErrSecret", err)
		}
	})
	t.Run("flow", func(t *testing.T) {
		r := newRig(t)
		browsers := map[string]*browser{}
		var keys []string
		for _, name := range []string{"alice", "bob"} {
			if _, _, err := r.AddUser(t.Context(), auth.NewUser{Name: name, Password: password}); err != nil {
				t.Fatal(err)
			}
			b := newBrowser()
			browsers[name] = b
			r.must(b, auth.StepEnroll)(r.SignIn(t.Context(), b.v, name, password, ""))
			r.must(b, auth.StepEnroll)(r.BeginEnroll(t.Context(), b.v, auth.MethodTOTP))
			if keys = r.keys("flow/"); len(keys) != len(browsers) {
				t.Fatalf("flows: %v", keys)
			}
		}
		r.swap(keys[0], keys[1])
		for name, b := range browsers {
			if p, err := r.Progress(t.Context(), b.v); !errors.Is(err, auth.ErrNoFlow) {
				t.Errorf("%s's flow goes on to %d, %v; want ErrNoFlow", name, p.Step, err)
			}
		}
	})
	t.Run("signing key", func(t *testing.T) {
		r := newRig(t)
		r.clock.Add(31 * 24 * time.Hour)
		r.reopen(secret) // makes a second key
		keys := r.keys("key/")
		if len(keys) != 2 {
			t.Fatalf("keys: %v", keys)
		}
		r.swap(keys[0], keys[1])
		r.refuses(secret)
		r.refuses([]byte(strings.Repeat("n", 32)), secret) // nor does sealing anew take it
	})
	t.Run("schema", func(t *testing.T) {
		r := newRig(t)
		r.swap("meta/schema", r.keys("key/")[0])
		r.refuses(secret)
	})
}

// refuses closes the state and fails unless a new one says that the secrets do not open the store.
func (r *rig) refuses(secrets ...[]byte) {
	r.t.Helper()
	if err := r.state.Close(); err != nil {
		r.t.Fatal(err)
	}
	store, err := badgerstore.Open(r.t.Context(), badgerstore.Options{Dir: r.dir, Now: r.clock.Now})
	if err != nil {
		r.t.Fatal(err)
	}
	state, err := auth.NewState(r.t.Context(), auth.Options{Store: store, Secrets: secrets, Now: r.clock.Now})
	if err == nil {
		state.Close()
		r.t.Fatal("the store opens")
	}
	if err := store.Close(); err != nil {
		r.t.Error(err)
	}
	if !errors.Is(err, auth.ErrSecret) {
		r.t.Errorf("opening: %v, want ErrSecret", err)
	}
}
