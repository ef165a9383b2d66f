package mail

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/mail/smtptest"
)

// What real servers do not do, or the one of the tests cannot.

func TestStartTLSRefused(t *testing.T) {
	for _, insecure := range []bool{false, true} {
		addr := script(t, nil, "S: 220 hello", "C: EHLO", "S: 250-hello", "S: 250 STARTTLS", "C: STARTTLS", "S: 454 not now")
		s := newSender(t, Config{Addr: addr, From: "a@example.com", Insecure: insecure})
		err := s.Send(t.Context(), letterTo("alice@example.net"))
		var f *failure
		if !errors.As(err, &f) || f.code != 454 || f.stage != stageStartTLS {
			t.Error(err)
		}
	}
}

// TestStartTLSInjection: what came before the handshake counts for nothing after it (CVE-2011-0411 and its kin).
func TestStartTLSInjection(t *testing.T) {
	authority := smtptest.NewAuthority(t)
	cert := authority.Certificate(t, "127.0.0.1")
	addr := script(t, &cert, "S: 220 hello", "C: EHLO", "S: 250-hello", "S: 250 STARTTLS", "C: STARTTLS",
		"S: 220 go\r\n250-injected\r\n250 AUTH PLAIN", "TLS", "C: EHLO", "S: 250 hello")
	s := newSender(t, Config{Addr: addr, From: "a@example.com", User: "bob", Password: secret, Roots: authority.Pool()})
	if err := s.Send(t.Context(), letterTo("alice@example.net")); !errors.Is(err, errNoAuth) {
		t.Error(err)
	}
}

// TestEchoedPassword: a server that sends back what it was sent does not get it into an error.
func TestEchoedPassword(t *testing.T) { // S78
	authority := smtptest.NewAuthority(t)
	cert := authority.Certificate(t, "127.0.0.1")
	for _, form := range secretForms("bob", secret) {
		addr := script(t, &cert, "S: 220 hello", "C: EHLO", "S: 250-hello", "S: 250 STARTTLS", "C: STARTTLS", "S: 220 go", "TLS",
			"C: EHLO", "S: 250-hello", "S: 250 AUTH PLAIN", "C: AUTH PLAIN", "S: 535 what is "+form+" to me", "C: *", "S: 501 yes", "C: QUIT")
		s := newSender(t, Config{Addr: addr, From: "a@example.com", User: "bob", Password: secret, Roots: authority.Pool()})
		err := s.Try(t.Context(), "alice@example.net")
		if err == nil || !strings.Contains(err.Error(), "535 what is *** to me") {
			t.Error(err)
		}
	}
}

// TestLoginAsksTooMuch: LOGIN is two answers, and whoever wants a third gets neither again.
func TestLoginAsksTooMuch(t *testing.T) { // S78
	authority := smtptest.NewAuthority(t)
	cert := authority.Certificate(t, "127.0.0.1")
	b64 := base64.StdEncoding.EncodeToString
	addr := script(t, &cert, "S: 220 hello", "C: EHLO", "S: 250-hello", "S: 250 STARTTLS", "C: STARTTLS", "S: 220 go", "TLS",
		"C: EHLO", "S: 250-hello", "S: 250 AUTH LOGIN", "C: AUTH LOGIN", "S: 334 "+b64([]byte("Who?")), "C: "+b64([]byte("bob")), "S: 334 "+b64([]byte("Prove it")),
		"C: "+b64([]byte(secret)), "S: 334 "+b64([]byte("Once more")), "C: *", "S: 501 as you like", "C: QUIT")
	s := newSender(t, Config{Addr: addr, From: "a@example.com", User: "bob", Password: secret, Roots: authority.Pool()})
	err := s.Send(t.Context(), letterTo("alice@example.net"))
	var f *failure
	if !errors.As(err, &f) || f.stage != stageSignIn || strings.Contains(err.Error(), secret) {
		t.Error(err)
	}
}

// TestTakenIsTaken: once the server has said yes, nothing that follows makes the mail go out again.
func TestTakenIsTaken(t *testing.T) {
	taken := []string{"S: 220 hello", "C: EHLO", "S: 250 hello", "C: MAIL FROM:<a@example.com>", "S: 250 yes", "C: RCPT TO:<alice@example.net>", "S: 250 yes",
		"C: DATA", "S: 354 go", "BODY", "S: 250 mine", "C: QUIT"}
	for name, end := range map[string]string{"silence": "STALL", "an error": "S: 554 no", "hanging up": "HANGUP"} {
		t.Run(name, func(t *testing.T) {
			s := newSender(t, Config{Addr: script(t, nil, append(taken, end)...), From: "a@example.com", Insecure: true})
			begun := time.Now()
			if err := s.Send(t.Context(), letterTo("alice@example.net")); err != nil {
				t.Error(err)
			}
			if took := time.Since(begun); took > defaultTimeout/2 {
				t.Errorf("waited %s for a goodbye", took)
			}
		})
	}
}

func TestNotAMailServer(t *testing.T) {
	s := newSender(t, Config{Addr: script(t, nil, "S: HTTP/1.1 400 Bad Request"), From: "a@example.com", Insecure: true})
	var r *Refused
	if err := s.Send(t.Context(), letterTo("alice@example.net")); err == nil || errors.As(err, &r) {
		t.Error(err)
	}
}
