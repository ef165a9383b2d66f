package caddymodule

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-mfa/caddy-mfa/internal/mail/smtptest"
)

// configureMail writes a Caddyfile in which mail goes where the option smtp says. The server's authority and a password lie beside it.
func (m *machine) configureMail(server *smtptest.Server, smtp string) {
	m.t.Helper()
	for name, content := range map[string]string{"ca.pem": string(server.CA), "password": smtpPassword + "\n", "wrong": "another password\n"} {
		if err := os.WriteFile(filepath.Join(m.home, name), []byte(content), 0o600); err != nil {
			m.t.Fatal(err)
		}
	}
	m.configure(strings.NewReplacer("{server}", server.Addr, "{home}", m.home).Replace(`{
	admin ` + m.admin + `
	auto_https off
	mfa {
		url ` + m.base() + `
		` + smtp + `
	}
}

` + m.base() + ` {
	bind 127.0.0.1
	mfa
	respond hello
}
`))
}

const (
	goodSMTP = "smtp {server} {\n from sign-in@example.com\n user alice\n password {file.{home}/password}\n trust {home}/ca.pem\n}"
	badSMTP  = "smtp {server} {\n from sign-in@example.com\n user alice\n password {file.{home}/wrong}\n trust {home}/ca.pem\n}"
)

// The command says what the mail server answered, alike whether Caddy runs or not.
func TestMailTest(t *testing.T) {
	server := smtptest.Start(t, smtptest.Options{User: "alice", Password: smtpPassword, Answer: func(step smtptest.Step, arg string) error {
		switch {
		case step == smtptest.Recipient && strings.HasPrefix(arg, "nobody@"):
			return smtptest.Reply(550, "no such mailbox here")
		case step == smtptest.Recipient && strings.HasPrefix(arg, "later@"):
			return smtptest.Reply(451, "come back later")
		}
		return nil
	}})
	closed := strings.ReplaceAll(goodSMTP, "{server}", freeAddress(t))
	rows := []struct {
		name, smtp, line string
		row              commandRow
		mails            int
	}{
		{"taken", goodSMTP, "alice@example.com", commandRow{out: `^The server ` + server.Addr + ` took the mail to alice@example\.com\. .*\n$`}, 1},
		{"taken, as JSON", goodSMTP, "alice@example.com --json", commandRow{out: `(?s)^\{\n  "address": "alice@example\.com",\n  "server": "` + server.Addr + `"\n\}\n$`}, 1},
		{"wrong password", badSMTP, "alice@example.com", commandRow{code: 1, err: `^Error: sending mail by .*: signing in: the server answered 535 .*User or password is wrong`}, 0},
		{"no such recipient", goodSMTP, "nobody@example.com", commandRow{code: 1, err: `^Error: .*550 no such mailbox here\. .*check the address`}, 0},
		{"not now, as JSON", goodSMTP, "later@example.com --json", commandRow{code: 1, err: `^Error: .*451 come back later\. .*asked again`}, 0},
		{"nobody listens", closed, "alice@example.com", commandRow{code: 1, err: `^Error: .*connecting: .*refused\. Nothing listens on that port`}, 0},
		{"an authority that is not trusted", strings.ReplaceAll(goodSMTP, "trust {home}/ca.pem", ""), "alice@example.com",
			commandRow{code: 1, err: `^Error: .*starting TLS: .*signed by nobody whom this machine trusts`}, 0},
		{"no address", goodSMTP, "alice", commandRow{code: 1, err: `^Error: "alice" is not exactly one mail address, such as alice@example\.com\.\n$`}, 0},
		{"two addresses in one", goodSMTP, "a@example.com,b@example.com", commandRow{code: 1, err: `is not exactly one mail address`}, 0}, // S31
		{"an address missing", goodSMTP, "", commandRow{code: 2, err: `^Error: ADDRESS is missing \(see caddy mfa mail test --help\)\n$`}, 0},
		{"two addresses", goodSMTP, "a@example.com b@example.com", commandRow{code: 2, err: `"b@example\.com" is too much`}, 0},
		{"no smtp", "", "alice@example.com", commandRow{code: 1, err: `^Error: There is no mail server: the option smtp is not set\.\n$`}, 0},
	}
	for _, way := range []string{"server", "no server"} {
		t.Run(way, func(outer *testing.T) {
			m := newMachine(outer)
			before, stop := "", func() {}
			for _, row := range rows {
				outer.Run(row.name, func(t *testing.T) {
					m.configureMail(server, row.smtp)
					if way == "server" && row.smtp != before {
						stop()
						before, stop = row.smtp, m.serve()
					}
					m.t = t
					defer func() { m.t = outer }()
					had := len(server.Mails())
					r := m.run("", append([]string{"mfa", "mail", "test"}, words(row.line)...)...)
					check(t, row.row, r)
					if strings.Contains(r.stdout+r.stderr, smtpPassword) || strings.Contains(r.stderr, "another password") { // S78
						t.Errorf("the output tells the password: %s", r.stderr)
					}
					mails := server.Mails()[had:]
					if len(mails) != row.mails {
						t.Fatalf("%d mails came", len(mails))
					}
					for _, mail := range mails {
						if !mail.TLS || mail.User != "alice" || mail.To != "alice@example.com" {
							t.Errorf("%+v", mail)
						}
					}
				})
			}
			if _, err := os.Stat(m.storeDir()); way == "no server" && !os.IsNotExist(err) {
				outer.Errorf("there is a store now: %v", err)
			}
		})
	}
}

func TestInvitationsAreMailed(t *testing.T) {
	server := smtptest.Start(t, smtptest.Options{User: "alice", Password: smtpPassword})
	m := newMachine(t)
	m.configureMail(server, goodSMTP)
	stop := m.serve()
	check(t, commandRow{out: `(?s)^alice was added\.\nSend this link to alice\..*\nThe link was also mailed to alice@example\.com\.\n$`},
		m.run("", "mfa", "user", "add", "alice", "--email", "alice@example.com"))
	var again, without invitationView
	m.must(&again, "mfa", "user", "invite", "alice", "--json")
	m.must(&without, "mfa", "user", "add", "bob", "--json")
	if again.MailedTo != "alice@example.com" || again.Link == "" || without.MailedTo != "" || without.Link == "" {
		t.Errorf("%+v\n%+v", again, without)
	}
	for _, mail := range waitFor(t, server, 2) {
		if body := unfolded(mail.Data); !strings.Contains(body, m.base()+"/.mfa/invite#") || strings.Contains(body, again.Link) {
			t.Errorf("the mail holds no link of its own:\n%s", body)
		}
	}
	stop()

	// With no server running it waits in the store.
	check(t, commandRow{out: `(?s)\nA link is also mailed to carol@example\.com, as soon as Caddy runs\.\n$`},
		m.run("", "mfa", "user", "add", "carol", "--email", "carol@example.com"))
	m.must(&again, "mfa", "user", "invite", "carol", "--json")
	if again.MailedTo != "carol@example.com" {
		t.Errorf("%+v", again)
	}
	waitFor(t, server, 2)
	m.serve()
	for _, mail := range waitFor(t, server, 4)[2:] {
		if mail.To != "carol@example.com" || !strings.Contains(unfolded(mail.Data), m.base()+"/.mfa/invite#") {
			t.Errorf("to %s:\n%s", mail.To, mail.Data)
		}
	}
}

// Without the option url, only a running Caddy knows where links lead.
func TestNothingIsMailedWithoutAnAddress(t *testing.T) { // S29
	m := newMachine(t)
	m.configure("{\n\tadmin " + m.admin + "\n\tmfa {\n\t\tsmtp log\n\t}\n}\n")
	check(t, commandRow{out: `^alice was added\.\nSend this link to alice, with the address of your site before it\.`, err: `new store was made`},
		m.run("", "mfa", "user", "add", "alice"))
	check(t, commandRow{out: `^bob was added\.\n`, err: `^Note: The link was not mailed: no Caddy answers, and the option url .*\n$`},
		m.run("", "mfa", "user", "add", "bob", "--email", "bob@example.com"))
	check(t, commandRow{code: 1, err: `^Error: Mail is written to Caddy's log \(smtp log\), and no Caddy is running\.\n$`},
		m.run("", "mfa", "mail", "test", "alice@example.com"))
}

func TestMailTestIntoTheLog(t *testing.T) {
	m := newMachine(t)
	m.configure("{\n\tadmin " + m.admin + "\n\tmfa {\n\t\turl " + m.base() + "\n\t\tsmtp log\n\t}\n}\n")
	m.serve()
	check(t, commandRow{out: `^The mail was written to Caddy's log, as the option smtp says\.\n$`}, m.run("", "mfa", "mail", "test", "alice@example.com"))
	status, answer := m.ask("POST", "/mfa/mail/test", "application/json", `{"address": "alice@example.com"}`)
	if status != 200 || strings.TrimSpace(answer) != `{"address":"alice@example.com"}` {
		t.Errorf("got %d %s", status, answer)
	}
	if status, answer = m.ask("GET", "/mfa/mail/test?address=alice@example.com", "", ""); status != 405 {
		t.Errorf("got %d %s", status, answer)
	}
}
