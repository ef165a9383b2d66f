package caddymodule

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/docs/verify"
)

// request is one that came around the gate or through it.
func request(headers ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

func TestAppTrustsNothingElse(t *testing.T) { // S67
	s := newSite(t)
	s.serve(assertingGate, assertingPortal)
	token := arrived(t, s.get("/", sessionCookie(signIn(t, "localhost", "alice")))).Header.Get("Remote-Assertion")
	v := s.verifier("localhost")
	now := time.Now()
	v.Now = func() time.Time { return now }
	var person *verify.Person
	app := v.Require(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { person = verify.From(r) }))
	for _, c := range []struct {
		name string
		r    *http.Request
		want int
	}{
		{"headers alone", request("Remote-User", "admin", "Remote-Groups", "admins"), http.StatusUnauthorized},
		{"two assertions", request("Remote-Assertion", token, "Remote-Assertion", token), http.StatusUnauthorized},
		{"a wrong one", request("Remote-Assertion", token+"x"), http.StatusUnauthorized},
		{"as a bearer", request("Authorization", "Bearer "+token), http.StatusUnauthorized},
		{"a right one, and headers of somebody else", request("Remote-Assertion", token, "Remote-User", "admin"), http.StatusOK},
	} {
		person = nil
		w := httptest.NewRecorder()
		app.ServeHTTP(w, c.r)
		if w.Code != c.want || (person != nil) != (c.want == http.StatusOK) || person != nil && person.Username != "alice" {
			t.Errorf("%s: %d, %+v", c.name, w.Code, person)
		}
	}

	// When the keys are an hour old and cannot be fetched again, that is no fault of the visitor's.
	now = now.Add(time.Hour)
	v.Client = &http.Client{Transport: broken{}}
	for range 2 {
		w := httptest.NewRecorder()
		app.ServeHTTP(w, request("Remote-Assertion", token))
		if w.Code != http.StatusServiceUnavailable {
			t.Errorf("without keys: %d", w.Code)
		}
	}
}

type broken struct{}

func (broken) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("no way there")
}

// A key that came after the keys were fetched is found.
func TestVerifierFindsNewKeys(t *testing.T) { // S82
	s := newSite(t)
	s.serve("{address} {\n\tmfa {\n\t\tidentity jwt\n\t}\n\treverse_proxy {app}\n}\n")
	alice := sessionCookie(signIn(t, "localhost", "alice"))
	v := s.verifier("localhost")
	var now time.Time
	v.Now = func() time.Time { return now }
	old := arrived(t, s.get("/", alice)).Header.Get("Remote-Assertion")
	now = issuedAt(t, old)
	if _, err := v.Verify(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	s.serve("{address} {\n\tmfa {\n\t\tidentity jwt ES256\n\t}\n\treverse_proxy {app}\n}\n")
	token := arrived(t, s.get("/", alice)).Header.Get("Remote-Assertion")
	now = issuedAt(t, token).Add(10 * time.Second) // so long after the keys were fetched, or longer
	if person, err := v.Verify(t.Context(), token); err != nil || person.Username != "alice" {
		t.Errorf("got %+v, %v", person, err)
	}
}

// The issuer comes from the configuration, whatever the request says (S29).
func TestIssuer(t *testing.T) {
	s := newSite(t)
	s.serve(`http://portal.localhost:{port} {
	mfa_portal
}
{address} {
	mfa {
		identity jwt
	}
	reverse_proxy {app}
}
http://*.localhost:{port} {
	mfa {
		identity jwt
	}
	reverse_proxy {app}
}
`, "portal http://portal.localhost:{port} localhost *.localhost")
	own := sessionCookie(signIn(t, "localhost", "alice"))
	below := sessionCookie(signIn(t, "app.localhost", "bob"))
	check := func(issuer, host, cookie, sent string) {
		t.Helper()
		v := &verify.Verifier{Issuer: issuer, Host: host, Keys: "http://localhost:" + s.port + "/.mfa/jwks.json", Client: s.http}
		if _, err := v.Verify(t.Context(), arrived(t, s.get("/", cookie, "Host: "+sent)).Header.Get("Remote-Assertion")); err != nil {
			t.Errorf("%s as %s: %v", sent, issuer, err)
		}
	}
	first := "http://localhost:" + s.port
	check(first, "localhost", own, "localhost:"+s.port)
	check(first, "localhost", own, "LOCALHOST:1")
	check("http://portal.localhost:"+s.port, "app.localhost", below, "app.localhost")
}
