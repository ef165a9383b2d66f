package caddymodule

import (
	"errors"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// anyMethod is how a Caddyfile says that every second method but mail meets a policy.
const anyMethod = "any"

// parseEnforce reads one policy:
//
//	enforce <name> {
//		for     <user|group:name>...
//		methods any|webauthn|totp...
//		from    <date|moment>
//		grace   <duration>
//	}
func parseEnforce(d *caddyfile.Dispenser, earlier []Policy) (p Policy, err error) {
	names := d.RemainingArgs()
	switch {
	case len(names) == 0:
		return p, d.ArgErr()
	case len(names) > 1:
		return p, d.Errf("a name with spaces needs quotes: enforce %q", strings.Join(names, " "))
	}
	p.Name = names[0]
	if err := checkPolicyName(p.Name); err != nil {
		return p, d.WrapErr(err)
	}
	if sameName(earlier, p.Name) {
		return p, d.Errf("there is a policy %q already", p.Name)
	}
	seen := options{}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := seen.once(d); err != nil {
			return p, err
		}
		switch option := d.Val(); option {
		case "for":
			p.For, err = someArgs(d, func(names []string) error {
				_, err := parsePrincipals(names)
				return err
			})
		case "methods":
			p.Methods, err = someArgs(d, func(methods []string) error {
				if !slices.Contains(methods, anyMethod) {
					return checkDemanded(methods)
				}
				if len(methods) > 1 {
					return errors.New("any stands alone, as it means that one of webauthn, totp is enough")
				}
				return nil
			})
			if len(p.Methods) == 1 && p.Methods[0] == anyMethod {
				p.Methods = nil
			}
		case "from":
			err = oneArg(d, &p.From, nil)
			if err == nil {
				if _, bad := parseFrom(p.From); bad != nil {
					err = d.WrapErr(bad)
				}
			}
		case "grace":
			p.Grace, err = parseGrace(d)
		default:
			err = d.Errf("there is no option %q here", option)
		}
		if err != nil {
			return p, err
		}
	}
	return p, nil
}

func parseGrace(d *caddyfile.Dispenser) (caddy.Duration, error) {
	var text string
	if err := oneArg(d, &text, nil); err != nil {
		return 0, err
	}
	grace, err := caddy.ParseDuration(text)
	if err != nil || grace <= 0 {
		return 0, d.Errf("%q is not a duration such as 12h or 14d", text)
	}
	if err := checkGrace(grace, text); err != nil {
		return 0, d.WrapErr(err)
	}
	return caddy.Duration(grace), nil
}

// parseRecovery reads:
//
//	recovery {
//		viewable
//	}
func parseRecovery(d *caddyfile.Dispenser) (*Recovery, error) {
	if d.NextArg() {
		return nil, d.ArgErr()
	}
	r, seen, at := new(Recovery), options{}, here(d)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := seen.once(d); err != nil {
			return nil, err
		}
		if option := d.Val(); option != "viewable" {
			return nil, d.Errf("there is no option %q here", option)
		}
		if r.Viewable = true; d.NextArg() {
			return nil, d.ArgErr()
		}
		if err := noBlock(d); err != nil {
			return nil, err
		}
	}
	return r, seen.some(at, "viewable")
}
