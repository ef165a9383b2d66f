package auth

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/caddy-mfa/caddy-mfa/storage"
)

// seenEvery is how exact Session.Seen is, and how often at most it is written.
const seenEvery = time.Minute

// Session returns the session that a cookie names on host, and its user, and notes that it was seen. ErrNoSession: none that
// counts; any other error is a fault of the store, and the request must not pass. What it returns is shared and must not be changed.
func (r *Realm) Session(ctx context.Context, host, cookie string) (*Session, *User, error) {
	f, err := r.find(ctx, host, cookie)
	if err != nil {
		return nil, nil, err
	}
	return r.see(f), f.entry.user, nil
}

// see notes that a session is in use: what was handed over is a sign of life of its parent, which has the clock for all.
func (r *Realm) see(f found) *Session {
	hash, e, s := f.hash, f.entry, f.session
	if e.parent != nil {
		e, s = e.parent, e.parent.session.Load()
		hash = s.Token
	}
	if !r.unseen(f.now, s) {
		return f.session
	}
	next := *s
	next.Seen, next.IdleEnd = f.now, earlier(f.now.Add(r.idle), next.End)
	r.cache.note(hash, e, s, &next)
	if e != f.entry {
		return f.session
	}
	return &next
}

// PeekSession is Session for a visit that is no sign of life: a script that asks whether the session goes on must not be what
// makes it go on (S55).
func (r *Realm) PeekSession(ctx context.Context, host, cookie string) (*Session, *User, error) {
	f, err := r.find(ctx, host, cookie)
	if err != nil {
		return nil, nil, err
	}
	s := f.session
	if f.entry.parent != nil {
		shown := *s
		clock := f.entry.clock()
		shown.Seen, shown.IdleEnd = clock.Seen, clock.IdleEnd
		s = &shown
	}
	return s, f.entry.user, nil
}

// clock is the session that says when this one was seen, and when it is idle: itself, or the parent.
func (e *entry) clock() *Session {
	if e.parent != nil {
		e = e.parent
	}
	return e.session.Load()
}

// found is a session that counts at the moment now.
type found struct {
	now     time.Time
	hash    string
	entry   *entry
	session *Session
}

// unseen reports whether it is time to note that a session was seen.
func (r *Realm) unseen(now time.Time, s *Session) bool {
	return now.Sub(s.Seen) >= min(seenEvery, r.idle/10)
}

func (r *Realm) find(ctx context.Context, host, cookie string) (found, error) {
	if cookie == "" {
		return found{}, ErrNoSession
	}
	gen, now := r.cache.gen.Load(), r.now()
	p := r.cache.front.get(gen, cookie)
	// Once in a while the front is passed by: to be noted, a session must still be in the cache behind it, which forgets first what
	// it was not asked about.
	if p == nil || r.unseen(now, p.entry.clock()) {
		hash, e, err := r.lookUp(ctx, gen, cookie)
		if err != nil {
			return found{}, err
		}
		p, now = &fronted{gen, cookie, hash, e}, r.now()
	}
	e, s := p.entry, p.entry.session.Load()
	if s.Host != host || !r.stands(now, e, s) {
		return found{}, ErrNoSession
	}
	return found{now, p.hash, e, s}, nil
}

// stands reports whether e, with s in it, counts where it was found: by itself, and its parent, which it has where sessions are handed
// over and nowhere else.
func (r *Realm) stands(now time.Time, e *entry, s *Session) bool {
	if !r.counts(now, e.user, s) || !r.belongs(s) {
		return false
	}
	if e.parent == nil {
		return true
	}
	parent := e.parent.session.Load()
	return r.counts(now, e.user, parent) && r.portal != nil && parent.Host == r.portal.Host
}

// belongs reports whether a session is of the sort that this configuration opens on its host.
func (r *Realm) belongs(s *Session) bool { return (s.Parent != "") == r.away(s.Host) }

// counts is live, and holds a session to limits that became stricter since it began. Its parent is looked at besides.
func (r *Realm) counts(now time.Time, u *User, s *Session) bool {
	return live(now, u, s) && now.Sub(s.Created) < r.lifetime && (s.Parent != "" || now.Sub(s.Seen) < r.idle)
}

// lookUp finds the session of a cookie in the cache, or else in the store.
func (r *Realm) lookUp(ctx context.Context, gen uint64, cookie string) (hash string, e *entry, err error) {
	hash, ok := r.cache.cookie(cookie)
	if !ok {
		token := r.openCookie(CookieSession, cookie)
		if token == "" {
			return "", nil, ErrNoSession
		}
		hash = hashToken(token)
	}
	if e = r.cache.get(hash); e == nil {
		if e, err = r.loadSession(ctx, gen, hash); err != nil {
			return "", nil, err
		}
	}
	if !ok {
		r.cache.addCookie(gen, cookie, hash) // only for a session that exists: the rest would push these out
	}
	r.cache.front.put(gen, cookie, hash, e)
	return hash, e, nil
}

func (s *State) loadSession(ctx context.Context, gen uint64, hash string) (*entry, error) {
	e := new(entry)
	err := s.store.View(ctx, func(tx storage.Tx) error {
		cur := new(Session)
		if err := getJSON(tx, keySession(hash), cur); err != nil {
			return err
		}
		u, err := getUser(tx, cur.UserID)
		if err != nil {
			return err
		}
		if u == nil {
			return storage.ErrNotFound
		}
		cur.asserted = new(atomic.Pointer[asserted])
		e.session.Store(cur)
		e.user, e.parent = u, nil
		if cur.Parent == "" {
			return nil
		}
		parent, err := sessionByID(tx, cur.UserID, cur.Parent)
		if err != nil {
			return err
		}
		e.parent = &entry{user: u}
		e.parent.session.Store(parent)
		return nil
	})
	if errors.Is(err, storage.ErrNotFound) {
		return nil, ErrNoSession
	}
	if err != nil {
		return nil, err
	}
	s.cache.add(gen, hash, e)
	return e, nil
}

// flushSeen writes when sessions were last seen, as read-then-put: a session that was ended meanwhile stays absent.
func (s *State) flushSeen(ctx context.Context) error {
	seen := s.cache.takeSeen()
	var errs []error
	for batch := range slices.Chunk(slices.Collect(maps.Keys(seen)), 100) {
		err := s.store.Update(ctx, func(tx storage.Tx) error {
			for _, hash := range batch {
				if strings.HasPrefix(hash, keyAccessTokens) || strings.HasPrefix(hash, keyGuestLinks) {
					if err := noteUsed(tx, hash, seen[hash].Seen); err != nil {
						return err
					}
					continue
				}
				var cur Session
				err := getJSON(tx, keySession(hash), &cur)
				if errors.Is(err, storage.ErrNotFound) {
					continue
				}
				if err != nil {
					return err
				}
				if !seen[hash].Seen.After(cur.Seen) {
					continue
				}
				cur.Seen, cur.IdleEnd = seen[hash].Seen, seen[hash].IdleEnd
				if err := putJSON(tx, keySession(hash), cur, cur.End); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			s.cache.putBack(batch, seen)
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// SignOut ends the session and the flow that the visitor's cookies name, and on a host that it was handed over to, all of it. The outcome
// removes the cookies even where there was nothing to end.
func (r *Realm) SignOut(ctx context.Context, v Visit) (Outcome, error) {
	out := Outcome{Step: StepStart, RecoveryLeft: -1, Cookies: []Cookie{{Name: CookieSession}, {Name: CookieFlow}}}
	token, flow := r.openCookie(CookieSession, v.Session), r.openCookie(CookieFlow, v.Flow)
	if token == "" && flow == "" {
		out.NoneEnded = true
		return out, nil
	}
	var ended *Session
	err := r.store.Update(ctx, func(tx storage.Tx) error {
		ended = nil
		if err := r.endFlow(tx, v); err != nil {
			return err
		}
		if token == "" {
			return nil
		}
		s := new(Session)
		err := getJSON(tx, keySession(hashToken(token)), s)
		if errors.Is(err, storage.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		of, err := root(tx, s)
		if err != nil {
			return err
		}
		if ended, err = deleteSession(tx, of.Token); err != nil {
			return err
		}
		if _, err := dropSession(tx, s.Token); err != nil { // its parent may know of another one by now
			return err
		}
		return r.audit(tx, Event{Name: EventSignOut, UserID: ended.UserID, Session: ended.ID, Addr: v.Addr.String()})
	})
	if token != "" {
		r.cache.invalidateSession(hashToken(token))
	}
	if err != nil {
		return Outcome{RecoveryLeft: -1}, err
	}
	if out.NoneEnded = ended == nil; ended != nil {
		r.cache.invalidateSession(ended.Token)
		r.log.Info("signed out", "user", ended.UserID, "session", ended.ID, "client", v.Addr)
	}
	return out, nil
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
