package caddymodule

import (
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Several hosts need a portal, and a portal its site: without that, other gateways send people round in circles. This file finds it out of
// the routes, where the directives of a Caddyfile (portal_caddyfile.go) could not, or there was none.

// standing is on which hosts gates stand.
type standing struct {
	hosts []string // names and patterns, each once, in the order of the routes
	any   bool     // a gate stands on a site that answers to any name
	home  string   // a host that mfa_portal stands on, as routes write it
}

// note adds a gate. A placeholder that only a request fills in says nothing.
func (s *standing) note(g *Gate, w way) {
	repl := caddy.NewReplacer()
	for _, host := range w.hosts {
		host = strings.ToLower(repl.ReplaceKnown(host, ""))
		switch {
		case hasPlaceholder(host):
		case g.home:
			s.home = host
		case !slices.Contains(s.hosts, host):
			s.hosts = append(s.hosts, host)
		}
	}
	s.any = s.any || !g.home && len(w.hosts) == 0
}

// checkHosts returns what is wrong with the hosts that gates stand on.
func (a *App) checkHosts(web *caddyhttp.App, s *standing) error {
	p := a.settings.portal
	if p == nil {
		if s.any && a.settings.host != "" && !slices.Contains(s.hosts, a.settings.host) {
			s.hosts = append(s.hosts, a.settings.host)
		}
		for _, host := range s.hosts {
			if err := alone(s.hosts[0], host); err != nil {
				return err
			}
		}
		if s.any && a.settings.host == "" && len(s.hosts) > 0 {
			return fmt.Errorf("mfa stands on %s and on a site that answers to any name, and a session counts on one host only: "+
				"say with the option url which name is yours there, or name one host for signing in with the option portal", s.hosts[0])
		}
		return nil
	}
	for _, host := range s.hosts {
		if err := p.admits(host); err != nil {
			return err
		}
	}
	before := false
	for _, server := range web.Servers {
		probe := newProbe(p.host, a.settings.prefix+"/login", true)
		if probe.follow(server, server.Routes) != found {
			continue
		}
		if probe.home {
			return nil
		}
		before = true
	}
	switch {
	case before:
		return p.admits(p.host)
	case s.home != "":
		return elsewherePortal(s.home, p.host)
	}
	return fmt.Errorf(noPortalSite, p.base)
}
