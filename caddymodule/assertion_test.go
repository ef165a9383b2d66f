package caddymodule

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/caddy-mfa/caddy-mfa/docs/verify"
)

// assertingGate is a site whose app gets assertions, and another one beside it, which both need assertingPortal.
const assertingGate = `http://auth.localhost:{port} {
	mfa_portal
}
{address} {
	mfa {
		public /healthz
		identity jwt
	}
	reverse_proxy {app}
}
http://other.localhost:{port} {
	mfa {
		identity {
			user X-Forwarded-User
			email off
			jwt ES256 X-Assertion
		}
	}
	reverse_proxy {app}
}
`

const assertingPortal = "portal http://auth.localhost:{port} localhost other.localhost"

// verifier is that of the app on a host of the site.
func (s *site) verifier(host string) *verify.Verifier {
	return &verify.Verifier{Issuer: "http://" + host + ":" + s.port, Host: host, Client: s.http}
}

// public fetches what is published.
func (s *site) public() *jose.JSONWebKeySet {
	s.t.Helper()
	keys := new(jose.JSONWebKeySet)
	if err := json.NewDecoder(s.get("/.mfa/jwks.json").Body).Decode(keys); err != nil {
		s.t.Fatal(err)
	}
	return keys
}

func TestAppVerifiesAssertion(t *testing.T) { // S67
	s := newSite(t)
	s.serve(assertingGate, assertingPortal)
	alice := sessionCookie(signIn(t, "localhost", "alice", "ops", "dev"))
	bob := sessionCookie(signIn(t, "other.localhost", "bob"))
	mine := s.verifier("localhost")

	token := arrived(t, s.get("/", alice)).Header.Get("Remote-Assertion")
	t.Run("of its own host", func(t *testing.T) {
		got, err := mine.Verify(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		if got.ID == "" || got.Username != "alice" || got.Name != "The alice" || got.Email != "alice@example.com" || got.EmailVerified ||
			!slices.Equal(got.Groups, []string{"dev", "ops"}) || got.Class != "mfa" || !slices.Contains(got.Methods, "pwd") ||
			time.Since(time.Unix(got.AuthTime, 0)) > time.Hour {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("by names of the admin's choice", func(t *testing.T) {
		got := arrived(t, s.get("/", bob, "Host: other.localhost")).Header
		if got.Get("X-Forwarded-User") != "bob" || got.Get("Remote-Name") != "The bob" || got["Remote-User"] != nil || got["Remote-Email"] != nil ||
			got["Remote-Assertion"] != nil {
			t.Errorf("got %v", got)
		}
		person, err := s.verifier("other.localhost").Verify(t.Context(), got.Get("X-Assertion"))
		if err != nil || person.Username != "bob" {
			t.Errorf("got %+v, %v", person, err)
		}
	})
	t.Run("of another host", func(t *testing.T) {
		other := arrived(t, s.get("/", bob, "Host: other.localhost")).Header.Get("X-Assertion")
		if _, err := mine.Verify(t.Context(), other); !errors.Is(err, verify.ErrNoPerson) {
			t.Errorf("got %v", err)
		}
		lax := s.verifier("localhost") // whoever is not particular about the issuer is saved by the audience
		lax.Issuer, lax.Keys = "http://other.localhost:"+s.port, "http://localhost:"+s.port+"/.mfa/jwks.json"
		if _, err := lax.Verify(t.Context(), other); !errors.Is(err, jwt.ErrInvalidAudience) {
			t.Errorf("got %v", err)
		}
		if _, err := s.verifier("other.localhost").Verify(t.Context(), token); !errors.Is(err, jwt.ErrInvalidIssuer) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("when its time has come", func(t *testing.T) {
		late := s.verifier("localhost")
		for _, c := range []struct {
			after time.Duration
			ok    bool
		}{{-5 * time.Second, false}, {40 * time.Second, true}, {time.Minute, false}} {
			token := arrived(t, s.get("/", alice)).Header.Get("Remote-Assertion")
			issued := issuedAt(t, token)
			late.Now = func() time.Time { return issued.Add(c.after) }
			if _, err := late.Verify(t.Context(), token); (err == nil) != c.ok || err != nil && !errors.Is(err, verify.ErrNoPerson) {
				t.Errorf("%s after it was issued: %v", c.after, err)
			}
		}
	})
	t.Run("without an issuer or a host nothing is right", func(t *testing.T) {
		for _, v := range []*verify.Verifier{{Host: "localhost", Client: s.http}, {Issuer: mine.Issuer, Client: s.http}} {
			if _, err := v.Verify(t.Context(), token); err == nil {
				t.Errorf("%+v verifies", v)
			}
		}
	})
	t.Run("public requests have none", func(t *testing.T) {
		got := arrived(t, s.get("/healthz", alice, "Remote-Assertion: "+token))
		if got.Header["Remote-Assertion"] != nil || got.Header["Remote-User"] != nil {
			t.Errorf("got %v", got.Header)
		}
	})
	t.Run("nobody gets one after sign-out", func(t *testing.T) {
		carol := sessionCookie(signIn(t, "localhost", "carol"))
		arrived(t, s.get("/", carol))
		realm, err := running(t).Realm(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := realm.RevokeSessions(t.Context(), "carol", ""); err != nil {
			t.Fatal(err)
		}
		if res := s.get("/", carol, asScript); res.StatusCode != http.StatusUnauthorized {
			t.Error(res.Status)
		}
	})
	t.Run("changed groups show at once", func(t *testing.T) {
		realm, err := running(t).Realm(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := realm.ChangeGroups(t.Context(), "alice", nil, []string{"ops"}); err != nil {
			t.Fatal(err)
		}
		got, err := mine.Verify(t.Context(), arrived(t, s.get("/", alice)).Header.Get("Remote-Assertion"))
		if err != nil || !slices.Equal(got.Groups, []string{"dev"}) {
			t.Errorf("got %+v, %v", got, err)
		}
	})
	t.Run("the log does not hold it", func(t *testing.T) { // S78
		if strings.Contains(s.logged(), token[len(token)-40:]) {
			t.Error("it does")
		}
	})
}

func issuedAt(t testing.TB, token string) time.Time {
	t.Helper()
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.EdDSA, jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	var claims jwt.Claims
	if err := parsed.UnsafeClaimsWithoutVerification(&claims); err != nil {
		t.Fatal(err)
	}
	return claims.IssuedAt.Time()
}

// Everything that somebody without a private key can make of what is public, or of their own assertion.
func TestForgedAssertions(t *testing.T) {
	s := newSite(t)
	s.serve(assertingGate, assertingPortal)
	token := arrived(t, s.get("/", sessionCookie(signIn(t, "localhost", "alice")))).Header.Get("Remote-Assertion")
	v := s.verifier("localhost")
	if _, err := v.Verify(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	keys := s.public()
	public := keys.Keys[slices.IndexFunc(keys.Keys, func(k jose.JSONWebKey) bool { return k.Algorithm == "EdDSA" })]
	raw, err := public.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(token, ".")
	admin := base64.RawURLEncoding.EncodeToString([]byte(fmt.Sprintf(`{"iss":%q,"aud":"localhost","sub":"1","preferred_username":"admin","exp":%d}`, v.Issuer, time.Now().Add(time.Hour).Unix())))
	header := func(alg string) string {
		return base64.RawURLEncoding.EncodeToString([]byte(fmt.Sprintf(`{"alg":%q,"kid":%q,"typ":"JWT"}`, alg, public.KeyID)))
	}
	hmac := func(secret []byte) string {
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: secret}, (&jose.SignerOptions{}).WithHeader("kid", public.KeyID))
		if err != nil {
			t.Fatal(err)
		}
		signed, err := jwt.Signed(signer).Claims(jwt.Claims{Issuer: v.Issuer, Audience: jwt.Audience{"localhost"}, Subject: "1", Expiry: jwt.NewNumericDate(time.Now().Add(time.Hour))}).Serialize()
		if err != nil {
			t.Fatal(err)
		}
		return signed
	}
	for name, forged := range map[string]string{
		"nothing":                              "",
		"no signature":                         parts[0] + "." + parts[1] + ".",
		"another payload":                      parts[0] + "." + admin + "." + parts[2],
		"alg none":                             header("none") + "." + admin + ".",
		"alg none with a signature":            header("none") + "." + admin + "." + parts[2],
		"alg NONE":                             header("NONE") + "." + admin + ".",
		"alg ES256 for a key of EdDSA":         header("ES256") + "." + parts[1] + "." + parts[2],
		"HS256 with the public key as secret":  hmac(public.Key.(ed25519.PublicKey)),
		"HS256 with the published key as text": hmac(raw),
		"twice":                                token + ", " + token,
		"JSON":                                 `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			if person, err := v.Verify(t.Context(), forged); !errors.Is(err, verify.ErrNoPerson) {
				t.Errorf("got %+v, %v", person, err)
			}
		})
	}
}
