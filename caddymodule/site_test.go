package caddymodule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/pquerna/otp/totp"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/internal/method"
)

// site is a running Caddy, in this process, with a gate before an app that tells what it got.
type site struct {
	t    *testing.T
	port string
	dir  string // of the store
	log  string // file
	// trusted is the network of the proxies that Caddy believes.
	trusted string
	servers string // another option for servers
	app     *httptest.Server
	http    *http.Client
}

// seen is what the app answers: the request as it arrived.
type seen struct {
	Method, URI, Host string
	Header, Trailer   http.Header
	Body              string
}

// newSite prepares a site; serve starts it.
func newSite(t *testing.T) *site {
	t.Helper()
	base := t.TempDir()
	t.Setenv("XDG_DATA_HOME", filepath.Join(base, "data"))
	_, port, _ := net.SplitHostPort(freeAddress(t))
	s := &site{t: t, port: port, dir: filepath.Join(base, "store", "mfa"), log: filepath.Join(base, "log"), trusted: "192.0.2.0/24"}
	s.app = httptest.NewServer(http.HandlerFunc(tell))
	s.http = &http.Client{
		Transport:     &http.Transport{DialContext: s.dial},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       30 * time.Second,
	}
	t.Cleanup(func() {
		s.http.CloseIdleConnections()
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
		s.app.Close()
	})
	return s
}

// dial brings every host to the site.
func (s *site) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, network, "127.0.0.1:"+s.port)
}

func tell(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.Header().Add("Set-Cookie", "app=1")
	w.Header().Add("Set-Cookie", auth.CookieSession+"=stolen; Path=/; Secure")
	json.NewEncoder(w).Encode(seen{r.Method, r.RequestURI, r.Host, r.Header, r.Trailer, string(body)})
}

// plainGate is the smallest site. {address} is its address, {app} the app's.
const plainGate = `{address} {
	mfa
	reverse_proxy {app}
}
`

// load makes Caddy run the sites in the text, with options in the block of the mfa app.
func (s *site) load(sites string, options ...string) error {
	s.t.Helper()
	return caddy.Load(s.config(sites, options...), true)
}

// config is what load loads, as JSON.
func (s *site) config(sites string, options ...string) []byte {
	s.t.Helper()
	text := fmt.Sprintf(`{
	admin off
	persist_config off
	auto_https off
	log {
		output file %s
	}
	default_bind 127.0.0.1
	servers {
		trusted_proxies static %s
		%s
	}
	mfa {
		storage badger %s
		%s
	}
}
`, s.log, s.trusted, s.servers, s.dir, strings.Join(options, "\n\t\t")) + sites
	text = strings.NewReplacer("{address}", "http://localhost:"+s.port, "{port}", s.port, "{app}", s.app.Listener.Addr().String()).Replace(text)
	cfg, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		s.t.Fatal(err)
	}
	return cfg
}

// serve is load where nothing may go wrong.
func (s *site) serve(sites string, options ...string) {
	s.t.Helper()
	if err := s.load(sites, options...); err != nil {
		s.t.Fatal(err)
	}
}

// running returns the app of the config that runs now.
func running(t testing.TB) *App {
	t.Helper()
	app, err := caddy.ActiveContext().AppIfConfigured("mfa")
	if err != nil {
		t.Fatal(err)
	}
	return app.(*App)
}

// signIn makes a user with all factors and returns the value of a session's cookie on host.
func signIn(t testing.TB, host, name string, groups ...string) string {
	t.Helper()
	realm, err := running(t).Realm(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if p := running(t).settings.portal; p != nil && host != p.host {
		return takeOver(t, realm, signInTo(t, realm, p.host, name, groups...), p.host, host)
	}
	return signInTo(t, realm, host, name, groups...)
}

// takeOver makes the portal's session one on host, and returns the value of its cookie there.
func takeOver(t testing.TB, realm *auth.Realm, session, portal, host string) string {
	t.Helper()
	ctx, there := context.Background(), auth.Visit{Host: host, Origin: "http://" + host}
	to, cookies, err := realm.SealTarget(there, "/")
	if err != nil || len(cookies) != 1 {
		t.Fatal(cookies, err)
	}
	there.Flow = cookies[0].Value
	code, _, err := realm.HandOver(ctx, auth.Visit{Host: portal, Session: session}, to, true)
	if err != nil {
		t.Fatal(err)
	}
	if _, cookies, err = realm.TakeOver(ctx, there, code); err != nil || len(cookies) != 1 {
		t.Fatal(cookies, err)
	}
	return cookies[0].Value
}

func signInTo(t testing.TB, realm *auth.Realm, host, name string, groups ...string) string {
	t.Helper()
	return enrolled(t, realm, host, name, groups...).Session
}

// enrollee is where a user is after the first sign-in, with what was set up in it.
type enrollee struct {
	auth.Visit
	secret string   // of the app
	codes  []string // for recovery
}

// enrolled is signInTo for what comes after.
func enrolled(t testing.TB, realm *auth.Realm, host, name string, groups ...string) enrollee {
	t.Helper()
	ctx := context.Background()
	const password = "correct horse battery staple 42"
	if _, _, err := realm.AddUser(ctx, auth.NewUser{Name: name, DisplayName: "The " + name, Email: name + "@example.com", Groups: groups, Password: password}); err != nil {
		t.Fatal(err)
	}
	v := auth.Visit{Host: host}
	step := func(out auth.Outcome, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range out.Cookies {
			switch c.Name {
			case auth.CookieFlow:
				v.Flow = c.Value
			case auth.CookieSession:
				v.Session = c.Value
			}
		}
	}
	if c, ok := realm.PreFlow(v); ok {
		v.Flow = c.Value
	}
	step(realm.SignIn(ctx, v, name, password, ""))
	step(realm.BeginEnroll(ctx, v, auth.MethodTOTP))
	p, err := realm.Progress(ctx, v)
	if err != nil {
		t.Fatal(err)
	}
	var setup method.TOTPSetup
	if err := json.Unmarshal(p.Challenge.Public, &setup); err != nil {
		t.Fatal(err)
	}
	code, err := totp.GenerateCode(setup.Secret, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	step(realm.FinishEnroll(ctx, v, auth.MethodTOTP, "", []byte(code)))
	step(realm.MakeRecoveryCodes(ctx, v))
	if p, err = realm.Progress(ctx, v); err != nil {
		t.Fatal(err)
	}
	step(realm.ConfirmRecoveryCodes(ctx, v))
	if v.Session == "" {
		t.Fatal("the flow did not end in a session")
	}
	return enrollee{v, setup.Secret, p.RecoveryList}
}

// get sends a request. Each option is a header, "Name: value"; "Host: h" changes the host.
func (s *site) get(target string, headers ...string) *http.Response {
	s.t.Helper()
	r, err := http.NewRequest("GET", "http://localhost:"+s.port, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if strings.HasPrefix(target, "//") {
		r.URL.Path = target
	} else {
		r.URL.Opaque = target // as it is, unescaped
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Host" {
			r.Host = value
		} else {
			r.Header[name] = append(r.Header[name], value)
		}
	}
	return s.send(r)
}

// send sends a GET again where a config that goes has taken its connection along: Caddy does so to those that wait at its listener,
// with any handler.
func (s *site) send(r *http.Request) *http.Response {
	s.t.Helper()
	res, err := s.http.Do(r)
	for range 4 {
		if r.Method != http.MethodGet || !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.EOF) {
			break
		}
		res, err = s.http.Do(r)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { res.Body.Close() })
	return res
}

// arrived reads what the app got; it fails the test if the request never arrived.
func arrived(t testing.TB, res *http.Response) seen {
	t.Helper()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	var got seen
	if err := json.Unmarshal(body, &got); err != nil || res.StatusCode != http.StatusOK || got.Method == "" {
		t.Fatalf("did not reach the app: %s\n%s", res.Status, body)
	}
	return got
}

func (s *site) logged() string {
	s.t.Helper()
	b, err := os.ReadFile(s.log)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(b)
}

const (
	asPage   = "Sec-Fetch-Mode: navigate"
	asScript = "Sec-Fetch-Mode: cors"
)

func sessionCookie(value string) string { return "Cookie: " + auth.CookieSession + "=" + value }
