package e2e

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
)

// Figures that the sign-in page keeps, in bytes on the wire with headers. initialWindow is what a server may send before the first answer
// comes back (RFC 6928: ten segments of 1460 bytes): a page within it that needs nothing else is painted after one round trip.
const (
	signInBytes   = 30 << 10
	initialWindow = 10 * 1460
)

// TestSignInPageIsLight weighs the page that strangers load.
func TestSignInPageIsLight(t *testing.T) {
	t.Parallel()
	s := start(t, rig.Config{})
	b := open(t, s)
	b.visit("/")
	b.sees("Sign in")
	// What a page loads is read after it is shown, so wait until all of it was.
	loaded := func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.finished >= len(b.requests)
	}
	for begun := time.Now(); !loaded() && time.Since(begun) < patience; {
		<-time.After(10 * time.Millisecond)
	}
	first := eval[float64](b, `performance.getEntriesByType("navigation")[0].transferSize`)
	if first > initialWindow {
		t.Errorf("the page has %.0f bytes, and one round trip brings %d", first, initialWindow)
	}
	for _, name := range eval[[]string](b, `performance.getEntriesByType("resource").filter(e => e.renderBlockingStatus !== "non-blocking").map(e => e.name)`) {
		t.Errorf("nothing is painted before %s is there", name)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	// The page, its icon and its script. Less than 4 KiB means that something was not weighed.
	if len(b.requests) < 3 || b.finished < len(b.requests) || b.bytes < 4<<10 || b.bytes > signInBytes {
		t.Errorf("the sign-in page takes %.0f bytes in %d of %v, want all of them and between 4 and 30 KiB", b.bytes, b.finished, b.requests)
	}
	t.Logf("%.0f bytes in %d requests, %.0f of them the page", b.bytes, len(b.requests), first)
}

// judgement is what Lighthouse says of a page.
type judgement struct {
	Version    string `json:"lighthouseVersion"`
	Shown      string `json:"finalDisplayedUrl"`
	Categories map[string]struct {
		Score float64 `json:"score"` // of 1
		Refs  []struct {
			ID     string  `json:"id"`
			Weight float64 `json:"weight"`
		} `json:"auditRefs"`
	} `json:"categories"`
	Audits map[string]struct {
		Title   string          `json:"title"`
		Score   *float64        `json:"score"`
		Shown   string          `json:"displayValue"`
		Numeric float64         `json:"numericValue"`
		Details json.RawMessage `json:"details"`
	} `json:"audits"`
	Error *struct {
		Message string `json:"message"`
	} `json:"runtimeError"`
}

// without is the score of a category without an audit: the mean of the others by their weights.
func (r *judgement) without(category, audit string) float64 {
	var sum, weights float64
	for _, ref := range r.Categories[category].Refs {
		if a := r.Audits[ref.ID]; ref.ID != audit && a.Score != nil {
			sum, weights = sum+ref.Weight**a.Score, weights+ref.Weight
		}
	}
	return sum / weights
}

// TestLighthouse asks Lighthouse for its figures, as on a slow phone, which it calculates. Performance takes the machine's own times into
// account, and others use it too: what counts is the best of three runs. It runs by itself, before the journeys that run side by side.
func TestLighthouse(t *testing.T) {
	s := start(t, rig.Config{})
	alice, signedIn := enrolled(t, s, "alice")
	if err := alice.AddKey(t.Context(), signedIn, rig.Device(s.URL), "Blue key"); err != nil {
		t.Fatal(err)
	}
	entered := func(p *rig.Person) *rig.Visitor {
		v := rig.NewVisitor(s.URL)
		if page, err := v.Post(t.Context(), "/.mfa/login", url.Values{"name": {p.Name}, "password": {p.Password}}); err != nil || page.Status != http.StatusSeeOther {
			t.Fatalf("the password leads nowhere: %v", err)
		}
		return v
	}
	stranger, half, bob := rig.NewVisitor(s.URL), entered(alice), entered(addUser(t, s, "bob"))
	if _, err := bob.Post(t.Context(), "/.mfa/enroll", url.Values{"method": {"totp"}}); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, path string
		visitor    *rig.Visitor
		languages  string
		besides    string // an audit that does not count
	}{
		{"sign-in", "/.mfa/login", stranger, "en", ""},
		{"sign-in-arabic", "/.mfa/login", stranger, "ar", ""},
		{"set-up", "/.mfa/enroll/totp", bob, "en", ""},
		{"code", "/.mfa/verify/totp", half, "en", ""},
		{"key", "/.mfa/verify/webauthn", half, "en", ""},
		{"security", "/.mfa/security", signedIn, "en", ""},
		{"error", "/.mfa/nothing", stranger, "en", "errors-in-console"}, // the console tells of the status, which must be one of an error
	} {
		t.Run(tc.name, func(t *testing.T) {
			weigh(t, tc.name, s.URL+tc.path, map[string]string{"Cookie": tc.visitor.Cookies(), "Accept-Language": tc.languages}, tc.besides)
		})
	}
}

// weigh fails the test unless Lighthouse finds a page good.
func weigh(t *testing.T, name, url string, headers map[string]string, besides string) {
	t.Helper()
	want := map[string]float64{"performance": .95, "accessibility": 1, "best-practices": 1}
	for tries := 1; ; tries++ {
		r := lighthouse(t, name, url, headers)
		if r.Shown != url {
			t.Fatalf("Lighthouse saw %s, want %s", r.Shown, url)
		}
		var short []string
		for name, least := range want {
			c := r.Categories[name]
			if besides != "" {
				c.Score = r.without(name, besides)
			}
			t.Logf("Lighthouse %s, run %d, %s: %.0f", r.Version, tries, name, 100*c.Score)
			if c.Score >= least {
				continue
			}
			short = append(short, name)
			for _, ref := range c.Refs {
				if a := r.Audits[ref.ID]; ref.Weight > 0 && a.Score != nil && *a.Score < 1 {
					t.Logf("%s: %s %s %s", ref.ID, a.Title, a.Shown, a.Details)
				}
			}
		}
		if shift := r.Audits["cumulative-layout-shift"]; shift.Score == nil || shift.Numeric != 0 {
			t.Errorf("the page moves while it loads, by %v", shift.Numeric)
		}
		if len(short) == 0 {
			return
		}
		if tries == 3 {
			t.Fatalf("too little in %s", strings.Join(short, ", "))
		}
	}
}

// lighthouse runs Lighthouse with a Chromium of its own, which reaches nothing but this machine. Its report is out/lighthouse-NAME.report.html.
func lighthouse(t *testing.T, name, url string, headers map[string]string) *judgement {
	t.Helper()
	const cli = "../tools/lighthouse/node_modules/lighthouse/cli/index.js"
	if _, err := os.Stat(cli); err != nil {
		t.Fatalf("%v; tools/setup installs it", err)
	}
	chrome, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file, err := filepath.Abs(filepath.Join(out, "lighthouse-"+name))
	if err != nil {
		t.Fatal(err)
	}
	sent, err := json.Marshal(headers)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "node", cli, url,
		"--quiet", "--no-enable-error-reporting", "--output=json", "--output=html", "--output-path="+file,
		"--only-categories=performance,accessibility,best-practices",
		"--extra-headers="+string(sent), "--ignore-status-code",
		"--chrome-flags="+strings.Join([]string{
			"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
			"--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
			`--host-resolver-rules="MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1"`,
		}, " "))
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "XDG_CONFIG_HOME=" + dir, "TMPDIR=" + dir, "CHROME_PATH=" + chrome}
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("running Lighthouse: %v\n%s", err, said)
	}
	text, err := os.ReadFile(file + ".report.json")
	if err != nil {
		t.Fatal(err)
	}
	var r judgement
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	if r.Error != nil && r.Error.Message != "" {
		t.Fatalf("Lighthouse: %s", r.Error.Message)
	}
	return &r
}
