package auth_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// TestUntoldStoresNothing: neither wrong passwords nor right ones without a code leave more than counters.
func TestUntoldStoresNothing(t *testing.T) {
	r, _ := onePageRig(t)
	ctx := t.Context()
	rest := func() (keys []string) {
		for _, k := range r.keys("") {
			if !strings.HasPrefix(k, "throttle/") {
				keys = append(keys, k)
			}
		}
		return keys
	}
	before := rest()
	for i := range 20 {
		r.clock.Add(61 * time.Second)
		for part, who := range wrongParts {
			b := stranger(byte(i))
			out, err := r.SignIn(ctx, b.v, who.name, who.password, "")
			b.take(out)
			if err != nil && !throttled(err) {
				t.Fatal(part, err)
			}
			_, _ = r.Prove(ctx, b.v, auth.MethodTOTP, []byte("000000"))
			_, _ = r.Prove(ctx, b.v, auth.MethodRecovery, []byte("aaaaa-aaaaa-aaaaa"))
			_, _ = r.SignInAtOnce(ctx, b.v, who.name, who.password, auth.MethodTOTP, "000000", "")
		}
	}
	if after := rest(); !slices.Equal(before, after) {
		t.Errorf("before:\n%q\nafter:\n%q", before, after)
	}
}

// TestUntoldReachesNothing: a password, right or wrong, opens nothing but the pages that ask for more.
func TestUntoldReachesNothing(t *testing.T) { // S53
	for part, who := range wrongParts {
		t.Run(part, func(t *testing.T) {
			r, _ := onePageRig(t)
			ctx := t.Context()
			b := r.second(who.name, who.password)
			before := r.keys("")
			for name, want := range map[string]struct {
				err  error
				call func(auth.Visit) error
			}{
				"begin a set-up": {auth.ErrStep, func(v auth.Visit) error { _, err := r.BeginEnroll(ctx, v, auth.MethodTOTP); return err }},
				"finish a set-up": {auth.ErrStep, func(v auth.Visit) error {
					_, err := r.FinishEnroll(ctx, v, auth.MethodTOTP, "", []byte("000000"))
					return err
				}},
				"make recovery codes":    {auth.ErrStep, func(v auth.Visit) error { _, err := r.MakeRecoveryCodes(ctx, v); return err }},
				"confirm recovery codes": {auth.ErrStep, func(v auth.Visit) error { _, err := r.ConfirmRecoveryCodes(ctx, v); return err }},
				"accept an invitation":   {auth.ErrStep, func(v auth.Visit) error { _, err := r.AcceptInvitation(ctx, v, "alice", password); return err }},
				"prove the password":     {auth.ErrStep, func(v auth.Visit) error { _, err := r.Prove(ctx, v, auth.MethodPassword, []byte(password)); return err }},
				"prove by mail":          {auth.ErrStep, func(v auth.Visit) error { _, err := r.Prove(ctx, v, auth.MethodEmail, []byte("000000")); return err }},
				"ask for mail":           {auth.ErrStep, func(v auth.Visit) error { _, err := r.SendCode(ctx, v); return err }},
				"change something":       {auth.ErrNoSession, func(v auth.Visit) error { _, err := r.Change(ctx, v, auth.Change{Op: auth.ChangeOff}, ""); return err }},
				"upgrade":                {auth.ErrNoSession, func(v auth.Visit) error { _, err := r.UpgradeAsk(ctx, v); return err }},
				"have a session":         {auth.ErrNoSession, func(v auth.Visit) error { _, _, err := r.Session(ctx, v.Host, v.Flow); return err }},
				"answer on another host": {auth.ErrNoFlow, func(v auth.Visit) error {
					v.Host = "wiki.example.com"
					_, err := r.Prove(ctx, v, auth.MethodTOTP, []byte("000000"))
					return err
				}},
				"look from another host": {auth.ErrNoFlow, func(v auth.Visit) error { v.Host = "wiki.example.com"; _, err := r.Progress(ctx, v); return err }},
				"answer with it changed": {auth.ErrNoFlow, func(v auth.Visit) error {
					v.Flow = changed(v.Flow)
					_, err := r.Prove(ctx, v, auth.MethodTOTP, []byte("000000"))
					return err
				}},
				"answer as the browser's": {auth.ErrNoFlow, func(v auth.Visit) error {
					v.Flow, v.Browser = "", v.Flow
					_, err := r.Prove(ctx, v, auth.MethodTOTP, []byte("000000"))
					return err
				}},
			} {
				if err := want.call(b.v); !errors.Is(err, want.err) {
					t.Errorf("%s: %v", name, err)
				}
			}
			p := r.progress(b)
			if p.Step != auth.StepVerify || p.Method != auth.MethodTOTP || !slices.Equal(p.Others, []string{auth.MethodWebAuthn, auth.MethodRecovery}) ||
				p.Enrollable != nil || p.User.ID != "" || p.User.Name != who.name {
				t.Errorf("progress %+v", p)
			}
			if after := r.keys(""); !slices.Equal(before, after) {
				t.Errorf("before:\n%q\nafter:\n%q", before, after)
			}
			r.clock.Add(10 * time.Minute)
			if _, err := r.Prove(ctx, b.v, auth.MethodTOTP, []byte("000000")); !errors.Is(err, auth.ErrNoFlow) {
				t.Errorf("expired: %v", err)
			}
		})
	}
}

// changed is a cookie's value with a character in its midst exchanged.
func changed(value string) string {
	b := []byte(value)
	i := len(b) / 2
	if b[i]++; b[i] == value[i] || b[i] > 'z' {
		b[i] = 'A'
	}
	return string(b)
}

// TestUntoldIsVoid: what becomes of the account meanwhile makes a right password wrong, and says no more.
func TestUntoldIsVoid(t *testing.T) { // S56
	for name, do := range map[string]func(*rig) error{
		"disabled": func(r *rig) error { return r.SetDisabled(r.t.Context(), "alice", true) },
		"disabled twice": func(r *rig) error {
			return errors.Join(r.SetDisabled(r.t.Context(), "alice", true), r.SetDisabled(r.t.Context(), "alice", false))
		},
		"deleted":        func(r *rig) error { return r.DeleteUser(r.t.Context(), "alice") },
		"sessions ended": func(r *rig) error { return r.ResetMFA(r.t.Context(), "alice") },
		"made anew": func(r *rig) error {
			if err := r.DeleteUser(r.t.Context(), "alice"); err != nil {
				return err
			}
			_, _, err := r.AddUser(r.t.Context(), auth.NewUser{Name: "alice", Password: password})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, p := onePageRig(t)
			b := r.second("alice", password)
			if err := do(r); err != nil {
				t.Fatal(err)
			}
			for _, answer := range []string{p.now(), "000000"} {
				if _, err := r.Prove(t.Context(), b.v, auth.MethodTOTP, []byte(answer)); err != auth.ErrRejected { //nolint:errorlint // and nothing but that
					t.Errorf("%v", err)
				}
			}
		})
	}
}

// TestUntoldOfAnotherSignIn: a proof of one password is none for another name, nor in a cookie that somebody made up.
func TestUntoldOfAnotherSignIn(t *testing.T) {
	r, _ := onePageRig(t)
	r.Realm = r.realm(nil)
	bob := r.person("bob")
	r.Realm = r.realm(onePage)
	b := r.second("alice", password)
	if _, err := r.Prove(t.Context(), b.v, auth.MethodTOTP, []byte(bob.now())); !errors.Is(err, auth.ErrRejected) {
		t.Errorf("with bob's code: %v", err)
	}
	half := stranger(2)
	r.must(half, auth.StepVerify)(r.realm(nil).SignIn(t.Context(), half.v, "bob", password, ""))
	if len(half.v.Flow) == len(b.v.Flow) {
		t.Fatal("the cookies are of one kind")
	}
}

// TestUntoldIsKept: that somebody knew the password is written to the account's trail, only later, when time does not tell it.
func TestUntoldIsKept(t *testing.T) { // S77, S88
	r, _ := onePageRig(t)
	ctx := t.Context()
	at := r.clock.Now()
	for _, part := range []string{"right password", "wrong password", "unknown name"} {
		who := wrongParts[part]
		if _, err := r.SignInAtOnce(ctx, stranger(1).v, who.name, who.password, auth.MethodTOTP, "000000", ""); !errors.Is(err, auth.ErrRejected) {
			t.Fatal(err)
		}
		if _, err := r.Prove(ctx, r.second(who.name, who.password).v, auth.MethodRecovery, []byte("000000")); !errors.Is(err, auth.ErrRejected) {
			t.Fatal(err)
		}
	}
	if slices.Contains(r.events(), auth.EventWrongAnswer) {
		t.Error("it is written at once")
	}
	r.clock.Add(time.Minute)
	r.reopen(secret)
	var methods []string
	events, err := r.Activity(ctx, r.user("alice").ID)
	for _, e := range events {
		if e.Name == auth.EventWrongAnswer {
			methods = append(methods, e.Method)
			if !e.Time.Equal(at) || e.Addr != "198.51.100.1" {
				t.Errorf("event %+v", e)
			}
		}
	}
	slices.Sort(methods)
	if err != nil || !slices.Equal(methods, []string{auth.MethodRecovery, auth.MethodTOTP}) {
		t.Errorf("wrong answers of %q, %v", methods, err)
	}
}
