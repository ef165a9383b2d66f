package caddymodule

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// What a rule leaves unset comes from the site, the first one in written order counts, and what is missing is asked for.
func TestRequire(t *testing.T) {
	s := newSite(t)
	s.serve(`{address} {
	@posts method POST
	mfa {
		allow group:ops
		require password
		rule /admin/* {
			require webauthn
		}
		rule /fresh/* {
			require totp
			max_age 15m
		}
		rule @posts {
			require totp
		}
		rule /open/* {
			allow bob
		}
		public /free/*
		rule /free/not/* /wide/* {
			max_age 5m
		}
	}
	reverse_proxy {app}
}
`)
	ops := sessionCookie(signIn(t, "localhost", "alice", "ops")) // with password and an app that was just set up, which proves nothing
	bob := sessionCookie(signIn(t, "localhost", "bob"))
	const stepUp = "/.mfa/step-up?"
	for _, c := range []struct {
		target, cookie string
		status         int
		lead           string
	}{
		{"/", ops, 200, ""},
		{"/", bob, 403, ""},
		{"/admin/", ops, 303, stepUp + "methods=webauthn&to=%2Fadmin%2F"},
		{"/ADMIN/", ops, 303, stepUp + "methods=webauthn&to=%2FADMIN%2F"},
		{"/%61dmin/x?a=b", ops, 303, stepUp + "methods=webauthn&to=%2F%2561dmin%2Fx%3Fa%3Db"}, // it opens nothing, and asks all the same
		{"/admin//x", ops, 303, stepUp + "methods=webauthn&to=%2Fadmin%2F%2Fx"},
		{"/admin/", bob, 403, ""}, // who may not pass is not asked for anything
		{"/admin/", "", 303, "/.mfa/login?to=%2Fadmin%2F"},
		{"/fresh/", ops, 303, stepUp + "methods=totp&max_age=900&to=%2Ffresh%2F"},
		{"/open/", bob, 200, ""},
		{"/open/", ops, 403, ""},
		{"/%6Fpen/", bob, 403, ""}, // as sent it is no path of that rule
		// What Tomcat and others read as /admin/ or /fresh/ asks for the same, and for what it is as sent.
		{"/admin;x/", ops, 303, stepUp + "methods=webauthn&to=%2Fadmin%3Bx%2F"},
		{"/;x/admin/", ops, 303, stepUp + "methods=webauthn&to=%2F%3Bx%2Fadmin%2F"},
		{"//evil/admin/", ops, 303, stepUp + "methods=webauthn&to=%2F%2Fevil%2Fadmin%2F"},
		{"/admin%3Bx/", ops, 303, stepUp + "methods=webauthn&to=%2Fadmin%253Bx%2F"},
		{"/ad%00min/", ops, 400, ""},
		{"/ad%01min/", ops, 303, stepUp + "methods=webauthn&to=%2Fad%2501min%2F"},
		{"/free/x;y", "", 303, "/.mfa/login?to=%2Ffree%2Fx%3By"},
		{"/wide/", ops, 200, ""}, // the site's methods are left, and their proof is new
		{"/free/x", "", 200, ""},
		{"/admin/../free/x", ops, 400, ""},
	} {
		t.Run(c.target, func(t *testing.T) {
			headers := []string{asPage}
			if c.cookie != "" {
				headers = append(headers, c.cookie)
			}
			res := s.get(c.target, headers...)
			if res.StatusCode != c.status || res.Header.Get("Location") != c.lead {
				t.Errorf("%s to %q, want %d to %q", res.Status, res.Header.Get("Location"), c.status, c.lead)
			}
		})
	}
	t.Run("a program is told what is missing", func(t *testing.T) {
		r, _ := http.NewRequest("POST", "http://localhost/x", strings.NewReader("{}"))
		r.Header["Cookie"] = []string{strings.TrimPrefix(ops, "Cookie: ")}
		r.Header["Sec-Fetch-Mode"] = []string{"cors"}
		res := s.send(r)
		var body struct{ Error, Login string }
		if err := json.NewDecoder(res.Body).Decode(&body); err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != 401 || body.Error != "step_up_required" || body.Login != "/.mfa/step-up?methods=totp" || res.Header.Get("Www-Authenticate") != `MFA login="/.mfa/step-up?methods=totp"` {
			t.Errorf("%s %+v", res.Status, body)
		}
	})
	t.Run("the page behind it", func(t *testing.T) {
		res := s.get("/.mfa/step-up?methods=totp&to=%2Ffresh%2F", ops, asPage)
		if body, _ := io.ReadAll(res.Body); res.StatusCode != 200 || !strings.Contains(string(body), "Confirm that it is you") {
			t.Errorf("%s\n%s", res.Status, body)
		}
	})
}

// A rule that only reports lets the request go on to what would count without it, and a site that only reports lets everything through.
func TestReportOnly(t *testing.T) {
	s := newSite(t)
	const tried = `{address} {
	mfa {
		rule /admin/* {
			allow group:admins
			report_only
		}
		rule /free/* {
			require webauthn
			report_only
		}
		public /free/*
	}
	reverse_proxy {app}
}
`
	const trying = `http://trial.localhost:{port} {
	mfa {
		allow group:ops
		public /free/*
		report_only
	}
	reverse_proxy {app}
}
`
	served := tried
	s.serve(served)
	alice := sessionCookie(signIn(t, "localhost", "alice"))
	trial := "Host: trial.localhost:" + s.port
	ops := sessionCookie(signIn(t, "trial.localhost", "carol", "ops"))
	other := sessionCookie(signIn(t, "trial.localhost", "bob"))
	const noted = `"msg":"would not have passed"`
	for _, c := range []struct {
		name    string
		target  string
		headers []string
		status  int
		user    string // that the app is told
		report  string // in the line of the log, "" for none
	}{
		{"allowed but for the rule", "/admin/", []string{alice}, 200, "alice", `"decision":"deny","rule":"Caddyfile:20","user":"alice"`},
		{"a stranger is not let in", "/admin/", []string{asPage}, 303, "", `"decision":"sign_in","rule":"Caddyfile:20","user":""`},
		{"public all the same", "/free/", []string{asPage}, 200, "", `"decision":"sign_in","rule":"Caddyfile:24","user":""`},
		{"public, with the session", "/free/", []string{alice}, 200, "", `"decision":"enroll","rule":"Caddyfile:24","user":"alice"`},
		{"beside it", "/x", []string{alice}, 200, "alice", ""},
		{"a stranger passes", "/x", []string{trial, asPage, "Remote-User: mallory"}, 200, "", `"decision":"sign_in","rule":"Caddyfile:19","user":""`},
		{"who may not, passes unnamed", "/x", []string{trial, other}, 200, "", `"decision":"deny","rule":"Caddyfile:19","user":"bob"`},
		{"who may, is named", "/x", []string{trial, ops}, 200, "carol", ""},
		{"an ambiguous path passes", "/a/..%2fx", []string{trial, ops}, 200, "carol", `"decision":"ambiguous_path"`},
		{"public", "/free/x", []string{trial}, 200, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if slices.Contains(c.headers, trial) && served == tried {
				served = trying
				s.serve(served)
			}
			before := len(s.logged())
			res := s.get(c.target, c.headers...)
			if res.StatusCode != c.status {
				t.Fatal(res.Status)
			}
			if c.status == 200 {
				if got := arrived(t, res).Header.Get(headerUser); got != c.user {
					t.Errorf("the app is told %q", got)
				}
			}
			lines := s.logged()[before:]
			if n := strings.Count(lines, noted); c.report == "" && n > 0 || c.report != "" && (n != 1 || !strings.Contains(lines, c.report)) {
				t.Errorf("want %s, logged %s", c.report, lines)
			}
		})
	}
}

// What is asked for must be a path, in a method that all readers take for the same, and with a query that Caddy's matchers can read.
func TestUnclearRequests(t *testing.T) { // S70, S75
	s := newSite(t)
	s.serve(`{address} {
	@changes not method GET HEAD OPTIONS
	@open not path /admin/*
	@delete query action=delete
	mfa {
		rule @delete {
			allow group:admins
		}
		rule @changes {
			require webauthn
		}
		rule / /admin/* {
			allow group:admins
		}
		public @open
	}
	reverse_proxy {app}
}
`)
	const host = "localhost"
	cookie := signIn(t, host, "alice")
	for _, plain := range []bool{false, true} {
		if plain {
			s.serve(plainGate)
		}
		for _, c := range []struct {
			line        string
			rules, none int // status with rules, and without
		}{
			{"GET /x", 200, 200},
			{"GET http://{host}/x", 200, 200},
			{"GET /admin/x", 403, 200},
			{"GET http://{host}/admin/x", 403, 200},
			{"GET http://{host}", 403, 200}, // is /
			{"GET http://{host}?a=b", 403, 200},
			{"GET x:http://{host}/admin/x", 400, 400},
			{"GET x:admin/x", 400, 400},
			{"GET http:admin/x", 400, 400},
			{"GET *", 400, 400},
			{"CONNECT {host}", 400, 400},
			{"DELETE /x", 401, 200},
			{"MOVE /x", 401, 200},
			{"delete /x", 400, 200},
			{"Get /x", 400, 200},
			{"GET /x?action=delete", 403, 200},
			{"GET /x?;&action=delete", 400, 200},
			{"GET /x?%&action=delete", 400, 200},
			{"GET /x?a=%41", 200, 200},
		} {
			want := c.rules
			if plain {
				want = c.none
			}
			line := strings.ReplaceAll(c.line, "{host}", host+":"+s.port)
			if got := s.raw(line, "Host: "+host+":"+s.port, sessionCookie(cookie)); got != want {
				t.Errorf("%s at %s: %d, want %d", line, host, got, want)
			}
		}
	}
}

// raw sends a request as it is written, and returns the status.
func (s *site) raw(lines ...string) int {
	s.t.Helper()
	conn, err := net.Dial("tcp", "127.0.0.1:"+s.port)
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	lines[0] += " HTTP/1.1"
	if _, err := io.WriteString(conn, strings.Join(append(lines, "Connection: close", "Sec-Fetch-Mode: cors", "", ""), "\r\n")); err != nil {
		s.t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		s.t.Fatalf("%s: %v", lines[0], err)
	}
	defer res.Body.Close()
	return res.StatusCode
}

// A rule that only reports is asked about a session without using it, and a matcher that fails stops nothing at a site that only reports.
func TestReportOnlyChangesNothing(t *testing.T) { // S55
	s := newSite(t)
	s.serve(`{address} {
	@broken expression int({http.request.header.N}) > 1
	mfa {
		report_only
		rule @broken {
			allow group:admins
		}
		rule /free/* {
			allow group:admins
			report_only
		}
		public /free/*
	}
	reverse_proxy {app}
}
`)
	value := signIn(t, "localhost", "alice")
	arrived(t, s.get("/x", "N: many"))
	if !strings.Contains(s.logged(), "a matcher failed") {
		t.Error("the matcher's fault is not logged")
	}
	realm, err := running(t).Realm(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	seen := func() time.Time {
		t.Helper()
		session, _, err := realm.PeekSession(t.Context(), "localhost", value)
		if err != nil {
			t.Fatal(err)
		}
		return session.Seen
	}
	before := seen()
	arrived(t, s.get("/free/x", "N: 1", sessionCookie(value)))
	if !seen().Equal(before) {
		t.Error("a public request is a sign of life")
	}
}
