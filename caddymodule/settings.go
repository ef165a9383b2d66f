package caddymodule

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/internal/mail"
	"github.com/caddy-mfa/caddy-mfa/internal/method"
	"github.com/caddy-mfa/caddy-mfa/loginui"
)

const (
	defaultName     = "caddy-mfa"
	defaultPath     = "/.mfa"
	defaultIdle     = time.Hour
	defaultLifetime = 24 * time.Hour

	minIdle     = time.Minute
	minLifetime = 5 * time.Minute
)

// settings is an App with its defaults in place and its placeholders replaced.
type settings struct {
	name           string
	base, host     string // address and host of the option url, "" if it is not set
	prefix         string // of the portal
	portal         *home  // nil: people sign in where they are
	dir            string // of the store, absolute
	secrets        [][]byte
	idle, lifetime time.Duration
	methods        []auth.Method
	policies       []auth.Policy
	related        *related       // nil if no site needs it
	mails          bool           // people get mail
	reset          string         // "" or resetMailOnly
	signIn         string         // "" or signInOnePage
	sender         *mail.Sender   // what sends it; nil where it is written to the log
	mailServer     string         // host:port
	accent         string         // of the brand, "" for ours
	dress          *loginui.Dress // nil for ours
	pages          *loginui.Pages // nil for ours
}

// prepare replaces placeholders, sets defaults and checks everything. It needs no running Caddy and touches no store.
func (a *App) prepare(repl *caddy.Replacer) error {
	s := settings{name: defaultName, prefix: defaultPath, dir: filepath.Join(caddy.AppDataDir(), "mfa")}
	for _, option := range []struct {
		name, value string
		check       func(string) error
		to          *string
	}{
		{"name", a.Name, checkName, &s.name},
		{"url", a.URL, checkURL, &s.base},
		{"path", a.Path, checkPath, &s.prefix},
		{"storage", a.Storage.dir(), nil, &s.dir},
		{"reset", a.Reset, checkReset, &s.reset},
		{"sign_in", a.SignIn, checkSignIn, &s.signIn},
	} {
		if option.value == "" {
			continue
		}
		value, err := repl.ReplaceOrErr(option.value, true, true)
		if err == nil && option.check != nil {
			err = option.check(value)
		}
		if err != nil {
			return fmt.Errorf("option %s: %w", option.name, err)
		}
		*option.to = value
	}
	if s.base = strings.TrimSuffix(s.base, "/"); s.base != "" {
		u, err := url.Parse(s.base)
		if err != nil {
			return fmt.Errorf("option url: %w", err)
		}
		s.host = strings.ToLower(u.Hostname())
	}
	var err error
	if s.portal, err = a.Portal.prepare(repl); err != nil {
		return fmt.Errorf("option portal: %w", err)
	}
	if p := s.portal; p != nil {
		if s.host != "" && s.base != p.base {
			return fmt.Errorf("option url: %w", errTwoAddresses)
		}
		s.base, s.host = p.base, p.host
	}
	if err := checkStorage(a.Storage); err != nil {
		return fmt.Errorf("option storage: %w", err)
	}
	if s.dir, err = filepath.Abs(s.dir); err != nil {
		return fmt.Errorf("option storage: %w", err)
	}
	if s.secrets, err = readSecrets(repl, a.Secret); err != nil {
		return fmt.Errorf("option secret: %w", err)
	}
	if s.idle, s.lifetime, err = a.Session.times(); err != nil {
		return fmt.Errorf("option session: %w", err)
	}
	if err := a.prepareBrand(repl, &s); err != nil {
		return err
	}
	if err := a.prepareMail(repl, &s); err != nil {
		return fmt.Errorf("option smtp: %w", err)
	}
	if err := a.prepareMethods(repl, &s); err != nil {
		return err
	}
	if err := a.preparePolicies(&s); err != nil {
		return err
	}
	a.settings = s
	return nil
}

func checkName(name string) error {
	if name == "" || utf8.RuneCountInString(name) > 64 || strings.Contains(name, ":") || strings.ContainsFunc(name, unicode.IsControl) {
		return errors.New("the name is one line of 1 to 64 characters, without a colon (authenticator apps split there)")
	}
	return nil
}

func checkURL(address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("%q is not a site's address such as https://dash.example.com", address)
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !localhost(u.Hostname())) {
		return fmt.Errorf("%q must begin with https:// (browsers keep the session's cookie over HTTPS only, and on localhost)", address)
	}
	return nil
}

var errTwoAddresses = errors.New("portal says the address already that links begin with, and this is another one; leave url out")

var pathPrefix = regexp.MustCompile(`^(/[A-Za-z0-9._~-]+)+$`)

func checkPath(prefix string) error {
	if len(prefix) > 128 || !pathPrefix.MatchString(prefix) || ambiguous(prefix) {
		return fmt.Errorf("%q is not a path such as /.mfa: it begins with /, does not end with /, and is made of letters, digits, and . _ ~ -", prefix)
	}
	return nil
}

func checkStorage(s *Storage) error {
	if s != nil && s.Type != "" && s.Type != storageBadger {
		return fmt.Errorf("there is no storage %q; this version knows %q", s.Type, storageBadger)
	}
	return nil
}

func (s *Storage) dir() string {
	if s == nil {
		return ""
	}
	return s.Dir
}

// times returns both limits, with their defaults.
func (t *SessionTimes) times() (idle, lifetime time.Duration, err error) {
	lifetime, idle = defaultLifetime, defaultIdle
	if t != nil && t.Lifetime != 0 {
		lifetime = time.Duration(t.Lifetime)
	}
	if lifetime < minLifetime || lifetime > auth.MaxLifetime {
		return 0, 0, fmt.Errorf("lifetime %s is out of range: 5m to 30d", days(lifetime))
	}
	if idle = min(idle, lifetime); t != nil && t.Idle != 0 {
		idle = time.Duration(t.Idle)
	}
	if idle < minIdle || idle > lifetime {
		return 0, 0, fmt.Errorf("idle %s is out of range: 1m to the lifetime, which is %s", days(idle), days(lifetime))
	}
	return idle, lifetime, nil
}

// days writes a duration as people do, in days where it is some: Go knows no unit above the hour.
func days(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= day && d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	return d.String()
}

// placeholder is what a secret must be written as: Caddy shows its whole configuration below /config/.
var placeholder = regexp.MustCompile(`^\{(file|env)\.[^{}]+\}$`)

func checkSecrets(options []string) error {
	for _, option := range options {
		if !placeholder.MatchString(option) {
			return errors.New("a secret must not stand in the configuration, which Caddy's admin API shows; write {file./path/to/secret} or {env.NAME}")
		}
	}
	return nil
}

func readSecrets(repl *caddy.Replacer, options []string) ([][]byte, error) {
	if err := checkSecrets(options); err != nil {
		return nil, err
	}
	var secrets [][]byte
	for _, option := range options {
		value, err := repl.ReplaceOrErr(option, true, true)
		if err != nil {
			return nil, fmt.Errorf("%s is missing, unreadable or empty", option)
		}
		secret := bytes.TrimSpace([]byte(value))
		if len(secret) < auth.MinSecret {
			return nil, fmt.Errorf("%s holds %d bytes, a secret needs at least %d; make one with: openssl rand -base64 32", option, len(secret), auth.MinSecret)
		}
		secrets = append(secrets, secret)
	}
	return secrets, nil
}

// seconds are the second methods of this version, in order of preference: keys are the easiest, and cannot be phished; mail comes
// last of those that people use every day, because its mailbox may be open to others.
var seconds = []string{auth.MethodWebAuthn, auth.MethodTOTP, auth.MethodEmail, auth.MethodRecovery}

// names are those of the methods in use.
func (a *App) names() []string {
	switch {
	case len(a.Methods) > 0:
		return a.Methods
	case a.SMTP == nil:
		return slices.DeleteFunc(slices.Clone(seconds), func(m string) bool { return m == auth.MethodEmail })
	}
	return seconds
}

func checkMethods(methods []string) error {
	second := len(methods) == 0
	for i, m := range methods {
		switch {
		case slices.Contains(methods[:i], m):
			return fmt.Errorf("%s is named twice", m)
		case m == auth.MethodPassword:
			return errors.New("the password is always asked, it is not named here")
		case !slices.Contains(seconds, m):
			return fmt.Errorf("there is no method %q; this version knows %s", m, strings.Join(seconds, ", "))
		}
		second = second || m != auth.MethodRecovery
	}
	if !second {
		return errors.New("recovery codes alone are no second factor; add webauthn, totp or email")
	}
	return nil
}

// crossChecked are the options that can be of no use because of others.
var crossChecked = []string{"url", "webauthn", "methods", "recovery", "reset", "sign_in"}

// checkUsed says why an option is of no use with the others.
func (a *App) checkUsed(option string) error {
	switch email := slices.Contains(a.names(), auth.MethodEmail); option {
	case "url":
		if p := a.Portal; p != nil && a.URL != "" && !hasPlaceholder(p.URL+a.URL) && strings.TrimSuffix(p.URL, "/") != strings.TrimSuffix(a.URL, "/") {
			return errTwoAddresses
		}
	case "webauthn":
		return errors.Join(a.WebAuthn.checkUsed(a.Methods), a.WebAuthn.checkPortal(a.Portal))
	case "methods":
		if email && a.SMTP == nil {
			return errors.New("email needs smtp, which says where mail goes")
		}
	case "recovery":
		if a.Recovery != nil && !slices.Contains(a.names(), auth.MethodRecovery) {
			return errors.New("recovery is about recovery codes, which methods switches off")
		}
	case "reset":
		if a.Reset != "" && (!email || a.SMTP == nil) {
			return errors.New("reset is about people who sign in with codes by mail, and needs smtp and the method email")
		}
	case "sign_in":
		if a.SignIn != "" && !slices.Contains(a.names(), auth.MethodTOTP) && !slices.Contains(a.names(), auth.MethodRecovery) {
			return errors.New("one_page asks for a code, and needs the method totp or recovery")
		}
	}
	return nil
}

// signInOnePage is the only value of the option sign_in.
const signInOnePage = "one_page"

func checkSignIn(value string) error {
	if value != signInOnePage {
		return fmt.Errorf("sign_in knows only %s, not %q", signInOnePage, value)
	}
	return nil
}

// prepareMethods makes the methods. It reads the metadata that attestation needs.
func (a *App) prepareMethods(repl *caddy.Replacer, s *settings) error {
	if err := checkMethods(a.Methods); err != nil {
		return fmt.Errorf("option methods: %w", err)
	}
	for _, option := range crossChecked {
		if err := a.checkUsed(option); err != nil {
			return fmt.Errorf("option %s: %w", option, err)
		}
	}
	s.methods = []auth.Method{method.NewPassword(s.name)}
	for _, name := range a.names() {
		switch name {
		case auth.MethodWebAuthn:
			if err := s.addWebAuthn(repl, a.WebAuthn); err != nil {
				return fmt.Errorf("option webauthn: %w", err)
			}
		case auth.MethodTOTP:
			s.methods = append(s.methods, method.NewTOTP(s.name))
		case auth.MethodEmail:
			s.methods = append(s.methods, method.NewEmail())
		case auth.MethodRecovery:
			codes := method.NewRecovery()
			if a.Recovery != nil && a.Recovery.Viewable {
				codes.KeepCodes()
			}
			s.methods = append(s.methods, codes)
		}
	}
	return nil
}
