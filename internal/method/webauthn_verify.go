package method

import (
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// What a challenge is for.
const (
	forSecondStep = "second" // a named user, whose keys are named
	forSignIn     = "signin" // whoever has a passkey
	forEnrolment  = "enrol"
	forUpgrade    = "upgrade" // conditional create: nobody needs to be present
)

// ceremony is Challenge.Private.
type ceremony struct {
	For       string   `json:"for"`
	Challenge []byte   `json:"challenge"`
	Origin    string   `json:"origin"`
	User      string   `json:"user,omitempty"` // ID
	Keys      []string `json:"keys,omitempty"` // as Unique.Key has them: at the second step the allowed ones, at set-up the excluded
}

// begin draws a challenge for a user and says which credentials of this site it names.
func (s *siteWebAuthn) begin(purpose string, u auth.User, creds []auth.Credential) (c ceremony, named []protocol.CredentialDescriptor, err error) {
	c = ceremony{For: purpose, Challenge: make([]byte, challengeSize), Origin: s.origin, User: u.ID}
	if _, err := io.ReadFull(s.rand, c.Challenge); err != nil {
		return c, nil, fmt.Errorf("reading randomness: %w", err)
	}
	for _, cred := range creds {
		r, err := parseKeyRecord(cred)
		if err != nil {
			return c, nil, fmt.Errorf("credential %s: %w", cred.ID, err)
		}
		if r.RPID == s.rpID {
			c.Keys = append(c.Keys, keyName(r.CredentialID))
			named = append(named, r.descriptor())
		}
	}
	return c, named, nil
}

// seal makes the challenge of a ceremony.
func (c ceremony) seal(now time.Time, options any) (auth.Challenge, error) {
	public, err := json.Marshal(options)
	if err != nil {
		return auth.Challenge{}, err
	}
	private, err := json.Marshal(c)
	if err != nil {
		return auth.Challenge{}, err
	}
	return auth.Challenge{Method: auth.MethodWebAuthn, Public: public, Private: private, Expires: now.Add(challengeLife)}, nil
}

// open reads a challenge, which must be for one of the purposes and this user, and not have expired. That it is for this site shows in
// the answer's origin.
func (s *siteWebAuthn) open(now time.Time, u auth.User, ch auth.Challenge, purposes ...string) (ceremony, error) {
	var c ceremony
	if err := json.Unmarshal(ch.Private, &c); err != nil || len(c.Challenge) < challengeSize {
		return ceremony{}, errChallenge
	}
	switch {
	case !slices.Contains(purposes, c.For):
		return ceremony{}, rejected("a challenge for something else")
	case c.For != forSignIn && c.User != u.ID:
		return ceremony{}, rejected("a challenge for somebody else")
	case !now.Before(ch.Expires):
		return ceremony{}, rejected("an expired challenge")
	}
	return c, nil
}

// rejected is ErrRejected for a reason, which is ours alone: nothing of the answer stands in it.
func rejected(reason string) error { return fmt.Errorf("%w: %s", auth.ErrRejected, reason) }

// Challenge asks for one of the keys of u that fit this site. For the zero user it asks for any passkey: whoever answers says who it
// is. Public is PublicKeyCredentialRequestOptionsJSON. With no key that fits, no answer is right.
func (s *siteWebAuthn) Challenge(now time.Time, u auth.User, creds []auth.Credential) (auth.Challenge, error) {
	purpose := forSecondStep
	if u.ID == "" {
		purpose, creds = forSignIn, nil
	}
	c, named, err := s.begin(purpose, u, creds)
	if err != nil {
		return auth.Challenge{}, err
	}
	return c.seal(now, requestOptions{
		Challenge:        c.Challenge,
		Timeout:          challengeLife.Milliseconds(),
		RPID:             s.rpID,
		Allow:            named,
		UserVerification: protocol.UserVerificationRequirement(s.config.UserVerification),
	})
}

// decoy is verified where no credential is named, to take as long as with one: the generator of P-256, whose private key is 1. It
// proves nothing: what it verifies is rejected at the end.
var decoy = keyRecord{PublicKey: []byte("\xa5\x01\x02\x03\x26\x20\x01\x21\x58\x20" +
	"\x6b\x17\xd1\xf2\xe1\x2c\x42\x47\xf8\xbc\xe6\xe5\x63\xa4\x40\xf2\x77\x03\x7d\x81\x2d\xeb\x33\xa0\xf4\xa1\x39\x45\xd8\x98\xc2\x96" +
	"\x22\x58\x20" +
	"\x4f\xe3\x42\xe2\xfe\x1a\x7f\x9b\x8e\xe7\xeb\x4a\x7c\x0f\x9e\x16\x2b\xce\x33\x57\x6b\x31\x5e\xce\xcb\xb6\x40\x68\x37\xbf\x51\xf5")}

// decoyShapes are lengths of IDs and transports of what common authenticators make: passkeys of phones, of password managers and of
// Windows, security keys, and older ones. Browsers that report no transports leave them out of any.
var decoyShapes = []struct {
	size       int
	transports []string
}{
	{16, []string{"hybrid", "internal"}}, {20, []string{"hybrid", "internal"}}, {32, []string{"internal"}}, {48, []string{"usb", "nfc"}}, {64, []string{"usb"}},
}

// Decoys are one to three credentials of this site that nobody has, for Challenge to name.
func (s *siteWebAuthn) Decoys(seed []byte) []auth.Credential {
	draw := func(n byte) [sha512.Size]byte { return sha512.Sum512(append(append(slices.Clip(seed), n), s.rpID...)) }
	look := draw(0) // apart from the IDs, which would tell by what it was chosen
	decoys := make([]auth.Credential, [...]int{1, 1, 1, 1, 1, 2, 2, 3}[look[0]%8])
	for i := range decoys {
		id, shape := draw(byte(i+1)), decoyShapes[int(look[2*i+1])%len(decoyShapes)]
		if look[2*i+2]%4 == 0 {
			shape.transports = nil
		}
		data, err := json.Marshal(keyRecord{RPID: s.rpID, CredentialID: id[:shape.size], PublicKey: decoy.PublicKey, Transports: shape.transports})
		if err != nil { // strings and bytes always encode
			panic(err)
		}
		decoys[i] = auth.Credential{Method: auth.MethodWebAuthn, Data: data}
	}
	return decoys
}

// Verify checks an assertion (WebAuthn Level 3, section 7.2). It shows possession, and with user verification a second kind: read from
// this assertion, and counted only once it was established beside a proof of another kind, at set-up or at a second step.
//
// A counter that went back is auth.ErrCounter. What it returns to store holds the new counter and backup state.
func (s *siteWebAuthn) Verify(now time.Time, u auth.User, creds []auth.Credential, ch auth.Challenge, answer []byte) (auth.Verified, error) {
	c, err := s.open(now, u, ch, forSecondStep, forSignIn)
	if err != nil {
		return auth.Verified{}, err
	}
	p, err := parseAssertion(answer)
	if err != nil {
		return auth.Verified{}, err
	}
	cred, r, found, err := s.pick(creds, keyName(p.RawID))
	if err != nil {
		return auth.Verified{}, err
	}
	if err := s.checkAssertion(c, p, u, r); err != nil {
		return auth.Verified{}, err
	}
	if !found {
		return auth.Verified{}, rejected("none of the user's credentials")
	}
	// Section 6.1.1. A zero on both sides: the authenticator does not count.
	counter := p.Response.AuthenticatorData.Counter
	if (counter != 0 || r.Counter != 0) && counter <= r.Counter {
		return auth.Verified{}, auth.NewHint(auth.ErrCounter, "hint.key.copied", "This security key may have been copied: its counter went back. Sign in another way and tell your administrator.")
	}
	flags := p.Response.AuthenticatorData.Flags
	r.Counter, r.BackupState = counter, flags.HasBackupState()
	if c.For == forSignIn {
		r.Discoverable = true // as it has just shown
	}
	kinds := auth.Possession
	if flags.HasUserVerified() && r.UserVerified {
		kinds |= auth.Inherence
	}
	if cred.Data, err = json.Marshal(r); err != nil {
		return auth.Verified{}, err
	}
	cred.Used = now
	return auth.Verified{Kinds: kinds, Credential: cred, UserVerified: flags.HasUserVerified()}, nil
}

// Establish notes that user verification was shown beside a proof of another kind: from now on it counts.
func (*WebAuthn) Establish(c auth.Credential) (auth.Credential, error) {
	r, err := parseKeyRecord(c)
	if err != nil {
		return c, fmt.Errorf("credential %s: %w", c.ID, err)
	}
	r.UserVerified = true
	c.Data, err = json.Marshal(r)
	return c, err
}

// pick finds the credential of that name among those that fit, or the decoy.
func (s *siteWebAuthn) pick(creds []auth.Credential, name string) (cred auth.Credential, r keyRecord, found bool, err error) {
	r = decoy
	for _, c := range creds {
		got, err := parseKeyRecord(c)
		if err != nil {
			return cred, r, false, fmt.Errorf("credential %s: %w", c.ID, err)
		}
		if got.RPID == s.rpID && keyName(got.CredentialID) == name {
			cred, r, found = c, got, true
		}
	}
	if _, err := webauthncose.ParsePublicKey(r.PublicKey); err != nil {
		return cred, r, false, fmt.Errorf("credential %s: %w", cred.ID, errKeyRecord)
	}
	return cred, r, found, nil
}

// checkAssertion does what section 7.2 demands, but for the counter. Its errors are rejections.
func (s *siteWebAuthn) checkAssertion(c ceremony, p *protocol.ParsedCredentialAssertionData, u auth.User, r keyRecord) error {
	data := p.Response.AuthenticatorData
	if err := c.checkOrigin(p.Response.CollectedClientData); err != nil {
		return err
	}
	verify := s.config.UserVerification == string(protocol.VerificationRequired)
	if verify && !data.Flags.HasUserVerified() {
		return hintVerification()
	}
	if err := p.Verify(base64.RawURLEncoding.EncodeToString(c.Challenge), s.rpID, "", []string{s.origin}, nil, nil,
		protocol.TopOriginExplicitVerificationMode, false, verify, true, r.PublicKey, protocol.SignaturePolicy{}); err != nil {
		return rejectedBy(err)
	}
	if err := offered(r.PublicKey); err != nil {
		return err
	}
	if err := checkBackup(data.Flags); err != nil {
		return err
	}
	handle := p.Response.UserHandle
	switch {
	case data.Flags.HasBackupEligible() != r.BackupEligible && r.RPID != "":
		return rejected("backup eligibility changed")
	case c.For == forSecondStep && !slices.Contains(c.Keys, keyName(p.RawID)):
		return rejected("a credential that was not asked for")
	case c.For == forSignIn && len(handle) == 0:
		return rejected("no user handle")
	case len(handle) > 0 && subtle.ConstantTimeCompare(handle, u.Handle) != 1:
		return rejected("somebody else's user handle")
	}
	return nil
}

// checkOrigin compares the origin that the browser says with the one that the challenge was made for, byte for byte: the library takes
// origins that differ in case, port or path for equal. Type, challenge and frames of other sites are the library's to refuse.
func (c ceremony) checkOrigin(client protocol.CollectedClientData) error {
	if client.Origin != c.Origin {
		return rejected("another origin")
	}
	return nil
}

// checkBackup refuses a backup of what cannot be backed up (section 6.1.3).
func checkBackup(flags protocol.AuthenticatorFlags) error {
	if flags.HasBackupState() && !flags.HasBackupEligible() {
		return rejected("backed up without being eligible")
	}
	return nil
}

func hintVerification() error {
	return auth.NewHint(rejected("user not verified"), "hint.key.unverified", "This site asks for a PIN, a fingerprint or a face together with the key. Set one up on the key, then try again.")
}

// rejectedBy is ErrRejected for a reason that the library gives. Only its own fixed words are kept: the rest may quote the answer.
func rejectedBy(err error) error {
	if e, ok := errors.AsType[*protocol.Error](err); ok {
		return rejected(e.Type)
	}
	return rejected("refused by the library")
}
