package e2e

import (
	"regexp"
	"testing"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
)

// stay opens a WebSocket and an event stream in the page, returns when both have brought something, and notes when each is cut and when it
// is over: an event stream is not before the browser has tried again.
const stay = `(() => {
	const ws = new WebSocket(location.origin.replace(/^http/, "ws") + "/ws");
	const events = new EventSource("/events?n=1&stay=yes");
	window.cut = Promise.all([
		new Promise(done => ws.addEventListener("close", done, { once: true })),
		new Promise(done => events.addEventListener("error", done, { once: true })),
	]).then(() => Date.now());
	window.over = Promise.all([
		new Promise(done => ws.onclose = () => done("WebSocket")),
		new Promise(done => events.onerror = () => { if (events.readyState === EventSource.CLOSED) done("events"); }),
	]).then(both => both.join(", "));
	window.stays = () => ws.readyState === WebSocket.OPEN && events.readyState === EventSource.OPEN;
	return Promise.all([
		new Promise(done => { ws.onopen = () => ws.send("hello"); ws.onmessage = e => done(e.data); }),
		new Promise(done => events.onmessage = e => done(e.data)),
	]).then(both => both.join(", "));
})()`

// TestSignOutEndsStreams signs out in one tab while a page in another has connections open. Somebody else's stay.
func TestSignOutEndsStreams(t *testing.T) { // S54, S73
	t.Parallel()
	s := start(t, rig.Config{})
	alice, _ := enrolled(t, s, "alice")
	bob, _ := enrolled(t, s, "bob")
	b, other := open(t, s), open(t, s)
	b.signIn(alice)
	other.signIn(bob)
	for _, tab := range []*tab{b, other} {
		if said := eval[string](tab, stay); said != "echo hello, 0" {
			t.Fatalf("signed in, they say %q", said)
		}
	}
	second := b.beside()
	second.visit("/")
	second.press("Sign out")
	second.sees("Sign in")
	b.expected = regexp.MustCompile(`WebSocket|401|ERR_`)
	if said := eval[string](b, "over"); said != "WebSocket, events" {
		t.Errorf("got %q", said)
	}
	if !eval[bool](other, "stays()") {
		t.Error("somebody else's have ended, too")
	}
}
