package caddymodule

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
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

func TestSecretFile(t *testing.T) {
	s := newSite(t)
	s.serve(plainGate)
	cookie := sessionCookie(signIn(t, "localhost", "alice"))
	files := besideStore(s.dir)
	secret, err := os.ReadFile(files.secretFile)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(files.secretFile)
	if err != nil || info.Mode() != 0o600 { // S83
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	stop := func() {
		t.Helper()
		if err := caddy.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	refused := func(name string, words ...string) {
		t.Helper()
		err := s.load(plainGate)
		for _, word := range words {
			if err == nil || !strings.Contains(err.Error(), word) {
				t.Fatalf("%s: got %v, want %q in it", name, err, word)
			}
		}
	}
	other := filepath.Join(filepath.Dir(s.dir), "other")
	if err := os.WriteFile(other, []byte("  another secret of more than 32 bytes\n\n"), 0o600); err != nil {
		t.Fatal(err)
	}

	// A running server changes its secret without signing anybody out, and only if the old one is named too.
	if err := s.load(plainGate, "secret {file."+other+"}"); !errors.Is(err, auth.ErrSecret) && (err == nil || !strings.Contains(err.Error(), "the option secret")) {
		t.Errorf("a foreign secret: %v", err)
	}
	arrived(t, s.get("/", cookie))
	s.serve(plainGate, "secret {file."+files.secretFile+"} {file."+other+"}")
	arrived(t, s.get("/", cookie))
	s.serve(plainGate)
	stop()

	if err := os.Rename(files.secretFile, files.secretFile+".away"); err != nil {
		t.Fatal(err)
	}
	refused("missing", files.secretFile, "is missing", "backup")
	if err := os.WriteFile(files.secretFile, secret[:10], 0o600); err != nil {
		t.Fatal(err)
	}
	refused("short", files.secretFile, "is damaged")
	if err := os.WriteFile(files.secretFile, []byte("a secret of another store, long enough\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused("wrong", files.secretFile, "another secret")
	if err := os.WriteFile(files.secretFile, secret, 0o600); err != nil {
		t.Fatal(err)
	}
	s.serve(plainGate)
	arrived(t, s.get("/", cookie))
	stop()

	// An emptied store is no new store (S92).
	if err := os.Rename(s.dir, s.dir+".away"); err != nil {
		t.Fatal(err)
	}
	refused("emptied", files.marker, "is empty", "backup")
	if err := os.Remove(files.marker); err != nil {
		t.Fatal(err)
	}
	s.serve(plainGate)
	if !strings.Contains(s.logged(), "open this link to create the first admin account") {
		t.Error("no set-up link")
	}
}

// With codes by mail alone there is nothing to set up: a link would lead the first admin to an account without a second method.
func TestNoSetupLinkWithMailAlone(t *testing.T) {
	const link, add = "open this link to create the first admin account", "caddy mfa user add NAME --email ADDRESS"
	s := newSite(t)
	s.serve(plainGate, "methods email recovery", "smtp log", "url https://example.com")
	if log := s.logged(); strings.Contains(log, link) || !strings.Contains(log, add) {
		t.Errorf("with mail alone the log says %s", log)
	}
	s.serve(plainGate, "methods totp recovery")
	if !strings.Contains(s.logged(), link) {
		t.Error("no set-up link once there is something to set up")
	}
}

func TestUnfinishedSecretIsMadeAnew(t *testing.T) {
	s := newSite(t)
	if err := os.MkdirAll(filepath.Dir(s.dir), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(besideStore(s.dir).secretFile, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.serve(plainGate)
}

func TestNoSecretInTheConfig(t *testing.T) { // S78
	const secret = "thirty-two bytes or more that nobody may see"
	t.Setenv("MFA_TEST_SECRET", secret)
	s := newSite(t)
	s.serve(plainGate, "secret {env.MFA_TEST_SECRET}")
	app := running(t)
	b, err := json.Marshal(app)
	if err != nil {
		t.Fatal(err)
	}
	if string(app.settings.secrets[0]) != secret || strings.Contains(string(b), secret) || strings.Contains(s.logged(), secret) {
		t.Errorf("%s", b)
	}
	if _, err := os.Stat(besideStore(s.dir).secretFile); !os.IsNotExist(err) {
		t.Errorf("a secret was made although one is given: %v", err)
	}
}

func TestSetupLink(t *testing.T) {
	for _, c := range []struct {
		name, sites string
		options     []string
		want        string
	}{
		{"of the site", plainGate, nil, "http://localhost:{port}/.mfa/invite#"},
		{"of the option url", plainGate, []string{"url https://mfa.example.com/", "path /sign-in"}, "https://mfa.example.com/sign-in/invite#"},
		{"of any host", "http://:{port} {\n\tmfa\n}\n", nil, "http://localhost:{port}/.mfa/invite#"},
		{"of the portal", portalSites, []string{portalOption}, "http://auth.localhost:{port}/.mfa/invite#"},
		{"not of a site without a gate", "http://a.localhost:{port} {\n\trespond a\n}\nhttp://b.localhost:{port} {\n\tmfa\n}\n", nil, "http://b.localhost:{port}/.mfa/invite#"},
		{"over HTTPS", "https://dash.example.com:{port} {\n\ttls internal\n\tmfa\n}\n", nil, "https://dash.example.com:{port}/.mfa/invite#"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			s.serve(c.sites, c.options...)
			s.serve(c.sites, c.options...)
			want := `"link":"` + strings.ReplaceAll(c.want, "{port}", s.port)
			if n := strings.Count(s.logged(), want); n != 1 {
				t.Errorf("logged %d times: %s\n%s", n, want, s.logged())
			}
		})
	}
}

func TestNoSetupLinkOnceThereIsAUser(t *testing.T) {
	s := newSite(t)
	s.serve(plainGate)
	signIn(t, "localhost", "alice")
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	before := strings.Count(s.logged(), "first admin account")
	s.serve(plainGate)
	if after := strings.Count(s.logged(), "first admin account"); before != 1 || after != before {
		t.Errorf("logged %d times, then %d", before, after)
	}
}
