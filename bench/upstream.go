package main

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
)

// serveUpstream answers every request with one small page.
func serveUpstream(addr string) error {
	page := []byte("<!doctype html><title>app</title>" + strings.Repeat("<p>Some text of an app.\n", 40))
	srv := &http.Server{Addr: addr, ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(page)
	})}
	return srv.ListenAndServe()
}

// startUpstream runs serveUpstream in a process of its own, so that its work is nobody else's.
func (b *bench) startUpstream(ctx context.Context) (stop func(), err error) {
	ports, err := rig.FreePorts(1)
	if err != nil {
		return nil, err
	}
	b.upstream = "127.0.0.1:" + ports[0]
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, "-serve", b.upstream)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	for {
		resp, err := http.Get("http://" + b.upstream)
		if err == nil {
			return stop, resp.Body.Close()
		}
		select {
		case <-ctx.Done():
			stop()
			return nil, ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}
