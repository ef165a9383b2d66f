package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
)

// pictured is Gated with a name, at an address that pictures can show.
const pictured = `{
	admin {admin}
	auto_https off
	mfa {
		name "Example Corp"
	}
}

http://dash.localhost:{port} {
	bind 127.0.0.1
	mfa
	reverse_proxy {app}
}
`

// largePicture is more than a picture in the docs may have, in bytes.
const largePicture = 120 << 10

// TestDocsPictures takes the pictures that the docs show, into out; `make screenshots` puts them into docs. Each is shown on a page there.
func TestDocsPictures(t *testing.T) {
	t.Parallel()
	s := start(t, rig.Config{Caddyfile: pictured})
	alice := addUser(t, s, "alice")
	b := openIn(t, strings.Replace(s.URL, "localhost", "dash.localhost", 1), chromedp.WithNewBrowserContext())
	picture := func(name string) {
		t.Helper()
		b.do(command(emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: 360, Height: 740, DeviceScaleFactor: 1.5, Mobile: true}), scheme(false))
		eval[bool](b, `(document.activeElement.blur(), scrollTo(0, 0), document.getAnimations().every(a => { try { a.finish() } catch {} return true }))`)
		taken := run(b, chromedp.CaptureScreenshot())
		if len(taken) > largePicture {
			t.Errorf("the picture %s has %d bytes, want at most %d", name, len(taken), largePicture)
		}
		if err := os.WriteFile(filepath.Join(out, "docs-"+name+".png"), taken, 0o644); err != nil {
			t.Fatal(err)
		}
		shown := false
		pages, err := filepath.Glob("../docs/*.md")
		if err != nil {
			t.Fatal(err)
		}
		for _, page := range append(pages, "../README.md") {
			text, err := os.ReadFile(page)
			if err != nil {
				t.Fatal(err)
			}
			at, err := filepath.Rel(filepath.Dir(page), "../docs/"+name+".png")
			if err != nil {
				t.Fatal(err)
			}
			shown = shown || strings.Contains(string(text), `"`+at+`"`)
		}
		if _, err := os.Stat("../docs/" + name + ".png"); err != nil || !shown {
			t.Errorf("docs/%s.png is not there (%v), or no page shows it", name, err)
		}
	}
	b.visit("/")
	b.sees("Sign in")
	picture("sign-in")
	b.password(alice, "/")
	b.press("Authenticator app")
	alice.Phone = b.qr()
	picture("set-up")
	b.fill("Code", code(t, alice.Phone))
	b.press("Verify & enable")
	b.press("I've saved my codes")
	b.visit("/.mfa/security")
	b.sees("Security")
	picture("security")
	b.press("Sign out")
	b.password(alice, "/")
	b.sees("Enter your code")
	picture("code")
}
