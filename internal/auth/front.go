package auth

import (
	"hash/maphash"
	"strings"
	"sync/atomic"
)

// frontSize is how many cookies the front keeps at most.
const frontSize = 1 << 12

// front stands before the cache, and answers without a lock for the cookies that were asked about lately. What it holds was true at
// one generation of the cache and counts at that one alone: whatever is invalidated empties it at once. A cookie has one place, and
// takes it from another that had it.
type front struct {
	seed   maphash.Seed
	places [frontSize]atomic.Pointer[fronted]
}

// fronted is what a cookie led to at a generation. It never changes.
type fronted struct {
	gen    uint64
	cookie string
	hash   string
	entry  *entry
}

func (f *front) place(cookie string) *atomic.Pointer[fronted] {
	return &f.places[maphash.String(f.seed, cookie)%frontSize]
}

// get returns nil if the front does not know.
func (f *front) get(gen uint64, cookie string) *fronted {
	if p := f.place(cookie).Load(); p != nil && p.gen == gen && p.cookie == cookie {
		return p
	}
	return nil
}

// put takes a generation that was read before what it notes was looked up.
func (f *front) put(gen uint64, cookie, hash string, e *entry) {
	// The cookie is a part of the request's header, which must not stay in memory with it.
	f.place(cookie).Store(&fronted{gen, strings.Clone(cookie), hash, e})
}
