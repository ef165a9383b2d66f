package caddymodule

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// liveHost is the host of the sites with streams, for which the test's certificate is.
const liveHost = "example.com"

// liveSite is a site whose app does not stop talking, over every version of HTTP.
type liveSite struct {
	*site
	gated   string // the site's text
	open    atomic.Int64
	release chan struct{} // closed: what waits in /late goes on
	clients map[string]*http.Client
}

func newLiveSite(t *testing.T) *liveSite {
	t.Helper()
	l := &liveSite{site: newSite(t), release: make(chan struct{})}
	l.app.Config.Handler = l.handler()
	certificate, roots := l.certificate()
	l.gated = "https://" + liveHost + ":{port} {\n\ttls " + certificate + `
	mfa {
		public /public/*
		allow group:ops
	}
	reverse_proxy {app} {
		stream_close_delay 1h
		fail_duration 1h
		max_fails 1
	}
}
`
	trust := func() *tls.Config { return &tls.Config{RootCAs: roots, ServerName: liveHost} }
	one := &http.Transport{DialContext: l.dial, TLSClientConfig: trust()}
	two := &http.Transport{DialContext: l.dial, TLSClientConfig: trust(), ForceAttemptHTTP2: true}
	// A client's connection has room for all the downloads that it does not read.
	room := &quic.Config{InitialConnectionReceiveWindow: 16 << 20, MaxConnectionReceiveWindow: 16 << 20}
	three := &http3.Transport{TLSClientConfig: trust(), QUICConfig: room, Dial: func(ctx context.Context, _ string, c *tls.Config, q *quic.Config) (*quic.Conn, error) {
		return quic.DialAddr(ctx, "127.0.0.1:"+l.port, c, q)
	}}
	l.clients = map[string]*http.Client{"HTTP/1.1": {Transport: one}, "HTTP/2.0": {Transport: two}, "HTTP/3.0": {Transport: three}}
	t.Cleanup(func() {
		one.CloseIdleConnections()
		two.CloseIdleConnections()
		if err := three.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// certificate returns the files of a certificate and its key, and who trusts it.
func (l *liveSite) certificate() (files string, roots *x509.CertPool) {
	l.t.Helper()
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	roots = x509.NewCertPool()
	roots.AddCert(s.Certificate())
	key, err := x509.MarshalPKCS8PrivateKey(s.TLS.Certificates[0].PrivateKey)
	if err != nil {
		l.t.Fatal(err)
	}
	dir := l.t.TempDir()
	for name, block := range map[string]*pem.Block{"cert": {Type: "CERTIFICATE", Bytes: s.Certificate().Raw}, "key": {Type: "PRIVATE KEY", Bytes: key}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			l.t.Fatal(err)
		}
	}
	return filepath.Join(dir, "cert") + " " + filepath.Join(dir, "key"), roots
}

// echo is an app that says over a WebSocket what it hears.
func echo(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer c.CloseNow()
	for {
		kind, word, err := c.Read(r.Context())
		if err != nil || c.Write(r.Context(), kind, word) != nil {
			return
		}
	}
}

// handler is the app.
func (l *liveSite) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/ws", echo)
	events := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for r.Context().Err() == nil {
			io.WriteString(w, "data: x\n\n")
			w.(http.Flusher).Flush()
			<-tick.C
		}
	}
	mux.HandleFunc("/events", events)
	mux.HandleFunc("/public/events", events)
	mux.HandleFunc("/silent", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "not much\n")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	download := func(w http.ResponseWriter) {
		block := []byte(strings.Repeat("a line of a file\n", 1000))
		for {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	}
	mux.HandleFunc("/chunked", func(w http.ResponseWriter, _ *http.Request) { download(w) })
	mux.HandleFunc("/sized", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000000000000")
		download(w)
	})
	mux.HandleFunc("/upload", func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) })
	mux.HandleFunc("/late", func(w http.ResponseWriter, r *http.Request) {
		go io.Copy(io.Discard, r.Body) // for a server that waits for the rest of a body does not see that the client leaves
		select {
		case <-l.release:
			io.WriteString(w, "late\n")
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("/", tell)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.open.Add(1)
		defer l.open.Add(-1)
		mux.ServeHTTP(w, r)
	})
}

// serveLive is serve of the usual text.
func (l *liveSite) serveLive() {
	l.t.Helper()
	l.serve(l.gated)
}

// streams is how many the gates of this process watch.
func (l *liveSite) streams() int {
	l.t.Helper()
	return running(l.t).live.Load().realm.Streams()
}

// talk is a stream as the client sees it.
type talk struct {
	what  string
	next  func() error // gets some more of it
	close func()
}

// connect opens a stream and gets the first of it.
func (l *liveSite) connect(version, path, cookie string, headers ...string) *talk {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), 30*time.Second)
	l.t.Cleanup(cancel)
	header := http.Header{}
	for _, h := range append(headers, cookie) {
		name, value, _ := strings.Cut(h, ": ")
		header.Add(name, value)
	}
	s := &talk{what: version + " " + path}
	switch {
	case path != "/ws":
		res := l.request(ctx, version, "GET", path, nil, header)
		body := bufio.NewReader(res.Body)
		s.close = cancel
		s.next = func() error { _, err := body.ReadString('\n'); return err }
	case version == "HTTP/3.0":
		s.next = l.socketOverStream(ctx, version, header)
		s.close = cancel
	default:
		c, _, err := websocket.Dial(ctx, "wss://"+liveHost+path, &websocket.DialOptions{HTTPClient: l.clients[version], HTTPHeader: header})
		if err != nil {
			l.t.Fatal(err)
		}
		s.close = func() { c.CloseNow() }
		s.next = func() error {
			if err := c.Write(ctx, websocket.MessageText, []byte("hello")); err != nil {
				return err
			}
			_, _, err := c.Read(ctx)
			return err
		}
	}
	if err := s.next(); err != nil {
		l.t.Fatalf("%s: %v", s.what, err)
	}
	return s
}

func (l *liveSite) request(ctx context.Context, version, method, path string, body io.Reader, header http.Header) *http.Response {
	l.t.Helper()
	r, err := http.NewRequestWithContext(ctx, method, "https://"+liveHost+path, body)
	if err != nil {
		l.t.Fatal(err)
	}
	r.Header = header
	if method == http.MethodConnect {
		r.Proto = "websocket"
	}
	res, err := l.clients[version].Transport.RoundTrip(r)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { res.Body.Close() })
	if res.StatusCode != http.StatusOK || res.Proto != version {
		l.t.Fatalf("%s %s: %s", res.Proto, path, res.Status)
	}
	return res
}

// socketOverStream opens a WebSocket with an extended CONNECT (RFC 9220).
func (l *liveSite) socketOverStream(ctx context.Context, version string, header http.Header) func() error {
	l.t.Helper()
	reader, writer := io.Pipe()
	l.t.Cleanup(func() { writer.Close() })
	header.Set("Sec-WebSocket-Version", "13")
	res := l.request(ctx, version, http.MethodConnect, "/ws", reader, header)
	return func() error {
		if _, err := io.WriteString(writer, "\x81\x85\x00\x00\x00\x00hello"); err != nil {
			return err
		}
		got := make([]byte, 7)
		_, err := io.ReadFull(res.Body, got)
		if err == nil && string(got) != "\x81\x05hello" {
			err = fmt.Errorf("got %q", got)
		}
		return err
	}
}

// goesOn fails the test unless more comes.
func (s *talk) goesOn(t testing.TB) {
	t.Helper()
	if err := s.next(); err != nil {
		t.Errorf("%s has ended: %v", s.what, err)
	}
}

// ended waits for the end, and throws away what was on its way.
func (s *talk) ended(t testing.TB) {
	t.Helper()
	for {
		err := s.next()
		switch {
		case err == nil:
			continue
		case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
			t.Errorf("%s goes on", s.what)
		case errors.Is(err, io.EOF) && !strings.HasSuffix(s.what, "/ws"):
			t.Errorf("%s ends as if it were whole", s.what)
		}
		return
	}
}

// person makes a user of the group ops, with a session.
func (l *liveSite) person(name string) (cookie, session string) {
	l.t.Helper()
	value := signIn(l.t, liveHost, name, "ops")
	s, _, err := running(l.t).live.Load().realm.Session(l.t.Context(), liveHost, value)
	if err != nil {
		l.t.Fatal(err)
	}
	return sessionCookie(value), s.ID
}
