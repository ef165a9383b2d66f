package auth

import (
	"context"
	"errors"
	"slices"
	"sort"
	"strings"

	"github.com/caddy-mfa/caddy-mfa/storage"
)

const (
	// maxSessions bounds the live sessions of one person. One more ends the one that was not seen for the longest.
	maxSessions = 200
	// sweepBatch is how many records are removed in one transaction.
	sweepBatch = 100
)

// Sessions returns a user's live sessions, the newest first. What was handed over is no session of its own here: see Session.Handed.
func (r *Realm) Sessions(ctx context.Context, name string) (out []Session, err error) {
	err = r.store.View(ctx, func(tx storage.Tx) error {
		u, err := byName(tx, name)
		if err != nil {
			return err
		}
		out, err = r.liveSessions(tx, u)
		return err
	})
	sort.Slice(out, func(i, j int) bool { return out[j].Created.Before(out[i].Created) })
	return out, err
}

func (r *Realm) liveSessions(tx storage.Tx, u *User) ([]Session, error) {
	all, err := r.storedSessions(tx, u)
	out := all[:0]
	for i := range all {
		if live(r.now(), u, &all[i]) {
			out = append(out, all[i])
		}
	}
	return out, err
}

// storedSessions are a user's sessions, also those that have ended and lie there until their time is over. Those that were handed over
// are a part of the one that they came from.
func (r *Realm) storedSessions(tx storage.Tx, u *User) ([]Session, error) {
	tokens, err := sessionTokens(tx, u)
	if err != nil {
		return nil, err
	}
	return r.readSessions(tx, tokens)
}

// sessionTokens lists the hashes of the tokens of a user's sessions, those that were handed over among them.
func sessionTokens(tx storage.Tx, u *User) (out []string, err error) {
	for e, err := range tx.Scan(keyUserSessions(u.ID), "") {
		if err != nil {
			return nil, err
		}
		out = append(out, string(e.Value))
	}
	return out, nil
}

// readSessions is storedSessions of what sessionTokens has listed.
func (r *Realm) readSessions(tx storage.Tx, tokens []string) (out []Session, err error) {
	for _, token := range tokens {
		var s Session
		err = getJSON(tx, keySession(token), &s)
		if errors.Is(err, storage.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if s.Parent != "" {
			continue
		}
		if cached := r.cache.get(s.Token); cached != nil {
			s.Seen, s.IdleEnd = cached.session.Load().Seen, cached.session.Load().IdleEnd // later than was noted
		}
		out = append(out, s)
	}
	return out, nil
}

// RevokeSessions ends one session of a user by its ID, or with id "" all of them together with flows and invitations in progress.
// It returns how many ended. An unknown id is an *Invalid.
func (r *Realm) RevokeSessions(ctx context.Context, name, id string) (n int, err error) {
	var ended *Session
	u, err := r.change(ctx, name, EventSessionsEnded, func(tx storage.Tx, u *User) error {
		if id == "" {
			all, err := r.liveSessions(tx, u)
			if err != nil {
				return err
			}
			n = len(all)
			if err := r.endAll(tx, u); err != nil {
				return err
			}
			return putUser(tx, u)
		}
		s, err := rootByID(tx, u.ID, id)
		if errors.Is(err, storage.ErrNotFound) {
			return NewInvalid("id", "invalid.session", "There is no such session.")
		}
		if err != nil {
			return err
		}
		n = 1
		ended, err = deleteSession(tx, s.Token)
		return err
	})
	if ended != nil {
		r.cache.invalidateSession(ended.Token)
	}
	if err != nil {
		return 0, err
	}
	if id == "" {
		err = r.sweep(ctx, u.ID, u.Epoch)
	}
	return n, err
}

// endOne ends a session of u. An unknown one, or somebody else's, is ErrNoCredential.
func (r *Realm) endOne(tx storage.Tx, u *User, id string) error {
	s, err := rootByID(tx, u.ID, id)
	if errors.Is(err, storage.ErrNotFound) || id == "" || strings.Contains(id, "/") {
		return ErrNoCredential
	}
	if err != nil {
		return err
	}
	_, err = deleteSession(tx, s.Token)
	return err
}

// sessionByID returns a user's session; storage.ErrNotFound if there is none.
func sessionByID(tx storage.Tx, user, id string) (*Session, error) {
	at, err := tx.Get(keyUserSessions(user) + id)
	if err != nil {
		return nil, err
	}
	s := new(Session)
	return s, getJSON(tx, keySession(string(at.Value)), s)
}

// rootByID is sessionByID, or the session from which that one was handed over.
func rootByID(tx storage.Tx, user, id string) (*Session, error) {
	s, err := sessionByID(tx, user, id)
	if err != nil {
		return nil, err
	}
	return root(tx, s)
}

// root returns the session from which s was handed over, or s itself where there is none.
func root(tx storage.Tx, s *Session) (*Session, error) {
	if s.Parent == "" {
		return s, nil
	}
	parent, err := sessionByID(tx, s.UserID, s.Parent)
	if errors.Is(err, storage.ErrNotFound) {
		return s, nil
	}
	return parent, err
}

// endOthers ends every session of u but s, and counts them. So many may be more than one transaction can delete: a bumped epoch makes
// them void, and with them what else RevokeSessions ends. The caller gives s a new token, and sweeps after the commit.
func (r *Realm) endOthers(tx storage.Tx, s *Session, u *User) (n int, err error) {
	sessions, err := r.liveSessions(tx, u)
	if err != nil {
		return 0, err
	}
	for _, other := range sessions {
		if other.ID != s.ID {
			n++
		}
	}
	if err := r.endAll(tx, u); err != nil {
		return 0, err
	}
	s.Epoch = u.Epoch
	return n, errors.Join(putUser(tx, u), dropHanded(tx, s))
}

// dropHanded ends what was handed over from s, which goes on: of each the browser gets another one when it comes by, and whoever has a copy
// of the cookie does not.
func dropHanded(tx storage.Tx, s *Session) error {
	for _, id := range s.Handed {
		c, err := sessionByID(tx, s.UserID, id)
		if errors.Is(err, storage.ErrNotFound) {
			continue
		}
		if err == nil {
			_, err = dropSession(tx, c.Token)
		}
		if err != nil {
			return err
		}
	}
	s.Handed = nil
	return nil
}

// endUsing ends the sessions that a credential helped to open, but s, of which it ends what was handed over. Of more than there should be, every other session ends.
func (r *Realm) endUsing(tx storage.Tx, s *Session, u *User, credential string) error {
	sessions, err := r.liveSessions(tx, u)
	if err != nil {
		return err
	}
	var tokens []string
	records := 0
	for i := range sessions {
		for _, p := range sessions[i].Proofs {
			if p.Credential == credential && sessions[i].ID != s.ID {
				tokens = append(tokens, sessions[i].Token)
				records += 1 + len(sessions[i].Handed)
				break
			}
		}
	}
	if records > 2*maxSessions {
		_, err := r.endOthers(tx, s, u)
		return err
	}
	for _, token := range tokens {
		if _, err := deleteSession(tx, token); err != nil {
			return err
		}
	}
	return dropHanded(tx, s)
}

// makeRoom removes what has ended of u's sessions, and then what has not been seen for the longest, where another one, which is about to
// begin, would be one too many. No conflict is promised for what a Scan did not find: of several sign-ins at once each may leave one
// more, until the next. It removes a bounded number, for it is part of a sign-in.
func (r *Realm) makeRoom(tx storage.Tx, v Visit, u *User) error {
	tokens, err := sessionTokens(tx, u)
	if err != nil || len(tokens) < maxSessions {
		return err
	}
	sessions, err := r.readSessions(tx, tokens)
	if err != nil {
		return err
	}
	counts := func(s *Session) bool { return r.counts(r.now(), u, s) }
	sort.Slice(sessions, func(i, j int) bool {
		a, b := &sessions[i], &sessions[j]
		if was, is := counts(a), counts(b); was != is {
			return is
		}
		return a.Seen.Before(b.Seen)
	})
	records := 0
	for _, s := range sessions[:max(0, len(sessions)-maxSessions+1)] {
		if records += 1 + len(s.Handed); records > sweepBatch+maxHanded {
			break
		}
		if _, err := deleteSession(tx, s.Token); err != nil {
			return err
		}
		if !counts(&s) {
			continue
		}
		if err := r.auditReplaced(tx, v, u, &s); err != nil {
			return err
		}
	}
	return nil
}

// auditReplaced notes that a session, which need not be u's, ended because u signed in.
func (r *Realm) auditReplaced(tx storage.Tx, v Visit, u *User, s *Session) error {
	e := Event{Name: EventReplaced, UserID: s.UserID, Session: s.ID, Addr: v.Addr.String()}
	if s.UserID == u.ID {
		e.User = u.Name
	}
	return r.audit(tx, e)
}

// rotateSession gives a session further proofs and a new token; the old token dies. Its end stays where it was.
func (r *Realm) rotateSession(tx storage.Tx, s *Session, proofs []Proof) ([]Cookie, error) {
	if _, err := dropSession(tx, s.Token); err != nil {
		return nil, err
	}
	token := newToken()
	s.Token = hashToken(token)
	for _, p := range proofs {
		s.Proofs = slices.DeleteFunc(s.Proofs, func(old Proof) bool { return old.Method == p.Method && old.Credential == p.Credential })
		s.Proofs = append(s.Proofs, p)
	}
	if err := putJSON(tx, keySession(s.Token), s, s.End); err != nil {
		return nil, err
	}
	if err := tx.Put(keyUserSessions(s.UserID)+s.ID, []byte(s.Token), s.End); err != nil {
		return nil, err
	}
	cookie, err := r.sealCookie(CookieSession, token)
	return []Cookie{{Name: CookieSession, Value: cookie, MaxAge: s.End.Sub(r.now())}}, err
}

// deleteSession removes a session, those that were handed over from it, and their places in the user's list. It returns nil if there
// was none.
func deleteSession(tx storage.Tx, hash string) (*Session, error) {
	s, err := dropSession(tx, hash)
	if err != nil || s == nil {
		return nil, err
	}
	for _, id := range s.Handed {
		at, err := tx.Get(keyUserSessions(s.UserID) + id)
		if errors.Is(err, storage.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if _, err := dropSession(tx, string(at.Value)); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// dropSession removes one session alone, and its place in the user's list. It returns nil if there was none.
func dropSession(tx storage.Tx, hash string) (*Session, error) {
	s := new(Session)
	err := getJSON(tx, keySession(hash), s)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if err := tx.Delete(keySession(hash)); err != nil {
		return nil, err
	}
	return s, tx.Delete(keyUserSessions(s.UserID) + s.ID)
}

// void is what a bumped epoch has made so: sessions, access tokens and the like of a user that are older.
type void struct {
	user  string
	epoch uint64
}
