package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
)

// asked returns a visitor who has given the password and is asked for the code of a mail, and that mail.
func asked(t *testing.T, o *post, s *rig.Server, p *rig.Person, addr string) (*rig.Visitor, *letter) {
	t.Helper()
	v := rig.NewVisitor(s.URL)
	v.Addr = addr
	page, err := v.Post(t.Context(), "/.mfa/login", url.Values{"name": {p.Name}, "password": {p.Password}})
	if err != nil {
		t.Fatal(err)
	}
	if to := page.Header.Get("Location"); page.Status != http.StatusSeeOther || !strings.HasPrefix(to, "/.mfa/verify/email") {
		t.Fatalf("the password leads to %d %s: %s", page.Status, to, page.Text())
	}
	if signedIn(t, v) { // S53
		t.Fatal("a password alone reaches the app")
	}
	return v, o.open(address(p.Name), aCode)
}

// submit posts a form and returns the answer.
func submit(t *testing.T, v *rig.Visitor, path string, fields ...string) *rig.Page {
	t.Helper()
	form := url.Values{}
	for i := 0; i+1 < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	page, err := v.Post(t.Context(), path, form)
	if err != nil {
		t.Fatal(err)
	}
	return page
}

// another is a code of six digits that is not this one.
func another(code string) string {
	if code == "000000" {
		return "000001"
	}
	return "000000"
}

// TestMailedCodeTakesFiveGuesses guesses. After the fifth wrong one the right one is worth nothing, typed or as a link.
func TestMailedCodeTakesFiveGuesses(t *testing.T) { // S27
	t.Parallel()
	o := openPost(t)
	s := startMailing(t, o)
	alice, _ := o.member(s, "alice")
	v, mail := asked(t, o, s, alice, "203.0.113.1")
	code := mail.code(t)
	for i := range 5 {
		if page := submit(t, v, "/.mfa/verify/email", "code", another(code)); page.Status != http.StatusUnauthorized {
			t.Errorf("wrong code %d gives %d, want 401: %s", i+1, page.Status, page.Text())
		}
	}
	if page := submit(t, v, "/.mfa/verify/email", "code", code); page.Status != http.StatusUnauthorized && page.Status != http.StatusTooManyRequests {
		t.Errorf("the right code after five wrong ones gives %d, want 401 or 429: %s", page.Status, page.Text())
	}
	for _, who := range []*rig.Visitor{v, rig.NewVisitor(s.URL)} {
		page := submit(t, who, "/.mfa/link", "token", mail.token(t))
		if page.Status != http.StatusUnprocessableEntity || strings.Contains(page.Text(), code) {
			t.Errorf("the link after five wrong codes gives %d: %s", page.Status, page.Text())
		}
	}
	if signedIn(t, v) {
		t.Error("signed in")
	}
}

// overload posts what f gives n times at once, again where the server was too busy, and counts the answers.
func overload(t *testing.T, n int, f func(i int) int) map[int]int {
	t.Helper()
	got := map[int]int{}
	for left := n; left > 0; {
		round := atOnce(left, f)
		left = round[http.StatusServiceUnavailable]
		delete(round, http.StatusServiceUnavailable)
		for status, n := range round {
			got[status] += n
		}
	}
	return got
}

// TestMailsAreCapped asks a hundred times at once for codes, and as often for resets, by name and by address. The mailbox holds what
// the limit allows.
func TestMailsAreCapped(t *testing.T) { // S15, S88
	t.Parallel()
	o := openPost(t)
	s := startMailing(t, o)
	alice, _ := o.member(s, "alice")
	v, _ := asked(t, o, s, alice, "203.0.113.1")
	clones := make([]*rig.Visitor, 100)
	for i := range clones {
		clones[i] = v.Clone()
		clones[i].Addr = fmt.Sprintf("2001:db8:0:%x::1", i)
	}
	post := func(path string, form func(i int) url.Values) map[int]int {
		return overload(t, len(clones), func(i int) int {
			page, err := clones[i].Post(t.Context(), path, form(i))
			if err != nil {
				t.Error(err)
				return 0
			}
			if page.Status == http.StatusTooManyRequests && page.Header.Get("Retry-After") == "" {
				t.Error("429 without Retry-After")
			}
			return page.Status
		})
	}
	codes := post("/.mfa/verify/email/send", func(int) url.Values { return nil })
	resets := post("/.mfa/forgot", func(i int) url.Values {
		return url.Values{"name": {[]string{alice.Name, " ALICE", address("alice"), "Alice@EXAMPLE.com"}[i%4]}}
	})
	if codes[http.StatusSeeOther] != 4 || codes[http.StatusTooManyRequests] != 96 {
		t.Errorf("100 requests for a code got %v, want 4 times 303 (the fifth code came with the password) and else 429", codes)
	}
	if resets[http.StatusSeeOther] != 100 {
		t.Errorf("100 requests for a reset got %v, want 303: nobody learns of the limit", resets)
	}
	o.open(address("alice"), aReset)
	o.settled(s, "bob")
	if codes, resets := o.count(address("alice"), aCode), o.count(address("alice"), aReset); codes != 5 || resets != 3 {
		t.Errorf("alice has %d codes and %d resets, want 5 and 3", codes, resets)
	}
	// One of a hundred addresses that asks on its own is held back.
	one := rig.NewVisitor(s.URL)
	one.Addr = "203.0.113.2"
	throttled := overload(t, 60, func(i int) int {
		page, err := one.Post(t.Context(), "/.mfa/forgot", url.Values{"name": {fmt.Sprintf("nobody%d", i)}})
		if err != nil {
			t.Error(err)
			return 0
		}
		return page.Status
	})
	if throttled[http.StatusTooManyRequests] == 0 {
		t.Errorf("60 requests from one address got %v", throttled)
	}
}

// TestForgotTellsNothing asks for resets of somebody who exists and of nobody, by name and by address. The answers are alike, also in
// how long they take.
func TestForgotTellsNothing(t *testing.T) { // S88
	t.Parallel()
	o := openPost(t)
	s := startMailing(t, o)
	o.member(s, "alice")
	names := []string{"alice", "malory", address("alice"), address("malory")} // as long as each other
	// At once: a burst would find out whether there is work behind an answer.
	for i, name := range slices.Repeat(names, 3) {
		got := atOnce(28, func(int) int {
			v := rig.NewVisitor(s.URL)
			v.Addr = fmt.Sprintf("203.0.113.%d", i+1)
			page, err := v.Post(t.Context(), "/.mfa/forgot", url.Values{"name": {name}})
			if err != nil {
				t.Error(err)
				return 0
			}
			return page.Status
		})
		if got[http.StatusSeeOther] != 28 {
			t.Errorf("28 requests at once for %s got %v, want 303", name, got)
		}
	}
	// One after the other. 503 means that more of them wait than a thousand addresses may send; it is taken again.
	type answer struct {
		status int
		header string
		body   string
	}
	seen := map[answer][]string{}
	times := make([][]time.Duration, len(names))
	const tries = 300
	for i := range tries {
		for _, j := range rand.Perm(len(names)) {
			v := rig.NewVisitor(s.URL)
			v.Addr = fmt.Sprintf("2001:db8:%x:%x::1", j, i)
			var page *rig.Page
			var took time.Duration
			for page == nil || page.Status == http.StatusServiceUnavailable {
				if page != nil {
					<-time.After(100 * time.Millisecond)
				}
				begun := time.Now()
				page = submit(t, v, "/.mfa/forgot", "name", names[j])
				took = time.Since(begun)
			}
			times[j] = append(times[j], took)
			page.Header.Del("Date")
			a := answer{page.Status, fmt.Sprint(page.Header), string(page.Body)}
			if !slices.Contains(seen[a], names[j]) {
				seen[a] = append(seen[a], names[j])
			}
		}
	}
	if len(seen) != 1 {
		t.Errorf("%d different answers: %+v", len(seen), seen)
	}
	for a := range seen {
		if a.status != http.StatusSeeOther {
			t.Errorf("the answer is %+v", a)
		}
	}
	// By rank: in how many of all pairs was the one slower? A half, if nothing tells them apart.
	for i := range names {
		for j := range i {
			p := slower(times[i], times[j])
			t.Logf("%s takes longer than %s in %.0f %% of all cases", names[i], names[j], 100*p)
			if p < 0.2 || p > 0.8 {
				t.Errorf("the time tells %s from %s", names[i], names[j])
			}
		}
	}
	if n := o.count(address("malory"), ""); n != 0 {
		t.Errorf("nobody got %d mails", n)
	}
}

// slower is the part of all pairs in which the value of a is above that of b (the statistic of Mann and Whitney).
func slower(a, b []time.Duration) float64 {
	sum := 0.0
	for _, x := range a {
		for _, y := range b {
			switch {
			case x > y:
				sum++
			case x == y:
				sum += 0.5
			}
		}
	}
	return sum / float64(len(a)*len(b))
}
