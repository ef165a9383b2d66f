package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/storage"
	"github.com/caddy-mfa/caddy-mfa/storage/badgerstore"
)

// pool keeps one open store a directory for all configs of this process: during a reload two of them run at once. poolMu is held
// while a store is opened or closed, because the pool forgets a store before it is closed, and its directory is locked until then.
var (
	pool   = caddy.NewUsagePool()
	poolMu sync.Mutex
)

// pooled is a store in use.
type pooled struct {
	*auth.State
	announced atomic.Bool // the set-up link was logged
	leases    []*lease    // the newest last; poolMu is held where they are used
}

// hold makes mails go where the config of l says, and has what is due done as it says.
func (p *pooled) hold(l *lease, post auth.Post, realm *auth.Realm) {
	l.post, l.realm = post, realm
	p.leases = append(p.leases, l)
	p.obey(l)
}

func (p *pooled) obey(l *lease) {
	p.UsePost(l.post)
	l.realm.DoDue()
}

// release undoes hold. Where the newest config goes first, it failed to start, and the one before it counts again.
func (p *pooled) release(l *lease) {
	at := slices.Index(p.leases, l)
	p.leases = slices.Delete(p.leases, at, at+1)
	if n := len(p.leases); n > 0 && at == n {
		p.obey(p.leases[n-1])
	}
}

// Destruct closes the store when the last config that used it is gone. It waits for the transactions under way; requests that an
// old config still has get storage.ErrClosed after that.
func (p *pooled) Destruct() error { return p.Close() }

// lease is one config's hold on a pooled store: taken at most once, given back at most once, and only if it was taken.
type lease struct {
	mu    sync.Mutex
	ended bool
	key   string
	held  *pooled
	post  auth.Post // of the config; nil where no mail is sent
	realm *auth.Realm
}

// take opens the store, or shares the one that is open, and returns the view that the config of a has of it. A failure leaves nothing behind. After end it returns storage.ErrClosed.
func (l *lease) take(ctx context.Context, a *App) (*auth.Realm, error) {
	s := &a.settings
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return nil, storage.ErrClosed
	}
	if l.held != nil {
		return l.realm, nil
	}
	poolMu.Lock()
	defer poolMu.Unlock()
	value, loaded, err := pool.LoadOrNew(s.dir, func() (caddy.Destructor, error) {
		state, err := openState(ctx, s, processLog())
		if err != nil {
			return nil, err
		}
		return &pooled{State: state}, nil
	})
	if err != nil {
		return nil, err
	}
	p := value.(*pooled)
	if loaded {
		if err := changeSecrets(ctx, p.State, s); err != nil {
			_, closeErr := pool.Delete(s.dir)
			return nil, errors.Join(err, closeErr)
		}
	}
	l.key, l.held = s.dir, p
	p.hold(l, s.post(), a.realm(p.State))
	return l.realm, nil
}

// end gives the store back if it was taken.
func (l *lease) end() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	if l.held == nil {
		return nil
	}
	p := l.held
	l.held = nil
	poolMu.Lock()
	defer poolMu.Unlock()
	p.release(l)
	if _, err := pool.Delete(l.key); err != nil {
		return fmt.Errorf("closing the store: %w", err)
	}
	return nil
}

// first reports once a store, whatever the number of configs, that nobody asked before.
func (l *lease) first() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.held != nil && l.held.announced.CompareAndSwap(false, true)
}

// openState opens the store of a directory that nobody has open. The error wraps badgerstore.ErrLocked where someone has.
func openState(ctx context.Context, s *settings, log *slog.Logger) (_ *auth.State, err error) {
	files := besideStore(s.dir)
	if err := files.makeParent(); err != nil {
		return nil, err
	}
	store, err := badgerstore.Open(ctx, badgerstore.Options{Dir: s.dir, Logger: log})
	if err != nil {
		return nil, err // says what it was doing, and who holds the directory
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, store.Close())
		}
	}()
	used, err := auth.Initialized(ctx, store)
	if err != nil {
		return nil, fmt.Errorf("reading the store in %s: %w", s.dir, err)
	}
	if err := files.checkMarker(used); err != nil {
		return nil, err
	}
	secrets := s.secrets
	if len(secrets) == 0 {
		if secrets, err = files.secret(used); err != nil {
			return nil, err
		}
	}
	state, err := auth.NewState(ctx, auth.Options{Store: store, Secrets: secrets, Logger: log})
	if err != nil {
		return nil, explainSecret(err, s)
	}
	if err := files.mark(); err != nil {
		log.Warn("cannot leave a mark beside the store, so an emptied store would not be noticed", "error", err)
	}
	return state, nil
}

// changeSecrets makes a store that is open use the secrets of a new config.
func changeSecrets(ctx context.Context, state *auth.State, s *settings) error {
	secrets := s.secrets
	if len(secrets) == 0 {
		var err error
		if secrets, err = besideStore(s.dir).secret(true); err != nil {
			return err
		}
	}
	return explainSecret(state.UseSecrets(ctx, secrets), s)
}

// openRealm opens the store without the pool, for commands that run while no server does. Closing the second result closes it.
// The error wraps badgerstore.ErrLocked where a server holds it.
func openRealm(ctx context.Context, a *App, log *slog.Logger) (*auth.Realm, io.Closer, error) {
	state, err := openState(ctx, &a.settings, log)
	if err != nil {
		return nil, nil, err
	}
	return a.realm(state), state, nil
}
