package method

import (
	"crypto/rand"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

const (
	// RecoveryCodes is how many codes a set has.
	RecoveryCodes = 10

	recoveryLen = 15  // symbols a code, five bits each: 75 bits, where NIST SP 800-63B-4 (3.1.2.2) calls less than 64 few
	maxRecovery = 256 // bytes of an answer, spaces and dashes included

	// The symbols are Douglas Crockford's base32: digits and letters without i, l, o and u, so that what is read wrongly has one
	// right reading.
	recoverySymbols = "0123456789abcdefghjkmnpqrstvwxyz"
	recoveryDashes  = "-\u00ad\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d"
)

// Recovery is the method "recovery": a set of one-time codes, saved at enrolment for the day when everything else is lost.
//
// One Credential holds the whole set. Its Secret is one argon2id record with one salt and a hash for each unused code, so that a try
// costs one run whatever the number of codes; or, made with KeepCodes, the unused codes themselves. Verify returns the set without the
// code that was used.
type Recovery struct {
	argon argon
	rand  io.Reader
	keep  bool
}

// NewRecovery returns the method.
func NewRecovery() *Recovery { return &Recovery{argon: newArgon(), rand: rand.Reader} }

// CheapForTests makes new hashes cost next to nothing, and protect nothing: for tests of what is around them.
func (m *Recovery) CheapForTests() *Recovery {
	m.argon.cost = cheap
	return m
}

// Name is "recovery".
func (*Recovery) Name() string { return auth.MethodRecovery }

// Expensive marks that Verify takes a run of argon2id, and Seal ten where it does not keep the codes.
func (*Recovery) Expensive() {}

// Challenge asks for nothing but the answer.
func (*Recovery) Challenge(time.Time, auth.User, []auth.Credential) (auth.Challenge, error) {
	return auth.Challenge{}, nil
}

// Verify checks a code against the set, or against each of several. It does the same work for an answer that is no code at all.
func (m *Recovery) Verify(now time.Time, _ auth.User, creds []auth.Credential, _ auth.Challenge, answer []byte) (auth.Verified, error) {
	var sets []heldCodes
	for _, c := range creds {
		r, err := parseCodes(c.Secret)
		if err != nil {
			return auth.Verified{}, fmt.Errorf("credential %s: %w", c.ID, err)
		}
		sets = append(sets, heldCodes{r, c})
	}
	if len(sets) == 0 {
		sets = []heldCodes{{codeRecord: codeRecord{hashes: m.argon.decoy()}}}
	}
	code, ok := recoveryCode(string(answer[:min(len(answer), maxRecovery+1)]))
	var right *heldCodes
	used := -1
	for i := range sets {
		if n := m.match(sets[i].codeRecord, code); n >= 0 {
			right, used = &sets[i], n
		}
	}
	if !ok || right == nil {
		return auth.Verified{}, auth.ErrRejected
	}
	c := right.cred
	c.Secret = right.without(used).encode()
	c.Used = now
	return auth.Verified{Kinds: auth.Possession, Credential: c}, nil
}

// Generate makes the codes of a new set, as they are shown: xxxxx-xxxxx-xxxxx. They count only once they are sealed and stored.
func (m *Recovery) Generate() ([]string, error) {
	codes := make([]string, RecoveryCodes)
	for i := range codes {
		b := make([]byte, recoveryLen)
		if _, err := io.ReadFull(m.rand, b); err != nil {
			return nil, fmt.Errorf("reading randomness: %w", err)
		}
		for j := range b {
			b[j] = recoverySymbols[int(b[j])%len(recoverySymbols)] // even: 32 divides 256
		}
		codes[i] = dashed(string(b))
	}
	return codes, nil
}

// Seal returns a credential for the codes, which must be such as Generate makes; the caller sets ID and Created. It takes a run of
// argon2id a code, a fifth of a second for a whole set, unless the codes themselves are kept.
func (m *Recovery) Seal(codes []string) (auth.Credential, error) {
	secrets, r := make([][]byte, len(codes)), codeRecord{keeps: m.keep}
	for i, c := range codes {
		code, ok := recoveryCode(c)
		if !ok || slices.Contains(r.kept, code) {
			return auth.Credential{}, fmt.Errorf("recovery code %d of %d is malformed", i+1, len(codes))
		}
		secrets[i] = []byte(code)
		if m.keep {
			r.kept = append(r.kept, code)
		}
	}
	if len(codes) == 0 || len(codes) > maxTags {
		return auth.Credential{}, fmt.Errorf("a set of %d recovery codes", len(codes))
	}
	if !m.keep {
		var err error
		if r.hashes, err = m.argon.seal(secrets...); err != nil {
			return auth.Credential{}, err
		}
	}
	return auth.Credential{Method: auth.MethodRecovery, Secret: r.encode()}, nil
}

// Left is how many codes of the set are unused: none, if the record is damaged. It needs Credential.Secret.
func (*Recovery) Left(c auth.Credential) int {
	r, err := parseCodes(c.Secret)
	if err != nil {
		return 0
	}
	return r.left()
}

// LooksLikeRecoveryCode reports whether s reads as a recovery code, right or wrong. No code of an authenticator app does, so that both
// can be typed into one field.
func LooksLikeRecoveryCode(s string) bool {
	_, ok := recoveryCode(s)
	return ok
}

// recoveryCode reads a code as people type it: in either case, with any spaces and dashes or none, with look-alikes for symbols. It
// returns the bare symbols, or ok false and a text that is no code.
func recoveryCode(s string) (code string, ok bool) {
	if len(s) > maxRecovery {
		return "", false
	}
	b := make([]byte, 0, recoveryLen+1)
	for _, r := range strings.ToLower(s) {
		switch {
		case unicode.IsSpace(r), strings.ContainsRune(recoveryDashes, r):
			continue
		case r == 'o':
			r = '0'
		case r == 'i', r == 'l':
			r = '1'
		case r == 'u':
			r = 'v'
		}
		if len(b) == recoveryLen || !strings.ContainsRune(recoverySymbols, r) {
			return "", false
		}
		b = append(b, byte(r))
	}
	return string(b), len(b) == recoveryLen
}

var _ auth.Expensive = (*Recovery)(nil)
