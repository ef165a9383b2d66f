package caddymodule

import (
	"context"
	"crypto/tls"
	"errors"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// An asked request is one that nobody sent: it is made as a server would have it, and goes through the routes of a configuration up to
// the gates. What would answer it is not called.

// noClient is the address that a request comes from if nobody says: one for documentation (RFC 5737), in nobody's network.
const noClient = "192.0.2.1"

// askedRequest is one request to ask about.
type askedRequest struct {
	Method  string            `json:"method,omitempty"` // default: GET
	URL     string            `json:"url"`              // http or https, with a host; what follows "#" is left out, as browsers do
	Headers map[string]string `json:"headers,omitempty"`
	Client  string            `json:"client,omitempty"` // IP address; default: 192.0.2.1
	User    string            `json:"user,omitempty"`   // sign-in name; "": only a stranger is asked for
}

// request returns it as a server that speaks plain HTTP reads it, and whether it was sent by HTTPS. The error is a *inputError.
func (a *askedRequest) request() (r *http.Request, https bool, err error) {
	scheme, rest, _ := strings.Cut(a.URL, "://")
	https = strings.EqualFold(scheme, "https")
	rest, _, _ = strings.Cut(rest, "#")
	at := strings.IndexAny(rest, "/?")
	if at < 0 {
		at = len(rest)
	}
	host, uri := rest[:at], rest[at:]
	if !strings.HasPrefix(uri, "/") {
		uri = "/" + uri
	}
	site, err := url.Parse("http://" + host)
	u, bad := url.ParseRequestURI(uri)
	if err != nil || bad != nil || !https && !strings.EqualFold(scheme, "http") || site.Hostname() == "" || site.User != nil {
		return nil, false, &inputError{strconv.Quote(a.URL) + " is no URL such as https://dash.example.com/admin/"}
	}
	client := a.Client
	if client == "" {
		client = noClient
	}
	if net.ParseIP(client) == nil {
		return nil, false, &inputError{strconv.Quote(client) + " is no IP address"}
	}
	r = &http.Request{
		Method: a.Method, URL: u, RequestURI: uri, Host: host, RemoteAddr: net.JoinHostPort(client, "1"), Header: http.Header{}, Body: http.NoBody,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	if r.Method == "" {
		r.Method = http.MethodGet
	}
	for name, value := range a.Headers {
		r.Header.Set(name, value)
	}
	return r, https, nil
}

// walk is a request on its way through the routes. Groups of routes, of which only the first that matches counts, are as in Caddy.
type walk struct {
	server  *caddyhttp.Server
	groups  map[string]bool
	depth   int
	matched bool   // a route of the server was for it
	end     string // the handler that would answer, "" for none
	// gate is told of each gate on the way and says whether the request goes on.
	gate func(*Gate, *http.Request) (bool, error)
}

// follow sends the request through the routes.
func (p *walk) follow(r *http.Request) error {
	return p.routes(p.server.Routes, through).ServeHTTP(nowhere{http.Header{}}, r)
}

var through = caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })

func (p *walk) routes(routes caddyhttp.RouteList, next caddyhttp.Handler) caddyhttp.Handler {
	for i := len(routes) - 1; i >= 0; i-- {
		next = p.route(&routes[i], next)
	}
	return next
}

func (p *walk) route(route *caddyhttp.Route, next caddyhttp.Handler) caddyhttp.Handler {
	return caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		if p.groups[route.Group] {
			return next.ServeHTTP(w, r)
		}
		ok, err := route.MatcherSets.AnyMatchWithError(r)
		if err != nil {
			return err
		}
		if !ok {
			return next.ServeHTTP(w, r)
		}
		p.matched = true
		p.groups[route.Group] = route.Group != ""
		then := next
		if route.Terminal {
			then = through
		}
		for _, h := range slices.Backward(route.Handlers) {
			then = p.handler(h, then)
		}
		return then.ServeHTTP(w, r)
	})
}

// What is known of handlers, by name: some change nothing but the request, and are run; some answer. All others are taken to pass the
// request on, basic_auth for example.
const (
	changers  = " headers map request_body rewrite vars "
	answerers = " acme_server error file_server metrics mfa_portal "
)

var errTooDeep = errors.New("routes invoke one another without end")

func (p *walk) handler(h caddyhttp.MiddlewareHandler, next caddyhttp.Handler) caddyhttp.Handler {
	return caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		name := " " + caddy.GetModuleName(h) + " "
		switch known := h.(type) {
		case *Gate:
			if on, err := p.gate(known, r); !on || err != nil {
				return err
			}
		case *ForwardAuth: // asked about the request by a proxy, which has the app
			_, err := p.gate(known.Gate, r)
			return err
		case *caddyhttp.Subroute:
			return p.routes(known.Routes, next).ServeHTTP(w, r)
		case *caddyhttp.Invoke:
			if p.depth++; p.depth > 100 {
				return errTooDeep
			}
			if named := p.server.NamedRoutes[known.Name]; named != nil {
				return p.route(named, next).ServeHTTP(w, r)
			}
		case *caddyhttp.StaticResponse:
			p.end = strings.TrimSpace("static_response " + string(known.StatusCode))
			return nil
		case *reverseproxy.Handler:
			if len(known.HandleResponse) == 0 { // forward_auth has some
				p.end = "reverse_proxy"
				return nil
			}
		default:
			switch {
			case strings.Contains(changers, name):
				return h.ServeHTTP(w, r, next)
			case strings.Contains(answerers, name):
				p.end = strings.TrimSpace(name)
				return nil
			}
		}
		return next.ServeHTTP(w, r)
	})
}

// nowhere is where answers go that nobody gets.
type nowhere struct{ header http.Header }

func (n nowhere) Header() http.Header       { return n.header }
func (nowhere) WriteHeader(int)             {}
func (nowhere) Write(b []byte) (int, error) { return len(b), nil }

// serversFor returns the servers that could get a request for host, which may have a port: those that listen on its port, or else, since
// something before Caddy may listen there, all. Those that speak as the client did come first.
func serversFor(web *caddyhttp.App, host string, https bool) (out []*caddyhttp.Server) {
	port := uint64(80)
	if https {
		port = 443
	}
	if _, given, err := net.SplitHostPort(host); err == nil {
		port, _ = strconv.ParseUint(given, 10, 16)
	}
	for _, onPort := range []bool{true, false} {
		for _, alike := range []bool{true, false} {
			for _, name := range slices.Sorted(maps.Keys(web.Servers)) {
				server := web.Servers[name]
				if (!onPort || listensOn(server, uint(port))) && alike == (speaksTLS(server) == https) {
					out = append(out, server)
				}
			}
		}
		if len(out) > 0 {
			break
		}
	}
	return out
}

func speaksTLS(server *caddyhttp.Server) bool { return len(server.TLSConnPolicies) > 0 }

func listensOn(server *caddyhttp.Server, port uint) bool {
	return slices.ContainsFunc(server.Listen, func(listen string) bool {
		addr, err := caddy.ParseNetworkAddress(listen)
		return err == nil && addr.StartPort <= port && port <= addr.EndPort
	})
}

// send makes the request one of server, and sends it through its routes.
func (p *walk) send(ctx context.Context, r *http.Request, https bool) error {
	r, p.groups = r.Clone(ctx), map[string]bool{}
	if https && speaksTLS(p.server) {
		r.TLS = &tls.ConnectionState{Version: tls.VersionTLS13, HandshakeComplete: true, ServerName: hostOf(r)}
	}
	r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), nowhere{http.Header{}}, p.server)
	if https && r.TLS == nil && r.Header["X-Forwarded-Proto"] == nil {
		// Something before Caddy speaks HTTPS. That Caddy trusts it is not known here, but nobody could sign in otherwise.
		caddyhttp.SetVar(r.Context(), caddyhttp.TrustedProxyVarKey, true)
		r.Header.Set("X-Forwarded-Proto", "https")
	}
	return p.follow(r)
}
