package e2e

import (
	"encoding/base64"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
)

// What the apps' own pages complain of, wherever they are.
var (
	prometheusSays = regexp.MustCompile(`/popper.min.js\?.* Unexpected token 'export'`)
	jupyterSays    = regexp.MustCompile(`console: "(actions|jupyter-notebook:find-and-replace|does not exist, still binding|Widgets are not available)|/nbextensions/widgets/`)
)

// TestRealApps signs in once for Prometheus and Jupyter, works with both, reads them with an access token, and signs out of both at once.
func TestRealApps(t *testing.T) { // S54, S60, S73
	t.Parallel()
	a := startApps(t)
	alice := addUser(t, a.Server, "alice")
	b := open(t, a.Server)
	b.base, b.also, b.expected = a.auth, []string{a.prometheus, a.jupyter}, prometheusSays

	// A deep link into Prometheus, and what it leads to when somebody has signed in.
	const query = "/graph?g0.expr=up%7Bjob%3D%22itself%22%7D&g0.tab=1"
	b.visit(a.prometheus + query)
	b.sees("Sign in")
	b.reads("to continue to prometheus.localhost")
	b.begins(alice)
	a.watched(t)
	b.press("I've saved my codes")
	b.do(chromedp.WaitVisible(`//td[contains(., 'job="itself"')]`))
	if at := b.location(); !b.at(at, "/") || !strings.HasPrefix(at, a.prometheus) || !strings.Contains(at, "g0.expr=up") {
		t.Errorf("it is at %s", at)
	}

	// Jupyter asks for nothing any more. A cell runs, over a WebSocket.
	j := b.beside()
	j.also, j.expected = b.also, jupyterSays
	j.visit(a.jupyter + "/notebooks/first.ipynb")
	j.do(
		chromedp.WaitVisible(chromedp.CSS("#kernel_indicator_icon.kernel_idle_icon")),
		chromedp.Click(chromedp.CSS(".cell .CodeMirror"), chromedp.NodeVisible),
		chromedp.KeyEvent("print(6 * 7)"),
		chromedp.Click(button("Run"), chromedp.NodeVisible),
		chromedp.WaitVisible(`//*[contains(@class, "output_stdout")]//pre[normalize-space()="42"]`),
	)
	j.mu.Lock()
	if asked := slices.DeleteFunc(slices.Clone(j.requests), func(url string) bool { return !strings.HasPrefix(url, a.auth) }); len(asked) != 1 {
		t.Errorf("the portal was asked %q", asked)
	}
	j.mu.Unlock()

	security := b.beside()
	security.also = b.also
	a.takesTokens(t, security.tokenFor(alice, "prometheus.localhost, jupyter.localhost"))

	// Signing out ends the kernel's connection, and what either page does.
	j.expected = regexp.MustCompile(jupyterSays.String() + `|WebSocket|status of 401 .*/api/`)
	b.expected = regexp.MustCompile(prometheusSays.String() + `|status of 401 .*/api/v1/query\?query=up$`)
	eval[bool](j, `window.cut = new Promise(done => Jupyter.notebook.kernel.ws.addEventListener("close", () => done(Date.now()))), true`)
	security.visit("/.mfa/security")
	pressed := time.Now()
	security.press("Sign out")
	t.Logf("the kernel's connection was cut %v after the button was pressed", time.UnixMilli(int64(eval[float64](j, "cut"))).Sub(pressed))
	security.reads("You are signed out")
	for app, tab := range map[string]*tab{"/api/v1/query?query=up": b, "/api/kernels": j} {
		got := eval[string](tab, `fetch("`+app+`").then(async r => r.status + " " + r.headers.get("Content-Type") + " " + await r.text())`)
		if !strings.HasPrefix(got, `401 application/json {"error":"sign_in_required","login":"`) {
			t.Errorf("%s gives %s", app, got)
		}
	}
	for _, page := range []string{a.prometheus + query, a.jupyter + "/notebooks/first.ipynb"} {
		security.visit(page)
		security.sees("Sign in")
	}
	for name, app := range map[string]*listener{"Prometheus": a.metrics, "Jupyter": a.notebooks} {
		heard := app.String()
		if strings.Contains(heard, "__Host-mfa") || strings.Contains(heard, "mfa_") || strings.Contains(heard, "/.mfa/handover") || strings.Contains(heard, "\nAuthorization:") {
			t.Errorf("%s received a secret of ours", name)
		}
		if !strings.Contains(heard, "Remote-User: alice\r\n") {
			t.Errorf("%s received no name", name)
		}
	}
}

// tokenFor makes an access token for hosts.
func (b *tab) tokenFor(p *rig.Person, hosts string) string {
	b.t.Helper()
	b.visit("/.mfa/security")
	b.reveal("New access token")
	b.fill("Name of the token", "scripts")
	b.fill("Hosts", hosts)
	b.press("Make an access token")
	b.fill("Code", code(b.t, p.Phone)) // setting the app up was no proof
	b.press("Verify")
	b.sees("Your new access token")
	return accessToken.FindString(b.text("main"))
}

// takesTokens reads both apps as scripts do.
func (a *realApps) takesTokens(t *testing.T, token string) {
	t.Helper()
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("alice:"+token))
	const metrics, kernels = "/api/v1/query?query=up", "/api/kernels"
	for _, c := range []struct {
		name, site, path, authorization string
		status                          int
		says                            *regexp.Regexp
	}{
		{"Prometheus, Bearer", a.prometheus, metrics, "Bearer " + token, http.StatusOK, sample},
		{"Prometheus, Basic", a.prometheus, metrics, basic, http.StatusOK, sample},
		{"Prometheus, none", a.prometheus, metrics, "", http.StatusUnauthorized, regexp.MustCompile(`^{"error":"sign_in_required"`)},
		{"Jupyter, Bearer", a.jupyter, kernels, "Bearer " + token, http.StatusOK, regexp.MustCompile(`"name": "python3"`)},
		{"Jupyter, Basic", a.jupyter, kernels, basic, http.StatusOK, regexp.MustCompile(`"name": "python3"`)},
		{"Jupyter, as its own", a.jupyter, kernels, "token " + token, http.StatusUnauthorized, nil},
		{"Jupyter, its own", a.jupyter, kernels, "token 0123456789abcdef", http.StatusUnauthorized, nil},
	} {
		status, body := a.ask(t, http.MethodGet, c.site+c.path, "Authorization", c.authorization)
		if status != c.status || c.says != nil && !c.says.MatchString(body) {
			t.Errorf("%s: %d %s", c.name, status, body)
		}
	}
	// What changes something is between the script and Jupyter.
	for xsrf, want := range map[string]int{"": http.StatusForbidden, "0123456789abcdef": http.StatusCreated} {
		status, body := a.ask(t, http.MethodPost, a.jupyter+"/api/contents/first.ipynb/checkpoints", "Authorization", "Bearer "+token, "Cookie", "_xsrf="+xsrf, "X-XSRFToken", xsrf)
		if status != want {
			t.Errorf("a checkpoint with %q: %d %s", xsrf, status, body)
		}
	}
}

// ask sends a request to one of the sites, with headers given as name and value.
func (a *realApps) ask(t *testing.T, method, address string, headers ...string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host, req.URL.Host = req.URL.Host, "127.0.0.1:"+a.Port // not every system knows the names below localhost
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}
