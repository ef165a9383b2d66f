package caddymodule

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
	"github.com/caddy-mfa/caddy-mfa/internal/mail/smtptest"
	"github.com/caddy-mfa/caddy-mfa/storage"
	"github.com/caddy-mfa/caddy-mfa/storage/badgerstore"
)

// A reset that is announced waits, also while no Caddy runs, and the next Caddy that runs does it when it is due.
func TestResetIsAnnounced(t *testing.T) { // S86, S80
	server := smtptest.Start(t, smtptest.Options{User: "alice", Password: smtpPassword})
	m := newMachine(t)
	m.configureMail(server, goodSMTP)
	stop := m.serve()
	m.must(nil, "mfa", "user", "add", "bob", "--email", "bob@example.com")
	noAddress := commandRow{code: 1, err: `^Error: bob has no confirmed address to announce it to\. Reset without --delay, after making sure that it is bob who asks\.\n$`}
	check(t, noAddress, m.run("", "mfa", "user", "reset-mfa", "bob", "--delay", "24h"))

	m.must(nil, "mfa", "user", "add", "alice", "--email", "alice@example.com")
	invitation := unfolded(waitFor(t, server, 2)[1].Data)
	alice := &rig.Person{Name: "alice", Password: alicesPassword}
	if _, err := alice.SignUp(t.Context(), rig.NewVisitor(m.base()), regexp.MustCompile(`http\S+/invite#[\w-]+`).FindString(invitation)); err != nil {
		t.Fatal(err)
	}
	var shown accountView
	if m.must(&shown, "mfa", "user", "show", "alice", "--json"); !shown.EmailConfirmed || !shown.ResetAt.IsZero() {
		t.Fatalf("%+v", shown)
	}
	had := len(shown.Credentials)
	// mailed waits for the next mail, which is about a subject, and returns its text.
	n := len(server.Mails())
	mailed := func(subject string) string {
		t.Helper()
		n++
		mail := waitFor(t, server, n)[n-1]
		if text := unfolded(mail.Data); mail.To == "alice@example.com" && strings.Contains(text, "Subject: "+subject) {
			return text
		}
		t.Fatalf("to %s:\n%s", mail.To, mail.Data)
		return ""
	}
	announced := commandRow{out: `^alice is reset at 20\S+ \S+ UTC, by the Caddy that runs then\. A mail with a link that stops it goes to alice@example\.com\. If no mail server .*, nothing is reset\.\n$`}
	check(t, announced, m.run("", "mfa", "user", "reset-mfa", "alice", "--delay", "2d"))
	first := regexp.MustCompile(`/stop-reset#[\w-]+`).FindString(mailed("How you sign in to"))
	var reset resetView
	m.must(&reset, "mfa", "user", "reset-mfa", "ALICE", "--delay", "24h", "--json")
	if wait := time.Until(reset.ResetAt); reset.Name != "alice" || reset.MailedTo != "alice@example.com" || wait > 24*time.Hour || wait < 23*time.Hour {
		t.Errorf("%+v", reset)
	}
	second := regexp.MustCompile(`/stop-reset#[\w-]+`).FindString(mailed("How you sign in to"))
	if first == second || len(second) < 40 {
		t.Errorf("links %q, %q", first, second)
	}
	m.told("alice")
	check(t, commandRow{out: `(?m)^Reset: +announced, due at 20\S+ \S+ UTC\. Taken back by: caddy mfa user reset-mfa alice --cancel$`}, m.run("", "mfa", "user", "show", "alice"))
	check(t, commandRow{out: `^alice keeps everything: the reset is taken back\.\n$`}, m.run("", "mfa", "user", "reset-mfa", "alice", "--cancel"))
	mailed("The reset at")
	shown = accountView{}
	if m.must(&shown, "mfa", "user", "show", "alice", "--json"); !shown.ResetAt.IsZero() || len(shown.Credentials) != had {
		t.Errorf("%+v", shown)
	}
	stop()

	check(t, noAddress, m.run("", "mfa", "user", "reset-mfa", "bob", "--delay", "24h"))
	announced.out = strings.Replace(announced.out, "A mail with", "As soon as Caddy runs, a mail with", 1)
	check(t, announced, m.run("", "mfa", "user", "reset-mfa", "alice", "--delay", "1h"))
	waitFor(t, server, n)
	check(t, commandRow{out: `(?m)^Reset: +the mail that announces it still waits, due at 20`}, m.run("", "mfa", "user", "show", "alice"))
	stop = m.serve()
	mailed("How you sign in to")
	m.told("alice")
	stop()
	m.due("alice", time.Now().Add(-time.Minute))
	shown = accountView{}
	if m.must(&shown, "mfa", "user", "show", "alice", "--json"); shown.ResetAt.IsZero() || len(shown.Credentials) != had {
		t.Fatalf("a command has done it: %+v", shown)
	}
	m.serve()
	mailed("An administrator reset")
	shown = accountView{}
	m.must(&shown, "mfa", "user", "show", "alice", "--json")
	if !shown.ResetAt.IsZero() || len(shown.Credentials) != 1 || time.Until(shown.EnrollUntil) < 71*time.Hour {
		t.Errorf("%+v", shown)
	}
}

// told waits until the store knows that a mail server took the announcement.
func (m *machine) told(name string) {
	m.t.Helper()
	for late := time.Now().Add(20 * time.Second); time.Now().Before(late); {
		var shown accountView
		if m.must(&shown, "mfa", "user", "show", name, "--json"); shown.ResetTold {
			return
		}
	}
	m.t.Fatal("the announcement was not delivered")
}

// due changes in the store, which nobody has open, when the one reset there is due.
func (m *machine) due(name string, at time.Time) {
	m.t.Helper()
	store, err := badgerstore.Open(m.t.Context(), badgerstore.Options{Dir: m.storeDir()})
	if err != nil {
		m.t.Fatal(err)
	}
	defer store.Close()
	changed := 0
	err = store.Update(m.t.Context(), func(tx storage.Tx) error {
		for e, err := range tx.Scan("pending-reset/", "") {
			if err != nil {
				return err
			}
			var p map[string]any
			if err := json.Unmarshal(e.Value, &p); err != nil {
				return err
			}
			p["due"] = at
			b, err := json.Marshal(p)
			if err != nil {
				return err
			}
			changed++
			if err := tx.Put(e.Key, b, time.Time{}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || changed != 1 {
		m.t.Fatalf("%d resets of %s: %v", changed, name, err)
	}
}

// Without the option url nobody but a running Caddy knows where the link leads.
func TestResetIsNotAnnouncedWithoutAnAddress(t *testing.T) { // S29
	m := newMachine(t)
	m.configure("{\n\tadmin " + m.admin + "\n\tmfa {\n\t\tsmtp log\n\t}\n}\n")
	m.run("", "mfa", "user", "add", "alice")
	check(t, commandRow{code: 1, err: `^Error: It cannot be announced: no Caddy answers, and the option url does not say where links lead\.\n$`},
		m.run("", "mfa", "user", "reset-mfa", "alice", "--delay", "24h"))
}
