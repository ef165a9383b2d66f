package auth_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

const issuer = "https://dash.example.com"

// session returns what a request of b finds.
func (r *rig) session(b *browser) (*auth.Session, *auth.User) {
	r.t.Helper()
	s, u, err := r.Session(r.t.Context(), b.v.Host, b.v.Session)
	if err != nil {
		r.t.Fatal(err)
	}
	return s, u
}

// asserted is what the app gets with a request of b.
func (r *rig) asserted(b *browser, alg string) string {
	r.t.Helper()
	s, u := r.session(b)
	return r.assert(alg, s, u)
}

func (r *rig) assert(alg string, s *auth.Session, u *auth.User) string {
	r.t.Helper()
	token, err := r.Assertion(r.t.Context(), alg, issuer, s.Host, s, u)
	if err != nil {
		r.t.Fatal(err)
	}
	return token
}

// jwks is what is published.
func (r *rig) jwks() *jose.JSONWebKeySet {
	r.t.Helper()
	b, _, err := r.AssertionKeys(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	set := new(jose.JSONWebKeySet)
	if err := json.Unmarshal(b, set); err != nil {
		r.t.Fatalf("%v in %s", err, b)
	}
	return set
}

// claimed verifies a token by one of the keys, and returns its key's ID and what it claims.
func claimed(t testing.TB, token string, keys *jose.JSONWebKeySet) (kid string, claims map[string]any) {
	t.Helper()
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.EdDSA, jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	kid = parsed.Headers[0].KeyID
	found := keys.Key(kid)
	if len(found) != 1 {
		t.Fatalf("the key %s is published %d times", kid, len(found))
	}
	if !found[0].IsPublic() || found[0].Use != "sig" || found[0].Algorithm != parsed.Headers[0].Algorithm {
		t.Errorf("key %+v for %s", found[0], parsed.Headers[0].Algorithm)
	}
	if err := parsed.Claims(found[0].Key, &claims); err != nil {
		t.Fatalf("by %s: %v", kid, err)
	}
	return kid, claims
}

func TestAssertion(t *testing.T) { // S67
	for _, alg := range []string{auth.AlgEdDSA, auth.AlgES256} {
		t.Run(alg, func(t *testing.T) {
			r := newRig(t)
			p := r.person("alice", "ops", "dev")
			if _, _, err := r.AddUser(t.Context(), auth.NewUser{Name: "bob", Password: password}); err != nil {
				t.Fatal(err)
			}
			b := newBrowser()
			r.signIn(p, b)
			s, u := r.session(b)
			header, _, _ := strings.Cut(r.assert(alg, s, u), ".")
			_, got := claimed(t, r.assert(alg, s, u), r.jwks())
			now := float64(r.clock.Now().Unix())
			want := map[string]any{
				"iss": issuer, "sub": u.ID, "aud": host, "iat": now, "nbf": now, "exp": now + 60,
				"auth_time": float64(s.Proofs[1].At.Unix()), "acr": "mfa", "amr": []any{"pwd", "otp", "mfa"},
				"preferred_username": "alice", "name": "alice", "groups": []any{"dev", "ops"},
			}
			if g, w := asJSON(t, got), asJSON(t, want); g != w {
				t.Errorf("got  %s\nwant %s", g, w)
			}
			if strings.Contains(header, "=") {
				t.Errorf("header %q is padded", header)
			}
		})
	}
}

func asJSON(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestAssertedProofs(t *testing.T) {
	r := newRig(t)
	at := r.clock.Now()
	proof := func(method string, ago time.Duration) auth.Proof { return auth.Proof{Method: method, At: at.Add(-ago)} }
	enrolled := func(method string) auth.Proof { return auth.Proof{Method: method, At: at, Enrolled: true} }
	for _, c := range []struct {
		name   string
		proofs []auth.Proof
		amr    []any
		acr    string
		ago    time.Duration
	}{
		{"app", []auth.Proof{proof("password", time.Hour), proof("totp", time.Minute)}, []any{"pwd", "otp", "mfa"}, "mfa", time.Minute},
		{"key", []auth.Proof{proof("password", time.Hour), proof("webauthn", time.Minute)}, []any{"pwd", "pop", "user", "mfa"}, "phr", time.Minute},
		{"passkey", []auth.Proof{proof("webauthn", time.Minute)}, []any{"pop", "user", "mfa"}, "phr", time.Minute},
		{"mail", []auth.Proof{proof("password", 2), proof("email", 1)}, []any{"pwd", "email", "mfa"}, "mfa", 1},
		{"recovery", []auth.Proof{proof("password", 2), proof("recovery", 1)}, []any{"pwd", "recovery", "mfa"}, "mfa", 1},
		{"twice", []auth.Proof{proof("password", time.Hour), proof("totp", time.Hour), proof("totp", time.Minute)}, []any{"pwd", "otp", "mfa"}, "mfa", time.Minute},
		{"enrolling is no proof", []auth.Proof{proof("password", time.Minute), enrolled("webauthn")}, []any{"pwd", "mfa"}, "mfa", time.Minute},
		{"nothing but enrolled", []auth.Proof{enrolled("password"), enrolled("totp")}, []any{"mfa"}, "mfa", 2 * time.Hour},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &auth.Session{Host: host, Proofs: c.proofs, Created: at.Add(-2 * time.Hour)}
			_, got := claimed(t, r.assert(auth.AlgEdDSA, s, &auth.User{ID: "1", Name: "alice"}), r.jwks())
			if asJSON(t, got["amr"]) != asJSON(t, c.amr) || got["acr"] != c.acr || got["auth_time"] != float64(at.Add(-c.ago).Unix()) {
				t.Errorf("got %v, %v, %v", got["amr"], got["acr"], got["auth_time"])
			}
		})
	}
}

func TestAssertedAddress(t *testing.T) {
	r := newRig(t)
	s := &auth.Session{Host: host}
	for _, c := range []struct {
		user     auth.User
		email    any
		verified any
	}{
		{auth.User{Email: "alice@example.com", EmailConfirmed: true}, "alice@example.com", true},
		{auth.User{Email: "alice@example.com"}, "alice@example.com", false},
		{auth.User{}, nil, nil},
	} {
		_, got := claimed(t, r.assert(auth.AlgEdDSA, s, &c.user), r.jwks())
		if got["email"] != c.email || got["email_verified"] != c.verified || asJSON(t, got["groups"]) != "[]" {
			t.Errorf("%+v: %v", c.user, got)
		}
	}
}

// An assertion is used again for a while, and never after what it says has changed.
func TestAssertionIsUsedAgain(t *testing.T) {
	r := newRig(t)
	p := r.person("alice", "dev")
	first := r.asserted(p.home, auth.AlgES256) // each signature is another one
	r.clock.Add(14 * time.Second)
	if r.asserted(p.home, auth.AlgES256) != first {
		t.Error("signed again after 14 seconds")
	}
	for name, change := range map[string]func() (string, error){
		"by time": func() (string, error) {
			r.clock.Add(15 * time.Second)
			return r.asserted(p.home, auth.AlgES256), nil
		},
		"by another issuer": func() (string, error) {
			s, u := r.session(p.home)
			return r.Assertion(t.Context(), auth.AlgES256, "https://wiki.example.com", s.Host, s, u)
		},
		"by another algorithm": func() (string, error) { return r.asserted(p.home, auth.AlgEdDSA), nil },
		"by groups": func() (string, error) {
			_, err := r.ChangeGroups(t.Context(), "alice", []string{"ops"}, nil)
			return r.asserted(p.home, auth.AlgES256), err
		},
		"for another user": func() (string, error) {
			s, _ := r.session(p.home)
			return r.assert(auth.AlgES256, s, &auth.User{ID: "2", Name: "mallory"}), nil
		},
		"by a clock that went back": func() (string, error) {
			r.clock.Add(-20 * time.Second) // to before the oldest that may be used again was made
			defer r.clock.Add(20 * time.Second)
			return r.asserted(p.home, auth.AlgES256), nil
		},
	} {
		before := r.asserted(p.home, auth.AlgES256)
		after, err := change()
		if err != nil {
			t.Fatal(err)
		}
		if before == after {
			t.Errorf("%s: the same assertion", name)
		}
	}
	_, got := claimed(t, r.asserted(p.home, auth.AlgES256), r.jwks())
	if asJSON(t, got["groups"]) != `["dev","ops"]` || got["sub"] == "2" {
		t.Errorf("got %v", got)
	}
}

// An assertion lives a minute whatever becomes of its session, but nobody gets one for a session that ended.
func TestNoAssertionWithoutSession(t *testing.T) { // S56
	r := newRig(t)
	p := r.person("alice")
	r.asserted(p.home, auth.AlgEdDSA)
	if _, err := r.RevokeSessions(t.Context(), "alice", ""); err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.Session(t.Context(), host, p.home.v.Session); !errors.Is(err, auth.ErrNoSession) {
		t.Errorf("a session that was revoked: %v", err)
	}
}

func BenchmarkAssertion(b *testing.B) {
	r := newRig(b)
	s, u := r.session(r.person("alice", "dev", "ops").home)
	for _, alg := range []string{auth.AlgEdDSA, auth.AlgES256} {
		for _, c := range []struct {
			name    string
			issuers [2]string // another one is another assertion
		}{{"signed", [...]string{issuer, "https://wiki.example.com"}}, {"used-again", [...]string{issuer, issuer}}} {
			b.Run(alg+"/"+c.name, func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					if _, err := r.Assertion(b.Context(), alg, c.issuers[i%2], s.Host, s, u); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
