package method

import (
	"fmt"
	"time"

	"golang.org/x/text/unicode/norm"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// Password is the method "password": argon2id, stored with its parameters as a PHC string in Credential.Secret.
//
// A password counts whole, to the last byte, with its case (ASVS 6.2.8). The one change is Unicode normalisation to NFC, which NIST
// SP 800-63B-4 (3.1.1.2) asks for: a Mac may send "ü" as two code points where a phone sends one, and the person typed the same key.
type Password struct {
	product string
	argon   argon
}

// NewPassword returns the method for a site of that name, which no password may consist of.
func NewPassword(product string) *Password {
	return &Password{product: product, argon: newArgon()}
}

// CheapForTests makes new hashes cost next to nothing, and protect nothing: for tests of what is around them.
func (p *Password) CheapForTests() *Password {
	p.argon.cost = cheap
	return p
}

// Name is "password".
func (*Password) Name() string { return auth.MethodPassword }

// Expensive marks that Verify, Renewed and New take a run of argon2id: 19 MiB of memory.
func (*Password) Expensive() {}

// Challenge asks for nothing but the answer.
func (*Password) Challenge(time.Time, auth.User, []auth.Credential) (auth.Challenge, error) {
	return auth.Challenge{}, nil
}

// Verify checks a password. An answer of more than MaxPasswordBytes is rejected unread: no password can be that long. The credential
// stays as it is, even Used, so that signing in twice at once is no conflict between two writes.
func (p *Password) Verify(_ time.Time, _ auth.User, creds []auth.Credential, _ auth.Challenge, answer []byte) (auth.Verified, error) {
	if len(answer) > MaxPasswordBytes {
		return auth.Verified{}, auth.ErrRejected
	}
	held, err := openRecords(creds)
	if err != nil {
		return auth.Verified{}, err
	}
	for _, h := range held {
		if len(h.tags) != 1 {
			return auth.Verified{}, fmt.Errorf("credential %s: %w", h.cred.ID, errRecord)
		}
	}
	if len(held) == 0 {
		held = []heldRecord{{record: p.argon.decoy()}}
	}
	secret := norm.NFC.Bytes(answer)
	var right *heldRecord
	for i := range held {
		if p.argon.match(held[i].record, secret) == 0 {
			right = &held[i]
		}
	}
	if right == nil {
		return auth.Verified{}, auth.ErrRejected
	}
	return auth.Verified{Kinds: auth.Knowledge, Credential: right.cred}, nil
}

// Outdated reports whether a record was made with other parameters than today's.
func (p *Password) Outdated(secret []byte) bool {
	r, err := parseRecord(secret)
	return err == nil && p.argon.outdated(r)
}

// Renewed is a record of a password with today's parameters. It takes a run of argon2id.
func (p *Password) Renewed(answer []byte) ([]byte, error) {
	if len(answer) > MaxPasswordBytes {
		return nil, auth.ErrRejected
	}
	r, err := p.argon.seal(norm.NFC.Bytes(answer))
	if err != nil {
		return nil, err
	}
	return r.encode(), nil
}

// New checks a password as Check does and returns a credential for it; the caller sets ID and Created. It takes a run of argon2id.
func (p *Password) New(password string, about ...string) (auth.Credential, error) {
	if err := p.Check(password, about...); err != nil {
		return auth.Credential{}, err
	}
	r, err := p.argon.seal(norm.NFC.Bytes([]byte(password)))
	if err != nil {
		return auth.Credential{}, err
	}
	return auth.Credential{Method: auth.MethodPassword, Secret: r.encode()}, nil
}

var (
	_ auth.Expensive = (*Password)(nil)
	_ auth.Renewing  = (*Password)(nil)
)
