// Package smtptest runs a real SMTP server for tests: with TLS, signing in, and every kind of trouble that servers make. Only tests
// import it.
package smtptest

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/emersion/go-smtp"
)

// Step is a point of the conversation at which a server can make trouble.
type Step string

// The steps, and what the function Answer is told at each.
const (
	Greeting  Step = "greeting"  // ""
	Hello     Step = "hello"     // the client's name; comes twice with STARTTLS
	SignIn    Step = "sign-in"   // the user, whose password was right
	Sender    Step = "sender"    // the address
	Recipient Step = "recipient" // the address
	Data      Step = "data"      // the message, all of it received and not yet answered
)

// What Answer may return besides nil and a Reply.
var (
	// ErrDrop closes the connection without a word.
	ErrDrop = errors.New("drop")
	// ErrStall says nothing until the server stops.
	ErrStall = errors.New("stall")
)

// Reply is a server's answer, 400 to 599.
func Reply(code int, text string) error {
	return &smtp.SMTPError{Code: code, EnhancedCode: smtp.NoEnhancedCode, Message: text}
}

// Options are what a server is like. The zero value takes all mail, after STARTTLS or without.
type Options struct {
	Addr        string                            // to listen on; "" for a free port of 127.0.0.1
	ImplicitTLS bool                              // TLS from the start
	NoTLS       bool                              // no STARTTLS
	Names       []string                          // in the certificate; none for localhost and 127.0.0.1
	Authority   *Authority                        // that signs it; nil for a new one
	Expired     bool                              // the certificate is
	MaxTLS      uint16                            // the newest version of TLS spoken; 0 for the newest there is
	User        string                            // that must sign in with Password; "" for nobody
	Password    string                            //
	Mechanisms  []string                          // to sign in by; nil for PLAIN and LOGIN
	ClearSignIn bool                              // offer signing in without TLS, too
	UTF8        bool                              // SMTPUTF8
	Answer      func(step Step, arg string) error // nil takes everything; may be called from several goroutines
}

// Mail is a mail that the server took.
type Mail struct {
	From, To string
	Data     []byte // header and body, lines ending in CRLF
	TLS      bool
	User     string // that signed in
	UTF8     bool   // asked for
}

// Server is a server that runs.
type Server struct {
	Addr  string
	Roots *x509.CertPool // trust its certificate
	CA    []byte         // the same as PEM

	opt  Options
	srv  *smtp.Server
	port net.Listener
	done chan struct{}
	stop sync.Once
	wait sync.WaitGroup

	mu      sync.Mutex
	arrived chan struct{} // closed and made anew at each mail
	mails   []Mail
	wire    bytes.Buffer
	conns   []net.Conn // that were opened
}

// Start runs a server until the test ends, or Stop.
func Start(t testing.TB, opt Options) *Server {
	t.Helper()
	s := &Server{opt: opt, done: make(chan struct{}), arrived: make(chan struct{})}
	if s.opt.Authority == nil {
		s.opt.Authority = NewAuthority(t)
	}
	s.Roots, s.CA = s.opt.Authority.Pool(), s.opt.Authority.pem
	config := &tls.Config{ //nolint:gosec // it is the client that must refuse old versions
		Certificates: []tls.Certificate{s.opt.Authority.leaf(t, opt.Names, opt.Expired)},
		MinVersion:   tls.VersionTLS10,
		MaxVersion:   opt.MaxTLS,
	}

	s.srv = smtp.NewServer(smtp.BackendFunc(s.session))
	s.srv.Domain = "mail.example.com"
	s.srv.ErrorLog = log.New(io.Discard, "", 0)
	s.srv.AllowInsecureAuth = opt.ClearSignIn
	s.srv.EnableSMTPUTF8 = opt.UTF8
	if !opt.NoTLS {
		s.srv.TLSConfig = config
	}
	addr := opt.Addr
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatalf("listening for mail: %v", err)
	}
	s.Addr, s.port = l.Addr().String(), l
	l = &listener{Listener: l, s: s}
	if opt.ImplicitTLS {
		l = tls.NewListener(l, config)
	}
	s.wait.Go(func() { _ = s.srv.Serve(l) })
	t.Cleanup(s.Stop)
	return s
}

// Stop closes every connection and the port. Mails are kept. A server that is stopped stays so: start another at the same Addr.
func (s *Server) Stop() {
	s.stop.Do(func() {
		close(s.done)
		s.port.Close()
		s.wait.Wait()
		// The library's Close reads of each connection what its own STARTTLS may be writing.
		s.mu.Lock()
		for _, conn := range s.conns {
			conn.Close()
		}
		s.mu.Unlock()
		_ = s.srv.Shutdown(context.Background()) // the port is closed already
	})
}

// Mails are those that the server took so far.
func (s *Server) Mails() []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.mails)
}

// Wait returns the mails once there are n, or the context's error.
func (s *Server) Wait(ctx context.Context, n int) ([]Mail, error) {
	for {
		s.mu.Lock()
		mails, arrived := slices.Clone(s.mails), s.arrived
		s.mu.Unlock()
		if len(mails) >= n {
			return mails, nil
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			return mails, ctx.Err()
		}
	}
}

// Wire is all that came in, as it came in: in the clear, or encrypted.
func (s *Server) Wire() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.wire.Bytes())
}

// Connections is how many were opened.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// answer asks Answer, and makes its trouble on conn.
func (s *Server) answer(conn net.Conn, step Step, arg string) error {
	if s.opt.Answer == nil {
		return nil
	}
	switch err := s.opt.Answer(step, arg); {
	case errors.Is(err, ErrDrop):
		conn.Close()
		return err
	case errors.Is(err, ErrStall):
		<-s.done
		conn.Close() // or the library would answer after all
		return err
	default:
		return err
	}
}

func (s *Server) keep(m Mail) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mails = append(s.mails, m)
	close(s.arrived)
	s.arrived = make(chan struct{})
}

// listener makes trouble before the greeting, and remembers what comes in.
type listener struct {
	net.Listener
	s *Server
}

func (l *listener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.s.mu.Lock()
	l.s.conns = append(l.s.conns, conn)
	l.s.mu.Unlock()
	return &recorded{Conn: conn, s: l.s}, nil
}

type recorded struct {
	net.Conn
	s    *Server
	once sync.Once
}

// Write asks for trouble before the first byte, which is the greeting (or, with TLS from the start, the handshake).
func (c *recorded) Write(b []byte) (int, error) {
	var err error
	c.once.Do(func() {
		err = c.s.answer(c.Conn, Greeting, "")
		if reply, ok := errors.AsType[*smtp.SMTPError](err); ok {
			b = []byte(strconv.Itoa(reply.Code) + " " + reply.Message + "\r\n")
			_, _ = c.Conn.Write(b)
			c.Conn.Close()
		}
	})
	if err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

func (c *recorded) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.s.mu.Lock()
	c.s.wire.Write(b[:n])
	c.s.mu.Unlock()
	return n, err
}
