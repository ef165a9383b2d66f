package mail

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/mail/smtptest"
)

const secret = "correct horse battery staple"

var noon = time.Date(2026, 3, 1, 12, 30, 0, 0, time.FixedZone("", 2*60*60))

// letterTo is a mail as the queue would send it.
func letterTo(to string) Message {
	m := SignInCode{Product: "Example Corp", Name: "alice", Code: "123456", Minutes: 10, Host: "dash.example.com"}.Message()
	m.ID, m.Date, m.To = "01JNABCDEF", noon, to
	return m
}

// configFor fits srv, which serves localhost.
func configFor(srv *smtptest.Server) Config {
	return Config{Addr: srv.Addr, From: "Example Corp <sign-in@example.com>", Roots: srv.Roots}
}

func newSender(t testing.TB, c Config) *Sender {
	t.Helper()
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	s.now = func() time.Time { return noon }
	return s
}

// via lets s reach addr under whatever name and port its Config has.
func via(s *Sender, addr string) *Sender {
	dial := s.dial
	s.dial = func(ctx context.Context, network, _ string) (net.Conn, error) { return dial(ctx, network, addr) }
	return s
}

// parts takes a mail apart: its headers, its text and its HTML.
func parts(t testing.TB, data []byte) (h mail.Header, text, html string) {
	t.Helper()
	m, err := mail.ReadMessage(bytes.NewReader(data))
	if err != nil {
		t.Fatalf("%v in\n%s", err, data)
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatalf("%q, %v", kind, err)
	}
	var bodies []string
	for r := multipart.NewReader(m.Body, params["boundary"]); ; {
		p, err := r.NextRawPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if p.Header.Get("Content-Transfer-Encoding") != "quoted-printable" {
			t.Errorf("part encoded as %q", p.Header.Get("Content-Transfer-Encoding"))
		}
		want := []string{"text/plain; charset=UTF-8", "text/html; charset=UTF-8"}[len(bodies)%2]
		if got := p.Header.Get("Content-Type"); got != want {
			t.Errorf("part %d is %q", len(bodies), got)
		}
		b, err := io.ReadAll(quotedprintable.NewReader(p))
		if err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, strings.ReplaceAll(string(b), "\r\n", "\n"))
	}
	if len(bodies) != 2 {
		t.Fatalf("%d parts", len(bodies))
	}
	return m.Header, bodies[0], bodies[1]
}

// script is a server that says exactly what a test wants, where a real one would not: after "C: " the beginning of the line that the
// client must send, after "S: " a line that it gets, "TLS" for a handshake as authority's, "STALL" to say nothing more until the test
// ends.
func script(t *testing.T, cert *tls.Certificate, steps ...string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done, ended := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(done); l.Close(); <-ended })
	go func() {
		defer close(ended)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { conn.Close() }()
		r := bufio.NewReader(conn)
		for _, step := range steps {
			switch kind, line, _ := strings.Cut(step, ": "); kind {
			case "S":
				_, _ = io.WriteString(conn, line+"\r\n")
			case "C":
				got, err := r.ReadString('\n')
				if err != nil || !strings.HasPrefix(got, line) {
					t.Errorf("the client said %q (%v), not %q", got, err, line)
					return
				}
			case "BODY":
				for got := ""; got != ".\r\n"; {
					if got, err = r.ReadString('\n'); err != nil {
						t.Error(err)
						return
					}
				}
			case "TLS":
				wrapped := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{*cert}, MinVersion: tls.VersionTLS12})
				conn, r = wrapped, bufio.NewReader(wrapped)
			case "STALL":
				<-done
			}
		}
	}()
	return l.Addr().String()
}
