package auth_test

import (
	"context"
	"encoding/base32"
	"encoding/json"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/internal/method"
	"github.com/caddy-mfa/caddy-mfa/storage"
	"github.com/caddy-mfa/caddy-mfa/storage/badgerstore"
)

const (
	host     = "dash.example.com"
	password = "a long walk by the sea"
)

var secret = []byte("0123456789abcdef0123456789abcdef")

// rig is a realm over a real store.
type rig struct {
	*auth.Realm
	t     testing.TB
	clock *auth.Clock
	state *auth.State
	store storage.Store
	dir   string

	inbox  *inbox             // nil: no mail is sent
	change func(*auth.Config) // nil: nothing
	logger *slog.Logger       // nil: none
}

func newRig(t testing.TB) *rig {
	t.Helper()
	r := &rig{t: t, clock: auth.NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)), dir: t.TempDir()}
	r.open(secret)
	t.Cleanup(func() { r.state.Close() })
	return r
}

// newRigOn is a rig over a store that the test made.
func newRigOn(t testing.TB, c *auth.Clock, store storage.Store) *rig {
	t.Helper()
	r := &rig{t: t, clock: c}
	r.use(store, secret)
	t.Cleanup(func() { r.state.Close() })
	return r
}

func (r *rig) open(secrets ...[]byte) {
	r.t.Helper()
	store, err := badgerstore.Open(r.t.Context(), badgerstore.Options{Dir: r.dir, Now: r.clock.Now})
	if err != nil {
		r.t.Fatal(err)
	}
	r.use(store, secrets...)
}

func (r *rig) use(store storage.Store, secrets ...[]byte) {
	r.t.Helper()
	var err error
	r.state, err = auth.NewState(r.t.Context(), auth.Options{Store: store, Secrets: secrets, Now: r.clock.Now, Logger: r.logger})
	if err != nil {
		store.Close()
		r.t.Fatal(err)
	}
	r.store = store
	if r.inbox != nil {
		r.state.UsePost(r.inbox)
	}
	r.Realm = r.realm(r.change)
}

// realm is a view of the same people by another configuration.
func (r *rig) realm(change func(*auth.Config)) *auth.Realm {
	r.t.Helper()
	keys, err := method.NewWebAuthn(method.WebAuthnConfig{Name: "Example"})
	if err != nil {
		r.t.Fatal(err)
	}
	c := auth.Config{
		Name: "Example", Idle: time.Hour, Lifetime: 24 * time.Hour, Methods: []auth.Method{
			// Runs of argon2id would be most of what the tests take.
			method.NewPassword("Example").CheapForTests(), keys, method.NewTOTP("Example"), method.NewRecovery().CheapForTests(),
		},
	}
	if r.inbox != nil {
		email := method.NewEmail()
		c.Methods = slices.Insert(c.Methods, 3, auth.Method(email))
		c.Mail = &auth.Mail{Base: portal, Codes: email}
	}
	if change != nil {
		change(&c)
	}
	return r.state.Realm(c)
}

func (r *rig) reopen(secrets ...[]byte) {
	r.t.Helper()
	if err := r.state.Close(); err != nil {
		r.t.Fatal(err)
	}
	r.open(secrets...)
}

// browser is a cookie jar.
type browser struct {
	v auth.Visit
}

func newBrowser() *browser {
	return &browser{auth.Visit{Host: host, Addr: netip.MustParseAddr("192.0.2.1"), UserAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}}
}

func (b *browser) take(out auth.Outcome) {
	for _, c := range out.Cookies {
		switch c.Name {
		case auth.CookieSession:
			b.v.Session = c.Value
		case auth.CookieFlow:
			b.v.Flow = c.Value
		case auth.CookieBrowser:
			b.v.Browser = c.Value
		}
	}
}

// must takes the outcome of a call that has to succeed and to lead to step.
func (r *rig) must(b *browser, step auth.Step) func(out auth.Outcome, err error) auth.Outcome {
	return func(out auth.Outcome, err error) auth.Outcome {
		r.t.Helper()
		if err != nil {
			r.t.Fatalf("unexpected error: %v", err)
		}
		if out.Step != step {
			r.t.Fatalf("step is %d, want %d", out.Step, step)
		}
		b.take(out)
		return out
	}
}

// app computes codes as a phone does.
type app struct {
	r      *rig
	secret string
}

func (a app) code(at time.Time) string {
	a.r.t.Helper()
	code, err := totp.GenerateCodeCustom(a.secret, at, totp.ValidateOpts{Period: 30, Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
	if err != nil {
		a.r.t.Fatal(err)
	}
	return code
}

func (a app) now() string { return a.code(a.r.clock.Now()) }

// person has an account with everything set up.
type person struct {
	app
	name  string
	codes []string
	home  *browser // the browser of the first sign-in, still signed in
}

// appOf is an app with the secret that is being set up.
func appOf(r *rig, p auth.Progress) app {
	r.t.Helper()
	var pub struct{ Secret string }
	if err := json.Unmarshal(p.Challenge.Public, &pub); err != nil {
		r.t.Fatal(err)
	}
	if _, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(pub.Secret); err != nil {
		r.t.Fatalf("secret %q: %v", pub.Secret, err)
	}
	return app{r, pub.Secret}
}

// enroll goes from StepEnroll to a session in b.
func (r *rig) enroll(b *browser) (app, []string) {
	r.t.Helper()
	ctx := r.t.Context()
	r.must(b, auth.StepEnroll)(r.BeginEnroll(ctx, b.v, auth.MethodTOTP))
	p, err := r.Progress(ctx, b.v)
	if err != nil {
		r.t.Fatal(err)
	}
	a := appOf(r, p)
	r.must(b, auth.StepRecovery)(r.FinishEnroll(ctx, b.v, auth.MethodTOTP, "", []byte(a.now())))
	p, err = r.Progress(ctx, b.v)
	if err != nil {
		r.t.Fatal(err)
	}
	r.must(b, auth.StepDone)(r.ConfirmRecoveryCodes(ctx, b.v))
	return a, p.RecoveryList
}

func (r *rig) person(name string, groups ...string) *person {
	r.t.Helper()
	ctx := r.t.Context()
	if _, _, err := r.AddUser(ctx, auth.NewUser{Name: name, Groups: groups, Password: password}); err != nil {
		r.t.Fatal(err)
	}
	b := newBrowser()
	r.must(b, auth.StepEnroll)(r.SignIn(ctx, b.v, name, password, ""))
	a, codes := r.enroll(b)
	r.clock.Add(time.Minute) // the enrolment's code is burned
	return &person{app: a, name: name, codes: codes, home: b}
}

// signIn signs p in with password and app in b.
func (r *rig) signIn(p *person, b *browser) {
	r.t.Helper()
	r.must(b, auth.StepVerify)(r.SignIn(r.t.Context(), b.v, p.name, password, "/x"))
	r.must(b, auth.StepDone)(r.Prove(r.t.Context(), b.v, auth.MethodTOTP, []byte(p.now())))
	r.clock.Add(time.Minute)
}

func (r *rig) signedIn(b *browser) bool {
	r.t.Helper()
	_, _, err := r.Session(r.t.Context(), b.v.Host, b.v.Session)
	if err != nil && !errors.Is(err, auth.ErrNoSession) {
		r.t.Fatal(err)
	}
	return err == nil
}

// keys lists the store.
func (r *rig) keys(prefix string) (out []string) {
	r.t.Helper()
	err := r.store.View(context.Background(), func(tx storage.Tx) error {
		for e, err := range tx.Scan(prefix, "") {
			if err != nil {
				return err
			}
			out = append(out, e.Key)
		}
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return out
}

// throttled reports whether err is a *auth.Throttled.
func throttled(err error) bool {
	_, ok := errors.AsType[*auth.Throttled](err)
	return ok
}
