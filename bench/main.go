// Command bench measures what mfa costs, side by side with plain Caddy on the same machine in the same run, and prints the
// result as a table. `make bench` runs it; BENCHMARKS.md keeps a result.
//
// Requests are compared within one process: one Caddy serves a plain reverse_proxy, the same with mfa before it, and a bare
// redir, each on a port of its own. wrk loads two of them in turn, in many short rounds; what counts is the median of the ratios
// within a round, so that a machine that becomes slower or faster meanwhile changes nothing. Start, idle memory and
// size compare two binaries: Caddy's standard modules alone, and ours.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
)

// settings say how long to measure.
type settings struct {
	rounds    int           // for each comparison, four runs each
	round     time.Duration // length of one run
	strangers int           // requests of each kind that must leave no trace
	starts    int           // pairs of starts
	people    int           // who sign in
	crowd     int           // who sign in at the same moment
}

var (
	full  = settings{rounds: 31, round: time.Second, strangers: 500_000, starts: 9, people: 200, crowd: 500}
	short = settings{rounds: 3, round: time.Second, strangers: 20_000, starts: 3, people: 30, crowd: 100}
)

func main() {
	bin := flag.String("bin", "bin/caddy", "the binary to measure")
	quick := flag.Bool("short", false, "a quick look: fewer and shorter rounds, numbers that say little")
	only := flag.String("only", "", "one part alone: binaries, requests, rules, sessions, tokens, refusals, sign-ins or reloads")
	upstream := flag.String("serve", "", "be the upstream on this address (bench starts itself this way)")
	flag.Parse()
	if *upstream != "" {
		exit(serveUpstream(*upstream))
		return
	}
	s := full
	if *quick {
		s = short
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	exit(measure(ctx, *bin, *only, s))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// progress tells the person who waits.
func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

// bench is one run.
type bench struct {
	settings
	dir      string // everything that it makes
	bin      string // Caddy with mfa
	plain    string // Caddy without
	upstream string // host:port
	table    table
}

func measure(ctx context.Context, bin, only string, s settings) error {
	if _, err := exec.LookPath("wrk"); err != nil {
		return fmt.Errorf("%w: it makes the load. On Debian: sudo apt-get install wrk", err)
	}
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{settings: s, dir: dir}
	if b.bin, err = filepath.Abs(bin); err != nil {
		return err
	}
	if busy := loadAverage(); busy > 1 {
		progress("warning: the load average is %.1f: what others do on this machine shows in the numbers", busy)
	}
	progress("building plain Caddy")
	if b.plain, err = buildPlain(ctx, dir); err != nil {
		return err
	}
	stop, err := b.startUpstream(ctx)
	if err != nil {
		return err
	}
	defer stop()
	for _, part := range []struct {
		name    string
		measure func(context.Context) error
	}{{"binaries", b.binaries}, {"requests", b.requests}, {"rules", b.rules}, {"sessions", b.sessions}, {"tokens", b.tokens}, {"refusals", b.refusals}, {"sign-ins", b.signIns}, {"reloads", b.reloads}} {
		if only != "" && only != part.name {
			continue
		}
		if err := part.measure(ctx); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	fmt.Print(machine(b.bin), "\n", &b.table)
	return nil
}

// start starts bin with a Caddyfile in a home of its own.
func (b *bench) start(ctx context.Context, bin, caddyfile string) (*rig.Server, error) {
	dir, err := os.MkdirTemp(b.dir, "home")
	if err != nil {
		return nil, err
	}
	return rig.Start(ctx, rig.Config{Binary: bin, Dir: dir, Caddyfile: caddyfile, App: b.upstream})
}
