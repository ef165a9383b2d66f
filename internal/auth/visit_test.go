package auth_test

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// TestVisitWithoutAnAddress: as over a Unix socket. Mails leave it out.
func TestVisitWithoutAnAddress(t *testing.T) {
	t.Parallel()
	r := newMailRig(t)
	ctx := t.Context()
	p, b := r.member("alice"), stranger(1)
	b.v.Addr = netip.Addr{}
	r.must(b, auth.StepVerify)(r.SignIn(ctx, b.v, "alice", password, ""))
	r.must(b, auth.StepVerify)(r.SendCode(ctx, b.v))
	r.must(b, auth.StepDone)(r.Prove(ctx, b.v, auth.MethodTOTP, []byte(p.now())))
	r.must(b, auth.StepEnroll)(r.Change(ctx, b.v, auth.Change{Op: auth.ChangeAddress, Address: malloryMail}, ""))
	if err := r.Forgot(ctx, b.v, "alice"); err != nil {
		t.Fatal(err)
	}
	for to, subjects := range map[string][]string{aliceMail: {"Your code", "New sign-in", "password"}, malloryMail: {"Confirm"}} {
		for _, subject := range subjects {
			m := r.letter(to, subject)
			if strings.Contains(m.Text+m.HTML, "invalid") || !strings.Contains(m.Text, "Chrome on Windows") {
				t.Errorf("%s: %s", m.Subject, m.Text)
			}
		}
	}
}

// TestMailIsGoneSinceAReload: a flow that waits for a code gets none, and goes on by what else there is.
func TestMailIsGoneSinceAReload(t *testing.T) {
	t.Parallel()
	for name, without := range map[string]func(*auth.Config){
		"mail": func(c *auth.Config) { c.Mail = nil },
		"mail and method": func(c *auth.Config) {
			c.Mail = nil
			c.Methods = slices.DeleteFunc(c.Methods, func(m auth.Method) bool { return m.Name() == auth.MethodEmail })
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newMailRig(t)
			ctx := t.Context()
			p := r.member("alice")
			b := stranger(1)
			r.must(b, auth.StepVerify)(r.SignIn(ctx, b.v, "alice", password, ""))
			r.must(b, auth.StepVerify)(r.SendCode(ctx, b.v))
			code := r.sentCode(aliceMail)
			change := signedInAgain(r, p)
			r.must(change, auth.StepEnroll)(r.Change(ctx, change.v, auth.Change{Op: auth.ChangeAddress, Address: malloryMail}, ""))
			confirm := codeOf(t, r.letter(malloryMail, "Confirm"))
			bare := r.realm(without)
			for where, v := range map[string]auth.Visit{"sign-in": b.v, "change": change.v} {
				if _, err := bare.SendCode(ctx, v); !errors.Is(err, auth.ErrStep) {
					t.Errorf("%s: a code: %v", where, err)
				}
				if p, err := bare.Progress(ctx, v); err != nil || p.Mail != nil {
					t.Errorf("%s: %+v, %v", where, p.Mail, err)
				}
			}
			if _, err := bare.Prove(ctx, b.v, auth.MethodEmail, []byte(code)); err == nil {
				t.Error("a code of before")
			}
			if _, err := bare.FinishEnroll(ctx, change.v, auth.MethodEmail, "", []byte(confirm)); err == nil {
				t.Error("an address of before")
			}
			r.must(b, auth.StepDone)(bare.Prove(ctx, b.v, auth.MethodTOTP, []byte(p.now())))
			r.index("afterwards", map[string]string{aliceMail: "alice"})
		})
	}
}

// TestCodeForAChangeSaysSo: it has no link, which would sign in whoever follows it.
func TestCodeForAChangeSaysSo(t *testing.T) { // S26
	t.Parallel()
	r := newMailRig(t)
	ctx := t.Context()
	b := r.reader("alice").home
	r.clock.Add(11 * time.Minute)
	out := r.must(b, auth.StepVerify)(r.Change(ctx, b.v, auth.Change{Op: auth.ChangeName, Label: "Alice"}, ""))
	if out.Method != auth.MethodEmail {
		r.must(b, auth.StepVerify)(r.Prove(ctx, b.v, auth.MethodPassword, []byte(password)))
	}
	m := r.letter(aliceMail, "Your code")
	if !strings.Contains(m.Text, "confirms that it is you") || strings.Contains(m.Text, "/link#") {
		t.Errorf("%s", m.Text)
	}
	other := stranger(1)
	r.must(other, auth.StepVerify)(r.SignIn(ctx, other.v, "alice", password, ""))
	if m := r.letter(aliceMail, "Your code"); strings.Contains(m.Text, "confirms that it is you") || !strings.Contains(m.Text, "/link#") {
		t.Errorf("for a sign-in: %s", m.Text)
	}
}
