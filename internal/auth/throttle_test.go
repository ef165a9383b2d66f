package auth_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// guess gives a wrong password from a client address of its own, waiting out every delay, and returns the last error.
func (r *rig) guess(b *browser, name string, n int) (err error) {
	for i := range n {
		b.v.Addr = netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)})
		_, err = r.SignIn(r.t.Context(), b.v, name, "a wrong guess", "")
		if throttled(err) {
			return err
		}
		r.clock.Add(time.Hour + time.Second)
	}
	return err
}

func TestDelaysRise(t *testing.T) { // S11
	r := newRig(t)
	r.person("alice")
	for _, name := range []string{"alice", "nobody"} {
		b := newBrowser()
		want := []time.Duration{0, 0, 0, 0, 30 * time.Second, time.Minute, 2 * time.Minute}
		for i, d := range want {
			if _, err := r.SignIn(t.Context(), b.v, name, "a wrong guess", ""); !errors.Is(err, auth.ErrRejected) {
				t.Fatalf("%s: guess %d: %v", name, i, err)
			}
			if d == 0 {
				continue
			}
			var wait *auth.Throttled
			if _, err := r.SignIn(t.Context(), b.v, name, password, ""); !errors.As(err, &wait) || wait.RetryAfter != d {
				t.Fatalf("%s: after guess %d: %v %+v", name, i, err, wait)
			}
			r.clock.Add(d)
		}
	}
}

func TestHundredGuesses(t *testing.T) { // S10, S12
	t.Parallel()
	r := newRig(t)
	p := r.person("alice")
	stranger := newBrowser()
	var off *auth.Throttled
	if err := r.guess(stranger, "alice", 200); !errors.As(err, &off) || !off.Off {
		t.Fatalf("not shut: %v", err)
	}
	r.reopen(secret)
	r.clock.Add(1000 * time.Hour)
	if _, err := r.SignIn(t.Context(), stranger.v, "alice", password, ""); !errors.As(err, &off) || !off.Off {
		t.Fatalf("opened by a restart or by time: %v", err)
	}
	r.must(p.home, auth.StepVerify)(r.SignIn(t.Context(), p.home.v, "alice", password, "")) // S12
	if _, err := r.SignIn(t.Context(), stranger.v, "alice", password, ""); !errors.As(err, &off) {
		t.Fatalf("opened by half a sign-in: %v", err)
	}
	r.must(p.home, auth.StepDone)(r.Prove(t.Context(), p.home.v, auth.MethodTOTP, []byte(p.now())))
	r.must(stranger, auth.StepVerify)(r.SignIn(t.Context(), stranger.v, "alice", password, ""))
}

func TestKnownBrowserHasItsOwnFive(t *testing.T) {
	r := newRig(t)
	p := r.person("alice")
	for range 5 {
		if _, err := r.SignIn(t.Context(), p.home.v, "alice", "a wrong guess", ""); !errors.Is(err, auth.ErrRejected) {
			t.Fatal(err)
		}
	}
	if _, err := r.SignIn(t.Context(), p.home.v, "alice", password, ""); !throttled(err) {
		t.Errorf("a sixth try: %v", err)
	}
	b := newBrowser()
	r.must(b, auth.StepVerify)(r.SignIn(t.Context(), b.v, "alice", password, ""))
}

func TestSomebodyElsesBrowserIsAStranger(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.person("alice")
	q := r.person("bob")
	var off *auth.Throttled
	if err := r.guess(newBrowser(), "alice", 200); !errors.As(err, &off) || !off.Off {
		t.Fatal(err)
	}
	if _, err := r.SignIn(t.Context(), q.home.v, "alice", password, ""); !errors.As(err, &off) || !off.Off {
		t.Errorf("bob's browser counts as alice's: %v", err)
	}
}

func TestSpellingsShareOneCount(t *testing.T) { // S15
	r := newRig(t)
	r.person("alice")
	for _, name := range []string{"alice", "ALICE", " Alice", "ａｌｉｃｅ", "aLiCe "} {
		if _, err := r.SignIn(t.Context(), newBrowser().v, name, "a wrong guess", ""); !errors.Is(err, auth.ErrRejected) {
			t.Fatalf("%q: %v", name, err)
		}
	}
	if _, err := r.SignIn(t.Context(), newBrowser().v, "alice", password, ""); !throttled(err) {
		t.Errorf("the sixth: %v", err)
	}
}

func TestSecondStepIsThrottled(t *testing.T) {
	r := newRig(t)
	p := r.person("alice")
	b := newBrowser()
	r.must(b, auth.StepVerify)(r.SignIn(t.Context(), b.v, "alice", password, ""))
	for range 5 {
		if _, err := r.Prove(t.Context(), b.v, auth.MethodTOTP, []byte("000000")); !errors.Is(err, auth.ErrRejected) {
			t.Fatal(err)
		}
	}
	if _, err := r.Prove(t.Context(), b.v, auth.MethodTOTP, []byte(p.now())); !throttled(err) {
		t.Errorf("a sixth try: %v", err)
	}
	again := newBrowser() // S14: a new flow resets nothing
	r.must(again, auth.StepVerify)(r.SignIn(t.Context(), again.v, "alice", password, ""))
	if _, err := r.Prove(t.Context(), again.v, auth.MethodTOTP, []byte(p.now())); !throttled(err) {
		t.Errorf("another flow: %v", err)
	}
	r.must(again, auth.StepDone)(r.Prove(t.Context(), again.v, auth.MethodRecovery, []byte(p.codes[0])))
}

func TestAddressLimit(t *testing.T) { // S13
	t.Parallel()
	r := newRig(t)
	p := r.person("alice")
	b := newBrowser()
	b.v.Addr = netip.MustParseAddr("2001:db8::1")
	for i := range 30 {
		name := string([]rune{'a' + rune(i%26), 'x', '0' + rune(i/26)})
		if _, err := r.SignIn(t.Context(), b.v, name, "a wrong guess", ""); !errors.Is(err, auth.ErrRejected) {
			t.Fatalf("guess %d: %v", i, err)
		}
	}
	b.v.Addr = netip.MustParseAddr("2001:db8::ffff")
	if _, err := r.SignIn(t.Context(), b.v, "alice", password, ""); !throttled(err) {
		t.Errorf("the same /64: %v", err)
	}
	b.v.Addr = netip.MustParseAddr("2001:db8:0:1::1")
	r.must(b, auth.StepVerify)(r.SignIn(t.Context(), b.v, "alice", password, ""))
	b.v.Addr = netip.MustParseAddr("2001:db8::1")
	r.clock.Add(time.Minute)
	r.must(b, auth.StepVerify)(r.SignIn(t.Context(), b.v, "alice", password, ""))
	for i := range 40 { // successes do not count, however many in a minute
		if _, err := r.SignIn(t.Context(), b.v, "alice", password, ""); err != nil {
			t.Fatalf("right password %d: %v", i, err)
		}
	}
	r.signIn(p, b)
}

func TestUnfinishedSignInsAreBounded(t *testing.T) {
	t.Parallel()
	const limit = 60
	r := newRig(t)
	p, q := r.person("alice"), r.person("bob")
	var half []*browser // with the right password, of somebody who has nothing else
	begin := func() (auth.Outcome, error) {
		b := newBrowser()
		b.v.Addr = netip.AddrFrom4([4]byte{198, 51, 100, byte(len(half))})
		out, err := r.SignIn(t.Context(), b.v, "alice", password, "")
		b.take(out)
		half = append(half, b)
		return out, err
	}
	shut := func() {
		t.Helper()
		for i := range limit {
			if _, err := begin(); err != nil {
				t.Fatalf("sign-in %d: %v", i, err)
			}
		}
		var wait *auth.Throttled
		if _, err := begin(); !errors.As(err, &wait) || wait.Off || wait.RetryAfter <= 0 || wait.RetryAfter > 10*time.Minute {
			t.Fatalf("one more: %v %+v", err, wait)
		}
	}
	shut()
	r.must(p.home, auth.StepVerify)(r.SignIn(t.Context(), p.home.v, "alice", password, "")) // a pool of its own
	r.must(q.home, auth.StepVerify)(r.SignIn(t.Context(), q.home.v, "bob", password, ""))
	stranger := newBrowser()
	r.must(stranger, auth.StepVerify)(r.SignIn(t.Context(), stranger.v, "bob", password, ""))
	r.must(half[limit-1], auth.StepDone)(r.Prove(t.Context(), half[limit-1].v, auth.MethodTOTP, []byte(p.now()))) // what was begun goes on
	shut()                                                                                                        // and finishing one forgives the rest
	r.clock.Add(10 * time.Minute)
	if _, err := begin(); err != nil {
		t.Errorf("ten minutes later: %v", err)
	}
}
