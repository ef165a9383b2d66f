package auth

import (
	"slices"
	"time"
)

// TokenRule is what a requirement says about access tokens.
type TokenRule uint8

// The rules. With the zero value a token does where a session alone would, and not where proofs are asked for.
const (
	TokensByDefault TokenRule = iota
	TokensAllowed             // also where proofs are asked for
	TokensDenied
)

// TakesTokens reports whether an access token may do in place of a session, as far as And does not say otherwise.
func (req *Requirement) TakesTokens() bool {
	return req.Tokens == TokensAllowed || req.Tokens == TokensByDefault && len(req.Methods) == 0 && req.MaxAge == 0
}

// DecideToken is Decide for a request with an access token, which counts alone: s is what Realm.AccessToken returned. SignIn means that
// the token counts nowhere, StepUp that something is asked for which no token can show, Deny that its owner may not pass, or that the
// request is not within its limits.
func DecideToken(now time.Time, req Requirement, u *User, s *Session, at Place) Decision {
	public := true
	for and := &req; and != nil; and = and.And {
		if d := decideToken(now, and, u, s); d != Allow {
			return d
		}
		public = public && and.Mode == ModePublic
	}
	if !public && !s.Access.cover(at) {
		return Deny
	}
	return Allow
}

// HoldsToken reports whether a request that DecideToken let through may go on. Its place has not changed since.
func HoldsToken(now time.Time, req Requirement, u *User, s *Session) bool {
	for and := &req; and != nil; and = and.And {
		if decideToken(now, and, u, s) != Allow {
			return false
		}
	}
	return true
}

func decideToken(now time.Time, req *Requirement, u *User, s *Session) Decision {
	switch {
	case req.Mode == ModePublic:
		return Allow
	case req.Mode != ModeSignedIn:
		return Deny
	case !liveToken(now, u, s):
		return SignIn
	case len(req.Allow) > 0 && !slices.ContainsFunc(req.Allow, func(p Principal) bool { return p.is(u) }):
		return Deny
	case !s.Access.taken(req):
		return StepUp
	}
	return Allow
}

// liveToken reports whether s stands for an access token of u that counts at now.
func liveToken(now time.Time, u *User, s *Session) bool {
	return u != nil && s != nil && s.Access != nil && !u.Disabled && s.Access.live(now, u)
}

// taken reports whether a requirement takes the token. A guest gets in where a session alone would do, and nowhere else, whatever is said
// of access tokens; where those are refused, guests are too.
func (t *AccessToken) taken(req *Requirement) bool {
	return req.TakesTokens() && (t.Guest == nil || len(req.Methods) == 0 && req.MaxAge == 0)
}

// cover reports whether a request is within the limits of the token.
func (t *AccessToken) cover(at Place) bool {
	if t.Guest == nil {
		return t.Cover(at)
	}
	return t.Guest.cover(&t.TokenLimits, at)
}

// live reports whether a token counts for u, but for a user who is disabled.
func (t *AccessToken) live(now time.Time, u *User) bool {
	return t.UserID == u.ID && t.Epoch == u.Epoch && now.Before(t.Expires)
}
