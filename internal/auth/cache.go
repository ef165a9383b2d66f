package auth

import (
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// cacheSize bounds the sessions and the cookies that are kept in memory. A session that fell out is read from the store again.
const cacheSize = 1 << 16

// entry is a cached session. The session is replaced, never changed, so that a reader may keep what it got.
type entry struct {
	session atomic.Pointer[Session]
	user    *User
	parent  *entry // of a session that was handed over: it counts only while the parent does. Else nil
}

// cache keeps sessions by the hash of their token, and the hashes by the exact cookie that named them: a cookie that was verified
// once need not be verified again. A cookie's entry outlives neither its signing key (forgetCookies) nor its session, whose end
// comes before the cookie's own.
type cache struct {
	gen   atomic.Uint64 // counts invalidations
	front front
	ended chan struct{} // holds something when sessions may have ended since it was read last

	mu       sync.Mutex
	sessions *simplelru.LRU[string, *entry]
	byUser   map[string]map[string]struct{}
	seen     map[string]*Session // what is to be noted in the store, by token hash

	cookieMu sync.Mutex
	cookies  *simplelru.LRU[string, string]
}

func newCache() *cache {
	c := &cache{byUser: map[string]map[string]struct{}{}, seen: map[string]*Session{}, ended: make(chan struct{}, 1)}
	c.front.seed = maphash.MakeSeed()
	c.sessions, _ = simplelru.NewLRU(cacheSize, c.evicted) // fails for a size of 0 only
	c.cookies, _ = simplelru.NewLRU[string, string](cacheSize, nil)
	return c
}

func (c *cache) evicted(hash string, e *entry) {
	user := e.user.ID
	delete(c.byUser[user], hash)
	if len(c.byUser[user]) == 0 {
		delete(c.byUser, user)
	}
}

func (c *cache) cookie(value string) (hash string, ok bool) {
	c.cookieMu.Lock()
	defer c.cookieMu.Unlock()
	return c.cookies.Get(value)
}

// addCookie drops the cookie if anything was invalidated since gen: the key that verified it may be gone.
func (c *cache) addCookie(gen uint64, value, hash string) {
	c.cookieMu.Lock()
	defer c.cookieMu.Unlock()
	if c.gen.Load() == gen {
		c.cookies.Add(strings.Clone(value), hash) // value is a part of the request's header
	}
}

func (c *cache) forgetCookies() {
	c.cookieMu.Lock()
	defer c.cookieMu.Unlock()
	c.gen.Add(1)
	c.cookies.Purge()
}

// get returns the cached session, nil if there is none. One that was handed over is of use only together with its parent: whatever
// invalidates that is found here, and what is noted of it is noted in the entry that counts.
func (c *cache) get(hash string) *entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, _ := c.sessions.Get(hash)
	if e == nil || e.parent == nil {
		return e
	}
	if parent, _ := c.sessions.Get(e.parent.session.Load().Token); parent != e.parent {
		c.sessions.Remove(hash)
		return nil
	}
	return e
}

// add drops the entry if anything was invalidated since gen, which was read before the store: what was read may be older than that.
func (c *cache) add(gen uint64, hash string, e *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gen.Load() != gen {
		return
	}
	if p := e.parent; p != nil {
		token := p.session.Load().Token
		if cur, ok := c.sessions.Peek(token); ok {
			e.parent = cur
		} else {
			c.put(token, p)
		}
	}
	c.put(hash, e)
}

func (c *cache) put(hash string, e *entry) {
	if s, ok := c.seen[hash]; ok && s.Seen.After(e.session.Load().Seen) {
		e.session.Store(s) // seen since it was last noted in the store
	}
	c.sessions.Add(hash, e)
	if c.byUser[e.user.ID] == nil {
		c.byUser[e.user.ID] = map[string]struct{}{}
	}
	c.byUser[e.user.ID][hash] = struct{}{}
}

// invalidateUser makes the next request of each of the user's sessions read the store, and so do the streams.
func (c *cache) invalidateUser(user string) {
	defer c.tell()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gen.Add(1)
	for hash := range c.byUser[user] {
		c.sessions.Remove(hash)
	}
}

// invalidateSession makes the session's next request read the store, and so do its streams, and those that were handed over from it.
func (c *cache) invalidateSession(hash string) {
	defer c.tell()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gen.Add(1)
	c.sessions.Remove(hash)
	delete(c.seen, hash)
}

// tell has the streams looked at.
func (c *cache) tell() {
	select {
	case c.ended <- struct{}{}:
	default: // it is said already
	}
}

// note replaces a session by one that was seen later, and remembers to write that.
func (c *cache) note(hash string, e *entry, old, next *Session) {
	if !e.session.CompareAndSwap(old, next) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if cur, ok := c.sessions.Peek(hash); ok && cur == e {
		c.seen[hash] = next
	}
}

// seenAt is when a session was last seen, as far as that waits to be written; else zero.
func (c *cache) seenAt(hash string) (at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.seen[hash]; s != nil {
		at = s.Seen
	}
	return at
}

// putBack remembers again what could not be written, unless something newer came.
func (c *cache) putBack(hashes []string, seen map[string]*Session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, hash := range hashes {
		if _, ok := c.seen[hash]; !ok && len(c.seen) < 2*cacheSize {
			c.seen[hash] = seen[hash]
		}
	}
}

// takeSeen returns what is to be written, and forgets it.
func (c *cache) takeSeen() map[string]*Session {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen := c.seen
	c.seen = map[string]*Session{}
	return seen
}
