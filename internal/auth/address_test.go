package auth_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

func addressTo(to string) auth.Change { return auth.Change{Op: auth.ChangeAddress, Address: to} }

func TestAddressChangeNeedsFreshProofs(t *testing.T) { // S58
	r := newMailRig(t)
	ctx := t.Context()
	p := r.member("alice")
	b := signedInAgain(r, p)
	r.clock.Add(20 * time.Minute)
	old := b.v
	r.must(b, auth.StepVerify)(r.Change(ctx, b.v, addressTo(malloryMail), "/.mfa/security"))
	r.noMail("before anything was proven")
	for _, m := range []string{auth.MethodEmail, auth.MethodTOTP} {
		if _, err := r.FinishEnroll(ctx, b.v, m, "", []byte("000000")); !errors.Is(err, auth.ErrStep) {
			t.Errorf("%s: %v", m, err)
		}
	}
	out := r.must(b, auth.StepVerify)(r.Prove(ctx, b.v, auth.MethodTOTP, []byte(p.now())))
	if out.Method != auth.MethodPassword {
		t.Errorf("asks for %q", out.Method)
	}
	r.noMail("with one kind")
	out = r.must(b, auth.StepEnroll)(r.Prove(ctx, b.v, auth.MethodPassword, []byte(password)))
	if out.Method != auth.MethodEmail {
		t.Errorf("sets up %q", out.Method)
	}
	got := r.progress(b)
	if got.Mail == nil || got.Mail.To != malloryMail || !got.Mail.Sent {
		t.Errorf("mail %+v", got.Mail)
	}
	code := codeOf(t, r.letter(malloryMail, "Confirm"))
	r.noMail("to the old address, so far")
	r.index("not confirmed", map[string]string{aliceMail: "alice"})
	if _, err := r.FinishEnroll(ctx, b.v, auth.MethodEmail, "", wrongCode(code)); !errors.Is(err, auth.ErrRejected) {
		t.Errorf("a wrong code: %v", err)
	}
	out = r.must(b, auth.StepDone)(r.FinishEnroll(ctx, b.v, auth.MethodEmail, "", []byte(code[:3]+" "+code[3:])))
	if out.Changed != auth.ChangeAddress || out.To != "/.mfa/security" {
		t.Errorf("outcome %+v", out)
	}
	r.index("changed", map[string]string{malloryMail: "alice"})
	if b.v.Session == old.Session || r.signedIn(&browser{old}) || !r.signedIn(b) { // S52
		t.Error("the token was not rotated")
	}
	m := r.letter(aliceMail, "address changed")
	r.noMail("anything else")
	// Signing in by the old one is over, by the new one it works.
	other := stranger(1)
	if _, err := r.SignIn(ctx, other.v, aliceMail, password, ""); !errors.Is(err, auth.ErrRejected) {
		t.Errorf("by the old address: %v", err)
	}
	r.must(other, auth.StepVerify)(r.SignIn(ctx, other.v, strings.ToUpper(malloryMail), password, ""))
	r.must(other, auth.StepVerify)(r.SendCode(ctx, other.v))
	r.must(other, auth.StepDone)(r.Prove(ctx, other.v, auth.MethodEmail, []byte(codeOf(t, r.letter(malloryMail, "Your code")))))
	if err := r.NotMe(ctx, stranger(2).v, notMe(t, m)); err != nil {
		t.Fatal(err)
	}
	r.index("restored", map[string]string{aliceMail: "alice"})
	if r.signedIn(b) || r.signedIn(other) {
		t.Error("signed in")
	}
}

func TestAddressesThatAreRefused(t *testing.T) { // S31
	r := newMailRig(t)
	ctx := t.Context()
	b := signedInAgain(r, r.member("alice"))
	r.clear()
	for name, bad := range map[string]string{
		"nothing": "", "no address": "alice", "the same": aliceMail, "the same, with spaces": " " + aliceMail + " ",
		"CRLF": "x@example.com\r\nBcc: bob@example.com", "LF": "x@example.com\nBcc: b@example.com", "NUL": "x@example.com\x00",
		"two": "x@example.com, y@example.com", "two, no space": "x@example.com,y@example.com", "a name": "Alice <x@example.com>", "brackets": "<x@example.com>",
		"a comment": "x@example.com (Alice)", "quotes": `"x y"@example.com`, "two @": "x@y@example.com", "a group": "g:x@example.com;",
		"too long": strings.Repeat("x", 250) + "@example.com", "long local part": strings.Repeat("x", 65) + "@example.com", "an IP address": "x@[192.0.2.1]",
		"writing direction": "x\u202e@example.com", "zero width": "x\u200b@example.com", "not UTF-8": "x\xff@example.com", "percent": "x@exa mple.com",
	} {
		var invalid *auth.Invalid
		if _, err := r.Change(ctx, b.v, addressTo(bad), ""); !errors.As(err, &invalid) || invalid.Field != "email" {
			t.Errorf("%s: %v", name, err)
		}
	}
	r.noMail("to what is no address")
	// A host in another script is one.
	r.must(b, auth.StepEnroll)(r.Change(ctx, b.v, addressTo("alice@bücher.example"), ""))
	r.must(b, auth.StepDone)(r.FinishEnroll(ctx, b.v, auth.MethodEmail, "", []byte(codeOf(t, r.letter("alice@bücher.example", "Confirm")))))
	r.index("IDN", map[string]string{"alice@bücher.example": "alice"})
}

func TestAddressOfAnotherAccount(t *testing.T) { // S87, S88
	r := newMailRig(t)
	ctx := t.Context()
	r.reader("bob")
	b := signedInAgain(r, r.member("alice"))
	r.clear()
	r.must(b, auth.StepEnroll)(r.Change(ctx, b.v, addressTo("BOB@example.com"), "")) // does not tell that it is taken
	code := codeOf(t, r.letter("BOB@example.com", "Confirm"))
	if _, err := r.FinishEnroll(ctx, b.v, auth.MethodEmail, "", wrongCode(code)); !errors.Is(err, auth.ErrRejected) {
		t.Errorf("a wrong code: %v", err)
	}
	var invalid *auth.Invalid
	if _, err := r.FinishEnroll(ctx, b.v, auth.MethodEmail, "", []byte(code)); !errors.As(err, &invalid) {
		t.Errorf("the code: %v", err)
	}
	r.index("refused", map[string]string{aliceMail: "alice", bobMail: "bob"})
	r.noMail("nothing changed")
}

func TestAddressCodeHasFiveTries(t *testing.T) { // S27
	r := newMailRig(t)
	ctx := t.Context()
	b := signedInAgain(r, r.member("alice"))
	r.must(b, auth.StepEnroll)(r.Change(ctx, b.v, addressTo(malloryMail), ""))
	code := codeOf(t, r.letter(malloryMail, "Confirm"))
	_, errs := race(30, func(int) error {
		_, err := r.FinishEnroll(ctx, b.v, auth.MethodEmail, "", wrongCode(code))
		return err
	})
	tried := 0
	for _, err := range errs {
		var hint *auth.Hint
		if errors.Is(err, auth.ErrRejected) && !errors.As(err, &hint) {
			tried++
		}
	}
	if tried == 0 || tried > 5 {
		t.Errorf("%d guesses were verified", tried)
	}
	for range 5 {
		if _, err := r.FinishEnroll(ctx, b.v, auth.MethodEmail, "", wrongCode(code)); !errors.Is(err, auth.ErrRejected) && !throttled(err) {
			t.Fatal(err)
		}
	}
	r.clock.Add(time.Minute)
	var hint *auth.Hint
	if _, err := r.FinishEnroll(ctx, b.v, auth.MethodEmail, "", []byte(code)); !errors.As(err, &hint) {
		t.Errorf("the right code as the sixth: %v", err)
	}
	r.index("guessed", map[string]string{aliceMail: "alice"})
	r.must(b, auth.StepEnroll)(r.SendCode(ctx, b.v))
	newer := codeOf(t, r.letter(malloryMail, "Confirm"))
	if _, err := r.FinishEnroll(ctx, b.v, auth.MethodEmail, "", []byte(code)); !errors.Is(err, auth.ErrRejected) { // S26
		t.Errorf("the old code: %v", err)
	}
	r.must(b, auth.StepDone)(r.FinishEnroll(ctx, b.v, auth.MethodEmail, "", []byte(newer)))
}

// TestCodesForTheOldAddressAndTheNew: what the old mailbox got confirms nothing new, and what the new one got proves nothing.
func TestCodesForTheOldAddressAndTheNew(t *testing.T) { // S58
	r := newMailRig(t)
	ctx := t.Context()
	p := r.reader("alice")
	r.clock.Add(20 * time.Minute)
	b := p.home
	r.must(b, auth.StepVerify)(r.Change(ctx, b.v, addressTo(malloryMail), ""))
	r.must(b, auth.StepVerify)(r.SendCode(ctx, b.v))
	m := r.letter(aliceMail, "Your code")
	if strings.Contains(m.Text, "#") {
		t.Error("the code of a fresh proof comes with a link")
	}
	toOld := codeOf(t, m)
	r.must(b, auth.StepVerify)(r.Prove(ctx, b.v, auth.MethodPassword, []byte(password))) // asks for mail, and sends one
	if r.progress(b).Step != auth.StepVerify {
		t.Fatal("one kind was enough")
	}
	if _, err := r.Prove(ctx, b.v, auth.MethodEmail, []byte(toOld)); !errors.Is(err, auth.ErrRejected) {
		t.Errorf("the code before: %v", err)
	}
	toOld = r.sentCode(aliceMail)
	if _, err := r.FinishEnroll(ctx, b.v, auth.MethodEmail, "", []byte(toOld)); !errors.Is(err, auth.ErrStep) {
		t.Errorf("the new address by the code to the old one: %v", err)
	}
	r.must(b, auth.StepEnroll)(r.Prove(ctx, b.v, auth.MethodEmail, []byte(toOld)))
	toNew := codeOf(t, r.letter(malloryMail, "Confirm"))
	if _, err := r.FinishEnroll(ctx, b.v, auth.MethodEmail, "", []byte(toOld)); toOld != toNew && !errors.Is(err, auth.ErrRejected) {
		t.Errorf("the old code for the new address: %v", err)
	}
	if _, err := r.Prove(ctx, b.v, auth.MethodEmail, []byte(toNew)); !errors.Is(err, auth.ErrStep) {
		t.Errorf("a proof by the code to the new address: %v", err)
	}
	// The proofs grow old while the code waits. It proves nothing then, and confirms nothing.
	r.clock.Add(9 * time.Minute)
	r.must(b, auth.StepEnroll)(r.SendCode(ctx, b.v))
	toNew = codeOf(t, r.letter(malloryMail, "Confirm"))
	r.clock.Add(2 * time.Minute)
	if got := r.progress(b); got.Step != auth.StepVerify || got.Mail == nil || got.Mail.Sent || got.Mail.To == malloryMail {
		t.Errorf("progress %+v, mail %+v", got, got.Mail)
	}
	if _, err := r.FinishEnroll(ctx, b.v, auth.MethodEmail, "", []byte(toNew)); !errors.Is(err, auth.ErrStep) {
		t.Errorf("with old proofs: %v", err)
	}
	if _, err := r.Prove(ctx, b.v, auth.MethodEmail, []byte(toNew)); !errors.Is(err, auth.ErrRejected) {
		t.Errorf("a proof by the code to the new address: %v", err)
	}
	r.index("not changed", map[string]string{aliceMail: "alice"})
}

// TestSignInThatBeganBeforeTheAddressChanged: the code went to a mailbox that proves nothing any more.
func TestSignInThatBeganBeforeTheAddressChanged(t *testing.T) {
	r := newMailRig(t)
	ctx := t.Context()
	p := r.member("alice")
	b := signedInAgain(r, p)
	r.clear()
	half := stranger(1)
	r.must(half, auth.StepVerify)(r.SignIn(ctx, half.v, "alice", password, ""))
	r.must(half, auth.StepVerify)(r.SendCode(ctx, half.v))
	m := r.letter(aliceMail, "Your code")
	reset := r.asks(stranger(2), "alice", aliceMail)
	if _, err := r.Invite(ctx, "alice"); err != nil {
		t.Fatal(err)
	}
	invite := tokenOf(t, r.letter(aliceMail, "invitation"), "invite")
	r.must(b, auth.StepEnroll)(r.Change(ctx, b.v, addressTo("alice@example.org"), ""))
	r.must(b, auth.StepDone)(r.FinishEnroll(ctx, b.v, auth.MethodEmail, "", []byte(codeOf(t, r.letter("alice@example.org", "Confirm")))))
	for _, answer := range []string{codeOf(t, m), tokenOf(t, m, "link")} {
		if _, err := r.Prove(ctx, half.v, auth.MethodEmail, []byte(answer)); !errors.Is(err, auth.ErrRejected) {
			t.Errorf("the answer: %v", err)
		}
	}
	if _, err := r.ResetPassword(ctx, stranger(2).v, reset, newPassword); !errors.Is(err, auth.ErrToken) {
		t.Errorf("a reset that went to the old address: %v", err)
	}
	if _, err := r.OpenInvitation(ctx, stranger(2).v, invite, ""); !errors.Is(err, auth.ErrToken) {
		t.Errorf("an invitation that went to the old address: %v", err)
	}
	r.must(half, auth.StepVerify)(r.SendCode(ctx, half.v))
	r.must(half, auth.StepDone)(r.Prove(ctx, half.v, auth.MethodEmail, []byte(codeOf(t, r.letter("alice@example.org", "Your code")))))
}

func TestTwoWhoWantOneAddress(t *testing.T) { // S91
	r := newMailRig(t)
	ctx := t.Context()
	var browsers []*browser
	var codes []string
	for _, name := range []string{"alice", "bob"} {
		b := signedInAgain(r, r.member(name))
		r.must(b, auth.StepEnroll)(r.Change(ctx, b.v, addressTo("team@example.org"), ""))
		browsers, codes = append(browsers, b), append(codes, codeOf(t, r.letter("team@example.org", "Confirm")))
	}
	won, errs := race(2, func(i int) error {
		_, err := r.FinishEnroll(ctx, browsers[i].v, auth.MethodEmail, "", []byte(codes[i]))
		return err
	})
	if won != 1 {
		t.Errorf("%d succeeded: %v", won, errs)
	}
	index := r.records("user-email/")
	users, err := r.Users(ctx)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, u := range users {
		if u.EmailConfirmed && u.Email == "team@example.org" && index["user-email/team@example.org"] == u.ID {
			n++
		}
	}
	if n != 1 || len(index) != 2 {
		t.Errorf("%d have it; index %v", n, index)
	}
}

func TestAddressWhereMailIsNoMethod(t *testing.T) {
	r := newMailRig(t, func(c *auth.Config) {
		c.Methods = slices.DeleteFunc(c.Methods, func(m auth.Method) bool { return m.Name() == auth.MethodEmail })
	})
	ctx := t.Context()
	p := r.person("alice")
	b := p.home
	r.must(b, auth.StepVerify)(r.SignIn(ctx, b.v, "alice", password, ""))
	r.must(b, auth.StepDone)(r.Prove(ctx, b.v, auth.MethodTOTP, []byte(p.now())))
	r.clock.Add(time.Minute)
	r.must(b, auth.StepEnroll)(r.Change(ctx, b.v, addressTo(aliceMail), ""))
	r.must(b, auth.StepDone)(r.FinishEnroll(ctx, b.v, auth.MethodEmail, "", []byte(codeOf(t, r.letter(aliceMail, "Confirm")))))
	r.index("confirmed", map[string]string{aliceMail: "alice"})
	if u := r.user("alice"); slices.Contains(u.Enrolled, auth.MethodEmail) {
		t.Errorf("enrolled %q", u.Enrolled)
	}
	other := stranger(1)
	r.must(other, auth.StepVerify)(r.SignIn(ctx, other.v, aliceMail, password, ""))
	if _, err := r.SendCode(ctx, other.v); !errors.Is(err, auth.ErrStep) {
		t.Errorf("a code: %v", err)
	}
	r.clock.Add(time.Minute)
	r.must(other, auth.StepVerify)(r.ResetPassword(ctx, other.v, r.asks(other, "alice", aliceMail), newPassword))
	r.must(other, auth.StepDone)(r.Prove(ctx, other.v, auth.MethodTOTP, []byte(p.now())))
	// Where mail becomes a method later, the address is one at once, and it is still one record.
	r.change = nil
	r.reopen(secret)
	r.clock.Add(time.Hour)
	other = stranger(2)
	r.must(other, auth.StepVerify)(r.SignIn(ctx, other.v, "alice", newPassword, ""))
	r.must(other, auth.StepVerify)(r.SendCode(ctx, other.v))
	r.must(other, auth.StepDone)(r.Prove(ctx, other.v, auth.MethodEmail, []byte(r.sentCode(aliceMail))))
	r.index("a method", map[string]string{aliceMail: "alice"})
	if err := r.ResetMFA(ctx, "alice"); err != nil {
		t.Fatal(err)
	}
	r.index("reset-mfa", nil)
	if err := r.DeleteUser(ctx, "alice"); err != nil {
		t.Fatal(err)
	}
	r.index("deleted", nil)
}
