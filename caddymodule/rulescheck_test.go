package caddymodule

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

const checkedSite = `{site} {
	@bot header User-Agent *Bot*
	@spoof header Remote-User *
	@old path /old/*
	rewrite @old /admin{path}
	vars /vip/* level high
	@vip vars level high
	redir /gone/* /
	mfa {
		public /healthz /assets/* @bot @spoof
		rule /near/* {
			allow bob
		}
		rule @vip {
			allow group:vips
		}
		rule /admin/* {
			allow group:admins
		}
		rule /totp/* {
			require totp
			max_age 15m
		}
		rule /key/* {
			require webauthn
		}
		rule /try/* {
			allow bob
			report_only
		}
	}
	handle /both/* {
		mfa {
			allow bob
		}
		reverse_proxy {app}
	}
	handle /inner/* {
		vars level low
	}
	handle /inner* {
		mfa {
			allow bob
		}
		reverse_proxy {app}
	}
	handle {
		reverse_proxy {app}
	}
}
`

// watchedSite and openSite are others.
const (
	watchedSite = `{site} {
	mfa {
		report_only
		allow bob
		public /healthz
	}
	reverse_proxy {app}
}
`
	openSite = `{site} {
	@before not path /.mfa/* /gated/*
	handle @before {
		reverse_proxy {app}
	}
	handle {
		mfa
		reverse_proxy {app}
	}
}
`
)

// on is a site on a host.
func on(host, site string) string {
	return strings.ReplaceAll(site, "{site}", "http://"+host+":{port}")
}

// pretended is who a client says it is.
const pretended = "bob"

// What the check says is what becomes of the request.
func TestRuleCheckAgreesWithTheGate(t *testing.T) {
	s := newSite(t)
	for _, c := range []struct{ host, site, name string }{
		{"localhost", checkedSite, "alice"}, {"watched.localhost", watchedSite, "carol"}, {"open.localhost", openSite, "dave"}, {"dash.example.com", checkedSite, "erin"},
	} {
		s.serve(on(c.host, c.site))
		checkAgrees(t, s, c.host, c.name, signIn(t, c.host, c.name, "admins"))
	}
}

func checkAgrees(t *testing.T, s *site, host, name, cookie string) {
	t.Helper()
	for _, target := range []string{
		"/", "/healthz", "/healthz?x=1", "/assets/a", "/assets/a;b", "/assets/../a", "/a/%2e%2e/b", "/%5c", "/%25", "/admin/", "/ADMIN/x", "/admin", "/admin%2fx", "//admin/x",
		"/old/x", "/vip/x", "/totp/", "/key/", "/try/", "/both/", "/both/%3b", "/inner/", "/innermost", "/near/", "/gated/", "/gone/x", "/.mfa/login", "/.mfa/session", "/.mfa", "/.mfax", "/%2emfa/login",
		"/admin/;/x", "/x%00", "/assets/%3f", "/a%20b",
	} {
		for _, header := range []string{"", "User-Agent: FriendlyBot", "Remote-User: " + pretended} {
			asked := askedRequest{URL: "http://" + host + ":" + s.port + target, User: name, Headers: map[string]string{}, Client: "127.0.0.1"}
			headers := []string{"Host: " + host, asScript}
			if header != "" {
				field, value, _ := strings.Cut(header, ": ")
				asked.Headers[strings.ToLower(field)] = value
				headers = append(headers, header)
			}
			got := ask(t, asked)
			stranger := became(t, s.get(target, headers...))
			user := became(t, s.get(target, append(headers, sessionCookie(cookie))...))
			if !slices.Contains(stranger, got.Stranger.Decision) {
				t.Errorf("%s: a stranger got one of %q, and the check says %+v", asked.URL, stranger, got.Stranger)
			}
			// A session in which a method was just set up has not proven it.
			if !slices.Contains(user, got.User.Decision) && (got.User.Until == "" || !slices.Contains(user, got.User.Until)) {
				t.Errorf("%s: %s got one of %q, and the check says %+v", asked.URL, name, user, got.User)
			}
		}
	}
}

// became is what a decision could have been that has led to the answer.
func became(t *testing.T, res *http.Response) []string {
	t.Helper()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		seen
		Error string `json:"error"`
	}
	_ = json.Unmarshal(body, &answer)
	switch {
	case answer.Error == "sign_in_required":
		return []string{"sign_in"}
	case answer.Error == "step_up_required":
		return []string{"step_up", "enroll"}
	case answer.Error == "forbidden":
		return []string{"deny"}
	case answer.Error != "":
		return []string{answer.Error}
	case answer.Method != "" && answer.Header.Get("Remote-User") != "" && answer.Header.Get("Remote-User") != pretended:
		return []string{"allow"}
	case answer.Method != "":
		return []string{"public", "report_only", "no_mfa"}
	case res.Header.Get("Content-Security-Policy") != "" || strings.Contains(string(body), `"signed_in"`):
		return []string{"portal"}
	case res.StatusCode == http.StatusOK && len(body) == 0:
		return []string{"allow", "public"}
	case res.StatusCode == http.StatusFound:
		return []string{"no_mfa"}
	}
	t.Fatalf("what is this? %s %s", res.Status, body)
	return nil
}

func ask(t *testing.T, asked askedRequest) checkView {
	t.Helper()
	out, err := checkRules(t.Context(), call{app: running(t)}, checkInput{[]askedRequest{asked}})
	if err != nil {
		t.Fatalf("%+v: %v", asked, err)
	}
	return out[0]
}

func TestRuleCheckNamesTheRule(t *testing.T) {
	s := newSite(t)
	s.serve(on("localhost", checkedSite))
	signIn(t, "localhost", "alice", "admins")
	base := "http://localhost:" + s.port
	var before int // lines of options before the sites
	if _, err := fmt.Sscanf(ask(t, askedRequest{URL: base}).Gates[0].Gate, "Caddyfile:%d", &before); err != nil {
		t.Fatal(err)
	}
	within := func(part string) int {
		before, _, ok := strings.Cut(checkedSite, part)
		if !ok {
			t.Fatalf("%q is not there", part)
		}
		return strings.Count(before, "\n") + 1
	}
	before -= within("mfa {")
	line := func(part string) string {
		return "Caddyfile:" + strconv.Itoa(before+within(part))
	}
	for _, c := range []struct {
		path, rule, asks, stranger, user, until string
		reports                                 int
	}{
		{"/", "", "a session", "sign_in", "allow", "", 0},
		{"/healthz", line("public /healthz /assets/* @bot"), "nothing", "public", "public", "", 0},
		{"/admin/", line("rule /admin"), "a session of group:admins", "sign_in", "allow", "", 0},
		{"/old/", line("rule /admin"), "a session of group:admins", "sign_in", "allow", "", 0},
		{"/vip/", line("rule @vip"), "a session of group:vips", "sign_in", "deny", "", 0},
		{"/totp/", line("rule /totp"), "a session, with totp, proven within the last 15 minutes", "sign_in", "allow", "step_up", 0},
		{"/key/", line("rule /key"), "a session, with webauthn", "sign_in", "enroll", "", 0},
		{"/try/", "", "a session", "sign_in", "allow", "", 1},
		{"//admin/", line("rule /admin") + ", " + line("mfa {"), "a session of group:admins", "sign_in", "allow", "", 0},
	} {
		got := ask(t, askedRequest{URL: base + c.path, User: "ALICE"})
		if len(got.Gates) != 1 {
			t.Fatalf("%s: %d gates", c.path, len(got.Gates))
		}
		g := got.Gates[0]
		if c.rule != g.Rule || strings.Join(g.Asks, "; ") != c.asks {
			t.Errorf("%s: %+v", c.path, g)
		}
		if got.Stranger.Decision != c.stranger || got.User.Decision != c.user || got.User.Until != c.until || len(g.Reports) != c.reports {
			t.Errorf("%s: %+v %+v %+v", c.path, got.Stranger, got.User, g.Reports)
		}
	}
	if r := ask(t, askedRequest{URL: base + "/try/", User: "alice"}).Gates[0].Reports[0]; r.Rule != line("rule /try") || r.Stranger != "sign_in" || r.User != "deny" {
		t.Errorf("the rule that only reports: %+v", r)
	}
	if got := ask(t, askedRequest{URL: base + "/", User: "mallory"}); !got.User.Unknown || got.User.Decision != "sign_in" {
		t.Errorf("an unknown user: %+v", got.User)
	}
	if got := ask(t, askedRequest{URL: base + "/", Headers: map[string]string{"user-agent": "NiceBot"}}); got.Stranger.Decision != "public" {
		t.Errorf("a header is not seen: %+v", got)
	}
}

// Who cannot sign in passes nowhere, whatever was set up before.
func TestRuleCheckOfWhoCannotSignIn(t *testing.T) {
	s := newSite(t)
	s.serve(plainGate)
	signIn(t, "localhost", "alice")
	realm, err := running(t).Realm(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := realm.AddUser(t.Context(), auth.NewUser{Name: "bob", Password: "correct horse battery staple 42"}); err != nil {
		t.Fatal(err)
	}
	target := "http://localhost:" + s.port + "/"
	if got := ask(t, askedRequest{URL: target, User: "bob"}); got.User.Decision != "sign_in" || got.User.State != stateIncomplete {
		t.Errorf("with a password alone: %+v", got.User)
	}
	if err := realm.SetDisabled(t.Context(), "alice", true); err != nil {
		t.Fatal(err)
	}
	if got := ask(t, askedRequest{URL: target, User: "alice"}); got.User.Decision != "sign_in" || got.User.State != stateDisabled {
		t.Errorf("disabled: %+v", got.User)
	}
	s.serve(plainGate, "methods webauthn")
	if err := realm.SetDisabled(t.Context(), "alice", false); err != nil {
		t.Fatal(err)
	}
	if got := ask(t, askedRequest{URL: target, User: "alice"}); got.User.Decision != "sign_in" {
		t.Errorf("with a method that is switched off: %+v", got.User)
	}
}

func TestRuleCheckOfWhoIsBlocked(t *testing.T) {
	s := newSite(t)
	s.serve(plainGate)
	state := stateActive
	k := ruleCheck{web: webOf(t), app: running(t), person: func(string) (userView, error) {
		return userView{Name: "alice", State: state, Methods: []string{"password", "totp"}}, nil
	}}
	for _, want := range []struct{ state, decision string }{{stateActive, "allow"}, {stateBlocked, "sign_in"}} {
		state = want.state
		out, err := k.run(t.Context(), checkInput{[]askedRequest{{URL: "http://localhost:" + s.port, User: "alice"}}})
		if err != nil || out[0].User.Decision != want.decision {
			t.Errorf("%s: %+v, %v", want.state, out, err)
		}
	}
}

func webOf(t *testing.T) *caddyhttp.App {
	t.Helper()
	app, err := running(t).ctx.AppIfConfigured("http")
	if err != nil {
		t.Fatal(err)
	}
	return app.(*caddyhttp.App)
}

// How a request gets to Caddy decides whether people can sign in.
func TestRuleCheckByHTTPS(t *testing.T) {
	const target = "https://dash.example.com/"
	s := newSite(t)
	s.serve("http://dash.example.com:{port} {\n\tmfa\n}\n")
	if got := ask(t, askedRequest{URL: target}); got.Stranger.Decision != "sign_in" {
		t.Errorf("behind a proxy: %+v", got)
	}
	if got := ask(t, askedRequest{URL: target, Headers: map[string]string{"X-Forwarded-Proto": "http"}}); got.Stranger.Decision != "https_required" {
		t.Errorf("behind a proxy that says http: %+v", got)
	}
	s.serve("http://:{port} {\n\tmfa\n}\n", "url https://dash.example.com")
	if got := ask(t, askedRequest{URL: "https://www.example.com/"}); got.Stranger.Decision != "unknown_host" {
		t.Errorf("under another name: %+v", got)
	}
	if got := ask(t, askedRequest{URL: target}); got.Stranger.Decision != "sign_in" {
		t.Errorf("under its name: %+v", got)
	}
	s.serve("http://a.localhost:{port} {\n\trespond hi\n}\n")
	for target, want := range map[string]string{"http://a.localhost/": "no_mfa", "http://b.localhost/": "no_site"} {
		if got := ask(t, askedRequest{URL: target}); got.Stranger.Decision != want {
			t.Errorf("%s: %+v", target, got)
		}
	}
}

func TestAskedRequest(t *testing.T) {
	for _, c := range []struct{ url, host, path, query string }{
		{"https://dash.example.com", "dash.example.com", "/", ""},
		{"HTTPS://Dash.example.com:8443/a%2fb?c=d#e", "Dash.example.com:8443", "/a/b", "c=d"},
		{"http://[2001:db8::1]:80/a", "[2001:db8::1]:80", "/a", ""},
		{"https://dash.example.com?x", "dash.example.com", "/", "x"},
		{"https://dash.example.com//evil.example.com/a", "dash.example.com", "//evil.example.com/a", ""},
	} {
		r, https, err := (&askedRequest{URL: c.url}).request()
		if err != nil || r.Host != c.host || r.URL.Path != c.path || r.URL.RawQuery != c.query || r.URL.Host != "" || https != strings.HasPrefix(strings.ToLower(c.url), "https") {
			t.Errorf("%s: %+v, %v", c.url, r, err)
		}
	}
	for _, bad := range []string{
		"", "dash.example.com", "/admin/", "ftp://dash.example.com/", "https://", "https:///a", "https://alice@dash.example.com/", "https://dash.example.com/%zz", "https://dash example.com/",
		"https://dash.example.com/\r\nX: y", "https://dash.example.com:port/", "//dash.example.com/", "https:/dash.example.com/",
	} {
		if _, _, err := (&askedRequest{URL: bad}).request(); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	if _, _, err := (&askedRequest{URL: "https://dash.example.com/", Client: "localhost"}).request(); err == nil {
		t.Error("a client that is no address is taken")
	}
}

func FuzzAskedRequest(f *testing.F) {
	for _, seed := range []string{"https://dash.example.com/a?b#c", "http://[::1]:80", "https://a@b/", "http://\x00/", "https://dash.example.com//x/..%2f"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, target string) {
		r, _, err := (&askedRequest{URL: target}).request()
		if err != nil {
			return
		}
		if u, bad := url.ParseRequestURI(r.RequestURI); bad != nil || u.Path != r.URL.Path || r.Host == "" || !strings.HasPrefix(r.URL.Path, "/") {
			t.Errorf("%q: %+v", target, r)
		}
	})
}
