package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"
	"go.uber.org/zap"
)

// A gate serves the sign-in pages by itself. In a block that only some paths lead to, such as `handle /admin/*`, it is never asked for
// /.mfa, and nobody can sign in: this file finds that out, by following a request for the pages through the routes.

var errTwice = errors.New("there are two mfa directives in the same block of a site; put what they say into one")

// checkWay returns what is wrong with where a gate stands.
func (a *App) checkWay(server *caddyhttp.Server, w way) error {
	if w.twice {
		return errTwice
	}
	if !w.paths {
		return nil
	}
	hosts := w.hosts
	if len(hosts) == 0 {
		hosts = []string{a.settings.host}
		if a.settings.portal != nil { // it is another site's
			hosts = []string{""}
		}
	}
	for _, host := range hosts {
		if strings.Contains(host, "{") {
			continue // known only when a request comes
		}
		probe := func(rewrites bool) bool {
			return newProbe(host, a.settings.prefix+"/login", rewrites).follow(server, server.Routes) == found
		}
		switch {
		case !probe(true):
			return fmt.Errorf("only some paths of %s lead to mfa, and its sign-in pages below %s are not among them, so nobody could sign in: "+
				"write mfa at the site's own level and list in it with public what needs no sign-in, "+
				"or set the option path to a path that leads to mfa", siteName(host), a.settings.prefix)
		case !probe(false):
			a.log.Warn("only some paths lead to mfa; unless a rewrite before it changes that, the sign-in pages are not among them and nobody can sign in",
				zap.String("site", siteName(host)), zap.String("pages", a.settings.prefix))
		}
	}
	return nil
}

func siteName(host string) string {
	if host == "" {
		return "a site"
	}
	return host
}

// asksForPath reports whether only some paths match the route, as far as a glance tells.
func asksForPath(route caddyhttp.Route) bool {
	for _, set := range route.MatcherSets {
		if !slices.ContainsFunc(set, matchesPath) {
			return false
		}
	}
	return len(route.MatcherSets) > 0
}

func matchesPath(matcher any) bool {
	switch matcher.(type) {
	case *caddyhttp.MatchPath, *caddyhttp.MatchPathRE:
		return true
	}
	return false
}

// probe is a request for the sign-in pages on its way through the routes. What cannot be known beforehand counts as leading to a gate.
type probe struct {
	r        *http.Request
	rewrites bool // after a rewrite, nothing is known of the path
	changed  bool // there was one
	home     bool // it is mfa_portal that was found
	groups   map[string]bool
	invoked  map[string]bool
}

func newProbe(host, path string, rewrites bool) *probe {
	if host == "" {
		host = "any.invalid"
	}
	ctx := context.WithValue(context.Background(), caddy.ReplacerCtxKey, caddy.NewReplacer())
	r, _ := http.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
	r.Host, r.URL.Path = strings.ReplaceAll(host, "*", "any"), path
	return &probe{r: r, rewrites: rewrites, groups: map[string]bool{}, invoked: map[string]bool{}}
}

// fate is how far a probe got: on to the next route, into a gate, or to a route that ends the way.
type fate int

const (
	goesOn fate = iota
	found
	ends
)

// certainty is an answer that may be unknown; the smallest of several is their conjunction.
type certainty int

const (
	no certainty = iota
	maybe
	yes
)

func (p *probe) follow(server *caddyhttp.Server, routes caddyhttp.RouteList) fate {
	for _, route := range routes {
		if p.groups[route.Group] {
			continue
		}
		match := p.matches(route.MatcherSets)
		if match == no {
			continue
		}
		if route.Group != "" && match == yes {
			p.groups[route.Group] = true
		}
		end := p.handle(server, route.Handlers)
		if end == found {
			return found
		}
		if match == yes && (end == ends || route.Terminal) {
			return ends
		}
	}
	return goesOn
}

func (p *probe) handle(server *caddyhttp.Server, handlers []caddyhttp.MiddlewareHandler) fate {
	for _, h := range handlers {
		end := goesOn
		switch h := h.(type) {
		case *Gate:
			return found
		case *PortalSite:
			p.home = true
			return found
		case *rewrite.Rewrite:
			p.changed = p.changed || p.rewrites
		case *caddyhttp.Subroute:
			end = p.follow(server, h.Routes)
		case *caddyhttp.Invoke:
			if named := server.NamedRoutes[h.Name]; named != nil && !p.invoked[h.Name] {
				p.invoked[h.Name] = true // once is enough, and routes may invoke one another
				end = p.follow(server, caddyhttp.RouteList{*named})
			}
		}
		if end != goesOn {
			return end
		}
	}
	return goesOn
}

// matches is yes for no sets at all, and else the most certain answer of any set.
func (p *probe) matches(sets caddyhttp.MatcherSets) certainty {
	if len(sets) == 0 {
		return yes
	}
	best := no
	for _, set := range sets {
		all := yes
		for _, matcher := range set {
			all = min(all, p.match(matcher))
		}
		best = max(best, all)
	}
	return best
}

func (p *probe) match(matcher any) certainty {
	var known bool
	switch m := matcher.(type) {
	case *caddyhttp.MatchHost:
		known = !slices.ContainsFunc(*m, hasPlaceholder)
	case *caddyhttp.MatchPath:
		known = !p.changed && !slices.ContainsFunc(*m, hasPlaceholder)
	case *caddyhttp.MatchPathRE:
		known = !p.changed
	}
	m, ok := matcher.(caddyhttp.RequestMatcherWithError)
	if !known || !ok {
		return maybe
	}
	if is, err := m.MatchWithError(p.r); err != nil || !is {
		return no
	}
	return yes
}

func hasPlaceholder(pattern string) bool { return strings.Contains(pattern, "{") }
