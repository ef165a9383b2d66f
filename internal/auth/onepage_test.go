package auth_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

func onePage(c *auth.Config) { c.OnePage = true }

// onePageRig is a rig whose people sign in on one page, with alice.
func onePageRig(t testing.TB) (*rig, *person) {
	t.Helper()
	r := newRig(t)
	p := r.person("alice")
	r.Realm = r.realm(onePage)
	return r, p
}

// second is a browser at the second page, after a password.
func (r *rig) second(name, typed string) *browser {
	r.t.Helper()
	b := stranger(1)
	b.v.Origin = origin
	out := r.must(b, auth.StepVerify)(r.SignIn(r.t.Context(), b.v, name, typed, ""))
	if !out.Untold {
		r.t.Fatalf("%s with %q: %+v", name, typed, out)
	}
	return b
}

// wrongParts are sign-ins of which something is wrong.
var wrongParts = map[string]struct{ name, password string }{
	"right password": {"alice", password}, "wrong password": {"alice", "not the password"}, "unknown name": {"nobody", password},
}

func TestSignInOnOnePage(t *testing.T) {
	r, p := onePageRig(t)
	ctx := t.Context()
	if !r.OnePage() {
		t.Error("the pages are not told")
	}
	b := stranger(1)
	code := p.now()
	out := r.must(b, auth.StepDone)(r.SignInAtOnce(ctx, b.v, " ALICE ", password, auth.MethodTOTP, code, "/deep?x=1"))
	if out.To != "/deep?x=1" || !r.signedIn(b) {
		t.Errorf("outcome %+v", out)
	}
	s, _, err := r.Session(ctx, host, b.v.Session)
	if err != nil || len(s.Proofs) != 2 || s.Proofs[0].Method != auth.MethodPassword || s.Proofs[1].Method != auth.MethodTOTP {
		t.Errorf("session %+v, %v", s, err)
	}
	if _, err := r.SignInAtOnce(ctx, stranger(2).v, "alice", password, auth.MethodTOTP, code, ""); !errors.Is(err, auth.ErrRejected) { // S17
		t.Errorf("used code: %v", err)
	}
	out = r.must(b, auth.StepDone)(r.SignInAtOnce(ctx, b.v, "alice", password, auth.MethodRecovery, p.codes[3], ""))
	if out.RecoveryLeft != 9 {
		t.Errorf("%d codes left", out.RecoveryLeft)
	}
	if _, err := r.SignInAtOnce(ctx, stranger(2).v, "alice", password, auth.MethodRecovery, p.codes[3], ""); !errors.Is(err, auth.ErrRejected) { // S33
		t.Errorf("used recovery code: %v", err)
	}
	for _, m := range []string{auth.MethodWebAuthn, auth.MethodEmail, auth.MethodPassword, "", "x"} {
		if _, err := r.SignInAtOnce(ctx, stranger(2).v, "alice", password, m, "x", ""); !errors.Is(err, auth.ErrStep) {
			t.Errorf("with %q: %v", m, err)
		}
	}
	if keys := r.keys("flow/"); len(keys) != 0 {
		t.Errorf("flows are left: %v", keys)
	}
}

func TestSecondPageOfOnePage(t *testing.T) {
	r, p := onePageRig(t)
	ctx := t.Context()
	for _, method := range []string{auth.MethodTOTP, auth.MethodRecovery} {
		answer := p.codes[0]
		if method == auth.MethodTOTP {
			answer = p.now()
		}
		b := r.second("alice", password)
		if r.signedIn(b) || len(r.keys("flow/")) != 0 {
			t.Error("the password alone left something")
		}
		old := b.v
		b.v.To = "/deep"
		out := r.must(b, auth.StepDone)(r.Prove(ctx, b.v, method, []byte(answer)))
		if out.To != "/deep" || !r.signedIn(b) {
			t.Errorf("outcome %+v", out)
		}
		s, _, err := r.Session(ctx, host, b.v.Session)
		if err != nil || len(s.Proofs) != 2 || s.Proofs[0].Method != auth.MethodPassword {
			t.Errorf("session %+v, %v", s, err)
		}
		r.clock.Add(time.Minute)
		if _, err := r.Prove(ctx, old, auth.MethodTOTP, []byte(p.now())); !errors.Is(err, auth.ErrNoFlow) { // S52
			t.Errorf("a finished sign-in goes on: %v", err)
		}
	}
}

// TestWhatWasWrongUsesNothingUp: a code is good for nothing, and still there, where another part was wrong.
func TestWhatWasWrongUsesNothingUp(t *testing.T) {
	r, p := onePageRig(t)
	ctx := t.Context()
	for method, answer := range map[string]string{auth.MethodTOTP: p.now(), auth.MethodRecovery: p.codes[0]} {
		if _, err := r.SignInAtOnce(ctx, stranger(1).v, "alice", "not the password", method, answer, ""); !errors.Is(err, auth.ErrRejected) {
			t.Errorf("%s, at once: %v", method, err)
		}
		if _, err := r.Prove(ctx, r.second("alice", "not the password").v, method, []byte(answer)); !errors.Is(err, auth.ErrRejected) {
			t.Errorf("%s, on two pages: %v", method, err)
		}
		r.must(newBrowser(), auth.StepDone)(r.SignInAtOnce(ctx, stranger(1).v, "alice", password, method, answer, ""))
	}
}

// TestOnePageTellsNoPart tries all combinations, with the waits that a patient attacker has, for every answer that comes.
func TestOnePageTellsNoPart(t *testing.T) { // S88
	t.Parallel()
	for _, code := range []string{"", "000000", "used", "recovery", "used recovery"} {
		t.Run("code "+code, func(t *testing.T) {
			said := map[string]string{}
			for name, part := range wrongParts {
				r, p := onePageRig(t)
				ctx := t.Context()
				used := p.now()
				b := stranger(2)
				r.must(b, auth.StepDone)(r.SignInAtOnce(ctx, b.v, "alice", password, auth.MethodTOTP, used, ""))
				r.must(b, auth.StepDone)(r.SignInAtOnce(ctx, b.v, "alice", password, auth.MethodRecovery, p.codes[0], ""))
				method, answer := auth.MethodTOTP, code
				switch code {
				case "used":
					answer = used
				case "recovery":
					method, answer = auth.MethodRecovery, "aaaaa-aaaaa-aaaaa"
				case "used recovery":
					method, answer = auth.MethodRecovery, p.codes[0]
				}
				var all []string
				b = stranger(3)
				for _, wait := range []time.Duration{0, 0, 0, 0, 0, 0, time.Minute, 0, 25 * time.Hour, 0} {
					r.clock.Add(wait)
					var out auth.Outcome
					var err error
					if code == "" {
						out, err = r.SignIn(ctx, b.v, part.name, part.password, "/x")
						b.take(out)
						if err == nil {
							_, wrong := r.Prove(ctx, b.v, auth.MethodTOTP, []byte("000000"))
							all = append(all, fmt.Sprintf("%s %+v", inFull(wrong), r.progress(b).Outcome))
						}
					} else {
						out, err = r.SignInAtOnce(ctx, b.v, part.name, part.password, method, answer, "/x")
					}
					for i, c := range out.Cookies {
						out.Cookies[i].Value = fmt.Sprint(len(c.Value))
					}
					all = append(all, fmt.Sprintf("%s %+v", inFull(err), out))
				}
				said[name] = strings.Join(all, "\n")
			}
			for name, got := range said {
				// Names differ in length, and so do cookies that hold them.
				if name == "unknown name" {
					got = strings.ReplaceAll(got, cookieLength(t, "nobody"), cookieLength(t, "alice"))
				}
				if got != said["right password"] {
					t.Errorf("%s:\n%s\nand with the right password:\n%s", name, got, said["right password"])
				}
			}
		})
	}
}

// inFull is an error with what a page could say of it.
func inFull(err error) string {
	if slow, ok := errors.AsType[*auth.Throttled](err); ok {
		return fmt.Sprintf("%+v", *slow)
	}
	return fmt.Sprint(err)
}

// cookieLength is that of the cookie for a name.
func cookieLength(t *testing.T, name string) string {
	r, _ := onePageRig(t)
	out, err := r.SignIn(t.Context(), stranger(1).v, name, "not the password", "")
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(len(out.Cookies[0].Value))
}

func TestOnePageRaced(t *testing.T) { // S17, S33
	t.Parallel()
	for _, pages := range []string{"one page", "two pages"} {
		for _, m := range []string{auth.MethodTOTP, auth.MethodRecovery} {
			t.Run(pages+" "+m, func(t *testing.T) {
				t.Parallel()
				r, p := onePageRig(t)
				answer := p.now()
				if m == auth.MethodRecovery {
					answer = p.codes[0]
				}
				same := r.second("alice", password)
				won, errs := race(50, func(i int) error {
					v := same.v
					v.Addr = netip.AddrFrom4([4]byte{198, 51, 100, byte(i)})
					if pages == "two pages" {
						_, err := r.Prove(t.Context(), v, m, []byte(answer))
						return err
					}
					v.Flow = ""
					_, err := r.SignInAtOnce(t.Context(), v, "alice", password, m, answer, "")
					return err
				})
				if won != 1 {
					t.Errorf("%d succeeded: %v", won, errs)
				}
				if sessions, err := r.Sessions(t.Context(), "alice"); err != nil || len(sessions) != 2 {
					t.Errorf("%d sessions: %v", len(sessions), err)
				}
			})
		}
	}
}

// TestOnePageGuessesInParallel: whatever is guessed, there are as many tries as on two pages.
func TestOnePageGuessesInParallel(t *testing.T) { // S10, S13
	t.Parallel()
	for part, who := range wrongParts {
		for _, at := range []string{"one page", "second page", "password"} {
			t.Run(part+", "+at, func(t *testing.T) {
				t.Parallel()
				r, _ := onePageRig(t)
				b := r.second(who.name, who.password)
				r.clock.Add(time.Minute)
				tried, errs := race(200, func(i int) error {
					v := b.v
					v.Addr = netip.AddrFrom4([4]byte{198, 51, 100, byte(i)})
					var err error
					switch at {
					case "one page":
						_, err = r.SignInAtOnce(t.Context(), v, who.name, who.password, auth.MethodTOTP, "000000", "")
					case "second page":
						_, err = r.Prove(t.Context(), v, auth.MethodTOTP, []byte("000000"))
					default:
						_, err = r.SignIn(t.Context(), v, who.name, who.password, "")
					}
					if errors.Is(err, auth.ErrRejected) {
						return nil
					}
					return err
				})
				for _, err := range errs {
					if err != nil && !throttled(err) && !errors.Is(err, auth.ErrBusy) {
						t.Errorf("unexpected: %v", err)
					}
				}
				if tried == 0 || tried > 5 {
					t.Errorf("%d were answered", tried)
				}
			})
		}
	}
}

// TestOnePageLimitHolds: a hundred in a row, then the method is off for strangers, with the right password too; the person's own
// browser goes on, and opens it again.
func TestOnePageLimitHolds(t *testing.T) { // S10, S12
	for part, who := range wrongParts {
		t.Run(part, func(t *testing.T) {
			r, p := onePageRig(t)
			ctx := t.Context()
			tries := 0
			for range 200 {
				r.clock.Add(61 * time.Minute)
				_, err := r.SignInAtOnce(ctx, stranger(1).v, who.name, who.password, auth.MethodTOTP, "000000", "")
				if slow, ok := errors.AsType[*auth.Throttled](err); ok && slow.Off {
					break
				}
				if !errors.Is(err, auth.ErrRejected) {
					t.Fatal(err)
				}
				tries++
			}
			if tries != 100 {
				t.Errorf("%d tries", tries)
			}
			if who.name != "alice" {
				return
			}
			if _, err := r.SignInAtOnce(ctx, stranger(1).v, "alice", password, auth.MethodTOTP, p.now(), ""); !throttled(err) {
				t.Errorf("the next: %v", err)
			}
			r.must(p.home, auth.StepDone)(r.SignInAtOnce(ctx, p.home.v, "alice", password, auth.MethodTOTP, p.now(), ""))
			r.clock.Add(time.Minute)
			r.must(stranger(1), auth.StepDone)(r.SignInAtOnce(ctx, stranger(1).v, "alice", password, auth.MethodTOTP, p.now(), ""))
		})
	}
}

// TestOnePageGivesTriesBack: whoever finishes has used up none, at the account as at the address.
func TestOnePageGivesTriesBack(t *testing.T) {
	r := newRig(t)
	var people []*person
	for i := range 33 {
		people = append(people, r.person(fmt.Sprint("user", i)))
	}
	r.Realm = r.realm(onePage)
	for i, p := range people {
		b := stranger(1)
		r.must(b, auth.StepVerify)(r.SignIn(t.Context(), b.v, p.name, password, ""))
		if _, err := r.Prove(t.Context(), b.v, auth.MethodTOTP, []byte(p.now())); err != nil {
			t.Fatalf("the sign-in number %d in a minute from one address: %v", i+1, err)
		}
	}
	p := people[0]
	for range 10 {
		r.clock.Add(time.Minute)
		b := r.second(p.name, password)
		r.must(b, auth.StepDone)(r.Prove(t.Context(), b.v, auth.MethodTOTP, []byte(p.now())))
	}
}

// TestOnePageCountsAnAddress: a password without a code is a try, right or wrong.
func TestOnePageCountsAnAddress(t *testing.T) { // S13
	r, _ := onePageRig(t)
	for i := range 40 {
		_, err := r.SignIn(t.Context(), stranger(1).v, fmt.Sprint("nobody", i), password, "")
		if throttled(err) != (i >= 30) {
			t.Fatalf("try %d: %v", i+1, err)
		}
	}
}

// TestNewPeopleSetUp: the right password of somebody who has nothing else, in the time that an admin granted, goes on to that.
func TestNewPeopleSetUp(t *testing.T) {
	r, _ := onePageRig(t)
	ctx := t.Context()
	if _, _, err := r.AddUser(ctx, auth.NewUser{Name: "bob", Password: password}); err != nil {
		t.Fatal(err)
	}
	r.second("bob", "not the password")
	if _, err := r.SignInAtOnce(ctx, stranger(1).v, "bob", password, auth.MethodTOTP, "000000", ""); !errors.Is(err, auth.ErrRejected) {
		t.Errorf("with a code: %v", err)
	}
	b := stranger(1)
	r.must(b, auth.StepEnroll)(r.SignIn(ctx, b.v, "bob", password, ""))
	r.enroll(b)

	if _, _, err := r.AddUser(ctx, auth.NewUser{Name: "carol", Password: password}); err != nil {
		t.Fatal(err)
	}
	r.clock.Add(73 * time.Hour)
	b = r.second("carol", password) // as with a wrong one
	if _, err := r.Prove(ctx, b.v, auth.MethodTOTP, []byte("000000")); !errors.Is(err, auth.ErrRejected) {
		t.Errorf("without anything set up: %v", err)
	}
}

// TestOnePageChangesMidway: a reload that changes how people sign in breaks off nobody's sign-in.
func TestOnePageChangesMidway(t *testing.T) {
	r, p := onePageRig(t)
	ctx := t.Context()
	two := r.realm(nil)
	b := r.second("alice", password)
	r.must(b, auth.StepDone)(two.Prove(ctx, b.v, auth.MethodTOTP, []byte(p.now())))
	wrong := r.second("alice", "not the password")
	r.clock.Add(time.Minute)
	if _, err := two.Prove(ctx, wrong.v, auth.MethodTOTP, []byte(p.now())); !errors.Is(err, auth.ErrRejected) {
		t.Errorf("a wrong password before the change: %v", err)
	}
	r.must(b, auth.StepVerify)(two.SignIn(ctx, b.v, "alice", password, ""))
	r.must(b, auth.StepDone)(r.Prove(ctx, b.v, auth.MethodTOTP, []byte(p.now())))
	if _, err := two.SignInAtOnce(ctx, b.v, "alice", password, auth.MethodTOTP, p.now(), ""); !errors.Is(err, auth.ErrStep) {
		t.Errorf("at once where there are two steps: %v", err)
	}
}
