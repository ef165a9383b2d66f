package loginui

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/internal/words/wordstest"
)

// errorID is the id that a page shows.
var errorID = regexp.MustCompile(`Error ID: <code>([a-z2-7]{4}-[a-z2-7]{4})</code>`)

// TestErrorIDs: the id on a page stands in the log, and in the log entry of the request, if that gets one.
func TestErrorIDs(t *testing.T) {
	for _, noting := range []bool{true, false} {
		r := newRig(t)
		var noted string
		o := Options{Now: r.time, Logger: r.logger}
		if noting {
			o.NoteID = func(_ *http.Request, id string) { noted = id }
		}
		portal, err := New(r.realm, o)
		if err != nil {
			t.Fatal(err)
		}
		r.Portal = portal
		b := r.browser()
		check := func(body, before, after, reason string) {
			t.Helper()
			_, rest, _ := strings.Cut(body, before)
			id, _, ok := strings.Cut(rest, after)
			if !ok || !strings.Contains(r.log.String(), "error_id="+id+" ") || !strings.Contains(r.log.String(), "reason="+reason) || noting && id != noted {
				t.Errorf("noted %q, and the page says %q:\n%s", noted, id, r.log)
			}
		}
		a := b.want(b.get("/.mfa/nowhere"), 404, "Page not found")
		check(a.body, "Error ID: <code>", "</code>", "notfound")
		noted = ""
		r.log.Reset()
		if b.want(b.get("/.mfa/login"), 200); noted != "" || r.log.Len() > 0 {
			t.Errorf("a page that is no error has an id: %q\n%s", noted, r.log)
		}
		w := httptest.NewRecorder()
		req := b.request(http.MethodPost, "/x", "")
		req.Header.Set("Sec-Fetch-Mode", "cors")
		portal.Message(w, req, 403, Message{Title: "No", Code: "no"})
		check(w.Body.String(), `"id":"`, `"`, "no")
	}
}

// TestErrorPagesAreLoggedSeldom: whoever sends requests fills no disk, and the id on each page stands in the log for all that.
func TestErrorPagesAreLoggedSeldom(t *testing.T) {
	r := newRig(t)
	for minute := range 3 {
		r.log.Reset()
		r.pass(pagesEvery)
		ids := map[string]int{}
		for range 10 {
			var wg sync.WaitGroup
			pages := make([]string, 50)
			for i := range pages {
				wg.Go(func() {
					w := httptest.NewRecorder()
					req := httptest.NewRequest(http.MethodGet, "https://"+host+"/.mfa/nowhere", nil)
					if err := r.ServeHTTP(w, req, Request{Visit: auth.Visit{Host: host}}); err != nil {
						t.Error(err)
					}
					pages[i] = wordstest.Unmark(w.Body.String())
				})
			}
			wg.Wait()
			for _, page := range pages {
				id := errorID.FindStringSubmatch(page)
				if id == nil {
					t.Fatalf("a page without an id: %s", page)
				}
				ids[id[1]]++
			}
		}
		log := r.log.String()
		shared := 0
		for id, n := range ids {
			if !strings.Contains(log, "error_id="+id+" ") {
				t.Errorf("%s is not in the log", id)
			}
			shared = max(shared, n)
		}
		want := pagesLogged + 1
		if minute > 0 {
			want++ // how many more there were
		}
		if lines := strings.Count(log, "\n"); lines != want || len(ids) != pagesLogged+1 || shared != 500-pagesLogged {
			t.Errorf("minute %d: %d lines, want %d; %d ids, one on %d pages\n%s", minute, lines, want, len(ids), shared, log)
		}
		if told := strings.Contains(log, "count=440"); told != (minute > 0) || !strings.Contains(log, `msg="more error pages than are logged one by one"`) {
			t.Errorf("minute %d: it does not say what is left out\n%s", minute, log)
		}
	}
}

// TestFaultsAreLoggedSeldom: while the store fails, whoever sends requests does not fill the disk with it.
func TestFaultsAreLoggedSeldom(t *testing.T) {
	r := newRig(t)
	r.add("alice")
	half := r.browser()
	half.get("/.mfa/login")
	half.want(half.post("/.mfa/login", "name", "alice", "password", password), 303)
	if err := r.state.Close(); err != nil {
		t.Fatal(err)
	}
	r.pass(time.Minute)
	for period := range 3 {
		r.log.Reset()
		ids := map[string]bool{}
		for n := range 100 {
			a := half.want(half.get("/.mfa/enroll"), 503, "Something went wrong", "It was noted")
			if id := errorID.FindStringSubmatch(a.body); id == nil || !strings.Contains(r.log.String(), "error_id="+id[1]) {
				t.Fatalf("period %d, fault %d: %s is not in the log:\n%s", period, n, id, r.log)
			} else {
				ids[id[1]] = true
			}
		}
		log := r.log.String()
		lines, failed := strings.Count(log, "\n"), strings.Count(log, `msg="portal: request failed"`)
		told := strings.Contains(log, "count=90")
		if failed != faultsLogged || len(ids) != faultsLogged+1 || told != (period > 0) || told && lines != 12 || !told && lines != 11 {
			t.Errorf("period %d: %d lines, %d of failed requests, %d ids, the last period told: %v\n%s", period, lines, failed, len(ids), told, log)
		}
		r.pass(10 * time.Second)
	}
}

func TestFaultLogInjection(t *testing.T) { // S79
	r := newRig(t)
	for name, c := range map[string]struct {
		change func(*http.Request)
		path   string
	}{
		"a new line":         {func(r *http.Request) { r.URL.Path = "/.mfa/x\nlevel=ERROR msg=forged" }, `path="/.mfa/x%0Alevel=ERROR%20msg=forged"`},
		"as it was sent":     {func(r *http.Request) { r.URL.Path, r.URL.RawPath = "/.mfa/x\n", "/.mfa/x%0a" }, "path=/.mfa/x%0a"},
		"no encoding":        {func(r *http.Request) { r.URL.Path, r.URL.RawPath = "/..//", "/..%2f/{" }, "path=/..%2f/{"},
		"no ASCII":           {func(r *http.Request) { r.URL.Path, r.URL.RawPath = "/\u009b", "/\u009b" }, "path=/%C2%9B"},
		"escape sequences":   {func(r *http.Request) { r.URL.Path = "/.mfa/\x1b[2J\u009b2J\u202e" }, "path=/.mfa/%1B%5B2J%C2%9B2J%E2%80%AE"},
		"a query":            {func(r *http.Request) { r.URL.RawQuery = "token=forged" }, "path=/.mfa/x"},
		"a long path":        {func(r *http.Request) { r.URL.Path = "/" + strings.Repeat("a", 1<<20) }, "path=/" + strings.Repeat("a", maxLogged-1) + "..."},
		"a long name":        {func(r *http.Request) { r.Host = strings.Repeat("é", 1<<20) }, "host=" + strings.Repeat("%C3%A9", maxLogged/2) + "..."},
		"a name of lines":    {func(r *http.Request) { r.Host = "a\nlevel=ERROR" }, `host="a%0Alevel=error"`},
		"a name of controls": {func(r *http.Request) { r.Host = "\u009b2J\u202ex" }, "host=%C2%9B2j%E2%80%AEx"},
		"no UTF-8 at all":    {func(r *http.Request) { r.Method = strings.Repeat("\x80", 300) }, "method=... "},
		"a method of lines":  {func(r *http.Request) { r.Method = "GET\nforged=1" }, `method="GET%0Aforged=1"`},
	} {
		t.Run(name, func(t *testing.T) {
			for kind, answer := range map[string]func(*exchange) error{
				"fault":   func(x *exchange) error { return x.fault(errors.New("one\ntwo")) },
				"refusal": func(x *exchange) error { return x.message(http.StatusNotFound, x.plain("notfound")) },
			} {
				r.log.Reset()
				r.pass(time.Minute)
				req := r.browser().request(http.MethodGet, "/.mfa/x", "")
				c.change(req)
				if err := answer(&exchange{Portal: r.Portal, w: httptest.NewRecorder(), r: req}); err != nil {
					t.Fatal(err)
				}
				log := r.log.String()
				if strings.Count(log, "\n") != 1 || !strings.Contains(log, c.path) || strings.Contains(log, "token") || len(log) > 1000 {
					t.Errorf("%s: logged %.2000q, want %q", kind, log, c.path)
				}
			}
		})
	}
}

// TestErrorPagesSayWhatToDo: each has a heading, what happened, and what to do about it, in every language.
func TestErrorPagesSayWhatToDo(t *testing.T) {
	ids := map[string]bool{}
	for _, id := range []string{
		"badguest", "guestfull", "guestshut", "guestwait", "badlink", "badnotme", "badreset", "badstop", "busy", "changes", "cookies", "fault", "forged", "large", "long", "malformed", "media",
		"nocredential", "notfound", "resend.gone", "stepup.none", "throttled", "verb", "visits",
	} {
		ids[id] = true
	}
	for id := range catalogue().Language("en").IDs() {
		if code, ok := strings.CutPrefix(id, "refused."); ok {
			code, _, _ = strings.Cut(code, ".")
			ids["refused."+code] = true
		}
	}
	for _, l := range catalogue().Languages() {
		for id := range ids {
			happened := l.Text(id+".text") + l.Text(id+".wait")
			if l.Text(id+".title") == "" || happened == "" || l.Text(id+".todo") == "" {
				t.Errorf("%s, %s: %q, %q, %q", l.Tag, id, l.Text(id+".title"), happened, l.Text(id+".todo"))
			}
		}
	}
}
