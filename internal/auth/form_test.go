package auth_test

import (
	"bytes"
	"context"
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

func (r *rig) keep(s *auth.Session, f auth.Form) string {
	r.t.Helper()
	id, err := r.KeepForm(r.t.Context(), s, f)
	if err != nil {
		r.t.Fatal(err)
	}
	return id
}

func TestKeptForm(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	p, b, other := r.person("alice"), newBrowser(), newBrowser()
	r.signIn(p, b)
	r.signIn(p, other)
	mallory := r.person("mallory")
	form := auth.Form{URI: "/admin/?token=opensesame", Type: "text/plain", Body: bytes.Repeat([]byte("opensesame\x00\xff"), auth.MaxForm/12)}
	id := r.keep(r.own(b), form)

	t.Run("nobody else gets it", func(t *testing.T) { // S57, S87
		elsewhere := *r.own(b)
		elsewhere.Host = "other.example.com"
		for name, s := range map[string]*auth.Session{"another session": r.own(other), "another user": r.own(mallory.home), "another host": &elsewhere} {
			if _, err := r.KeptForm(ctx, s, id); !errors.Is(err, auth.ErrNoForm) {
				t.Errorf("%s may look: %v", name, err)
			}
			if _, err := r.TakeForm(ctx, s, id, form.URI); !errors.Is(err, auth.ErrNoForm) {
				t.Errorf("%s may take: %v", name, err)
			}
			if err := r.DropForm(ctx, s, id); err != nil {
				t.Errorf("%s drops it: %v", name, err)
			}
		}
		for _, wrong := range []string{"", "x", id[1:], id + "/0", strings.Repeat("0", 32), "../" + id[3:], r.own(other).ID} {
			if _, err := r.TakeForm(ctx, r.own(b), wrong, form.URI); !errors.Is(err, auth.ErrNoForm) {
				t.Errorf("%q: %v", wrong, err)
			}
		}
		if _, err := r.TakeForm(ctx, r.own(b), id, "/admin/"); !errors.Is(err, auth.ErrNoForm) {
			t.Errorf("for another address: %v", err)
		}
	})
	t.Run("sealed", func(t *testing.T) { // S22, S81
		if n := len(r.keys("form/")); n != 9 {
			t.Errorf("%d records", n)
		}
		err := r.store.View(ctx, func(tx storage.Tx) error {
			for e, err := range tx.Scan("form", "") {
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
		if got, err := r.KeptForm(ctx, r.own(b), id); err != nil || got.URI != form.URI || got.Body != nil {
			t.Fatalf("%+v, %v", got, err)
		}
	})
	t.Run("once", func(t *testing.T) { // S89
		var taken atomic.Int32
		var wg sync.WaitGroup
		s := r.own(b)
		for range 50 {
			wg.Go(func() {
				got, err := r.TakeForm(ctx, s, id, form.URI)
				switch {
				case err == nil && bytes.Equal(got.Body, form.Body) && got.Type == form.Type:
					taken.Add(1)
				case err == nil || !errors.Is(err, auth.ErrNoForm) && !errors.Is(err, storage.ErrConflict):
					t.Errorf("%d bytes, %v", len(got.Body), err)
				}
			})
		}
		wg.Wait()
		if n := len(r.keys("form/")); taken.Load() != 1 || n > 0 {
			t.Errorf("taken %d times, %d records are left", taken.Load(), n)
		}
	})
	t.Run("two at the same time", func(t *testing.T) {
		one, two := r.keep(r.own(b), auth.Form{URI: "/a", Body: []byte("1")}), r.keep(r.own(b), auth.Form{URI: "/a", Body: []byte("2")})
		if got, err := r.TakeForm(ctx, r.own(b), one, "/a"); err != nil || string(got.Body) != "1" {
			t.Errorf("the first is %q, %v", got.Body, err)
		}
		if err := r.DropForm(ctx, r.own(b), two); err != nil {
			t.Fatal(err)
		}
		if _, err := r.TakeForm(ctx, r.own(b), two, "/a"); !errors.Is(err, auth.ErrNoForm) {
			t.Errorf("one that was dropped: %v", err)
		}
	})
	t.Run("ten minutes", func(t *testing.T) {
		id := r.keep(r.own(b), form)
		r.clock.Add(10*time.Minute - time.Second)
		if _, err := r.KeptForm(ctx, r.own(b), id); err != nil {
			t.Errorf("before: %v", err)
		}
		r.clock.Add(time.Second)
		if _, err := r.TakeForm(ctx, r.own(b), id, form.URI); !errors.Is(err, auth.ErrNoForm) {
			t.Errorf("after: %v", err)
		}
	})
	t.Run("an empty one", func(t *testing.T) {
		id := r.keep(r.own(b), auth.Form{URI: "/"})
		if got, err := r.TakeForm(ctx, r.own(b), id, "/"); err != nil || len(got.Body) != 0 {
			t.Errorf("%q, %v", got.Body, err)
		}
	})
}

// Whoever is signed in fills neither the store nor, by leaving midway, what nobody counts.
func TestKeptFormsAreFew(t *testing.T) {
	r := newRig(t)
	p, b := r.person("alice"), newBrowser()
	r.signIn(p, b)
	s := r.own(b)
	body := bytes.Repeat([]byte("x"), auth.MaxForm)
	if _, err := r.KeepForm(t.Context(), s, auth.Form{Body: append(body, 'x')}); err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("one that is too large: %v", err)
	}
	var ids []string
	for range 5 {
		ids = append(ids, r.keep(s, auth.Form{URI: "/", Body: body}))
	}
	for i, id := range ids {
		if _, err := r.KeptForm(t.Context(), s, id); (err == nil) != (i >= 2) {
			t.Errorf("number %d: %v", i, err)
		}
	}
	left, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.KeepForm(left, s, auth.Form{URI: "/", Body: body}); err != nil { // what is begun is finished
		t.Errorf("of somebody who left: %v", err)
	}
	var wg sync.WaitGroup
	var refused atomic.Int32
	for range 80 {
		wg.Go(func() {
			switch _, err := r.KeepForm(t.Context(), s, auth.Form{URI: "/", Body: []byte("x")}); {
			case throttled(err):
				refused.Add(1)
			case err != nil && !errors.Is(err, storage.ErrConflict):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := len(r.keys("form/")); refused.Load() == 0 || n > 3*9 {
		t.Errorf("%d refused, %d records", refused.Load(), n)
	}
	r.clock.Add(time.Hour)
	r.keep(r.own(r.again(p)), auth.Form{URI: "/"})
}

// again is a new browser in which p signs in.
func (r *rig) again(p *person) *browser {
	r.t.Helper()
	b := newBrowser()
	r.signIn(p, b)
	return b
}
