package e2e

import (
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
)

// What browsers do with the wish to make a passkey by itself. Chromium says that it can, but a virtual authenticator never answers
// such a wish: the tests that need another answer give it.
const (
	agrees = `if (navigator.credentials) {
	const create = navigator.credentials.create.bind(navigator.credentials);
	navigator.credentials.create = (o) => { sessionStorage.mediation = o.mediation; delete o.mediation; return create(o); };
}`
	refuses = `if (navigator.credentials) navigator.credentials.create = () => Promise.reject(new DOMException("", "NotAllowedError"));`
	unable  = `if (window.PublicKeyCredential) delete PublicKeyCredential.getClientCapabilities;`
)

// TestUpgrade makes a passkey by itself after a sign-in with password and app. It holds nobody up, and comes once.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	s := start(t, rig.Config{})
	for _, tc := range []struct {
		name, user, script string
		offered, made      bool
		within             time.Duration
	}{
		{"the browser agrees", "alice", agrees, true, true, 6 * time.Second},
		{"the browser refuses", "bob", refuses, true, false, 4 * time.Second}, // well before it would give up waiting
		{"the browser does not answer", "carol", "", true, false, 6 * time.Second},
		{"the browser cannot", "dave", unable, false, false, 6 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			person, _ := enrolled(t, s, tc.user)
			b := open(t, s)
			if tc.script != "" {
				b.inject(tc.script)
			}
			k := b.plug(laptop, true)
			held := hold(b)
			b.password(person, passkeyLink)
			b.fill("Code", code(t, person.Phone))
			b.press("Verify")
			b.arrives(person.Name)
			if offered := b.upgrades() > 0; offered != tc.offered {
				t.Fatalf("a passkey was offered: %v, want %v", offered, tc.offered)
			}
			took := held()
			t.Logf("the offer took %v", took)
			if took > tc.within {
				t.Errorf("the offer took %v, want at most %v", took, tc.within)
			}
			if tc.made && eval[string](b, `sessionStorage.mediation`) != "conditional" {
				t.Error("the browser was to ask the person")
			}
			k.touch(false)
			b.visit("/.mfa/security")
			b.sees("Security")
			if made := len(run(b, chromedp.Nodes(`//li[contains(., "Passkey, synced between your devices")]`, chromedp.AtLeast(0)))) == 1; made != tc.made {
				t.Errorf("a passkey is there: %v, want %v", made, tc.made)
			}
			if n := len(k.holds()); n == 1 != tc.made {
				t.Errorf("the authenticator holds %d credentials", n)
			}
			if !tc.made {
				return
			}

			// It signs in, and no other is offered.
			b.press("Sign out")
			b.visit(passkeyLink)
			b.sees("Sign in")
			k.touch(true)
			b.press("Sign in with a passkey")
			b.arrives(person.Name)
			k.touch(false)
			b.press("Sign out")
			b.password(person, "/")
			b.follow("Use authenticator app")
			b.fill("Code", code(t, person.Phone))
			b.press("Verify")
			b.sees("Example app")
			if b.upgrades() != 1 {
				t.Errorf("a passkey was offered %d times, want once", b.upgrades())
			}
		})
	}
}

// hold returns how long the browser was kept between the offer and the next page, by its own clock.
func hold(b *tab) func() time.Duration {
	var from, to float64 // seconds
	err := chromedp.Listen(b.ctx, func(ev any) {
		r, ok := ev.(*network.EventRequestWillBeSent)
		if !ok || r.Type != network.ResourceTypeDocument {
			return
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		if anyUpgrade.MatchString(r.Request.URL) {
			from = r.Timestamp.Float64()
		} else if from != 0 && to == 0 {
			to = r.Timestamp.Float64()
		}
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return func() time.Duration {
		b.mu.Lock()
		defer b.mu.Unlock()
		return time.Duration((to - from) * float64(time.Second))
	}
}

// TestUpgradePage looks at the page that nobody is meant to see for long.
func TestUpgradePage(t *testing.T) {
	t.Parallel()
	s := start(t, rig.Config{})
	alice, _ := enrolled(t, s, "alice")
	b := open(t, s)
	b.inject(unable)
	b.signIn(alice)
	b.scripts(false) // stays
	b.visit("/.mfa/upgrade?to=%2Freports%3Fq%3D1")
	b.sees("One moment…")
	b.shoot("upgrade")
	b.follow("Continue")
	b.sees("Example app")
	if b.text("#uri") != "/reports?q=1" {
		t.Errorf("it led to %s", b.text("#uri"))
	}
}
