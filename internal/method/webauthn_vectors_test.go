package method

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncbor"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// hexBytes is bytes in hexadecimal, as the specification writes them.
type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

// vector is one of the test vectors of WebAuthn Level 3 (section "Test Vectors").
type vector struct {
	Name         string
	ID           hexBytes `json:"credential_id"`
	PublicKey    hexBytes `json:"public_key"`
	Registration struct{ Challenge, ClientDataJSON, AttestationObject hexBytes }
	Assertion    struct{ Challenge, ClientDataJSON, AuthenticatorData, Signature hexBytes } `json:"authentication"`
}

func vectors(t testing.TB) (list []vector, ca []byte) {
	t.Helper()
	b, err := os.ReadFile("testdata/webauthn_vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var f struct {
		CA      hexBytes `json:"attestation_ca"`
		Vectors []vector
	}
	if err := json.Unmarshal(b, &f); err != nil || len(f.Vectors) != 14 {
		t.Fatalf("%d vectors, %v", len(f.Vectors), err)
	}
	return f.Vectors, f.CA
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// response is what the browser would post.
func response(t testing.TB, id []byte, members map[string][]byte) []byte {
	t.Helper()
	text := map[string]string{}
	for name, b := range members {
		text[name] = encode(b)
	}
	b, err := json.Marshal(map[string]any{
		"id": encode(id), "rawId": encode(id), "type": "public-key", "clientExtensionResults": map[string]any{}, "response": text,
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (v *vector) registration(t testing.TB) []byte {
	return response(t, v.ID, map[string][]byte{"clientDataJSON": v.Registration.ClientDataJSON, "attestationObject": v.Registration.AttestationObject})
}

func (v *vector) assertion(t testing.TB) []byte {
	return response(t, v.ID, map[string][]byte{
		"clientDataJSON": v.Assertion.ClientDataJSON, "authenticatorData": v.Assertion.AuthenticatorData, "signature": v.Assertion.Signature,
	})
}

// specSite is the method on the site of the specification.
func specSite(t testing.TB, m *WebAuthn) *siteWebAuthn {
	t.Helper()
	return m.At(auth.Site{Host: "example.org", Origin: "https://example.org"}).(*siteWebAuthn)
}

// ask is the challenge of a vector.
func (s *siteWebAuthn) ask(t testing.TB, purpose string, challenge []byte, creds ...auth.Credential) auth.Challenge {
	t.Helper()
	c, _, err := s.begin(purpose, aliceKeys, creds)
	if err != nil {
		t.Fatal(err)
	}
	c.Challenge = challenge
	ch, err := c.seal(noon, nil)
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

// unattested is the attestation object without its statement.
func unattested(t testing.TB, object []byte) []byte {
	t.Helper()
	var m map[string]any
	if err := webauthncbor.Unmarshal(object, &m); err != nil {
		t.Fatal(err)
	}
	m["fmt"], m["attStmt"] = "none", map[string]any{}
	b, err := webauthncbor.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// What the vectors hold that is refused, and why.
var (
	framed     = []string{"none-es256-crossOrigin", "none-es256-topOrigin"} // S40
	notOffered = []string{"packed-es384", "packed-es512"}                   // S44
	// Their certificates lead to the specification's own root, which stands in none of the places that these formats are rooted in.
	ownRoot = []string{"tpm-es256", "android-key-es256", "apple-es256"}
)

func (v *vector) among(lists ...[]string) bool {
	for _, l := range lists {
		if slices.Contains(l, v.Name) {
			return true
		}
	}
	return false
}

func TestSpecificationVectors(t *testing.T) { // S39-S45
	m, err := NewWebAuthn(WebAuthnConfig{})
	if err != nil {
		t.Fatal(err)
	}
	s := specSite(t, m)
	list, _ := vectors(t)
	for _, v := range list {
		t.Run(v.Name, func(t *testing.T) {
			finish := func() (auth.Credential, error) {
				return s.FinishEnroll(noon, aliceKeys, s.ask(t, forEnrolment, v.Registration.Challenge), v.registration(t))
			}
			c, err := finish()
			if v.among(ownRoot) {
				if !errors.Is(err, auth.ErrRejected) {
					t.Errorf("a stranger's statement: %v", err)
				}
				v.Registration.AttestationObject = unattested(t, v.Registration.AttestationObject)
				c, err = finish()
			}
			if v.among(framed, notOffered) {
				if !errors.Is(err, auth.ErrRejected) || c.Data != nil {
					t.Errorf("set up %+v, %v", c, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if r := readRecord(t, c); string(r.CredentialID) != string(v.ID) || string(r.PublicKey) != string(v.PublicKey) {
				t.Errorf("stored %+v", r)
			}
			got, err := s.Verify(noon, aliceKeys, []auth.Credential{c}, s.ask(t, forSecondStep, v.Assertion.Challenge, c), v.assertion(t))
			if err != nil || got.Kinds&auth.Possession == 0 {
				t.Errorf("proved %+v, %v", got, err)
			}
			v.mutate(t, s, c)
		})
	}
}

// mutate changes one thing at a time in what was right.
func (v *vector) mutate(t *testing.T, s *siteWebAuthn, c auth.Credential) {
	t.Helper()
	flip := func(b []byte, at int) []byte {
		b = append([]byte(nil), b...)
		b[at] ^= 1
		return b
	}
	swap := func(b []byte, old, with string) []byte {
		if !strings.Contains(string(b), old) {
			t.Fatalf("no %s in %s", old, b)
		}
		return []byte(strings.Replace(string(b), old, with, 1))
	}
	client := func(b []byte, kind string) map[string][]byte {
		return map[string][]byte{
			"type":         swap(b, kind, "webauthn.other"),
			"challenge":    swap(b, `"challenge":"`, `"challenge":"A`),
			"origin":       swap(b, "https://example.org", "https://example.com"),
			"cross-origin": swap(b, `"crossOrigin":false`, `"crossOrigin":true`),
		}
	}
	for name, b := range client(v.Registration.ClientDataJSON, "webauthn.create") {
		m := *v
		m.Registration.ClientDataJSON = b
		if _, err := s.FinishEnroll(noon, aliceKeys, s.ask(t, forEnrolment, v.Registration.Challenge), m.registration(t)); !errors.Is(err, auth.ErrRejected) {
			t.Errorf("set up with another %s: %v", name, err)
		}
	}
	var object struct {
		AuthData []byte `cbor:"authData"`
	}
	if err := webauthncbor.Unmarshal(v.Registration.AttestationObject, &object); err != nil {
		t.Fatal(err)
	}
	at := strings.Index(string(v.Registration.AttestationObject), string(object.AuthData))
	m := *v
	m.Registration.AttestationObject = flip(v.Registration.AttestationObject, at) // RP ID hash
	if _, err := s.FinishEnroll(noon, aliceKeys, s.ask(t, forEnrolment, v.Registration.Challenge), m.registration(t)); !errors.Is(err, auth.ErrRejected) {
		t.Errorf("set up with another RP ID hash: %v", err)
	}
	m.Registration.AttestationObject = flip(v.Registration.AttestationObject, at+32) // user present
	if _, err := s.FinishEnroll(noon, aliceKeys, s.ask(t, forEnrolment, v.Registration.Challenge), m.registration(t)); !errors.Is(err, auth.ErrRejected) {
		t.Errorf("set up with nobody present: %v", err)
	}

	wrong := func(name string, m vector) {
		t.Helper()
		_, err := s.Verify(noon, aliceKeys, []auth.Credential{c}, s.ask(t, forSecondStep, v.Assertion.Challenge, c), m.assertion(t))
		if !errors.Is(err, auth.ErrRejected) {
			t.Errorf("signed in with another %s: %v", name, err)
		}
	}
	for name, b := range client(v.Assertion.ClientDataJSON, "webauthn.get") {
		m := *v
		m.Assertion.ClientDataJSON = b
		wrong(name, m)
	}
	for at := range v.Assertion.AuthenticatorData { // RP ID hash, every flag's byte, the counter
		m := *v
		m.Assertion.AuthenticatorData = flip(v.Assertion.AuthenticatorData, at)
		wrong("byte of data", m)
	}
	m = *v
	m.Assertion.Signature = flip(v.Assertion.Signature, len(v.Assertion.Signature)-1)
	wrong("signature", m)
	m = *v
	m.ID = flip(v.ID, 0)
	wrong("credential", m)
}

func TestWebAuthnStoredAlgorithm(t *testing.T) { // S44: even if a record held a key that was never offered
	m, err := NewWebAuthn(WebAuthnConfig{})
	if err != nil {
		t.Fatal(err)
	}
	s := specSite(t, m)
	list, _ := vectors(t)
	for _, v := range list {
		data := v.Assertion.AuthenticatorData
		record, err := json.Marshal(keyRecord{RPID: "example.org", CredentialID: v.ID, PublicKey: v.PublicKey, BackupEligible: data[32]&0x08 != 0})
		if err != nil {
			t.Fatal(err)
		}
		c := auth.Credential{ID: "c1", Method: auth.MethodWebAuthn, Data: record}
		_, err = s.Verify(noon, aliceKeys, []auth.Credential{c}, s.ask(t, forSecondStep, v.Assertion.Challenge, c), v.assertion(t))
		if bad := v.among(framed, notOffered); bad != errors.Is(err, auth.ErrRejected) || !bad && err != nil {
			t.Errorf("%s: %v", v.Name, err)
		}
	}
}

func TestSpecificationAttestation(t *testing.T) {
	list, ca := vectors(t)
	r := newRegistry(t, "mds.example.com")
	var entries []any
	for _, v := range list {
		p, err := protocol.ParseCredentialCreationResponseBytes(v.registration(t))
		if err != nil {
			t.Fatal(err)
		}
		id := formatAAGUID(p.Response.AttestationObject.AuthData.AttData.AAGUID)
		entries = append(entries, model{aaguid: id, root: ca, types: []string{"basic_full", "anonca", "attca"}}.entry())
	}
	m, err := newWebAuthn(WebAuthnConfig{Attestation: "direct", Metadata: r.sign(t, entries...)}, r.trust)
	if err != nil {
		t.Fatal(err)
	}
	s := specSite(t, m)
	for _, v := range list {
		_, err := s.FinishEnroll(noon, aliceKeys, s.ask(t, forEnrolment, v.Registration.Challenge), v.registration(t))
		signed := v.among([]string{"packed-es256", "packed-rs256", "packed-eddsa", "fido-u2f-es256"})
		if signed && err != nil || !signed && !errors.Is(err, auth.ErrRejected) {
			t.Errorf("%s: %v", v.Name, err)
		}
	}
}
