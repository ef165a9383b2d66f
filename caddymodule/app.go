// Package caddymodule is the Caddy side of caddy-mfa: the app `mfa`, which keeps the people and their sessions, and the handler
// `mfa`, the gate that stands in front of a web app.
//
// An App is one Caddy config's settings. The store behind it outlives reloads: pool.go keeps it open for as long as any config
// uses it. A Gate takes each request through these steps:
//
//  1. It is cleaned, public or not: identity headers and our cookies go (identity.go, cookies.go).
//  2. Where there are rules, a path that can be read in two ways is refused (path.go).
//  3. What lies below the portal's prefix is answered by the portal, package loginui; where that is on another host (portal.go), all but
//     the way there and back is left to it.
//  4. The first rule that matches, or else the site, says what the request needs (rules.go, find.go).
//  5. The cookie becomes a session and a user (auth.Realm.Session), from memory.
//  6. auth.Decide decides. The request passes, with identity headers (identity.go, assertion.go, response.go), or its sender is asked to sign
//     in, or it is refused (refuse.go). With the store out of reach it is refused too.
//  7. What goes on for longer, such as a WebSocket, ends with its session (stream.go).
//
// Nothing on this path writes to the store, but for a key of assertions that is overdue.
package caddymodule

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/internal/method"
	"github.com/caddy-mfa/caddy-mfa/loginui"
)

const storageBadger = "badger"

func init() {
	caddy.RegisterModule(new(App))
}

// App keeps the people who may sign in, their second factors and their sessions, for all `mfa` handlers of a configuration.
// It works without any option.
type App struct {
	// The name of the product or organization, shown on the pages and in authenticator apps.
	// One line of up to 64 characters, without a colon. Default: `caddy-mfa`.
	Name string `json:"name,omitempty"`

	// The address under which people reach the sign-in pages, such as `https://dash.example.com`. Links are made with it.
	// Default: the address of the first site with an `mfa` handler.
	URL string `json:"url,omitempty"`

	// One host on which people sign in for several others. It is needed where several hosts have an `mfa` handler. Default: people sign in
	// on the one host that has.
	Portal *Portal `json:"portal,omitempty"`

	// The path below which the sign-in pages are, on every site with an `mfa` handler. Default: `/.mfa`.
	Path string `json:"path,omitempty"`

	// Where people and sessions are kept. Default: a Badger database in the directory `mfa` of Caddy's data directory.
	Storage *Storage `json:"storage,omitempty"`

	// What encrypts the secrets in the store: a placeholder such as `{file./run/secrets/mfa}` or `{env.MFA_SECRET}` for at least
	// 32 bytes. A literal is refused, because Caddy's admin API shows the configuration. With several, the first encrypts and all
	// decrypt. Default: a secret that is made at the first start and kept beside the store, in the file `<dir>.secret`.
	Secret []string `json:"secret,omitempty"`

	// How long a session lasts.
	Session *SessionTimes `json:"session,omitempty"`

	// The methods that may prove who a person is beside the password, in order of preference: `webauthn` (security keys and
	// passkeys), `totp` (authenticator app), `email` (codes and links by mail, needs `smtp`) and `recovery` (recovery codes).
	// Default: all of them that can work, in this order.
	Methods []string `json:"methods,omitempty"`

	// What people must have set up as a second method, and use. Default: every session takes two kinds of proof, and people choose
	// which.
	Enforce []Policy `json:"enforce,omitempty"`

	// Recovery codes.
	Recovery *Recovery `json:"recovery,omitempty"`

	// Security keys and passkeys.
	WebAuthn *WebAuthn `json:"webauthn,omitempty"`

	// Where mail is handed to. Default: none is sent.
	SMTP *SMTP `json:"smtp,omitempty"`

	// What may follow when somebody resets a forgotten password by mail and has no other second method than mail: with `mail_only`
	// they sign in with a code by mail, so that their mailbox alone opens the account. Default: they have to ask an admin.
	Reset string `json:"reset,omitempty"`

	// How people sign in: with `one_page` name, password and an optional code stand on one form. They are judged together, and no answer
	// tells which part was wrong; without a code everybody goes on to the same second page, whether or not the password was right.
	// It needs the method `totp` or `recovery`. Default: the second method is asked after the right password.
	SignIn string `json:"sign_in,omitempty"`

	// How the pages are dressed. Default: our shield, in blue.
	Brand *Brand `json:"brand,omitempty"`

	// A directory of templates, each of which stands in for the page of the same name. They are tried out whenever Caddy starts or reloads.
	// Default: the pages as they come.
	Templates string `json:"templates,omitempty"`

	settings settings
	ctx      caddy.Context // zero outside a running Caddy
	log      *zap.Logger
	surveyed sync.Once
	flaw     error // what the survey found wrong with the sites
	// The addresses of sites with a gate, without a path, by host; and that of the first one, "" if there is none. Set by survey.
	addresses map[string]string
	address   string
	forward   bool     // there is a ForwardAuth
	asked     []string // the hosts that proxies may ask about
	patterns  []string // what other gates stand for beside addresses: "*.example.com"; "" stands for any host
	asserted  []string // algorithms of the assertions that gates make; complete once all are provisioned

	addressless seldom

	lease lease
	mu    sync.Mutex // held while opening
	live  atomic.Pointer[live]
}

// Storage is where people and sessions are kept.
type Storage struct {
	// The engine. Only `badger` is known, a database in a directory of this machine, for one running Caddy. Default: `badger`.
	Type string `json:"type,omitempty"`

	// The directory of the database. It is made with mode 0700; beside it lie the files `<dir>.secret` and `<dir>.marker`.
	// Default: `mfa` in Caddy's data directory.
	Dir string `json:"dir,omitempty"`
}

// SessionTimes bounds a session.
type SessionTimes struct {
	// A session ends when it was not used for so long: from one minute up to the lifetime. Default: `1h`, or the lifetime if that
	// is shorter.
	Idle caddy.Duration `json:"idle,omitempty"`

	// A session ends so long after signing in, used or not: from 5 minutes to 30 days. Default: `24h`.
	Lifetime caddy.Duration `json:"lifetime,omitempty"`
}

// live is what an App is once its store is open.
type live struct {
	realm  *auth.Realm
	portal *loginui.Portal
	forms  chan struct{} // holds one thing for each form that is being read, to be kept
}

// CaddyModule returns the Caddy module information.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "mfa", New: func() caddy.Module { return new(App) }}
}

// Provision checks the settings. It opens nothing: `caddy validate` provisions too, while a server may hold the store.
func (a *App) Provision(ctx caddy.Context) error {
	a.ctx, a.log = ctx, ctx.Logger()
	if err := a.prepare(caddy.NewReplacer()); err != nil {
		return err
	}
	if words := shaded(a.settings.accent); words != "" {
		a.log.Warn(words)
	}
	return registerMetrics(ctx.GetMetricsRegistry())
}

// Start opens the store, unless a request has done so already: apps start in no particular order.
func (a *App) Start() error {
	l, err := a.open(a.ctx)
	if err != nil {
		return err
	}
	if a.settings.mails && a.settings.sender == nil {
		a.log.Warn("mails are written to this log and not sent (smtp log): from now on it holds live codes and links, which let whoever reads it sign in")
	}
	return a.announceSetup(a.ctx, l.realm)
}

// Stop does nothing: requests may still be on their way. Cleanup follows.
func (a *App) Stop() error { return nil }

// Cleanup gives the store back. It also runs where Provision failed, and then there is nothing to give back.
func (a *App) Cleanup() error { return a.lease.end() }

// Realm returns this config's view of the people. It opens the store if that has not been done; errors say why it cannot be.
func (a *App) Realm(ctx context.Context) (*auth.Realm, error) {
	l, err := a.open(ctx)
	if err != nil {
		return nil, err
	}
	return l.realm, nil
}

// open is the one way to the store, for Start and for the first request.
func (a *App) open(ctx context.Context) (*live, error) {
	if l := a.live.Load(); l != nil {
		return l, nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if l := a.live.Load(); l != nil {
		return l, nil
	}
	if err := a.look(); err != nil {
		return nil, err
	}
	// A visitor who leaves must not undo an opening that others wait for.
	realm, err := a.lease.take(context.WithoutCancel(ctx), a)
	if err != nil {
		return nil, err
	}
	for _, alg := range a.asserted { // so that an app can read the key before it is told anything
		if err := realm.PrepareAssertions(context.WithoutCancel(ctx), alg); err != nil {
			return nil, err
		}
	}
	l := &live{realm: realm, forms: make(chan struct{}, formsAtOnce)}
	l.portal, err = loginui.New(l.realm, loginui.Options{
		Prefix: a.settings.prefix, Home: a.settings.portal.origin(), Dress: a.settings.dress, Pages: a.settings.pages, Logger: processLog(), NoteID: noteID,
	})
	if err != nil {
		return nil, fmt.Errorf("preparing the pages: %w", err)
	}
	a.live.Store(l)
	return l, nil
}

func (a *App) realm(state *auth.State) *auth.Realm {
	return state.Realm(auth.Config{
		Name: a.settings.name, Idle: a.settings.idle, Lifetime: a.settings.lifetime, Methods: a.settings.methods, Mail: a.mail(),
		Policies: a.settings.policies, Portal: a.settings.portal.realm(),
		OnePage: a.settings.signIn != "", Asks: a.asks,
	})
}

// mail is how people are written to, nil if they are not.
func (a *App) mail() *auth.Mail {
	if !a.settings.mails || !a.addressKnown() {
		return nil
	}
	return &auth.Mail{Base: a.base, Codes: method.NewEmail(), ResetMailOnly: a.settings.reset == resetMailOnly}
}

var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
