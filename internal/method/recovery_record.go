package method

import (
	"bytes"
	"crypto/subtle"
	"errors"
	"slices"
	"strings"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// keptPrefix begins the record of a set that keeps its codes. No argon2id record begins so.
const keptPrefix = "$codes$v=1$"

// errKept says nothing of the record's content, since errors are logged.
var errKept = errors.New("damaged record of recovery codes")

// codeRecord is what the Secret of a set holds: hashes, or the codes themselves.
type codeRecord struct {
	hashes record
	kept   []string // bare symbols, where the codes themselves are kept
	keeps  bool     // also of a set that is used up
}

// heldCodes is the record of a credential. A decoy's has none.
type heldCodes struct {
	codeRecord
	cred auth.Credential
}

func (r codeRecord) left() int { return len(r.hashes.tags) + len(r.kept) }

// encode writes kept codes as $codes$v=1$code,code, and hashes as their own record.
func (r codeRecord) encode() []byte {
	if !r.keeps {
		return r.hashes.encode()
	}
	return []byte(keptPrefix + strings.Join(r.kept, ","))
}

// without returns the record after its i-th code was used.
func (r codeRecord) without(i int) codeRecord {
	if r.keeps {
		r.kept = slices.Delete(slices.Clone(r.kept), i, i+1)
	} else {
		r.hashes.tags = slices.Delete(slices.Clone(r.hashes.tags), i, i+1)
	}
	return r
}

// parseCodes reads what encode writes, and nothing else: exactly one spelling of each record is accepted.
func parseCodes(b []byte) (codeRecord, error) {
	text, kept := strings.CutPrefix(string(b[:min(len(b), maxRecord+1)]), keptPrefix)
	if !kept {
		r, err := parseRecord(b)
		return codeRecord{hashes: r}, err
	}
	r := codeRecord{keeps: true}
	if text == "" {
		return r, nil
	}
	for s := range strings.SplitSeq(text, ",") {
		if code, ok := recoveryCode(s); !ok || code != s || len(r.kept) == maxTags || slices.Contains(r.kept, s) {
			return codeRecord{}, errKept
		}
		r.kept = append(r.kept, s)
	}
	if !bytes.Equal(r.encode(), b) {
		return codeRecord{}, errKept
	}
	return r, nil
}

// match returns the index of code in r, or -1. It takes one run of argon2id and constant time over the set, whatever the record holds:
// how long an answer takes does not tell which kind of set somebody has, nor that they have none.
func (m *Recovery) match(r codeRecord, code string) int {
	if !r.keeps {
		return m.argon.match(r.hashes, []byte(code))
	}
	m.argon.match(m.argon.decoy(), []byte(code))
	found := -1
	for i, c := range r.kept {
		found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare([]byte(code), []byte(c)), i, found)
	}
	return found
}

// KeepCodes makes new sets keep the codes themselves in place of hashes, so that their owner can see them again (see Codes). Then the
// seal of Credential.Secret is all that guards them at rest. Sets of either kind count whether or not new ones keep their codes.
func (m *Recovery) KeepCodes() *Recovery {
	m.keep = true
	return m
}

// KeepsCodes reports whether new sets keep their codes.
func (m *Recovery) KeepsCodes() bool { return m.keep }

// Codes are the unused codes of a set as Generate made them, nil where the set holds hashes or is damaged. It needs Credential.Secret.
func (*Recovery) Codes(c auth.Credential) []string {
	r, err := parseCodes(c.Secret)
	if err != nil || !r.keeps {
		return nil
	}
	codes := make([]string, len(r.kept))
	for i, code := range r.kept {
		codes[i] = dashed(code)
	}
	return codes
}

// dashed is how a code is shown.
func dashed(code string) string { return code[:5] + "-" + code[5:10] + "-" + code[10:] }

var _ auth.Viewable = (*Recovery)(nil)
