package caddymodule

import (
	"strings"
	"testing"
)

// What goes on when rules change is judged by the new ones: whoever may not pass any more is cut off, and nobody else.
func TestStreamsAfterRulesChanged(t *testing.T) { // S73
	for _, c := range []struct{ name, rules, alice, bob string }{ // what goes on
		{"nothing changed", "allow group:ops", "ws events chunked", "ws events chunked"},
		{"somebody may not pass", "allow alice", "ws events chunked", ""},
		{"by a group", "allow group:dev", "", ""},
		{"one path", "allow group:ops\n\t\trule /events {\n\t\t\tallow alice\n\t\t}", "ws events chunked", "ws chunked"},
		{"by a header", "allow group:ops\n\t\trule @upgrade {\n\t\t\tallow alice\n\t\t}", "ws events chunked", "events chunked"},
		{"a proof that is not there", "allow group:ops\n\t\trule /ws {\n\t\t\trequire webauthn\n\t\t}", "events chunked", "events chunked"},
		{"public", "public /events\n\t\tallow alice", "ws events chunked", "events"},
		{"only reported", "allow alice\n\t\treport_only", "ws events chunked", "ws events chunked"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLiveSite(t)
			l.serveLive()
			alice, _ := l.person("alice")
			bob, _ := l.person("bob")
			connect := func(cookie string) map[string]*talk {
				return map[string]*talk{
					"ws": l.connect("HTTP/1.1", "/ws", cookie), "events": l.connect("HTTP/2.0", "/events", cookie), "chunked": l.connect("HTTP/1.1", "/chunked", cookie),
				}
			}
			streams := map[string]map[string]*talk{c.alice: connect(alice)}
			if c.bob != c.alice {
				streams[c.bob] = connect(bob)
			}
			l.serve(strings.NewReplacer("\tmfa {", "\t@upgrade header Upgrade websocket\n\tmfa {", "allow group:ops", c.rules).Replace(l.gated), "name Changed")
			for on, talks := range streams {
				for name, talk := range talks {
					if !strings.Contains(" "+on+" ", " "+name+" ") {
						talk.ended(t)
					}
				}
			}
			for on, talks := range streams {
				for name, talk := range talks {
					if strings.Contains(" "+on+" ", " "+name+" ") {
						talk.goesOn(t)
						talk.close()
					}
				}
			}
		})
	}
}
