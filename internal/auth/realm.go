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
	Mail     *Mail         // nil: no mail is sent, and email is no method
	Policies []Policy      // what is demanded of people's second methods
	Portal   *Portal       // nil: people sign in where they are
	OnePage  bool          // name, password and code are asked on one page: see SignInAtOnce
	// Asks returns what a request that goes on needs now, one that another configuration let through; nil: nothing is known of it, and what it
	// needed then stands. It is called from anywhere, and must not change what it is given.
	Asks func(request any) *Requirement
}

// Realm is one Caddy config's view of the people, over a State that it shares with others. It is safe for concurrent use.
type Realm struct {
	*State
	name           string
	idle, lifetime time.Duration
	methods        []Method
	mail           *Mail
	policies       []Policy
	onePage        bool
	portal         *Portal
	asks           func(request any) *Requirement
}

// Realm returns a view with the given settings.
func (s *State) Realm(c Config) *Realm {
	return &Realm{State: s, name: c.Name, idle: c.Idle, lifetime: min(c.Lifetime, MaxLifetime), methods: c.Methods, mail: c.Mail, policies: c.Policies, onePage: c.OnePage, portal: c.Portal, asks: c.Asks}
}

// Name is the product name.
func (r *Realm) Name() string { return r.name }

// method returns nil if the method is unknown or switched off.
func (r *Realm) method(name string) Method {
	for _, m := range r.methods {
		if m.Name() == name {
			return m
		}
	}
	return nil
}

// at returns a method as it works at a site, nil also where it cannot work there.
func (r *Realm) at(site Site, name string) Method {
	m := r.method(name)
	if b, ok := m.(Bound); ok {
		return b.At(site)
	}
	return m
}

// fitting are the user's credentials that m can use.
func fitting(m Method, creds []held) []Credential {
	have := usable(creds, m.Name())
	if set, ok := m.(CodeSet); ok {
		have = slices.DeleteFunc(have, func(c Credential) bool { return set.Left(c) == 0 })
	}
	if f, ok := m.(Fitting); ok {
		have = slices.DeleteFunc(have, func(c Credential) bool { return !f.Fits(c) })
	}
	return have
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

// Viewable is a CodeSet that can keep its codes, so that their owner sees them again.
type Viewable interface {
	CodeSet
	KeepsCodes() bool            // of new sets; where it does not, nobody sees those of older ones either
	Codes(c Credential) []string // unused codes as they were shown, nil where the set holds hashes
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
