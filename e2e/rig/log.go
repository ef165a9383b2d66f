package rig

import (
	"context"
	"fmt"
	"regexp"
	"sync"
)

// Log keeps what a server printed. It is safe for concurrent use.
type Log struct {
	mu    sync.Mutex
	text  []byte
	grown chan struct{} // closed, and replaced, at every write
}

func newLog() *Log { return &Log{grown: make(chan struct{})} }

// Write implements io.Writer.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, p...)
	close(l.grown)
	l.grown = make(chan struct{})
	return len(p), nil
}

// String returns everything so far.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}

// Len returns the size so far, in bytes.
func (l *Log) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.text)
}

// Wait returns the first match of re, as soon as there is one.
func (l *Log) Wait(ctx context.Context, re *regexp.Regexp) (string, error) {
	for {
		l.mu.Lock()
		m, grown := re.Find(l.text), l.grown
		l.mu.Unlock()
		if m != nil {
			return string(m), nil
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("waiting for %s in the log: %w\n%s", re, ctx.Err(), l)
		case <-grown:
		}
	}
}
