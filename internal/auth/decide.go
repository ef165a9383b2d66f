package auth

import (
	"slices"
	"time"
)

// Mode is the ground rule of a Requirement.
type Mode uint8

// The modes. The zero value denies.
const (
	ModeDeny Mode = iota
	ModePublic
	ModeSignedIn
)

// Principal is a user by name or a group. Exactly one field is set; an empty one matches nobody.
type Principal struct {
	User  string // as FoldName returns it
	Group string
}

// Requirement is what a rule asks. Its zero value denies.
type Requirement struct {
	Mode    Mode
	Allow   []Principal   // any of these; empty: every user
	Methods []string      // one of these must be among the proofs; empty: any
	MaxAge  time.Duration // of the newest qualifying proof; 0: any age
	And     *Requirement  // what must be met as well; nil: nothing
}

// Missing is the part of the requirement that a session lacks a proof for, or the last one.
func (req *Requirement) Missing(now time.Time, s *Session) *Requirement {
	for req.And != nil && (req.Mode == ModePublic || req.satisfied(now, s.Proofs)) {
		req = req.And
	}
	return req
}

// clockSlack is how far in the future a proof may lie, when the server's clock was set back.
const clockSlack = time.Minute

// satisfied reports whether one of the proofs does for what the requirement asks beyond a session.
func (req *Requirement) satisfied(now time.Time, proofs []Proof) bool {
	if len(req.Methods) == 0 && req.MaxAge == 0 {
		return true
	}
	return slices.ContainsFunc(proofs, func(p Proof) bool {
		return !p.Enrolled && (len(req.Methods) == 0 || slices.Contains(req.Methods, p.Method)) &&
			(req.MaxAge == 0 || now.Sub(p.At) <= req.MaxAge && p.At.Sub(now) < clockSlack)
	})
}

// Decision is what becomes of a request. The zero value denies.
type Decision uint8

// The decisions.
const (
	Deny   Decision = iota
	SignIn          // nobody is signed in, or not fully
	StepUp          // signed in, but the rule wants a fresher or another proof
	Enroll          // signed in, but the person has no method that the rule would take
	Allow
)

var decisions = [...]string{"deny", "sign_in", "step_up", "enroll", "allow"}

// String names the decision as logs and JSON do.
func (d Decision) String() string {
	if int(d) < len(decisions) {
		return decisions[d]
	}
	return "deny"
}

// Decide applies a requirement. It is pure. It refuses any session with fewer than two kinds, that has ended, or whose epoch is
// not the user's. Enrolling is not a proof. u and s are nil when nobody is signed in.
func Decide(now time.Time, req Requirement, u *User, s *Session) Decision {
	d := decide(now, &req, u, s)
	for and := req.And; d == Allow && and != nil; and = and.And {
		d = decide(now, and, u, s)
	}
	return d
}

func decide(now time.Time, req *Requirement, u *User, s *Session) Decision {
	switch req.Mode {
	case ModePublic:
		return Allow
	case ModeSignedIn:
	default:
		return Deny
	}
	if !live(now, u, s) {
		return SignIn
	}
	if len(req.Allow) > 0 && !slices.ContainsFunc(req.Allow, func(p Principal) bool { return p.is(u) }) {
		return Deny
	}
	if req.satisfied(now, s.Proofs) {
		return Allow
	}
	if len(req.Methods) > 0 && !slices.ContainsFunc(req.Methods, func(m string) bool { return slices.Contains(u.Enrolled, m) }) {
		return Enroll
	}
	return StepUp
}

// Holds reports whether a request that Decide let through may go on. It asks what Decide asks, but for MaxAge, which is about the
// moment in which a request comes: what was begun with a fresh proof is not cut off because the proof has grown old.
func Holds(now time.Time, req Requirement, u *User, s *Session) bool {
	for and := &req; and != nil; and = and.And {
		ageless := *and
		ageless.MaxAge = 0
		if decide(now, &ageless, u, s) != Allow {
			return false
		}
	}
	return true
}

// live reports whether s is a session of u that counts at now.
func live(now time.Time, u *User, s *Session) bool {
	return u != nil && s != nil && !u.Disabled &&
		s.UserID == u.ID && s.Epoch == u.Epoch &&
		now.Before(s.End) && now.Before(s.IdleEnd) &&
		Kinds(s.Proofs).MultiFactor()
}

func (p Principal) is(u *User) bool {
	if p.User != "" {
		return u.Name == p.User
	}
	return p.Group != "" && slices.Contains(u.Groups, p.Group)
}
