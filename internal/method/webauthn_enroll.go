package method

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"slices"
	"time"

	"github.com/go-webauthn/webauthn/metadata"
	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// Names that are proposed where the model is unknown.
const (
	labelPasskey = "Passkey"
	labelKey     = "Security key"
)

// BeginEnroll asks for a new credential. Public is PublicKeyCredentialCreationOptionsJSON; existing ones that fit the site are excluded.
func (s *siteWebAuthn) BeginEnroll(now time.Time, u auth.User, existing []auth.Credential) (auth.Challenge, error) {
	return s.beginEnroll(now, forEnrolment, u, existing)
}

// BeginUpgrade is BeginEnroll for a passkey that the browser makes by itself after a password (mediation "conditional"), without
// anybody touching anything.
func (s *siteWebAuthn) BeginUpgrade(now time.Time, u auth.User, existing []auth.Credential) (auth.Challenge, error) {
	return s.beginEnroll(now, forUpgrade, u, existing)
}

func (s *siteWebAuthn) beginEnroll(now time.Time, purpose string, u auth.User, existing []auth.Credential) (auth.Challenge, error) {
	if len(u.Handle) == 0 || len(u.Handle) > maxUserHandle {
		return auth.Challenge{}, errHandle
	}
	c, named, err := s.begin(purpose, u, existing)
	if err != nil {
		return auth.Challenge{}, err
	}
	name := s.config.Name
	if name == "" {
		name = s.rpID
	}
	options := creationOptions{
		RelyingParty: protocol.RelyingPartyEntity{CredentialEntity: protocol.CredentialEntity{Name: name}, ID: s.rpID},
		User: protocol.UserEntity{
			CredentialEntity: protocol.CredentialEntity{Name: u.Name},
			DisplayName:      u.Display(),
			ID:               protocol.URLEncodedBase64(u.Handle),
		},
		Challenge: c.Challenge,
		Timeout:   challengeLife.Milliseconds(),
		Exclude:   named,
		Selection: protocol.AuthenticatorSelection{
			RequireResidentKey: protocol.ResidentKeyNotRequired(),
			ResidentKey:        protocol.ResidentKeyRequirementPreferred,
			UserVerification:   protocol.UserVerificationRequirement(s.config.UserVerification),
		},
		Attestation: protocol.ConveyancePreference(s.config.Attestation),
		Extensions:  extensions{CredProps: true},
	}
	for _, a := range algorithms {
		options.Parameters = append(options.Parameters, parameter{Type: protocol.PublicKeyCredentialType, Algorithm: a})
	}
	return c.seal(now, options)
}

// credentialParameters are what creationOptions offers, for the library to compare with.
func credentialParameters() (list []protocol.CredentialParameter) {
	for _, a := range algorithms {
		list = append(list, protocol.CredentialParameter{Type: protocol.PublicKeyCredentialType, Algorithm: a})
	}
	return list
}

// FinishEnroll checks a registration (WebAuthn Level 3, section 7.1). That nobody else has the credential is for the caller to see to:
// Unique. Its Label is a proposal.
func (s *siteWebAuthn) FinishEnroll(now time.Time, u auth.User, ch auth.Challenge, answer []byte) (auth.Credential, error) {
	c, err := s.open(now, u, ch, forEnrolment, forUpgrade)
	if err != nil {
		return auth.Credential{}, err
	}
	p, err := parseRegistration(answer)
	if err != nil {
		return auth.Credential{}, err
	}
	if err := s.checkRegistration(c, p); err != nil {
		return auth.Credential{}, err
	}
	object := p.Response.AttestationObject
	data := object.AuthData
	r := keyRecord{
		RPID:           s.rpID,
		CredentialID:   bytes.Clone(data.AttData.CredentialID),
		PublicKey:      bytes.Clone(data.AttData.CredentialPublicKey),
		AAGUID:         formatAAGUID(data.AttData.AAGUID),
		Counter:        data.Counter,
		BackupEligible: data.Flags.HasBackupEligible(),
		BackupState:    data.Flags.HasBackupState(),
		UserVerified:   data.Flags.HasUserVerified(),
		Transports:     keepTransports(p.Response.Transports),
		Attachment:     string(p.AuthenticatorAttachment),
		Discoverable:   discoverable(p),
		Format:         object.Format,
	}
	if err := s.checkModel(r.AAGUID, object); err != nil {
		return auth.Credential{}, err
	}
	if slices.Contains(c.Keys, keyName(r.CredentialID)) {
		return auth.Credential{}, auth.NewHint(auth.ErrDuplicate, "hint.key.duplicate", "This security key is already registered.")
	}
	b, err := json.Marshal(r)
	if err != nil {
		return auth.Credential{}, err
	}
	return auth.Credential{Method: auth.MethodWebAuthn, Label: r.label(), Data: b, Created: now}, nil
}

// checkRegistration does what section 7.1 demands, but for policy. Its errors are rejections.
func (s *siteWebAuthn) checkRegistration(c ceremony, p *protocol.ParsedCredentialCreationData) error {
	if err := c.checkOrigin(p.Response.CollectedClientData); err != nil {
		return err
	}
	data := p.Response.AttestationObject.AuthData
	verify := s.config.UserVerification == string(protocol.VerificationRequired)
	if verify && !data.Flags.HasUserVerified() {
		return hintVerification()
	}
	if err := checkBackup(data.Flags); err != nil {
		return err
	}
	if err := offered(data.AttData.CredentialPublicKey); err != nil {
		return err
	}
	_, err := p.Verify(base64.RawURLEncoding.EncodeToString(c.Challenge), s.rpID, []string{s.origin}, nil, nil,
		protocol.TopOriginExplicitVerificationMode, false, verify, c.For != forUpgrade,
		s.statements, credentialParameters(), protocol.AttestationPolicy{}, protocol.SignaturePolicy{})
	if err != nil {
		if s.statements != nil {
			return hintMaker(rejectedBy(err))
		}
		return rejectedBy(err)
	}
	return nil
}

func hintMaker(err error) error {
	return auth.NewHint(err, "hint.key.maker", "This site could not make sure which maker and model this key is. Use another one.")
}

func hintModel(err error) error {
	return auth.NewHint(err, "hint.key.model", "Keys of this model are not allowed here. Use another one.")
}

// attested are the types of statements that a maker signs, compound ones included: their type is that of their first part. The key's
// own statement and none at all are not among them.
var attested = []metadata.AuthenticatorAttestationType{metadata.BasicFull, metadata.AttCA, metadata.AnonCA}

// checkModel applies the policy of makers and models to a statement that is verified.
func (s *siteWebAuthn) checkModel(model string, object protocol.AttestationObject) error {
	if s.statements != nil && !slices.Contains(attested, metadata.AuthenticatorAttestationType(object.Type)) {
		return hintMaker(rejected("no attestation by a maker"))
	}
	if slices.Contains(s.deny, model) || len(s.allow) > 0 && !slices.Contains(s.allow, model) {
		return hintModel(rejected("a model that is not allowed"))
	}
	return nil
}

// offered refuses keys of algorithms that were not offered, and such as no authenticator makes: the point or the modulus is not looked
// at otherwise before the first assertion, and the size of a modulus says how long that takes.
func offered(publicKey []byte) error {
	key, err := webauthncose.ParsePublicKey(publicKey)
	if err != nil {
		return rejected("no usable public key")
	}
	var alg int64
	switch k := key.(type) {
	case webauthncose.EC2PublicKeyData:
		alg = k.Algorithm
	case webauthncose.OKPPublicKeyData:
		alg = k.Algorithm
	case webauthncose.RSAPublicKeyData:
		alg = k.Algorithm
		if !usableRSA(k) {
			return rejected("no usable public key")
		}
	}
	if !slices.Contains(algorithms, webauthncose.COSEAlgorithmIdentifier(alg)) {
		return rejected("an algorithm that was not offered")
	}
	return nil
}

// usableRSA demands an odd modulus of 2048 to 4096 bits and the exponent 65537, as authenticators have them.
func usableRSA(k webauthncose.RSAPublicKeyData) bool {
	n := new(big.Int).SetBytes(k.Modulus)
	if n.BitLen() < 2048 || n.BitLen() > 4096 || n.Bit(0) == 0 {
		return false
	}
	e, err := webauthncose.ParseRSAPublicKeyDataExponent(&k)
	return err == nil && e == 65537
}

// discoverable is what the browser says (credProps), else a guess: what is synced is.
func discoverable(p *protocol.ParsedCredentialCreationData) bool {
	if props := p.ClientExtensionResults.CredProps; props != nil && props.RK != nil {
		return *props.RK
	}
	return p.Response.AttestationObject.AuthData.Flags.HasBackupEligible()
}

// label is the name that is proposed: that of the model, or what it is. It is "" for one in the browser's own machine whose model is
// unknown: there the machine says more.
func (r *keyRecord) label() string {
	name := modelName(r.AAGUID)
	switch {
	case name != "" || r.Attachment == string(protocol.Platform):
		return name
	case r.Discoverable:
		return labelPasskey
	}
	return labelKey
}

// Wants reports whether a passkey should be made without asking, for somebody who has these credentials: nobody who has one, and
// not where a policy would refuse most of what browsers make that way.
func (s *siteWebAuthn) Wants(existing []auth.Credential) bool {
	if s.config.UserVerification == string(protocol.VerificationRequired) || s.statements != nil || len(s.allow) > 0 {
		return false
	}
	for _, c := range existing {
		if r, err := parseKeyRecord(c); err != nil || r.RPID == s.rpID && r.Discoverable {
			return false
		}
	}
	return true
}
