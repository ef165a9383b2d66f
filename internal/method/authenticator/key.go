package authenticator

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"math/big"

	"github.com/go-webauthn/webauthn/protocol/webauthncbor"
)

// The algorithms: COSE identifiers (RFC 9053, RFC 8812).
const (
	ES256 = -7
	EdDSA = -8
	RS256 = -257
)

// Key is a credential.
type Key struct {
	ID           []byte
	RPID         string
	UserHandle   []byte
	Algorithm    int64
	Signer       crypto.Signer
	Counter      uint32
	Discoverable bool
}

// NewKey makes a key pair; the other fields are the caller's.
func NewKey(alg int64) (*Key, error) {
	k := &Key{Algorithm: alg}
	var err error
	switch alg {
	case ES256:
		k.Signer, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case EdDSA:
		_, k.Signer, err = ed25519.GenerateKey(rand.Reader)
	case RS256:
		k.Signer, err = rsa.GenerateKey(rand.Reader, 2048)
	default:
		err = fmt.Errorf("algorithm %d: %w", alg, ErrAlgorithms)
	}
	return k, err
}

// COSE is the public key as a COSE_Key (RFC 9052, section 7).
func (k *Key) COSE() []byte {
	switch pub := k.Signer.Public().(type) {
	case *ecdsa.PublicKey:
		raw, err := pub.Bytes() // 0x04, x, y
		if err != nil {
			panic(err) // a key of our own
		}
		return mustCBOR(map[int]any{1: 2, 3: k.Algorithm, -1: 1, -2: raw[1:33], -3: raw[33:65]})
	case ed25519.PublicKey:
		return mustCBOR(map[int]any{1: 1, 3: k.Algorithm, -1: 6, -2: []byte(pub)})
	case *rsa.PublicKey:
		return mustCBOR(map[int]any{1: 3, 3: k.Algorithm, -1: pub.N.Bytes(), -2: big.NewInt(int64(pub.E)).Bytes()})
	}
	return nil
}

// Sign signs data as its algorithm wants it.
func (k *Key) Sign(data []byte) ([]byte, error) {
	if k.Algorithm == EdDSA {
		return k.Signer.Sign(rand.Reader, data, crypto.Hash(0))
	}
	digest := sha256.Sum256(data)
	return k.Signer.Sign(rand.Reader, digest[:], crypto.SHA256)
}

// mustCBOR encodes canonically, as CTAP2 wants it. It panics on what CBOR cannot hold: a mistake in a test.
func mustCBOR(v any) []byte {
	b, err := webauthncbor.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}
