package e2e

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
)

// recorder passes requests on and keeps what went over the wire.
type recorder struct {
	mu    sync.Mutex
	heads []*http.Response // without bodies
}

// RoundTrip implements http.RoundTripper.
func (rec *recorder) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err == nil {
		rec.mu.Lock()
		defer rec.mu.Unlock()
		rec.heads = append(rec.heads, resp)
	}
	return resp, err
}

// TestWire looks at every answer of the portal between the set-up link and signing out.
func TestWire(t *testing.T) { // S30, S51, S59, S62, S63, S64
	t.Parallel()
	s := start(t, rig.Config{})
	link, err := s.SetupLink(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, token := rig.CutLink(link)
	rec := &recorder{}
	v := rig.NewVisitor(s.URL)
	v.Transport = rec
	alice := &rig.Person{Name: "alice", Password: "correct horse battery staple"}
	if _, err := alice.SignUp(t.Context(), v, link); err != nil {
		t.Fatal(err)
	}
	secrets := []string{token, alice.Phone.Secret, alice.Recovery[0], v.Cookie(sessionCookie)}
	for _, visit := range []string{"/", "/.mfa/security", "/.mfa/session", "/.mfa/logout", "/.mfa/nothing"} {
		if _, err := v.Get(t.Context(), visit); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := v.Post(t.Context(), "/.mfa/logout", nil); err != nil {
		t.Fatal(err)
	}
	for _, visit := range []string{"/private?x=1", "/.mfa/verify/totp", "/.mfa/enroll"} {
		if _, err := v.Get(t.Context(), visit); err != nil {
			t.Fatal(err)
		}
	}
	cookies := 0
	for _, resp := range rec.heads {
		for _, secret := range secrets {
			if strings.Contains(resp.Request.URL.String()+resp.Header.Get("Location"), secret) {
				t.Errorf("a secret is in an address: %s, Location %s", resp.Request.URL, resp.Header.Get("Location"))
			}
		}
		for _, c := range resp.Cookies() {
			cookies++
			checkCookie(t, c)
		}
		if strings.HasPrefix(resp.Request.URL.Path, "/.mfa/") {
			checkHead(t, resp)
		}
	}
	if len(rec.heads) < 15 || cookies < 5 {
		t.Errorf("only %d answers with %d cookies were seen", len(rec.heads), cookies)
	}
}

func checkCookie(t *testing.T, c *http.Cookie) {
	t.Helper()
	if !strings.HasPrefix(c.Name, "__Host-mfa") || !c.Secure || !c.HttpOnly || c.Path != "/" || c.Domain != "" || c.SameSite != http.SameSiteLaxMode || len(c.Raw) > 4096 {
		t.Errorf("cookie: %s", c.Raw)
	}
	if c.MaxAge >= 0 && len(c.Value) < 64 {
		t.Errorf("cookie %s holds %d characters: no room for 128 bits and a signature", c.Name, len(c.Value))
	}
}

func checkHead(t *testing.T, resp *http.Response) {
	t.Helper()
	for name, want := range map[string]string{
		"Cache-Control":              "no-store",
		"X-Content-Type-Options":     "nosniff",
		"Referrer-Policy":            "same-origin",
		"Cross-Origin-Opener-Policy": "same-origin",
	} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s %s: %s is %q, want %q", resp.Request.Method, resp.Request.URL.Path, name, got, want)
		}
	}
	policy := resp.Header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("%s: the policy lacks %s: %s", resp.Request.URL.Path, want, policy)
		}
	}
	if strings.Contains(policy, "unsafe-") || strings.Contains(policy, "*") || strings.Contains(policy, "http") {
		t.Errorf("%s: the policy opens too much: %s", resp.Request.URL.Path, policy)
	}
}

// TestBodiesPassUntouched moves large bodies both ways and reads a stream while it is written.
func TestBodiesPassUntouched(t *testing.T) {
	t.Parallel()
	s := start(t, rig.Config{})
	_, v := enrolled(t, s, "alice")
	const size = 48 << 20
	sum := sha256.New()
	if _, err := io.CopyN(sum, rig.Pattern(), size); err != nil {
		t.Fatal(err)
	}
	want := hex.EncodeToString(sum.Sum(nil))
	client := &http.Client{}
	ask := func(method, path string, body io.Reader) *http.Response {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, body)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Cookie", v.Cookies())
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { resp.Body.Close() })
		return resp
	}

	up, err := io.ReadAll(ask(http.MethodPost, "/upload", io.LimitReader(rig.Pattern(), size)).Body)
	if err != nil || string(up) != fmt.Sprintf("%d %s", size, want) {
		t.Errorf("the app received %q, %v", up, err)
	}
	sum.Reset()
	n, err := io.Copy(sum, ask(http.MethodGet, fmt.Sprintf("/download?bytes=%d", size), nil).Body)
	if err != nil || n != size || hex.EncodeToString(sum.Sum(nil)) != want {
		t.Errorf("received %d bytes, %v", n, err)
	}

	// The stream does not end: whatever is read came through before.
	lines := bufio.NewScanner(ask(http.MethodGet, "/events?n=3&stay=1", nil).Body)
	for i := range 3 {
		lines.Scan()
		if got := lines.Text(); got != fmt.Sprintf("data: %d", i) {
			t.Errorf("event %d is %q", i, got)
		}
		lines.Scan() // the empty line behind it
	}
}
