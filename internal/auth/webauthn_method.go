package auth

import "fmt"

// Errors of methods whose credentials are keys.
var (
	// ErrCounter wraps ErrRejected: the signature counter went back, so the credential may have been cloned (WebAuthn Level 3,
	// section 6.1.1).
	ErrCounter = fmt.Errorf("%w: the signature counter went back", ErrRejected)
	// ErrDuplicate wraps ErrRejected: the authenticator is registered already.
	ErrDuplicate = fmt.Errorf("%w: registered already", ErrRejected)
)

// Site is where a browser signs in: what WebAuthn binds credentials to.
type Site struct {
	Host   string // without port, lower case
	Origin string // scheme://host[:port] as the browser has it
}

// Bound is a Method that differs from site to site.
type Bound interface {
	Method
	// At returns the method for one site, nil where it cannot work: an address instead of a name, an origin that is not listed.
	At(Site) Method
}

// Fitting is a Method that can use only some of its credentials here: those of this RP ID.
type Fitting interface {
	Method
	Fits(Credential) bool
	// Where names the site that a credential is for, for people to read.
	Where(Credential) string
}

// Establishing is a Method with user verification, which counts only for a credential for which it was shown once beside a proof of
// another kind (S42).
type Establishing interface {
	Method
	// Establish returns the credential as it must be stored once that has happened.
	Establish(Credential) (Credential, error)
}

// Unique is a Method whose credentials may exist once in the whole store.
type Unique interface {
	Method
	// Key names the credential: printable, at most 64 bytes; "" for a record that cannot be read.
	Key(Credential) string
}
