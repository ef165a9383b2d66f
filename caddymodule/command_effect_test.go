package caddymodule

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
)

// Whatever shuts somebody out does so at the very next request of a session that was in use just before, and so from the cache.
func TestCommandsEndSessionsAtOnce(t *testing.T) { // S56
	m := newMachine(t)
	m.serve()
	for i, row := range []struct {
		name string
		args []string
		back bool // the person can sign in again
	}{
		{"disable", []string{"user", "disable", "{name}"}, false},
		{"delete", []string{"user", "delete", "{name}"}, false},
		{"reset-mfa", []string{"user", "reset-mfa", "{name}"}, true},
		{"revoke all", []string{"session", "revoke", "{name}"}, true},
		{"revoke one", []string{"session", "revoke", "{name}", "--id", "{id}"}, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			m.t = t
			person, visitor := m.signUp(fmt.Sprintf("user%d", i))
			var sessions []sessionView
			m.must(&sessions, "mfa", "session", "list", person.Name, "--json")
			if len(sessions) != 1 || sessions[0].Host != "localhost" || len(sessions[0].Methods) != 2 {
				t.Fatalf("sessions are %+v", sessions)
			}
			m.sees(visitor, http.StatusOK)
			args := append([]string{"mfa"}, row.args...)
			for i, a := range args {
				switch a {
				case "{name}":
					args[i] = person.Name
				case "{id}":
					args[i] = sessions[0].ID
				}
			}
			m.must(nil, args...)
			m.sees(visitor, http.StatusUnauthorized)
			page, err := person.SignIn(t.Context(), rig.NewVisitor(visitor.Base), "/")
			if back := err == nil && page.Status == http.StatusOK && string(page.Body) == "hello "+person.Name; back != row.back {
				t.Errorf("signing in again: %v, %v", back, err)
			}
		})
	}
}

func TestCommandsChangeGroupsAtOnce(t *testing.T) {
	m := newMachine(t)
	m.configureSite("mfa {\n\t\tallow group:ops\n\t}")
	m.serve()
	person, visitor := m.signUp("alice", "--group", "ops")
	m.sees(visitor, http.StatusOK)
	m.must(nil, "mfa", "user", "group", person.Name, "-ops")
	m.sees(visitor, http.StatusForbidden)
	m.must(nil, "mfa", "user", "group", person.Name, "+ops")
	m.sees(visitor, http.StatusOK)
}

func TestCommandsShowWhatIsSetUp(t *testing.T) {
	m := newMachine(t)
	m.serve()
	person, visitor := m.signUp("alice")
	m.sees(visitor, http.StatusOK)
	check(t, commandRow{out: `(?s)State: +active\n.*Enrolment window: +closed\nRecovery codes left: +10\nSessions: +1\nMethods:\n  METHOD .*\n  password .*\n  totp +Authenticator app .* never\n`},
		m.run("", "mfa", "user", "show", person.Name))
	check(t, commandRow{out: `(?s)^ID +HOST +SIGNED IN .*\n[0-9a-f]{32}  localhost +20\S+ \S+ UTC .* password,totp +127\.0\.0\.1 +Firefox, Linux\n$`},
		m.run("", "mfa", "session", "list", person.Name))
	check(t, commandRow{out: `^1 session of alice has ended\.\n$`}, m.run("", "mfa", "session", "revoke", person.Name))
}

func TestCommandsPrintLinksThatWork(t *testing.T) {
	m := newMachine(t)
	m.serve()()
	var first, second invitationView
	m.must(&first, "mfa", "user", "add", "alice", "--json") // with no server running
	m.serve()
	m.must(&second, "mfa", "user", "invite", "alice", "--json")
	alice := &rig.Person{Name: "alice", Password: alicesPassword}
	if _, err := alice.SignUp(t.Context(), rig.NewVisitor(m.base()), first.Link); err == nil {
		t.Error("the older link still works")
	}
	page, err := alice.SignUp(t.Context(), rig.NewVisitor(m.base()), second.Link)
	if err != nil || page.Status != http.StatusOK {
		t.Fatalf("the link does not work: %v", err)
	}
	if _, err := alice.SignUp(t.Context(), rig.NewVisitor(m.base()), second.Link); err == nil {
		t.Error("the link works twice")
	}
}

// signUp makes somebody who is signed in with everything set up.
func (m *machine) signUp(name string, options ...string) (*rig.Person, *rig.Visitor) {
	m.t.Helper()
	m.mustWith(alicesPassword+"\n", nil, append([]string{"mfa", "user", "add", name, "--password-stdin"}, options...)...)
	person, visitor := &rig.Person{Name: name, Password: alicesPassword}, rig.NewVisitor(m.base())
	if page, err := person.SignIn(m.t.Context(), visitor, "/"); err != nil {
		m.t.Fatal(err)
	} else if page.URL.Path != "/" {
		m.t.Fatalf("signing in ended at %s: %s", page.URL, page.Text())
	}
	return person, visitor
}

// sees checks what the app's page answers to the visitor's next request.
func (m *machine) sees(v *rig.Visitor, status int) {
	m.t.Helper()
	page, err := v.Fetch(m.t.Context(), "/")
	if err != nil {
		m.t.Fatal(err)
	}
	if page.Status != status {
		m.t.Errorf("the site answers %d, want %d: %s", page.Status, status, page.Body)
	}
}

// Access tokens are made on the page, listed without themselves, and gone at the very next request after they were revoked.
func TestCommandsRevokeAccessTokens(t *testing.T) {
	m := newMachine(t)
	m.serve()
	person, visitor := m.signUp("alice")
	page, err := visitor.Get(t.Context(), "/.mfa/security")
	if err != nil {
		t.Fatal(err)
	}
	if page, err = rig.Fill(t.Context(), page, "Make an access token", map[string]string{"Name of the token": "feed reader", "Paths": "/ /feed/*"}); err == nil {
		page, err = person.Finish(t.Context(), page)
	}
	if err != nil {
		t.Fatal(err)
	}
	token := regexp.MustCompile(`mfa_[A-Za-z0-9_-]{43}`).FindString(page.Text())
	sees := func(path string, status int) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, m.base()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth("anybody", token)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if body, _ := io.ReadAll(res.Body); res.StatusCode != status || status == http.StatusOK && string(body) != "hello alice" {
			t.Errorf("%s: %s, want %d\n%s", path, res.Status, status, body)
		}
	}
	sees("/", http.StatusOK)
	sees("/other", http.StatusForbidden)
	check(t, commandRow{out: `(?s)^ID +NAME +HOSTS +PATHS +METHODS +MADE +LAST USED +EXPIRES *\n[0-9a-f]{32}  feed reader  localhost  /,/feed/\*  any +20\S+ \S+ UTC +20\S+ \S+ UTC +20\S+ \S+ UTC *\n$`},
		m.run("", "mfa", "token", "list", "alice"))
	var tokens []tokenView
	if r := m.run("", "mfa", "token", "list", "alice", "--json"); strings.Contains(r.stdout, token[4:]) {
		t.Error("the token is listed")
	}
	m.must(&tokens, "mfa", "token", "list", "alice", "--json")
	check(t, commandRow{out: `^1 access token of alice was revoked\.\n$`}, m.run("", "mfa", "token", "revoke", "alice", "--id", tokens[0].ID))
	sees("/", http.StatusUnauthorized)
	m.sees(visitor, http.StatusOK)
}
