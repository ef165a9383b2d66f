package mail

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
)

// Try sends a test mail to the address to. Its error is one line for an admin: what happened or what the server answered, then what
// to do about it.
func (s *Sender) Try(ctx context.Context, to string) error {
	m := testMail{Product: s.from.Name, Server: s.addr}.Message()
	m.To, m.ID, m.Date = to, "test-"+rand.Text(), s.now()
	e, err := s.seal(m)
	if err != nil {
		return fmt.Errorf("%q: %w", to, err)
	}
	if f := s.deliver(ctx, e); f != nil {
		return &advice{f, s.advise(f)}
	}
	return nil
}

// advice is a failure, and what to do about it.
type advice struct {
	*failure
	todo string
}

func (a *advice) Error() string { return a.failure.Error() + ". " + a.todo }

func (a *advice) Unwrap() error { return a.failure }

// advise is a sentence about what to do.
func (s *Sender) advise(f *failure) string {
	switch {
	case errors.Is(f.err, context.Canceled):
		return "The test was broken off."
	case f.code != 0:
		return f.adviseReply()
	case f.timeout():
		return s.adviseTimeout(f)
	case errors.Is(f.err, errNoStartTLS), errors.Is(f.err, errClear):
		return "Use port 465 if the server has it, or have STARTTLS switched on there. `insecure` sends mail in the clear, though never a password."
	case errors.Is(f.err, errNoAuth):
		return "Another port may be meant for people who sign in: try 465 or 587. If the server takes mail without a password, remove user and password."
	case errors.Is(f.err, errNoMechanism):
		return "Ask for a password for apps: this is how it is called where people sign in by other ways."
	case errors.Is(f.err, errNoUTF8):
		return "Try an address in ASCII."
	}
	if todo := s.adviseTLS(f); todo != "" {
		return todo
	}
	var unknown *net.DNSError
	switch {
	case errors.As(f.err, &unknown) && unknown.IsNotFound:
		return "There is no host of that name: check the spelling."
	case errors.As(f.err, &unknown):
		return "The host's name could not be looked up: check this machine's DNS."
	case errors.Is(f.err, syscall.ECONNREFUSED):
		return "Nothing listens on that port, or a firewall turns connections away: check host and port (465 and 587 are usual)."
	case f.stage == stageConnect:
		return "The server cannot be reached from here: check host, port, network and firewall."
	case errors.Is(f.err, io.EOF), errors.Is(f.err, io.ErrUnexpectedEOF), errors.Is(f.err, syscall.ECONNRESET), errors.Is(f.err, syscall.EPIPE):
		return "The server hung up. Its log may say why; a port that speaks TLS from the start (465) does so, too, when it is asked in the clear."
	}
	return "This was not a mail server's answer: check host and port."
}

func (s *Sender) adviseTimeout(f *failure) string {
	switch {
	case f.stage == stageConnect:
		return fmt.Sprintf("No answer within %s. A firewall may be in the way; many hosters close port 25, so use 465 or 587.", s.timeout)
	case f.stage == stageGreeting && !s.implicit:
		return fmt.Sprintf("The server took the connection and said nothing for %s. A port that speaks TLS from the start does so: if it is one, use 465.", s.timeout)
	}
	return fmt.Sprintf("The server fell silent for %s. Try again; if it stays so, its log may say why.", s.timeout)
}

// adviseTLS is "" where TLS is not what failed.
func (s *Sender) adviseTLS(f *failure) string {
	var (
		name    x509.HostnameError
		signer  x509.UnknownAuthorityError
		invalid x509.CertificateInvalidError
		noTLS   tls.RecordHeaderError
		alert   *net.OpError // crypto/tls has no type of its own for what the other side complains about
	)
	switch {
	case errors.As(f.err, &name):
		names := strings.Join(name.Certificate.DNSNames, ", ")
		if names == "" {
			names = "no name at all"
		}
		return fmt.Sprintf("The server's certificate is for %s, not for %s: write the name that it is for.", clean(names, 200), s.host)
	case errors.As(f.err, &signer):
		return "The server's certificate is signed by nobody whom this machine trusts: have it signed by a public authority, or name your own with the option `trust`."
	case errors.As(f.err, &invalid) && invalid.Reason == x509.Expired:
		return "The server's certificate has expired or is not valid yet: renew it, and check this machine's clock."
	case errors.As(f.err, &invalid):
		return "The server's certificate is not valid for a server: have it made anew."
	case errors.As(f.err, &noTLS):
		return "The server speaks no TLS on this port: use 587, where STARTTLS follows."
	case errors.As(f.err, &alert) && alert.Op == "remote error", f.err != nil && strings.Contains(f.err.Error(), "tls: server selected unsupported protocol version"):
		return "The server and this one found no way to encrypt that both accept: the server needs TLS 1.2 or newer."
	}
	return ""
}

// adviseReply is about what a server answered. Its codes mean little by themselves, so some words are looked for, too.
func (f *failure) adviseReply() string {
	says := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(strings.ToLower(f.reply), w) {
				return true
			}
		}
		return false
	}
	passing := f.code < 500
	switch f.stage {
	case stageSignIn:
		switch {
		case passing:
			return "The server cannot check passwords at the moment: try again later."
		case f.code == 534 || says("application", "app password", "5.7.9"):
			return "The server wants a password made for this app: make one in the account's settings."
		}
		return "User or password is wrong, or the account may not send by SMTP: many services want a password made for apps."
	case stageSender:
		if f.code == 530 || f.code == 503 || says("authenti") {
			return "The server wants user and password."
		}
		if !passing {
			return "The server does not let you send from this address: check `from`, and whether the user may use it."
		}
	case stageRecipient:
		switch {
		case f.code == 530 || f.code == 503 || says("authenti"):
			return "The server wants user and password."
		case !passing && says("relay", "5.7.1"):
			return "The server does not pass mail on for you: give it user and password, or allow this machine there."
		case !passing:
			return "The server knows no such recipient, or wants no mail for it: check the address, or try another."
		}
		return "The server wants to be asked again: some do so with senders that they do not know (greylisting). Mail in the queue is tried again by itself."
	case stageData:
		if !passing {
			return "The server took sender and recipient, but not the message: a filter may have stopped it. Its log may say why."
		}
	case stageGreeting, stageHello:
		if !passing {
			return "The server takes no mail from this machine: its address may be on a list of senders of spam. Use the server of your mail service, with user and password."
		}
	case stageConnect, stageTLS, stageStartTLS:
	}
	if passing {
		return "The server has trouble at the moment: try again later."
	}
	return "Its log may say why."
}
