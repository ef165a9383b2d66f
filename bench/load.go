package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"time"
)

// target is a route to load.
type target struct {
	port    string
	headers []string
	path    string // "" for /
}

// round is what one run of wrk showed.
type round struct {
	requests int
	rate     float64       // a second
	p50, p99 time.Duration // latency
	cpu      float64       // seconds of the gateway for 1000 requests
}

var (
	wrkRequests = regexp.MustCompile(`(\d+) requests in`)
	wrkRate     = regexp.MustCompile(`Requests/sec:\s+([\d.]+)`)
	wrkP50      = regexp.MustCompile(`50%\s+([\d.]+[mu]?s)`)
	wrkP99      = regexp.MustCompile(`99%\s+([\d.]+[mu]?s)`)
	wrkBad      = regexp.MustCompile(`(Socket errors|Non-2xx or 3xx responses).*`)
)

// connections is how many clients wrk plays.
const connections = 32

// load sends as many requests as the route takes, for a while. An answer other than 2xx or 3xx is an error.
func load(ctx context.Context, pid int, t target, d time.Duration) (round, error) {
	args := []string{
		"-t1", "-c" + strconv.Itoa(connections), "-d" + strconv.Itoa(max(1, int(d.Seconds()))) + "s", "--latency", "--timeout", "10s",
		"-H", "Host: localhost:" + t.port,
	}
	for _, h := range t.headers {
		args = append(args, "-H", h)
	}
	before, err := cpu(pid)
	if err != nil {
		return round{}, err
	}
	said, err := exec.CommandContext(ctx, "wrk", append(args, "http://127.0.0.1:"+t.port+cmp.Or(t.path, "/"))...).CombinedOutput()
	if err != nil {
		return round{}, fmt.Errorf("wrk: %w\n%s", err, said)
	}
	after, err := cpu(pid)
	if err != nil {
		return round{}, err
	}
	if bad := wrkBad.Find(said); bad != nil {
		return round{}, fmt.Errorf("port %s: %s", t.port, bad)
	}
	var r round
	r.requests, err = strconv.Atoi(match(wrkRequests, said))
	var errs [3]error
	r.rate, errs[0] = strconv.ParseFloat(match(wrkRate, said), 64)
	r.p50, errs[1] = time.ParseDuration(match(wrkP50, said))
	r.p99, errs[2] = time.ParseDuration(match(wrkP99, said))
	if err := errors.Join(append(errs[:], err)...); err != nil || r.requests == 0 {
		return round{}, fmt.Errorf("wrk printed something new: %w\n%s", err, said)
	}
	r.cpu = (after - before).Seconds() / float64(r.requests) * 1000
	return r, nil
}

func match(re *regexp.Regexp, s []byte) string {
	if m := re.FindSubmatch(s); m != nil {
		return string(m[1])
	}
	return ""
}

// compare loads two routes of one process in rounds of four runs: ABBA, then BAAB, so that a machine that becomes steadily
// slower or faster during a round treats both alike.
func (b *bench) compare(ctx context.Context, pid int, plain, mfa target) (p, m []round, err error) {
	for _, t := range []target{plain, mfa} { // warm up
		if _, err := load(ctx, pid, t, time.Second); err != nil {
			return nil, nil, err
		}
	}
	for i := range b.rounds {
		targets, sums := [2]target{plain, mfa}, [2]round{}
		for _, j := range [4]int{i % 2, 1 - i%2, 1 - i%2, i % 2} {
			r, err := load(ctx, pid, targets[j], b.round)
			if err != nil {
				return nil, nil, err
			}
			sums[j] = sums[j].plus(r)
		}
		p, m = append(p, sums[0]), append(m, sums[1])
	}
	return p, m, nil
}

// plus joins two runs of the same length; the zero round is none.
func (r round) plus(o round) round {
	if r.requests == 0 {
		return o
	}
	n, m := float64(r.requests), float64(o.requests)
	return round{
		requests: r.requests + o.requests,
		rate:     (r.rate + o.rate) / 2,
		p50:      (r.p50 + o.p50) / 2,
		p99:      (r.p99 + o.p99) / 2,
		cpu:      (r.cpu*n + o.cpu*m) / (n + m),
	}
}
