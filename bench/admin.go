package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
)

// admin asks the admin API.
func admin(ctx context.Context, s *rig.Server, method, path string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+s.Admin+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Cache-Control", "must-revalidate") // reload even what has not changed
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %d: %s", path, resp.StatusCode, answer)
	}
	return answer, err
}

// reload loads the running config again, and returns how long that took.
func reload(ctx context.Context, s *rig.Server) (time.Duration, error) {
	config, err := admin(ctx, s, http.MethodGet, "/config/", nil)
	if err != nil {
		return 0, err
	}
	begun := time.Now()
	_, err = admin(ctx, s, http.MethodPost, "/load", config)
	return time.Since(begun), err
}

var (
	total     = regexp.MustCompile(`goroutine profile: total (\d+)`)
	heapAlloc = regexp.MustCompile(`# HeapAlloc = (\d+)`)
)

// goroutines counts those of the server.
func goroutines(ctx context.Context, s *rig.Server) (int, error) {
	text, err := admin(ctx, s, http.MethodGet, "/debug/pprof/goroutine?debug=1", nil)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(match(total, text))
}

// heap is the memory that the server still refers to, in bytes.
func heap(ctx context.Context, s *rig.Server) (int64, error) {
	text, err := admin(ctx, s, http.MethodGet, "/debug/pprof/heap?gc=1&debug=1", nil)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(match(heapAlloc, text), 10, 64)
}
