package caddymodule

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/exp/zapslog"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-mfa/caddy-mfa/loginui"
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
		id                         *regexp.Regexp // where it is shown
		entry                      string         // in the line that holds it
	}{
		{"no such page of the portal", "\tlog\n" + gate, "/.mfa/nowhere", asPage, false, idOnPage, `"error_id":"`},
		{"not allowed", "\tlog\n" + gate, "/", asPage, false, idOnPage, `"error_id":"`},
		{"not allowed, to a program", "\tlog\n" + gate, "/", asScript, false, idInJSON, `"error_id":"`},
		{"not allowed, with error routes", "\tlog\n" + gate + "\thandle_errors {\n\t\trespond \"site: {err.id}\"\n\t}\n", "/", asPage, false, idOfSite, `"error_id":"`},
		{"without an access log", gate, "/", asPage, false, idOnPage, `"reason":"forbidden","user":"bob"`},
		{"without an access log, to a program", gate, "/", asScript, false, idInJSON, `"reason":"forbidden","user":"bob"`},
		{"without an access log, no such page of the portal", gate, "/.mfa/nowhere?a=b", asPage, false, idOnPage, `"path":"/.mfa/nowhere","status":404,"reason":"notfound","user":"bob"`},
		{"without an access log, with error routes", gate + "\thandle_errors {\n\t\trespond \"site: {err.id}\"\n\t}\n", "/", asPage, false, idOfSite, `"status":403,"reason":"forbidden","user":"bob"`},
		{"an odd path", "\tmfa {\n\t\trule /admin/* {\n\t\t\tallow alice\n\t\t}\n\t}\n", "/a/..%2f%0a{\"level\":1}", asPage, false, idOnPage, `"path":"/a/..%2f%0a{\"level\":1}","status":400,"reason":"ambiguous_path"`},
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
			for range 3 { // of a fault, the second and third are not logged again
				body, err := io.ReadAll(s.get(c.target, bob, c.header).Body)
				if err != nil {
					t.Fatal(err)
				}
				found := c.id.FindSubmatch(body)
				if found == nil {
					t.Fatalf("no id in %s", body)
				}
				logged := false
				for line := range strings.Lines(s.logged()) {
					logged = logged || strings.Contains(line, string(found[1])) && strings.Contains(line, c.entry)
				}
				if !logged {
					t.Errorf("%s is not in the log:\n%s", found[1], s.logged())
				}
			}
		})
	}
}

// TestRefusalsThatAreNoPages: who merely has to sign in writes nothing, however often they ask; what is an error writes a bounded number of lines.
func TestRefusalsThatAreNoPages(t *testing.T) {
	s := newSite(t)
	s.serve("{address} {\n\tmfa {\n\t\tallow alice\n\t}\n\treverse_proxy {app}\n}\n")
	bob := sessionCookie(signIn(t, "localhost", "bob"))
	before := s.logged()
	for range 200 {
		for header, status := range map[string]int{asPage: 303, asScript: 401} {
			if res := s.get("/", header); res.StatusCode != status {
				t.Fatalf("%s: %s", header, res.Status)
			}
		}
	}
	if after := s.logged(); after != before {
		t.Errorf("they are logged:\n%s", after[len(before):])
	}
	for range 200 {
		s.get("/", bob, asPage)
		s.get("/.mfa/nowhere", asScript)
		s.get("/", bob, "Authorization: Bearer mfa_x", asScript)
	}
	lines := strings.Split(strings.TrimSpace(strings.TrimPrefix(s.logged(), before)), "\n")
	if n := len(lines); n < 61 || n > 123 { // the minute may have passed once
		t.Errorf("%d lines", n)
	}
}

// TestRefusalsWriteNothing: neither gate nor pages have a word for the log, whatever the number of those who have no session.
func TestRefusalsWriteNothing(t *testing.T) {
	c, _ := newChain(t)
	core, logs := observer.New(zap.DebugLevel)
	c.gate.log, c.gate.faults.log = zap.New(core), zap.New(core)
	l := c.gate.app.live.Load()
	var err error
	if l.portal, err = loginui.New(l.realm, loginui.Options{Logger: slog.New(zapslog.NewHandler(core))}); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []string{"navigate", "cors"} {
		c.header.Set("Sec-Fetch-Mode", mode)
		for range 500_000 {
			if err := c.run(""); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := logs.Len(); n > 0 {
		t.Errorf("%d lines, such as %v", n, logs.All()[0])
	}
}

// TestErrorBeforeTheStoreOpened: the error routes of a site get an id that stands in the log, once in ten seconds.
func TestErrorBeforeTheStoreOpened(t *testing.T) {
	core, logs := observer.New(zap.DebugLevel)
	now := time.Now()
	v := visit{gate: &Gate{app: new(App), log: zap.New(core), now: func() time.Time { return now }}, r: httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)}
	first, second := v.logged(http.StatusForbidden, errInsecure.code), v.logged(http.StatusForbidden, errInsecure.code)
	now = now.Add(10 * time.Second)
	later := v.logged(http.StatusForbidden, errInsecure.code)
	var ids []any
	for _, e := range logs.All() {
		ids = append(ids, e.ContextMap()["error_id"])
	}
	if len(ids) != 2 || ids[0] != first || second != first || ids[1] != later || later == first {
		t.Errorf("%q, %q and %q; the log has %q", first, second, later, ids)
	}
}
