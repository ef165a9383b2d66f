package caddymodule

import (
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/internal/method"
)

// WebAuthn sets up security keys and passkeys, the method `webauthn`. It works without any option: each site then has keys of its
// own, which no other site can use.
type WebAuthn struct {
	// The host that keys are made for, such as `example.com`: the relying party's ID. All sites in `origins` share its keys. A key
	// made for one ID is of no use with another, so changing it makes people set up their keys anew. Default: the host of each site.
	RPID string `json:"rp_id,omitempty"`

	// The sites that share the keys of `rp_id`, as a browser writes their origins: `https://dash.example.com`, with the port if it is
	// not the usual one. Keys work on no other site. Those that are neither the host `rp_id` nor below it are related origins: the
	// gate on that host names them to browsers at `/.well-known/webauthn`, and browsers take 5 different names among them.
	// Given exactly where `rp_id` is.
	Origins []string `json:"origins,omitempty"`

	// Whether a key must check who holds it, by fingerprint, face or PIN: `required`, `preferred` or `discouraged`. With `required`,
	// keys that cannot are refused. Only a key that checked signs in without the password. Default: `preferred`.
	UserVerification string `json:"user_verification,omitempty"`

	// Whether keys must prove who made them: `none` or `direct`. With `direct`, only models pass whose proof leads to `metadata`,
	// and most passkeys of phones and password managers have none. Default: `none`.
	Attestation string `json:"attestation,omitempty"`

	// A file with the signed list of FIDO's Metadata Service, read when Caddy starts or reloads. Given exactly with `direct`.
	Metadata string `json:"metadata,omitempty"`

	// The models that may be set up. Default: all.
	AAGUIDs *AAGUIDs `json:"aaguids,omitempty"`
}

// AAGUIDs name models of keys, such as `ee882879-721c-4913-9775-3dfcce97072a`. Without attestation they are what the browser says.
type AAGUIDs struct {
	// The only models that may be set up.
	Allow []string `json:"allow,omitempty"`

	// The models that may not. There is one of the lists at most.
	Deny []string `json:"deny,omitempty"`
}

// addWebAuthn makes the method. A nil w has the defaults.
func (s *settings) addWebAuthn(repl *caddy.Replacer, w *WebAuthn) error {
	c, err := w.config(repl, s.name)
	if err != nil {
		return err
	}
	m, err := method.NewWebAuthn(c)
	if err != nil {
		return err
	}
	s.methods = append(s.methods, m)
	s.related, err = newRelated(c.RPID, m.RelatedOrigins())
	return err
}

// config replaces the placeholders.
func (w *WebAuthn) config(repl *caddy.Replacer, name string) (method.WebAuthnConfig, error) {
	c := method.WebAuthnConfig{Name: name}
	if w == nil {
		return c, nil
	}
	models := w.models()
	for _, option := range []struct {
		name   string
		values []string
		one    *string
		all    *[]string
	}{
		{"rp_id", []string{w.RPID}, &c.RPID, nil},
		{"origins", w.Origins, nil, &c.Origins},
		{"user_verification", []string{w.UserVerification}, &c.UserVerification, nil},
		{"attestation", []string{w.Attestation}, &c.Attestation, nil},
		{"metadata", []string{w.Metadata}, &c.Metadata, nil},
		{"aaguids", models.Allow, nil, &c.AllowAAGUIDs},
		{"aaguids", models.Deny, nil, &c.DenyAAGUIDs},
	} {
		for _, value := range option.values {
			if option.one != nil && value == "" {
				continue // not given
			}
			value, err := repl.ReplaceOrErr(value, true, true)
			if err != nil {
				return c, fmt.Errorf("%s: %w", option.name, err)
			}
			if option.one != nil {
				*option.one = value
			} else {
				*option.all = append(*option.all, value)
			}
		}
	}
	return c, nil
}

func (w *WebAuthn) models() AAGUIDs {
	if w.AAGUIDs == nil {
		return AAGUIDs{}
	}
	return *w.AAGUIDs
}

// check says what cannot work together, as far as that is known before placeholders are replaced.
func (w *WebAuthn) check() error {
	models := w.models()
	c := method.WebAuthnConfig{
		RPID: w.RPID, Origins: known(w.Origins), UserVerification: w.UserVerification, Attestation: w.Attestation, Metadata: w.Metadata,
		AllowAAGUIDs: known(models.Allow), DenyAAGUIDs: known(models.Deny),
	}
	switch {
	case w.RPID == "" || len(w.Origins) == 0:
		c.Origins = w.Origins // one without the other is wrong, whatever it holds
	case hasPlaceholder(w.RPID):
		c.RPID, c.Origins = "", nil
	case len(c.Origins) == 0:
		c.Origins = []string{"https://" + w.RPID}
	}
	if hasPlaceholder(w.UserVerification) {
		c.UserVerification = ""
	}
	if hasPlaceholder(w.Attestation) {
		c.Attestation, c.Metadata = "", ""
	}
	return method.CheckWebAuthn(c)
}

// known leaves out what holds placeholders.
func known(values []string) []string {
	return slices.DeleteFunc(slices.Clone(values), hasPlaceholder)
}

// checkPortal refuses sites of keys without the portal, where alone keys are used.
func (w *WebAuthn) checkPortal(p *Portal) error {
	if w == nil || p == nil || len(w.Origins) == 0 || hasPlaceholder(p.URL) || slices.ContainsFunc(w.Origins, hasPlaceholder) {
		return nil
	}
	if origin := strings.ToLower(strings.TrimSuffix(p.URL, "/")); !slices.Contains(w.Origins, origin) {
		return fmt.Errorf("keys are used on the portal, and origins leaves it out: add %s", origin)
	}
	return nil
}

// checkUsed refuses options for a method that is switched off.
func (w *WebAuthn) checkUsed(methods []string) error {
	if w != nil && len(methods) > 0 && !slices.Contains(methods, auth.MethodWebAuthn) {
		return fmt.Errorf("webauthn has options, but methods (%s) leaves it out", strings.Join(methods, " "))
	}
	return nil
}
