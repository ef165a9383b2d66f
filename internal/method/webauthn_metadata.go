package method

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-webauthn/webauthn/metadata"
	"github.com/go-webauthn/webauthn/metadata/providers/memory"
)

// trust is whom metadata must be signed by: a root, and, since FIDO's signs certificates for everybody, the name below it.
type trust struct {
	root string // DER in base64
	name string
}

// fidoTrust is FIDO's Metadata Service.
var fidoTrust = trust{root: metadata.ProductionMDSRoot, name: "mds.fidoalliance.org"}

// readMetadata reads a blob of FIDO's Metadata Service (https://fidoalliance.org/specs/mds/, version 3) and verifies it. The library's
// own reader asks the network whether certificates are revoked, so it is not used. Entries that cannot be read are left out: their
// models are then unknown, and refused.
func readMetadata(path string, t trust) (metadata.Provider, error) {
	blob, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	payload, err := verifyBlob(string(blob), t)
	if err != nil {
		return nil, err
	}
	var list struct {
		Entries []json.RawMessage `json:"entries"`
	}
	if err := json.Unmarshal(payload, &list); err != nil {
		return nil, errors.New("its payload is no list of entries")
	}
	var known metadata.Metadata
	for _, raw := range list.Entries {
		var e metadata.EntryJSON
		if json.Unmarshal(raw, &e) != nil {
			continue
		}
		e.MetadataStatement.Icon, e.MetadataStatement.IconDark = "", "" // most of its size
		if entry, err := e.Parse(); err == nil {
			known.Parsed.Entries = append(known.Parsed.Entries, entry)
		}
	}
	if len(known.Parsed.Entries) == 0 {
		return nil, errors.New("it has no entry that can be read")
	}
	return memory.New(
		memory.WithMetadata(known.ToMap()),
		memory.WithMetadataKeyIdentifiers(known.ToKeyIdentifierMap()), // U2F keys have no AAGUID
		memory.WithValidateEntryKeyIdentifier(true),
		memory.WithValidateStatusCertificateScope(true),
		memory.WithValidateAAGUID(true),
	)
}

// verifyBlob returns the payload of a JWT whose certificates lead to the root.
func verifyBlob(blob string, t trust) ([]byte, error) {
	der, err := base64.StdEncoding.DecodeString(t.root)
	if err != nil {
		return nil, fmt.Errorf("decoding the root: %w", err)
	}
	root, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("reading the root: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(root)

	jws, err := jose.ParseSignedCompact(strings.TrimSpace(blob), []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.ES384, jose.PS256})
	if err != nil {
		return nil, errors.New("it is no signed metadata, which FIDO offers at https://mds.fidoalliance.org")
	}
	chains, err := jws.Signatures[0].Header.Certificates(x509.VerifyOptions{
		Roots: roots, DNSName: t.name, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return nil, fmt.Errorf("it is not signed by %s: %w", t.name, err)
	}
	payload, err := jws.Verify(chains[0][0].PublicKey)
	if err != nil {
		return nil, errors.New("its signature is wrong")
	}
	return payload, nil
}
