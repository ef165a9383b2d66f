package method

import (
	"bytes"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// cost is what one run of argon2id takes: memory in KiB, passes over it, and lanes.
type cost struct {
	memory, time uint32
	threads      uint8
}

// currentCost is what new hashes are made with: a floor of the OWASP password storage cheat sheet that keeps memory small.
var currentCost = cost{memory: 19456, time: 2, threads: 1}

// Bounds of what a stored record may ask for. They lie far above currentCost, so that hashes made elsewhere can be taken over,
// and low enough that a damaged record costs an error, not the server's memory.
const (
	maxMemory  = 256 << 10 // KiB
	maxTime    = 10
	maxThreads = 16
	maxTags    = 32
	maxRecord  = 4096 // bytes

	saltLen            = 16
	tagLen             = 32
	minSalt, maxSalt   = 8, 64
	minTag, maxTagSize = 16, 64
)

// errRecord says nothing of the record's content, since errors are logged.
var errRecord = errors.New("damaged argon2id record")

// argon makes and checks records. Its fields are fixed once it is in use.
type argon struct {
	cost cost
	rand io.Reader
	key  func(secret, salt []byte, time, memory uint32, threads uint8, keyLen uint32) []byte
}

func newArgon() argon { return argon{cost: currentCost, rand: rand.Reader, key: argon2.IDKey} }

// cheap is what new hashes cost that protect nothing.
var cheap = cost{memory: 8, time: 1, threads: 1}

// run is one run of argon2id.
func (a *argon) run(secret, salt []byte, c cost, size int) []byte {
	return a.key(secret, salt, c.time, c.memory, c.threads, uint32(size))
}

// seal hashes every secret under one fresh salt: one run each.
func (a *argon) seal(secrets ...[]byte) (record, error) {
	r := record{cost: a.cost, salt: make([]byte, saltLen)}
	if _, err := io.ReadFull(a.rand, r.salt); err != nil {
		return record{}, fmt.Errorf("reading randomness: %w", err)
	}
	for _, s := range secrets {
		r.tags = append(r.tags, a.run(s, r.salt, r.cost, tagLen))
	}
	return r, nil
}

// decoy is a record that takes as long as a real one and that nothing matches.
func (a *argon) decoy() record {
	return record{cost: a.cost, salt: make([]byte, saltLen)}
}

// match returns the index of the tag that secret has, or -1. It takes one run whatever the record holds, and constant time over
// all tags.
func (a *argon) match(r record, secret []byte) int {
	size := tagLen
	if len(r.tags) > 0 {
		size = len(r.tags[0])
	}
	got, found := a.run(secret, r.salt, r.cost, size), -1
	for i, tag := range r.tags {
		found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(got, tag), i, found)
	}
	return found
}

// outdated reports whether r was made otherwise than seal would make it now.
func (a *argon) outdated(r record) bool {
	return r.cost != a.cost || len(r.salt) != saltLen || len(r.tags) > 0 && len(r.tags[0]) != tagLen
}

// record is one or more hashes under one salt. All tags are of one length.
type record struct {
	cost cost
	salt []byte
	tags [][]byte
}

var b64 = base64.RawStdEncoding.Strict()

// encode writes r as a PHC string: $argon2id$v=19$m=19456,t=2,p=1$salt$tag. Further tags follow after commas, which the alphabet of
// the format does not have; of a set without any left, the last field is empty.
func (r record) encode() []byte {
	tags := make([]string, len(r.tags))
	for i, tag := range r.tags {
		tags[i] = b64.EncodeToString(tag)
	}
	return fmt.Appendf(nil, "$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, r.cost.memory, r.cost.time, r.cost.threads,
		b64.EncodeToString(r.salt), strings.Join(tags, ","))
}

// parseRecord reads what encode writes, and nothing else: exactly one spelling of each record is accepted. Any error is errRecord.
func parseRecord(b []byte) (record, error) {
	f := strings.Split(string(b[:min(len(b), maxRecord)]), "$")
	if len(b) > maxRecord || len(f) != 6 {
		return record{}, errRecord
	}
	var r record
	var ok bool
	if r.cost, ok = parseCost(f[3]); !ok {
		return record{}, errRecord
	}
	var err error
	if r.salt, err = b64.DecodeString(f[4]); err != nil || len(r.salt) < minSalt || len(r.salt) > maxSalt {
		return record{}, errRecord
	}
	if f[5] != "" {
		for s := range strings.SplitSeq(f[5], ",") {
			tag, err := b64.DecodeString(s)
			if err != nil || len(tag) < minTag || len(tag) > maxTagSize || len(r.tags) == maxTags ||
				len(r.tags) > 0 && len(tag) != len(r.tags[0]) {
				return record{}, errRecord
			}
			r.tags = append(r.tags, tag)
		}
	}
	// The rest of the spelling: algorithm, version, leading zeros, line breaks inside base64.
	if !bytes.Equal(r.encode(), b) {
		return record{}, errRecord
	}
	return r, nil
}

// parseCost reads "m=19456,t=2,p=1" within the bounds.
func parseCost(s string) (cost, bool) {
	p := strings.Split(s, ",")
	if len(p) != 3 {
		return cost{}, false
	}
	var n [3]uint32
	for i, name := range []string{"m=", "t=", "p="} {
		v, err := strconv.ParseUint(strings.TrimPrefix(p[i], name), 10, 32)
		if err != nil || v == 0 {
			return cost{}, false
		}
		n[i] = uint32(v)
	}
	if n[2] > maxThreads || n[1] > maxTime || n[0] > maxMemory || n[0] < 8*n[2] {
		return cost{}, false
	}
	return cost{memory: n[0], time: n[1], threads: uint8(n[2])}, true
}

// heldRecord is the record of a credential. A decoy's has none.
type heldRecord struct {
	record
	cred auth.Credential
}

// openRecords reads the record of each credential.
func openRecords(creds []auth.Credential) ([]heldRecord, error) {
	held := make([]heldRecord, len(creds))
	for i, c := range creds {
		r, err := parseRecord(c.Secret)
		if err != nil {
			return nil, fmt.Errorf("credential %s: %w", c.ID, err)
		}
		held[i] = heldRecord{record: r, cred: c}
	}
	return held, nil
}
