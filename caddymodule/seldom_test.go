package caddymodule

import (
	"context"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestSeldom(t *testing.T) {
	var s seldom
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, c := range []struct {
		name string
		at   time.Duration
		more int64
		ok   bool
	}{
		{"the first", 0, 0, true},
		{"the same second", 0, 0, false},
		{"too early", 59 * time.Second, 0, false},
		{"a minute later", time.Minute, 2, true},
		{"at once again", time.Minute + time.Second, 0, false},
		{"an hour later", time.Hour, 1, true},
	} {
		if more, ok := s.due(start.Add(c.at), 60); more != c.more || ok != c.ok {
			t.Errorf("%s: got %d, %v", c.name, more, ok)
		}
	}
}

// Behind a proxy that comes by a Unix socket there is no address unless Caddy believes the proxy.
func TestUnixSocket(t *testing.T) { // S69
	const warning = "visitors have no address"
	for _, c := range []struct {
		name, option string
		headers      []string
		warned       int
		page         int
	}{
		{"nothing said", "", []string{"X-Forwarded-For: 198.51.100.7", "X-Forwarded-Proto: https"}, 1, http.StatusForbidden},
		{"trusted", "trusted_proxies_unix", []string{"X-Forwarded-For: 198.51.100.7", "X-Forwarded-Proto: https"}, 0, http.StatusOK},
		{"trusted, and silent about the address", "trusted_proxies_unix", []string{"X-Forwarded-Proto: https"}, 1, http.StatusOK},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			s.servers = c.option
			socket := filepath.Join(t.TempDir(), "caddy.sock")
			s.serve("http:// {\n\tbind unix/" + socket + "\n\tmfa\n}\n")
			s.http.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "unix", socket)
			}}
			for range 3 {
				if res := s.get("/.mfa/login", append(c.headers, "Host: dash.example.com", asPage)...); res.StatusCode != c.page {
					t.Errorf("the page: %s", res.Status)
				}
				s.get("/.mfa/login", append(c.headers, "Host: localhost", asPage)...)
			}
			if n := strings.Count(s.logged(), warning); n != c.warned {
				t.Errorf("warned %d times, want %d\n%s", n, c.warned, s.logged())
			}
		})
	}
}
