package caddymodule

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-mfa/caddy-mfa/storage"
	"github.com/caddy-mfa/caddy-mfa/storage/badgerstore"
)

// eventually waits for a condition that other goroutines bring about.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not so after 10 s", what)
		}
		<-tick.C
	}
}

// released fails the test unless the store's directory can be opened by others.
func released(t *testing.T, dir string) {
	t.Helper()
	store, err := badgerstore.Open(context.Background(), badgerstore.Options{Dir: dir})
	if err != nil {
		t.Fatalf("the store was not released: %v", err)
	}
	if err := store.Close(); err != nil {
		t.Error(err)
	}
}

// Reloads under load refuse no request, sign nobody out, and leave nothing behind.
func TestHundredReloads(t *testing.T) {
	s := newSite(t)
	s.serve(plainGate)
	cookie := sessionCookie(signIn(t, "localhost", "alice"))
	first := running(t).live.Load().realm.State

	s.serve(plainGate)
	s.http.CloseIdleConnections()
	runtime.GC()
	before := runtime.NumGoroutine()

	stop := make(chan struct{})
	var wg sync.WaitGroup
	var requests atomic.Int64
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				r, _ := http.NewRequest("GET", "http://localhost/", nil)
				r.Header.Set("Cookie", strings.TrimPrefix(cookie, "Cookie: "))
				res, err := s.http.Do(r)
				if err != nil {
					continue // Caddy resets connections that wait in the queue of a listener that it closes, with any handler
				}
				res.Body.Close()
				if res.StatusCode != http.StatusOK {
					t.Errorf("request %d: %s", requests.Load(), res.Status)
					return
				}
				requests.Add(1)
			}
		})
	}
	for i := range 100 {
		sent := requests.Load()
		if err := s.load(plainGate, "name \"Reload "+string(rune('A'+i%26))+"\""); err != nil {
			t.Errorf("reload %d: %v", i, err)
			break
		}
		if running(t).live.Load().realm.State != first {
			t.Errorf("reload %d opened another store", i)
			break
		}
		if i%10 == 0 {
			eventually(t, "requests go on", func() bool { return requests.Load() > sent || t.Failed() })
		}
	}
	close(stop)
	wg.Wait()
	if refs, ok := pool.References(s.dir); !ok || refs != 1 {
		t.Errorf("%d configs hold the store", refs)
	}
	s.http.CloseIdleConnections()
	s.app.CloseClientConnections() // those of the proxies of each config, which stay for minutes
	eventually(t, "goroutines end", func() bool {
		s.http.CloseIdleConnections()
		return runtime.NumGoroutine() <= before+3
	})
}

func TestRemovingTheAppReleasesTheStore(t *testing.T) {
	s := newSite(t)
	s.serve(plainGate)
	old := running(t)
	realm := old.live.Load().realm
	if err := caddy.Load([]byte(`{"admin":{"disabled":true,"config":{"persist":false}}}`), true); err != nil {
		t.Fatal(err)
	}
	released(t, s.dir)
	// Whoever still holds the old config gets an error, and never a way through.
	if _, err := realm.Users(context.Background()); !errors.Is(err, storage.ErrClosed) {
		t.Errorf("got %v", err)
	}
	s.serve(plainGate)
	if _, err := running(t).Realm(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestFailedReloadLeavesTheOldConfigRunning(t *testing.T) {
	s := newSite(t)
	s.serve(plainGate)
	cookie := sessionCookie(signIn(t, "localhost", "alice"))
	for _, c := range []struct {
		name    string
		sites   string
		options []string
	}{
		{"an app that does not start", plainGate + "http://:{port} {\n\tbind 203.0.113.1\n\trespond x\n}\n", nil},
		{"a gate that is wrong", "{address} {\n\tmfa\n\treverse_proxy {app}\n}\nhttp://x.localhost:{port} {\n\trespond x\n\ttls {\n\t\tissuer nonsense\n\t}\n}\n", nil},
		{"a store that cannot be opened", plainGate, []string{"secret {env.MFA_TEST_MISSING}"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			sub := *s
			sub.t = t
			if c.name == "a gate that is wrong" { // wrong only when provisioned
				cfg := []byte(`{"admin":{"disabled":true},"apps":{"http":{"servers":{"a":{"listen":["127.0.0.1:` + s.port + `"],"routes":[{"handle":[{"handler":"mfa","rules":[{}]}]}]}}},"mfa":{"storage":{"dir":"` + s.dir + `"}}}}`)
				if err := caddy.Load(cfg, true); err == nil || !strings.Contains(err.Error(), "a rule says public, allow, require, max_age or tokens") {
					t.Fatalf("got %v", err)
				}
			} else if err := sub.load(c.sites, c.options...); err == nil {
				t.Fatal("the config loaded")
			}
			if refs, ok := pool.References(s.dir); !ok || refs != 1 {
				t.Errorf("%d configs hold the store", refs)
			}
			arrived(t, s.get("/", cookie))
		})
	}
}

// `caddy validate` provisions a config while a server holds its store.
func TestValidateWhileRunning(t *testing.T) {
	s := newSite(t)
	s.serve(plainGate)
	var cfg caddy.Config
	text := `{"admin":{"disabled":true},"apps":{"http":{"servers":{"a":{"listen":["127.0.0.1:1"],"routes":[{"handle":[{"handler":"mfa"}]}]}}},"mfa":{"storage":{"dir":"` + s.dir + `"}}}}`
	if err := json.Unmarshal([]byte(text), &cfg); err != nil {
		t.Fatal(err)
	}
	if err := caddy.Validate(&cfg); err != nil {
		t.Error(err)
	}
	if refs, _ := pool.References(s.dir); refs != 1 {
		t.Errorf("%d configs hold the store", refs)
	}
}

func TestLeaseIsGivenBackOnce(t *testing.T) {
	ctx := context.Background()
	app := &App{Storage: &Storage{Dir: filepath.Join(t.TempDir(), "mfa")}}
	if err := app.Cleanup(); err != nil { // as after a Provision that failed
		t.Fatal(err)
	}
	first, second := new(App), new(App)
	for _, a := range []*App{app, first, second} {
		a.Storage = app.Storage
		if err := a.prepare(caddy.NewReplacer()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := app.Realm(ctx); !errors.Is(err, storage.ErrClosed) {
		t.Errorf("a config that was cleaned up opened the store: %v", err)
	}
	for range 3 {
		if _, err := first.Realm(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := second.Realm(ctx); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := first.Cleanup(); err != nil {
			t.Fatal(err)
		}
	}
	if refs, _ := pool.References(app.settings.dir); refs != 1 {
		t.Errorf("%d configs hold the store", refs)
	}
	if realm, err := second.Realm(ctx); err != nil {
		t.Error(err)
	} else if _, err := realm.Users(ctx); err != nil {
		t.Error(err)
	}
	if err := second.Cleanup(); err != nil {
		t.Fatal(err)
	}
	released(t, app.settings.dir)
}

func TestStoreDownMeans503(t *testing.T) { // S76
	s := newSite(t)
	s.serve("{address} {\n\tmfa {\n\t\tpublic /healthz\n\t}\n\treverse_proxy {app}\n}\n")
	cookie := sessionCookie(signIn(t, "localhost", "alice"))
	if err := running(t).live.Load().realm.State.Close(); err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{"/", "/.mfa/security"} {
		res := s.get(target, cookie, asPage)
		if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %s %v", target, res.Status, res.Header)
		}
	}
	if res := s.get("/", asPage); res.StatusCode != http.StatusSeeOther {
		t.Errorf("without a cookie: %s", res.Status)
	}
	arrived(t, s.get("/healthz"))
	if n := strings.Count(s.logged(), "requests are refused because the store fails"); n != 1 {
		t.Errorf("logged %d times", n)
	}
}
