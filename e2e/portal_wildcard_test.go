package e2e

import (
	"strings"
	"testing"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
)

// TestContinueBelowAWildcard goes to a host that the portal does not list by its name, and says so once.
func TestContinueBelowAWildcard(t *testing.T) { // S62, S65
	t.Parallel()
	s := start(t, rig.Config{Caddyfile: strings.NewReplacer("one.localhost two.localhost", "one.localhost *.apps.localhost", "http://two.localhost", "http://*.apps.localhost").Replace(manyHosts)})
	alice := addUser(t, s, "alice")
	b := roam(t, s)
	auth, one, _ := hosts(s)
	wiki, other := "http://wiki.apps.localhost:"+s.Port, "http://other.apps.localhost:"+s.Port
	b.also = append(b.also, wiki, other)
	const deep = "/deep/a%2Fb?x=1&y=a%26b#part-2"

	b.visit(wiki + deep)
	b.begins(alice)
	b.press("I've saved my codes")
	b.sees("Continue to wiki.apps.localhost?")
	if at := b.location(); !strings.HasPrefix(at, auth+"/.mfa/login?to=") || !strings.HasSuffix(at, "#part-2") {
		t.Errorf("asked at %s", at)
	}
	if b.mayUse(wiki)["__Host-mfa"] != "" {
		t.Error("there is a session before anybody said so")
	}
	b.shoot("portal-continue")
	b.press("Continue")
	b.sees("Example app")
	if at := b.location(); at != wiki+deep || b.text("#user") != alice.Name {
		t.Errorf("at %s as %s, want %s", at, b.text("#user"), wiki+deep)
	}
	b.visit(wiki + "/again")
	b.sees("Example app")
	b.visit(one + deep) // which is listed by its name
	b.sees("Example app")

	b.visit(other + "/") // each host asks for itself, and whoever cancels stays where they are
	b.sees("Continue to other.apps.localhost?")
	b.follow("Cancel")
	b.sees("Security")
	b.reads("Used at one.localhost, wiki.apps.localhost")
	b.visit(other + "/x")
	b.press("Continue")
	b.sees("Example app")
	if at := b.location(); at != other+"/x" {
		t.Errorf("at %s", at)
	}
}
