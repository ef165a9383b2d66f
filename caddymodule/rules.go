package caddymodule

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// Rule says what some requests need instead of what the site asks for. What it leaves unset comes from the site.
type Rule struct {
	// Which requests the rule is for. A public rule must say; otherwise the default is all.
	MatcherSetsRaw caddyhttp.RawMatcherSets `json:"match,omitempty" caddy:"namespace=http.matchers"`

	// Nobody has to sign in for these. The app does not learn who is signed in: public requests are anonymous.
	Public bool `json:"public,omitempty"`

	// Who may pass: user names, and groups as `group:name`.
	Allow []string `json:"allow,omitempty"`

	// Methods of which the session must hold a proof of at least one: `password`, `webauthn`, `totp`, `email` or `recovery`.
	// Who has signed in without is asked for it. Setting up a method is no proof.
	Require []string `json:"require,omitempty"`

	// How old that proof may be, or, without methods, the newest proof of all. At least one minute.
	MaxAge caddy.Duration `json:"max_age,omitempty"`

	// Refuse nothing, and log who would have been asked to sign in or refused. The request then needs what it would need without
	// this rule.
	ReportOnly bool `json:"report_only,omitempty"`

	// Where the rule was written, such as `Caddyfile:12`, for logs and `caddy mfa rules check`. A Caddyfile fills it.
	Source string `json:"source,omitempty"`

	matchers    caddyhttp.MatcherSets
	requirement auth.Requirement
}

// minMaxAge is the least age after which a proof may count no more: a shorter time could be over before the person is back.
const minMaxAge = time.Minute

func (rule *Rule) provision(ctx caddy.Context, app *App, site auth.Requirement) error {
	if err := rule.check(); err != nil {
		return err
	}
	matchers, err := ctx.LoadModule(rule, "MatcherSetsRaw")
	if err != nil {
		return fmt.Errorf("loading matchers: %w", err)
	}
	if err := rule.matchers.FromInterface(matchers); err != nil {
		return err
	}
	rule.requirement = auth.Requirement{Mode: auth.ModePublic}
	if !rule.Public {
		if rule.requirement, err = narrowed(site, rule.Allow, rule.Require, rule.MaxAge, app); err != nil {
			return err
		}
	}
	return nil
}

// check returns what is wrong with a rule as it was written, or nil. Loading the matchers takes what it was written as.
func (rule *Rule) check() error {
	asks := len(rule.Allow) > 0 || len(rule.Require) > 0 || rule.MaxAge != 0
	switch {
	case rule.Public && rule.ReportOnly:
		return errors.New("a public rule stops nobody, so there is nothing to report")
	case rule.Public && asks:
		return errors.New("a rule is either public, or says who may pass and what they must have proven")
	case rule.Public && slices.ContainsFunc(rule.MatcherSetsRaw, matchesAll):
		return errors.New("a public rule that matches every path would open the whole site to everybody; leave mfa out of it instead")
	case rule.Public && len(rule.MatcherSetsRaw) == 0:
		return errors.New("a public rule without a matcher would open the whole site to everybody")
	case !rule.Public && !asks:
		return errors.New("a rule says public, allow, require or max_age")
	}
	return nil
}

// looksAtQuery reports whether a matcher, or one inside of it, may look at the query. Loading the matchers takes what they were written as.
func (rule *Rule) looksAtQuery() bool {
	return slices.ContainsFunc(rule.MatcherSetsRaw, func(set caddy.ModuleMap) bool {
		for name, raw := range set {
			if name == "query" || bytes.Contains(raw, []byte("query")) {
				return true
			}
		}
		return false
	})
}

// narrowed is what base asks, with what is set here in its place.
func narrowed(base auth.Requirement, allow, require []string, maxAge caddy.Duration, app *App) (auth.Requirement, error) {
	if len(allow) > 0 {
		principals, err := parsePrincipals(allow)
		if err != nil {
			return base, fmt.Errorf("allow: %w", err)
		}
		base.Allow = principals
	}
	if len(require) > 0 {
		if err := checkRequire(require, app.names()); err != nil {
			return base, fmt.Errorf("require: %w", err)
		}
		base.Methods = require
	}
	if maxAge != 0 {
		if err := checkMaxAge(time.Duration(maxAge)); err != nil {
			return base, fmt.Errorf("max_age: %w", err)
		}
		base.MaxAge = time.Duration(maxAge)
	}
	return base, nil
}

// checkRequire returns why methods cannot be required, or nil. on are those that are switched on.
func checkRequire(methods, on []string) error {
	for i, m := range methods {
		switch {
		case m != auth.MethodPassword && !slices.Contains(seconds, m):
			return fmt.Errorf("there is no method %q; there are password, %s", m, strings.Join(seconds, ", "))
		case slices.Contains(methods[:i], m):
			return fmt.Errorf("%s is named twice", m)
		case m != auth.MethodPassword && !slices.Contains(on, m):
			return fmt.Errorf("%s is switched off, so nobody could pass; the options methods and smtp say what is on", m)
		}
	}
	return nil
}

func checkMaxAge(age time.Duration) error {
	if age < minMaxAge || age > auth.MaxLifetime {
		return fmt.Errorf("%s is out of range: 1m to 30d", age)
	}
	return nil
}

// matchesAll reports whether the set asks for nothing, or for no more than a path that is made of wildcards alone, such as "*", "/*"
// or "/**".
func matchesAll(set caddy.ModuleMap) bool {
	for name, raw := range set {
		var patterns []string
		if name != "path" || json.Unmarshal(raw, &patterns) != nil || !slices.ContainsFunc(patterns, wildcards) {
			return false
		}
	}
	return true
}

func wildcards(pattern string) bool {
	return strings.Contains(pattern, "*") && strings.Trim(pattern, "/*?%") == ""
}

const groupPrefix = "group:"

// parsePrincipals reads what `allow` lists.
func parsePrincipals(names []string) ([]auth.Principal, error) {
	var out []auth.Principal
	for _, name := range names {
		p, err := parsePrincipal(name)
		if err != nil {
			return nil, err
		}
		if slices.Contains(out, p) {
			return nil, fmt.Errorf("%q is named twice", name)
		}
		out = append(out, p)
	}
	return out, nil
}

func parsePrincipal(name string) (auth.Principal, error) {
	if group, ok := strings.CutPrefix(name, groupPrefix); ok {
		if err := auth.CheckGroup(group); err != nil {
			return auth.Principal{}, fmt.Errorf("%q: %w", name, err)
		}
		return auth.Principal{Group: group}, nil
	}
	if name == "*" {
		return auth.Principal{}, errors.New(`"*" is nobody's name; leave this out, and it is for everybody`)
	}
	if strings.ContainsAny(name, "{}") {
		return auth.Principal{}, fmt.Errorf("%q: placeholders are not replaced here", name)
	}
	if strings.Contains(name, ":") {
		return auth.Principal{}, fmt.Errorf("%q is neither a user name nor a group, which is written as group:ops", name)
	}
	folded, err := auth.FoldName(name)
	if err != nil {
		return auth.Principal{}, fmt.Errorf("%q: %w", name, err)
	}
	return auth.Principal{User: folded}, nil
}
