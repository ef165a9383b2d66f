package method

import (
	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
)

// What browsers are asked, as far as it is used. The library's own types of these names encode to the same, but carry every extension
// that there is, and what checks it, into the binary.

// creationOptions is PublicKeyCredentialCreationOptionsJSON (WebAuthn Level 3, section 5.1.9).
type creationOptions struct {
	RelyingParty protocol.RelyingPartyEntity     `json:"rp"`
	User         protocol.UserEntity             `json:"user"`
	Challenge    protocol.URLEncodedBase64       `json:"challenge"`
	Parameters   []parameter                     `json:"pubKeyCredParams"`
	Timeout      int64                           `json:"timeout"` // milliseconds
	Exclude      []protocol.CredentialDescriptor `json:"excludeCredentials,omitempty"`
	Selection    protocol.AuthenticatorSelection `json:"authenticatorSelection"`
	Attestation  protocol.ConveyancePreference   `json:"attestation"`
	Extensions   extensions                      `json:"extensions"`
}

// parameter is PublicKeyCredentialParameters (section 5.3).
type parameter struct {
	Type      protocol.CredentialType              `json:"type"`
	Algorithm webauthncose.COSEAlgorithmIdentifier `json:"alg"`
}

// extensions are those that a set-up asks for.
type extensions struct {
	CredProps bool `json:"credProps"` // whether the credential is discoverable (section 10.1.3)
}

// requestOptions is PublicKeyCredentialRequestOptionsJSON (section 5.1.10).
type requestOptions struct {
	Challenge        protocol.URLEncodedBase64            `json:"challenge"`
	Timeout          int64                                `json:"timeout"` // milliseconds
	RPID             string                               `json:"rpId"`
	Allow            []protocol.CredentialDescriptor      `json:"allowCredentials,omitempty"`
	UserVerification protocol.UserVerificationRequirement `json:"userVerification"`
}
