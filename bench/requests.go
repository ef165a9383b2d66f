package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
)

// routes serves the same app three ways from one process. {target} is where the redir leads.
const routes = `{
	admin {admin}
	auto_https off
}

http://localhost:{port} {
	bind 127.0.0.1
	mfa
	reverse_proxy {app}
}

http://localhost:{plain} {
	bind 127.0.0.1
	reverse_proxy {app}
}

http://localhost:{redir} {
	bind 127.0.0.1
	redir * {target} 303
}
`

// threeWays starts the binary with mfa, and returns the ports of the two routes beside the gated one.
func (b *bench) threeWays(ctx context.Context) (s *rig.Server, plain, redir string, err error) {
	ports, err := rig.FreePorts(2)
	if err != nil {
		return nil, "", "", err
	}
	text := strings.NewReplacer("{plain}", ports[0], "{redir}", ports[1]).Replace(routes)
	s, err = b.start(ctx, b.bin, strings.ReplaceAll(text, "{target}", "/"))
	if err != nil {
		return nil, "", "", err
	}
	// The redir must say as much as the gate, byte for byte.
	long, err := answerLength(s.Port)
	if err != nil {
		return nil, "", "", err
	}
	short, err := answerLength(ports[1])
	if err != nil {
		return nil, "", "", err
	}
	if err := s.Write(strings.ReplaceAll(text, "{target}", "/"+strings.Repeat("x", max(0, long-short)))); err != nil {
		return nil, "", "", err
	}
	if err := s.Reload(ctx); err != nil {
		return nil, "", "", err
	}
	if now, err := answerLength(ports[1]); err != nil || now != long {
		return nil, "", "", fmt.Errorf("redir answers with %d bytes, the gate with %d: %w", now, long, err)
	}
	return s, ports[0], ports[1], nil
}

// navigation is what a browser sends that opens a page.
var navigation = []string{"Accept: text/html", "Sec-Fetch-Mode: navigate"}

// answerLength is how many bytes the answer to a navigation has, its head included.
func answerLength(port string) (int, error) {
	conn, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: localhost:%s\r\nConnection: close\r\n%s\r\n\r\n", port, strings.Join(navigation, "\r\n"))
	var n countWriter
	resp, err := http.ReadResponse(bufio.NewReader(io.TeeReader(conn, &n)), nil)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return int(n), err
}

type countWriter int

func (n *countWriter) Write(p []byte) (int, error) {
	*n += countWriter(len(p))
	return len(p), nil
}

// requests compares a signed-in request with one through a plain proxy, and a refused one with a bare redir.
func (b *bench) requests(ctx context.Context) error {
	s, plain, redir, err := b.threeWays(ctx)
	if err != nil {
		return err
	}
	defer s.Stop()
	_, v, err := enrolled(ctx, s, "alice")
	if err != nil {
		return err
	}
	cookie := v.Cookie(sessionCookie)
	for _, c := range []struct {
		name    string
		against string
		headers []string
		goal    string
	}{
		{"signed in", plain, []string{"Cookie: " + sessionCookie + "=" + cookie}, "at most 1.03"},
		{"refused, no cookie (plain: redir)", redir, navigation, "at most 1.25"},
		{"refused, forged cookie (plain: redir)", redir, append([]string{"Cookie: " + sessionCookie + "=" + forge(cookie)}, navigation...), "at most 1.35"},
	} {
		progress("requests: %s", c.name)
		p, m, err := b.compare(ctx, s.Pid(), target{port: c.against, headers: c.headers}, target{port: s.Port, headers: c.headers})
		if err != nil {
			return err
		}
		b.table.pairs(c.name+": CPU seconds for 1000 requests", column(p, func(r round) float64 { return r.cpu }), column(m, func(r round) float64 { return r.cpu }),
			func(v float64) string { return fmt.Sprintf("%.4f", v) }, c.goal)
		b.table.pairs(c.name+": requests a second", column(p, func(r round) float64 { return r.rate }), column(m, func(r round) float64 { return r.rate }), asCount, "")
		b.table.pairs(c.name+": latency, p50", column(p, func(r round) float64 { return millis(r.p50) }), column(m, func(r round) float64 { return millis(r.p50) }), asMillis, "")
		b.table.pairs(c.name+": latency, p99", column(p, func(r round) float64 { return millis(r.p99) }), column(m, func(r round) float64 { return millis(r.p99) }), asMillis, "")
	}
	return nil
}

func column(rounds []round, f func(round) float64) []float64 {
	v := make([]float64, len(rounds))
	for i, r := range rounds {
		v[i] = f(r)
	}
	return v
}

// forge returns a cookie that looks like the real one and is not.
func forge(cookie string) string {
	const from, to = "ABCDEFGHIJKLMabcdefghijklm", "NOPQRSTUVWXYZnopqrstuvwxyz"
	return strings.Map(func(r rune) rune {
		if i := strings.IndexRune(from, r); i >= 0 {
			return rune(to[i])
		}
		return r
	}, cookie)
}

// refusals sends very many requests without a session to a server that never saw one, and looks for what they left behind.
func (b *bench) refusals(ctx context.Context) error {
	s, _, _, err := b.threeWays(ctx)
	if err != nil {
		return err
	}
	defer s.Stop()
	for _, c := range []struct {
		name    string
		headers []string
	}{
		{"without a cookie", navigation},
		{"with a forged cookie", append([]string{"Cookie: " + sessionCookie + "=" + forged}, navigation...)},
	} {
		progress("%d requests %s", b.strangers, c.name)
		t := target{port: s.Port, headers: c.headers}
		if _, err := load(ctx, s.Pid(), t, 3*time.Second); err != nil { // fills pools and grows the heap to its working size
			return err
		}
		if err := settle(ctx, s.Pid()); err != nil {
			return err
		}
		before, err := left(ctx, s)
		if err != nil {
			return err
		}
		sent, logged := 0, s.Log.Len()
		for sent < b.strangers {
			r, err := load(ctx, s.Pid(), t, b.round)
			if err != nil {
				return err
			}
			sent += r.requests
		}
		if err := settle(ctx, s.Pid()); err != nil {
			return err
		}
		logged = s.Log.Len() - logged // before the admin API logs our own questions
		after, err := left(ctx, s)
		if err != nil {
			return err
		}
		what := fmt.Sprintf("%d requests %s: ", sent, c.name)
		b.table.row(what+"live heap grows by", "", asMiB(float64(after.heap-before.heap)), "", "at most 5 MiB")
		b.table.row(what+"resident memory grows by", "", asMiB(float64(after.resident-before.resident)), "", "at most 5 MiB")
		store := "unchanged"
		if before.files != after.files {
			store = "changed"
		}
		b.table.row(what+"store, log", "", fmt.Sprintf("%s, %d bytes more", store, logged), "", "unchanged")
	}
	return nil
}

// forged is a cookie of about the right length that nobody signed.
var forged = strings.Repeat("MTc2MzgxNzYwMHw", 10)

// remains is what requests can leave behind.
type remains struct {
	heap, resident int64
	files          string
}

func left(ctx context.Context, s *rig.Server) (r remains, err error) {
	if r.files, err = traces(s.Store()); err != nil {
		return r, err
	}
	if r.heap, err = heap(ctx, s); err != nil {
		return r, err
	}
	r.resident, err = resident(s.Pid())
	return r, err
}
