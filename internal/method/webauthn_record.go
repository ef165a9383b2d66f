package method

import (
	"encoding/json"
	"errors"
	"slices"

	"github.com/go-webauthn/webauthn/protocol"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

var errKeyRecord = errors.New("damaged record of a key")

// keyRecord is Credential.Data: the credential record of WebAuthn Level 3, section 4, as far as it is used.
type keyRecord struct {
	RPID           string   `json:"rp_id"`
	CredentialID   []byte   `json:"credential_id"`
	PublicKey      []byte   `json:"public_key"`       // COSE
	AAGUID         string   `json:"aaguid,omitempty"` // as formatAAGUID has it
	Counter        uint32   `json:"counter,omitempty"`
	BackupEligible bool     `json:"backup_eligible,omitempty"` // never changes
	BackupState    bool     `json:"backup_state,omitempty"`
	UserVerified   bool     `json:"user_verified,omitempty"` // verified the user beside a proof of another kind: uvInitialized
	Transports     []string `json:"transports,omitempty"`
	Attachment     string   `json:"attachment,omitempty"`   // of its set-up
	Discoverable   bool     `json:"discoverable,omitempty"` // a passkey: signs in without a name
	Format         string   `json:"format"`                 // of the attestation statement
}

// parseKeyRecord reads c.Data. The error is errKeyRecord.
func parseKeyRecord(c auth.Credential) (keyRecord, error) {
	var r keyRecord
	if err := json.Unmarshal(c.Data, &r); err != nil || r.RPID == "" || len(r.CredentialID) == 0 || len(r.PublicKey) == 0 {
		return keyRecord{}, errKeyRecord
	}
	return r, nil
}

// descriptor names the credential to a browser.
func (r *keyRecord) descriptor() protocol.CredentialDescriptor {
	d := protocol.CredentialDescriptor{Type: protocol.PublicKeyCredentialType, CredentialID: r.CredentialID}
	for _, t := range r.Transports {
		d.Transport = append(d.Transport, protocol.AuthenticatorTransport(t))
	}
	return d
}

// knownTransports are those that are kept and told to browsers; what else one reports is dropped.
var knownTransports = []protocol.AuthenticatorTransport{
	protocol.USB, protocol.NFC, protocol.BLE, protocol.SmartCard, protocol.Hybrid, protocol.Internal,
}

func keepTransports(reported []protocol.AuthenticatorTransport) (kept []string) {
	for _, t := range knownTransports {
		if slices.Contains(reported, t) {
			kept = append(kept, string(t))
		}
	}
	return kept
}

// KeyInfo is what pages show of a security key or passkey, and what the browser's signal calls need.
type KeyInfo struct {
	CredentialID []byte
	RPID         string
	Passkey      bool   // signs in without a name: discoverable
	Synced       bool   // is backed up, on several devices perhaps
	Model        string // as its AAGUID says; "" if unknown
}

// Key reads what a credential of this method is. A record that cannot be read is an error.
func Key(c auth.Credential) (KeyInfo, error) {
	r, err := parseKeyRecord(c)
	if err != nil {
		return KeyInfo{}, err
	}
	return KeyInfo{
		CredentialID: r.CredentialID, RPID: r.RPID, Passkey: r.Discoverable, Synced: r.BackupState, Model: modelName(r.AAGUID),
	}, nil
}
