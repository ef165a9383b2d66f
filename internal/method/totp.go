package method

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// TOTPLabel is what a new app is called until its owner calls it something else. Pages say it in the reader's language.
const TOTPLabel = "Authenticator app"

const (
	totpPeriod = 30 // seconds a step; RFC 6238, section 4.1
	totpDigits = 6
	totpSkew   = 1                    // steps either side that sign in; RFC 6238, section 5.2
	totpHint   = 10 * 60 / totpPeriod // steps either side that earn a hint at set-up
	totpSeed   = 20                   // bytes, the length of SHA-1's output; RFC 4226, section 4
	maxTOTP    = 64                   // bytes of an answer, spaces included
)

// TOTP is the method "totp": the codes of an authenticator app (RFC 6238: SHA-1, six digits, 30 s).
//
// Credential.Secret is the seed, Credential.Data the last step whose code was used. A code counts for its own step and one either
// side, and a step once: Verify returns the credential with that step burned, and refuses it and all older ones.
type TOTP struct {
	issuer string
	rand   io.Reader
}

// NewTOTP returns the method; issuer is the site's name, under which apps list the account.
func NewTOTP(issuer string) *TOTP { return &TOTP{issuer: issuer, rand: rand.Reader} }

// totpState is Credential.Data.
type totpState struct {
	Step *int64 `json:"step"` // the last one used
}

var (
	errSeed  = errors.New("damaged seed")
	errState = errors.New("damaged record of the last step")
)

// Name is "totp".
func (*TOTP) Name() string { return auth.MethodTOTP }

// Challenge asks for nothing but the answer.
func (*TOTP) Challenge(time.Time, auth.User, []auth.Credential) (auth.Challenge, error) {
	return auth.Challenge{}, nil
}

// Verify accepts the code of any of the credentials. It takes the same time for every answer.
func (*TOTP) Verify(now time.Time, _ auth.User, creds []auth.Credential, _ auth.Challenge, answer []byte) (auth.Verified, error) {
	got, ok := sixDigits(answer)
	current := stepAt(now)
	best, found := -1, int64(0)
	for i, c := range creds {
		last, err := lastStep(c)
		if err != nil {
			return auth.Verified{}, fmt.Errorf("credential %s: %w", c.ID, err)
		}
		step, err := matchStep(c.Secret, got, current, totpSkew)
		if err != nil {
			return auth.Verified{}, fmt.Errorf("credential %s: %w", c.ID, err)
		}
		if step > last {
			best, found = i, step
		}
	}
	if len(creds) == 0 {
		if _, err := matchStep(make([]byte, totpSeed), got, current, totpSkew); err != nil {
			return auth.Verified{}, err
		}
	}
	if !ok || best < 0 {
		return auth.Verified{}, auth.ErrRejected
	}
	c, err := burn(creds[best], found)
	if err != nil {
		return auth.Verified{}, err
	}
	c.Used = now
	return auth.Verified{Kinds: auth.Possession, Credential: c}, nil
}

// stepAt is the number of the time step at now, -1 before 1970.
func stepAt(now time.Time) int64 {
	if s := now.Unix(); s >= 0 {
		return s / totpPeriod
	}
	return -1
}

// matchStep returns the latest step within skew of current that has the code got, or -1. It compares with the code of every step,
// whichever fits, in constant time. Should two steps have one code, the later is burned, and the earlier with it.
func matchStep(seed []byte, got [totpDigits]byte, current int64, skew int) (int64, error) {
	if len(seed) != totpSeed {
		return 0, errSeed
	}
	first, found := current-int64(skew), -1
	for i := range 2*skew + 1 {
		step := first + int64(i)
		want, err := totpCode(seed, max(step, 0), totpDigits)
		if err != nil {
			return 0, err
		}
		hit := subtle.ConstantTimeCompare([]byte(want), got[:])
		if step >= 0 && current >= 0 {
			found = subtle.ConstantTimeSelect(hit, i, found)
		}
	}
	if found < 0 {
		return -1, nil
	}
	return first + int64(found), nil
}

// totpCode is the code of a step, which is not negative.
func totpCode(seed []byte, step int64, digits otp.Digits) (string, error) {
	return hotp.GenerateCodeCustom(base32.StdEncoding.EncodeToString(seed), uint64(step), hotp.ValidateOpts{
		Digits: digits, Algorithm: otp.AlgorithmSHA1,
	})
}

// sixDigits reads a code: six ASCII digits, among which spaces, also no-break ones, may stand as apps show and copy them. ok is false
// for anything else, and the code then one that no step has.
func sixDigits(answer []byte) (digits [totpDigits]byte, ok bool) {
	if len(answer) > maxTOTP {
		return digits, false
	}
	s := strings.NewReplacer(" ", "", "\u00a0", "").Replace(string(answer))
	if len(s) != totpDigits || strings.Trim(s, "0123456789") != "" {
		return digits, false
	}
	return [totpDigits]byte([]byte(s)), true
}

// lastStep reads the last step that c burned.
func lastStep(c auth.Credential) (int64, error) {
	var s totpState
	if err := json.Unmarshal(c.Data, &s); err != nil || s.Step == nil || *s.Step < 0 {
		return 0, errState
	}
	return *s.Step, nil
}

// burn returns c with step as the last one used.
func burn(c auth.Credential, step int64) (auth.Credential, error) {
	data, err := json.Marshal(totpState{Step: &step})
	if err != nil {
		return auth.Credential{}, err
	}
	c.Data = data
	return c, nil
}

var _ auth.Enroller = (*TOTP)(nil)
