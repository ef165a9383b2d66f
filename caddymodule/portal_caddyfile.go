package caddymodule

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
)

func init() {
	httpcaddyfile.RegisterDirective("mfa_portal", parsePortalSite)
	httpcaddyfile.RegisterDirectiveOrder("mfa_portal", httpcaddyfile.Before, "basic_auth")
}

// parsePortal reads the option:
//
//	portal <url> <host>...
func parsePortal(d *caddyfile.Dispenser) (*Portal, error) {
	args := d.RemainingArgs()
	if len(args) == 0 {
		return nil, d.ArgErr()
	}
	if err := noneEmpty(args); err != nil {
		return nil, d.WrapErr(err)
	}
	p := &Portal{URL: args[0], Hosts: args[1:]}
	if err := checkPortal(strings.TrimSuffix(p.URL, "/"), p.Hosts); err != nil {
		return nil, d.WrapErr(err)
	}
	return p, noBlock(d)
}

// parsePortalSite reads the directive `mfa_portal`, which takes nothing.
func parsePortalSite(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	h.Next()
	if h.NextArg() {
		return nil, h.Errf("mfa_portal has the whole site to itself and takes nothing")
	}
	if err := noBlock(h.Dispenser); err != nil {
		return nil, err
	}
	p := globalApp(h).Portal
	if p == nil {
		return nil, h.WrapErr(errNoPortal)
	}
	if hosts := siteHosts(h); len(hosts) > 0 && !hasPlaceholder(p.URL) {
		host := hostName(p.URL)
		if !slices.ContainsFunc(hosts, func(site string) bool { return hasPlaceholder(site) || stands(site, host) }) {
			return nil, h.WrapErr(elsewherePortal(hosts[0], host))
		}
	}
	return h.NewRoute(nil, new(PortalSite)), nil
}

// globalApp is what the global option above the sites says.
func globalApp(h httpcaddyfile.Helper) *App {
	app := new(App)
	if global, ok := h.Option("mfa").(httpcaddyfile.App); ok {
		_ = json.Unmarshal(global.Value, app) // we wrote it
	}
	return app
}

// gatedHost is the host of the first mfa directive.
const gatedHost = "mfa.gated"

// checkSite refuses a gate on hosts where nobody could sign in. What a directive cannot see here, the survey finds when Caddy starts.
func checkSite(h httpcaddyfile.Helper) error {
	p := globalApp(h).Portal
	if p != nil && (hasPlaceholder(p.URL) || slices.ContainsFunc(p.Hosts, hasPlaceholder)) {
		return nil
	}
	for _, host := range siteHosts(h) {
		if hasPlaceholder(host) {
			continue
		}
		if p != nil {
			hosts := make([]string, len(p.Hosts))
			for i, pattern := range p.Hosts {
				hosts[i] = strings.ToLower(pattern)
			}
			if err := (&home{base: p.URL, host: hostName(p.URL), hosts: hosts}).admits(host); err != nil {
				return err
			}
			continue
		}
		first, _ := h.State[gatedHost].(string)
		if first == "" {
			first = host
			h.State[gatedHost] = first
		}
		if err := alone(first, host); err != nil {
			return err
		}
	}
	return nil
}

// siteHosts are the hosts in the addresses of the site that a directive stands in; none where a matcher further in may narrow them, and but
// for those that Caddy has yet to write in ASCII. Caddy does not show directives their site, so it is looked up in the helper: should the
// field be gone, the survey has to do.
func siteHosts(h httpcaddyfile.Helper) (hosts []string) {
	block := reflect.ValueOf(h).FieldByName("parentBlock")
	if h.IsNamedRoute() || !block.IsValid() || reflect.ValueOf(h.BlockState).Pointer() != reflect.ValueOf(h.State).Pointer() {
		return nil
	}
	keys := block.FieldByName("Keys")
	for i := 0; keys.IsValid() && i < keys.Len(); i++ {
		text := keys.Index(i).FieldByName("Text")
		if !text.IsValid() {
			return nil
		}
		if addr, err := httpcaddyfile.ParseAddress(text.String()); err == nil && addr.Host != "" && strings.IndexFunc(addr.Host, func(c rune) bool { return c >= utf8.RuneSelf }) < 0 {
			hosts = append(hosts, strings.ToLower(addr.Host))
		}
	}
	return hosts
}

// alone returns why there must be a portal for a gate on host beside one on first, or nil.
func alone(first, host string) error {
	const why = "a session counts on one host only. Name one host for signing in with the option portal, such as: " +
		"portal https://auth.example.com %s; and write mfa_portal into the site of that host"
	switch {
	case strings.HasPrefix(host, "*"):
		return fmt.Errorf("mfa stands on %s, which is many hosts, and "+why, host, host)
	case host != first:
		return fmt.Errorf("mfa stands on several hosts, %s and %s, and "+why+". A name that only redirects needs a site of its own, without mfa",
			first, host, first+" "+host)
	}
	return nil
}

// admits returns why people cannot sign in at the portal for a gate on host, or nil. The host may be a pattern, of which some are enough: the
// gate answers the others with 421.
func (h *home) admits(host string) error {
	switch {
	case host == h.host:
		return fmt.Errorf("%s is the portal, and mfa would stand before the pages where people sign in. Its site has mfa_portal instead, "+
			"and apps are on other hosts, whatever their ports: cookies do not tell ports apart", host)
	case !slices.ContainsFunc(h.hosts, func(pattern string) bool { return stands(pattern, host) || stands(host, pattern) }):
		return fmt.Errorf("mfa stands on %s, and the option portal does not list that host, so nobody could sign in there: "+
			"add it to portal %s", host, h.base)
	}
	return nil
}

// elsewherePortal says that mfa_portal stands where nobody looks for it.
func elsewherePortal(site, host string) error {
	return fmt.Errorf("mfa_portal stands on %s, and the option portal says that people sign in on %s", site, host)
}

const noPortalSite = "the option portal sends people to %s, and no site there has mfa_portal: add a site for that address with nothing " +
	"but mfa_portal in it"
