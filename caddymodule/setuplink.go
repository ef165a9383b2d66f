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
	if !a.lease.first() {
		return nil
	}
	token, expires, err := realm.SetupToken(ctx)
	if err != nil {
		return fmt.Errorf("looking for the first account: %w", err)
	}
	if token == "" {
		return nil
	}
	a.log.Info("open this link to create the first admin account",
		zap.String("link", a.LinkFor(token)), zap.Time("expires", expires))
	return nil
}

// LinkFor returns the address at which the token of an invitation is accepted. Where neither the option url nor a running Caddy
// says under which address the site is reached, it begins with the path.
func (a *App) LinkFor(token string) string {
	base := a.settings.base
	if base == "" && a.address != nil {
		base = a.address()
	}
	// In the fragment: it is not sent, so no log on the way holds it (S30).
	return base + a.settings.prefix + "/invite#" + token
}

// findAddress derives the address of the first site that has a gate, by the servers' names and then in the order of their routes.
// A site without a name of its own is taken to be on localhost.
func (a *App) findAddress() string {
	app, err := a.ctx.AppIfConfigured("http")
	if err != nil {
		return ""
	}
	web := app.(*caddyhttp.App)
	unnamed := ""
	for _, name := range slices.Sorted(maps.Keys(web.Servers)) {
		server := web.Servers[name]
		host, found := gatedHost(server.Routes)
		if !found {
			continue
		}
		if host != "" {
			return addressOf(server, host)
		}
		if unnamed == "" {
			unnamed = addressOf(server, "localhost")
		}
	}
	return unnamed
}

// gatedHost looks for a gate below routes, and for the name of the host that leads to it; "" if any host does.
func gatedHost(routes caddyhttp.RouteList) (host string, found bool) {
	for _, route := range routes {
		inner, ok := gateIn(route.Handlers)
		if !ok {
			continue
		}
		found = true
		if host = inner; host == "" {
			host = hostOfRoute(route)
		}
		if host != "" {
			return host, true
		}
	}
	return "", found
}

func gateIn(handlers []caddyhttp.MiddlewareHandler) (host string, found bool) {
	for _, h := range handlers {
		switch h := h.(type) {
		case *Gate:
			return "", true
		case *caddyhttp.Subroute:
			if host, ok := gatedHost(h.Routes); ok {
				return host, true
			}
		}
	}
	return "", false
}

// hostOfRoute returns the first host that can stand in a link: no wildcard and no placeholder.
func hostOfRoute(route caddyhttp.Route) string {
	for _, set := range route.MatcherSets {
		for _, m := range set {
			hosts, ok := m.(*caddyhttp.MatchHost)
			if !ok {
				continue
			}
			for _, host := range *hosts {
				if !strings.ContainsAny(host, "*{") {
					return host
				}
			}
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
