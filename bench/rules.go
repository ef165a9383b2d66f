package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
)

// rules compares a signed-in request to a site with one rule with the same to sites with more, none of which is for it.
func (b *bench) rules(ctx context.Context) error {
	ports, err := rig.FreePorts(2)
	if err != nil {
		return err
	}
	text := strings.Replace(rig.Gated, "\tmfa\n", ruled(1), 1) + ruledSite(ports[0], 100) + ruledSite(ports[1], 1000)
	s, err := b.start(ctx, b.bin, text)
	if err != nil {
		return err
	}
	defer s.Stop()
	_, v, err := enrolled(ctx, s, "alice")
	if err != nil {
		return err
	}
	headers := []string{"Cookie: " + sessionCookie + "=" + v.Cookie(sessionCookie)}
	const path = "/teams/nobody/a-page-of-no-team.html"
	for _, c := range []struct {
		port, name, goal string
	}{{ports[0], "100 rules", ""}, {ports[1], "1000 rules", "at most 1.20"}} {
		progress("rules: %s", c.name)
		p, m, err := b.compare(ctx, s.Pid(), target{s.Port, headers, path}, target{c.port, headers, path})
		if err != nil {
			return err
		}
		b.table.pairs("signed in, "+c.name+" (plain: 1 rule): CPU seconds for 1000 requests", column(p, func(r round) float64 { return r.cpu }),
			column(m, func(r round) float64 { return r.cpu }), func(v float64) string { return fmt.Sprintf("%.4f", v) }, c.goal)
	}
	return nil
}

// ruled is the directive with n rules, each for the pages of one of n teams.
func ruled(n int) string {
	var b strings.Builder
	b.WriteString("\tmfa {\n")
	for i := range n {
		fmt.Fprintf(&b, "\t\trule /teams/team-%d/* /team-%d.html {\n\t\t\tallow group:team-%d\n\t\t\tmax_age 12h\n\t\t}\n", i, i, i)
	}
	b.WriteString("\t}\n")
	return b.String()
}

func ruledSite(port string, n int) string {
	return strings.NewReplacer("\tmfa\n", ruled(n), "{port}", port).Replace(rig.Gated[strings.Index(rig.Gated, "http://"):])
}

var benchmarkMiB = regexp.MustCompile(`BenchmarkManySessions\S*\s.*?([\d.]+) MiB`)

// sessions asks a Go benchmark what many live sessions cost: to sign 100,000 people in would take an hour of argon2id.
func (b *bench) sessions(ctx context.Context) error {
	progress("sessions: 100,000")
	said, err := goBenchmark(ctx, "BenchmarkManySessions")
	if err != nil {
		return err
	}
	mib, err := strconv.ParseFloat(match(benchmarkMiB, said), 64)
	if err != nil {
		return fmt.Errorf("go test printed something new: %w\n%s", err, said)
	}
	b.table.row("100,000 live sessions: live heap grows by", "", fmt.Sprintf("%.1f MiB", mib), "", "at most 150 MiB")
	return nil
}

// goBenchmark runs a Go benchmark of internal/auth once, and returns what it printed.
func goBenchmark(ctx context.Context, name string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^"+name+"$", "-benchtime", "1x", "./internal/auth")
	cmd.Stderr = os.Stderr
	said, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("go test: %w\n%s", err, said)
	}
	return said, err
}
