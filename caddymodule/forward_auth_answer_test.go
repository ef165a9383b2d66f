package caddymodule

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// What the app learns: every header that could be a client's own has a value, if only an empty one.
func TestForwardAuthAnswersEveryHeader(t *testing.T) { // S60, S67
	s := newForwardSite(t)
	cookie := sessionCookie(signIn(t, "dash.example.com", "alice"))
	spoof := []string{"Remote-User: mallory", "Remote-Groups: admins", "remote_email: m", "Remote-Name: M", "Forwarded: for=192.0.2.9", "X-Original-URL: /public/x"}
	for _, c := range []struct {
		name, address, cookie string
		want                  map[string]string
	}{
		{"signed in", "https://dash.example.com/a", cookie + "; a=1; __Host-mfa-flow=x; b=2", map[string]string{
			"Remote-User": "alice", "Remote-Name": "The alice", "Remote-Email": "alice@example.com", "Remote-Groups": "", "Cookie": "a=1; b=2",
		}},
		{"no cookie is left", "https://dash.example.com/a", cookie, map[string]string{"Remote-User": "alice", "Cookie": ""}},
		{"public", "https://dash.example.com/public/x", cookie + "; a=1", map[string]string{
			"Remote-User": "", "Remote-Name": "", "Remote-Email": "", "Remote-Groups": "", "Cookie": "a=1",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			res := s.get("/forward-auth", question("GET", c.address, append([]string{c.cookie}, spoof...)...)...)
			if res.StatusCode != http.StatusOK {
				t.Fatal(res.Status)
			}
			for name, want := range c.want {
				if got := res.Header[name]; len(got) != 1 || got[0] != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
		})
	}
}

// Other names are answered beside the usual ones, which could be a client's own.
func TestForwardAuthAnswersOtherNames(t *testing.T) { // S67
	s := newSite(t)
	s.trusted = "127.0.0.0/8"
	s.serve(`http://:{port} {
	mfa_forward_auth {
		identity {
			user X-Forwarded-User
			groups off
			jwt EdDSA X-Proof
		}
	}
}
`, "url https://dash.example.com")
	cookie := sessionCookie(signIn(t, "dash.example.com", "alice", "ops"))
	res := s.get("/forward-auth", question("GET", "https://dash.example.com/a", cookie, "X-Forwarded-User: mallory", "x_proof: forged", "Remote-Groups: admins")...)
	if res.StatusCode != http.StatusOK {
		t.Fatal(res.Status)
	}
	for name, want := range map[string]string{
		"X-Forwarded-User": "alice", "Remote-User": "", "Remote-Name": "The alice", "Remote-Email": "alice@example.com", "Remote-Groups": "", "Remote-Assertion": "", "Cookie": "",
	} {
		if got := res.Header[name]; len(got) != 1 || got[0] != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if got := res.Header["X-Proof"]; len(got) != 1 || strings.Count(got[0], ".") != 2 {
		t.Errorf("the assertion is %q", got)
	}
	if got := s.get("/.mfa/jwks.json", "Host: dash.example.com", "X-Forwarded-Proto: https").StatusCode; got != http.StatusOK {
		t.Errorf("its keys: %d", got)
	}
}

// Nothing but the gate's own word is a yes: neither pages that it answers, nor error routes.
func TestForwardAuthSaysYesOnlyItself(t *testing.T) { // S76
	for _, terse := range []bool{false, true} {
		rec := &headerRecorder{h: http.Header{}}
		a := &proxyAnswer{w: rec, terse: terse}
		_, _ = io.WriteString(a, "a page")
		if rec.status != http.StatusForbidden || rec.body != 0 {
			t.Errorf("status %d, %d bytes", rec.status, rec.body)
		}
	}
	s := newSite(t)
	s.trusted = "127.0.0.0/8"
	s.serve(forwardSite, "url https://dash.example.com", "webauthn {\n\trp_id dash.example.com\n\torigins https://dash.example.com https://example.net\n}")
	if got := s.get("/forward-auth", question("GET", "https://dash.example.com/.well-known/webauthn")...).StatusCode; got != http.StatusBadRequest {
		t.Errorf("asked about the related origins: %d", got)
	}
	if got := s.get("/.well-known/webauthn", "Host: dash.example.com", "X-Forwarded-Proto: https").StatusCode; got != http.StatusOK {
		t.Errorf("sent on for them: %d", got)
	}
	if got := s.get("/.well-known/webauthn", "Host: wiki.example.com", "X-Forwarded-Proto: https", sessionCookie(signIn(t, "wiki.example.com", "bob"))).StatusCode; got != http.StatusNotFound {
		t.Errorf("sent on for them under another host: %d", got)
	}
}

func TestForwardAuthWithoutADecision(t *testing.T) { // S76
	s := newSite(t)
	s.trusted = "127.0.0.0/8"
	s.serve(`http://:{port} {
	@broken expression int({method}) == 1
	mfa_forward_auth {
		rule @broken {
			allow alice
		}
	}
	handle_errors {
		respond yes 200
	}
}
`, "url https://dash.example.com")
	alice := sessionCookie(signIn(t, "dash.example.com", "alice"))
	for at, want := range map[string]int{"/forward-auth": http.StatusInternalServerError, "/auth-request": http.StatusForbidden, "/ext-authz/a": http.StatusInternalServerError} {
		res := s.get(at, question("GET", "https://dash.example.com/a", alice, "Host: dash.example.com")...)
		if res.StatusCode != want || len(res.Header["Remote-User"]) > 0 {
			t.Errorf("%s: %s", at, res.Status)
		}
	}
}

type headerRecorder struct {
	h            http.Header
	status, body int
}

func (r *headerRecorder) Header() http.Header         { return r.h }
func (r *headerRecorder) WriteHeader(status int)      { r.status = status }
func (r *headerRecorder) Write(p []byte) (int, error) { r.body += len(p); return len(p), nil }
