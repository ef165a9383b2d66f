package auth

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"sort"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/caddy-mfa/caddy-mfa/storage"
)

// Bounds of guest links.
const (
	MaxGuestLinks = 50 // of one person
	MinGuestTime  = time.Minute
	MaxGuestTime  = 30 * 24 * time.Hour // no longer than a cookie is taken

	maxGuestOpens = 200 // that are audited, of one link
	maxGuestPath  = 512
)

// Guest is what a guest link has beyond the limits that every bearer has: one page, under exactly the query that it was made with, beside
// the paths of TokenLimits, which are open under every query.
//
// A guest link stands for the user who made it as an access token does, but the app learns of a guest. Whoever has the link opens it with
// one press, after a code by mail if it names an address, and gets a cookie that names the link and nothing else. So opening a link stores
// nothing, however often that is done.
type Guest struct {
	Path  string `json:"path"` // decoded
	Query string `json:"query,omitempty"`
	Frag  string `json:"fragment,omitempty"` // encoded; for the browser alone
	Email string `json:"email,omitempty"`    // a code goes there before the link opens; "": none is asked for
	Opens int    `json:"opens,omitempty"`
	Wrong int    `json:"wrong,omitempty"` // codes in a row, over the whole life of the link

	Notes counter `json:"notes,omitzero"` // events of guests that the maker is shown, in a time

	Left []string `json:"left,omitempty"` // openings whose guests have left, at most maxGuestLeft

	user *User // what the app learns; set when the record is read
}

// NewGuestLink is what somebody asks for. Limits.Paths are what the link opens beside its page; HTTP methods are chosen here.
type NewGuestLink struct {
	Maker, Label string
	Host         string
	Guest
	Also []string
	For  time.Duration
}

// GuestLink is a link with the name of who made it.
type GuestLink struct {
	AccessToken
	Maker string
}

// To is where a link leads, on its host.
func (g *Guest) To() string {
	u := url.URL{Path: g.Path, RawQuery: g.Query}
	if g.Frag != "" {
		return u.RequestURI() + "#" + g.Frag
	}
	return u.RequestURI()
}

// cover reports whether a request is within the limits. Each reading of its path must be: within the same ones.
func (g *Guest) cover(l *TokenLimits, at Place) bool {
	if !slices.Contains(l.Hosts, at.Host) || !slices.Contains(l.Methods, at.Method) || len(at.Paths) == 0 {
		return false
	}
	if at.Query == g.Query && at.Paths[0] == g.Path && PlainlySent(g.Path, at.Paths[len(at.Paths)-1]) {
		return true
	}
	return !slices.ContainsFunc(at.Paths, func(path string) bool { return !l.coverPath(path) })
}

// PlainlySent reports whether a path is sent as everybody writes it: as it is, or encoded where it must be. Browsers leave some characters as they
// are that net/url encodes, such as brackets.
func PlainlySent(path, sent string) bool {
	return sent == path || sent == (&url.URL{Path: path}).EscapedPath()
}

// GuestUser is whom the app learns of: nobody's account. A name of one holds no colon. The address that a code went to is left out: an app
// that knows people by their address would take the guest for one of them, for a single proof.
func (t *AccessToken) GuestUser() *User {
	name := "guest:" + t.ID
	u := &User{ID: name, Name: name, DisplayName: t.Label}
	if u.DisplayName == "" {
		u.DisplayName = "Guest"
	}
	return u
}

// User is what GuestUser made when the record was read.
func (g *Guest) User() *User { return g.user }

// clean returns what is stored of n, or an *Invalid.
func (n NewGuestLink) clean() (limits TokenLimits, g Guest, err error) {
	g = Guest{Path: n.Path, Query: n.Query, Frag: n.Frag}
	if g.Path == "" {
		g.Path = "/"
	}
	limits = TokenLimits{Hosts: []string{strings.ToLower(n.Host)}, Methods: []string{"GET", "HEAD"}}
	switch {
	case n.For < MinGuestTime || n.For > MaxGuestTime:
		return limits, g, NewInvalid("for", "", "A link works for one minute to 30 days.")
	case !plainHost(limits.Hosts[0]):
		return limits, g, NewInvalid("url", "", "The link has no host name, such as wiki.example.com.")
	case !guestPath(g.Path) || len(n.Query)+len(n.Frag) > maxGuestPath:
		return limits, g, NewInvalid("url", "", "The path of the link can be read in more than one way, or is too long: {{.Count}} bytes at most.", maxGuestPath)
	case strings.ContainsFunc(n.Query+n.Frag, unsent):
		return limits, g, NewInvalid("url", "", "The query of the link holds a character that browsers do not send. Copy the address from a browser.")
	case len(n.Also) > maxTokenPaths:
		return limits, g, NewInvalid("also", "", "Name at most {{.Count}} further paths.", maxTokenPaths)
	}
	for _, path := range n.Also {
		if !plainPath(path) {
			return limits, g, NewInvalid("also", "", "“{{.Path}}” is no path, such as /style.css, or /assets/* for all below /assets/. Write it as it is sent.", path)
		}
		if path == "/*" {
			return limits, g, NewInvalid("also", "", "/* would open the whole site. Name what the page needs.")
		}
		limits.Paths = appendNew(limits.Paths, path)
	}
	if n.Email != "" {
		if _, err := FoldEmail(n.Email); err != nil {
			return limits, g, err
		}
		g.Email = strings.TrimSpace(n.Email)
	}
	return limits, g, nil
}

// guestPath takes decoded paths that every reader reads alike.
func guestPath(path string) bool {
	if path == "" || path[0] != '/' || len(path) > maxGuestPath || !utf8.ValidString(path) || strings.ContainsAny(path, "\\%;?#") || strings.ContainsFunc(path, unprintable) {
		return false
	}
	segments := strings.Split(path[1:], "/")
	for i, s := range segments {
		if s == "" && i < len(segments)-1 || s == "." || s == ".." {
			return false
		}
	}
	return true
}

// unsent reports whether a character cannot stand in a query as it is sent.
func unsent(c rune) bool { return c <= ' ' || c >= 0x7f || c == '#' }

// MakeGuestLink makes a link. The token is told once and stored nowhere. ErrUnknownUser, or an *Invalid that says what is wrong.
func (r *Realm) MakeGuestLink(ctx context.Context, n NewGuestLink) (token string, link GuestLink, err error) {
	limits, guest, err := n.clean()
	if err != nil {
		return "", link, err
	}
	if guest.Email != "" && r.mail == nil {
		return "", link, NewInvalid("email", "", "No mail is sent here, so no code can be. Leave out the address, or set the option smtp.")
	}
	label, err := cleanLabel(n.Label)
	if err != nil {
		return "", link, err
	}
	event := Event{Name: EventLinkMade, Label: label}
	token = newTravelToken()
	_, err = r.changeAs(ctx, n.Maker, &event, func(tx storage.Tx, u *User) error {
		if u.Disabled {
			return NewInvalid("user", "", "This user is disabled.")
		}
		of := guestLinksOf(u.ID)
		live, dead, err := r.accessTokens(tx, u, of)
		if err != nil {
			return err
		}
		if len(live) >= MaxGuestLinks {
			return NewInvalid("user", "", "This user has {{.Count}} guest links. Revoke one first.", len(live))
		}
		for _, key := range dead {
			if err := tx.Delete(key); err != nil {
				return err
			}
		}
		now, g := r.now(), guest
		t := AccessToken{ID: newID(), UserID: u.ID, Epoch: u.Epoch, Label: label, TokenLimits: limits, Created: now, Expires: now.Add(n.For), Guest: &g}
		link = GuestLink{t, u.Name}
		event.Host = limits.Hosts[0]
		if err := putJSON(tx, of.records+hashToken(token), t, t.Expires); err != nil {
			return err
		}
		if err := tx.Put(of.list+t.ID, []byte(hashToken(token)), t.Expires); err != nil {
			return err
		}
		return putUser(tx, u) // it was read by its key: of two that are made at once, one waits, and is counted
	})
	return token, link, err
}

// GuestLinks returns the links that count of the user called name, or of everybody for "", the newest first.
func (r *Realm) GuestLinks(ctx context.Context, name string) (out []GuestLink, err error) {
	err = r.store.View(ctx, func(tx storage.Tx) error {
		out = nil
		var users []string
		if name != "" {
			u, err := byName(tx, name)
			if err != nil {
				return err
			}
			users = []string{u.ID}
		} else if users, err = guestMakers(tx); err != nil {
			return err
		}
		for _, id := range users {
			u, err := getUser(tx, id)
			if err != nil {
				return err
			}
			if u == nil {
				continue
			}
			live, _, err := r.accessTokens(tx, u, guestLinksOf(id))
			if err != nil {
				return err
			}
			for _, t := range live {
				out = append(out, GuestLink{t, u.Name})
			}
		}
		return nil
	})
	sort.Slice(out, func(i, j int) bool { return out[j].Created.Before(out[i].Created) })
	return out, err
}

// guestMakers are the IDs of the users who made links.
func guestMakers(tx storage.Tx) (users []string, err error) {
	const lists = "user-guest-link/"
	for e, err := range tx.Scan(lists, "") {
		if err != nil {
			return nil, err
		}
		id, _, _ := strings.Cut(strings.TrimPrefix(e.Key, lists), "/")
		if len(users) == 0 || users[len(users)-1] != id {
			users = append(users, id)
		}
	}
	return users, nil
}

// RevokeGuestLink ends a link, whoever made it, and returns what it was. An unknown id is an *Invalid.
func (r *Realm) RevokeGuestLink(ctx context.Context, id string) (link GuestLink, err error) {
	maker := ""
	err = r.store.Update(ctx, func(tx storage.Tx) error {
		link, maker = GuestLink{}, ""
		users, err := guestMakers(tx)
		if err != nil {
			return err
		}
		for _, user := range users {
			maker = user
			t, err := revokeToken(tx, guestLinksOf(user), id)
			if errors.Is(err, ErrNoCredential) {
				continue
			}
			if err != nil {
				return err
			}
			u, err := getUser(tx, user)
			if err != nil {
				return err
			}
			if u == nil {
				u = &User{ID: user}
			}
			link = GuestLink{t, u.Name}
			return r.audit(tx, Event{Name: EventLinkRevoked, UserID: u.ID, User: u.Name, Actor: "command", Label: t.Label})
		}
		return NewInvalid("id", "", "There is no such guest link.")
	})
	if maker != "" { // also after an error: nobody knows what of it the store has kept
		r.cache.invalidateUser(maker)
	}
	return link, err
}

// Guest returns what stands for the link that a guest's cookie names, and the user who made it, and notes that it was used. ErrNoSession:
// none that counts. Any other error is a fault of the store, and the request must not pass. What it returns is shared and must not be
// changed; DecideToken takes it. A cookie that we did not make leads to no look into the store.
func (r *Realm) Guest(ctx context.Context, cookie string) (*Session, *User, error) {
	return r.openedGuest(ctx, cookie, true)
}

// PeekGuest is Guest for pages about the link, which are no use of it.
func (r *Realm) PeekGuest(ctx context.Context, cookie string) (*Session, *User, error) {
	return r.openedGuest(ctx, cookie, false)
}

func (r *Realm) openedGuest(ctx context.Context, cookie string, use bool) (*Session, *User, error) {
	key, opening := r.readGuestCookie(cookie)
	if key == "" {
		return nil, nil, ErrNoSession
	}
	s, u, err := r.guest(ctx, key, opening, use)
	if err != nil {
		return nil, nil, err
	}
	own := *s
	own.opening = opening
	return &own, u, nil
}

// guest is the link with a key, for one of those who opened it; "" is nobody who could have left.
func (r *Realm) guest(ctx context.Context, key, opening string, use bool) (*Session, *User, error) {
	gen, e := r.cache.gen.Load(), r.cache.get(key)
	if e == nil {
		var err error
		if e, err = r.loadAccessToken(ctx, gen, key); err != nil {
			return nil, nil, err
		}
	}
	now, s := r.now(), e.session.Load()
	if !liveToken(now, e.user, s) || s.Access.Guest == nil || s.Access.Guest.hasLeft(opening) {
		return nil, nil, ErrNoSession
	}
	if use {
		s = r.see(found{now, key, e, s})
	}
	return s, e.user, nil
}

// GuestLink returns the link of a token, as its page shows it. ErrToken: there is none that counts on the visitor's host. *Throttled: too
// many that do not came from the address.
func (r *Realm) GuestLink(ctx context.Context, v Visit, token string) (*AccessToken, error) {
	if err := r.tokenAddresses.check(r.now(), v.Addr); err != nil {
		return nil, err
	}
	s, _, err := r.guestOf(ctx, v.Host, token)
	if errors.Is(err, ErrToken) {
		_, _ = r.tokenAddresses.take(r.now(), v.Addr) // the next one is told
	}
	if err != nil {
		return nil, err
	}
	return s.Access, nil
}

func (r *Realm) guestOf(ctx context.Context, host, token string) (*Session, *User, error) {
	if len(token) != len(newTravelToken()) {
		return nil, nil, ErrToken
	}
	s, u, err := r.guest(ctx, keyGuestLinks+hashToken(token), "", false)
	if errors.Is(err, ErrNoSession) || err == nil && !slices.Contains(s.Access.Hosts, host) {
		return nil, nil, ErrToken
	}
	return s, u, err
}
