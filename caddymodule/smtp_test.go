package caddymodule

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-mfa/caddy-mfa/internal/mail/smtptest"
)

const smtpPassword = "a password that nobody may see"

func TestWrongSMTP(t *testing.T) {
	t.Setenv("MFA_TEST_EMPTY", "")
	t.Setenv("MFA_TEST_PASSWORD", smtpPassword)
	t.Setenv("MFA_TEST_LINES", smtpPassword+"\nmore")
	t.Setenv("MFA_TEST_ADDRESS", "mail.example.com")
	dir := t.TempDir()
	noPEM := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(noPEM, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	good := SMTP{Address: "mail.example.com:465", From: "sign-in@example.com"}
	for _, c := range []struct {
		name string
		with func(*SMTP)
		want string
	}{
		{"no address", func(s *SMTP) { s.Address = "" }, "there is no server"},
		{"address", func(s *SMTP) { s.Address = "mail.example.com" }, "is not a server's address"},
		{"address in a placeholder", func(s *SMTP) { s.Address = "{env.MFA_TEST_ADDRESS}" }, "is not a server's address"},
		{"no sender", func(s *SMTP) { s.From = "" }, "is not one mail address"},
		{"two senders", func(s *SMTP) { s.From = "a@example.com, b@example.com" }, "is not one mail address"},
		{"sender with a line break", func(s *SMTP) { s.From = "a@example.com\nBcc: b@example.com" }, "is not one mail address"}, // S31
		{"literal password", func(s *SMTP) { s.User, s.Password = "alice", smtpPassword }, "the password must not stand in the configuration"},
		{"empty password", func(s *SMTP) { s.User, s.Password = "alice", "{env.MFA_TEST_EMPTY}" }, "password: {env.MFA_TEST_EMPTY} is missing, unreadable or empty"},
		{"no such file", func(s *SMTP) { s.User, s.Password = "alice", "{file./nonexistent}" }, "password: {file./nonexistent} is missing"},
		{"password of two lines", func(s *SMTP) { s.User, s.Password = "alice", "{env.MFA_TEST_LINES}" }, "the password holds a line break"},
		{"password without a user", func(s *SMTP) { s.Password = "{env.MFA_TEST_PASSWORD}" }, "a password without a user"},
		{"user without a password", func(s *SMTP) { s.User = "alice" }, "no password for the user"},
		{"insecure over TLS", func(s *SMTP) { s.Insecure = true }, "insecure has no meaning on port 465"},
		{"timeout", func(s *SMTP) { s.Timeout = -1 }, "out of range"},
		{"no such authority", func(s *SMTP) { s.Trust = filepath.Join(dir, "missing") }, "trust: open"},
		{"authority without a certificate", func(s *SMTP) { s.Trust = noPEM }, "trust: there is no certificate in"},
		{"log and a server", func(s *SMTP) { s.Log = true }, "log takes no other options"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := good
			c.with(&s)
			err := (&App{SMTP: &s}).prepare(caddy.NewReplacer())
			if err == nil || !strings.HasPrefix(err.Error(), "option smtp: ") || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %s", err, c.want)
			}
			if strings.Contains(err.Error(), smtpPassword) { // S78
				t.Error("the error tells the password")
			}
		})
	}
}

// The password's file ends with a line break, as files do; the name of the product stands in front of an address without one.
func TestSMTPPlaceholders(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(" pass word \r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("MFA_TEST_ADDRESS", "mail.example.com:587")
	s := &SMTP{Address: "{env.MFA_TEST_ADDRESS}", From: "sign-in@example.com", User: "alice", Password: "{file." + file + "}"}
	c, err := s.config(caddy.NewReplacer(), "Example, Corp")
	if err != nil || c.Addr != "mail.example.com:587" || c.From != `"Example, Corp" <sign-in@example.com>` || c.Password != " pass word " || c.Roots != nil {
		t.Errorf("%+v, %v", c, err)
	}
	s.From = "Sign-in <sign-in@example.com>"
	if c, err := s.config(caddy.NewReplacer(), "Example, Corp"); err != nil || c.From != s.From {
		t.Errorf("%+v, %v", c, err)
	}
	app := &App{SMTP: &SMTP{Log: true}}
	if err := app.prepare(caddy.NewReplacer()); err != nil || !app.settings.mails || app.settings.sender != nil {
		t.Errorf("log: %+v, %v", app.settings, err)
	}
}

func TestNoPasswordInTheConfig(t *testing.T) { // S78
	t.Setenv("MFA_TEST_PASSWORD", smtpPassword)
	s := newSite(t)
	options := []string{"smtp mail.example.com:465 {\n from sign-in@example.com\n user alice\n password {env.MFA_TEST_PASSWORD}\n}"}
	if strings.Contains(string(s.config(plainGate, options...)), smtpPassword) {
		t.Error("the config holds it")
	}
	s.serve(plainGate, options...)
	b, err := json.Marshal(running(t))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(b), smtpPassword) || strings.Contains(s.logged(), smtpPassword) {
		t.Errorf("%s", b)
	}
}

// Links in mails lead to addresses of the configuration, whatever a request says.
func TestAddressesInMail(t *testing.T) { // S29
	const sites = "http://a.localhost:{port} {\n\tmfa\n}\nhttp://open.localhost:{port} {\n\trespond open\n}\n"
	for _, c := range []struct {
		name, sites string
		options     []string
		want        map[string]string // by host
	}{
		{"without url", sites, nil, map[string]string{
			"": "http://a.localhost:{port}/.mfa", "a.localhost": "http://a.localhost:{port}/.mfa", "open.localhost": "http://a.localhost:{port}/.mfa",
			"evil.example": "http://a.localhost:{port}/.mfa",
		}},
		{"with url", sites, []string{"url https://mfa.example.com:8443", "path /sign-in"}, map[string]string{
			"": "https://mfa.example.com:8443/sign-in", "mfa.example.com": "https://mfa.example.com:8443/sign-in",
			"a.localhost": "http://a.localhost:{port}/sign-in", "evil.example": "https://mfa.example.com:8443/sign-in",
		}},
		{"with url of the site", "http://dash.example.com:{port} {\n\tmfa\n}\n", []string{"url https://Dash.example.com:8443"}, map[string]string{
			"dash.example.com": "https://Dash.example.com:8443/.mfa", "evil.example": "https://Dash.example.com:8443/.mfa",
		}},
		{"with a portal", portalSites, []string{portalOption}, map[string]string{
			"": "http://auth.localhost:{port}/.mfa", "one.localhost": "http://auth.localhost:{port}/.mfa", "evil.example": "http://auth.localhost:{port}/.mfa",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			s.serve(c.sites, append(c.options, "smtp log")...)
			app := running(t)
			for host, want := range c.want {
				if got := app.base(host); got != strings.ReplaceAll(want, "{port}", s.port) {
					t.Errorf("%q: %s, want %s", host, got, want)
				}
			}
		})
	}
}

func TestMailNeedsAnAddress(t *testing.T) { // S29
	const unnamed = "http://:{port} {\n\tmfa\n}\n"
	for _, c := range []struct {
		name, sites string
		options     []string
		refused     bool
	}{
		{"no name", unnamed, []string{"smtp log"}, true},
		{"no gate", "http://a.localhost:{port} {\n\trespond a\n}\n", []string{"smtp log"}, true},
		{"no site", "", []string{"smtp log"}, true},
		{"no mail", unnamed, nil, false},
		{"url", unnamed, []string{"smtp log", "url https://dash.example.com"}, false},
		{"a name", "http://a.localhost:{port} {\n\tmfa\n}\n", []string{"smtp log"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			err := s.load(c.sites, c.options...)
			if refused := err != nil && strings.Contains(err.Error(), "set the option url"); refused != c.refused || err != nil && !refused {
				t.Errorf("got %v", err)
			}
		})
	}
}

// withMail is the option smtp for a test server.
func withMail(t *testing.T, server *smtptest.Server) string {
	t.Helper()
	return "smtp " + server.Addr + " {\n\tfrom sign-in@example.com\n\ttrust " + caFile(t, server) + "\n}"
}

// caFile is a file with the certificate of a test server's authority.
func caFile(t *testing.T, server *smtptest.Server) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, server.CA, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
