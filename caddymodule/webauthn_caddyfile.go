package caddymodule

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// parseWebAuthn reads the options of security keys and passkeys:
//
//	webauthn {
//		rp_id             <host>
//		origins           <origin>...
//		user_verification required|preferred|discouraged
//		attestation       none|direct [<metadata file>]
//		aaguids           allow|deny <aaguid>...
//	}
func parseWebAuthn(d *caddyfile.Dispenser) (*WebAuthn, error) {
	if d.NextArg() {
		return nil, d.ArgErr()
	}
	w, seen := new(WebAuthn), options{}
	at := here(d)
	sites := at // where to look if rp_id and origins do not go together
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := seen.once(d); err != nil {
			return nil, err
		}
		var err error
		switch option := d.Val(); option {
		case "rp_id":
			sites = here(d)
			err = oneArg(d, &w.RPID, func(id string) error {
				return (&WebAuthn{RPID: id, Origins: []string{"https://" + id}}).check()
			})
		case "origins":
			sites = here(d)
			w.Origins, err = someArgs(d, noneEmpty)
		case "user_verification":
			err = oneArg(d, &w.UserVerification, func(v string) error { return (&WebAuthn{UserVerification: v}).check() })
		case "attestation":
			w.Attestation, w.Metadata, err = parseAttestation(d)
		case "aaguids":
			w.AAGUIDs, err = parseAAGUIDs(d)
		default:
			err = d.Errf("there is no option %q here", option)
		}
		if err != nil {
			return nil, err
		}
	}
	if err := w.check(); err != nil {
		return nil, sites.WrapErr(err)
	}
	return w, seen.some(at, "rp_id, origins, user_verification, attestation and aaguids")
}

func parseAttestation(d *caddyfile.Dispenser) (kind, metadata string, err error) {
	args := d.RemainingArgs()
	if len(args) == 0 || len(args) > 2 {
		return "", "", d.ArgErr()
	}
	if err := noneEmpty(args); err != nil {
		return "", "", d.WrapErr(err)
	}
	if kind = args[0]; len(args) == 2 {
		metadata = args[1]
	}
	if err := (&WebAuthn{Attestation: kind, Metadata: metadata}).check(); err != nil {
		return "", "", d.WrapErr(err)
	}
	return kind, metadata, noBlock(d)
}

func parseAAGUIDs(d *caddyfile.Dispenser) (*AAGUIDs, error) {
	args := d.RemainingArgs()
	if len(args) < 2 {
		return nil, d.ArgErr()
	}
	models := new(AAGUIDs)
	switch args[0] {
	case "allow":
		models.Allow = args[1:]
	case "deny":
		models.Deny = args[1:]
	default:
		return nil, d.Errf("%q is neither allow nor deny", args[0])
	}
	if err := noneEmpty(args); err != nil {
		return nil, d.WrapErr(err)
	}
	if err := (&WebAuthn{AAGUIDs: models}).check(); err != nil {
		return nil, d.WrapErr(err)
	}
	return models, noBlock(d)
}

// here keeps the place of an option, for an error that shows only when all are read.
func here(d *caddyfile.Dispenser) *caddyfile.Dispenser {
	at := caddyfile.NewDispenser([]caddyfile.Token{d.Token()})
	at.Next()
	return at
}
