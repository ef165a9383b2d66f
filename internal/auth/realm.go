package auth

import (
	"slices"
	"time"
)

// Config is what one Caddy config says.
type Config struct {
	Name     string        // product name on the pages and in authenticator apps
	Idle     time.Duration // a session ends when it was not seen for so long
	Lifetime time.Duration // a session ends so long after it began, at most MaxLifetime
	Methods  []Method      // in order of preference; the password must be among them
}

// Realm is one Caddy config's view of the people, over a State that it shares with others. It is safe for concurrent use.
type Realm struct {
	*State
	name           string
	idle, lifetime time.Duration
	methods        []Method
}

// Realm returns a view with the given settings.
func (s *State) Realm(c Config) *Realm {
	return &Realm{State: s, name: c.Name, idle: c.Idle, lifetime: min(c.Lifetime, MaxLifetime), methods: c.Methods}
}

// Name is the product name.
func (r *Realm) Name() string { return r.name }

// method returns nil if the method is unknown or switched off.
func (r *Realm) method(name string) Method {
	if i := slices.IndexFunc(r.methods, func(m Method) bool { return m.Name() == name }); i >= 0 {
		return r.methods[i]
	}
	return nil
}

// PasswordSetter is what the password's Method does besides: it makes the credential of a new password. The error is an *Invalid
// where the password is refused; context holds words that must not be in it. It is expensive.
type PasswordSetter interface {
	Method
	Check(password string, context ...string) error
	New(password string, context ...string) (Credential, error)
}

// CodeSet is a Method whose answers are codes that we make: recovery codes.
type CodeSet interface {
	Method
	Generate() ([]string, error)
	Seal(codes []string) (Credential, error) // expensive
	Left(c Credential) int                   // unused codes
}

func (r *Realm) passwords() PasswordSetter {
	p, _ := r.method(MethodPassword).(PasswordSetter)
	return p
}

// codes returns nil where recovery codes are switched off.
func (r *Realm) codes() CodeSet {
	c, _ := r.method(MethodRecovery).(CodeSet)
	return c
}
