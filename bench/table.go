package main

import (
	"bufio"
	"bytes"
	"cmp"
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

// table is the result, a row a number.
type table struct{ rows [][5]string }

// row adds a line. Without a plain value or a goal, leave it "".
func (t *table) row(what, plain, mfa, ratio, goal string) {
	t.rows = append(t.rows, [5]string{what, plain, mfa, ratio, goal})
	progress("  %s: %s | %s | %s", what, plain, mfa, ratio)
}

// pairs adds a line for paired measurements: the medians, and the median and the middle half of the ratios.
func (t *table) pairs(what string, plain, mfa []float64, format func(float64) string, goal string) {
	ratios := make([]float64, len(plain))
	for i := range plain {
		ratios[i] = mfa[i] / plain[i]
	}
	ratio := fmt.Sprintf("%.3f (%.3f to %.3f)", median(ratios), quantile(ratios, 0.25), quantile(ratios, 0.75))
	t.row(what, format(median(plain)), format(median(mfa)), ratio, goal)
}

// String renders Markdown.
func (t *table) String() string {
	var b strings.Builder
	b.WriteString("| | plain | mfa | ratio (middle half) | goal |\n|---|---|---|---|---|\n")
	for _, r := range t.rows {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(r[:], " | "))
	}
	return b.String()
}

func median(v []float64) float64 { return quantile(v, 0.5) }

// quantile interpolates between the neighbours of q.
func quantile(v []float64, q float64) float64 {
	s := slices.Sorted(slices.Values(v))
	at := q * float64(len(s)-1)
	i := int(at)
	if i+1 == len(s) {
		return s[i]
	}
	return s[i] + (at-float64(i))*(s[i+1]-s[i])
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func asMillis(v float64) string { return fmt.Sprintf("%.2f ms", v) }

func asMiB(v float64) string { return fmt.Sprintf("%.1f MiB", v/(1<<20)) }

func asCount(v float64) string { return fmt.Sprintf("%.0f", v) }

// machine says what was measured on.
func machine(bin string) string {
	caddy, commit := "", "a work tree"
	if info, err := buildinfo.ReadFile(bin); err == nil {
		for _, d := range info.Deps {
			if d.Path == "github.com/caddyserver/caddy/v2" {
				caddy = d.Version
			}
		}
	}
	if out, err := exec.Command("git", "describe", "--always", "--dirty").Output(); err == nil {
		commit = strings.TrimSpace(string(out))
	}
	return fmt.Sprintf("%s, %d cores, %s of memory, Linux %s, %s, Caddy %s, %d connections; commit %s, %s\n",
		firstOf("/proc/cpuinfo", "model name"), runtime.NumCPU(), memory(), kernel(), runtime.Version(), caddy, connections,
		commit, time.Now().UTC().Format(time.DateOnly))
}

// firstOf returns the value of the first line "key : value" in a file of /proc.
func firstOf(path, key string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return "unknown"
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		if k, v, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(v)
		}
	}
	return "unknown"
}

func memory() string {
	var kb float64
	if _, err := fmt.Sscanf(firstOf("/proc/meminfo", "MemTotal"), "%f", &kb); err != nil {
		return "unknown"
	}
	return fmt.Sprintf("%.0f GiB", kb/(1<<20))
}

func kernel() string {
	text, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return cmp.Or(strings.TrimSpace(string(text)), "unknown")
}
