package auth

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
)

// MinSecret is the least length of a secret in bytes.
const MinSecret = 32

// ErrSecret means that no given secret opens a sealed record: the secret is not the one that the store was made with, or the
// record was moved or changed.
var ErrSecret = errors.New("auth: the secret does not open this store")

// sealer encrypts what must not lie readable on disk. The record's key is additional data, so that a sealed value counts only in
// its own place (AES-256-GCM with random nonces: NIST SP 800-38D bounds them to 2^32 a secret).
type sealer struct {
	aeads []cipher.AEAD // the first seals, all open
}

func newSealer(secrets [][]byte) (*sealer, error) {
	if len(secrets) == 0 {
		return nil, errors.New("auth: no secret given")
	}
	s := &sealer{}
	for _, secret := range secrets {
		if len(secret) < MinSecret {
			return nil, fmt.Errorf("auth: a secret needs at least %d bytes", MinSecret)
		}
		key, err := hkdf.Key(sha256.New, secret, nil, "caddy-mfa seal 1", 32)
		if err != nil {
			return nil, fmt.Errorf("deriving the sealing key: %w", err)
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, fmt.Errorf("making the cipher: %w", err)
		}
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return nil, fmt.Errorf("making the cipher: %w", err)
		}
		s.aeads = append(s.aeads, aead)
	}
	return s, nil
}

// seal encrypts plain for the record with the given key. Nothing seals to nothing.
func (s *sealer) seal(key string, plain []byte) []byte {
	if len(plain) == 0 {
		return nil
	}
	return s.aeads[0].Seal(nil, nil, plain, []byte(key)) //nolint:gosec // the AEAD makes its own random nonce
}

func (s *sealer) open(key string, sealed []byte) ([]byte, error) {
	if len(sealed) == 0 {
		return nil, nil
	}
	for _, aead := range s.aeads {
		if plain, err := aead.Open(nil, nil, sealed, []byte(key)); err == nil {
			return plain, nil
		}
	}
	return nil, fmt.Errorf("opening record %q: %w", key, ErrSecret)
}
