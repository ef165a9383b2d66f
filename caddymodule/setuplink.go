package caddymodule

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// announceSetup logs the link with which the first admin makes an account, once a process, while there is no account.
func (a *App) announceSetup(ctx context.Context, realm *auth.Realm) error {
	token, expires, err := realm.SetupToken(ctx)
	if err != nil {
		return fmt.Errorf("looking for the first account: %w", err)
	}
	if token == "" || !a.lease.first() {
		return nil
	}
	// A warning, so that it shows where the log is set to hold no more than those: without it nobody gets in.
	a.log.Warn("open this link to create the first admin account",
		zap.String("link", a.LinkFor(token)), zap.Time("expires", expires))
	return nil
}

// LinkFor returns the address at which the token of an invitation is accepted. Where neither the option url nor a running Caddy
// says under which address the site is reached, it begins with the path.
func (a *App) LinkFor(token string) string {
	base := a.settings.base
	if base == "" {
		a.surveyed.Do(a.survey)
		base = a.address
	}
	// In the fragment: it is not sent, so no log on the way holds it (S30).
	return base + a.settings.prefix + "/invite#" + token
}

// survey looks at the sites with a gate. It finds the address of the first one, by the servers' names and then in the order of
// their routes, for the case that the option url is not set; a site without a name of its own is taken to be on localhost. It also
// tells the gates of such sites under which name the portal may be shown.
func (a *App) survey() {
	app, err := a.ctx.AppIfConfigured("http")
	if err != nil {
		return
	}
	web := app.(*caddyhttp.App)
	unnamed := ""
	for _, name := range slices.Sorted(maps.Keys(web.Servers)) {
		server := web.Servers[name]
		eachGate(server, server.Routes, nil, func(g *Gate, hosts []string) {
			host := firstName(hosts)
			switch {
			case len(hosts) == 0:
				g.only.Store(&a.settings.host)
				if unnamed == "" {
					unnamed = addressOf(server, "localhost")
				}
			case a.address == "" && host != "":
				a.address = addressOf(server, host)
			}
		})
	}
	if a.address == "" {
		a.address = unnamed
	}
}

// eachGate visits the gates below routes, with the host names that lead to each; none stands for any.
func eachGate(server *caddyhttp.Server, routes caddyhttp.RouteList, hosts []string, visit func(*Gate, []string)) {
	for _, route := range routes {
		inner := hosts
		if own := hostsOf(route); len(own) > 0 {
			inner = own
		}
		for _, h := range route.Handlers {
			switch h := h.(type) {
			case *Gate:
				visit(h, inner)
			case *caddyhttp.Subroute:
				eachGate(server, h.Routes, inner, visit)
			case *caddyhttp.Invoke:
				if named := server.NamedRoutes[h.Name]; named != nil {
					eachGate(server, caddyhttp.RouteList{*named}, inner, visit)
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
		if !strings.ContainsAny(host, "*{") {
			return host
		}
	}
	return ""
}

// addressOf writes scheme, host and port of a server.
func addressOf(server *caddyhttp.Server, host string) string {
	scheme, usual := "http", uint(80)
	if len(server.TLSConnPolicies) > 0 {
		scheme, usual = "https", 443
	}
	for _, listen := range server.Listen {
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
