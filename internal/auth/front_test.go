package auth

import (
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/caddy-mfa/caddy-mfa/storage"
	"github.com/caddy-mfa/caddy-mfa/storage/badgerstore"
)

func TestFrontKnowsOneGeneration(t *testing.T) {
	session := &Session{ID: "s", UserID: "u"}
	for _, row := range []struct {
		name   string
		change func(c *cache)
	}{
		{"nothing", nil},
		{"the user", func(c *cache) { c.invalidateUser("u") }},
		{"somebody else", func(c *cache) { c.invalidateUser("v") }},
		{"the session", func(c *cache) { c.invalidateSession("hash") }},
		{"the keys", (*cache).forgetCookies},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := newCache()
			e := &entry{user: &User{ID: "u"}}
			e.session.Store(session)
			gen := c.gen.Load()
			c.add(gen, "hash", e)
			c.front.put(gen, "cookie", "hash", e)
			if p := c.front.get(gen, "cookie"); p == nil || p.entry != e || p.hash != "hash" {
				t.Fatalf("the front has %v", p)
			}
			if row.change == nil {
				return
			}
			row.change(c)
			if c.front.get(c.gen.Load(), "cookie") != nil {
				t.Error("the front still knows")
			}
			c.front.put(gen, "cookie", "hash", e) // by a request that began before
			if c.front.get(c.gen.Load(), "cookie") != nil {
				t.Error("the front took what was looked up before")
			}
			c.addCookie(gen, "cookie", "hash")
			if _, ok := c.cookie("cookie"); ok {
				t.Error("a cookie was kept that was verified before")
			}
		})
	}
}

func TestFrontTellsCookiesApart(t *testing.T) {
	c := newCache()
	first, second := "cookie", ""
	for i := 0; second == ""; i++ {
		if s := strconv.Itoa(i); c.front.place(s) == c.front.place(first) {
			second = s
		}
	}
	a, b := new(entry), new(entry)
	c.front.put(0, first, "a", a)
	if c.front.get(0, second) != nil {
		t.Error("one cookie passes for another")
	}
	c.front.put(0, second, "b", b)
	if p := c.front.get(0, second); p == nil || p.entry != b {
		t.Error("the later cookie is not there")
	}
	if c.front.get(0, first) != nil {
		t.Error("the later cookie passes for the first")
	}
}

// A cookie is cut out of a header that may be long; the cache must not keep that.
func TestCacheKeepsNoHeaders(t *testing.T) {
	c := newCache()
	header := strings.Repeat("x", 1<<10)
	value := header[10:20]
	c.front.put(0, value, "hash", new(entry))
	c.addCookie(0, value, "hash")
	if unsafe.StringData(c.front.get(0, value).cookie) == unsafe.StringData(value) {
		t.Error("the front keeps the header")
	}
	if unsafe.StringData(c.cookies.Keys()[0]) == unsafe.StringData(value) {
		t.Error("the cache keeps the header")
	}
}

// members is a realm with people who are signed in.
func members(t *testing.T, now func() time.Time, n int) (r *Realm, cookies []string) {
	t.Helper()
	store, err := badgerstore.Open(t.Context(), badgerstore.Options{Dir: t.TempDir(), Now: now})
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewState(t.Context(), Options{Store: store, Secrets: [][]byte{make([]byte, MinSecret)}, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	begun := now()
	for i := range n {
		u := &User{ID: "u" + strconv.Itoa(i), Name: "alice" + strconv.Itoa(i)}
		token := newToken()
		session := &Session{
			ID: newID(), Token: hashToken(token), UserID: u.ID, Host: "example.com",
			Proofs:  []Proof{{Kinds: Knowledge}, {Kinds: Possession}},
			Created: begun, Seen: begun, IdleEnd: begun.Add(time.Hour), End: begun.Add(24 * time.Hour),
		}
		err := s.store.Update(t.Context(), func(tx storage.Tx) error {
			return errors.Join(putUser(tx, u), putJSON(tx, keySession(session.Token), session, session.End))
		})
		if err != nil {
			t.Fatal(err)
		}
		cookie, err := s.sealCookie(CookieSession, token)
		if err != nil {
			t.Fatal(err)
		}
		cookies = append(cookies, cookie)
	}
	return s.Realm(Config{Idle: time.Hour, Lifetime: 24 * time.Hour}), cookies
}

// The front goes on answering for a session that the cache behind it forgot, but not beyond the time when it is to be noted.
func TestSessionInFrontIsNoted(t *testing.T) {
	clock := NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	r, cookies := members(t, clock.Now, 1)
	ask := func() {
		t.Helper()
		if _, _, err := r.Session(t.Context(), "example.com", cookies[0]); err != nil {
			t.Fatal(err)
		}
	}
	ask()
	for range 90 {
		r.cache.sessions.Purge() // as if others had pushed it out
		clock.Add(time.Minute)
		ask()
	}
	if seen := r.cache.takeSeen(); len(seen) != 1 {
		t.Errorf("%d sessions to be noted", len(seen))
	}
}

func TestEndedSessionIsDeadAtOnce(t *testing.T) { // S54
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	r, cookies := members(t, func() time.Time { return now }, 8)
	var wg sync.WaitGroup
	for _, cookie := range cookies {
		var ended atomic.Bool
		for range 3 {
			wg.Go(func() {
				for after := false; !after; {
					after = ended.Load()
					_, u, err := r.Session(t.Context(), "example.com", cookie)
					if after && !errors.Is(err, ErrNoSession) {
						t.Errorf("%v: %v after the end", u, err)
					}
					if err != nil && !errors.Is(err, ErrNoSession) {
						t.Error(err)
					}
				}
			})
		}
		wg.Go(func() {
			for range 100 {
				r.cache.invalidateUser("nobody") // what others do empties the front
			}
			if _, err := r.SignOut(t.Context(), Visit{Session: cookie}); err != nil {
				t.Error(err)
			}
			ended.Store(true)
		})
	}
	wg.Wait()
}
