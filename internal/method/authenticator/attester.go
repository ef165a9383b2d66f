package authenticator

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"time"
)

// Attester is a maker of authenticators: it signs their attestation statements (format packed; WebAuthn Level 3, section 8.2).
type Attester struct {
	Root *x509.Certificate

	root, key *Key
}

// NewAttester makes a root and the key under it that signs. Certificates are valid from 2000 to 2099.
func NewAttester() (*Attester, error) {
	a := &Attester{}
	var err error
	if a.root, err = NewKey(ES256); err != nil {
		return nil, err
	}
	if a.key, err = NewKey(ES256); err != nil {
		return nil, err
	}
	der, err := certify(&x509.Certificate{
		Subject: pkix.Name{CommonName: "Example Authenticators Root"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign,
	}, nil, a.root, a.root)
	if err != nil {
		return nil, err
	}
	a.Root, err = x509.ParseCertificate(der)
	return a, err
}

// oidAAGUID is id-fido-gen-ce-aaguid.
var oidAAGUID = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 45724, 1, 1, 4}

// Chain is the certificate for a model, as x5c in a statement has it.
func (a *Attester) Chain(aaguid [16]byte) []any {
	value, err := asn1.Marshal(aaguid[:])
	if err != nil {
		panic(err) // bytes can be encoded
	}
	der, err := certify(&x509.Certificate{
		Subject: pkix.Name{
			Country: []string{"US"}, Organization: []string{"Example Authenticators"},
			OrganizationalUnit: []string{"Authenticator Attestation"}, CommonName: "Example Authenticator",
		},
		BasicConstraintsValid: true,
		ExtraExtensions:       []pkix.Extension{{Id: oidAAGUID, Value: value}},
	}, a.Root, a.key, a.root)
	if err != nil {
		panic(err) // certificates of our own
	}
	return []any{der}
}

// certify signs a certificate for of; parent nil signs itself.
func certify(c, parent *x509.Certificate, of, by *Key) ([]byte, error) {
	c.SerialNumber = big.NewInt(1)
	c.NotBefore, c.NotAfter = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2099, 12, 31, 0, 0, 0, 0, time.UTC)
	if parent == nil {
		parent = c
	}
	return x509.CreateCertificate(rand.Reader, c, parent, of.Signer.Public(), by.Signer)
}
