package caddymodule

import (
	"io"
	"regexp"
	"strings"
	"testing"
)

var (
	idOnPage = regexp.MustCompile(`Error ID: <code>([a-z2-7-]{9})</code>`)
	idInJSON = regexp.MustCompile(`"id":"([a-z2-7-]{9})"`)
	idOfSite = regexp.MustCompile(`^site: (\S+)`)
)

// TestErrorIDs reads ids off error pages and looks them up in the log.
func TestErrorIDs(t *testing.T) {
	const gate = "\tmfa {\n\t\tallow alice\n\t}\n\treverse_proxy {app}\n"
	for _, c := range []struct {
		name, site, target, header string
		down                       bool
		id                         *regexp.Regexp // where it is shown; nil where there must be none
		entry                      string         // in the line that holds it
	}{
		{"no such page of the portal", "\tlog\n" + gate, "/.mfa/nowhere", asPage, false, idOnPage, `"error_id":"`},
		{"not allowed", "\tlog\n" + gate, "/", asPage, false, idOnPage, `"error_id":"`},
		{"not allowed, to a program", "\tlog\n" + gate, "/", asScript, false, idInJSON, `"error_id":"`},
		{"not allowed, with error routes", "\tlog\n" + gate + "\thandle_errors {\n\t\trespond \"site: {err.id}\"\n\t}\n", "/", asPage, false, idOfSite, `"error_id":"`},
		{"without an access log", gate, "/", asPage, false, nil, ""},
		{"the store is gone", gate, "/", asPage, true, idOnPage, "requests are refused because the store fails"},
		{"the store is gone, on the portal", gate, "/.mfa/security", asPage, true, idOnPage, "requests are refused because the store fails"},
		{"the store is gone, with error routes", gate + "\thandle_errors {\n\t\trespond \"site: {err.id}\"\n\t}\n", "/", asPage, true, idOfSite, "requests are refused because the store fails"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			s.serve("{address} {\n" + c.site + "}\n")
			bob := sessionCookie(signIn(t, "localhost", "bob"))
			if c.down {
				if err := running(t).live.Load().realm.State.Close(); err != nil {
					t.Fatal(err)
				}
			}
			body, err := io.ReadAll(s.get(c.target, bob, c.header).Body)
			if err != nil {
				t.Fatal(err)
			}
			if c.id == nil {
				if idOnPage.Match(body) {
					t.Errorf("an id that is in no log: %s", body)
				}
				return
			}
			found := c.id.FindSubmatch(body)
			if found == nil {
				t.Fatalf("no id in %s", body)
			}
			for line := range strings.Lines(s.logged()) {
				if strings.Contains(line, string(found[1])) && strings.Contains(line, c.entry) {
					return
				}
			}
			t.Errorf("%s is not in the log:\n%s", found[1], s.logged())
		})
	}
}
