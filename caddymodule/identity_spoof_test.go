package caddymodule

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-mfa/caddy-mfa/docs/verify"
	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// namedGate gives every header a name of its own. What is public is anonymous.
const namedGate = `{address} {
	mfa {
		public /healthz
		identity {
			user X-WEBAUTH-User
			name X-Display
			email off
			groups X-Forwarded-Groups
			jwt ES256 X-Proof
		}
	}
	reverse_proxy {app}
}
`

// names under which a client might speak, for a gate as above: its own and the usual ones.
var spoofed = []string{"X-Webauth-User", "X-Display", "X-Forwarded-Groups", "X-Proof", "Remote-User", "Remote-Name", "Remote-Email", "Remote-Groups", "Remote-Assertion"}

// spellings of a name that some server folds into it.
func spellings(name string) []string {
	return []string{
		name, strings.ToLower(name), strings.ToUpper(name), strings.ReplaceAll(name, "-", "_"), strings.ReplaceAll(name, "-", "."),
		strings.ToUpper(strings.ReplaceAll(name, "-", "_")), strings.Replace(name, "-", "_", 1), strings.Replace(name, "-", "~", 1),
	}
}

// folded is a name as CGI, WSGI and PHP read it.
func folded(name string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("_.~", r) {
			return '-'
		}
		return r
	}, strings.ToLower(name))
}

func TestNobodySpeaksUnderOurNames(t *testing.T) { // S67, S68
	s := newSite(t)
	s.serve(namedGate)
	cookie := sessionCookie(signIn(t, "localhost", "alice", "ops"))
	want := map[string]string{"x-webauth-user": "alice", "x-display": "The alice", "x-forwarded-groups": "ops"}
	for _, c := range []struct {
		name, path string
		want       map[string]string
		proof      bool
	}{{"signed in", "/", want, true}, {"public", "/healthz", nil, false}} {
		for _, name := range spoofed {
			for _, spelled := range spellings(name) {
				r, err := http.NewRequest(http.MethodPost, "http://localhost"+c.path, io.NopCloser(strings.NewReader("body")))
				if err != nil {
					t.Fatal(err)
				}
				r.Header["Cookie"] = []string{strings.TrimPrefix(cookie, "Cookie: ")}
				r.Header[spelled] = []string{"mallory"}
				r.Header["Connection"] = []string{"keep-alive, " + spelled}
				r.Trailer = http.Header{spelled: {"mallory"}, "X-Checksum": {"1"}}
				got := arrived(t, s.send(r))
				found, proof := map[string]string{}, 0
				for _, all := range []http.Header{got.Header, got.Trailer} {
					for header, values := range all {
						name, value := folded(header), strings.Join(values, "|")
						if strings.Contains(value, "mallory") {
							t.Errorf("%s, %s: %s is %q", c.name, spelled, header, value)
						}
						switch {
						case name == "x-proof":
							proof++
						case want[name] != "" || strings.HasPrefix(name, "remote-"):
							found[name] += value
						}
					}
				}
				if len(found) != len(c.want) || (proof == 1) != c.proof {
					t.Errorf("%s, %s: got %v, %d assertions", c.name, spelled, found, proof)
				}
				for name, value := range c.want {
					if found[name] != value {
						t.Errorf("%s, %s: %s is %q", c.name, spelled, name, found[name])
					}
				}
				if got.Trailer.Get("X-Checksum") != "1" || got.Body != "body" {
					t.Errorf("%s, %s: lost %v, %q", c.name, spelled, got.Trailer, got.Body)
				}
			}
		}
	}
}

// What the usual gate passes on stays as it was.
func TestOtherGatesNamesAreNotOurs(t *testing.T) {
	s := newSite(t)
	s.serve(plainGate)
	got := arrived(t, s.get("/", sessionCookie(signIn(t, "localhost", "alice")), "X-Forwarded-Groups: a", "X-Proof: b"))
	if got.Header.Get("X-Forwarded-Groups") != "a" || got.Header.Get("X-Proof") != "b" || got.Header["Remote-Assertion"] != nil {
		t.Errorf("got %v", got.Header)
	}
}

// A gate further in tells the app what the outer one tells, unless it says otherwise, and nothing is left of the outer one then.
func TestInnerGateTellsAsTheOuterOne(t *testing.T) {
	s := newSite(t)
	s.serve(`{address} {
	mfa {
		identity {
			user X-Outer-User
			jwt
		}
	}
	handle /plain/* {
		mfa {
			allow group:ops
			public /plain/public
		}
		reverse_proxy {app}
	}
	handle /named/* {
		mfa {
			identity {
				user X-Inner-User
			}
			public /named/public
		}
		handle /named/deeper/* {
			mfa {
				public /named/deeper/public
			}
			reverse_proxy {app}
		}
		reverse_proxy {app}
	}
	handle {
		error 418
	}
	handle_errors {
		mfa
		reverse_proxy {app}
	}
}
`)
	cookie := sessionCookie(signIn(t, "localhost", "alice", "ops"))
	for _, c := range []struct {
		path, outer, inner, usual string
		assertion                 bool
	}{
		{"/plain/x", "alice", "", "", true},
		{"/plain/public", "", "", "", false},
		{"/named/x", "", "alice", "", false},
		{"/named/public", "", "", "", false},
		{"/named/deeper/x", "", "alice", "", false},
		{"/named/deeper/public", "", "", "", false},
		{"/error", "alice", "", "", true},
	} {
		res := s.get(c.path, cookie, "X-Outer-User: mallory", "X-Inner-User: mallory", "X_outer_user: mallory")
		var got seen
		if err := json.NewDecoder(res.Body).Decode(&got); err != nil {
			t.Fatal(c.path, err)
		}
		h := got.Header
		if strings.HasPrefix(c.path, "/named/") == (h.Get("X-Inner-User") == "mallory") {
			t.Errorf("%s: X-Inner-User is %q", c.path, h.Get("X-Inner-User"))
		}
		if h.Get("X-Inner-User") == "mallory" { // not ours there
			h.Del("X-Inner-User")
		}
		if h.Get("X-Outer-User") != c.outer || h.Get("X-Inner-User") != c.inner || h.Get("Remote-User") != c.usual ||
			(h["Remote-Assertion"] != nil) != c.assertion || h["X_outer_user"] != nil {
			t.Errorf("%s: got %v", c.path, h)
		}
		if !c.assertion {
			continue
		}
		if person, err := s.verifier("localhost").Verify(t.Context(), h.Get("Remote-Assertion")); err != nil || person.Username != "alice" {
			t.Errorf("%s: got %+v, %v", c.path, person, err)
		}
	}
}

// With the store gone, what needs a key that is not in memory is refused, and never passed on without its assertion.
func TestNoAssertionNoPassage(t *testing.T) { // S76
	c, value := newChain(t)
	cookie := auth.CookieSession + "=" + value
	if err := c.run(cookie); err != nil { // so that the session is in memory
		t.Fatal(err)
	}
	reached := 0
	c.end = caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error {
		reached++
		return nil
	})
	c.gate.told = &told{names: toldByDefault.names, alg: auth.AlgES256, header: headerAssertion}
	if err := c.gate.app.lease.held.Close(); err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	if err := c.runTo(w, cookie); err != nil {
		t.Fatal(err)
	}
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || reached != 0 {
		t.Errorf("status %d, reached %d times", w.Code, reached)
	}
	// Where the gate refuses nothing, the request goes on as a stranger's.
	c.gate.ReportOnly = true
	var user []string
	c.end = caddyhttp.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) error {
		reached, user = reached+1, r.Header[headerUser]
		return nil
	})
	if err := c.run(cookie); err != nil || reached != 1 || user != nil {
		t.Errorf("reached %d times as %q, %v", reached, user, err)
	}
}

// A verifier that others share: fifty requests at once, of which some carry a key ID that is made up.
func TestVerifierRefetchesSeldom(t *testing.T) {
	s := newSite(t)
	s.serve(assertingGate, assertingPortal)
	token := arrived(t, s.get("/", sessionCookie(signIn(t, "localhost", "alice")))).Header.Get("Remote-Assertion")
	v := s.verifier("localhost")
	count := &counting{next: s.http.Transport}
	v.Client = &http.Client{Transport: count}
	parts := strings.Split(token, ".")
	made := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"EdDSA","kid":"made-up","typ":"JWT"}`)) + "." + parts[1] + "." + parts[2]
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			if i%2 == 0 {
				if _, err := v.Verify(t.Context(), token); err != nil {
					t.Error(err)
				}
			} else if _, err := v.Verify(t.Context(), made); !errors.Is(err, verify.ErrNoPerson) {
				t.Errorf("made up: %v", err)
			}
		})
	}
	wg.Wait()
	if count.n != 1 {
		t.Errorf("the keys were fetched %d times", count.n)
	}
}

// counting counts requests.
type counting struct {
	mu   sync.Mutex
	n    int
	next http.RoundTripper
}

func (c *counting) RoundTrip(r *http.Request) (*http.Response, error) {
	c.mu.Lock()
	c.n++
	c.mu.Unlock()
	return c.next.RoundTrip(r)
}
