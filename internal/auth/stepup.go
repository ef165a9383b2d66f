package auth

import (
	"context"
	"slices"
	"time"

	"github.com/caddy-mfa/caddy-mfa/storage"
)

// A rule may ask somebody who has signed in for more: a proof by another method, or a fresher one. That is a change of the session
// which changes nothing else (ChangeProve): what was proven is added to it, and it gets a new token (S52).

// need is what a ChangeProve is about.
func (c *Change) need() Requirement {
	return Requirement{Mode: ModeSignedIn, Methods: c.Methods, MaxAge: c.MaxAge}
}

// nextProof is the part of the dispatcher for a ChangeProve.
func (r *Realm) nextProof(now time.Time, site Site, f *flow, u *User, creds []held, p Progress) Progress {
	need := f.Change.need()
	if need.satisfied(now, f.Proofs) {
		p.Step = StepDone
		return p
	}
	ways := r.proving(site, u, creds, need)
	if len(ways) == 0 {
		p.Step, p.Elsewhere = StepAskAdmin, r.elsewhere(site, creds)
		return p
	}
	if slices.Contains(ways, MethodEmail) {
		p.Mail = r.codeMail(now, f, creds)
	}
	p.Step, p.Method, p.Others = StepVerify, ways[0], ways[1:]
	return p
}

// proving are the methods by which u can show at a site what a rule asks for, in the order in which they are asked. Where the rule names
// none, they are those by which u may sign in; the password says least about who sits there, and is asked where nothing else works.
func (r *Realm) proving(site Site, u *User, creds []held, need Requirement) []string {
	var out []string
	for _, name := range r.preference() {
		if len(need.Methods) > 0 && !slices.Contains(need.Methods, name) || name == MethodEmail && (r.mailed() == nil || r.mailBarred(u)) {
			continue
		}
		if m := r.at(site, name); m != nil && len(fitting(m, creds)) > 0 {
			out = append(out, name)
		}
	}
	if i := slices.Index(out, MethodPassword); i >= 0 && len(out) > 1 {
		out = slices.Delete(out, i, i+1)
		if len(need.Methods) > 0 { // named, and so as good as the others
			out = append(out, MethodPassword)
		}
	}
	if len(need.Methods) == 0 {
		now := r.now()
		out = wanted(now, r.duties(now, u, creds), out)
	}
	return preferred(u, out)
}

// Provable are the methods by which a user could show at the visitor's site what need asks for: none, where nothing of that is set up
// or works there.
func (r *Realm) Provable(ctx context.Context, v Visit, userID string, need Requirement) (methods []string, err error) {
	err = r.store.View(ctx, func(tx storage.Tx) error {
		u, err := getUser(tx, userID)
		if err != nil || u == nil {
			return err
		}
		creds, err := r.getCreds(tx, userID)
		methods = r.proving(v.site(), u, r.withAddress(u, creds), need)
		return err
	})
	return methods, err
}

// Holds reports whether a session holds already what a ChangeProve is about.
func (c *Change) Holds(now time.Time, u *User, s *Session) bool {
	return Decide(now, c.need(), u, s) == Allow
}
