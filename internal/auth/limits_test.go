package auth_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/storage"
)

func TestTimeDoesNotTellNamesApart(t *testing.T) { // S88
	r := newRig(t)
	r.person("alice")
	try := func(name string) string {
		_, err := r.SignIn(t.Context(), newBrowser().v, name, "a wrong guess", "")
		return fmt.Sprint(err)
	}
	for _, wait := range []time.Duration{0, 0, 0, 0, 0, 0, 25 * time.Hour, 0, 1000 * time.Hour, 0} {
		r.clock.Add(wait)
		if a, b := try("alice"), try("nobody"); a != b {
			t.Errorf("after %v: %q for a known name, %q for an unknown one", wait, a, b)
		}
	}
}

func TestShutOutAddressDoesNotQueue(t *testing.T) {
	r := newRig(t)
	r.person("alice")
	b := newBrowser()
	b.v.Addr = netip.MustParseAddr("198.51.100.7")
	for i := range 30 {
		if _, err := r.SignIn(t.Context(), b.v, fmt.Sprint("nobody", i), "a wrong guess", ""); !errors.Is(err, auth.ErrRejected) {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	for range 100 {
		go func() {
			defer func() { done <- struct{}{} }()
			for ctx.Err() == nil {
				if _, err := r.SignIn(ctx, b.v, "nobody", "a wrong guess", ""); !throttled(err) {
					t.Errorf("not shut out: %v", err)
					return
				}
			}
		}()
	}
	for range 5 {
		home := newBrowser()
		r.must(home, auth.StepVerify)(r.SignIn(t.Context(), home.v, "alice", password, ""))
	}
	stop()
	for range 100 {
		<-done
	}
}

func TestManyBehindOneAddress(t *testing.T) {
	t.Parallel()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(64))
	r := newRig(t)
	const n = 40
	for i := range n {
		if _, _, err := r.AddUser(t.Context(), auth.NewUser{Name: fmt.Sprint("user", i), Password: password}); err != nil {
			t.Fatal(err)
		}
	}
	won, errs := race(n, func(i int) error {
		_, err := r.SignIn(t.Context(), newBrowser().v, fmt.Sprint("user", i), password, "")
		return err
	})
	if won != n {
		t.Errorf("%d of %d right passwords were taken: %v", won, n, errs)
	}
}

func TestUserAgentIsCutShort(t *testing.T) {
	r := newRig(t)
	p := r.person("alice")
	for _, ua := range []string{"curl" + strings.Repeat("x", 700_000), strings.Repeat("(a;b) c/1 ", 90_000), "\x1b[2J\u202eevil/1.0", ""} {
		b := newBrowser()
		b.v.UserAgent = ua
		r.signIn(p, b)
		s, _, err := r.Session(t.Context(), host, b.v.Session)
		if err != nil {
			t.Fatal(err)
		}
		if len(s.Browser) > 64 || len(s.OS) > 64 || strings.ContainsAny(s.Browser+s.OS, "\x1b\u202e") {
			t.Errorf("%.20q became %.80q on %.80q", ua, s.Browser, s.OS)
		}
	}
}

func TestManyRecordsAreSwept(t *testing.T) {
	for name, end := range map[string]func(r *rig) error{
		"reset-mfa": func(r *rig) error { return r.ResetMFA(t.Context(), "alice") },
		"delete":    func(r *rig) error { return r.DeleteUser(t.Context(), "alice") },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.person("alice")
			a, err := r.User(t.Context(), "alice")
			if err != nil {
				t.Fatal(err)
			}
			id, until := a.User.ID, r.clock.Now().Add(20*time.Hour)
			for k := range 15 {
				err := r.store.Update(t.Context(), func(tx storage.Tx) (err error) {
					for i := range 100 {
						h := fmt.Sprintf("%064x", k*100+i)
						err = errors.Join(err,
							tx.Put("session/"+h, []byte(`{"user":"`+id+`"}`), until),
							tx.Put("user-session/"+id+"/"+h, []byte(h), until),
							tx.Put("browser/"+id+"/"+h, nil, until),
							tx.Put("throttle/"+id+"/password/"+h, []byte("{}"), until))
					}
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			if err := end(r); err != nil {
				t.Fatal(err)
			}
			for _, prefix := range []string{"session/", "user-session/", "browser/", "throttle/" + id} {
				if keys := r.keys(prefix); len(keys) != 0 {
					t.Errorf("%d records are left below %s", len(keys), prefix)
				}
			}
		})
	}
}

func TestStricterLimitsHoldAtOnce(t *testing.T) { // S55
	r := newRig(t)
	p := r.person("alice")
	r.signIn(p, p.home)
	r.clock.Add(10 * time.Minute)
	strict := r.state.Realm(auth.Config{Name: "Example", Idle: 5 * time.Minute, Lifetime: 24 * time.Hour})
	if _, _, err := strict.Session(t.Context(), host, p.home.v.Session); !errors.Is(err, auth.ErrNoSession) {
		t.Errorf("a shorter idle limit: %v", err)
	}
	strict = r.state.Realm(auth.Config{Name: "Example", Idle: time.Hour, Lifetime: 10 * time.Minute})
	if _, _, err := strict.Session(t.Context(), host, p.home.v.Session); !errors.Is(err, auth.ErrNoSession) {
		t.Errorf("a shorter lifetime: %v", err)
	}
}

func TestEventsAreKept(t *testing.T) { // S77
	r := newRig(t)
	p := r.person("alice")
	b := newBrowser()
	r.must(b, auth.StepVerify)(r.SignIn(t.Context(), b.v, "alice", password, ""))
	if _, err := r.Prove(t.Context(), b.v, auth.MethodTOTP, []byte("000000")); !errors.Is(err, auth.ErrRejected) {
		t.Fatal(err)
	}
	r.must(b, auth.StepDone)(r.Prove(t.Context(), b.v, auth.MethodRecovery, []byte(p.codes[0])))
	if _, err := r.SignOut(t.Context(), b.v); err != nil {
		t.Fatal(err)
	}
	if err := r.DeleteUser(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	var trail string
	err := r.store.View(t.Context(), func(tx storage.Tx) error {
		for e, err := range tx.Scan("audit/", "") {
			if err != nil {
				return err
			}
			trail += string(e.Value) + "\n"
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"user_added"`, `"method_added"`, `"recovery_codes_made"`, `"sign_in"`, `"wrong_answer"`, `"recovery_code_used"`, `"sign_out"`,
		`"user_deleted"`, `"name":"alice"`, `"actor":"command"`, `"addr":"192.0.2.1"`,
	} {
		if !strings.Contains(trail, want) {
			t.Errorf("no %s in the trail", want)
		}
	}
	for _, secret := range []string{password, p.secret, p.codes[0], b.v.Session} {
		if strings.Contains(trail, secret) {
			t.Errorf("the trail holds %q", secret) // S78
		}
	}
}
