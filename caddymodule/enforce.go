package caddymodule

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// maxGrace bounds a grace period: whoever writes more means a date, or has mistyped.
const maxGrace = 365 * 24 * time.Hour

// Policy is what people must have set up as a second method, and use when they sign in. Several add up: each must be met. Recovery
// codes stand in for what is lost, and meet none.
type Policy struct {
	// What people see: where they are asked to set something up, and on their Security page. One line of up to 64 characters; no two
	// policies have the same. Who has heard of a policy is noted by its name, so that another name begins its grace anew.
	Name string `json:"name,omitempty"`

	// Whom it is for: any of these users and groups, as `alice` and `group:ops`. Default: everybody.
	For []string `json:"for,omitempty"`

	// Which methods meet it, one of them being enough: `webauthn`, `totp`, or both. Default: both.
	Methods []string `json:"methods,omitempty"`

	// From when on: a date such as `2027-01-01`, which begins at midnight UTC, or a moment such as `2027-01-01T08:00:00+01:00`.
	// Before it people are reminded at each sign-in. Default: at once.
	From string `json:"from,omitempty"`

	// How long people may put it off once they have heard of it, which they do at a sign-in; they are reminded at each. Up to `365d`.
	// With `from` both must be over. Default: not at all.
	Grace caddy.Duration `json:"grace,omitempty"`
}

// demandable are the methods that people can be made to set up.
var demandable = []string{auth.MethodWebAuthn, auth.MethodTOTP}

func checkPolicyName(name string) error {
	if name == "" || utf8.RuneCountInString(name) > 64 || strings.TrimSpace(name) != name || !utf8.ValidString(name) ||
		strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return errors.New("the name of a policy, which people see, is one line of 1 to 64 characters without spaces around")
	}
	if strings.ContainsAny(name, "{}") {
		return fmt.Errorf("%q: placeholders are not replaced here", name)
	}
	return nil
}

func checkDemanded(methods []string) error {
	for i, m := range methods {
		switch {
		case slices.Contains(methods[:i], m):
			return fmt.Errorf("%s is named twice", m)
		case m == auth.MethodPassword:
			return errors.New("the password is always asked, there is no need to demand it")
		case m == auth.MethodEmail:
			return errors.New("email cannot be demanded, because an address is given and not set up; demand webauthn or totp")
		case m == auth.MethodRecovery:
			return errors.New("recovery cannot be demanded, because recovery codes stand in for what is lost; demand webauthn or totp")
		case !slices.Contains(demandable, m):
			return fmt.Errorf("there is no method %q that could be demanded; there is %s", m, strings.Join(demandable, ", "))
		}
	}
	return nil
}

// parseFrom reads a date, or a moment.
func parseFrom(s string) (time.Time, error) {
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is neither a date such as 2027-01-01 nor a moment such as 2027-01-01T08:00:00Z", s)
}

// checkGrace has text for what the admin wrote.
func checkGrace(d time.Duration, text string) error {
	if d < 0 || d > maxGrace {
		return fmt.Errorf("grace %s is out of range: up to 365d", text)
	}
	return nil
}

// policy returns p for use. The error does not name it.
func (p *Policy) policy() (out auth.Policy, err error) {
	out = auth.Policy{Name: p.Name, Methods: p.Methods, Grace: time.Duration(p.Grace)}
	if p.From != "" {
		if out.From, err = parseFrom(p.From); err != nil {
			return out, err
		}
	}
	if out.For, err = parsePrincipals(p.For); err != nil {
		return out, err
	}
	return out, errors.Join(checkPolicyName(p.Name), checkDemanded(p.Methods), checkGrace(out.Grace, days(out.Grace)))
}

// offersSetUp reports whether there is something that people can set up by themselves.
func (a *App) offersSetUp() bool {
	on := a.names()
	return slices.Contains(on, auth.MethodWebAuthn) || slices.Contains(on, auth.MethodTOTP)
}

// checkMeetable says why nobody could meet a policy with the methods of this configuration.
func (a *App) checkMeetable(p *Policy) error {
	on := a.names()
	for _, m := range p.Methods {
		if !slices.Contains(on, m) {
			return fmt.Errorf("%s is switched off by methods, so nobody can set it up", m)
		}
	}
	if !a.offersSetUp() {
		return errors.New("nobody can meet a policy, because methods switches webauthn and totp off")
	}
	return nil
}

// sameName reports whether one of policies has the name, in any case: people could not tell two apart.
func sameName(policies []Policy, name string) bool {
	return slices.ContainsFunc(policies, func(p Policy) bool { return strings.EqualFold(p.Name, name) })
}

// preparePolicies checks the option enforce.
func (a *App) preparePolicies(s *settings) error {
	for i := range a.Enforce {
		p := &a.Enforce[i]
		policy, err := p.policy()
		if err == nil {
			err = a.checkMeetable(p)
		}
		if err == nil && sameName(a.Enforce[:i], p.Name) {
			err = errors.New("there are two policies of this name")
		}
		if err != nil {
			return fmt.Errorf("option enforce: policy %q: %w", p.Name, err)
		}
		s.policies = append(s.policies, policy)
	}
	return nil
}

// Recovery is what there is to say about recovery codes.
type Recovery struct {
	// Let people see their unused recovery codes again, on the Security page and after a fresh proof. New codes are then kept encrypted
	// in place of hashed: whoever has the store and its secret can read them. Codes that were made before stay as they are. Default: false.
	Viewable bool `json:"viewable,omitempty"`
}
