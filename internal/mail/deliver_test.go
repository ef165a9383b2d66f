package mail

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/mail/smtptest"
)

func TestSend(t *testing.T) {
	for _, tt := range []struct {
		name string
		opt  smtptest.Options
		set  func(*Config)
		tls  bool
		user string
	}{
		{name: "STARTTLS", tls: true},
		{name: "TLS from the start", opt: smtptest.Options{ImplicitTLS: true, Names: []string{"mail.example.com"}},
			set: func(c *Config) { c.Addr = "mail.example.com:465" }, tls: true},
		{name: "in the clear", opt: smtptest.Options{NoTLS: true}, set: func(c *Config) { c.Insecure = true }},
		{name: "STARTTLS though it need not be", set: func(c *Config) { c.Insecure = true }, tls: true},
		{name: "PLAIN", opt: smtptest.Options{User: "bob", Password: secret, Mechanisms: []string{"PLAIN"}},
			set: func(c *Config) { c.User, c.Password = "bob", secret }, tls: true, user: "bob"},
		{name: "LOGIN", opt: smtptest.Options{User: "bob", Password: secret, Mechanisms: []string{"LOGIN"}},
			set: func(c *Config) { c.User, c.Password = "bob", secret }, tls: true, user: "bob"},
		{name: "LOGIN after TLS from the start", opt: smtptest.Options{ImplicitTLS: true, Names: []string{"mail.example.com"}, User: "bob", Password: secret, Mechanisms: []string{"LOGIN"}},
			set: func(c *Config) { c.Addr, c.User, c.Password = "mail.example.com:465", "bob", secret }, tls: true, user: "bob"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := smtptest.Start(t, tt.opt)
			c := configFor(srv)
			if tt.set != nil {
				tt.set(&c)
			}
			m := letterTo("alice@example.net")
			if err := via(newSender(t, c), srv.Addr).Send(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			got := srv.Mails()
			if len(got) != 1 {
				t.Fatalf("%d mails", len(got))
			}
			if g := got[0]; g.From != "sign-in@example.com" || g.To != "alice@example.net" || g.TLS != tt.tls || g.User != tt.user || g.UTF8 {
				t.Errorf("from %q to %q, TLS %v, user %q, UTF8 %v", g.From, g.To, g.TLS, g.User, g.UTF8)
			}
			if _, text, html := parts(t, got[0].Data); text != m.Text || html != m.HTML {
				t.Errorf("text\n%s\nHTML\n%s", text, html)
			}
		})
	}
}

// secretForms are the ways in which a password can stand in what is sent or said.
func secretForms(user, password string) []string {
	b64 := base64.StdEncoding.EncodeToString
	return []string{password, b64([]byte(password)), b64([]byte("\x00" + user + "\x00" + password))}
}

func TestPasswordNeverInTheClear(t *testing.T) { // S78
	for _, tt := range []struct {
		name string
		opt  smtptest.Options
		set  func(*Config)
	}{
		{"no STARTTLS", smtptest.Options{NoTLS: true}, func(*Config) {}},
		{"no STARTTLS, insecure", smtptest.Options{NoTLS: true}, func(c *Config) { c.Insecure = true }},
		// The library makes an exception for this name.
		{"no STARTTLS, insecure, localhost", smtptest.Options{NoTLS: true}, func(c *Config) { c.Addr, c.Insecure = "localhost:25", true }},
		{"another name in the certificate", smtptest.Options{Names: []string{"mail.example.net"}}, func(*Config) {}},
		{"another name in the certificate, insecure", smtptest.Options{Names: []string{"mail.example.net"}}, func(c *Config) { c.Insecure = true }},
		{"a stranger's certificate", smtptest.Options{}, func(c *Config) { c.Roots = smtptest.Start(t, smtptest.Options{}).Roots }},
		{"an old certificate", smtptest.Options{Expired: true}, func(*Config) {}},
		{"an old TLS", smtptest.Options{MaxTLS: 0x0302}, func(*Config) {}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.opt.User, tt.opt.Password, tt.opt.ClearSignIn = "bob", secret, true
			srv := smtptest.Start(t, tt.opt)
			c := configFor(srv)
			c.User, c.Password = "bob", secret
			tt.set(&c)
			err := via(newSender(t, c), srv.Addr).Send(t.Context(), letterTo("alice@example.net"))
			if err == nil || len(srv.Mails()) != 0 {
				t.Fatalf("%v, %d mails", err, len(srv.Mails()))
			}
			if _, final := errors.AsType[*Refused](err); final {
				t.Errorf("final: %v", err)
			}
			srv.Stop()
			if len(srv.Wire()) == 0 {
				t.Error("the server was not asked")
			}
			for _, form := range secretForms("bob", secret) {
				if bytes.Contains(srv.Wire(), []byte(form)) || strings.Contains(err.Error(), form) {
					t.Errorf("the password was told: %v\n%s", err, srv.Wire())
				}
			}
		})
	}
}

func TestNoMailInTheClear(t *testing.T) {
	srv := smtptest.Start(t, smtptest.Options{NoTLS: true})
	err := newSender(t, configFor(srv)).Send(t.Context(), letterTo("alice@example.net"))
	if !errors.Is(err, errNoStartTLS) || len(srv.Mails()) != 0 {
		t.Fatalf("%v, %d mails", err, len(srv.Mails()))
	}
}

func TestRefused(t *testing.T) {
	for _, tt := range []struct {
		step  smtptest.Step
		code  int
		final bool
	}{
		{smtptest.Greeting, 421, false},
		{smtptest.Greeting, 554, false},
		{smtptest.Hello, 421, false},
		{smtptest.Hello, 550, false},
		{smtptest.SignIn, 454, false},
		{smtptest.SignIn, 535, false},
		{smtptest.Sender, 451, false},
		{smtptest.Sender, 550, false},
		{smtptest.Recipient, 450, false},
		{smtptest.Recipient, 503, false},
		{smtptest.Recipient, 530, false},
		{smtptest.Recipient, 550, true},
		{smtptest.Recipient, 554, true},
		{smtptest.Data, 451, false},
		{smtptest.Data, 552, true},
		{smtptest.Data, 554, true},
	} {
		t.Run(fmt.Sprintf("%d at %s", tt.code, tt.step), func(t *testing.T) {
			srv := smtptest.Start(t, smtptest.Options{User: "bob", Password: secret, Answer: func(step smtptest.Step, _ string) error {
				if step == tt.step {
					return smtptest.Reply(tt.code, "no, not\x1b[31m today")
				}
				return nil
			}})
			c := configFor(srv)
			c.User, c.Password = "bob", secret
			err := newSender(t, c).Send(t.Context(), letterTo("alice@example.net"))
			var r *Refused
			if errors.As(err, &r) != tt.final || err == nil {
				t.Fatalf("final %v: %v", !tt.final, err)
			}
			if want := fmt.Sprintf("%d no, not[31m today", tt.code); !strings.HasSuffix(err.Error(), want) {
				t.Errorf("%q does not end in %q", err, want)
			}
			if tt.final && r.Code != tt.code {
				t.Errorf("code %d", r.Code)
			}
			if len(srv.Mails()) != 0 {
				t.Error("a mail was taken")
			}
		})
	}
}

var steps = []smtptest.Step{smtptest.Greeting, smtptest.Hello, smtptest.SignIn, smtptest.Sender, smtptest.Recipient, smtptest.Data}

// atStep is a server that makes trouble at one step, and tells when it got there.
func atStep(t *testing.T, at smtptest.Step, trouble error) (*smtptest.Server, Config, <-chan struct{}) {
	t.Helper()
	reached := make(chan struct{}, 10)
	srv := smtptest.Start(t, smtptest.Options{User: "bob", Password: secret, Answer: func(step smtptest.Step, _ string) error {
		if step == at {
			reached <- struct{}{}
			return trouble
		}
		return nil
	}})
	c := configFor(srv)
	c.User, c.Password = "bob", secret
	return srv, c, reached
}

func TestCancelEndsWaiting(t *testing.T) {
	for _, step := range steps {
		t.Run(string(step), func(t *testing.T) {
			srv, c, reached := atStep(t, step, smtptest.ErrStall)
			ctx, cancel := context.WithCancel(t.Context())
			go func() { <-reached; cancel() }()
			if err := newSender(t, c).Send(ctx, letterTo("alice@example.net")); !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			if len(srv.Mails()) != 0 {
				t.Error("a mail was taken")
			}
		})
	}
}

func TestTimeoutEndsWaiting(t *testing.T) {
	for _, step := range steps {
		t.Run(string(step), func(t *testing.T) {
			_, c, reached := atStep(t, step, smtptest.ErrStall)
			c.Timeout = 300 * time.Millisecond
			err := newSender(t, c).Send(t.Context(), letterTo("alice@example.net"))
			var f *failure
			if !errors.As(err, &f) || !f.timeout() {
				t.Fatal(err)
			}
			<-reached
		})
	}
	t.Run("handshake", func(t *testing.T) {
		s := newSender(t, Config{Addr: "mail.example.com:465", From: "a@example.com", Timeout: 100 * time.Millisecond})
		err := via(s, script(t, nil, "STALL")).Send(t.Context(), letterTo("alice@example.net"))
		var f *failure
		if !errors.As(err, &f) || !f.timeout() || f.stage != stageTLS {
			t.Fatal(err)
		}
	})
}

func TestDropMayBeTriedAgain(t *testing.T) {
	for _, step := range steps {
		t.Run(string(step), func(t *testing.T) {
			srv, c, _ := atStep(t, step, smtptest.ErrDrop)
			err := newSender(t, c).Send(t.Context(), letterTo("alice@example.net"))
			var r *Refused
			if err == nil || errors.As(err, &r) || len(srv.Mails()) != 0 {
				t.Fatalf("%v, %d mails", err, len(srv.Mails()))
			}
		})
	}
}

// TestServerBack: one Sender, a server that goes and comes back, the same mail: the same Message-ID.
func TestServerBack(t *testing.T) {
	authority := smtptest.NewAuthority(t)
	first := smtptest.Start(t, smtptest.Options{Authority: authority})
	s, m := newSender(t, configFor(first)), letterTo("alice@example.net")
	if err := s.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	first.Stop()
	if err := s.Send(t.Context(), m); err == nil {
		t.Fatal("sent to nobody")
	}
	second := smtptest.Start(t, smtptest.Options{Authority: authority, Addr: first.Addr})
	if err := s.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, srv := range []*smtptest.Server{first, second} {
		got, err := srv.Wait(t.Context(), 1)
		if err != nil || len(got) != 1 {
			t.Fatalf("%v, %d mails", err, len(got))
		}
		h, _, _ := parts(t, got[0].Data)
		ids = append(ids, h.Get("Message-ID"))
	}
	if want := "<01JNABCDEF@example.com>"; !slices.Equal(ids, []string{want, want}) {
		t.Error(ids)
	}
}

func TestAddressesBeyondASCII(t *testing.T) {
	plain, modern := smtptest.Start(t, smtptest.Options{}), smtptest.Start(t, smtptest.Options{UTF8: true})
	for _, tt := range []struct {
		name, to, want string
		srv            *smtptest.Server
		utf8, refused  bool
	}{
		{"host", "alice@bücher.example", "alice@xn--bcher-kva.example", plain, false, false},
		{"user, and the server knows", "älice@example.net", "älice@example.net", modern, true, false},
		{"user, and the server does not", "älice@example.net", "", plain, false, true},
		{"none, and the server knows", "alice@example.net", "alice@example.net", modern, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := len(tt.srv.Mails())
			err := newSender(t, configFor(tt.srv)).Send(t.Context(), letterTo(tt.to))
			var r *Refused
			if errors.As(err, &r) != tt.refused || !tt.refused && err != nil {
				t.Fatal(err)
			}
			if tt.refused {
				return
			}
			got := tt.srv.Mails()[before]
			h, _, _ := parts(t, got.Data)
			to, err := h.AddressList("To")
			if err != nil || got.To != tt.want || got.UTF8 != tt.utf8 || len(to) != 1 || to[0].Address != tt.want {
				t.Errorf("to %q (%v, %v), UTF8 %v", got.To, to, err, got.UTF8)
			}
		})
	}
}
