package caddymodule

import (
	"bytes"
	"context"
	"encoding/json"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/internal/mail/smtptest"
)

// waitFor returns the mails of a server once there are n, and fails the test if they are more or do not come.
func waitFor(t *testing.T, server *smtptest.Server, n int) []smtptest.Mail {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	mails, err := server.Wait(ctx, n)
	if err != nil || len(mails) != n {
		t.Fatalf("%d mails came, want %d: %v", len(mails), n, err)
	}
	return mails
}

// invite makes a user whose invitation is mailed by the config that runs.
func invite(t *testing.T, realm *auth.Realm, name string) auth.Invited {
	t.Helper()
	_, in, err := realm.AddUser(t.Context(), auth.NewUser{Name: name, Email: name + "@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	return in
}

func realmOf(t *testing.T, app *App) *auth.Realm {
	t.Helper()
	realm, err := app.Realm(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return realm
}

// Whatever waits is sent as the newest config says.
func TestReloadChangesWhereMailGoes(t *testing.T) {
	first, second := smtptest.Start(t, smtptest.Options{}), smtptest.Start(t, smtptest.Options{})
	s := newSite(t)
	s.serve(plainGate, withMail(t, first))
	if in := invite(t, realmOf(t, running(t)), "alice"); in.MailedTo != "alice@example.com" {
		t.Errorf("mailed to %q", in.MailedTo)
	}
	if got := waitFor(t, first, 1)[0]; got.To != "alice@example.com" || !got.TLS || !strings.Contains(unfolded(got.Data), "http://localhost:"+s.port+"/.mfa/invite#") {
		t.Errorf("to %s:\n%s", got.To, got.Data)
	}

	s.serve(plainGate, withMail(t, second))
	invite(t, realmOf(t, running(t)), "bob")
	waitFor(t, second, 1)

	s.serve(plainGate)
	realm := realmOf(t, running(t))
	if realm.Mails() {
		t.Error("there is mail without smtp")
	}
	if in := invite(t, realm, "carol"); in.MailedTo != "" || in.Token == "" {
		t.Errorf("without smtp: %+v", in)
	}
	s.serve(plainGate, withMail(t, first))
	invite(t, realmOf(t, running(t)), "dave")
	if got := waitFor(t, first, 2)[1]; got.To != "dave@example.com" {
		t.Errorf("to %s", got.To)
	}
	waitFor(t, second, 1)
}

// A config that fails to start leaves mail to the one that runs on.
func TestFailedReloadLeavesMailAlone(t *testing.T) {
	good, bad := smtptest.Start(t, smtptest.Options{}), smtptest.Start(t, smtptest.Options{})
	dir := filepath.Join(t.TempDir(), "mfa")
	var apps []*App
	for _, server := range []*smtptest.Server{good, bad} {
		app := &App{URL: "https://dash.example.com", Storage: &Storage{Dir: dir}, SMTP: &SMTP{
			Address: server.Addr, From: "sign-in@example.com", Trust: caFile(t, server),
		}}
		if err := app.prepare(caddy.NewReplacer()); err != nil {
			t.Fatal(err)
		}
		realmOf(t, app)
		apps = append(apps, app)
	}
	if err := apps[1].Cleanup(); err != nil {
		t.Fatal(err)
	}
	invite(t, realmOf(t, apps[0]), "alice")
	waitFor(t, good, 1)
	waitFor(t, bad, 0)
	if err := apps[0].Cleanup(); err != nil {
		t.Fatal(err)
	}
	released(t, dir)
}

func TestMailInTheLog(t *testing.T) {
	s := newSite(t)
	s.serve(plainGate, "smtp log")
	if n := strings.Count(s.logged(), "it holds live codes and links"); n != 1 {
		t.Errorf("warned %d times", n)
	}
	invite(t, realmOf(t, running(t)), "alice")
	eventually(t, "the mail is in the log", func() bool { return strings.Contains(s.logged(), `"msg":"mail"`) })
	for line := range strings.Lines(s.logged()) {
		var entry struct {
			Msg, Level, To, Subject string
			Text                    []string
		}
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatal(err)
		}
		if entry.Msg != "mail" {
			continue
		}
		link := regexp.MustCompile(`^http://localhost:` + s.port + `/\.mfa/invite#[A-Za-z0-9_-]+$`)
		found := false
		for _, text := range entry.Text {
			found = found || link.MatchString(text)
		}
		if entry.Level != "info" || entry.To != "alice@example.com" || entry.Subject == "" || !found {
			t.Errorf("%s", line)
		}
	}
}

func TestNoWarningWithoutLog(t *testing.T) {
	s := newSite(t)
	s.serve(plainGate, withMail(t, smtptest.Start(t, smtptest.Options{})))
	if strings.Contains(s.logged(), "live codes and links") {
		t.Error("a warning without a reason")
	}
}

// unfolded takes the soft line breaks out of quoted-printable text.
func unfolded(data []byte) string {
	return strings.NewReplacer("=\r\n", "", "=3D", "=").Replace(string(data))
}

func TestShowWhatMailDid(t *testing.T) {
	moment := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	a := &auth.Account{User: auth.User{
		Name: "alice", Email: "alice@example.com", EmailConfirmed: true, Enrolled: []string{"email", "password", "totp"}, Blocked: moment, MailedPassword: true,
	}, Credentials: []auth.Credential{
		{ID: "1", Method: auth.MethodTOTP, Label: "Phone", Disabled: true},
		{ID: "2", Method: auth.MethodEmail, Data: []byte(`{"address":"alice@example.com"}`)},
	}}
	v := viewAccount(a)
	if v.State != stateBlocked || !v.Blocked.Equal(moment) || !v.MailedPassword {
		t.Errorf("%+v", v.userView)
	}
	var out bytes.Buffer
	printAccount(&out, &v)
	for _, want := range []string{
		`(?m)^State: +blocked, cannot sign in$`, `(?m)^Blocked: +"This wasn't me" was pressed about .*caddy mfa user enable alice$`,
		`(?m)^Password: +was set by mail`, `(?m)^  totp \(suspended\) +Phone `, `(?m)^  email +alice@example\.com `,
	} {
		if !regexp.MustCompile(want).MatchString(out.String()) {
			t.Errorf("%s is missing in\n%s", want, &out)
		}
	}
}
