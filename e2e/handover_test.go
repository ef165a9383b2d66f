package e2e

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
)

// went does something, and returns the pages and redirects that the browser asked for meanwhile, as host and path without the query.
func (b *tab) went(do func()) (hops []string) {
	b.t.Helper()
	b.mu.Lock()
	begun := len(b.pages)
	b.mu.Unlock()
	do()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, page := range b.pages[begun:] {
		u, err := url.Parse(page)
		if err != nil {
			b.t.Fatal(err)
		}
		hops = append(hops, u.Hostname()+u.Path)
	}
	return hops
}

// TestHandoverRoundTrips counts what one portal for many hosts costs a browser, against a site that signs people in itself. A sign-in takes
// one request more: the code is taken by the host that it is for, which alone can set its cookie. A further host takes three: it sends the
// browser to the portal, which sends it back with a code. After that, none.
func TestHandoverRoundTrips(t *testing.T) {
	t.Parallel()
	signUp := func(b *tab, alice *rig.Person, page string) []string {
		return b.went(func() {
			b.password(alice, page)
			b.setUpApp(alice)
			b.press("I've saved my codes")
			b.sees("Example app")
		})
	}
	single := start(t, rig.Config{})
	one := open(t, single)
	alone := signUp(one, addUser(t, single, "alice"), "/page")

	s := start(t, rig.Config{Caddyfile: manyHosts})
	_, first, second := hosts(s)
	b := roam(t, s)
	shared := signUp(b, addUser(t, s, "alice"), first+"/page")
	want := []string{"one.localhost/page"}
	for _, hop := range alone[1 : len(alone)-1] {
		want = append(want, strings.Replace(hop, "localhost/", "auth.localhost/", 1))
	}
	if want = append(want, "one.localhost/.mfa/handover", "one.localhost/page"); !slices.Equal(shared, want) {
		t.Errorf("a sign-in at the portal leads over\n%q, at the site itself over\n%q", shared, alone)
	}

	for _, c := range []struct {
		name string
		tab  *tab
		page string
		want []string
	}{
		{"a site of its own", one, "/again", []string{"localhost/again"}},
		{"the host where it began", b, first + "/again", []string{"one.localhost/again"}},
		{"another host", b, second + "/x", []string{"two.localhost/x", "auth.localhost/.mfa/login", "two.localhost/.mfa/handover", "two.localhost/x"}},
		{"that host again", b, second + "/again", []string{"two.localhost/again"}},
	} {
		got := c.tab.went(func() {
			c.tab.visit(c.page)
			c.tab.sees("Example app")
		})
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
