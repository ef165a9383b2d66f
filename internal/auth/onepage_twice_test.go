package auth_test

import (
	"errors"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// TestOnePageSentTwice: the second post of a form that has signed in is no wrong answer, but a sign-in that is over.
func TestOnePageSentTwice(t *testing.T) {
	for _, m := range []string{auth.MethodTOTP, auth.MethodRecovery} {
		t.Run(m, func(t *testing.T) {
			r, p := onePageRig(t)
			ctx := t.Context()
			code := p.codes[0]
			if m == auth.MethodTOTP {
				code = p.now()
			}
			b := r.keyBrowser() // with the cookie of the sign-in page
			before := b.v
			r.must(b, auth.StepDone)(r.SignInAtOnce(ctx, before, "alice", password, m, code, ""))
			for part, again := range map[string]struct{ name, password, code string }{
				"the same": {"alice", password, code}, "another password": {"alice", "not the password", code},
				"another name": {"nobody", password, code}, "another code": {"alice", password, "000000"},
			} {
				r.clock.Add(time.Minute)
				out, err := r.SignInAtOnce(ctx, before, again.name, again.password, m, again.code, "")
				if !errors.Is(err, auth.ErrNoFlow) || len(out.Cookies) != 1 || out.Cookies[0] != (auth.Cookie{Name: auth.CookieFlow}) {
					t.Errorf("%s: %+v, %v", part, out, err)
				}
			}
			if !r.signedIn(b) {
				t.Error("the session ended")
			}
			// Without that cookie, or with another, it is a wrong answer as ever.
			for _, v := range []auth.Visit{stranger(1).v, r.keyBrowser().v} {
				r.clock.Add(time.Minute)
				if _, err := r.SignInAtOnce(ctx, v, "alice", password, m, code, ""); !errors.Is(err, auth.ErrRejected) {
					t.Errorf("elsewhere: %v", err)
				}
			}
			// What is right signs in, with that cookie too.
			r.clock.Add(time.Hour)
			r.must(newBrowser(), auth.StepDone)(r.SignInAtOnce(ctx, before, "alice", password, auth.MethodTOTP, p.now(), ""))
		})
	}
}

// TestOnePageSentTwiceAtOnce: of two posts that are judged at the same time, one signs in and the other is told that it is over.
func TestOnePageSentTwiceAtOnce(t *testing.T) {
	t.Parallel()
	r, p := onePageRig(t)
	b := r.keyBrowser()
	code := p.now()
	won, errs := race(2, func(int) error {
		_, err := r.SignInAtOnce(t.Context(), b.v, "alice", password, auth.MethodTOTP, code, "")
		return err
	})
	for _, err := range errs {
		if err != nil && !errors.Is(err, auth.ErrNoFlow) {
			t.Errorf("the other: %v", err)
		}
	}
	if won != 1 {
		t.Errorf("%d signed in", won)
	}
}
