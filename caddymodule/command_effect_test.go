package caddymodule

import (
	"fmt"
	"net/http"
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
