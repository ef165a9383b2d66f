package method

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"reflect"
	"testing"
	"time"

	"github.com/go-webauthn/webauthn/protocol/webauthncbor"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/internal/method/authenticator"
)

// generator is the P-256 key whose private half is 1.
func generator(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), big.NewInt(1).FillBytes(make([]byte, 32)))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func cose(t *testing.T, m map[int]any) []byte {
	t.Helper()
	b, err := webauthncbor.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestWebAuthnEnrolOptions(t *testing.T) { // S44, S49
	s, d := onSite(t, WebAuthnConfig{Name: "Example Corp", UserVerification: "discouraged"}), newDevice()
	d.Transports = []string{"usb"}
	c := mustEnrol(t, s, d, aliceKeys)
	for name, begin := range map[string]func(time.Time, auth.User, []auth.Credential) (auth.Challenge, error){"set-up": s.BeginEnroll, "upgrade": s.BeginUpgrade} {
		t.Run(name, func(t *testing.T) {
			ch, err := begin(noon, aliceKeys, []auth.Credential{c})
			if err != nil {
				t.Fatal(err)
			}
			var got map[string]any
			if err := json.Unmarshal(ch.Public, &got); err != nil {
				t.Fatal(err)
			}
			if n := len(got["challenge"].(string)); n != 43 {
				t.Errorf("a challenge of %d characters", n)
			}
			delete(got, "challenge")
			param := func(alg float64) any { return map[string]any{"type": "public-key", "alg": alg} }
			want := map[string]any{
				"rp":               map[string]any{"id": "example.com", "name": "Example Corp"},
				"user":             map[string]any{"id": base64.RawURLEncoding.EncodeToString(aliceKeys.Handle), "name": "alice", "displayName": "alice Example"},
				"pubKeyCredParams": []any{param(-7), param(-8), param(-257)},
				"timeout":          300000.0,
				"excludeCredentials": []any{map[string]any{
					"type": "public-key", "id": base64.RawURLEncoding.EncodeToString(d.Keys()[0].ID), "transports": []any{"usb"},
				}},
				"authenticatorSelection": map[string]any{"requireResidentKey": false, "residentKey": "preferred", "userVerification": "discouraged"},
				"attestation":            "none",
				"extensions":             map[string]any{"credProps": true},
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s", ch.Public)
			}
			if !ch.Expires.Equal(noon.Add(5*time.Minute)) || ch.Reusable || ch.Method != auth.MethodWebAuthn {
				t.Errorf("challenge %+v", ch)
			}
			if _, err := d.Create(ch.Public); !errors.Is(err, authenticator.ErrExcluded) {
				t.Errorf("the same device again: %v", err)
			}
		})
	}
	for name, u := range map[string]auth.User{"nobody": {}, "no handle": alice, "long handle": {ID: "u1", Handle: make([]byte, 65)}} {
		if _, err := s.BeginEnroll(noon, u, nil); err == nil || errors.Is(err, auth.ErrRejected) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWebAuthnEnrolled(t *testing.T) {
	s, d := onSite(t, WebAuthnConfig{}), newDevice()
	d.Synced, d.Transports, d.Attachment = true, []string{"hybrid", "internal", "internal", "<script>"}, "platform"
	c := mustEnrol(t, s, d, aliceKeys)
	key := d.Keys()[0]
	want := keyRecord{
		RPID: "example.com", CredentialID: key.ID, PublicKey: key.COSE(), BackupEligible: true, BackupState: true, UserVerified: true,
		Transports: []string{"hybrid", "internal"}, Attachment: "platform", Discoverable: true, Format: "none",
	}
	if got := readRecord(t, c); !reflect.DeepEqual(got, want) {
		t.Errorf("stored %+v", got)
	}
	if c.Method != auth.MethodWebAuthn || !c.Created.Equal(noon) || c.Secret != nil || c.Label != "" {
		t.Errorf("credential %+v", c)
	}
}

func TestWebAuthnLabel(t *testing.T) {
	yes, no := true, false
	for _, row := range []struct {
		name, aaguid string
		rk           *bool
		synced       bool
		want         string
	}{
		{"known", "fbfc3007-154e-4ecc-8c0b-6e020557d7bd", &yes, true, "iCloud Keychain"},
		{"discoverable", "", &yes, false, "Passkey"},
		{"not discoverable", "", &no, true, "Security key"},
		{"not said, synced", "", nil, true, "Passkey"},
		{"not said", "", nil, false, "Security key"},
	} {
		s, d := onSite(t, WebAuthnConfig{}), newDevice()
		d.Synced, d.Attachment = row.synced, "cross-platform"
		c, err := enrol(t, s, d, aliceKeys, func(d *draft) {
			d.AAGUID, d.Discoverable = rawAAGUID(t, row.aaguid), row.rk
		})
		if err != nil || c.Label != row.want {
			t.Errorf("%s: %q, %v", row.name, c.Label, err)
		}
	}
}

func TestWebAuthnWants(t *testing.T) {
	for _, row := range []struct {
		name   string
		config WebAuthnConfig
		key    func(*draft) // of the one that is there; nil: none
		want   bool
	}{
		{"no key", WebAuthnConfig{}, nil, true},
		{"a key that is no passkey", WebAuthnConfig{}, func(d *draft) { no := false; d.Discoverable = &no }, true},
		{"a passkey", WebAuthnConfig{}, func(d *draft) { yes := true; d.Discoverable = &yes }, false},
		{"verification required", WebAuthnConfig{UserVerification: "required"}, nil, false},
		{"some models alone", WebAuthnConfig{AllowAAGUIDs: []string{"fbfc3007-154e-4ecc-8c0b-6e020557d7bd"}}, nil, false},
	} {
		s, d := onSite(t, row.config), newDevice()
		var have []auth.Credential
		if row.key != nil {
			c, err := enrol(t, s, d, aliceKeys, row.key)
			if err != nil {
				t.Fatal(err)
			}
			have = append(have, c)
		}
		if got := s.Wants(have); got != row.want {
			t.Errorf("%s: %v", row.name, got)
		}
	}
}

func TestWebAuthnForgedRegistration(t *testing.T) { // S39-S45, S50
	other, err := authenticator.NewKey(authenticator.ES256)
	if err != nil {
		t.Fatal(err)
	}
	x, y := other.COSE()[10:42], other.COSE()[45:77]
	rsa := func(n []byte, e ...byte) func(*draft) {
		return func(d *draft) { d.PublicKey = cose(t, map[int]any{1: 3, 3: -257, -1: n, -2: e}) }
	}
	modulus := func(size int) []byte { return bytes.Repeat([]byte{0xff}, size) }
	publicKey := func(m map[int]any) func(*draft) { return func(d *draft) { d.PublicKey = cose(t, m) } }
	id := func(n int) func(*draft) { return func(d *draft) { d.CredentialID = make([]byte, n) } }
	rows := append([]forged{
		{"type of sign-in", func(d *draft) { d.Type = "webauthn.get" }},
		{"no credential", func(d *draft) { d.Flags &^= authenticator.Attested }},
		{"no key", func(d *draft) { d.PublicKey = nil }},
		{"key cut", func(d *draft) { d.PublicKey = d.PublicKey[:40] }},
		{"data after the key", func(d *draft) { d.PublicKey = append(bytes.Clone(d.PublicKey), 0) }},
		{"key no map", func(d *draft) { d.PublicKey = []byte{0x01} }},
		{"ES384", publicKey(map[int]any{1: 2, 3: -35, -1: 2, -2: make([]byte, 48), -3: make([]byte, 48)})}, // S44
		{"ES256 fully specified", publicKey(map[int]any{1: 2, 3: -9, -1: 1, -2: x, -3: y})},
		{"ES256K", publicKey(map[int]any{1: 2, 3: -47, -1: 8, -2: x, -3: y})},
		{"RS1", publicKey(map[int]any{1: 3, 3: -65535, -1: modulus(256), -2: []byte{1, 0, 1}})},
		{"no algorithm", publicKey(map[int]any{1: 2, -1: 1, -2: x, -3: y})},
		{"EdDSA of an EC key", publicKey(map[int]any{1: 2, 3: -8, -1: 1, -2: x, -3: y})},
		{"other curve", publicKey(map[int]any{1: 2, 3: -7, -1: 2, -2: x, -3: y})},
		{"point off the curve", publicKey(map[int]any{1: 2, 3: -7, -1: 1, -2: x, -3: x})},
		{"point at zero", publicKey(map[int]any{1: 2, 3: -7, -1: 1, -2: make([]byte, 32), -3: make([]byte, 32)})},
		{"coordinate too large", publicKey(map[int]any{1: 2, 3: -7, -1: 1, -2: modulus(32), -3: modulus(32)})},
		{"short RSA", rsa(modulus(128), 1, 0, 1)},
		{"padded RSA", rsa(append(make([]byte, 200), modulus(56)...), 1, 0, 1)},
		{"huge RSA", rsa(modulus(8192), 1, 0, 1)},
		{"even RSA", rsa(append(modulus(255), 0xfe), 1, 0, 1)},
		{"RSA of exponent 1", rsa(modulus(256), 1)},
		{"RSA of a large exponent", rsa(modulus(256), 0x7f, 0xff, 0xff, 0xff, 0xff)},
		{"no credential ID", id(0)}, // S45
		{"credential ID of 1024 bytes", id(1024)},
		{"other ID in the response", func(d *draft) {
			d.JSON = func(m map[string]any) { m["id"], m["rawId"] = "AAAA", "AAAA" }
		}},
		{"statement of format none", func(d *draft) { d.Statement = func(m map[string]any) { m["alg"] = -7 } }},
		{"unknown format", func(d *draft) { d.Format = "example" }},
		{"self attestation by another key", func(d *draft) { d.Format, d.Key = "packed", other }},
		{"self attestation of another algorithm", func(d *draft) {
			d.Format, d.Statement = "packed", func(m map[string]any) { m["alg"] = -8 }
		}},
		{"no signature", func(d *draft) { d.Format, d.Statement = "packed", func(m map[string]any) { delete(m, "sig") } }},
		{"no certificates", func(d *draft) { d.Format, d.Statement = "packed", func(m map[string]any) { m["x5c"] = []any{} } }},
		{"certificates of no bytes", func(d *draft) { d.Format, d.Statement = "packed", func(m map[string]any) { m["x5c"] = []any{1} } }},
	}, append(clientForgeries, dataForgeries...)...)
	s, d := onSite(t, WebAuthnConfig{}), newDevice()
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			if c, err := enrol(t, s, d, aliceKeys, row.change); !errors.Is(err, auth.ErrRejected) || c.Data != nil {
				t.Errorf("set up %+v, %v", c, err)
			}
		})
	}
	for name, good := range map[string]func(*draft){
		"unforged":                    func(*draft) {},
		"credential ID of 1023 bytes": id(1023),
		"self attestation":            func(d *draft) { d.Format = "packed" },
	} {
		if _, err := enrol(t, s, d, aliceKeys, good); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWebAuthnDuplicate(t *testing.T) { // S49
	s, d := onSite(t, WebAuthnConfig{}), newDevice()
	c := mustEnrol(t, s, d, aliceKeys)
	ch, err := s.BeginEnroll(noon, aliceKeys, []auth.Credential{c})
	if err != nil {
		t.Fatal(err)
	}
	answer, err := newDevice().Create(ch.Public, func(dr *draft) { dr.CredentialID = d.Keys()[0].ID })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.FinishEnroll(noon, aliceKeys, ch, answer); !errors.Is(err, auth.ErrDuplicate) || !errors.Is(err, auth.ErrRejected) {
		t.Errorf("registered twice: %v", err)
	}
}

func TestWebAuthnUpgrade(t *testing.T) { // S42: presence is waived for conditional create alone
	s, d := onSite(t, WebAuthnConfig{}), newDevice()
	d.Absent, d.Verifies = true, false
	ch, err := s.BeginUpgrade(noon, aliceKeys, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := d.Create(ch.Public)
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.FinishEnroll(noon, aliceKeys, ch, answer)
	if err != nil {
		t.Fatal(err)
	}
	if readRecord(t, c).UserVerified {
		t.Error("nobody was there, and was verified")
	}
	v, err := signIn(t, s, d, aliceKeys, c)
	refused(t, v, err)
	d.Absent, d.Verifies = false, true
	if v, err := signIn(t, s, d, aliceKeys, c); err != nil || v.Kinds != auth.Possession {
		t.Errorf("shows %v, %v", v.Kinds, err)
	}
}
