package auth_test

import (
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// race runs fn n times at once and counts the calls that return nil.
func race(n int, fn func(i int) error) (won int32, errs []error) {
	var wg sync.WaitGroup
	errs = make([]error, n)
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			if errs[i] = fn(i); errs[i] == nil {
				atomic.AddInt32(&won, 1)
			}
		})
	}
	close(start)
	wg.Wait()
	return won, errs
}

func TestParallelGuesses(t *testing.T) { // S13
	r := newRig(t)
	r.person("alice")
	_, errs := race(200, func(i int) error {
		b := newBrowser()
		b.v.Addr = netip.AddrFrom4([4]byte{198, 51, 100, byte(i)})
		_, err := r.SignIn(t.Context(), b.v, "alice", "a wrong guess", "")
		return err
	})
	verified := 0
	for _, err := range errs {
		switch {
		case errors.Is(err, auth.ErrRejected):
			verified++
		case throttled(err), errors.Is(err, auth.ErrBusy):
		default:
			t.Errorf("unexpected: %v", err)
		}
	}
	if verified == 0 || verified > 5 {
		t.Errorf("%d guesses were verified", verified)
	}
}

func TestOneCodeRaced(t *testing.T) { // S17, S33
	t.Parallel()
	for _, m := range []string{auth.MethodTOTP, auth.MethodRecovery} {
		t.Run(m, func(t *testing.T) {
			r := newRig(t)
			p := r.person("alice")
			const n = 50
			browsers := make([]*browser, n)
			for i := range browsers {
				browsers[i] = newBrowser()
				browsers[i].v.Addr = netip.AddrFrom4([4]byte{198, 51, 100, byte(i)})
				r.must(browsers[i], auth.StepVerify)(r.SignIn(t.Context(), browsers[i].v, "alice", password, ""))
			}
			answer := p.now()
			if m == auth.MethodRecovery {
				answer = p.codes[0]
			}
			won, errs := race(n, func(i int) error {
				out, err := r.Prove(t.Context(), browsers[i].v, m, []byte(answer))
				if err == nil && out.Step != auth.StepDone {
					return errors.New("not done")
				}
				return err
			})
			if won != 1 {
				t.Errorf("%d of %d succeeded: %v", won, n, errs)
			}
			sessions, err := r.Sessions(t.Context(), "alice")
			if err != nil || len(sessions) != 2 {
				t.Errorf("%d sessions: %v", len(sessions), err)
			}
		})
	}
}

func TestSetupRaced(t *testing.T) { // S9
	r := newRig(t)
	token, _, err := r.SetupToken(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"alice", "bob"}
	browsers := make([]*browser, 8)
	for i := range browsers {
		browsers[i] = newBrowser()
		r.must(browsers[i], auth.StepPassword)(r.OpenInvitation(t.Context(), browsers[i].v, token, ""))
	}
	won, _ := race(len(browsers), func(i int) error {
		_, err := r.AcceptInvitation(t.Context(), browsers[i].v, names[i%2]+string(rune('a'+i)), password)
		return err
	})
	users, err := r.Users(t.Context())
	if won != 1 || len(users) != 1 || err != nil {
		t.Errorf("%d succeeded, %d users: %v", won, len(users), err)
	}
}
