package caddymodule

import (
	"crypto/x509"
	"errors"
	"fmt"
	netmail "net/mail"
	"os"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/internal/mail"
)

// SMTP is the server that mail is handed to. With it, the method `email` is on, invitations are mailed, people can reset a forgotten
// password, and hear of changes to their account.
type SMTP struct {
	// The server's host and port, such as `mail.example.com:465`. On port 465 TLS is spoken from the start, on any other STARTTLS is
	// demanded. The certificate must be valid for the host. Given unless `log` is.
	Address string `json:"address,omitempty"`

	// Whom mail comes from: an address, with or without a name, such as `Example Corp <sign-in@example.com>`. Without a name it gets
	// the `name` of the app. Given unless `log` is.
	From string `json:"from,omitempty"`

	// Who signs in to the server. Default: nobody.
	User string `json:"user,omitempty"`

	// The password of `user`: a placeholder such as `{file./run/secrets/smtp}` or `{env.SMTP_PASSWORD}`. A literal is refused, because
	// Caddy's admin API shows the configuration. It is sent over TLS only. Given exactly with `user`.
	Password string `json:"password,omitempty"`

	// Hand over mail in the clear where the server offers no STARTTLS: whoever listens then reads live codes and links. Default: false.
	Insecure bool `json:"insecure,omitempty"`

	// A PEM file with the certificates of those who may sign the server's certificate, in place of those that the system trusts. It is
	// read when Caddy starts or reloads. Default: the system's.
	Trust string `json:"trust,omitempty"`

	// How long handing over one mail may take, up to 10 minutes. Default: `30s`.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// Write mail to Caddy's log in place of sending it, for trying things out. The log then holds live codes and links. There are no
	// other options beside it. Default: false.
	Log bool `json:"log,omitempty"`
}

// resetMailOnly is the only value of the option reset.
const resetMailOnly = "mail_only"

func checkReset(value string) error {
	if value != resetMailOnly {
		return fmt.Errorf("reset knows only %s, not %q", resetMailOnly, value)
	}
	return nil
}

// post is what mails are handed to, nil where none are sent.
func (s *settings) post() auth.Post {
	switch {
	case s.sender != nil:
		return s.sender
	case s.mails:
		return newLogPost()
	}
	return nil
}

// prepareMail makes what mail is handed to. It connects to nothing.
func (a *App) prepareMail(repl *caddy.Replacer, s *settings) (err error) {
	switch {
	case a.SMTP == nil:
		return nil
	case a.SMTP.Log && *a.SMTP != (SMTP{Log: true}):
		return errors.New("log takes no other options: nothing is sent")
	case a.SMTP.Log:
		s.mails = true
		return nil
	}
	c, err := a.SMTP.config(repl, s.name)
	if err != nil {
		return err
	}
	s.mails, s.mailServer = true, c.Addr
	s.sender, err = mail.New(c)
	return err
}

// config replaces the placeholders and reads the files. Its From has the given name where it has none.
func (s *SMTP) config(repl *caddy.Replacer, name string) (mail.Config, error) {
	c := mail.Config{Insecure: s.Insecure, Timeout: time.Duration(s.Timeout)}
	if err := checkPassword(s.Password); err != nil {
		return c, err
	}
	trust := ""
	for _, option := range []struct {
		name, value string
		to          *string
	}{
		{"address", s.Address, &c.Addr},
		{"from", s.From, &c.From},
		{"user", s.User, &c.User},
		{"password", s.Password, &c.Password},
		{"trust", s.Trust, &trust},
	} {
		if option.value == "" {
			continue
		}
		value, err := repl.ReplaceOrErr(option.value, true, true)
		if err != nil {
			return c, fmt.Errorf("%s: %s is missing, unreadable or empty", option.name, option.value)
		}
		*option.to = value
	}
	c.Password = strings.TrimRight(c.Password, "\r\n") // with which files end
	c.From = named(c.From, name)
	if trust != "" {
		var err error
		if c.Roots, err = readRoots(trust); err != nil {
			return c, fmt.Errorf("trust: %w", err)
		}
	}
	return c, nil
}

// named gives an address without a name one. What is no address stays as it is.
func named(from, name string) string {
	a, err := netmail.ParseAddress(from)
	if err != nil || a.Name != "" {
		return from
	}
	return (&netmail.Address{Name: name, Address: a.Address}).String()
}

func readRoots(file string) (*x509.CertPool, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(content) {
		return nil, fmt.Errorf("there is no certificate in %s; a PEM file is needed", file)
	}
	return roots, nil
}

func checkPassword(option string) error {
	if option != "" && !placeholder.MatchString(option) {
		return errors.New("the password must not stand in the configuration, which Caddy's admin API shows; write {file./path/to/secret} or {env.NAME}")
	}
	return nil
}

// check says what is wrong as far as that is known before placeholders are replaced. What is not given is taken to be right.
func (s *SMTP) check() error {
	c := mail.Config{
		Addr: s.Address, From: s.From, User: s.User, Password: s.Password, Insecure: s.Insecure, Timeout: time.Duration(s.Timeout),
	}
	if c.Addr == "" || hasPlaceholder(c.Addr) {
		c.Addr = "localhost:587"
	}
	if hasPlaceholder(c.User) {
		c.User = "any"
	}
	if c.From == "" || hasPlaceholder(c.From) {
		c.From = "sign-in@example.com"
	}
	return mail.Check(c)
}
