package caddymodule

import (
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// parseIdentity reads the option identity of a site, with its block if it has one; parseGate has its syntax.
func parseIdentity(d *caddyfile.Dispenser) (*Identity, error) {
	i, seen, places := new(Identity), options{}, map[string]*caddyfile.Dispenser{}
	last := here(d)
	if d.NextArg() {
		if d.Val() != "jwt" {
			return nil, d.Errf("identity takes jwt, or a block with user, name, email, groups and jwt, not %q", d.Val())
		}
		if err := seen.once(d); err != nil {
			return nil, err
		}
		if err := i.parseJWT(d); err != nil {
			return nil, err
		}
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := seen.once(d); err != nil {
			return nil, err
		}
		last = here(d)
		places[d.Val()] = last
		var err error
		switch option := d.Val(); option {
		case "user":
			err = oneHeader(d, &i.User)
		case "name":
			err = oneHeader(d, &i.Name)
		case "email":
			err = oneHeader(d, &i.Email)
		case "groups":
			err = oneHeader(d, &i.Groups)
		case "jwt":
			if err = i.parseJWT(d); err == nil {
				err = noBlock(d)
			}
		default:
			err = d.Errf("there is no option %q here; identity knows user, name, email, groups and jwt", option)
		}
		if err != nil {
			return nil, err
		}
	}
	if len(seen) == 0 {
		return nil, last.Err("identity says nothing; it takes jwt, or a block with user, name, email, groups and jwt")
	}
	_, part, err := i.told() // what only shows when everything is said
	if err == nil {
		return i, nil
	}
	if at := places[part]; at != nil {
		last = at
	}
	return nil, last.Errf("%s: %w", part, err)
}

// oneHeader reads a name, or off.
func oneHeader(d *caddyfile.Dispenser, to *string) error {
	return oneArg(d, to, func(name string) error {
		if name == identityOff {
			return nil
		}
		return checkHeader(name)
	})
}

// parseJWT reads what follows jwt: an algorithm, a header, both in this order, or nothing.
func (i *Identity) parseJWT(d *caddyfile.Dispenser) error {
	i.JWT = auth.AlgEdDSA
	args := d.RemainingArgs()
	if len(args) > 0 && !strings.Contains(args[0], "-") { // without an algorithm, the header is told from one by its hyphen
		if args[0] != auth.AlgEdDSA && args[0] != auth.AlgES256 {
			return d.WrapErr(errAlgorithm(args[0]))
		}
		i.JWT, args = args[0], args[1:]
	}
	switch len(args) {
	case 0:
		return nil
	case 1:
		if err := checkHeader(args[0]); err != nil {
			return d.WrapErr(err)
		}
		i.JWTHeader = args[0]
		return nil
	}
	return d.ArgErr()
}
