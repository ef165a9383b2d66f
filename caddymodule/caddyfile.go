package caddymodule

import (
	"errors"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
)

func init() {
	httpcaddyfile.RegisterGlobalOption("mfa", parseApp)
	httpcaddyfile.RegisterDirective("mfa", parseGate)
	httpcaddyfile.RegisterDirectiveOrder("mfa", httpcaddyfile.Before, "basic_auth")
}

// parseApp reads the global option:
//
//	mfa {
//		name     <name>
//		url      <address>
//		portal   <url> <host>...
//		path     <prefix>
//		storage  badger [<dir>]
//		secret   <placeholder>...
//		session {
//			idle     <duration>
//			lifetime <duration>
//		}
//		methods  webauthn|totp|email|recovery...
//		enforce <name> {
//			for     <user|group:name>...
//			methods any|webauthn|totp...
//			from    <date|moment>
//			grace   <duration>
//		}
//		recovery {
//			viewable
//		}
//		webauthn {
//			rp_id             <host>
//			origins           <origin>...
//			user_verification required|preferred|discouraged
//			attestation       none|direct [<metadata file>]
//			aaguids           allow|deny <aaguid>...
//		}
//		smtp log|<host:port> {
//			from     <address>
//			user     <name>
//			password <placeholder>
//			insecure
//			trust    <PEM file>
//			timeout  <duration>
//		}
//		reset    mail_only
//		sign_in  one_page
//		brand {
//			logo       <SVG or PNG file>
//			accent     "#rrggbb"
//			background "#rrggbb"
//			footer     <text>
//			links {
//				<label> <address>
//			}
//		}
//		templates <dir>
//	}
//
// Everything is optional, and so is the block. There may be several enforce; everything else stands once.
func parseApp(d *caddyfile.Dispenser, existing any) (any, error) {
	if existing != nil {
		d.Next()
		return nil, d.Err("there are two mfa blocks; put all options into one")
	}
	app := new(App)
	if err := app.UnmarshalCaddyfile(d); err != nil {
		return nil, err
	}
	return httpcaddyfile.App{Name: "mfa", Value: caddyconfig.JSON(app, nil)}, nil
}

// UnmarshalCaddyfile reads the global option; parseApp has its syntax.
func (a *App) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() {
		return d.ArgErr()
	}
	seen, places := options{}, map[string]*caddyfile.Dispenser{}
	var policies []*caddyfile.Dispenser
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		option := d.Val()
		if option == "enforce" {
			at := here(d)
			p, err := parseEnforce(d, a.Enforce)
			if err != nil {
				return err
			}
			a.Enforce, policies = append(a.Enforce, p), append(policies, at)
			continue
		}
		if err := seen.once(d); err != nil {
			return err
		}
		places[option] = here(d)
		var err error
		switch option {
		case "name":
			err = oneArg(d, &a.Name, checkName)
		case "url":
			err = oneArg(d, &a.URL, checkURL)
		case "portal":
			a.Portal, err = parsePortal(d)
		case "path":
			err = oneArg(d, &a.Path, checkPath)
		case "storage":
			a.Storage, err = parseStorage(d)
		case "secret":
			a.Secret, err = someArgs(d, checkSecrets)
		case "session":
			a.Session, err = parseSession(d)
		case "methods":
			a.Methods, err = someArgs(d, checkMethods)
		case "recovery":
			a.Recovery, err = parseRecovery(d)
		case "webauthn":
			a.WebAuthn, err = parseWebAuthn(d)
		case "smtp":
			a.SMTP, err = parseSMTP(d)
		case "reset":
			err = oneArg(d, &a.Reset, checkReset)
		case "sign_in":
			err = oneArg(d, &a.SignIn, checkSignIn)
		case "brand":
			a.Brand, err = parseBrand(d)
		case "templates":
			err = oneArg(d, &a.Templates, nil)
		default:
			return d.Errf("there is no option %q here", option)
		}
		if err != nil {
			return err
		}
	}
	for _, option := range crossChecked {
		if err := a.checkUsed(option); err != nil {
			return places[option].WrapErr(err)
		}
	}
	for i, at := range policies {
		if err := a.checkMeetable(&a.Enforce[i]); err != nil {
			return at.WrapErr(err)
		}
	}
	return nil
}

func parseStorage(d *caddyfile.Dispenser) (*Storage, error) {
	args := d.RemainingArgs()
	if len(args) == 0 || len(args) > 2 {
		return nil, d.ArgErr()
	}
	s := &Storage{Type: args[0]}
	if err := checkStorage(s); err != nil {
		return nil, d.WrapErr(err)
	}
	if len(args) == 2 {
		if s.Dir = args[1]; s.Dir == "" {
			return nil, d.Err("the directory is empty; is a variable not set?")
		}
	}
	return s, noBlock(d)
}

func parseSession(d *caddyfile.Dispenser) (*SessionTimes, error) {
	if d.NextArg() {
		return nil, d.ArgErr()
	}
	t, seen, at := new(SessionTimes), options{}, here(d)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := seen.once(d); err != nil {
			return nil, err
		}
		var to *caddy.Duration
		switch option := d.Val(); option {
		case "idle":
			to = &t.Idle
		case "lifetime":
			to = &t.Lifetime
		default:
			return nil, d.Errf("there is no option %q here", option)
		}
		var text string
		if err := oneArg(d, &text, nil); err != nil {
			return nil, err
		}
		value, err := caddy.ParseDuration(text)
		if err != nil || value <= 0 {
			return nil, d.Errf("%q is not a duration such as 30m, 12h or 7d", text)
		}
		*to = caddy.Duration(value)
	}
	if _, _, err := t.times(); err != nil {
		return nil, d.WrapErr(err)
	}
	return t, seen.some(at, "idle and lifetime")
}

// options refuses repeats.
type options map[string]bool

func (o options) once(d *caddyfile.Dispenser) error {
	if o[d.Val()] {
		return d.Errf("the option %q is given twice", d.Val())
	}
	o[d.Val()] = true
	return nil
}

// some refuses a block at which nothing was seen: whoever writes it believes that it does something.
func (o options) some(at *caddyfile.Dispenser, known string) error {
	if len(o) == 0 {
		return at.Errf("%s is empty; in it may stand %s", at.Val(), known)
	}
	return nil
}

// oneArg reads exactly one argument. What holds a placeholder is checked when it is replaced.
func oneArg(d *caddyfile.Dispenser, to *string, check func(string) error) error {
	if !d.AllArgs(to) {
		return d.ArgErr()
	}
	if *to == "" {
		return d.Errf("the value is empty")
	}
	if check != nil && !strings.Contains(*to, "{") {
		if err := check(*to); err != nil {
			return d.WrapErr(err)
		}
	}
	return noBlock(d)
}

// someArgs reads at least one argument.
func someArgs(d *caddyfile.Dispenser, check func([]string) error) ([]string, error) {
	args := d.RemainingArgs()
	if len(args) == 0 {
		return nil, d.ArgErr()
	}
	if err := check(args); err != nil {
		return nil, d.WrapErr(err)
	}
	return args, noBlock(d)
}

func noneEmpty(args []string) error {
	if slices.Contains(args, "") {
		return errors.New("a value is empty; is a variable not set?")
	}
	return nil
}

// noBlock refuses a block where none is read; the dispenser would take it for further options.
func noBlock(d *caddyfile.Dispenser) error {
	if nesting := d.Nesting(); d.NextBlock(nesting) {
		return d.Err("there is no block here")
	}
	return nil
}

var (
	_ caddyfile.Unmarshaler = (*App)(nil)
)
