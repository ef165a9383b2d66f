package caddymodule

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const ruledGate = `mfa {
		public /healthz
		rule /try/* {
			allow alice
			report_only
		}
		rule /admin/* {
			allow group:admins
			require totp
			max_age 15m
		}
	}`

// ruleRows run on a site with ruledGate, whose gate stands in line 11. BASE is its address.
var ruleRows = []commandRow{
	{name: "a stranger", line: "rules check BASE/x", out: `^GET BASE/x
Asked:       ASKED
Gate:        Caddyfile:11
Rule:        none; what the gate itself says counts
Asks for:    a session
A stranger:  sign_in by Caddyfile:11: must sign in first
$`},
	{name: "a user", line: "rules check --user Alice BASE/admin/x", out: `^GET BASE/admin/x
Asked:        ASKED
Gate:         Caddyfile:11
Rule:         Caddyfile:17
Asks for:     a session of group:admins, with totp, proven within the last 15 minutes
Answered by:  static_response
A stranger:   sign_in by Caddyfile:17: must sign in first
Alice:        allow by Caddyfile:17: may pass, once what is asked for is proven; until then step_up
$`},
	{name: "a user without a second method", line: "rules check --user bob BASE/", out: `\nbob: +sign_in by Caddyfile:11: must sign in first \(incomplete, has not set up a second method\)\n$`},
	{name: "a user as JSON", line: "rules check --user alice --json BASE/admin/", out: `(?s)^\{\n  "asked": "ASKED",\n  "method": "GET",\n.*"user": \{\n    "name": "alice",\n    "state": "active",\n    "decision": "allow",\n    "by": "Caddyfile:17",\n    "until": "step_up"\n  \},\n  "gates": \[`},
	{name: "public", line: "rules check BASE/healthz", out: `\nRule: +Caddyfile:12\nAsks for: +nothing\nAnswered by: +static_response\nA stranger: +public by Caddyfile:12: may pass, signed in or not\n$`},
	{name: "a rule that reports", line: "rules check --user bob BASE/try/", out: `\nOnly reports: +Caddyfile:13, asks for a session of alice: would decide sign_in for a stranger, sign_in for bob\n`},
	{name: "the pages", line: "rules check BASE/.mfa/login", out: `\nGate: +Caddyfile:11\nA stranger: +portal by Caddyfile:11: gets the sign-in pages\n$`},
	{name: "ambiguous", line: "rules check BASE/a/../b", out: `\nA stranger: +ambiguous_path by Caddyfile:11: is refused \(400\)`},
	{name: "another host", line: "rules check http://nobody.localhost/", out: `\nA stranger: +no_site: no site serves this host\n$`},
	{name: "more of the request", line: "rules check --method POST --header X-A:_b --header X-C:d --client 2001:db8::1 BASE/", out: `^POST BASE/\n`},

	{name: "an unknown user", line: "rules check --user mallory BASE/", code: 1, err: `^Error: There is no user "mallory"\.\n$`},
	{name: "no URL", line: "rules check", code: 2, err: `^Error: URL is missing \(see caddy mfa rules check --help\)\n$`},
	{name: "two URLs", line: "rules check BASE/a BASE/b", code: 2, err: `is too much`},
	{name: "a bad URL", line: "rules check localhost/admin", code: 2, err: `^Error: "localhost/admin" is no URL such as https://dash\.example\.com/admin/ \(`},
	{name: "a URL with an escape sequence", line: "rules check http://localhost/\x1b[2J", code: 2, err: `^Error: [^\x1b]*\n$`},
	{name: "a URL that is no text", line: "rules check http://localhost/\xff", code: 1, err: `UTF-8`},
	{name: "a bad client", line: "rules check --client here BASE/", code: 2, err: `"here" is no IP address`},
	{name: "a bad header", line: "rules check --header X BASE/", code: 2, err: `--header "X" is not "Name: value"`},
	{name: "an empty user", line: "rules check --user '' BASE/", code: 2, err: `--user`},
	{name: "no config", line: "rules check --config missing BASE/", code: 1, err: `missing`},

	{name: "a log and a URL", line: "rules check --log access.log BASE/", code: 2, err: `exclude`},
	{name: "a log and a user", line: "rules check --log access.log --user alice", code: 2, err: `--user`},
	{name: "too many examples", line: "rules check --log access.log --examples 11", code: 2, err: `0 to 10`},
	{name: "examples without a log", line: "rules check --examples 1 BASE/", code: 2, err: `--log`},
	{name: "no log", line: "rules check --log missing.log", code: 1, err: `missing\.log`},
	{name: "a log that is no JSON", line: "rules check --log -", stdin: "127.0.0.1 - - GET /\nanother\n", code: 1, err: `^Error: No line of the log is a request in JSON\. `},
	{name: "a log that is not compressed", line: "rules check --log plain.gz", code: 1, err: `plain\.gz`},
	{name: "an empty log", line: "rules check --log -", out: `\n0 lines: 0 requests\.\n\nThe log names`},
	{name: "the log and the config on one input", line: "rules check --log - --config -", code: 2, err: `Standard input`},
	{name: "a log", line: "rules check --log access.log", out: `^Asked: ASKED
14 lines: 9 requests, 1 of hosts that no site here serves, 2 about something else, 2 that could not be read, 1 of users that there are no more, counted as strangers\.

DECISION  BY            REQUESTS  SHARE  2XX IN THE LOG
allow     Caddyfile:11  1         11\.1%  1
allow     Caddyfile:17  1         11\.1%  1
public    Caddyfile:12  1         11\.1%  1
sign_in   Caddyfile:11  5         55\.6%  0
sign_in   Caddyfile:17  1         11\.1%  1

sign_in Caddyfile:11
  3 x GET BASE/x \(stranger\)
  1 x GET BASE/y \(stranger\)
  1 x POST BASE/try/ \(stranger\)

sign_in Caddyfile:17
  1 x GET BASE/admin/ mallory

Rules that only report:

WOULD    BY            REQUESTS  SHARE  2XX IN THE LOG
sign_in  Caddyfile:13  1         11\.1%  0

sign_in Caddyfile:13
  1 x POST BASE/try/ \(stranger\)

The log names those whom .*
$`},
	{name: "a log with fewer examples", line: "rules check --log access.log.gz --examples 1", out: `(?s)\n  3 x GET BASE/x \(stranger\)\n\nsign_in Caddyfile:17`},
	{name: "a log without examples", line: "rules check --log access.log.gz --examples 0", out: `^[^(]*$`},
	{name: "a log as JSON", line: "rules check --log access.log.gz --json", out: `(?s)"lines": 14,\n  "requests": 9,\n  "other_hosts": 1,\n  "other": 2,\n  "unreadable": 2,\n  "unknown_users": 1,.*"decision": "allow",\n      "by": "Caddyfile:11",\n      "requests": 1,\n      "answered_2xx": 1\n    \},`},
}

// accessLog is what Caddy wrote, in 14 lines.
func accessLog(port string) []byte {
	var b bytes.Buffer
	line := func(method, host, uri, user string, status int, agent string) {
		fmt.Fprintf(&b, `{"level":"info","ts":1.5,"logger":"http.log.access.log0","msg":"handled request","request":{"remote_ip":"127.0.0.1","remote_port":"1",`+
			`"client_ip":"127.0.0.1","proto":"HTTP/1.1","method":%q,"host":%q,"uri":%q,"headers":{"User-Agent":[%q],"Accept":["*/*"]}},"bytes_read":0,`+
			`"user_id":%q,"duration":0.1,"size":5,"status":%d,"resp_headers":{}}`+"\n", method, host, uri, agent, user, status)
	}
	host := "localhost:" + port
	line("GET", host, "/x", "", 303, "a")
	line("GET", host, "/x", "", 401, "b")
	b.WriteString(`{"level":"info","ts":1.5,"logger":"tls","msg":"certificate obtained"}` + "\n\n")
	line("GET", host, "/x", "", 303, "a")
	line("GET", host, "/y", "", 303, "a")
	line("GET", host, "/y", "alice", 200, "a")
	line("GET", host, "/healthz", "", 204, "a")
	line("GET", host, "/admin/", "alice", 200, "a")
	line("GET", host, "/admin/", "mallory", 200, "a")
	line("POST", host, "/try/", "", 303, "a")
	line("GET", "nobody.localhost", "/", "", 404, "a")
	b.WriteString("{cut off\n")
	fmt.Fprintf(&b, `{"level":"error","logger":"http.log.error","msg":"dial tcp: refused","request":{"method":"GET","host":%q,"uri":"/x"},"status":502}`+"\n", host)
	line("GET", host, "/"+strings.Repeat("long", maxLogLine/4), "", 200, "a")
	return b.Bytes()
}

func TestRulesCheck(t *testing.T) {
	m := newMachine(t)
	m.configureSite(ruledGate)
	stop := m.serve()
	m.signUp("alice", "--group", "admins")
	m.mustWith(alicesPassword+"\n", nil, "mfa", "user", "add", "bob", "--password-stdin")
	_, port, _ := strings.Cut(m.site, ":")
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	zip.Write(accessLog(port))
	zip.Close()
	for name, content := range map[string][]byte{"access.log": accessLog(port), "access.log.gz": packed.Bytes(), "plain.gz": accessLog(port)} {
		if err := os.WriteFile(filepath.Join(m.home, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(t *testing.T, asked string, options ...string) {
		for _, row := range ruleRows {
			t.Run(row.name, func(t *testing.T) {
				fill := strings.NewReplacer("BASE", regexp.QuoteMeta(m.base()), "ASKED", regexp.QuoteMeta(asked)).Replace
				row.out, row.line = fill(row.out), strings.ReplaceAll(row.line, "BASE", m.base())
				args := append([]string{"mfa"}, words(row.line)...)
				if !strings.Contains(row.line, "--config") {
					args = append(args, options...)
				}
				check(t, row, m.run(row.stdin, args...))
			})
		}
	}
	t.Run("server", func(t *testing.T) { run(t, "the running configuration, at "+m.admin) })

	// The other one keeps its address, and differs in one rule.
	elsewhere := strings.Replace(ruledGate, "/admin/*", "/other/*", 1)
	before := m.run("", "mfa", "rules", "check", m.base()+"/admin/")
	m.configureSite(elsewhere)
	if after := m.run("", "mfa", "rules", "check", m.base()+"/admin/"); after != before || !strings.Contains(after.stdout, "Caddyfile:17") {
		t.Errorf("a Caddyfile that nobody named counts:\n%s%s", after.stdout, after.stderr)
	}
	if r := m.run("", "mfa", "rules", "check", "--config", "Caddyfile", "--user", "alice", m.base()+"/admin/"); r.code != 0 ||
		strings.Contains(r.stdout, "Caddyfile:17") || !strings.Contains(r.stdout, "the configuration Caddyfile\n") || !strings.Contains(r.stdout, "allow by Caddyfile:11") {
		t.Errorf("the Caddyfile that --config names: %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	m.configureSite(ruledGate)
	t.Run("a file, beside a server", func(t *testing.T) { run(t, "the configuration Caddyfile", "--config", "Caddyfile") })
	t.Run("a file, and where the server is", func(t *testing.T) {
		run(t, "the configuration Caddyfile", "--config", "Caddyfile", "--address", m.admin)
	})
	stop()
	t.Run("no server", func(t *testing.T) { run(t, "the configuration Caddyfile") })
}

func TestRulesCheckWithoutAnything(t *testing.T) {
	m := newMachine(t)
	const target = "https://dash.example.com/"
	temporary := filepath.Join(m.home, "tmp")
	if err := os.Mkdir(temporary, 0o700); err != nil {
		t.Fatal(err)
	}
	m.env = append(m.env, "TMPDIR="+temporary)
	refused := func(name, err string, args ...string) {
		t.Helper()
		r := m.run("", append([]string{"mfa", "rules", "check", target}, args...)...)
		if r.code != 1 || !regexp.MustCompile(err).MatchString(r.stderr) || r.stdout != "" {
			t.Errorf("%s: exit code %d\n%s%s", name, r.code, r.stdout, r.stderr)
		}
	}
	m.configure("dash.example.com {\n\tlog {\n\t\toutput file " + m.home + "/made.log\n\t}\n\ttls internal\n\tmfa\n}\n{$NOTHING}\n")
	var v checkView
	m.must(&v, "mfa", "rules", "check", "--json", "--config", "Caddyfile", target)
	if v.Stranger.Decision != "sign_in" || v.Stranger.By != "Caddyfile:6" {
		t.Errorf("%+v", v)
	}
	if entries, err := os.ReadDir(m.home); err != nil || len(entries) != 2 {
		t.Errorf("asking leaves something behind: %v, %v", entries, err)
	}
	if entries, err := os.ReadDir(temporary); err != nil || len(entries) > 0 {
		t.Errorf("asking leaves something behind: %v, %v", entries, err)
	}
	refused("a user without a store", `There is no user "alice"`, "--user", "alice", "--config", "Caddyfile")
	m.configure("dash.example.com {\n\trespond hi\n}\n")
	refused("a config without mfa", `^Error: The config does not use mfa\.\n$`, "--config", "Caddyfile")
	m.configure("{\n\tmfa\n}\n")
	refused("a config without sites", `^Error: The config has no sites\.\n$`, "--config", "Caddyfile")
	m.configure("dash.example.com {\n\thandle /a/* {\n\t\tmfa\n\t}\n}\n")
	refused("a config that would not start", `^Error: the config would not start: only some paths of dash\.example\.com lead to mfa`, "--config", "Caddyfile")
	m.configure("dash.example.com {\n\tmfa {\n\t\tallow\n\t}\n}\n")
	refused("a config that is wrong", `Caddyfile:3`, "--config", "Caddyfile")
	if err := os.Remove(filepath.Join(m.home, "Caddyfile")); err != nil {
		t.Fatal(err)
	}
	m.env = append(m.env, "CADDY_ADMIN="+m.admin)
	refused("no config and no server", `^Error: No Caddy answers, and there is no Caddyfile here: name the configuration to ask with --config\.\n$`)
}

func TestRulesCheckByAdminAPI(t *testing.T) {
	m := newMachine(t)
	m.configureSite(ruledGate)
	m.serve()
	post := func(body string) (int, string) { return m.ask("POST", "/mfa/rules/check", "application/json", body) }
	if status, answer := post(`{"requests":[{"url":"` + m.base() + `/admin/"},{"url":"` + m.base() + `/healthz"}]}`); status != 200 ||
		!strings.Contains(answer, `"by":"Caddyfile:17"`) || !strings.Contains(answer, `"decision":"public"`) {
		t.Errorf("%d %s", status, answer)
	}
	one := `{"url":"http://localhost/"},`
	for name, c := range map[string]struct {
		body   string
		status int
		want   string
	}{
		"a bad URL":         {`{"requests":[{"url":"localhost"}]}`, 400, "no URL"},
		"an unknown field":  {`{"requests":[{"url":"http://localhost/","path":"/"}]}`, 400, "path"},
		"too many":          {`{"requests":[` + strings.Repeat(one, maxAsked) + strings.TrimSuffix(one, ",") + `]}`, 400, "500 at most"},
		"too large":         {`{"requests":[{"url":"http://localhost/` + strings.Repeat("a", maxAdminBody) + `"}]}`, 413, "64 KiB"},
		"as many as can be": {`{"requests":[` + strings.TrimSuffix(strings.Repeat(one, maxAsked), ",") + `]}`, 200, "sign_in"},
		"an unknown user":   {`{"requests":[{"url":"http://localhost/","user":"mallory"}]}`, 200, `"unknown":true`},
	} {
		status, answer := post(c.body)
		if status != c.status || !strings.Contains(answer, c.want) {
			t.Errorf("%s: %d %.200s", name, status, answer)
		}
	}
	if status, _ := m.ask("GET", "/mfa/rules/check", "", ""); status != 405 {
		t.Errorf("by GET: %d", status)
	}
}

// What Caddy itself writes can be read.
func TestRulesCheckReadsCaddysLog(t *testing.T) {
	m := newMachine(t)
	m.configureSite("log {\n\t\toutput file access.log\n\t}\n\t" + ruledGate)
	stop := m.serve()
	_, visitor := m.signUp("alice")
	m.sees(visitor, 200)
	for range 2 {
		if _, err := visitor.Fetch(t.Context(), "/admin/?a=b"); err != nil {
			t.Fatal(err)
		}
	}
	stop() // the last line is written by then
	var v logView
	m.must(&v, "mfa", "rules", "check", "--json", "--log", "access.log")
	got, refused := map[string]int{}, 0
	for _, c := range v.Decisions {
		got[c.Decision] += c.Requests
		if c.By != "Caddyfile:20" {
			continue
		}
		if refused += c.Requests; c.Decision != "sign_in" || len(c.Examples) != 1 || c.Examples[0] != (logExample{"GET", m.base() + "/admin/?a=b", "", 2}) {
			t.Errorf("what was refused: %+v", c)
		}
	}
	if refused != 2 || got["sign_in"] < 3 || got["allow"] != 2 || got["portal"] < 5 || v.Unreadable+v.Other+v.OtherHosts+v.Unknown > 0 {
		t.Errorf("%v, %+v", got, v)
	}
}

// A long log is asked about in parts, each request once for as long as it waits, and adds up.
func TestReplayInParts(t *testing.T) {
	const lines, repeats = 9000, 3
	calls, asked := 0, 0
	var log bytes.Buffer
	l := &replayed{examples: 3, waiting: map[string]*[2]int{}, ask: func(requests []json.RawMessage) ([]checkView, error) {
		if calls++; calls == 1 && log.Len() == 0 {
			t.Error("the whole log was read before the first call")
		}
		asked += len(requests)
		if n := len(checkBody(requests)); n > maxAdminBody || len(requests) > maxAsked {
			t.Fatalf("one call of %d requests, %d bytes", len(requests), n)
		}
		out := make([]checkView, len(requests))
		for i, r := range requests {
			var in askedRequest
			if err := json.Unmarshal(r, &in); err != nil {
				t.Fatal(err)
			}
			out[i] = checkView{Method: in.Method, URL: in.URL, Stranger: verdict{Decision: "deny", By: in.URL[len(in.URL)-1:]}}
		}
		return out, nil
	}}
	for i := range lines {
		pad := 4000
		if i > lines/2 {
			pad = 1
		}
		fmt.Fprintf(&log, `{"msg":"handled request","status":%d,"request":{"method":"GET","host":"dash.example.com","uri":"/%s/%d"}}`+"\n", 200+300*(i%2), strings.Repeat("x", pad), i/repeats)
	}
	if err := l.read(&log, io.Discard); err != nil {
		t.Fatal(err)
	}
	sum, ok := 0, 0
	for _, c := range l.Decisions {
		sum, ok = sum+c.Requests, ok+c.OK
		if len(c.Examples) != 3 {
			t.Errorf("%d examples", len(c.Examples))
		}
	}
	if sum != lines || ok != lines/2 || l.Requests != lines || l.Lines != lines || len(l.Decisions) != 10 {
		t.Errorf("%d of %d, %d answered, %+v", sum, lines, ok, l.logView)
	}
	if asked > lines/repeats+10 || calls < 2 || l.bytes != 0 || len(l.waiting) != 0 || len(l.order) != 0 {
		t.Errorf("%d calls about %d requests, %d bytes wait", calls, asked, l.bytes)
	}
}
