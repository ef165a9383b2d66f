package auth_test

import (
	"strings"
	"testing"
	"time"
)

// TestMailsFollowTheLastSignIn: mails are in the language of the last sign-in in a known browser, so that an intruder's language is not that of
// the mail which warns of them.
func TestMailsFollowTheLastSignIn(t *testing.T) {
	r := newMailRig(t)
	p := r.member("alice")
	lang := func() string { return r.user("alice").Lang }
	p.home.v.Lang = "de"
	r.signIn(p, p.home)
	if got := lang(); got != "de" {
		t.Fatalf("the account reads %q", got)
	}
	intruder := stranger(7)
	intruder.v.Lang = "en"
	r.signIn(p, intruder)
	m := r.letter(aliceMail, "Neue Anmeldung")
	if !strings.Contains(m.Text, "Chrome unter Windows") || !strings.Contains(m.HTML, `<html lang="de">`) {
		t.Error(m.Text)
	}
	if got := lang(); got != "de" {
		t.Errorf("after a stranger the account reads %q", got)
	}
	r.clock.Add(time.Hour)
	p.home.v.Lang = "en"
	r.signIn(p, p.home)
	if got := lang(); got != "en" {
		t.Errorf("after a change the account reads %q", got)
	}
	p.home.v.Lang = "" // a request that says nothing
	r.signIn(p, p.home)
	if got := lang(); got != "en" {
		t.Errorf("after nothing was said the account reads %q", got)
	}
}
