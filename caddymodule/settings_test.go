package caddymodule

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

func TestDefaults(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", "/var/lib")
	app := new(App)
	if err := app.prepare(caddy.NewReplacer()); err != nil {
		t.Fatal(err)
	}
	s := app.settings
	if s.name != "caddy-mfa" || s.prefix != "/.mfa" || s.dir != "/var/lib/caddy/mfa" || s.base != "" || s.idle != time.Hour || s.lifetime != 24*time.Hour ||
		len(s.secrets) != 0 || s.related != nil {
		t.Errorf("%+v", s)
	}
	if got := methodNames(s.methods); got != "password webauthn totp recovery" {
		t.Errorf("methods %s", got)
	}
	if got := app.LinkFor("token"); got != "/.mfa/invite#token" {
		t.Errorf("link %s", got)
	}
	app = &App{Session: &SessionTimes{Lifetime: caddy.Duration(30 * time.Minute)}}
	if err := app.prepare(caddy.NewReplacer()); err != nil || app.settings.idle != 30*time.Minute {
		t.Errorf("idle %v, %v", app.settings.idle, err)
	}
}

func methodNames(methods []auth.Method) string {
	var names []string
	for _, m := range methods {
		names = append(names, m.Name())
	}
	return strings.Join(names, " ")
}

func TestOrderOfMethods(t *testing.T) {
	for _, want := range []string{"totp webauthn recovery", "recovery webauthn", "webauthn", "totp"} {
		app := &App{Methods: strings.Fields(want)}
		if err := app.prepare(caddy.NewReplacer()); err != nil {
			t.Fatal(err)
		}
		if got := methodNames(app.settings.methods); got != "password "+want {
			t.Errorf("%s: got %s", want, got)
		}
	}
}

func TestPlaceholdersInOptions(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "secret")
	if err := os.WriteFile(file, []byte("  0123456789abcdef0123456789abcdef\n\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("MFA_TEST_NAME", "Example Corp")
	t.Setenv("MFA_TEST_URL", "https://Dash.example.com/")
	t.Setenv("MFA_TEST_DIR", dir)
	app := &App{
		Name: "{env.MFA_TEST_NAME}", URL: "{env.MFA_TEST_URL}", Storage: &Storage{Dir: "{env.MFA_TEST_DIR}/a/../mfa"},
		Secret: []string{"{file." + file + "}"},
	}
	if err := app.prepare(caddy.NewReplacer()); err != nil {
		t.Fatal(err)
	}
	s := app.settings
	if s.name != "Example Corp" || s.base != "https://Dash.example.com" || s.host != "dash.example.com" || s.dir != filepath.Join(dir, "mfa") ||
		string(s.secrets[0]) != "0123456789abcdef0123456789abcdef" {
		t.Errorf("%+v", s)
	}
}

// What JSON may hold but must not, and what shows only when a placeholder is replaced.
func TestWrongOptions(t *testing.T) {
	t.Setenv("MFA_TEST_SHORT", strings.Repeat("x", 31))
	t.Setenv("MFA_TEST_URL", "ftp://example.com")
	t.Setenv("MFA_TEST_EMPTY", "")
	for _, c := range []struct {
		name string
		app  *App
		want string
	}{
		{"name", &App{Name: "a\nb"}, "option name: the name is one line"},
		{"name too long", &App{Name: strings.Repeat("x", 65)}, "option name: the name is one line"},
		{"empty placeholder", &App{Name: "{env.MFA_TEST_EMPTY}"}, "option name: evaluated placeholder {env.MFA_TEST_EMPTY} is empty"},
		{"unknown placeholder", &App{Name: "{nonsense}"}, "option name: unrecognized placeholder {nonsense}"},
		{"url", &App{URL: "{env.MFA_TEST_URL}"}, `option url: "ftp://example.com" must begin with https://`},
		{"url with a user", &App{URL: "https://a@example.com"}, "option url"},
		{"url without a host", &App{URL: "https://:8443"}, `option url: "https://:8443" is not a site's address`},
		{"path", &App{Path: "/a//b"}, "option path"},
		{"storage", &App{Storage: &Storage{Type: "postgres"}}, `option storage: there is no storage "postgres"`},
		{"literal secret", &App{Secret: []string{strings.Repeat("x", 32)}}, "option secret: a secret must not stand in the configuration"},
		{"short secret", &App{Secret: []string{"{env.MFA_TEST_SHORT}"}}, "option secret: {env.MFA_TEST_SHORT} holds 31 bytes, a secret needs at least 32"},
		{"missing secret", &App{Secret: []string{"{file./nonexistent}"}}, "option secret: {file./nonexistent} is missing, unreadable or empty"},
		{"negative", &App{Session: &SessionTimes{Idle: -1}}, "option session: idle"},
		{"methods", &App{Methods: []string{"recovery"}}, "option methods: recovery codes alone"},
		{"policy without a name", &App{Enforce: []Policy{{}}}, `option enforce: policy "": the name of a policy`},
		{"policies of one name", &App{Enforce: []Policy{{Name: "Keys"}, {Name: "KEYS"}}}, `option enforce: policy "KEYS": there are two policies of this name`},
		{"policy with a bad date", &App{Enforce: []Policy{{Name: "Keys", From: "2027-13-01"}}}, `option enforce: policy "Keys": "2027-13-01" is neither a date`},
		{"policy with a negative grace", &App{Enforce: []Policy{{Name: "Keys", Grace: -1}}}, `option enforce: policy "Keys": grace -1ns is out of range`},
		{"policy with a long grace", &App{Enforce: []Policy{{Name: "Keys", Grace: caddy.Duration(400 * 24 * time.Hour)}}}, `policy "Keys": grace 400d is out of range`},
		{"policy for a slip", &App{Enforce: []Policy{{Name: "Keys", For: []string{"ops:group"}}}}, `option enforce: policy "Keys": "ops:group" is neither a user name nor a group`},
		{"policy for nobody that could be", &App{Enforce: []Policy{{Name: "Keys", For: []string{"group:"}}}}, `option enforce: policy "Keys": "group:": `},
		{"policy with any among its methods", &App{Enforce: []Policy{{Name: "Keys", Methods: []string{"any"}}}}, `there is no method "any"`},
		{"policy with recovery codes", &App{Enforce: []Policy{{Name: "Keys", Methods: []string{"recovery"}}}}, `recovery cannot be demanded`},
		{"policy that cannot be met", &App{Methods: []string{"totp"}, Enforce: []Policy{{Name: "Keys", Methods: []string{"webauthn"}}}}, `option enforce: policy "Keys": webauthn is switched off by methods`},
		{"codes without codes", &App{Methods: []string{"totp"}, Recovery: &Recovery{Viewable: true}}, `option recovery: recovery is about recovery codes`},
		{"sign_in", &App{SignIn: "two_pages"}, `option sign_in: sign_in knows only one_page, not "two_pages"`},
		{"sign_in without a code", &App{SignIn: "one_page", Methods: []string{"webauthn"}}, "option sign_in: one_page asks for a code"},
		{"unknown method", &App{Methods: []string{"sms"}}, `option methods: there is no method "sms"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.app.prepare(caddy.NewReplacer())
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %s", err, c.want)
			}
			if strings.Contains(err.Error(), strings.Repeat("x", 31)) && c.name != "name too long" { // S78
				t.Error("the error tells the secret")
			}
		})
	}
}
