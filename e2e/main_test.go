package e2e

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
)

// out is where the screenshots go. Git ignores it.
const out = "out"

var (
	begunWhole bool // what whole was at the start

	binary   string          // the real one
	chromium context.Context // one process for all journeys; each takes a profile of its own
)

func TestMain(m *testing.M) {
	os.Exit(runAll(m))
}

func runAll(m *testing.M) int {
	if os.Getenv(mailServerEnv) != "" { // this process is a mail server
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "e2e")
	if err != nil {
		return fail(err)
	}
	defer os.RemoveAll(dir)
	if binary, err = build(dir); err != nil {
		return fail(err)
	}
	flag.Parse()
	begunWhole = whole()
	if err := makeRoom(out, begunWhole); err != nil {
		return fail(err)
	}
	stop, err := startBrowser(dir)
	if err != nil {
		return fail(err)
	}
	defer stop()
	code := m.Run()
	if err := writeGallery(); err != nil {
		return fail(err)
	}
	if err := unseen(); err != nil && code == 0 {
		return fail(err)
	}
	return code
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, "e2e:", err)
	return 1
}

// makeRoom makes a directory, and empties it for a run of all journeys: what is in it after that is of that run.
func makeRoom(dir string, empty bool) error {
	if empty {
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	return os.MkdirAll(dir, 0o755)
}

// TestPicturesOfBefore: a run of all journeys leaves no pictures of runs before it; others leave those that they do not take anew.
func TestPicturesOfBefore(t *testing.T) {
	t.Parallel()
	if begunWhole != whole() {
		t.Error("at the start it was not known yet which journeys are run")
	}
	old := filepath.Join(t.TempDir(), "out", "old.png")
	for _, tc := range []struct {
		name        string
		empty, left bool
	}{{"some journeys, the first time", false, false}, {"some journeys", false, true}, {"all journeys", true, false}, {"all journeys, the first time", true, false}} {
		if tc.name == "some journeys" {
			if err := os.WriteFile(old, nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := makeRoom(filepath.Dir(old), tc.empty); err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
		if _, err := os.Stat(old); (err == nil) != tc.left {
			t.Errorf("%s: %v", tc.name, err)
		}
		if tc.name == "all journeys" {
			if err := os.Remove(filepath.Dir(old)); err != nil {
				t.Errorf("%s: %v", tc.name, err)
			}
		}
	}
}

// build returns the binary that CADDY_MFA_BIN names, or else builds it in dir.
func build(dir string) (string, error) {
	if named := os.Getenv("CADDY_MFA_BIN"); named != "" {
		return filepath.Abs(named)
	}
	bin := filepath.Join(dir, "caddy")
	cmd := exec.Command("go", "build", "-o", bin, "../cmd/caddy")
	if said, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the binary: %w\n%s", err, said)
	}
	return bin, nil
}

// startBrowser starts Chromium with an empty profile. It resolves no name but localhost and those below, and connects to no other address, so nothing it does leaves the machine.
func startBrowser(dir string) (stop func(), err error) {
	path, err := exec.LookPath("chromium")
	if err != nil {
		return nil, fmt.Errorf("%w; tools/setup installs it", err)
	}
	alloc, cancel := chromedp.NewExecAllocator(context.Background(),
		chromedp.ExecPath(path),
		chromedp.UserDataDir(filepath.Join(dir, "profile")),
		chromedp.Headless,
		chromedp.NoSandbox,
		chromedp.DisableGPU,
		chromedp.NoFirstRun,
		chromedp.NoDefaultBrowserCheck,
		chromedp.Flag("accept-lang", "en-US"), // the words that journeys look for
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.Flag("disable-features", "MediaRouter,OptimizationHints"),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE *.localhost, EXCLUDE 127.0.0.1"),
	)
	ctx, closeBrowser := chromedp.NewContext(alloc)
	if err := chromedp.Do(ctx); err != nil {
		cancel()
		return nil, fmt.Errorf("starting Chromium: %w", err)
	}
	chromium = ctx //nolint:fatcontext // all tests share it
	return func() { closeBrowser(); cancel() }, nil
}

// start starts a server that protects a fresh app.
func start(t *testing.T, conf rig.Config) *rig.Server {
	t.Helper()
	app, err := rig.StartApp()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { app.Close() })
	conf.Binary, conf.Dir, conf.App = binary, t.TempDir(), app.Addr
	s, err := rig.Start(t.Context(), conf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Stop()
		if t.Failed() {
			t.Logf("the server's log:\n%.20000s", s.Log)
		}
	})
	return s
}

// addUser makes an account with a password and no second method.
func addUser(t *testing.T, s *rig.Server, name string) *rig.Person {
	t.Helper()
	p := &rig.Person{Name: name, Password: "correct horse battery " + name}
	if err := s.AddUser(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	return p
}

// enrolled makes an account with everything set up, by HTTP, and returns the visitor who is signed in.
func enrolled(t *testing.T, s *rig.Server, name string) (*rig.Person, *rig.Visitor) {
	t.Helper()
	p, v := addUser(t, s, name), rig.NewVisitor(s.URL)
	page, err := p.SignIn(t.Context(), v, "/")
	if err != nil {
		t.Fatal(err)
	}
	if page.Heading() != "Example app" {
		t.Fatalf("signing up led to %s: %s", page.URL, page.Text())
	}
	return p, v
}
