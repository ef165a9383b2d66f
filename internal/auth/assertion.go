package auth

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

const (
	// AssertionLife is how long an assertion is valid.
	AssertionLife = time.Minute
	// assertionReuse is how long the same one is handed out, so that most requests cost no signature. What changes about the user or
	// the session makes a new one at once; whoever gets one has three quarters of its life left.
	assertionReuse = 15 * time.Second
)

// Authentication context classes, the values of the claim "acr". Every session holds two kinds of proof.
const (
	acrMFA = "mfa"
	// acrPhishingResistant is from OpenID Connect Extended Authentication Profile ACR Values 1.0.
	acrPhishingResistant = "phr"
)

// claims are those of RFC 7519 and OpenID Connect Core 1.0, sections 2 and 5.1. Times are seconds.
type claims struct {
	Issuer        string   `json:"iss"`
	Subject       string   `json:"sub"`
	Audience      string   `json:"aud"`
	Issued        int64    `json:"iat"`
	NotBefore     int64    `json:"nbf"`
	Expires       int64    `json:"exp"`
	AuthTime      int64    `json:"auth_time"`
	ACR           string   `json:"acr"`
	AMR           []string `json:"amr"`
	Username      string   `json:"preferred_username"`
	Name          string   `json:"name"`
	Email         string   `json:"email,omitempty"`
	EmailVerified *bool    `json:"email_verified,omitempty"`
	Groups        []string `json:"groups"`
}

// asserted is an assertion with what it was made for. Each session that was read from the store has a place for one. A session that was
// seen since it was last noted in the store may keep its place when it is read again, with a user who changed; its proofs cannot change,
// as they give it a new token.
type asserted struct {
	user   *User
	key    *assertionKey
	issuer string
	at     time.Time
	token  string
}

// Assertion says who is signed in, to the app on the session's host: a JWT (RFC 7519) that lives for AssertionLife, signed by alg. s and
// u are what Session returned. The subject is the user's ID, which is never given to anybody else, as a name may be.
//
// An error means that there is no key to sign with, and the request must not pass.
func (r *Realm) Assertion(ctx context.Context, alg, issuer string, s *Session, u *User) (string, error) {
	key, err := r.assertionKey(ctx, alg)
	if err != nil {
		return "", err
	}
	now := r.now()
	if s.asserted != nil {
		a := s.asserted.Load()
		if a != nil && a.key == key && a.user == u && a.issuer == issuer && !now.Before(a.at) && now.Sub(a.at) < assertionReuse {
			return a.token, nil
		}
	}
	token, err := key.sign(claimsOf(now, issuer, s, u))
	if err != nil {
		return "", fmt.Errorf("signing an assertion: %w", err)
	}
	if s.asserted != nil {
		s.asserted.Store(&asserted{u, key, issuer, now, token})
	}
	return token, nil
}

func claimsOf(now time.Time, issuer string, s *Session, u *User) claims {
	c := claims{
		Issuer: issuer, Subject: u.ID, Audience: s.Host,
		Issued: now.Unix(), NotBefore: now.Unix(), Expires: now.Add(AssertionLife).Unix(),
		Username: u.Name, Name: u.Display(), Email: u.Email, Groups: u.Groups,
	}
	if c.Groups == nil {
		c.Groups = []string{}
	}
	if u.Email != "" {
		c.EmailVerified = &u.EmailConfirmed
	}
	var at time.Time
	if c.AMR, c.ACR, at = authentication(s.Proofs); at.IsZero() {
		at = s.Created
	}
	c.AuthTime = at.Unix()
	return c
}

// authentication is what the proofs of a session amount to: the methods and the class of the authentication, and the moment of the newest
// proof. Setting something up is no proof.
//
// Methods are named as RFC 8176 does. "pop" is a key, of which nobody can tell whether it lies in hardware. For codes by mail and
// recovery codes there is no registered value; they have the names that they have everywhere here.
func authentication(proofs []Proof) (amr []string, acr string, at time.Time) {
	acr = acrMFA
	for _, p := range proofs {
		if p.Enrolled {
			continue
		}
		if p.At.After(at) {
			at = p.At
		}
		value := p.Method
		switch p.Method {
		case MethodPassword:
			value = "pwd"
		case MethodTOTP:
			value = "otp"
		case MethodWebAuthn:
			value, acr = "pop", acrPhishingResistant
		}
		if !slices.Contains(amr, value) {
			amr = append(amr, value)
		}
	}
	if acr == acrPhishingResistant {
		amr = append(amr, "user") // a key asks for a touch, at least
	}
	return append(amr, "mfa"), acr, at
}

// sign makes a JWS in compact serialization (RFC 7515). The header is the same for all that a key signs, and the rest is a few lines, so
// no library is needed that would have to be told which of its many ways not to take.
func (k *assertionKey) sign(c claims) (string, error) {
	payload, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	input := k.header + "." + encodeSegment(payload)
	var signature []byte
	switch private := k.private.(type) {
	case ed25519.PrivateKey:
		signature = ed25519.Sign(private, []byte(input))
	case *ecdsa.PrivateKey:
		digest := sha256.Sum256([]byte(input))
		r, s, err := ecdsa.Sign(rand.Reader, private, digest[:])
		if err != nil {
			return "", err
		}
		signature = make([]byte, 64) // R and S: RFC 7518, section 3.4
		r.FillBytes(signature[:32])
		s.FillBytes(signature[32:])
	}
	return input + "." + encodeSegment(signature), nil
}
