// Package authenticator is a security key in software, with the browser before it: for tests and benchmarks of WebAuthn. It takes the
// options that a page hands to navigator.credentials, as JSON, and returns what the page posts.
//
// Nothing is simulated but the person: keys are real, everything is signed as an authenticator signs it. Create and Get behave well.
// To misbehave, a test hands them functions that change the Draft before it is signed.
package authenticator

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"slices"
	"sync"
)

// Errors for which a browser rejects its promise.
var (
	ErrExcluded   = errors.New("authenticator: holds an excluded credential already") // InvalidStateError
	ErrNoKey      = errors.New("authenticator: no credential for this request")       // NotAllowedError
	ErrCannot     = errors.New("authenticator: cannot verify the user")               // NotAllowedError
	ErrAlgorithms = errors.New("authenticator: none of the algorithms")               // NotSupportedError
)

// Device is an authenticator. Set the fields before its first use; then it is safe for concurrent use.
type Device struct {
	Origin     string    // of the page, as the browser writes it into the client data
	AAGUID     [16]byte  // its model
	Algorithms []int64   // that it can, COSE identifiers; nil: all that this package has
	Verifies   bool      // it has a PIN or a fingerprint, and uses it unless discouraged
	Absent     bool      // nobody touches it: conditional create
	Synced     bool      // its credentials are backed up
	Counts     bool      // it counts signatures
	Forgets    bool      // its credentials are not discoverable
	Transports []string  // as getTransports has them
	Attachment string    // "platform" or "cross-platform"
	Attester   *Attester // signs attestation statements; nil: format none

	mu   sync.Mutex
	keys []*Key
}

// Flags of authenticator data: WebAuthn Level 3, section 6.1.
const (
	UserPresent    = 0x01
	UserVerified   = 0x04
	BackupEligible = 0x08
	BackedUp       = 0x10
	Attested       = 0x40
	Extended       = 0x80
)

// creation is what it reads of PublicKeyCredentialCreationOptionsJSON.
type creation struct {
	Challenge string `json:"challenge"`
	RP        struct {
		ID string `json:"id"`
	} `json:"rp"`
	User      named       `json:"user"`
	Params    []parameter `json:"pubKeyCredParams"`
	Exclude   []named     `json:"excludeCredentials"`
	Selection struct {
		UserVerification string `json:"userVerification"`
	} `json:"authenticatorSelection"`
	Extensions struct {
		CredProps bool `json:"credProps"`
	} `json:"extensions"`
}

// request is what it reads of PublicKeyCredentialRequestOptionsJSON.
type request struct {
	Challenge        string  `json:"challenge"`
	RPID             string  `json:"rpId"`
	UserVerification string  `json:"userVerification"`
	Allow            []named `json:"allowCredentials"`
}

// named is a user or a credential.
type named struct {
	ID base64url `json:"id"`
}

// parameter is a kind of key.
type parameter struct {
	Algorithm int64 `json:"alg"`
}

// Create makes a credential, as navigator.credentials.create does, and returns it as PublicKeyCredential.toJSON has it.
func (d *Device) Create(options []byte, change ...func(*Draft)) ([]byte, error) {
	var o creation
	if err := json.Unmarshal(options, &o); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range o.Exclude {
		if d.find(e.ID) != nil {
			return nil, ErrExcluded
		}
	}
	flags, err := d.flags(o.Selection.UserVerification)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(o.Params, func(p parameter) bool { return d.can(p.Algorithm) })
	if i < 0 {
		return nil, ErrAlgorithms
	}
	key, err := NewKey(o.Params[i].Algorithm)
	if err != nil {
		return nil, err
	}
	key.ID = make([]byte, 32)
	if _, err := rand.Read(key.ID); err != nil {
		return nil, err
	}
	key.RPID, key.UserHandle, key.Discoverable = o.RP.ID, o.User.ID, !d.Forgets
	draft := &Draft{
		Type: "webauthn.create", Challenge: o.Challenge, Origin: d.Origin,
		RPID: o.RP.ID, Flags: flags | Attested, AAGUID: d.AAGUID, Key: key, CredentialID: key.ID, PublicKey: key.COSE(),
		Attachment: d.Attachment, Transports: d.Transports, Format: "none", Attester: d.Attester,
	}
	if d.Attester != nil {
		draft.Format = "packed"
	}
	if o.Extensions.CredProps {
		draft.Discoverable = &key.Discoverable
	}
	for _, c := range change {
		c(draft)
	}
	key.ID = draft.CredentialID
	b, err := draft.registration()
	if err != nil {
		return nil, err
	}
	d.keys = append(d.keys, key)
	return b, nil
}

// Get signs a challenge, as navigator.credentials.get does, and returns the assertion as PublicKeyCredential.toJSON has it. It takes the
// newest credential that is allowed, or, where none are named, the newest discoverable one.
func (d *Device) Get(options []byte, change ...func(*Draft)) ([]byte, error) {
	var o request
	if err := json.Unmarshal(options, &o); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	flags, err := d.flags(o.UserVerification)
	if err != nil {
		return nil, err
	}
	var key *Key
	for _, k := range d.keys {
		asked := slices.ContainsFunc(o.Allow, func(a named) bool { return bytes.Equal(a.ID, k.ID) })
		if k.RPID == o.RPID && (asked || len(o.Allow) == 0 && k.Discoverable) {
			key = k
		}
	}
	if key == nil {
		return nil, ErrNoKey
	}
	if d.Counts {
		key.Counter++
	}
	draft := &Draft{
		Type: "webauthn.get", Challenge: o.Challenge, Origin: d.Origin,
		RPID: o.RPID, Flags: flags, Counter: key.Counter, Key: key, CredentialID: key.ID, Attachment: d.Attachment,
	}
	if key.Discoverable {
		draft.UserHandle = key.UserHandle
	}
	for _, c := range change {
		c(draft)
	}
	return draft.assertion()
}

// Keys are the credentials it holds, oldest first.
func (d *Device) Keys() []*Key {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.keys)
}

// Add gives the device a credential that was made elsewhere.
func (d *Device) Add(k *Key) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.keys = append(d.keys, k)
}

func (d *Device) find(id []byte) *Key {
	for _, k := range d.keys {
		if bytes.Equal(k.ID, id) {
			return k
		}
	}
	return nil
}

func (d *Device) can(alg int64) bool {
	return slices.Contains([]int64{ES256, EdDSA, RS256}, alg) && (d.Algorithms == nil || slices.Contains(d.Algorithms, alg))
}

// flags are those of the device, for a request with that user verification requirement.
func (d *Device) flags(verification string) (f byte, err error) {
	if !d.Absent {
		f |= UserPresent
	}
	if d.Verifies && verification != "discouraged" {
		f |= UserVerified
	}
	if d.Synced {
		f |= BackupEligible | BackedUp
	}
	if verification == "required" && !d.Verifies {
		return 0, ErrCannot
	}
	return f, nil
}
