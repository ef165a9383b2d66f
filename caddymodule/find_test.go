package caddymodule

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// gateOf is a gate with rules, each for paths, and each asking for a method of its own, that its name is; "public" for none.
func gateOf(t testing.TB, rules ...[]string) *Gate {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	t.Cleanup(cancel)
	g := &Gate{site: auth.Requirement{Mode: auth.ModeSignedIn, Methods: []string{"site"}}}
	for _, paths := range rules {
		raw, _ := json.Marshal(paths[1:])
		rule := &Rule{MatcherSetsRaw: caddyhttp.RawMatcherSets{{"path": raw}}, Public: paths[0] == "public", Allow: []string{"alice"}}
		if rule.Public {
			rule.Allow = nil
		}
		if err := rule.provision(ctx, new(App), g.site); err != nil {
			t.Fatal(err)
		}
		if !rule.Public {
			rule.requirement = auth.Requirement{Mode: auth.ModeSignedIn, Methods: []string{paths[0]}}
		}
		g.Rules = append(g.Rules, rule)
	}
	g.index = indexRules(g.Rules)
	return g
}

// asksOf names what a finding asks for.
func asksOf(f finding) (out []string) {
	for need := f.need; need != nil; need = need.And {
		name := "public"
		if need.Mode != auth.ModePublic {
			name = need.Methods[0]
		}
		out = append(out, name)
	}
	return out
}

// sent is a request as a server makes it of a request line, or nil where the server or the gate refuses it.
func sent(target string) *http.Request {
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET " + target + " HTTP/1.1\r\nHost: localhost\r\n\r\n")))
	if err != nil || odd(r) || ambiguous(r.URL.Path) {
		return nil
	}
	return caddyhttp.PrepareRequest(r, caddy.NewReplacer(), discard{http.Header{}}, nil)
}

// readers are ways in which apps read the path of a request that was forwarded to them.
var readers = map[string]func(u *url.URL) string{
	"decodes":                  func(u *url.URL) string { return u.Path },
	"takes it as it was sent":  func(u *url.URL) string { return u.EscapedPath() },
	"cuts parameters":          func(u *url.URL) string { return bare(u.Path) },
	"cuts, and merges slashes": func(u *url.URL) string { return caddyhttp.CleanPath(bare(u.Path), true) },
	"cuts before it decodes": func(u *url.URL) string {
		p, _ := url.PathUnescape(bare(u.EscapedPath()))
		return p
	},
	"decodes twice": func(u *url.URL) string {
		p, err := url.PathUnescape(u.Path)
		if err != nil {
			return u.Path
		}
		return p
	},
	"resolves dots": func(u *url.URL) string { return caddyhttp.CleanPath(u.Path, true) },
	"takes a host": func(u *url.URL) string {
		if again, err := url.Parse(u.EscapedPath()); err == nil && again.Host != "" {
			return "/" + strings.TrimLeft(again.Path, "/")
		}
		return u.Path
	},
}

// underRead returns a reader to whom the request shows a path that asks for something which the gate did not ask for.
func underRead(t testing.TB, g *Gate, target string) string {
	r := sent(target)
	if r == nil {
		return ""
	}
	before := *r.URL
	f, err := g.find(r)
	if err != nil {
		t.Fatal(err)
	}
	if *r.URL != before {
		t.Fatalf("%q is forwarded as %q", target, r.URL)
	}
	got := asksOf(f)
	for name, read := range readers {
		plain := &http.Request{Method: "GET", URL: &url.URL{Path: read(r.URL)}, Header: http.Header{}}
		var want finding
		want.need = &g.site
		if err := g.first(plain.WithContext(r.Context()), &want); err != nil {
			t.Fatal(err)
		}
		if w := asksOf(want)[0]; w != "public" && !slices.Contains(got, w) {
			return fmt.Sprintf("%q asks for %q; an app that %s sees %q, which asks for %s", target, got, name, plain.URL.Path, w)
		}
	}
	return ""
}

var readRules = [][]string{
	{"public", "/open/*", "/healthz", "*.css"},
	{"admin", "/admin/*", "/admin"},
	{"deep", "/open2/deep/*", "*/secret"},
	{"encoded", "/x%2fy/*"},
	{"wiki", "/wiki/*"},
}

// pieces are what paths are made of, so that many of them mean something.
var pieces = []string{
	"/", "/", "/", "admin", "open", "open2", "deep", "secret", "healthz", "wiki", "x", "y", ".css", ";", ";a=b", "%3b", "%2f", "%2F", "%5c", "\\", "%61dmin", "%6Fpen", "..", ".",
	"%2e", "%2e%2e", "%00", "%01", "%0a", "%25", "%252f", "%3f", "%23", "?", "#", "//", "%c0%af", "é", "%C3%A9", "ADMIN", "host", "@", ":", "%20", "+", "*",
}

// begins are what a request's target begins with: mostly a path, but also a URL, with and without a host or a slash.
var begins = []string{"/", "/", "/", "/", "http://localhost/", "http://localhost", "x:", "x:/", "x://h/", "http:", "*"}

// A million requests: no path is judged by one reading and forwarded to be read by another that asks for more.
func TestDecisionIsOfWhatIsForwarded(t *testing.T) { // S70
	few := gateOf(t, readRules...)
	var many [][]string
	for i := range 50 { // enough for an index
		many = append(many, []string{fmt.Sprint("n", i), fmt.Sprintf("/n%d/*", i)})
	}
	indexed := gateOf(t, append(many, readRules...)...)
	if indexed.index == nil || few.index != nil {
		t.Fatal("which of them has an index?")
	}
	random := rand.New(rand.NewPCG(1, 2))
	judged := 0
	for range 1_000_000 {
		var b strings.Builder
		b.WriteString(begins[random.IntN(len(begins))])
		for range 1 + random.IntN(7) {
			b.WriteString(pieces[random.IntN(len(pieces))])
		}
		target := b.String()
		if why := underRead(t, few, target); why != "" {
			t.Fatal(why)
		}
		r := sent(target)
		if r == nil {
			continue
		}
		judged++
		one, err := few.find(r)
		two, err2 := indexed.find(r)
		if err != nil || err2 != nil || !slices.Equal(asksOf(one), asksOf(two)) {
			t.Fatalf("%q asks for %q, with the index for %q: %v %v", target, asksOf(one), asksOf(two), err, err2)
		}
	}
	if judged < 200_000 {
		t.Errorf("only %d of a million paths were judged", judged)
	}
}

func FuzzReadings(f *testing.F) {
	for _, s := range []string{"/admin/", "/%61dmin/", "/open/..;/admin", "x:/admin/", "x:admin", "http://localhost", "//h/admin/", "/open/x;y", "/x%2Fy/z", "/a.css;b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, target string) {
		if why := underRead(t, gateOf(t, readRules...), target); why != "" {
			t.Error(why)
		}
	})
}

// What shadow says is so: no path that the later rule matches passes the earlier one by.
func FuzzShadow(f *testing.F) {
	f.Add("/a/*", "/a/b", "/a/b")
	f.Add("*.css", "/x/y.css", "/x/y.css")
	f.Add("/a?b*", "/a?bc", "/axbc")
	f.Add("/**", "/a/*", "/a/b/c")
	f.Add("*", "/a//b", "/a//b")
	f.Fuzz(func(t *testing.T, wide, narrow, path string) {
		if !coversPath(strings.ToLower(wide), strings.ToLower(narrow)) || strings.Contains(wide+narrow, "{") || !strings.HasPrefix(path, "/") {
			return
		}
		r := caddyhttp.PrepareRequest(&http.Request{Method: "GET", URL: &url.URL{Path: path}, Header: http.Header{}}, caddy.NewReplacer(), discard{http.Header{}}, nil)
		match := func(pattern string) bool {
			m := caddyhttp.MatchPath{pattern}
			_ = m.Provision(caddy.Context{})
			return m.Match(r)
		}
		if match(narrow) && !match(wide) {
			t.Errorf("%q matches %q, and not %q, which is said to cover it", path, narrow, wide)
		}
	})
}

func TestShadow(t *testing.T) {
	for _, c := range []struct {
		wide, narrow string
		want         bool
	}{
		{"/a/*", "/a/b", true},
		{"/a/*", "/A/B", true},
		{"/a/*", "/a/*", true},
		{"/a/*", "/a/b/*", true},
		{"/a/*", "/a", false},
		{"/a/b/*", "/a/*", false},
		{"*", "/a", true},
		{"/*", "/a", true},
		{"*.css", "/a.css", true},
		{"*.css", "/*.css", false}, // it is, but a glance does not tell
		{"/a?b*", "/a?bc", false},
		{"/**", "/a/b", false},
		{"/a/*/c", "/a/b/c", true},
		{"/a/*/c", "/a/b/d/c", false},
		{"/a%2fb", "/a%2fb", true},
		{"/a*", "/a%2fb", false},
		{"/{http.vars.x}/*", "/a/b", false},
	} {
		if got := coversPath(strings.ToLower(c.wide), strings.ToLower(c.narrow)); got != c.want {
			t.Errorf("%s covers %s: %v", c.wide, c.narrow, got)
		}
	}
	set := func(s string) (out caddyhttp.RawMatcherSets) {
		if err := json.Unmarshal([]byte(s), &out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	for _, c := range []struct {
		wide, narrow string
		want         bool
	}{
		{`[]`, `[{"path":["/a"]}]`, true},
		{`[{"path":["/a"]}]`, `[]`, false},
		{`[{"path":["/*"]}]`, `[{"method":["POST"]}]`, true},
		{`[{"path":["/a/*"]}]`, `[{"path":["/a/b"],"method":["POST"]}]`, true},
		{`[{"path":["/a/*"],"method":["POST"]}]`, `[{"path":["/a/b"]}]`, false},
		{`[{"path":["/a/*"],"method":["POST"]}]`, `[{"path":["/a/b"],"method":["POST"]}]`, true},
		{`[{"path":["/a/*"]},{"method":["POST"]}]`, `[{"path":["/a/b"]},{"method":["POST"],"path":["/x"]}]`, true},
		{`[{"path":["/a/*"]}]`, `[{"path":["/a/b"]},{"method":["POST"]}]`, false},
	} {
		if got := coversAll(&Rule{MatcherSetsRaw: set(c.wide)}, &Rule{MatcherSetsRaw: set(c.narrow)}); got != c.want {
			t.Errorf("%s covers %s: %v", c.wide, c.narrow, got)
		}
	}
}
