package caddymodule

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// parseSMTP reads where mail goes:
//
//	smtp <host:port> {
//		from     <address>
//		user     <name>
//		password <placeholder>
//		insecure
//		trust    <PEM file>
//		timeout  <duration>
//	}
//
//	smtp log
func parseSMTP(d *caddyfile.Dispenser) (*SMTP, error) {
	s, at := new(SMTP), here(d)
	switch {
	case !d.AllArgs(&s.Address):
		return nil, d.ArgErr()
	case s.Address == "":
		return nil, d.Err("the value is empty")
	case s.Address == "log":
		return &SMTP{Log: true}, noBlock(d)
	}
	if err := s.check(); err != nil {
		return nil, d.WrapErr(err)
	}
	seen, places := options{}, map[string]*caddyfile.Dispenser{}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := seen.once(d); err != nil {
			return nil, err
		}
		places[d.Val()] = here(d)
		if err := s.parseOption(d); err != nil {
			return nil, err
		}
	}
	switch {
	case s.From == "":
		return nil, at.Err("smtp needs from, the address that mail comes from")
	case s.User != "" && s.Password == "":
		return nil, places["user"].Errf("the user %q needs a password; write password {file./path/to/secret}", s.User)
	case s.Password != "" && s.User == "":
		return nil, places["password"].Err("there is a password without a user")
	}
	if err := s.check(); err != nil {
		if s.Insecure { // each option is right by itself; the one that the port speaks against is meant
			at = places["insecure"]
		}
		return nil, at.WrapErr(err)
	}
	return s, nil
}

func (s *SMTP) parseOption(d *caddyfile.Dispenser) error {
	switch option := d.Val(); option {
	case "from":
		return oneArg(d, &s.From, func(from string) error { return (&SMTP{From: from}).check() })
	case "user":
		return oneArg(d, &s.User, func(user string) error { return (&SMTP{User: user, Password: "any"}).check() })
	case "password":
		if err := oneArg(d, &s.Password, nil); err != nil {
			return err
		}
		if err := checkPassword(s.Password); err != nil {
			return d.WrapErr(err)
		}
		return nil
	case "insecure":
		s.Insecure = true
		if d.NextArg() {
			return d.ArgErr()
		}
		return noBlock(d)
	case "trust":
		return oneArg(d, &s.Trust, nil)
	case "timeout":
		return s.parseTimeout(d)
	default:
		return d.Errf("there is no option %q here", option)
	}
}

func (s *SMTP) parseTimeout(d *caddyfile.Dispenser) error {
	var text string
	if err := oneArg(d, &text, nil); err != nil {
		return err
	}
	timeout, err := caddy.ParseDuration(text)
	if err != nil || timeout <= 0 {
		return d.Errf("%q is not a duration such as 30s", text)
	}
	s.Timeout = caddy.Duration(timeout)
	if err := (&SMTP{Timeout: s.Timeout}).check(); err != nil {
		return d.WrapErr(err)
	}
	return nil
}
