package authenticator

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"slices"
)

// Draft is a response before it is signed. What a function changes in it is signed as it then stands, so that a refusal shows that the
// field was checked and not merely the signature.
type Draft struct {
	// Client data, which the browser makes.
	Type, Challenge, Origin string
	CrossOrigin             bool
	TopOrigin               string
	ClientData              func([]byte) []byte // changes its JSON

	// Authenticator data.
	RPID         string // hashed
	Flags        byte
	Counter      uint32
	AAGUID       [16]byte // with Attested, as the next two
	CredentialID []byte   // also the id of the response
	PublicKey    []byte   // COSE
	Extensions   []byte   // CBOR
	AuthData     func([]byte) []byte

	// The signature, of an assertion or of an attestation statement.
	Key       *Key
	Signature func([]byte) []byte

	// The attestation.
	Format    string // "none", or "packed" by Attester, or without one by the credential's own key
	Attester  *Attester
	Statement func(map[string]any)
	Object    func(map[string]any) // changes the attestation object, with the statement in it

	// The rest of the response.
	UserHandle   []byte // of an assertion
	Attachment   string
	Transports   []string
	Discoverable *bool                // credProps.rk
	JSON         func(map[string]any) // changes the whole
}

// base64url is bytes in JSON as WebAuthn has them.
type base64url []byte

// MarshalText encodes without padding.
func (b base64url) MarshalText() ([]byte, error) {
	return []byte(base64.RawURLEncoding.EncodeToString(b)), nil
}

// UnmarshalText decodes without padding.
func (b *base64url) UnmarshalText(text []byte) (err error) {
	*b, err = base64.RawURLEncoding.DecodeString(string(text))
	return err
}

func apply[T any](f func(T) T, v T) T {
	if f == nil {
		return v
	}
	return f(v)
}

func (d *Draft) clientData() ([]byte, error) {
	b, err := json.Marshal(struct {
		Type        string `json:"type"`
		Challenge   string `json:"challenge"`
		Origin      string `json:"origin"`
		CrossOrigin bool   `json:"crossOrigin"`
		TopOrigin   string `json:"topOrigin,omitempty"`
	}{d.Type, d.Challenge, d.Origin, d.CrossOrigin, d.TopOrigin})
	return apply(d.ClientData, b), err
}

func (d *Draft) authData() []byte {
	hash := sha256.Sum256([]byte(d.RPID))
	b := append(hash[:], d.Flags)
	b = binary.BigEndian.AppendUint32(b, d.Counter)
	if d.Flags&Attested != 0 {
		b = append(b, d.AAGUID[:]...)
		b = binary.BigEndian.AppendUint16(b, uint16(len(d.CredentialID)))
		b = append(b, d.CredentialID...)
		b = append(b, d.PublicKey...)
	}
	return apply(d.AuthData, append(b, d.Extensions...))
}

// sign signs authenticator data and the hash of the client data: WebAuthn Level 3, section 6.3.3.
func (d *Draft) sign(authData, clientData []byte, with func([]byte) ([]byte, error)) ([]byte, error) {
	hash := sha256.Sum256(clientData)
	sig, err := with(slices.Concat(authData, hash[:]))
	return apply(d.Signature, sig), err
}

func (d *Draft) registration() ([]byte, error) {
	clientData, err := d.clientData()
	if err != nil {
		return nil, err
	}
	authData, statement := d.authData(), map[string]any{}
	if d.Format == "packed" {
		alg, sign := d.Key.Algorithm, d.Key.Sign
		if d.Attester != nil {
			alg, sign = d.Attester.key.Algorithm, d.Attester.key.Sign
			statement["x5c"] = d.Attester.Chain(d.AAGUID)
		}
		statement["alg"] = alg
		if statement["sig"], err = d.sign(authData, clientData, sign); err != nil {
			return nil, err
		}
	}
	if d.Statement != nil {
		d.Statement(statement)
	}
	object := map[string]any{"fmt": d.Format, "attStmt": statement, "authData": authData}
	if d.Object != nil {
		d.Object(object)
	}
	extensions := map[string]any{}
	if d.Discoverable != nil {
		extensions["credProps"] = map[string]any{"rk": *d.Discoverable}
	}
	return d.respond(extensions, map[string]any{
		"clientDataJSON": base64url(clientData), "attestationObject": base64url(mustCBOR(object)), "authenticatorData": base64url(authData),
		"transports": append([]string{}, d.Transports...),
	})
}

func (d *Draft) assertion() ([]byte, error) {
	clientData, err := d.clientData()
	if err != nil {
		return nil, err
	}
	authData := d.authData()
	sig, err := d.sign(authData, clientData, d.Key.Sign)
	if err != nil {
		return nil, err
	}
	response := map[string]any{
		"clientDataJSON": base64url(clientData), "authenticatorData": base64url(authData), "signature": base64url(sig),
	}
	if d.UserHandle != nil {
		response["userHandle"] = base64url(d.UserHandle)
	}
	return d.respond(map[string]any{}, response)
}

func (d *Draft) respond(extensions, response map[string]any) ([]byte, error) {
	m := map[string]any{
		"id": base64url(d.CredentialID), "rawId": base64url(bytes.Clone(d.CredentialID)), "type": "public-key",
		"clientExtensionResults": extensions, "response": response,
	}
	if d.Attachment != "" {
		m["authenticatorAttachment"] = d.Attachment
	}
	if d.JSON != nil {
		d.JSON(m)
	}
	return json.Marshal(m)
}
