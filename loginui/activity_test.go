package loginui

import (
	"strings"
	"testing"
)

// The activity says which method was added, renamed or removed, and what people call theirs is no markup.
func TestActivityNamesMethods(t *testing.T) { // S77
	r := newRig(t)
	r.addAlice()
	first := r.browser()
	first.get("/.mfa/login")
	first.want(first.post("/.mfa/login", "name", "alice", "password", password), 303, "/.mfa/enroll")
	secret, _ := first.enroll("/")
	b := r.again(secret)
	b.want(b.post("/.mfa/security/rename", "id", r.credentials("alice")["Authenticator app"].ID, "label", "My <b>phone</b> 100%d"), 303)
	b.want(b.post("/.mfa/security/add", "method", "totp"), 303, "/.mfa/enroll/totp")
	b.want(b.post("/.mfa/enroll/totp", "code", b.code(b.secret())), 303)
	b.want(b.post("/.mfa/security/remove", "id", r.credentials("alice")["Authenticator app"].ID), 303)
	page := b.want(b.get("/.mfa/security/activity"), 200,
		"Added “Authenticator app”", "Renamed “Authenticator app” to “My &lt;b&gt;phone&lt;/b&gt; 100%d”", "Removed “Authenticator app”")
	if strings.Contains(page.body, "<b>") {
		t.Error("a name became markup")
	}
}
