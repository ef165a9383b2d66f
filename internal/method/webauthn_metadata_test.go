package method

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/internal/method/authenticator"
)

// registry signs metadata as FIDO does.
type registry struct {
	trust trust
	key   *authenticator.Key
	cert  []byte
	root  []byte
}

func newRegistry(t *testing.T, name string) *registry {
	t.Helper()
	root, r := must(authenticator.NewKey(authenticator.ES256))(t), &registry{key: must(authenticator.NewKey(authenticator.ES256))(t)}
	valid := func(serial int64, name string) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
			NotBefore: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC),
		}
	}
	ca, leaf := valid(1, "Example Root"), valid(2, name)
	ca.IsCA, ca.BasicConstraintsValid, ca.KeyUsage = true, true, x509.KeyUsageCertSign
	leaf.DNSNames = []string{name}
	r.root = must(x509.CreateCertificate(rand.Reader, ca, ca, root.Signer.Public(), root.Signer))(t)
	r.cert = must(x509.CreateCertificate(rand.Reader, leaf, ca, r.key.Signer.Public(), root.Signer))(t)
	r.trust = trust{root: base64.StdEncoding.EncodeToString(r.root), name: "mds.example.com"}
	return r
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// model is an entry of metadata.
type model struct {
	aaguid, status string
	root           []byte
	types          []string
}

func (m model) entry() map[string]any {
	types := m.types
	if types == nil {
		types = []string{"basic_full"}
	}
	status := m.status
	if status == "" {
		status = "FIDO_CERTIFIED"
	}
	return map[string]any{
		"aaguid": m.aaguid,
		"metadataStatement": map[string]any{
			"aaguid": m.aaguid, "description": "Example Authenticator", "protocolFamily": "fido2", "schema": 3,
			"attestationTypes": types, "attestationRootCertificates": []string{base64.StdEncoding.EncodeToString(m.root)},
			"icon": "data:image/png;base64,AAAA",
		},
		"statusReports":          []map[string]any{{"status": status, "effectiveDate": "2020-01-01"}},
		"timeOfLastStatusChange": "2020-01-01",
	}
}

// sign writes a blob of these entries and returns its path.
func (r *registry) sign(t *testing.T, entries ...any) string {
	t.Helper()
	payload := must(json.Marshal(map[string]any{"no": 1, "nextUpdate": "2026-01-01", "legalHeader": "", "entries": entries}))(t)
	chain := []string{base64.StdEncoding.EncodeToString(r.cert), base64.StdEncoding.EncodeToString(r.root)}
	signer := must(jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: r.key.Signer}, (&jose.SignerOptions{}).WithHeader("x5c", chain)))(t)
	text := must(must(signer.Sign(payload))(t).CompactSerialize())(t)
	return write(t, text+"\n")
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "blob.jwt")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const exampleModel = "11111111-2222-3333-4444-555555555555"

// direct is the method on https://example.com, with attestation.
func direct(t *testing.T, r *registry, path string) *siteWebAuthn {
	t.Helper()
	m := must(newWebAuthn(WebAuthnConfig{Attestation: "direct", Metadata: path}, r.trust))(t)
	return m.At(auth.Site{Host: "example.com", Origin: home}).(*siteWebAuthn)
}

func TestWebAuthnAttestation(t *testing.T) {
	maker, stranger := must(authenticator.NewAttester())(t), must(authenticator.NewAttester())(t)
	r := newRegistry(t, "mds.example.com")
	const revoked, self, compromised = "11111111-0000-0000-0000-000000000001", "11111111-0000-0000-0000-000000000002", "11111111-0000-0000-0000-000000000003"
	s := direct(t, r, r.sign(t,
		"no entry", map[string]any{"aaguid": "no AAGUID"},
		model{aaguid: exampleModel, root: maker.Root.Raw}.entry(),
		model{aaguid: revoked, root: maker.Root.Raw, status: "REVOKED"}.entry(),
		model{aaguid: compromised, root: maker.Root.Raw, status: "ATTESTATION_KEY_COMPROMISE"}.entry(),
		model{aaguid: self, root: maker.Root.Raw, types: []string{"basic_surrogate"}}.entry(),
	))
	for _, row := range []struct {
		name, aaguid string
		attester     *authenticator.Attester
		change       func(*draft)
		ok           bool
	}{
		{"known", exampleModel, maker, func(*draft) {}, true},
		{"by a stranger", exampleModel, stranger, func(*draft) {}, false},
		{"none", exampleModel, nil, func(*draft) {}, false},
		{"self", exampleModel, nil, func(d *draft) { d.Format = "packed" }, false},
		{"self, of a model that has no other", self, nil, func(d *draft) { d.Format = "packed" }, false},
		{"none, though signed", exampleModel, maker, func(d *draft) { d.Format = "none" }, false},
		{"unknown", "11111111-2222-3333-4444-555555555556", maker, func(*draft) {}, false},
		{"no model", "", maker, func(*draft) {}, false},
		{"revoked", revoked, maker, func(*draft) {}, false},
		{"compromised", compromised, maker, func(*draft) {}, false},
		{"of another type", self, maker, func(*draft) {}, false},
		{"wrong signature", exampleModel, maker, func(d *draft) { d.Signature = func(b []byte) []byte { b[len(b)-1] ^= 1; return b } }, false},
		{"certificate of another model", exampleModel, maker, func(d *draft) { d.Statement = certificateOf(t, maker, revoked) }, false},
		{"compound of self", self, nil, compound, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			d := newDevice()
			d.AAGUID, d.Attester = rawAAGUID(t, row.aaguid), row.attester
			c, err := enrol(t, s, d, aliceKeys, row.change)
			var hint *auth.Hint
			switch {
			case row.ok && err != nil:
				t.Fatal(err)
			case row.ok && (readRecord(t, c).Format != "packed" || readRecord(t, c).AAGUID != row.aaguid):
				t.Errorf("stored %s", c.Data)
			case !row.ok && (!errors.Is(err, auth.ErrRejected) || !errors.As(err, &hint) || c.Data != nil):
				t.Errorf("set up %+v, %v", c, err)
			}
		})
	}
	if ch := must(s.BeginEnroll(noon, aliceKeys, nil))(t); !strings.Contains(string(ch.Public), `"attestation":"direct"`) {
		t.Errorf("options %s", ch.Public)
	}
}

// compound repeats a statement of the key itself within one that the library takes for as good as its parts.
func compound(d *draft) {
	d.Format = "packed"
	d.Object = func(m map[string]any) {
		part := map[string]any{"fmt": "packed", "attStmt": m["attStmt"]}
		m["fmt"], m["attStmt"] = "compound", []any{part, part}
	}
}

// certificateOf swaps the certificate of a statement for that of another model.
func certificateOf(t *testing.T, a *authenticator.Attester, aaguid string) func(map[string]any) {
	t.Helper()
	return func(m map[string]any) { m["x5c"] = a.Chain(rawAAGUID(t, aaguid)) }
}

func TestWebAuthnMetadata(t *testing.T) {
	r, other, elsewhere := newRegistry(t, "mds.example.com"), newRegistry(t, "mds.example.com"), newRegistry(t, "example.com")
	elsewhere.trust.name = r.trust.name
	entry := model{aaguid: exampleModel, root: r.root}.entry()
	good := string(must(os.ReadFile(r.sign(t, entry)))(t))
	parts := strings.Split(strings.TrimSpace(good), ".")
	for _, row := range []struct {
		name, path string
		trust      trust
		want       string // in the error; "" for none
	}{
		{"good", write(t, good), r.trust, ""},
		{"missing", filepath.Join(t.TempDir(), "missing"), r.trust, "no such file"},
		{"empty", write(t, ""), r.trust, "no signed metadata"},
		{"a page", write(t, "<!doctype html>"), r.trust, "no signed metadata"},
		{"unsigned", write(t, base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`))+"."+parts[1]+"."), r.trust, "no signed metadata"},
		{"other root", write(t, good), other.trust, "not signed by mds.example.com"},
		{"FIDO's root", write(t, good), fidoTrust, "not signed by mds.fidoalliance.org"},
		{"other name below the root", elsewhere.sign(t, entry), elsewhere.trust, "not signed by mds.example.com"},
		{"other payload", write(t, parts[0]+"."+base64.RawURLEncoding.EncodeToString([]byte(`{}`))+"."+parts[2]), r.trust, "signature is wrong"},
		{"signature cut", write(t, strings.TrimSpace(good)[:len(good)-9]), r.trust, "signature is wrong"},
		{"no entry", r.sign(t), r.trust, "no entry"},
		{"no entry that can be read", r.sign(t, "x", map[string]any{}), r.trust, "no entry"},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := newWebAuthn(WebAuthnConfig{Attestation: "direct", Metadata: row.path}, row.trust)
			if row.want == "" && err != nil || row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)) {
				t.Errorf("%v, want %q", err, row.want)
			}
		})
	}
}
