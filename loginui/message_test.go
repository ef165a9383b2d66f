package loginui

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/internal/words/wordstest"
)

func TestNavigation(t *testing.T) {
	const accept = "text/html,application/xhtml+xml,*/*;q=0.8"
	tests := map[string]struct {
		method  string
		headers map[string]string
		want    bool
	}{
		"browser":                 {"GET", map[string]string{"Sec-Fetch-Mode": "navigate", "Accept": accept}, true},
		"form":                    {"POST", map[string]string{"Sec-Fetch-Mode": "navigate"}, true},
		"fetch":                   {"GET", map[string]string{"Sec-Fetch-Mode": "cors", "Accept": accept}, false},
		"image":                   {"GET", map[string]string{"Sec-Fetch-Mode": "no-cors", "Accept": accept}, false},
		"old browser":             {"GET", map[string]string{"Accept": accept}, true},
		"old browser, HEAD":       {"HEAD", map[string]string{"Accept": "Text/HTML"}, true},
		"old browser, form":       {"POST", map[string]string{"Accept": accept}, false},
		"program":                 {"GET", map[string]string{"Accept": "*/*"}, false},
		"bare":                    {"GET", nil, false},
		"WebSocket":               {"GET", map[string]string{"Sec-Fetch-Mode": "websocket", "Connection": "Upgrade", "Upgrade": "websocket"}, false},
		"WebSocket, old browser":  {"GET", map[string]string{"Accept": accept, "Connection": "keep-alive, Upgrade", "Upgrade": "websocket"}, false},
		"WebSocket that lies":     {"GET", map[string]string{"Sec-Fetch-Mode": "navigate", "Connection": "upgrade", "Upgrade": "WebSocket"}, false},
		"WebSocket over HTTP/2":   {"CONNECT", map[string]string{"Sec-Fetch-Mode": "navigate"}, false},
		"Upgrade that is for hop": {"GET", map[string]string{"Accept": accept, "Upgrade": "h2c"}, true},
	}
	for name, tt := range tests {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Method = tt.method
		for k, v := range tt.headers {
			r.Header.Set(k, v)
		}
		if got := Navigation(r); got != tt.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func TestMessage(t *testing.T) {
	r := newRig(t)
	m := Message{Title: "No <access>", Text: "You may not see this.", Todo: "Ask <bob>.", Link: "/.mfa/security", Label: "Your account", Secure: true}
	send := func(mode string, m Message, status int) answer {
		req := httptest.NewRequest(http.MethodGet, "https://dash.example.com/app", nil)
		req.Header.Set("Sec-Fetch-Mode", mode)
		w := httptest.NewRecorder()
		r.Message(w, req, status, m)
		a := answer{w.Result(), w.Body.String()}
		checkHeaders(t, r.sheet(), req, a)
		return a
	}
	b := r.browser()
	page := b.want(send("navigate", m, 403), 403, "No &lt;access&gt;</h1>", "You may not see this.", "Ask &lt;bob&gt;.", `href="/.mfa/security"`, "Your account</a>", "dash.example.com")
	checkPage(t, r.sheet(), "message", page.body)
	plain := b.want(send("navigate", Message{Title: "Plain", Secure: true}, 400), 400, "Plain")
	if strings.Contains(plain.body, "<a ") {
		t.Error("a link to nowhere")
	}
	for status, code := range map[int]string{400: "bad_request", 403: "forbidden", 503: "unavailable", 418: "error"} {
		got := send("cors", m, status)
		if got.StatusCode != status || got.Header.Get("Content-Type") != "application/json" || !strings.HasPrefix(got.body, `{"error":"`+code+`","message":"You may not see this.","id":"`) {
			t.Errorf("%d: %s %s", status, got.Header.Get("Content-Type"), got.body)
		}
	}
	m.Code = "https_required"
	if got := send("cors", m, 403); !strings.Contains(got.body, `"error":"https_required"`) {
		t.Error(got.body)
	}
}

// TestMessagesLeadWhereTheySay: the button of every message leads where its words say, for whoever is signed in and for whoever is not, and no
// message sends somebody to the sign-in who is past it.
func TestMessagesLeadWhereTheySay(t *testing.T) {
	r := newRig(t)
	ids := map[string]bool{}
	for file, source := range sources(t) {
		if strings.HasSuffix(file, ".go") && !strings.Contains(file, "/") {
			for _, m := range regexp.MustCompile(`(?:plain\(|badRequestError\{http\.[A-Za-z]+, |\bid :?= )"([a-z.]+)"`).FindAllStringSubmatch(source, -1) {
				ids[m[1]] = true
			}
		}
	}
	for _, id := range []string{"notfound", "forged", "large", "verb", "badnotme", "malformed", "throttled", "askpolicy", "nochange", "visits", "fault"} {
		if !ids[id] {
			t.Errorf("%s is not among the messages that were found", id)
		}
	}
	for id := range ids {
		if !english.Has(id + ".title") {
			continue
		}
		for _, s := range []*auth.Session{nil, {}} {
			x := &exchange{Portal: r.Portal, in: Request{Session: s}}
			m := x.plain(id)
			label := wordstest.Unmark(m.Label)
			said := wordstest.Unmark(strings.Join([]string{m.Title, m.Text, m.Todo, m.Label}, " "))
			switch {
			case label == "":
				t.Errorf("%s: a button without words", id)
			case strings.Contains(label, "sign-in") && m.Link != "/.mfa/login", strings.Contains(label, "Security") && m.Link != "/.mfa/security":
				t.Errorf("%s, signed in: %t: %q leads to %s", id, s != nil, label, m.Link)
			case s != nil && strings.Contains(said, "sign-in page"):
				t.Errorf("%s: speaks of the sign-in to somebody who is signed in: %s", id, said)
			}
		}
	}
}

// TestMessageOfTheSignedIn asks for what there is not, with a session and without.
func TestMessageOfTheSignedIn(t *testing.T) {
	r := newMailRig(t)
	in, _ := r.account()
	out := r.browser()
	out.get("/.mfa/login")
	for name, send := range map[string]func(*browser) answer{
		"not found":    func(b *browser) answer { return b.get("/.mfa/nowhere") },
		"too large":    func(b *browser) answer { return b.post("/.mfa/language", "lang", strings.Repeat("x", maxBody)) },
		"too long":     func(b *browser) answer { return b.post("/.mfa/language", "lang", strings.Repeat("x", otherLength+1)) },
		"wrong method": func(b *browser) answer { return b.send(b.request(http.MethodPut, "/.mfa/language", "")) },
		"a used link":  func(b *browser) answer { return b.post("/.mfa/not-me", "token", "used") },
		"forged": func(b *browser) answer {
			req := b.request(http.MethodPost, "/.mfa/logout", "")
			req.Header.Set("Sec-Fetch-Site", "cross-site")
			return b.send(req)
		},
	} {
		for b, want := range map[*browser]string{
			in: `href="/.mfa/security">Go to the Security page</a>`, out: `href="/.mfa/login">Go to the sign-in page</a>`,
		} {
			if a := send(b); a.StatusCode < 400 || !strings.Contains(a.body, want) {
				t.Errorf("%s: %d, not %s\n%s", name, a.StatusCode, want, a.body)
			}
		}
	}
}

// TestRefusals: what each error of the realm becomes, on a form and elsewhere.
func TestRefusals(t *testing.T) {
	r := newRig(t)
	tests := map[string]struct {
		err        error
		form       int
		elsewhere  int
		retryAfter string
		text       string
	}{
		"wrong":      {auth.ErrRejected, 401, 503, "", "do not match"},
		"hint":       {fmt.Errorf("x: %w", &auth.Hint{Text: "Mind the gap.", Err: auth.ErrRejected}), 401, 503, "", "Mind the gap."},
		"field":      {&auth.Invalid{Field: "name", Text: "Not that name."}, 422, 503, "", `id="name-error"`},
		"no field":   {&auth.Invalid{Field: "elsewhere", Text: "Not like this."}, 422, 503, "", `role="alert">Not like this.`},
		"slow":       {&auth.Throttled{RetryAfter: 1500 * time.Millisecond}, 429, 429, "2", "Wait 2 seconds"},
		"very slow":  {&auth.Throttled{RetryAfter: 61 * time.Minute}, 429, 429, "3660", "Wait 61 minutes"},
		"slowest":    {&auth.Throttled{RetryAfter: 3 * time.Hour}, 429, 429, "10800", "Wait 3 hours"},
		"off":        {&auth.Throttled{Off: true}, 429, 429, "", "closed to them"},
		"busy":       {auth.ErrBusy, 503, 503, "2", "Too many people"},
		"our fault":  {errors.New("disk <on> fire"), 503, 503, "10", "Something went wrong"},
		"flow is up": {auth.ErrNoFlow, 303, 303, "", ""},
	}
	for name, tt := range tests {
		for where, want := range map[string]int{"form": tt.form, "elsewhere": tt.elsewhere} {
			w := httptest.NewRecorder()
			x := &exchange{Portal: r.Portal, w: w, r: r.browser().request(http.MethodPost, "/.mfa/login", ""), in: Request{Visit: auth.Visit{Host: host}}}
			err := tt.err
			if where == "form" {
				err = x.refuse(x.loginForm("alice", ""), err)
			}
			if err := x.settle(err); err != nil {
				t.Fatal(err)
			}
			if w.Code != want || tt.form == want && (w.Header().Get("Retry-After") != tt.retryAfter || !strings.Contains(wordstest.Unmark(w.Body.String()), tt.text)) {
				t.Errorf("%s, %s: %d, Retry-After %q\n%s", name, where, w.Code, w.Header().Get("Retry-After"), w.Body)
			}
			if strings.Contains(w.Body.String(), "disk") {
				t.Errorf("%s: the page tells internals", name)
			}
		}
	}
}

func TestStoreDown(t *testing.T) { // S76
	r := newRig(t)
	b, _ := r.account()
	half := r.browser()
	half.get("/.mfa/login")
	half.want(half.post("/.mfa/login", "name", "alice", "password", password), 303)
	if err := r.state.Close(); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/verify/totp", "/enroll", "/enroll/totp", "/recovery-codes", "/invite"} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			r.log.Reset()
			body := ""
			if method == http.MethodPost {
				body = "password=" + "secret-word" + "&code=123456"
			}
			a := half.want(half.send(half.request(method, "/.mfa"+path, body)), 503, "Something went wrong")
			shown := errorID.FindStringSubmatch(a.body)
			log := r.log.String()
			if a.Header.Get("Retry-After") != "10" || shown == nil || strings.Count(log, "\n") != 1 || !strings.Contains(log, shown[1]) {
				t.Errorf("%s %s: Retry-After %q, id %q, logged %q", method, path, a.Header.Get("Retry-After"), shown, log)
			}
			if strings.Contains(log, "secret-word") || strings.Contains(log, "123456") { // S78
				t.Errorf("%s %s: secret in the log", method, path)
			}
		}
	}
	if a := b.want(b.post("/.mfa/logout"), 503); len(a.Cookies()) > 0 { // S54: it is not ended, so it can be tried again
		t.Error("the session stands, but its cookie is gone")
	}
	b.want(b.get("/.mfa/login"), 200) // needs no store
}
