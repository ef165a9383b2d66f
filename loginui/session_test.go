package loginui

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/words/wordstest"
)

// TestSessionScript: what apps include fits into 2 KiB, is for everybody on the host and for no other site, and is asked for anew seldom.
func TestSessionScript(t *testing.T) {
	r := newRig(t)
	signedIn, _ := r.account()
	for name, b := range map[string]*browser{"a stranger": {r, map[string]string{}, nil}, "alice": signedIn} {
		got := b.want(b.get("/.mfa/session.js"), 200, "mfa:signedout")
		if n := len(got.body); n > 2048 || n < 1024 {
			t.Errorf("%s: %d bytes", name, n)
		}
		for key, want := range map[string]string{
			"Content-Type": "text/javascript; charset=utf-8", "Cache-Control": "max-age=300", "Content-Encoding": "", "Set-Cookie": "",
			"Cross-Origin-Resource-Policy": "same-origin", "X-Content-Type-Options": "nosniff",
		} {
			if is := got.Header.Get(key); is != want {
				t.Errorf("%s: %s: %q, want %q", name, key, is, want)
			}
		}
		req := b.request(http.MethodGet, "/.mfa/session.js", "")
		req.Header.Set("Accept-Encoding", "gzip, br")
		zipped := b.send(req)
		if is := zipped.Header.Get("Content-Encoding"); zipped.StatusCode != http.StatusOK || is != "gzip" || zipped.Header.Get("Etag") == got.Header.Get("Etag") || len(zipped.body) > 1400 {
			t.Errorf("%s takes gzip: %s, %q, %d bytes, tag %s", name, zipped.Status, is, len(zipped.body), zipped.Header.Get("Etag"))
		}
		if z, err := gzip.NewReader(strings.NewReader(zipped.body)); err != nil {
			t.Error(err)
		} else if plain, err := io.ReadAll(z); err != nil || wordstest.Unmark(string(plain)) != wordstest.Unmark(got.body) {
			t.Errorf("%s: %v: %s, want %s", name, err, plain, got.body)
		}
		req.Header.Set("If-None-Match", zipped.Header.Get("Etag"))
		if again := b.send(req); again.StatusCode != http.StatusNotModified || again.body != "" {
			t.Errorf("%s has it already, zipped: %s, %d bytes", name, again.Status, len(again.body))
		}
		req.Header.Del("Accept-Encoding")
		b.want(b.send(req), 200, "mfa:signedout")
		req.Header.Set("If-None-Match", got.Header.Get("Etag"))
		if again := b.send(req); again.StatusCode != http.StatusNotModified || again.body != "" {
			t.Errorf("%s has it already: %s, %d bytes", name, again.Status, len(again.body))
		}
		req.Header.Set("If-None-Match", `"another"`)
		b.want(b.send(req), 200, "mfa:signedout")
	}
}

// TestSessionScriptInALanguage: the window of the script speaks the language of the pages, and caches keep the languages apart. Words in other
// scripts take a little more than 2 KiB.
func TestSessionScriptInALanguage(t *testing.T) {
	r := newRig(t)
	tags := map[string]string{}
	for _, l := range catalogue().Languages() {
		b := r.browser()
		req := b.request(http.MethodGet, "/.mfa/session.js", "")
		req.Header.Set("Accept-Language", l.Tag)
		got := b.want(b.send(req), 200, "mfa:signedout")
		for _, id := range scriptTexts {
			if text := wordstest.Unmark(l.Text(id)); !strings.Contains(got.body, `"`+text+`"`) || strings.Contains(got.body, id) {
				t.Errorf("%s: no %q for %s in %s", l.Tag, text, id, got.body)
			}
		}
		dir := "ltr"
		if l.Tag == "ar" {
			dir = "rtl"
		}
		if !strings.Contains(got.body, fmt.Sprintf(`lang:%q,dir:%q`, l.Tag, dir)) {
			t.Errorf("%s: the dialog does not say which language it is in: %s", l.Tag, got.body)
		}
		if vary := got.Header.Get("Vary"); vary != "Accept-Encoding, Accept-Language, Cookie" {
			t.Errorf("Vary: %q", vary)
		}
		if n := len(got.body); n > 2148 {
			t.Errorf("%s: %d bytes", l.Tag, n)
		}
		tag := got.Header.Get("Etag")
		if tags[tag] != "" {
			t.Errorf("%s and %s share %s", l.Tag, tags[tag], tag)
		}
		tags[tag] = l.Tag
	}
}

func TestTight(t *testing.T) {
	tests := map[string]struct{ js, want string }{
		"comments, indentation, lines": {"// about\n{\n  // more\n  a = b\n\n  return a\n}\n", "{a=b\nreturn a}"},
		"words and numbers":            {"let n = 2, ok\nfor (const x of [1, 2]) f(x)\n", "let n=2,ok\nfor(const x of[1,2])f(x)"},
		"a list goes on":               {"const a = 1,\n  b = 2\n", "const a=1,b=2"},
		"strings stay":                 {`f("a, b: c", d ? ". Go on." : "{ }")`, `f("a, b: c",d?". Go on.":"{ }")`},
	}
	for name, tt := range tests {
		if got := string(tight([]byte(tt.js))); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
	// What our scripts have to do without: a comment behind code, which may swallow what comes to stand on its line, and blanks in strings in
	// other quotes and in regular expressions.
	files, err := assetFiles.ReadDir("assets")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".js") {
			continue
		}
		body, err := assetFiles.ReadFile("assets/" + f.Name())
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(body)) {
			line = strings.TrimSpace(line)
			if strings.HasPrefix(line, "//") {
				continue
			}
			if strings.Count(line, `"`)%2 != 0 {
				t.Errorf("%s has a quote that nothing closes: %s", f.Name(), line)
			}
			for _, no := range []string{`\s//\s`, `/\*`, "`", `'[^']* [^']*'`, `[(=,:!&|?]\s*/[^/]* [^/]*/[a-z]*[.,;)]`} {
				if regexp.MustCompile(no).MatchString(line) {
					t.Errorf("%s has %s: %s", f.Name(), no, line)
				}
			}
		}
	}
}

// TestSessionAsked: with the query of a step-up page, the answer is what the gate would say to that rule.
func TestSessionAsked(t *testing.T) {
	r := newRig(t)
	r.addAlice()
	b := r.browser()
	b.get("/.mfa/login")
	b.want(b.post("/.mfa/login", "name", "alice", "password", password), 303, "/.mfa/enroll")
	secret, _ := b.enroll("/")
	const missing = `"step_up_required":true`
	ask := func(query string, required bool) {
		t.Helper()
		got := b.want(b.get("/.mfa/session"+query), 200, `"signed_in":true`)
		if strings.Contains(got.body, missing) != required {
			t.Errorf("%s after a while: %s", query, got.body)
		}
		if cache := got.Header.Get("Cache-Control"); cache != "no-store" {
			t.Errorf("Cache-Control %q", cache)
		}
	}
	ask("", false)
	ask("?methods=password", false)
	ask("?methods=totp", true) // setting up is no proof
	b.want(b.post("/.mfa/step-up", "methods", "totp", "to", "/.mfa/signed-in"), 303, "/.mfa/verify/totp")
	r.pass(time.Minute)
	b.want(b.post("/.mfa/verify/totp", "code", r.code(secret)), 303, "/.mfa/signed-in")
	ask("?methods=totp&max_age=600", false)
	ask("?methods=webauthn+totp", false)
	ask("?methods=webauthn", true)
	ask("?methods=nonsense&max_age=-1", false)
	r.pass(11 * time.Minute)
	ask("", false)
	ask("?methods=totp", false)
	ask("?methods=totp&max_age=600", true)
	ask("?max_age=600", true)
	ask("?max_age=660", false)
	b.want(b.post("/.mfa/logout"), 303)
	b.want(b.get("/.mfa/session?max_age=600"), 200, `{"signed_in":false}`)
	b.want(b.send(b.request(http.MethodHead, "/.mfa/session", "")), 200)
}

// TestSignedIn is where the window of an app ends, and how it comes there.
func TestSignedIn(t *testing.T) {
	r := newRig(t)
	signedIn, _ := r.account()
	signedIn.want(signedIn.get("/.mfa/signed-in"), 200, "You are signed in", "You can close this window.")
	signedIn.want(signedIn.get("/.mfa/login?&to=/.mfa/signed-in"), 303, "/.mfa/signed-in")
	signedIn.want(signedIn.get("/.mfa/step-up?methods=totp&to=/.mfa/signed-in"), 200, `value="/.mfa/signed-in"`)
	stranger := r.browser()
	stranger.want(stranger.get("/.mfa/signed-in"), 303, "/.mfa/login?to=%2F.mfa%2Fsigned-in")
	stranger.want(stranger.get("/.mfa/login?to=/.mfa/signed-in"), 200, `value="/.mfa/signed-in"`)
}
