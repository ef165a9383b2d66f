package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
)

// atOnce is how many sign in at the same time.
const atOnce = 50

// signIns measures people who sign in: many at once, one after the other, by passkey, and a crowd that is too large.
func (b *bench) signIns(ctx context.Context) error {
	progress("sign-ins: %d accounts", b.people)
	ports, err := rig.FreePorts(1)
	if err != nil {
		return err
	}
	s, err := b.start(ctx, b.bin, rig.Gated+argon2Site(ports[0]))
	if err != nil {
		return err
	}
	defer s.Stop()
	people := make([]*rig.Person, b.people)
	var member *rig.Visitor // somebody who works in the meantime
	for i := range people {
		if people[i], member, err = enrolled(ctx, s, fmt.Sprintf("user%d", i)); err != nil {
			return err
		}
	}
	if err := settle(ctx, s.Pid()); err != nil {
		return err
	}
	if err := b.parallel(ctx, s, people); err != nil {
		return err
	}
	if err := b.sequential(ctx, s, people, ports[0]); err != nil {
		return err
	}
	if err := b.passkeys(ctx, s); err != nil {
		return err
	}
	return b.crowded(ctx, s, people, member)
}

// parallel signs everybody in, atOnce at a time.
func (b *bench) parallel(ctx context.Context, s *rig.Server, people []*rig.Person) error {
	before, err := resident(s.Pid())
	if err != nil {
		return err
	}
	queue := make(chan *rig.Person, len(people))
	for _, p := range people {
		queue <- p
	}
	close(queue)
	var wg sync.WaitGroup
	var failed atomic.Int64
	var mu sync.Mutex
	var took []float64
	most := peak(ctx, s.Pid())
	begun := time.Now()
	for range atOnce {
		wg.Go(func() {
			for p := range queue {
				own := time.Now()
				if err := signIn(ctx, s, p); err != nil {
					progress("  %v", err)
					failed.Add(1)
				}
				mu.Lock()
				took = append(took, millis(time.Since(own)))
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	elapsed := time.Since(begun)
	grown := most() - before
	what := fmt.Sprintf("%d at once sign in: ", atOnce)
	b.table.row(what+"sign-ins a second", "", fmt.Sprintf("%.1f", float64(len(people))/elapsed.Seconds()), "", "at least 50")
	b.table.row(what+"failed", "", strconv.FormatInt(failed.Load(), 10), "", "none")
	b.table.row(what+"one takes, p50 and p99", "", fmt.Sprintf("%.0f ms, %.0f ms", median(took), quantile(took, 0.99)), "", "")
	b.table.row(what+"memory grows meanwhile by", "", asMiB(float64(grown)), "", "at most 64 MiB")
	return nil
}

// signIn gives the password and a code of the phone.
func signIn(ctx context.Context, s *rig.Server, p *rig.Person) error {
	v := rig.NewVisitor(s.URL)
	page, err := v.Post(ctx, "/.mfa/login", url.Values{"name": {p.Name}, "password": {p.Password}})
	if err != nil {
		return err
	}
	if page.Status != http.StatusSeeOther {
		return fmt.Errorf("password of %s: %d", p.Name, page.Status)
	}
	code, err := p.Code(ctx)
	if err != nil {
		return err
	}
	if page, err = v.Post(ctx, "/.mfa/verify/totp", url.Values{"code": {code}}); err != nil {
		return err
	}
	if v.Cookie(sessionCookie) == "" {
		return fmt.Errorf("code of %s: %d", p.Name, page.Status)
	}
	return nil
}

// argon2Site checks one password by Caddy's own basic_auth with the parameters of our passwords: what argon2 costs in this very
// process, with the collection of the memory that it leaves behind.
func argon2Site(port string) string {
	const memory, passes = 19 << 10, 2
	salt := []byte("sixteen bytes of")
	b64 := base64.RawStdEncoding.EncodeToString
	hash := b64(argon2.IDKey([]byte(argon2Password), salt, passes, memory, 1, 32))
	return fmt.Sprintf("\nhttp://localhost:%s {\n\tbind 127.0.0.1\n\tbasic_auth argon2id {\n\t\talice $argon2id$v=19$m=%d,t=%d,p=1$%s$%s\n\t}\n\trespond 204\n}\n",
		port, memory, passes, b64(salt), hash)
}

const argon2Password = "correct horse battery"

// sequential takes the CPU time of argon2 off that of whole sign-ins, one after the other. Both are measured in turn, a few of
// each, and what counts is the median of the differences.
func (b *bench) sequential(ctx context.Context, s *rig.Server, people []*rig.Person, port string) error {
	// Codes are fetched first: waiting for one must not count.
	codes := make([]string, len(people))
	for i, p := range people {
		var err error
		if codes[i], err = p.Code(ctx); err != nil {
			return err
		}
	}
	if err := settle(ctx, s.Pid()); err != nil {
		return err
	}
	const few = 10
	var whole, hash, rest []float64
	for n := 0; n+few <= len(people); n += few {
		w, err := cpuOf(s.Pid(), few, func(i int) error { return signInWith(ctx, s, people[n+i], codes[n+i]) })
		if err != nil {
			return err
		}
		h, err := cpuOf(s.Pid(), few, func(i int) error { return basicAuth(ctx, port, n+i) })
		if err != nil {
			return err
		}
		whole, hash, rest = append(whole, w), append(hash, h), append(rest, w-h)
	}
	b.table.row("one sign-in: CPU, argon2 alone (basic_auth), the rest", asMillis(median(hash)), asMillis(median(whole)),
		fmt.Sprintf("%s more (%s to %s)", asMillis(median(rest)), asMillis(quantile(rest, 0.25)), asMillis(quantile(rest, 0.75))), "at most 3 ms more")
	return nil
}

// cpuOf is the CPU time that a process needs for one of n calls, in milliseconds.
func cpuOf(pid, n int, call func(i int) error) (float64, error) {
	before, err := cpu(pid)
	if err != nil {
		return 0, err
	}
	for i := range n {
		if err := call(i); err != nil {
			return 0, err
		}
	}
	after, err := cpu(pid)
	return millis(after-before) / float64(n), err
}

func signInWith(ctx context.Context, s *rig.Server, p *rig.Person, code string) error {
	v := rig.NewVisitor(s.URL)
	_, err1 := v.Post(ctx, "/.mfa/login", url.Values{"name": {p.Name}, "password": {p.Password}})
	_, err2 := v.Post(ctx, "/.mfa/verify/totp", url.Values{"code": {code}})
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	if v.Cookie(sessionCookie) == "" {
		return fmt.Errorf("%s could not sign in", p.Name)
	}
	return nil
}

// basicAuth gives basic_auth the nth wrong password. It remembers what it was given before, and would not compute that again.
func basicAuth(ctx context.Context, port string, n int) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost:"+port+"/", nil)
	if err != nil {
		return err
	}
	req.SetBasicAuth("alice", fmt.Sprintf("not %s %d", argon2Password, n))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized {
		return fmt.Errorf("basic_auth answered %d", resp.StatusCode)
	}
	return nil
}

// crowded lets far more people give their password at one moment than the server has time for, while somebody else works.
func (b *bench) crowded(ctx context.Context, s *rig.Server, people []*rig.Person, member *rig.Visitor) error {
	if err := settle(ctx, s.Pid()); err != nil {
		return err
	}
	calm, err := work(ctx, member, func(n int) bool { return n < 200 })
	if err != nil {
		return err
	}
	before, err := resident(s.Pid())
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	var done atomic.Bool
	var served, refused, other atomic.Int64
	gate := make(chan struct{})
	for i := range b.crowd {
		p := people[i%len(people)]
		wg.Go(func() {
			<-gate
			page, err := rig.NewVisitor(s.URL).Post(ctx, "/.mfa/login", url.Values{"name": {p.Name}, "password": {p.Password}})
			switch {
			case err == nil && page.Status == http.StatusSeeOther:
				served.Add(1)
			case err == nil && page.Status == http.StatusServiceUnavailable && page.Header.Get("Retry-After") != "":
				refused.Add(1)
			default:
				other.Add(1)
			}
		})
	}
	most := peak(ctx, s.Pid())
	go func() { wg.Wait(); done.Store(true) }()
	close(gate)
	busy, err := work(ctx, member, func(int) bool { return !done.Load() })
	grown := most() - before
	if err != nil {
		return err
	}
	what := fmt.Sprintf("%d at the same moment: ", b.crowd)
	b.table.row(what+"let in, 503 with Retry-After, anything else", "", fmt.Sprintf("%d, %d, %d", served.Load(), refused.Load(), other.Load()), "", "nothing else")
	b.table.row(what+"memory grows by", "", asMiB(float64(grown)), "", "bounded")
	b.table.row(what+"a signed-in request takes, p50 and p99 (plain: before)",
		fmt.Sprintf("%.1f ms, %.1f ms", median(calm), quantile(calm, 0.99)), fmt.Sprintf("%.1f ms, %.1f ms", median(busy), quantile(busy, 0.99)),
		"", fmt.Sprintf("none of %d fails", len(busy)))
	return nil
}

// work asks for the app as long as more says so, and returns how long each request took, in milliseconds.
func work(ctx context.Context, v *rig.Visitor, more func(n int) bool) ([]float64, error) {
	var took []float64
	for len(took) == 0 || more(len(took)) {
		begun := time.Now()
		page, err := v.Fetch(ctx, "/")
		if err != nil {
			return nil, err
		}
		if page.Status != http.StatusOK {
			return nil, fmt.Errorf("a signed-in request got %d", page.Status)
		}
		took = append(took, millis(time.Since(begun)))
		if err := pause(ctx, time.Millisecond); err != nil {
			return nil, err
		}
	}
	slices.Sort(took)
	return took, nil
}
