package auth_test

import (
	"bytes"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/storage"
)

// own is the session that b is in.
func (r *rig) own(b *browser) *auth.Session {
	r.t.Helper()
	s, _ := r.session(b)
	return s
}

func TestHeldPost(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	p, b, other := r.person("alice"), newBrowser(), newBrowser()
	r.signIn(p, b)
	r.signIn(p, other)
	mallory := r.person("mallory")
	body := bytes.Repeat([]byte("opensesame\x00\xff"), auth.MaxHeld/12)
	post := auth.HeldPost{URI: "/admin/?token=opensesame", Type: "text/plain", Body: body}
	hold := func() string {
		t.Helper()
		c, err := r.Hold(ctx, r.own(b), post)
		if err != nil || c.Name != auth.CookieHeld || c.MaxAge != 10*time.Minute {
			t.Fatalf("%+v, %v", c, err)
		}
		return c.Value
	}
	cookie := hold()

	t.Run("nobody else gets it", func(t *testing.T) { // S57, S87
		elsewhere := *r.own(b)
		elsewhere.Host = "other.example.com"
		for name, s := range map[string]*auth.Session{"another session": r.own(other), "another user": r.own(mallory.home), "another host": &elsewhere} {
			if _, err := r.Held(ctx, s, cookie); !errors.Is(err, auth.ErrNotHeld) {
				t.Errorf("%s may look: %v", name, err)
			}
			if _, err := r.TakeHeld(ctx, s, cookie, post.URI); !errors.Is(err, auth.ErrNotHeld) {
				t.Errorf("%s may take: %v", name, err)
			}
		}
		for _, forged := range []string{"", "x", cookie[1:], b.v.Session, b.v.Flow} {
			if _, err := r.TakeHeld(ctx, r.own(b), forged, post.URI); !errors.Is(err, auth.ErrNotHeld) {
				t.Errorf("%.10q: %v", forged, err)
			}
		}
		if _, err := r.TakeHeld(ctx, r.own(b), cookie, "/admin/"); !errors.Is(err, auth.ErrNotHeld) {
			t.Errorf("for another address: %v", err)
		}
	})
	t.Run("sealed", func(t *testing.T) { // S22, S81
		all := r.keys("held-post/")
		if len(all) != 9 {
			t.Errorf("%d records", len(all))
		}
		err := r.store.View(ctx, func(tx storage.Tx) error {
			for e, err := range tx.Scan("held-", "") {
				if err != nil || bytes.Contains(e.Value, []byte("opensesame")) {
					t.Errorf("%s holds it openly, %v", e.Key, err)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
	t.Run("across a step-up, and after a restart", func(t *testing.T) {
		r.must(b, auth.StepVerify)(r.Change(ctx, b.v, prove(time.Second), ""))
		r.must(b, auth.StepDone)(r.Prove(ctx, b.v, auth.MethodTOTP, []byte(p.now())))
		r.clock.Add(time.Minute)
		r.reopen(secret)
		if got, err := r.Held(ctx, r.own(b), cookie); err != nil || got.URI != post.URI || got.Body != nil {
			t.Fatalf("%+v, %v", got, err)
		}
	})
	t.Run("once", func(t *testing.T) { // S89
		var taken atomic.Int32
		var wg sync.WaitGroup
		s := r.own(b)
		for range 50 {
			wg.Go(func() {
				got, err := r.TakeHeld(ctx, s, cookie, post.URI)
				switch {
				case err == nil && bytes.Equal(got.Body, body) && got.Type == post.Type:
					taken.Add(1)
				case err == nil || !errors.Is(err, auth.ErrNotHeld) && !errors.Is(err, storage.ErrConflict):
					t.Errorf("%d bytes, %v", len(got.Body), err)
				}
			})
		}
		wg.Wait()
		if n := len(r.keys("held-post/")); taken.Load() != 1 || n > 0 {
			t.Errorf("taken %d times, %d records are left", taken.Load(), n)
		}
	})
	t.Run("three of a user, the newest", func(t *testing.T) {
		cookies := []string{hold(), hold(), hold(), hold(), hold()}
		for i, c := range cookies {
			if _, err := r.Held(ctx, r.own(b), c); (err == nil) != (i >= 2) {
				t.Errorf("number %d: %v", i, err)
			}
		}
		if n := len(r.keys("held-post/")); n != 27 {
			t.Errorf("%d records", n)
		}
	})
	t.Run("ten minutes", func(t *testing.T) {
		c := hold()
		r.clock.Add(10*time.Minute - time.Second)
		if _, err := r.Held(ctx, r.own(b), c); err != nil {
			t.Errorf("before: %v", err)
		}
		r.clock.Add(time.Second)
		if _, err := r.TakeHeld(ctx, r.own(b), c, post.URI); !errors.Is(err, auth.ErrNotHeld) {
			t.Errorf("after: %v", err)
		}
	})
	t.Run("not too much", func(t *testing.T) {
		if _, err := r.Hold(ctx, r.own(b), auth.HeldPost{Body: bytes.Repeat([]byte("x"), auth.MaxHeld+1)}); err == nil || !strings.Contains(err.Error(), "too large") {
			t.Errorf("got %v", err)
		}
		c, err := r.Hold(ctx, r.own(b), auth.HeldPost{URI: "/"})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := r.TakeHeld(ctx, r.own(b), c.Value, "/"); err != nil || len(got.Body) != 0 {
			t.Errorf("an empty form: %q, %v", got.Body, err)
		}
	})
}
