package caddymodule

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// look makes sure that the sites were surveyed: before the first request is decided about, and where a link is made. The error says
// what is wrong with them.
func (a *App) look() error {
	if a.live.Load() != nil { // open has looked
		return nil
	}
	a.surveyed.Do(func() { a.flaw = a.survey() })
	return a.flaw
}

// survey looks at the sites with a gate. It finds the address of the first one, by the servers' names and then in the order of
// their routes, for the case that the option url is not set; a site without a name of its own is taken to be on localhost. It tells
// the gates of such sites under which name the portal may be shown. And it refuses gates where nobody could sign in.
func (a *App) survey() error {
	app, err := a.ctx.AppIfConfigured("http")
	if errors.Is(err, caddy.ErrNotConfigured) {
		return a.checkAddress() // no sites
	}
	if err != nil {
		return fmt.Errorf("looking for sites: %w", err)
	}
	web := app.(*caddyhttp.App)
	a.addresses = make(map[string]string)
	unnamed, first := "", error(nil)
	var stand standing
	for _, name := range slices.Sorted(maps.Keys(web.Servers)) {
		server := web.Servers[name]
		eachGate(server, server.Routes, way{}, func(g *Gate, w way) {
			if g.forward {
				a.forward = true
				a.asked = append(a.asked, g.asked...)
				if err := checkForward(w); err != nil && first == nil {
					first = err
				}
				return
			}
			if stand.note(g, w); g.home {
				return
			}
			host := firstName(w.hosts)
			switch {
			case len(w.hosts) == 0:
				a.patterns = append(a.patterns, "")
				g.only.Store(&a.settings.host)
				if unnamed == "" {
					unnamed = addressOf(server, "localhost")
				}
			case a.address == "" && host != "":
				a.address = addressOf(server, host)
			}
			for _, host := range w.hosts {
				if _, known := a.addresses[host]; !known && isName(host) {
					a.addresses[host] = addressOf(server, host)
				} else if !isName(host) {
					a.patterns = append(a.patterns, host)
				}
			}
			if err := a.checkWay(server, w); err != nil && first == nil {
				first = err
			}
		})
		if server.Errors == nil {
			continue
		}
		eachGate(server, server.Errors.Routes, way{}, func(g *Gate, w way) {
			if g.forward {
				if first == nil {
					first = errForwardErrors
				}
				return
			}
			if stand.note(g, w); len(w.hosts) == 0 {
				g.only.Store(&a.settings.host)
			}
			if w.twice && first == nil {
				first = errTwice
			}
		})
	}
	for _, check := range []func() error{a.checkAddress, func() error { return a.checkHosts(web, &stand) }} {
		if err := check(); err != nil && first == nil {
			first = err
		}
	}
	if a.address == "" {
		a.address = unnamed
	}
	if unnamed != "" && a.settings.host == "" {
		a.log.Warn("a site with mfa answers to any host name and shows the sign-in pages under any; say with the option url which one is yours")
	}
	return first
}

// way is what leads to a gate.
type way struct {
	hosts []string // of the request; none stands for any
	paths bool     // only some paths lead there
	some  bool     // only some requests do
	named []string // routes that were invoked
	twice bool     // another gate stands beside it
}

// eachGate visits the gates below routes.
func eachGate(server *caddyhttp.Server, routes caddyhttp.RouteList, outer way, visit func(*Gate, way)) {
	always := 0 // gates that every request passes that comes this far
	for _, route := range routes {
		inner := outer
		if own := hostsOf(route); len(own) > 0 {
			inner.hosts = own
		}
		inner.paths = outer.paths || asksForPath(route)
		inner.some = outer.some || len(route.MatcherSets) > 0
		beside := &always
		if len(route.MatcherSets) > 0 {
			beside = new(int)
		}
		for _, h := range route.Handlers {
			switch h := h.(type) {
			case *ForwardAuth:
				visit(h.Gate, inner)
			case *PortalSite:
				visit(&h.gate, inner)
			case *Gate:
				*beside++
				w := inner
				w.twice = *beside > 1
				visit(h, w)
			case *caddyhttp.Subroute:
				eachGate(server, h.Routes, inner, visit)
			case *caddyhttp.Invoke:
				if named := server.NamedRoutes[h.Name]; named != nil && !slices.Contains(inner.named, h.Name) {
					w := inner
					w.named = append(slices.Clone(w.named), h.Name)
					eachGate(server, caddyhttp.RouteList{*named}, w, visit)
				}
			}
		}
	}
}

// hostsOf returns the host names that a route asks for, or none if one of its matcher sets does without.
func hostsOf(route caddyhttp.Route) (hosts []string) {
	for _, set := range route.MatcherSets {
		named := false
		for _, m := range set {
			if names, ok := m.(*caddyhttp.MatchHost); ok {
				hosts, named = append(hosts, *names...), true
			}
		}
		if !named {
			return nil
		}
	}
	return hosts
}

// firstName returns the first host that can stand in a link: no wildcard and no placeholder.
func firstName(hosts []string) string {
	for _, host := range hosts {
		if isName(host) {
			return host
		}
	}
	return ""
}

func isName(host string) bool { return !strings.ContainsAny(host, "*{") }

// checkAddress refuses mail where no name of a site is known for the links in it: what a request says is not to be believed (S29).
func (a *App) checkAddress() error {
	if a.forward && !a.addressKnown() {
		return errForwardAddress
	}
	if a.settings.mails && !a.addressKnown() {
		return errors.New("mail needs an address for its links, and no site with mfa has a name of its own: set the option url, " +
			"such as https://dash.example.com")
	}
	return nil
}

// addressKnown says whether links can begin with an address. In a command without a running Caddy, the option url alone tells.
func (a *App) addressKnown() bool { return a.settings.base != "" || a.address != "" }

// base is the portal's address for people on host. For a host that is no configured site's, and for "", it is the address that the
// option url says, or that of the first site; without either it begins with the path.
func (a *App) base(host string) string {
	if a.settings.portal != nil { // for all hosts
		host = ""
	}
	return a.site(host) + a.settings.prefix
}

// site is base without the path, "" where no address is known.
func (a *App) site(host string) string {
	at := a.settings.base
	if known := a.addresses[host]; known != "" && host != a.settings.host {
		at = known
	}
	if at == "" {
		at = a.address
	}
	return at
}

// addressOf writes scheme, host and port under which people reach a server. Where it speaks no TLS, something before Caddy does:
// without HTTPS nobody signs in anywhere but on localhost.
func addressOf(server *caddyhttp.Server, host string) string {
	scheme, usual, listens := "http", uint(80), server.Listen
	switch {
	case len(server.TLSConnPolicies) > 0:
		scheme, usual = "https", 443
	case !localhost(host):
		scheme, listens = "https", nil
	}
	for _, listen := range listens {
		addr, err := caddy.ParseNetworkAddress(listen)
		if err == nil && addr.StartPort != 0 && addr.StartPort != usual {
			return scheme + "://" + net.JoinHostPort(host, strconv.FormatUint(uint64(addr.StartPort), 10))
		}
		if err == nil {
			break
		}
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return scheme + "://" + host
}
