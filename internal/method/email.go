package method

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

const (
	emailLife   = 10 * time.Minute // NIST SP 800-63B-4, section 3.1.3.2
	emailTries  = 5                // answers a code; one in 200000 guesses right
	emailToken  = 32               // bytes of the link's token
	emailDigits = totpDigits
)

// Email is the method "email": a code by mail, and a link in the same mail that does what the code does.
//
// Credential.Data is the address; there is no secret. Challenge.Private holds code, token and address, and is all that an answer
// is compared with: whoever has the challenge in another browser has nothing.
type Email struct {
	rand io.Reader
}

// NewEmail returns the method.
func NewEmail() *Email { return &Email{rand: rand.Reader} }

// emailRecord is Credential.Data.
type emailRecord struct {
	Address string `json:"address"`
}

// emailSecret is Challenge.Private.
type emailSecret struct {
	Code    string `json:"code"`
	Token   string `json:"token"`
	Address string `json:"address"`
}

// emailCodes is how many codes there are.
var emailCodes = big.NewInt(1_000_000)

var (
	errEmailRecord    = errors.New("damaged record of an address")
	errEmailChallenge = errors.New("email: damaged challenge")
	errNoAddress      = errors.New("email: there is no address to send a code to")
)

func noCode() error {
	return auth.NewHint(auth.ErrRejected, "hint.code.none", "Send a new code.")
}

func codeExpired() error {
	return auth.NewHint(auth.ErrRejected, "hint.code.expired", "This code has expired. Send a new one.")
}

// Name is "email".
func (*Email) Name() string { return auth.MethodEmail }

// Challenge makes a code for the credential of the user's own address, or else for the first. With no credential it is an error:
// nothing can be sent.
func (m *Email) Challenge(now time.Time, u auth.User, creds []auth.Credential) (auth.Challenge, error) {
	to := ""
	for _, c := range creds {
		r, err := parseEmail(c)
		if err != nil {
			return auth.Challenge{}, err
		}
		if to == "" || r.Address == u.Email {
			to = r.Address
		}
	}
	return m.ask(now, to)
}

// BeginEnroll makes a code for u.Email.
func (m *Email) BeginEnroll(now time.Time, u auth.User, _ []auth.Credential) (auth.Challenge, error) {
	return m.ask(now, u.Email)
}

func (m *Email) ask(now time.Time, to string) (auth.Challenge, error) {
	if to == "" {
		return auth.Challenge{}, errNoAddress
	}
	number, err := rand.Int(m.rand, emailCodes)
	if err != nil {
		return auth.Challenge{}, fmt.Errorf("reading randomness: %w", err)
	}
	token := make([]byte, emailToken)
	if _, err := io.ReadFull(m.rand, token); err != nil {
		return auth.Challenge{}, fmt.Errorf("reading randomness: %w", err)
	}
	private, err := json.Marshal(emailSecret{
		Code: fmt.Sprintf("%0*d", emailDigits, number), Token: base64.RawURLEncoding.EncodeToString(token), Address: to,
	})
	if err != nil {
		return auth.Challenge{}, err
	}
	return auth.Challenge{Method: auth.MethodEmail, Private: private, Expires: now.Add(emailLife), Tries: emailTries}, nil
}

// Verify takes the code, or the token of the link, for the credential with the address that it was sent to. Without a challenge, or
// when it has expired, a *auth.Hint says so.
func (m *Email) Verify(now time.Time, _ auth.User, creds []auth.Credential, ch auth.Challenge, answer []byte) (auth.Verified, error) {
	to, err := m.check(now, ch, answer)
	if err != nil {
		return auth.Verified{}, err
	}
	for _, c := range creds {
		r, err := parseEmail(c)
		if err != nil {
			return auth.Verified{}, err
		}
		if r.Address == to {
			c.Used = now
			return auth.Verified{Kinds: auth.Possession, Credential: c}, nil
		}
	}
	return auth.Verified{}, auth.ErrRejected
}

// FinishEnroll takes the code or the token that went to the address. The credential is for that address, whatever u.Email is by now.
func (m *Email) FinishEnroll(now time.Time, _ auth.User, ch auth.Challenge, answer []byte) (auth.Credential, error) {
	to, err := m.check(now, ch, answer)
	if err != nil {
		return auth.Credential{}, err
	}
	c := m.New(to)
	c.Method, c.Created = auth.MethodEmail, now
	return c, nil
}

// check returns the address that an answer proves. It compares with code and token alike, in constant time.
func (*Email) check(now time.Time, ch auth.Challenge, answer []byte) (to string, err error) {
	if len(ch.Private) == 0 {
		return "", noCode()
	}
	want, err := openEmail(ch)
	if err != nil {
		return "", err
	}
	if !now.Before(ch.Expires) {
		return "", codeExpired()
	}
	digits, _ := sixDigits(answer) // what is no code has no digits, and equals none
	right := subtle.ConstantTimeCompare([]byte(want.Code), digits[:]) | subtle.ConstantTimeCompare([]byte(want.Token), answer)
	if right != 1 {
		return "", auth.ErrRejected
	}
	return want.Address, nil
}

// Letter reads the code and the link's token of a challenge. Its errors never repeat them.
func (*Email) Letter(ch auth.Challenge) (code, token string, err error) {
	s, err := openEmail(ch)
	return s.Code, s.Token, err
}

// Address is what a credential is for, "" if its record cannot be read.
func (*Email) Address(c auth.Credential) string {
	r, _ := parseEmail(c)
	return r.Address
}

// New returns a credential for an address, without ID, Method and Created.
func (*Email) New(address string) auth.Credential {
	data, err := json.Marshal(emailRecord{address})
	if err != nil {
		panic(err) // a string always has a form in JSON
	}
	return auth.Credential{Data: data}
}

func parseEmail(c auth.Credential) (emailRecord, error) {
	var r emailRecord
	if err := json.Unmarshal(c.Data, &r); err != nil || r.Address == "" {
		return emailRecord{}, fmt.Errorf("credential %s: %w", c.ID, errEmailRecord)
	}
	return r, nil
}

// openEmail refuses what could be matched by an answer that is empty or short.
func openEmail(ch auth.Challenge) (emailSecret, error) {
	var s emailSecret
	if err := json.Unmarshal(ch.Private, &s); err != nil {
		return emailSecret{}, errEmailChallenge
	}
	_, ok := sixDigits([]byte(s.Code))
	if !ok || len(s.Code) != emailDigits || len(s.Token) != base64.RawURLEncoding.EncodedLen(emailToken) || s.Address == "" {
		return emailSecret{}, errEmailChallenge
	}
	return s, nil
}

var _ auth.Mailed = (*Email)(nil)
