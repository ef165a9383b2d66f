package e2e

import (
	"crypto/sha256"
	"errors"
	"fmt"
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

// looksLike is all that the page's look comes from: its style sheet and its drawings.
const looksLike = `[...document.querySelectorAll("style, svg")].map(e => e.outerHTML).join("\n")`

// record is which file a picture is, what the page looks like, and what it says. What differs from run to run stands there by what it is.
func record(b *tab, file []byte) string {
	b.t.Helper()
	said := fmt.Sprintf("SHA-256 %x\nSHA-256 of style sheet and drawings %x\n", sha256.Sum256(file), sha256.Sum256([]byte(eval[string](b, looksLike))))
	for line := range strings.Lines(b.text("body")) {
		if line = strings.TrimSpace(line); line != "" {
			said += steady(line) + "\n"
		}
	}
	return said
}

// largePicture is more than a picture in the docs may have, in bytes.
const largePicture = 120 << 10

// pictures is where stands, for each picture that the docs show, which file it is and what the page said then.
const pictures = "testdata/pictures"

// TestDocsPictures takes the pictures that the docs show, into out; `make screenshots` puts them into docs. Each is shown on a page there, and
// says what the page says now.
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
		file, kept := filepath.Join("../docs", name+".png"), filepath.Join(pictures, name+".txt")
		if *renew {
			if err := errors.Join(os.WriteFile(file, taken, 0o644), os.WriteFile(kept, []byte(record(b, taken)), 0o644)); err != nil {
				t.Fatal(err)
			}
		}
		now, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(kept)
		if got := record(b, now); err != nil || got != string(want) {
			t.Errorf("%s is not of this page as it says and looks now: run make screenshots (%v)\n%s\nwant, as in %s\n%s", file, err, got, kept, want)
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
		if !shown {
			t.Errorf("no page shows docs/%s.png", name)
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
