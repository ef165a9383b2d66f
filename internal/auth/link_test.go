package auth_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

func TestLinkFinishesTheBrowserThatBegan(t *testing.T) { // S26
	r := newMailRig(t)
	ctx := t.Context()
	r.reader("alice")
	b := stranger(1)
	r.must(b, auth.StepVerify)(r.SignIn(ctx, b.v, "alice", password, "/x"))
	token := tokenOf(t, r.letter(aliceMail, "Your code"), "link")
	out, code, err := r.FollowLink(ctx, b.v, token)
	if err != nil || code != "" || out.Step != auth.StepDone || out.To != "/x" {
		t.Fatalf("outcome %+v, code %q, %v", out, code, err)
	}
	before := b.v
	b.take(out)
	if !r.signedIn(b) {
		t.Error("not signed in")
	}
	for name, v := range map[string]auth.Visit{"signed in": b.v, "before": before, "elsewhere": stranger(2).v} {
		if _, code, err := r.FollowLink(ctx, v, token); !errors.Is(err, auth.ErrToken) || code != "" {
			t.Errorf("used again, %s: %q, %v", name, code, err)
		}
	}
}

func TestLinkElsewhereShowsTheCodeAndChangesNothing(t *testing.T) { // S26, S28
	r := newMailRig(t)
	ctx := t.Context()
	r.reader("alice")
	r.reader("bob")
	b, own, theirs := stranger(1), stranger(2), stranger(3)
	r.must(b, auth.StepVerify)(r.SignIn(ctx, b.v, "alice", password, ""))
	m := r.letter(aliceMail, "Your code")
	r.half(own, "alice")
	r.half(theirs, "bob")
	moved := *b
	moved.v.Host = "wiki.example.com"
	r.drained()
	before := r.records("")
	for name, v := range map[string]auth.Visit{
		"no flow": stranger(4).v, "a flow of her own": own.v, "somebody else's": theirs.v, "another host": moved.v,
	} {
		out, code, err := r.FollowLink(ctx, v, tokenOf(t, m, "link"))
		if err != nil || code != codeOf(t, m) || len(out.Cookies) > 0 || out.Step == auth.StepDone {
			t.Errorf("%s: outcome %+v, code %q, %v", name, out, code, err)
		}
	}
	if after := r.records(""); !sameRecords(before, after) {
		t.Error("something was stored")
	}
	for _, other := range []*browser{own, theirs} {
		if _, err := r.Prove(ctx, other.v, auth.MethodEmail, []byte(codeOf(t, m))); !errors.Is(err, auth.ErrRejected) {
			t.Errorf("typed in another flow: %v", err)
		}
	}
	r.must(b, auth.StepDone)(r.Prove(ctx, b.v, auth.MethodEmail, []byte(codeOf(t, m))))
}

func sameRecords(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if w, ok := b[k]; !ok || w != v {
			return false
		}
	}
	return true
}

func TestMalformedLinks(t *testing.T) {
	r := newMailRig(t)
	ctx := t.Context()
	r.reader("alice")
	b := stranger(1)
	r.must(b, auth.StepVerify)(r.SignIn(ctx, b.v, "alice", password, ""))
	m := r.letter(aliceMail, "Your code")
	token := tokenOf(t, m, "link")
	changed := []byte(token)
	changed[7] ^= 1
	reset := r.asks(stranger(2), "alice", aliceMail)
	r.drained()
	before := r.records("")
	for name, bad := range map[string]string{
		"nothing": "", "short": token[1:], "long": token + "A", "changed": string(changed), "the code": codeOf(t, m), "long code": strings.Repeat("0", 43),
		"a reset": reset, "spaces": " " + token[:42], "a NUL": token[:42] + "\x00", "a path": "../" + token[:40],
	} {
		for where, who := range map[string]*browser{"here": b, "elsewhere": stranger(3)} {
			if _, code, err := r.FollowLink(ctx, who.v, bad); !errors.Is(err, auth.ErrToken) || code != "" {
				t.Errorf("%s, %s: %q, %v", name, where, code, err)
			}
		}
	}
	for name, bad := range map[string]string{"a link": token, "changed": string(changed), "nothing": "", "short": reset[1:]} {
		if _, err := r.ResetPassword(ctx, b.v, bad, "quite another sentence"); !errors.Is(err, auth.ErrToken) {
			t.Errorf("a reset by %s: %v", name, err)
		}
		if err := r.NotMe(ctx, b.v, bad); !errors.Is(err, auth.ErrToken) {
			t.Errorf("not me by %s: %v", name, err)
		}
		if _, err := r.OpenInvitation(ctx, b.v, bad, ""); !errors.Is(err, auth.ErrToken) {
			t.Errorf("an invitation by %s: %v", name, err)
		}
	}
	if err := r.NotMe(ctx, b.v, reset); !errors.Is(err, auth.ErrToken) {
		t.Errorf("not me by a reset: %v", err)
	}
	if _, err := r.OpenInvitation(ctx, b.v, reset, ""); !errors.Is(err, auth.ErrToken) {
		t.Errorf("an invitation by a reset: %v", err)
	}
	if after := r.records(""); !sameRecords(before, after) {
		t.Error("something was stored")
	}
}

func TestLinkUsedOnceInParallel(t *testing.T) { // S24
	r := newMailRig(t)
	r.reader("alice")
	b := stranger(1)
	r.must(b, auth.StepVerify)(r.SignIn(t.Context(), b.v, "alice", password, ""))
	token := tokenOf(t, r.letter(aliceMail, "Your code"), "link")
	won, errs := race(50, func(int) error {
		out, _, err := r.FollowLink(t.Context(), b.v, token)
		if err == nil && out.Step != auth.StepDone {
			return errors.New("not done")
		}
		return err
	})
	if won != 1 {
		t.Errorf("%d of 50 succeeded: %v", won, errs)
	}
	if sessions, err := r.Sessions(t.Context(), "alice"); err != nil || len(sessions) != 2 {
		t.Errorf("%d sessions: %v", len(sessions), err)
	}
}

func TestLinksComeFromTheConfiguration(t *testing.T) { // S29
	r := newMailRig(t)
	ctx := t.Context()
	r.reader("alice")
	for host, want := range map[string]string{
		"dash.example.com": "https://dash.example.com/.mfa", "wiki.example.com": "https://wiki.example.com/.mfa",
		"evil.example.net": "https://login.example.com/.mfa", "": "https://login.example.com/.mfa",
		"dash.example.com@evil.example.net": "https://login.example.com/.mfa",
	} {
		b := stranger(1)
		b.v.Host, b.v.Origin = host, "https://evil.example.net"
		r.must(b, auth.StepVerify)(r.SignIn(ctx, b.v, "alice", password, ""))
		m := r.letter(aliceMail, "Your code")
		if base, page, _ := linkOf(t, m); base != want || page != "link" || strings.Contains(m.Text+m.HTML, "evil") {
			t.Errorf("at %q: a link to %s/%s in %s", host, base, page, m.Text)
		}
		if !strings.Contains(m.Text, strings.TrimSuffix(strings.TrimPrefix(want, "https://"), "/.mfa")) {
			t.Errorf("at %q: the mail does not name the site: %s", host, m.Text)
		}
		if err := r.Forgot(ctx, b.v, "alice"); err != nil {
			t.Fatal(err)
		}
		m = r.letter(aliceMail, "password")
		if base, _, _ := linkOf(t, m); base != "https://login.example.com/.mfa" || strings.Contains(m.Text+m.HTML, "evil") {
			t.Errorf("a reset from %q: a link to %s", host, base)
		}
		r.clock.Add(12 * time.Hour)
	}
}

// TestMailSaysNothingOfTheClientThatIsNotTrue: what the browser calls itself must not become a link or a line of its own.
func TestMailSaysNothingOfTheClientThatIsNotTrue(t *testing.T) { // S31
	r := newMailRig(t)
	r.reader("alice")
	b := stranger(1)
	b.v.UserAgent = "Evil/1.0 (https://evil.example.net/; x)\r\nBcc: bob@example.com\r\n\r\nhttps://evil.example.net/"
	r.must(b, auth.StepVerify)(r.SignIn(t.Context(), b.v, "alice", password, ""))
	m := r.letter(aliceMail, "Your code")
	if strings.Contains(m.Text+m.HTML+m.Subject, "evil.example.net") || strings.Contains(m.Text, "\nBcc") {
		t.Errorf("mail %q", m.Text)
	}
}

// TestNothingMailedStandsInTheClear: whoever reads the store's files has no code and no link.
func TestNothingMailedStandsInTheClear(t *testing.T) { // S22, S78
	r := newMailRig(t)
	ctx := t.Context()
	p := r.member("alice")
	var secrets []string
	cleared := func(when string) {
		t.Helper()
		r.drained()
		r.inbox.mu.Lock()
		for _, m := range r.inbox.all {
			if found := codeLine.FindStringSubmatch(m.Text); found != nil {
				secrets = append(secrets, found[1])
			}
			if found := linkLine.FindStringSubmatch(m.Text); found != nil {
				secrets = append(secrets, found[3])
			}
		}
		r.inbox.mu.Unlock()
		for k, v := range r.records("") {
			for _, s := range secrets {
				if k != "meta/schema" && len(s) > 6 && strings.Contains(k+v, s) || strings.Contains(v, `"`+s+`"`) {
					t.Errorf("%s: the record %s holds %s in the clear", when, k, s)
				}
			}
		}
	}
	cleared("the set-up")
	b := stranger(1)
	r.must(b, auth.StepVerify)(r.SignIn(ctx, b.v, "alice", password, ""))
	r.must(b, auth.StepVerify)(r.SendCode(ctx, b.v))
	cleared("a code")
	r.asks(b, "alice", aliceMail)
	cleared("a reset")
	r.clock.Add(time.Hour)
	b = stranger(2)
	r.signIn(p, b)
	cleared("a notice")
	r.must(b, auth.StepEnroll)(r.Change(ctx, b.v, auth.Change{Op: auth.ChangeAddress, Address: malloryMail}, ""))
	cleared("an address to confirm")
	if _, _, err := r.AddUser(ctx, auth.NewUser{Name: "carol", Email: "carol@example.com"}); err != nil {
		t.Fatal(err)
	}
	cleared("an invitation")
	if len(secrets) < 6 {
		t.Errorf("only %d were looked for", len(secrets))
	}
	r.state.UsePost(nil) // those that wait
	r.clock.Add(24 * time.Hour)
	r.must(b, auth.StepVerify)(r.SignIn(ctx, stranger(3).v, "alice", password, ""))
	cleared("waiting")
	r.reopen(secret)
	secrets = slices.DeleteFunc(secrets, func(s string) bool { return len(s) == 6 }) // files hold six digits by chance
	if found := grepDir(t, r.dir, secrets...); found != "" {
		t.Errorf("a link stands in the clear in %s", found)
	}
}
