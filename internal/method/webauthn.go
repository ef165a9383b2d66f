package method

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/go-webauthn/webauthn/metadata"
	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

const (
	challengeSize = 32              // bytes; WebAuthn Level 3, section 13.4.3, asks for 16 or more
	challengeLife = 5 * time.Minute // also the browser's timeout

	maxResponse   = 64 << 10 // bytes of an answer
	maxUserHandle = 64       // bytes; section 5.4.3
)

// algorithms are those that are offered, in order of preference (section 5.4): what every authenticator, most good ones, and Windows
// Hello before its newest can.
var algorithms = []webauthncose.COSEAlgorithmIdentifier{webauthncose.AlgES256, webauthncose.AlgEdDSA, webauthncose.AlgRS256}

var (
	errUnbound   = errors.New("webauthn: not bound to a site")
	errChallenge = errors.New("webauthn: damaged challenge")
	errHandle    = errors.New("webauthn: the user has no usable handle")
)

// WebAuthn is the method "webauthn": security keys and passkeys (WebAuthn Level 3).
//
// Browsers bind credentials to a site, so At gives the method for one; on WebAuthn itself, Challenge, Verify and enrolment are errors.
// Credential.Data is the record of a key; there is no secret.
type WebAuthn struct {
	config     WebAuthnConfig
	related    []string
	allow      []string // AAGUIDs, as formatAAGUID has them
	deny       []string
	statements metadata.Provider // judges attestation statements; nil: none are asked for
	rand       io.Reader
}

// NewWebAuthn returns the method. It reads c.Metadata; every error is a sentence for the admin.
func NewWebAuthn(c WebAuthnConfig) (*WebAuthn, error) { return newWebAuthn(c, fidoTrust) }

func newWebAuthn(c WebAuthnConfig, t trust) (*WebAuthn, error) {
	if err := CheckWebAuthn(c); err != nil {
		return nil, err
	}
	c.Origins = slices.Clone(c.Origins)
	if c.UserVerification == "" {
		c.UserVerification = string(protocol.VerificationPreferred)
	}
	if c.Attestation == "" {
		c.Attestation = string(protocol.PreferNoAttestation)
	}
	m := &WebAuthn{config: c, rand: rand.Reader}
	for _, o := range c.Origins {
		if host, _ := originHost(o); !below(host, c.RPID) {
			m.related = append(m.related, o)
		}
	}
	var err error
	if m.allow, err = parseAAGUIDs(c.AllowAAGUIDs); err != nil {
		return nil, err
	}
	if m.deny, err = parseAAGUIDs(c.DenyAAGUIDs); err != nil {
		return nil, err
	}
	if c.Metadata != "" {
		if m.statements, err = readMetadata(c.Metadata, t); err != nil {
			return nil, fmt.Errorf("metadata %s: %w", c.Metadata, err)
		}
	}
	return m, nil
}

// RelatedOrigins are the origins that a browser lets use the RP ID only because https://<RP ID>/.well-known/webauthn names them
// (section 5.11); nil if there are none.
func (m *WebAuthn) RelatedOrigins() []string { return slices.Clone(m.related) }

// At returns the method for a site. It is nil for an address instead of a name, for plain http on anything but localhost, and, where
// origins are configured, for any other.
func (m *WebAuthn) At(site auth.Site) auth.Method {
	host, err := originHost(site.Origin)
	if err != nil || host != site.Host {
		return nil
	}
	if m.config.RPID == "" {
		return &siteWebAuthn{WebAuthn: m, rpID: host, origin: site.Origin}
	}
	if !slices.Contains(m.config.Origins, site.Origin) {
		return nil
	}
	return &siteWebAuthn{WebAuthn: m, rpID: m.config.RPID, origin: site.Origin}
}

// Name is "webauthn".
func (*WebAuthn) Name() string { return auth.MethodWebAuthn }

// Challenge is an error: At gives the method that can.
func (*WebAuthn) Challenge(time.Time, auth.User, []auth.Credential) (auth.Challenge, error) {
	return auth.Challenge{}, errUnbound
}

// Verify is an error: At gives the method that can.
func (*WebAuthn) Verify(time.Time, auth.User, []auth.Credential, auth.Challenge, []byte) (auth.Verified, error) {
	return auth.Verified{}, errUnbound
}

// BeginEnroll is an error: At gives the method that can.
func (*WebAuthn) BeginEnroll(time.Time, auth.User, []auth.Credential) (auth.Challenge, error) {
	return auth.Challenge{}, errUnbound
}

// FinishEnroll is an error: At gives the method that can.
func (*WebAuthn) FinishEnroll(time.Time, auth.User, auth.Challenge, []byte) (auth.Credential, error) {
	return auth.Credential{}, errUnbound
}

// Identify reads which credential an answer to a passkey sign-in names, and whose it says it is. The user handle is nil if the answer
// has none. Nothing is verified.
func (*WebAuthn) Identify(answer []byte) (key string, userHandle []byte, err error) {
	p, err := parseAssertion(answer)
	if err != nil {
		return "", nil, err
	}
	return keyName(p.RawID), p.Response.UserHandle, nil
}

// Key names a credential: the hexadecimal SHA-256 of its ID, 64 bytes. It is "" for a record that cannot be read.
func (*WebAuthn) Key(c auth.Credential) string {
	r, err := parseKeyRecord(c)
	if err != nil {
		return ""
	}
	return keyName(r.CredentialID)
}

func keyName(credentialID []byte) string {
	sum := sha256.Sum256(credentialID)
	return hex.EncodeToString(sum[:])
}

// siteWebAuthn is WebAuthn on one site.
type siteWebAuthn struct {
	*WebAuthn
	rpID, origin string
}

// Fits reports whether a credential was made for this RP ID.
func (s *siteWebAuthn) Fits(c auth.Credential) bool {
	r, err := parseKeyRecord(c)
	return err == nil && r.RPID == s.rpID
}

// Where is the RP ID that a credential was made for, "" if its record cannot be read.
func (s *siteWebAuthn) Where(c auth.Credential) string {
	r, _ := parseKeyRecord(c)
	return r.RPID
}

var (
	_ auth.Enroller   = (*WebAuthn)(nil)
	_ auth.Identifier = (*WebAuthn)(nil)
	_ auth.Bound      = (*WebAuthn)(nil)
	_ auth.Unique     = (*WebAuthn)(nil)
	_ auth.Enroller   = (*siteWebAuthn)(nil)
	_ auth.Identifier = (*siteWebAuthn)(nil)
	_ auth.Fitting    = (*siteWebAuthn)(nil)
	_ auth.Unique     = (*siteWebAuthn)(nil)

	_ auth.Establishing = (*siteWebAuthn)(nil)
	_ auth.Decoying     = (*siteWebAuthn)(nil)
)
