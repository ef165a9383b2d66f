package loginui

import (
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/internal/method"
)

// enrolled is an app or a key.
type enrolled struct {
	ID, Method    string // for its forms
	Label         string // as its owner named it
	Created, Used time.Time
	Disabled      bool
	Title         string   // what the person calls it, or else the method
	About         []string // what else there is to say
	Dead          string   // why it signs nobody in, for a tag; "" if it does
	Kept          string   // why it cannot be removed; "" if it can
}

// label is what a credential is called: the word for it, where its owner has not named it.
func (x *exchange) label(label string) string {
	if label == method.TOTPLabel {
		return x.t("method." + auth.MethodTOTP)
	}
	return label
}

// enrolled describes a credential on the site with the given RP ID.
func (x *exchange) enrolled(c auth.Credential, site string) enrolled {
	c.Label = x.label(c.Label)
	e := enrolled{ID: c.ID, Method: c.Method, Label: c.Label, Created: c.Created, Used: c.Used, Disabled: c.Disabled, Title: x.t("method." + c.Method)}
	if c.Method != auth.MethodWebAuthn {
		if c.Label != "" && c.Label != e.Title {
			e.Title, e.About = c.Label, []string{e.Title}
		}
		return e
	}
	if c.Label != "" {
		e.Title = c.Label
	}
	key, err := method.Key(c)
	if err != nil {
		return e // the rest of the page is true
	}
	if key.Model != "" && key.Model != c.Label {
		e.About = append(e.About, key.Model)
	}
	kind := "security.key"
	switch {
	case key.Passkey && key.Synced:
		kind = "security.passkey.synced"
	case key.Passkey:
		kind = "security.passkey"
	}
	if about := x.t(kind); about != e.Title {
		e.About = append(e.About, about)
	}
	if site != "" && key.RPID != site {
		e.About = append(e.About, x.t("security.elsewhere", key.RPID))
	}
	return e
}
