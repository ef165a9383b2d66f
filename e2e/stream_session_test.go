package e2e

import (
	"regexp"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
)

// TestEndOfOneSessionEndsItsStreams ends one session on the Security page of another browser. What the first has open ends; what the
// second has open, and somebody else, stays.
func TestEndOfOneSessionEndsItsStreams(t *testing.T) { // S57, S73
	t.Parallel()
	s := start(t, rig.Config{})
	alice, _ := enrolled(t, s, "alice")
	bob, _ := enrolled(t, s, "bob")
	b, lost, other := open(t, s), open(t, s), open(t, s)
	b.signIn(alice)
	other.signIn(bob)
	lost.signIn(alice) // the newest of hers, which the list has first
	for _, tab := range []*tab{b, lost, other} {
		if said := eval[string](tab, stay); said != "echo hello, 0" {
			t.Fatalf("signed in, they say %q", said)
		}
	}
	lost.expected = regexp.MustCompile(`WebSocket|401|ERR_`)
	security := b.beside()
	security.visit("/.mfa/security")
	pressed := time.Now()
	security.press("End session")
	answered := time.Now()
	security.reads("That session has ended.")
	moment := time.UnixMilli(int64(eval[float64](lost, "cut")))
	t.Logf("both were cut %v after the button was pressed, and %v after the next page had come", moment.Sub(pressed), moment.Sub(answered))
	if said := eval[string](lost, "over"); said != "WebSocket, events" { // for good
		t.Errorf("got %q", said)
	}
	for whose, tab := range map[string]*tab{"her own": b, "somebody else's": other} {
		if !eval[bool](tab, "stays()") {
			t.Errorf("%s have ended, too", whose)
		}
	}
	lost.visit("/")
	lost.sees("Sign in")
}
