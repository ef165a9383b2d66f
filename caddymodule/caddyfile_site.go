package caddymodule

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// parseGate reads the directive of a site:
//
//	mfa {
//		public  <path|@matcher>...
//		allow   <user|group:name>...
//		require <method>...
//		max_age <duration>
//		tokens  allow|deny
//		report_only
//		identity jwt [EdDSA|ES256] [<header>]
//		identity {
//			user|name|email|groups <header>|off
//			jwt                    [EdDSA|ES256] [<header>]
//		}
//		rule <path|@matcher>... {
//			public
//			allow   <user|group:name>...
//			require <method>...
//			max_age <duration>
//			tokens  allow|deny
//			report_only
//		}
//	}
//
// It takes no matcher: outside of it, clients could say who they are in the headers that the app trusts. There may be several public
// and rule, of which the first that matches counts; everything else stands once.
func parseGate(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	g, err := readGate(h, nil)
	if err != nil {
		return nil, err
	}
	return h.NewRoute(nil, g), nil
}

// readGate reads the block of a gate. hosts is nil where it may not name any.
func readGate(h httpcaddyfile.Helper, hosts *[]string) (*Gate, error) {
	h.Next()
	directive := h.Val()
	g := &Gate{Source: source(h.Dispenser)}
	if h.NextArg() {
		return nil, h.Errf("%s guards a whole site and takes no matcher; say with `public` inside its block what needs no sign-in", directive)
	}
	if err := checkSite(h); err != nil {
		return nil, h.WrapErr(err)
	}
	seen := options{}
	for h.NextBlock(0) {
		var err error
		option := h.Val()
		if option == "hosts" && hosts != nil {
			if err = seen.once(h.Dispenser); err == nil {
				*hosts, err = someArgs(h.Dispenser, checkAsked)
			}
			if err != nil {
				return nil, err
			}
			continue
		}
		switch option {
		case "public":
			err = g.addRule(h, parsePublic)
		case "rule":
			err = g.addRule(h, parseRule)
		case "allow", "require", "max_age", "tokens", "report_only":
			if err = seen.once(h.Dispenser); err == nil {
				err = parseAsk(h, &g.Allow, &g.Require, &g.MaxAge, &g.Tokens, &g.ReportOnly)
			}
		case "identity":
			if err = seen.once(h.Dispenser); err == nil {
				g.Identity, err = parseIdentity(h.Dispenser)
			}
		default:
			err = h.Errf("there is no option %q here; this version knows public, allow, require, max_age, tokens, identity, rule and report_only", option)
		}
		if err != nil {
			return nil, err
		}
	}
	return g, nil
}

// source is the place of the token under d, such as Caddyfile:12.
func source(d *caddyfile.Dispenser) string { return fmt.Sprintf("%s:%d", d.File(), d.Line()) }

// addRule appends what parse makes of a line or block, unless nothing could reach it.
func (g *Gate) addRule(h httpcaddyfile.Helper, parse func(httpcaddyfile.Helper, *Rule) error) error {
	rule, at := &Rule{Source: source(h.Dispenser)}, here(h.Dispenser)
	if err := parse(h, rule); err != nil {
		return err
	}
	if by := shadow(g.Rules, rule); by >= 0 {
		return at.Errf("this never counts: whatever it is for, the rule at %s matches first", g.Rules[by].Source)
	}
	g.Rules = append(g.Rules, rule)
	return nil
}

// parsePublic makes one rule of a line. Its paths share a matcher.
func parsePublic(h httpcaddyfile.Helper, rule *Rule) error {
	rule.Public = true
	if err := parseMatchers(h, rule); err != nil {
		return err
	}
	return noBlock(h.Dispenser)
}

// parseRule makes one rule of a block.
func parseRule(h httpcaddyfile.Helper, rule *Rule) error {
	at := here(h.Dispenser)
	if err := parseMatchers(h, rule); err != nil {
		return err
	}
	seen := options{}
	for nesting := h.Nesting(); h.NextBlock(nesting); {
		if err := seen.once(h.Dispenser); err != nil {
			return err
		}
		var err error
		switch option := h.Val(); option {
		case "public":
			err = soleOption(h.Dispenser, &rule.Public)
		case "allow", "require", "max_age", "tokens", "report_only":
			err = parseAsk(h, &rule.Allow, &rule.Require, &rule.MaxAge, &rule.Tokens, &rule.ReportOnly)
		default:
			err = h.Errf("there is no option %q here; a rule knows public, allow, require, max_age, tokens and report_only", option)
		}
		if err != nil {
			return err
		}
	}
	if err := rule.check(); err != nil {
		return at.WrapErr(err)
	}
	return nil
}

// parseAsk reads the option under h, which both sites and rules know.
func parseAsk(h httpcaddyfile.Helper, allow, require *[]string, maxAge *caddy.Duration, tokens *string, reportOnly *bool) (err error) {
	switch h.Val() {
	case "allow":
		*allow, err = someArgs(h.Dispenser, func(names []string) error {
			_, err := parsePrincipals(names)
			return err
		})
	case "require":
		*require, err = someArgs(h.Dispenser, func(methods []string) error { return checkRequire(methods, namesFor(h)) })
	case "max_age":
		*maxAge, err = parseDuration(h.Dispenser, checkMaxAge)
	case "tokens":
		if err = oneArg(h.Dispenser, tokens, nil); err == nil {
			if bad := checkTokens(*tokens); bad != nil {
				err = h.WrapErr(bad)
			}
		}
	case "report_only":
		err = soleOption(h.Dispenser, reportOnly)
	}
	return err
}

// namesFor are the methods that are switched on by the global options above the site.
func namesFor(h httpcaddyfile.Helper) []string { return globalApp(h).names() }

// parseMatchers reads the matchers of a rule. Its paths share one.
func parseMatchers(h httpcaddyfile.Helper, rule *Rule) error {
	var paths caddyhttp.MatchPath
	var tokens []string
	for h.CountRemainingArgs() > 0 {
		set, ok, err := h.MatcherToken()
		if err != nil {
			return h.WrapErr(err)
		}
		token := h.Val()
		one := &Rule{MatcherSetsRaw: caddyhttp.RawMatcherSets{set}}
		switch {
		case !ok:
			return h.Errf("%q is neither a path that begins with / nor a matcher such as @health", token)
		case rule.Public && matchesAll(set): // nil for *
			return h.Errf("%s would open the whole site to everybody; leave mfa out of it instead", token)
		case len(tokens) > 0 && coversAll(&Rule{MatcherSetsRaw: pathSets(paths, rule.MatcherSetsRaw)}, one):
			return h.Errf("%q is said already, by an earlier one", token)
		case strings.HasPrefix(token, "/"):
			paths = append(paths, token)
		case set == nil: // *: like no matcher at all
			paths = append(paths, "*")
		default:
			rule.MatcherSetsRaw = append(rule.MatcherSetsRaw, set)
		}
		tokens = append(tokens, token)
	}
	if len(tokens) == 0 {
		return h.ArgErr()
	}
	rule.MatcherSetsRaw = pathSets(paths, rule.MatcherSetsRaw)
	return nil
}

// pathSets puts a set for paths, if there are any, before the others.
func pathSets(paths caddyhttp.MatchPath, others caddyhttp.RawMatcherSets) caddyhttp.RawMatcherSets {
	if len(paths) == 0 {
		return others
	}
	raw, _ := json.Marshal(paths) // strings cannot fail
	return append(caddyhttp.RawMatcherSets{{"path": raw}}, others...)
}

// soleOption reads an option that takes nothing.
func soleOption(d *caddyfile.Dispenser, to *bool) error {
	if d.NextArg() {
		return d.ArgErr()
	}
	*to = true
	return noBlock(d)
}

// parseDuration reads one duration.
func parseDuration(d *caddyfile.Dispenser, check func(time.Duration) error) (caddy.Duration, error) {
	var text string
	if err := oneArg(d, &text, nil); err != nil {
		return 0, err
	}
	value, err := caddy.ParseDuration(text)
	if err != nil || value <= 0 {
		return 0, d.Errf("%q is not a duration such as 30m, 12h or 7d", text)
	}
	if err := check(value); err != nil {
		return 0, d.WrapErr(err)
	}
	return caddy.Duration(value), nil
}
