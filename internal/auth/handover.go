package auth

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-mfa/caddy-mfa/storage"
)

// One portal for several hosts. People sign in on its host, and each other host gets a session of its own, under a cookie of its own:
//
//	gate of app.example.com   says where somebody wants to go, sealed, and bound to a cookie of that browser there (Target)
//	portal auth.example.com   somebody signs in, or has done so; a code is made (HandOver)
//	gate of app.example.com   takes the code, once, from that very browser, and opens the session (TakeOver)
//
// Whoever brings somebody else to the portal with a target of their own gets nothing: the code counts in their browser alone, and goes to
// the other. Such a session counts only while that of the portal does, its parent.

const (
	targetLife   = 30 * time.Minute // after which a code is made no more, and its gate is asked anew
	targetKept   = 24 * time.Hour   // after which we do not know it any more
	handoverLife = time.Minute

	// handoverLimit bounds the codes of one session in handoverWindow: more than tabs that a browser opens at once.
	handoverLimit  = 60
	handoverWindow = time.Minute

	// maxTarget bounds what is opened, in bytes: a path of 8 KiB, encoded twice.
	maxTarget = 20 << 10
	// maxHanded bounds the hosts that one session is handed over to at a time: with a wildcard there is no end of names.
	maxHanded = 100
)

// targetName is the name under which targets are sealed: no cookie has it.
const targetName = "target"

// Portal is the one host on which people sign in for others.
type Portal struct {
	Host  string                 // as Visit.Host has it
	Lists func(host string) bool // whether a host gets sessions from it; false for Host itself
	// Names reports whether such a host is listed by its own name. A wildcard also stands for names that lead to somebody else, so for what
	// it alone lists the person is asked first. nil: no host is.
	Names func(host string) bool
}

// away reports whether sessions of a host are handed over to it.
func (r *Realm) away(host string) bool { return r.portal != nil && host != r.portal.Host }

// Target is where somebody wants to go on another host than the portal's.
type Target struct {
	Origin string // of that host
	Host   string
	Path   string // with query, as its gate got it; begins with a slash
	nonce  string // hash of the token in CookieFlow of that browser on that host
	at     time.Time
}

// SealTarget says where the visitor of a gated host wants to go, in a form that the portal takes. The cookies must be set along with it. They
// are new each time: what the browser has may be known to somebody who put it there, or come from another host.
func (r *Realm) SealTarget(v Visit, path string) (to string, cookies []Cookie, err error) {
	token := newToken()
	value, err := r.sealCookie(CookieFlow, token)
	if err != nil {
		return "", nil, err
	}
	cookies = []Cookie{{Name: CookieFlow, Value: value}}
	fields := []string{v.Origin, v.Host, hashToken(token), strconv.FormatInt(r.now().Unix(), 10), path}
	to, err = r.keys.Load().targets[0].Encode(targetName, []byte(strings.Join(fields, "\n")))
	if err != nil {
		err = fmt.Errorf("sealing a target: %w", err)
	}
	return to, cookies, err
}

// OpenTarget returns the target that a gate sealed, also one that is old. It reports false for anything else, and where the host is none
// of the portal's any more (S65).
func (r *Realm) OpenTarget(to string) (t Target, ok bool) {
	if r.portal == nil || to == "" || to[0] == '/' || len(to) > maxTarget {
		return t, false
	}
	var b []byte
	for _, c := range r.keys.Load().targets {
		if c.Decode(targetName, to, &b) == nil {
			break
		}
		b = nil
	}
	fields := strings.Split(string(b), "\n")
	if len(fields) != 5 || !r.portal.Lists(fields[1]) {
		return t, false
	}
	t = Target{Origin: fields[0], Host: fields[1], Path: fields[4], nonce: fields[2]}
	at, err := strconv.ParseInt(fields[3], 10, 64)
	t.at = time.Unix(at, 0)
	return t, err == nil && t.sound()
}

// sound reports whether the origin is that of the host, and nothing beyond it: people are led there, with a code.
func (t *Target) sound() bool {
	u, err := url.Parse(t.Origin)
	return err == nil && t.Origin == u.Scheme+"://"+u.Host && u.Hostname() == t.Host && strings.HasPrefix(t.Path, "/")
}

// handover is the record of a code.
type handover struct {
	UserID  string `json:"user"`
	Session string `json:"session"` // ID of the portal's
	Host    string `json:"host"`    // where it counts
	Nonce   string `json:"nonce"`   // of the browser, as in Target
	Path    string `json:"path"`
}

// HandOver makes the code with which the host of a target opens a session out of the visitor's, which is of the portal. It is "" where the
// target is too old: its gate must be asked again. ErrToken: the target is none of ours. ErrUnconfirmed: the person has to confirm first that
// they go on to that host; confirmed says that they just did, which counts for the whole session. *Throttled: there were too many codes.
func (r *Realm) HandOver(ctx context.Context, v Visit, to string, confirmed bool) (code string, t Target, err error) {
	t, ok := r.OpenTarget(to)
	if !ok {
		return "", t, ErrToken
	}
	now := r.now()
	old := now.Sub(t.at) >= targetLife
	if old && !confirmed {
		return "", t, nil
	}
	code = newTravelToken()
	err = r.store.Update(ctx, func(tx storage.Tx) error {
		s, u, err := r.liveSession(tx, v)
		if err != nil {
			return err
		}
		if !r.expects(s, t.Host) {
			if !confirmed {
				return ErrUnconfirmed
			}
			s.Confirmed = append(s.Confirmed[max(0, len(s.Confirmed)-maxHanded+1):], t.Host)
			if err := putJSON(tx, keySession(s.Token), s, s.End); err != nil {
				return err
			}
		}
		if old {
			return nil
		}
		wait, err := countUp(tx, now, keyThrottle(u.ID)+"handover/"+s.ID, 1, handoverLimit, handoverWindow)
		if err != nil {
			return err
		}
		if wait > 0 {
			return &Throttled{RetryAfter: wait, Visits: true}
		}
		h := handover{UserID: u.ID, Session: s.ID, Host: t.Host, Nonce: t.nonce, Path: t.Path}
		return putJSON(tx, keyHandover(code), h, now.Add(handoverLife))
	})
	if err != nil || old {
		return "", t, err
	}
	return code, t, nil
}

// expects reports whether a session may be handed over to a host without asking the person.
func (r *Realm) expects(s *Session, host string) bool {
	return r.portal.Names != nil && r.portal.Names(host) || s.Handed[host] != "" || slices.Contains(s.Confirmed, host)
}

// TakeOver takes the code that a browser brought to the host that it was made for, and opens a session there. path is where the visitor
// wanted to go. Without cookies it opened none: another browser began, or the portal's session has ended meanwhile, and the gate has to be
// asked anew. ErrToken: the code was used, has expired, or never was for this host. Any code that comes here is used up (S89).
func (r *Realm) TakeOver(ctx context.Context, v Visit, code string) (path string, cookies []Cookie, err error) {
	if !r.away(v.Host) || !r.portal.Lists(v.Host) || code == "" {
		return "", nil, ErrToken
	}
	token, fresh, flow := newToken(), newID(), r.flowToken(v)
	var child *Session
	var before, refused string
	known := false
	err = r.store.Update(ctx, func(tx storage.Tx) error {
		child, before, refused, known = nil, "", "", false
		var h handover
		err := getJSON(tx, keyHandover(code), &h)
		if errors.Is(err, storage.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := tx.Delete(keyHandover(code)); err != nil {
			return err
		}
		if h.Host != v.Host {
			refused = "another host"
			return nil
		}
		known, path = true, h.Path
		if flow == "" || h.Nonce != hashToken(flow) {
			refused = "another browser"
			return nil
		}
		child, before, err = r.openChild(tx, v, h, hashToken(token), fresh)
		return err
	})
	if before != "" {
		r.cache.invalidateSession(before)
	}
	if old := r.openCookie(CookieSession, v.Session); old != "" && child != nil {
		r.cache.invalidateSession(hashToken(old))
	}
	if refused != "" {
		r.log.Warn("a session was not handed over: the code was made for "+refused, "host", v.Host, "client", v.Addr)
	}
	switch {
	case err != nil:
		return "", nil, err
	case !known:
		return "", nil, ErrToken
	case child == nil:
		return path, nil, nil
	}
	value, err := r.sealCookie(CookieSession, token)
	if err != nil {
		return "", nil, err
	}
	r.log.Info("handed over", "user", child.UserID, "session", child.Parent, "host", v.Host, "client", v.Addr)
	return path, []Cookie{{Name: CookieSession, Value: value, MaxAge: child.End.Sub(child.Created)}}, nil
}

// openChild writes the session of a host that a code is for. One that the parent has there already gets the new token and the parent's
// proofs; before is the hash of its old token (S52). It returns nil where the parent does not count any more.
func (r *Realm) openChild(tx storage.Tx, v Visit, h handover, token, fresh string) (c *Session, before string, err error) {
	s, err := sessionByID(tx, h.UserID, h.Session)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", err
	}
	u, err := getUser(tx, h.UserID)
	if err != nil {
		return nil, "", err
	}
	now := r.now()
	if cached := r.cache.get(s.Token); cached != nil {
		s.Seen, s.IdleEnd = cached.session.Load().Seen, cached.session.Load().IdleEnd // later than was noted
	}
	if s.Parent != "" || r.away(s.Host) || !r.counts(now, u, s) {
		return nil, "", nil
	}
	if err := r.dropHere(tx, v); err != nil {
		return nil, "", err
	}
	id := s.Handed[v.Host]
	if id != "" {
		switch old, err := sessionByID(tx, u.ID, id); {
		case err == nil:
			before = old.Token
			if _, err := dropSession(tx, before); err != nil {
				return nil, "", err
			}
		case !errors.Is(err, storage.ErrNotFound):
			return nil, "", err
		}
	} else {
		id = fresh
		if err := r.noteHanded(tx, s, v.Host, id); err != nil {
			return nil, "", err
		}
	}
	browser, system := Describe(v.UserAgent)
	c = &Session{
		ID: id, Token: token, UserID: u.ID, Epoch: s.Epoch, Host: v.Host, Parent: s.ID, Proofs: s.Proofs,
		Created: now, Seen: now, End: s.End, IdleEnd: s.End, // the parent has the clock
		Addr: v.Addr.String(), Browser: browser, OS: system,
	}
	if err := putJSON(tx, keySession(token), c, c.End); err != nil {
		return nil, "", err
	}
	if err := tx.Put(keyUserSessions(u.ID)+id, []byte(token), c.End); err != nil {
		return nil, "", err
	}
	if id != fresh { // noted when it was handed over first
		return c, before, nil
	}
	return c, before, r.audit(tx, Event{Name: EventHandedOver, UserID: u.ID, User: u.Name, Session: s.ID, Host: v.Host, Addr: c.Addr})
}

// dropHere removes the session that the browser had on this host, whoever's it was.
func (r *Realm) dropHere(tx storage.Tx, v Visit) error {
	old := r.openCookie(CookieSession, v.Session)
	if old == "" {
		return nil
	}
	var s Session
	err := getJSON(tx, keySession(hashToken(old)), &s)
	if errors.Is(err, storage.ErrNotFound) || err == nil && s.Host != v.Host {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = dropSession(tx, s.Token)
	return err
}

// noteHanded writes into a session that another one came of it. Where there are too many, one of those before ends.
func (r *Realm) noteHanded(tx storage.Tx, s *Session, host, id string) error {
	handed := map[string]string{host: id}
	for _, h := range slices.Sorted(maps.Keys(s.Handed)) {
		if len(handed) < maxHanded {
			handed[h] = s.Handed[h]
			continue
		}
		c, err := sessionByID(tx, s.UserID, s.Handed[h])
		if errors.Is(err, storage.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if _, err := dropSession(tx, c.Token); err != nil {
			return err
		}
	}
	s.Handed = handed
	return putJSON(tx, keySession(s.Token), s, s.End)
}
