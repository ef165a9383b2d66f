package caddymodule

import (
	"context"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// chain is a handler chain as a server runs it, with requests like a browser's.
type chain struct {
	gate   *Gate // nil: none
	header http.Header
	end    caddyhttp.Handler
	w      discard
}

// discard is a writer that costs nothing.
type discard struct{ header http.Header }

func (d discard) Header() http.Header       { return d.header }
func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) WriteHeader(int)             {}

func newChain(t testing.TB) (c *chain, cookie string) {
	t.Helper()
	app := &App{Storage: &Storage{Dir: filepath.Join(t.TempDir(), "mfa")}}
	if err := app.prepare(caddy.NewReplacer()); err != nil {
		t.Fatal(err)
	}
	realm, err := app.Realm(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := app.Cleanup(); err != nil {
			t.Error(err)
		}
	})
	c = &chain{
		gate:   &Gate{app: app, now: time.Now, site: auth.Requirement{Mode: auth.ModeSignedIn}, faults: faultLog{log: zap.NewNop()}},
		header: http.Header{},
		end:    caddyhttp.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error { w.WriteHeader(http.StatusOK); return nil }),
		w:      discard{http.Header{}},
	}
	for name, value := range browserHeaders {
		c.header.Set(name, value)
	}
	return c, signInTo(t, realm, "localhost", "alice", "dev", "ops")
}

// run serves one request; what a server does for each is in it.
func (c *chain) run(cookie string) error {
	clear(c.w.header)
	return c.runTo(c.w, cookie)
}

func (c *chain) runTo(w http.ResponseWriter, cookie string) error {
	r := &http.Request{Method: "GET", Host: "localhost:8080", RequestURI: "/a/b?c=d", RemoteAddr: "127.0.0.1:1234", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
	r.URL = target
	r.Header = maps.Clone(c.header)
	if cookie != "" {
		r.Header["Cookie"] = []string{cookie}
	}
	r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, nil)
	if c.gate == nil {
		return c.end.ServeHTTP(w, r)
	}
	return c.gate.ServeHTTP(w, r, c.end)
}

var target = httptest.NewRequest("GET", "/a/b?c=d", nil).URL

// BenchmarkGate measures the gate against the same chain without it.
func BenchmarkGate(b *testing.B) {
	c, value := newChain(b)
	cookie := "theme=dark; " + auth.CookieSession + "=" + value + "; lang=en"
	bare := *c
	bare.gate = nil
	redirect := bare
	redirect.end = caddyhttp.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Location", "/.mfa/login?to=%2Fa%2Fb%3Fc%3Dd")
		w.WriteHeader(http.StatusSeeOther)
		return nil
	})
	for _, bench := range []struct {
		name   string
		chain  *chain
		cookie string
	}{
		{"bare", &bare, cookie},
		{"signed-in", c, cookie},
		{"redirect", &redirect, ""},
		{"no-cookie", c, ""},
		{"forged", c, auth.CookieSession + "=MTc5NTMxNjE3N3xBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQXwqKioqKioqKioqKioqKioqKioqKioqKioqKioqKioqKg=="},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := bench.chain.run(bench.cookie); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// A signed-in request costs at most 12 allocations more than one without a gate.
func TestGateAllocations(t *testing.T) {
	c, value := newChain(t)
	cookie := "theme=dark; " + auth.CookieSession + "=" + value + "; lang=en"
	reached := false
	end := c.end
	c.end = caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		reached = r.Header.Get(headerUser) == "alice"
		return end.ServeHTTP(w, r)
	})
	if err := c.run(cookie); err != nil || !reached {
		t.Fatalf("the request does not pass: %v", err)
	}
	measure := func(c *chain) float64 {
		return testing.AllocsPerRun(1000, func() {
			if err := c.run(cookie); err != nil {
				t.Fatal(err)
			}
		})
	}
	bare := *c
	bare.gate = nil
	with, without := measure(c), measure(&bare)
	if with-without > 12 {
		t.Errorf("%v allocations with the gate, %v without", with, without)
	}
	t.Logf("%v allocations with the gate, %v without", with, without)
}

// An assertion costs a request its header's value, and the note for gates further in: most are signed already.
func TestAssertionAllocations(t *testing.T) {
	c, value := newChain(t)
	cookie := auth.CookieSession + "=" + value
	measure := func() float64 {
		return testing.AllocsPerRun(1000, func() {
			if err := c.run(cookie); err != nil {
				t.Fatal(err)
			}
		})
	}
	without := measure()
	c.gate.told = &told{names: toldByDefault.names, alg: auth.AlgEdDSA, header: headerAssertion}
	if with := measure(); with-without > 2 {
		t.Errorf("%v allocations with an assertion, %v without", with, without)
	}
}
