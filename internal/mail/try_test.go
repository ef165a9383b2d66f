package mail

import (
	"errors"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/mail/smtptest"
)

func TestTrySends(t *testing.T) {
	srv := smtptest.Start(t, smtptest.Options{})
	s := newSender(t, configFor(srv))
	for range 2 {
		if err := s.Try(t.Context(), "alice@example.net"); err != nil {
			t.Fatal(err)
		}
	}
	ids := map[string]bool{}
	for _, m := range srv.Mails() {
		h, text, html := parts(t, m.Data)
		ids[h.Get("Message-ID")] = true
		if !strings.Contains(text, srv.Addr) || !strings.Contains(html, srv.Addr) || h.Get("Subject") != "Test mail from Example Corp" {
			t.Errorf("%v\n%s", h, text)
		}
	}
	if len(ids) != 2 {
		t.Error(ids)
	}
	if err := s.Try(t.Context(), "alice"); err == nil || !strings.Contains(err.Error(), "exactly one mail address") {
		t.Error(err)
	}
}

// TestTrySaysWhatToDo: every trouble has a line that names what happened and what to do.
func TestTrySaysWhatToDo(t *testing.T) {
	answer := func(at smtptest.Step, trouble error) smtptest.Options {
		return smtptest.Options{User: "bob", Password: secret, Answer: func(step smtptest.Step, _ string) error {
			if step == at {
				return trouble
			}
			return nil
		}}
	}
	tls := smtptest.Options{ImplicitTLS: true, Names: []string{"mail.example.com"}}
	on465 := func(c *Config) { c.Addr = "mail.example.com:465" }
	quick := func(c *Config) { c.Timeout = 200 * time.Millisecond }
	for _, tt := range []struct {
		name string
		opt  smtptest.Options
		set  func(*Config)
		want []string // parts of the error
	}{
		{"another name", smtptest.Options{Names: []string{"smtp.example.net", "mx.example.net"}}, nil,
			[]string{"starting TLS", "certificate is for smtp.example.net, mx.example.net, not for 127.0.0.1"}},
		{"an unknown authority", smtptest.Options{}, func(c *Config) { c.Roots = smtptest.Start(t, smtptest.Options{}).Roots },
			[]string{"starting TLS", "signed by nobody whom this machine trusts"}},
		{"an old certificate", smtptest.Options{Expired: true}, nil, []string{"starting TLS", "has expired or is not valid yet"}},
		{"an old TLS", smtptest.Options{MaxTLS: 0x0302}, nil, []string{"starting TLS", "TLS 1.2 or newer"}},
		{"no STARTTLS", smtptest.Options{NoTLS: true}, nil, []string{"offers no STARTTLS", "Use port 465"}},
		{"no STARTTLS and a password", answer("", nil), func(c *Config) { c.Insecure, c.Addr = true, smtptest.Start(t, smtptest.Options{NoTLS: true}).Addr },
			[]string{"signing in", "not sent in the clear", "never a password"}},
		{"TLS where there is none", smtptest.Options{NoTLS: true}, on465, []string{"starting TLS", "speaks no TLS on this port"}},
		{"none where there is TLS", tls, quick, []string{"waiting for the greeting", "use 465"}},
		{"nobody may sign in", smtptest.Options{}, func(c *Config) { c.User, c.Password = "bob", secret }, []string{"lets nobody sign in", "try 465 or 587"}},
		{"other ways to sign in", smtptest.Options{User: "bob", Mechanisms: []string{"XOAUTH2"}}, func(c *Config) { c.User, c.Password = "bob", secret },
			[]string{"other than PLAIN or LOGIN", "password for apps"}},
		{"a wrong password", answer("", nil), func(c *Config) { c.Password = "wrong" }, []string{"signing in: the server answered 535 5.7.8 Authentication failed", "User or password is wrong"}},
		{"a password for apps", answer(smtptest.SignIn, smtptest.Reply(534, "5.7.9 Application-specific password required")), nil,
			[]string{"534 5.7.9", "password made for this app"}},
		{"passwords cannot be checked", answer(smtptest.SignIn, smtptest.Reply(454, "4.7.0 Later")), nil, []string{"454 4.7.0 Later", "at the moment"}},
		{"no password", smtptest.Options{User: "bob", Password: secret}, func(c *Config) { c.User, c.Password = "", "" },
			[]string{"530 5.7.0 Authentication required", "wants user and password"}},
		{"the sender", answer(smtptest.Sender, smtptest.Reply(553, "5.7.1 Sender address rejected")), nil, []string{"naming the sender", "check `from`"}},
		{"the relay", answer(smtptest.Recipient, smtptest.Reply(554, "5.7.1 <alice@example.net>: Relay access denied")), nil,
			[]string{"554 5.7.1 <alice@example.net>: Relay access denied", "does not pass mail on"}},
		{"the recipient", answer(smtptest.Recipient, smtptest.Reply(550, "5.1.1 No such user")), nil, []string{"550 5.1.1 No such user", "no such recipient"}},
		{"greylisting", answer(smtptest.Recipient, smtptest.Reply(451, "4.7.1 Greylisted")), nil, []string{"451 4.7.1 Greylisted", "greylisting"}},
		{"a filter", answer(smtptest.Data, smtptest.Reply(554, "5.7.1 Spam")), nil, []string{"handing over the message", "a filter"}},
		{"no service", answer(smtptest.Greeting, smtptest.Reply(554, "5.7.1 Your address is listed")), nil, []string{"waiting for the greeting", "takes no mail from this machine"}},
		{"too busy", answer(smtptest.Greeting, smtptest.Reply(421, "4.3.2 Busy")), nil, []string{"421 4.3.2 Busy", "try again later"}},
		{"hanging up", answer(smtptest.Data, smtptest.ErrDrop), nil, []string{"handing over the message", "hung up"}},
		{"silence", answer(smtptest.Recipient, smtptest.ErrStall), quick, []string{"naming the recipient", "fell silent for 200ms"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := smtptest.Start(t, tt.opt)
			c := configFor(srv)
			addr := srv.Addr
			if tt.opt.Answer != nil {
				c.User, c.Password = "bob", secret
			}
			if tt.set != nil {
				tt.set(&c)
			}
			if strings.HasPrefix(c.Addr, "127.0.0.1:") {
				addr = c.Addr
			}
			checkAdvice(t, via(newSender(t, c), addr).Try(t.Context(), "alice@example.net"), c.Addr, tt.want...)
		})
	}

	t.Run("nobody listens", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr := l.Addr().String()
		l.Close()
		err = newSender(t, Config{Addr: addr, From: "a@example.com"}).Try(t.Context(), "alice@example.net")
		checkAdvice(t, err, addr, "connecting", "Nothing listens on that port")
	})
	t.Run("no such host", func(t *testing.T) {
		err := newSender(t, Config{Addr: "mail.invalid:465", From: "a@example.com"}).Try(t.Context(), "alice@example.net")
		checkAdvice(t, err, "mail.invalid:465", "connecting") // what follows depends on whether this machine has a DNS server
		if !regexp.MustCompile(`There is no host of that name|could not be looked up`).MatchString(err.Error()) {
			t.Error(err)
		}
	})
	t.Run("an address that the server cannot take", func(t *testing.T) {
		srv := smtptest.Start(t, smtptest.Options{})
		checkAdvice(t, newSender(t, configFor(srv)).Try(t.Context(), "älice@example.net"), srv.Addr, "beyond ASCII", "Try an address in ASCII")
	})
	t.Run("another protocol", func(t *testing.T) {
		addr := script(t, nil, "S: HTTP/1.1 400 Bad Request")
		err := newSender(t, Config{Addr: addr, From: "a@example.com"}).Try(t.Context(), "alice@example.net")
		checkAdvice(t, err, addr, "waiting for the greeting", "not a mail server's answer")
	})
}

func checkAdvice(t *testing.T, err error, addr string, want ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("sent")
	}
	for _, part := range append(want, addr) {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in: %v", part, err)
		}
	}
	if strings.ContainsAny(err.Error(), "\r\n") || !strings.HasSuffix(err.Error(), ".") || strings.Contains(err.Error(), secret) {
		t.Errorf("%q", err)
	}
	if _, ok := errors.AsType[*failure](err); !ok {
		t.Errorf("%T is no failure", err)
	}
}
