package caddymodule

import (
	"context"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestSeldom(t *testing.T) {
	var s seldom
	last := ""
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, c := range []struct {
		name string
		at   time.Duration
		more int64
		told bool
	}{
		{"the first", 0, 0, true},
		{"the same second", 0, 0, false},
		{"too early", 59 * time.Second, 0, false},
		{"a minute later", time.Minute, 2, true},
		{"at once again", time.Minute + time.Second, 0, false},
		{"an hour later", time.Hour, 1, true},
		{"the clock is set back", 2 * time.Minute, 0, true},
		{"soon after that", 2*time.Minute + time.Second, 0, false},
	} {
		told, more := "", int64(0)
		id := s.tell(start.Add(c.at), 60, func(id string, n int64) { told, more = id, n })
		if more != c.more || (told != "") != c.told {
			t.Errorf("%s: got %d, %q", c.name, more, told)
		}
		if c.told {
			last = told
		}
		if id != last || id == "" {
			t.Errorf("%s: %q, and the log says %q", c.name, id, last)
		}
	}
}

// TestSeldomRace: of many at once one is told, and all get its id.
func TestSeldomRace(t *testing.T) {
	var (
		s     seldom
		wg    sync.WaitGroup
		told  []string
		ids   [50]string
		start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	)
	for i := range ids {
		wg.Go(func() {
			ids[i] = s.tell(start, 10, func(id string, _ int64) { told = append(told, id) })
		})
	}
	wg.Wait()
	for _, id := range ids {
		if len(told) != 1 || id != told[0] {
			t.Fatalf("told %q, and %q is shown", told, id)
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
