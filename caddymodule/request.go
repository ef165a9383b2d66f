package caddymodule

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// hostOf returns the host of a request without port, in lower case: what a session's cookie is bound to.
func hostOf(r *http.Request) string {
	host := r.Host
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		host = host[:i]
	}
	return strings.ToLower(strings.Trim(host, "[]"))
}

// origin is that of the pages as the browser has it: scheme, host and port. What follows the host and is no port is left out: people are led
// to this address, and must not be led to another host by something like :1@evil.example.
func (v *visit) origin() string { return v.originAt(v.port()) }

// originAt is origin with another port, "" for the usual one.
func (v *visit) originAt(port string) string {
	scheme, host := "http://", v.host
	if v.secure {
		scheme = "https://"
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port == "" {
		return scheme + host
	}
	return scheme + host + ":" + port
}

// port is that of origin, "" for the usual one.
func (v *visit) port() string {
	usual := "80"
	if v.secure {
		usual = "443"
	}
	port := v.r.Host[strings.LastIndexByte(v.r.Host, ':')+1:]
	if len(port) == len(v.r.Host) || strings.Trim(port, "0123456789") != "" || port == usual {
		return ""
	}
	return port
}

// localhost reports whether browsers treat the host as this very machine, where they keep Secure cookies over plain HTTP too.
func localhost(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	if host == "" || host[0] > ':' { // no digit: a name, for which ParseAddr would make an error
		return false
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

// secure reports whether the visitor's browser speaks HTTPS. A proxy in front of Caddy may say so, if the server trusts it
// (trusted_proxies); any other client's X-Forwarded-Proto says nothing.
func secure(r *http.Request, vars map[string]any) bool {
	if trusted, _ := vars[caddyhttp.TrustedProxyVarKey].(bool); trusted {
		if proto := r.Header["X-Forwarded-Proto"]; len(proto) > 0 {
			return len(proto) == 1 && strings.EqualFold(proto[0], "https")
		}
	}
	return r.TLS != nil
}

// clientAddr is the address as Caddy's trusted_proxies settle it; the zero Addr if there is none, on a Unix socket for example.
func clientAddr(vars map[string]any) netip.Addr { return parseAddr(clientIP(vars)) }

// clientIP is clientAddr as Caddy wrote it down, which costs a request less.
func clientIP(vars map[string]any) string {
	s, _ := vars[caddyhttp.ClientIPVarKey].(string)
	return s
}

func parseAddr(s string) netip.Addr {
	addr, _ := netip.ParseAddr(s)
	return addr.Unmap()
}

// sentURL is what the client asked for, before any rewrite.
func sentURL(r *http.Request) *url.URL {
	if orig, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok && orig.URL != nil {
		return orig.URL
	}
	return r.URL
}

// hasErrorRoutes reports whether the site's admin shows errors in a way of their own (handle_errors). An error of those routes
// themselves is shown by nobody.
func hasErrorRoutes(r *http.Request) bool {
	s, _ := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	return s != nil && s.Errors != nil && len(s.Errors.Routes) > 0 && r.Context().Value(caddyhttp.ErrorCtxKey) == nil
}
