package method

import (
	"bytes"
	"encoding/base64"
	"encoding/json"

	"github.com/go-webauthn/webauthn/protocol"
)

// keyAnswer is RegistrationResponseJSON or AuthenticationResponseJSON (WebAuthn Level 3, sections 5.1.8.1 and 5.1.8.2), as far as it is
// used. The library has types and parsers for them too. They are not used, since they carry every extension that there is, and an encoder
// of MessagePack, into the binary. CBOR, client data, authenticator data and all that is verified stay the library's.
type keyAnswer struct {
	ID         string                           `json:"id"`
	RawID      protocol.URLEncodedBase64        `json:"rawId"`
	Type       protocol.CredentialType          `json:"type"`
	Attachment protocol.AuthenticatorAttachment `json:"authenticatorAttachment"`
	Extensions struct {
		CredProps *protocol.CredentialPropertiesOutput `json:"credProps"`
	} `json:"clientExtensionResults"`
	Response struct {
		ClientData protocol.URLEncodedBase64 `json:"clientDataJSON"`
		// of a registration
		Object     protocol.URLEncodedBase64         `json:"attestationObject"`
		Transports []protocol.AuthenticatorTransport `json:"transports"`
		// of an assertion
		Data       protocol.URLEncodedBase64 `json:"authenticatorData"`
		Signature  protocol.URLEncodedBase64 `json:"signature"`
		UserHandle protocol.URLEncodedBase64 `json:"userHandle"`
	} `json:"response"`
}

// parseAnswer reads what both answers have. The client data are not verified. Its errors are rejections.
func parseAnswer(answer []byte) (a keyAnswer, p protocol.ParsedPublicKeyCredential, client protocol.CollectedClientData, err error) {
	if len(answer) > maxResponse {
		return a, p, client, rejected("too large")
	}
	if err := json.Unmarshal(answer, &a); err != nil {
		return a, p, client, rejected("malformed")
	}
	id, err := base64.RawURLEncoding.DecodeString(a.ID)
	if err != nil || len(id) == 0 || !bytes.Equal(id, a.RawID) || a.Type != protocol.PublicKeyCredentialType {
		return a, p, client, rejected("malformed")
	}
	if err := json.Unmarshal(a.Response.ClientData, &client); err != nil {
		return a, p, client, rejected("malformed")
	}
	p.ID, p.Type, p.RawID, p.ClientExtensionResults.CredProps = a.ID, string(a.Type), a.RawID, a.Extensions.CredProps
	if a.Attachment == protocol.Platform || a.Attachment == protocol.CrossPlatform {
		p.AuthenticatorAttachment = a.Attachment
	}
	return a, p, client, nil
}

// parseRegistration reads a RegistrationResponseJSON, whose credential ID has 1 to 1023 bytes. Its errors are rejections.
func parseRegistration(answer []byte) (*protocol.ParsedCredentialCreationData, error) {
	a, shared, client, err := parseAnswer(answer)
	if err != nil {
		return nil, err
	}
	p := &protocol.ParsedCredentialCreationData{ParsedPublicKeyCredential: shared}
	p.Raw.AttestationResponse.ClientDataJSON = a.Response.ClientData // its hash is verified
	p.Response.CollectedClientData = client
	for _, t := range a.Response.Transports {
		if t == "cable" { // as some browsers called it
			t = protocol.Hybrid
		}
		p.Response.Transports = append(p.Response.Transports, t)
	}
	object := &p.Response.AttestationObject
	if err := object.UnmarshalCBOR(a.Response.Object); err != nil {
		return nil, rejected("malformed")
	}
	if err := object.AuthData.Unmarshal(object.RawAuthData); err != nil || !object.AuthData.Flags.HasAttestedCredentialData() {
		return nil, rejected("malformed")
	}
	return p, nil
}

// parseAssertion reads an AuthenticationResponseJSON. Its errors are rejections.
func parseAssertion(answer []byte) (*protocol.ParsedCredentialAssertionData, error) {
	a, shared, client, err := parseAnswer(answer)
	if err != nil {
		return nil, err
	}
	if len(a.Response.UserHandle) > maxUserHandle {
		return nil, rejected("user handle too long")
	}
	p := &protocol.ParsedCredentialAssertionData{ParsedPublicKeyCredential: shared}
	p.Raw.AssertionResponse.ClientDataJSON = a.Response.ClientData // these two are what is signed
	p.Raw.AssertionResponse.AuthenticatorData = a.Response.Data
	p.Response = protocol.ParsedAssertionResponse{
		CollectedClientData: client, Signature: a.Response.Signature, UserHandle: a.Response.UserHandle,
	}
	if err := p.Response.AuthenticatorData.Unmarshal(a.Response.Data); err != nil {
		return nil, rejected("malformed")
	}
	return p, nil
}
