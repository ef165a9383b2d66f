package e2e

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
)

// realApps is a server with the sites that the guide shows for Prometheus and Jupyter, and these two, as Debian has them.
type realApps struct {
	*rig.Server
	auth, prometheus, jupyter string    // the sites
	metrics, notebooks        *listener // what the apps received
}

// notebook has one empty cell.
const notebook = `{"nbformat": 4, "nbformat_minor": 4, "cells": [{"cell_type": "code", "execution_count": null, "metadata": {}, "outputs": [], "source": []}],
"metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}}`

// startApps starts all of it with what the guide says, but for names and ports.
func startApps(t *testing.T) *realApps {
	t.Helper()
	ports, err := rig.FreePorts(2)
	if err != nil {
		t.Fatal(err)
	}
	metrics, notebooks := "127.0.0.1:"+ports[0], "127.0.0.1:"+ports[1]
	a := &realApps{metrics: listen(t, metrics), notebooks: listen(t, notebooks)}
	a.Server = start(t, rig.Config{Caddyfile: "{\n\tadmin {admin}\n\tauto_https off\n" + strings.TrimPrefix(shown(t, "caddyfile",
		"https://auth.example.com", "http://auth.localhost:{port}",
		"auth.example.com {", "http://auth.localhost:{port} {\n\tbind 127.0.0.1",
		"prometheus.example.com {", "http://prometheus.localhost:{port} {\n\tbind 127.0.0.1",
		"jupyter.example.com {", "http://jupyter.localhost:{port} {\n\tbind 127.0.0.1",
		"prometheus.example.com", "prometheus.localhost", "jupyter.example.com", "jupyter.localhost",
		"127.0.0.1:9090", a.metrics.Addr, "127.0.0.1:8888", a.notebooks.Addr), "{\n")})
	at := func(name string) string { return "http://" + name + ".localhost:" + a.Port }
	a.auth, a.prometheus, a.jupyter = at("auth"), at("prometheus"), at("jupyter")

	dir := t.TempDir()
	write(t, dir, "prometheus.yml", "global: {scrape_interval: 1s}\nscrape_configs: [{job_name: itself, static_configs: [{targets: ['"+metrics+"']}]}]\n")
	args, _ := strings.CutPrefix(strings.TrimSpace(shown(t, "sh", "127.0.0.1:9090", metrics, "https://prometheus.example.com", a.prometheus)), `ARGS="`)
	watch := exec.Command(program("prometheus"), append(strings.Fields(strings.TrimSuffix(args, `"`)), "--config.file=prometheus.yml", "--storage.tsdb.path=data")...)
	watch.Dir = dir
	launch(t, watch, metrics)

	home := t.TempDir()
	write(t, home, "first.ipynb", notebook)
	write(t, home, "config.py", shown(t, "python", "8888", ports[1], "jupyter.example.com", "jupyter.localhost"))
	serve := exec.Command(program("jupyter-notebook"), "--config=config.py", "--no-browser", "--port-retries=0")
	if os.Geteuid() == 0 {
		serve.Args = append(serve.Args, "--allow-root")
	}
	serve.Dir, serve.Env = home, []string{"HOME=" + home, "PATH=" + os.Getenv("PATH")}
	launch(t, serve, notebooks)
	return a
}

// shown is the first block in that language of the guide's section, with pairs replaced, all of which must be there.
func shown(t *testing.T, language string, pairs ...string) string {
	t.Helper()
	guide, err := os.ReadFile("../docs/guide.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(guide), "\n### Prometheus and Jupyter\n")
	_, block, _ := strings.Cut(section, "\n```"+language+"\n")
	block, _, _ = strings.Cut(block, "```\n")
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(block, pairs[i]) {
			t.Fatalf("the guide shows no %s in %q", pairs[i], block)
		}
	}
	return strings.NewReplacer(pairs...).Replace(block)
}

var sample = regexp.MustCompile(`"__name__":"up".*"1"\]`)

// watched waits until Prometheus knows that it is up, which takes it five seconds.
func (a *realApps) watched(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+a.metrics.to+"/api/v1/query?query=up", nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if sample.Match(body) {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("Prometheus knows nothing: %s", body)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// listener stands before an app, and keeps every byte that goes to it.
type listener struct {
	Addr  string
	to    string
	mu    sync.Mutex
	heard strings.Builder
}

// listen passes connections on to an address, until the test ends.
func listen(t *testing.T, address string) *listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	heard := &listener{Addr: l.Addr().String(), to: address}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return // the test ends
			}
			to, err := net.Dial("tcp", address)
			if err != nil {
				from.Close()
				continue
			}
			end := func() { from.Close(); to.Close() }
			go func() { defer end(); _, _ = io.Copy(to, io.TeeReader(from, heard)) }()
			go func() { defer end(); _, _ = io.Copy(from, to) }()
		}
	}()
	return heard
}

// Write keeps p.
func (l *listener) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.heard.Write(p)
}

// String is what was kept, of all connections.
func (l *listener) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.heard.String()
}
