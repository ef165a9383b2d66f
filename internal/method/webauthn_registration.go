package method

import (
	"bytes"
	"encoding/base64"
	"encoding/json"

	"github.com/go-webauthn/webauthn/protocol"
)

// registration is RegistrationResponseJSON (WebAuthn Level 3, section 5.1.8.1), as far as it is used. The library has a type and a parser
// for it too. They are not used, since they carry an encoder of MessagePack into the binary; what they leave to others stays with those:
// CBOR, authenticator data, and all that is verified.
type registration struct {
	protocol.PublicKeyCredential
	Response struct {
		ClientDataJSON    protocol.URLEncodedBase64         `json:"clientDataJSON"`
		AttestationObject protocol.URLEncodedBase64         `json:"attestationObject"`
		Transports        []protocol.AuthenticatorTransport `json:"transports"`
	} `json:"response"`
}

// parseRegistration reads a RegistrationResponseJSON, whose credential ID has 1 to 1023 bytes. Its errors are rejections.
func parseRegistration(answer []byte) (*protocol.ParsedCredentialCreationData, error) {
	if len(answer) > maxResponse {
		return nil, rejected("too large")
	}
	var r registration
	if err := json.Unmarshal(answer, &r); err != nil {
		return nil, rejected("malformed")
	}
	id, err := base64.RawURLEncoding.DecodeString(r.ID)
	if err != nil || len(id) == 0 || !bytes.Equal(id, r.RawID) || r.Type != string(protocol.PublicKeyCredentialType) {
		return nil, rejected("malformed")
	}
	p := &protocol.ParsedCredentialCreationData{}
	p.ID, p.Type, p.RawID, p.ClientExtensionResults = r.ID, r.Type, r.RawID, r.ClientExtensionResults
	if a := protocol.AuthenticatorAttachment(r.AuthenticatorAttachment); a == protocol.Platform || a == protocol.CrossPlatform {
		p.AuthenticatorAttachment = a
	}
	for _, t := range r.Response.Transports {
		if t == "cable" { // as some browsers call it
			t = protocol.Hybrid
		}
		p.Response.Transports = append(p.Response.Transports, t)
	}
	p.Raw.AttestationResponse.ClientDataJSON = r.Response.ClientDataJSON // its hash is verified
	if err := json.Unmarshal(r.Response.ClientDataJSON, &p.Response.CollectedClientData); err != nil {
		return nil, rejected("malformed")
	}
	object := &p.Response.AttestationObject
	if err := object.UnmarshalCBOR(r.Response.AttestationObject); err != nil {
		return nil, rejected("malformed")
	}
	if err := object.AuthData.Unmarshal(object.RawAuthData); err != nil || !object.AuthData.Flags.HasAttestedCredentialData() {
		return nil, rejected("malformed")
	}
	return p, nil
}
