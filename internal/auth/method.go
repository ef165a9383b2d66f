package auth

import (
	"errors"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/words"
)

// Names of the methods, as they stand in records, rules and pages.
const (
	MethodPassword = "password"
	MethodTOTP     = "totp"
	MethodWebAuthn = "webauthn"
	MethodEmail    = "email"
	MethodRecovery = "recovery"
)

// ErrRejected is a wrong answer: the code, the password or the signature does not prove what it should.
var ErrRejected = errors.New("auth: rejected")

// Kind is what a proof shows; kinds combine as bits. Two kinds make multi-factor authentication (NIST SP 800-63B-4, section 2.2).
type Kind uint8

// The kinds. Inherence covers both a fingerprint and a PIN that the authenticator checked: the server cannot tell them apart.
const (
	Knowledge Kind = 1 << iota
	Possession
	Inherence
)

// Method is one way to prove who you are. A Method is pure: no store, no HTTP, no clock of its own. It is safe for concurrent use.
type Method interface {
	Name() string
	// Challenge prepares what the person is asked. Private stays on the server, Public goes to the page. A method that asks
	// for nothing but an answer (password, totp, recovery) returns the zero Challenge.
	Challenge(now time.Time, u User, creds []Credential) (Challenge, error)
	// Verify returns what was proven, and the credential as it must now be stored. creds are the user's usable credentials of
	// this method; with none, Verify spends as much time as with one and returns ErrRejected.
	// ErrRejected is a wrong answer; any other error is our fault.
	Verify(now time.Time, u User, creds []Credential, ch Challenge, answer []byte) (Verified, error)
}

// Enroller is a Method that people enrol themselves.
type Enroller interface {
	Method
	// BeginEnroll prepares a credential. Its challenge is spent by the first answer unless it says Reusable.
	BeginEnroll(now time.Time, u User, existing []Credential) (Challenge, error)
	// FinishEnroll returns the new credential; the caller gives it an ID. A wrong answer is an error that wraps ErrRejected and
	// may carry a Hint.
	FinishEnroll(now time.Time, u User, ch Challenge, answer []byte) (Credential, error)
}

// Identifier is a Method that finds the user by itself: discoverable passkeys.
type Identifier interface {
	Method
	// Identify reads what an answer claims; nothing of it is verified yet. The key is what Unique.Key gives for that credential.
	// The error wraps ErrRejected: malformed input.
	Identify(answer []byte) (key string, userHandle []byte, err error)
}

// Mailed is a Method whose challenge goes by mail: a code to type, and a link that says the same. Its Verify and FinishEnroll take
// the code or the link's token. BeginEnroll is for the address u.Email; it and FinishEnroll do not look at what is enrolled.
type Mailed interface {
	Enroller
	// Letter reads what the mail of a challenge holds: the code, six digits, and the link's token, 256 bits in base64url.
	Letter(ch Challenge) (code, token string, err error)
	// Address is what a credential is for, "" if its record cannot be read.
	Address(c Credential) string
	// New returns a credential for an address, without ID, Method and Created.
	New(address string) Credential
}

// Expensive is a Method whose Verify and FinishEnroll cost so much (argon2id) that they run in one of few slots.
type Expensive interface {
	Method
	Expensive()
}

// Challenge is what a method asks, and what it must remember until the answer.
type Challenge struct {
	Method   string    `json:"method,omitempty"`
	Public   []byte    `json:"public,omitempty"`   // for the page
	Private  []byte    `json:"private,omitempty"`  // for Verify or FinishEnroll; sealed at rest
	Expires  time.Time `json:"expires,omitzero"`   // zero: with its flow
	Reusable bool      `json:"reusable,omitempty"` // a wrong answer leaves it standing: the secret behind a QR code
	Tries    int       `json:"tries,omitempty"`    // answers that it takes, counted down by the caller; 0 and 1: one
}

// Verified is what a right answer proved.
type Verified struct {
	Kinds      Kind
	Credential Credential // as it must now be stored, at once with whatever the proof opens
	// UserVerified says that the authenticator verified its user, also where that does not count yet (see Establishing).
	UserVerified bool
}

// Hint is an error that helps the person without telling an attacker anything. ID, Text and Args are the sentence, as those of an Invalid.
type Hint struct {
	ID, Text string
	Args     []any
	Err      error // ErrRejected or an error that wraps it
}

// NewHint is a Hint, as NewInvalid makes an Invalid.
func NewHint(err error, id, text string, args ...any) *Hint {
	return &Hint{ID: id, Text: words.Fill(text, args...), Args: args, Err: err}
}

func (h *Hint) Error() string { return h.Err.Error() + ": " + h.Text }

// Unwrap makes errors.Is see ErrRejected.
func (h *Hint) Unwrap() error { return h.Err }
