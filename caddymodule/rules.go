package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

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

	matchers    caddyhttp.MatcherSets
	requirement auth.Requirement
	weaker      bool // it may let through what the site would not
}

func (rule *Rule) provision(ctx caddy.Context, site auth.Requirement) error {
	if rule.Public && slices.ContainsFunc(rule.MatcherSetsRaw, matchesAll) {
		return errors.New("a public rule that matches every path would open the whole site to everybody")
	}
	matchers, err := ctx.LoadModule(rule, "MatcherSetsRaw")
	if err != nil {
		return fmt.Errorf("loading matchers: %w", err)
	}
	if err := rule.matchers.FromInterface(matchers); err != nil {
		return err
	}
	rule.requirement = site
	switch {
	case rule.Public && len(rule.Allow) > 0:
		return errors.New("a rule is either public or for some people")
	case rule.Public && len(rule.matchers) == 0:
		return errors.New("a public rule without a matcher would open the whole site to everybody")
	case rule.Public:
		rule.requirement = auth.Requirement{Mode: auth.ModePublic}
	case len(rule.Allow) > 0:
		if rule.requirement.Allow, err = parsePrincipals(rule.Allow); err != nil {
			return err
		}
	default:
		return errors.New("a rule says public or allow")
	}
	rule.weaker = weaker(rule.requirement, site)
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

// weaker reports whether a may let through what b does not.
func weaker(a, b auth.Requirement) bool {
	if b.Mode != auth.ModeSignedIn || a.Mode == auth.ModePublic {
		return a.Mode != b.Mode
	}
	return !subset(a.Allow, b.Allow) || !subset(a.Methods, b.Methods) || b.MaxAge > 0 && (a.MaxAge == 0 || a.MaxAge > b.MaxAge)
}

// subset reports whether everything in a is in b, where an empty list stands for everything.
func subset[T comparable](a, b []T) bool {
	if len(b) == 0 {
		return true
	}
	return len(a) > 0 && !slices.ContainsFunc(a, func(v T) bool { return !slices.Contains(b, v) })
}

// matches reports whether the rule is for the request. A weaker rule must match the path in each of its readings: as decoded, which
// is what Caddy's matchers look at, and as sent. It matches no path that is out of the ordinary: there the site's own requirement
// holds.
func (rule *Rule) matches(r *http.Request) (bool, error) {
	ok, err := rule.matchers.AnyMatchWithError(r)
	if err != nil || !ok || !rule.weaker {
		return ok, err
	}
	if !ordinary(r.URL.Path) {
		return false, nil
	}
	if r.URL.RawPath == "" { // it was sent as what it decodes to is normally encoded
		return true, nil
	}
	decoded := *r.URL
	r.URL.Path, r.URL.RawPath = decoded.EscapedPath(), "" // in place: Caddy's placeholders hold this very URL
	ok, err = rule.matchers.AnyMatchWithError(r)
	*r.URL = decoded
	return ok, err
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
