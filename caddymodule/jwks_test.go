package caddymodule

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

func TestKeysArePublished(t *testing.T) {
	s := newSite(t)
	s.serve(plainGate)
	res := s.get("/.mfa/jwks.json")
	if body, _ := io.ReadAll(res.Body); string(body) != "{\"keys\":[]}\n" || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("before there is a key: %q, %v", body, res.Header)
	}
	// From the moment that the site asks for it, before anybody has signed in: an app reads the keys when it starts.
	s.serve(assertingGate, assertingPortal)
	keys := s.public()
	if len(keys.Keys) != 2 || !keys.Keys[0].IsPublic() || !keys.Keys[1].IsPublic() {
		t.Fatalf("got %+v", keys)
	}
	for _, host := range []string{"localhost", "other.localhost:80"} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			r, err := http.NewRequest(method, "http://localhost/.mfa/jwks.json?x=y", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Host = host
			res := s.send(r)
			body, err := io.ReadAll(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			if res.StatusCode != http.StatusOK || res.Header.Get("Cache-Control") != "public, max-age=3600" || res.Header.Get("Content-Type") != "application/json" ||
				len(res.Header["Set-Cookie"]) > 0 || (len(body) == 0) != (method == http.MethodHead) || strings.Contains(string(body), `"d"`) {
				t.Errorf("%s on %s: %s %v\n%s", method, host, res.Status, res.Header, body)
			}
		}
	}
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodOptions} {
		r, err := http.NewRequest(method, "http://localhost/.mfa/jwks.json", nil)
		if err != nil {
			t.Fatal(err)
		}
		if res := s.send(r); res.StatusCode != http.StatusMethodNotAllowed || res.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: %s", method, res.Status)
		}
	}
	for _, target := range []string{"/.mfa/jwks.json/", "/.mfa/jwks%2ejson", "/.mfa/JWKS.json"} {
		if res := s.get(target); res.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s", target, res.Status)
		}
	}

	// A reload changes no key, and neither does a site that asks no more.
	s.serve(plainGate)
	s.serve(assertingGate, assertingPortal, "name Example")
	for _, k := range s.public().Keys {
		if len(keys.Key(k.KeyID)) != 1 {
			t.Errorf("a reload made the key %s", k.KeyID)
		}
	}
}

// A configuration that was written as JSON is held to the same.
func TestWrongIdentity(t *testing.T) {
	for want, gate := range map[string]string{
		"identity: user: the header Cookie has a meaning of its own":    `{"user": "Cookie"}`,
		"identity: email: another header is called REMOTE-NAME already": `{"email": "REMOTE-NAME"}`,
		`identity: jwt: there is no algorithm "HS256"`:                  `{"jwt": "HS256"}`,
		"identity: jwt: jwt_header is the header of an assertion":       `{"jwt_header": "X-Proof"}`,
		`identity: jwt: "off" is no name of a header`:                   `{"jwt": "ES256", "jwt_header": "off"}`,
		`identity: name: "X Name" is no name of a header`:               `{"name": "X Name"}`,
	} {
		err := caddy.Validate(&caddy.Config{AppsRaw: caddy.ModuleMap{
			"mfa":  []byte(`{"storage": {"dir": "` + t.TempDir() + `"}}`),
			"http": []byte(`{"servers": {"a": {"listen": ["127.0.0.1:0"], "routes": [{"handle": [{"handler": "mfa", "identity": ` + gate + `}]}]}}}`),
		}, Admin: &caddy.AdminConfig{Disabled: true}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", gate, err)
		}
	}
}
