package loginui

import (
	"fmt"
	"testing"
	"time"
)

// Whoever changes too much is told so, and not that an answer was wrong.
func TestTooManyChanges(t *testing.T) {
	r := newRig(t)
	r.addAlice()
	first := r.browser()
	first.get("/.mfa/login")
	first.want(first.post("/.mfa/login", "name", "alice", "password", password), 303, "/.mfa/enroll")
	secret, _ := first.enroll("/")
	b := r.again(secret)
	for i := range 60 {
		b.want(b.post("/.mfa/security/name", "display_name", fmt.Sprint("Alice ", i)), 303)
	}
	wait := b.want(b.post("/.mfa/security/name", "display_name", "Alice Example"), 429, "<h1>Too many changes</h1>", "Wait 60 minutes, then", `href="/.mfa/security"`)
	if wait.Header.Get("Retry-After") != "3600" {
		t.Errorf("Retry-After: %s", wait.Header.Get("Retry-After"))
	}
	r.pass(11 * time.Minute)
	other := r.again(secret)
	other.want(other.post("/.mfa/security/email", "email", "alice@example.com"), 404)
	other.want(other.post("/.mfa/security/sessions", "others", "1"), 429, "Too many changes")
}
