package e2e

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
)

// TestExample is the first thing that a newcomer sees: Caddyfile.example as it is, but for its ports.
func TestExample(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../Caddyfile.example")
	if err != nil {
		t.Fatal(err)
	}
	ports, err := rig.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	example := strings.NewReplacer(":8080", ":{port}", ":8081", ":"+ports[0]).Replace(string(text))
	example = strings.Replace(example, "\n{\n", "\n{\n\tadmin {admin}\n", 1)
	s := start(t, rig.Config{Caddyfile: example})
	link, err := s.SetupLink(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(link, s.URL+"/") {
		t.Errorf("the link leads to %s, want %s", link, s.URL)
	}
	b := open(t, s)
	b.expected = regexp.MustCompile(`404 .*/favicon\.ico$`) // which the demo app has none of
	b.visit("/healthz")                                     // public
	b.reads("ok")
	b.visit(link)
	b.sees("Create the first account")
	b.fill("Username", "alice")
	b.fill("Password", "correct horse battery staple")
	b.press("Create account")
	b.press("Authenticator app")
	b.fill("Code", code(t, b.qr()))
	b.press("Verify & enable")
	b.sees("Save your recovery codes")
	b.press("I've saved my codes")
	b.sees("Hello, alice")
	b.reads("admins")
	b.shoot("example-app")
	b.follow("Security")
	b.sees("Security")
	b.visit("/")
	b.press("Sign out")
	b.sees("Sign in")
}
