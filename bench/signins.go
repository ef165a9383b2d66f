package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
)

// atOnce is how many sign in at the same time.
const atOnce = 50

// signIns measures people who sign in: many at once, one after the other, and a crowd that is too large.
func (b *bench) signIns(ctx context.Context) error {
	progress("sign-ins: %d accounts", b.people)
	s, err := b.start(ctx, b.bin, rig.Gated)
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
	if err := b.sequential(ctx, s, people[:min(len(people), 50)]); err != nil {
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

// sequential takes the CPU time of argon2 off that of whole sign-ins.
func (b *bench) sequential(ctx context.Context, s *rig.Server, people []*rig.Person) error {
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
	before, err := cpu(s.Pid())
	if err != nil {
		return err
	}
	for i, p := range people {
		v := rig.NewVisitor(s.URL)
		_, err1 := v.Post(ctx, "/.mfa/login", url.Values{"name": {p.Name}, "password": {p.Password}})
		_, err2 := v.Post(ctx, "/.mfa/verify/totp", url.Values{"code": {codes[i]}})
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		if v.Cookie(sessionCookie) == "" {
			return fmt.Errorf("%s could not sign in", p.Name)
		}
	}
	after, err := cpu(s.Pid())
	if err != nil {
		return err
	}
	whole := millis(after-before) / float64(len(people))
	hash := argon2CPU(len(people))
	b.table.row("one sign-in: CPU, argon2 alone, the rest", asMillis(hash), asMillis(whole), asMillis(whole-hash)+" more", "at most 3 ms more")
	return nil
}

// argon2CPU is the CPU time of one hash with the parameters of the passwords, in milliseconds.
func argon2CPU(n int) float64 {
	var before, after syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &before); err != nil {
		return 0
	}
	for range n {
		argon2.IDKey([]byte("correct horse battery"), []byte("sixteen bytes of"), 2, 19<<10, 1, 32)
	}
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &after); err != nil {
		return 0
	}
	spent := func(r syscall.Rusage) time.Duration { return time.Duration(r.Utime.Nano() + r.Stime.Nano()) }
	return millis(spent(after)-spent(before)) / float64(n)
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
