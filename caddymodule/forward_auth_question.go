package caddymodule

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

var errNoQuestion = errors.New("not a path at which proxies ask")

// described is a request as a proxy describes it.
type described struct{ method, proto, host, uri string }

// describe returns the request that r, which a trusted proxy sent, asks about. The error says what is wrong with the question, in words that hold
// nothing of it. Each datum has one source: where there are two, or one is missing or not clear, there is no answer.
func (f *ForwardAuth) describe(r *http.Request, sent *url.URL) (*http.Request, error) {
	var d described
	var err error
	switch {
	case sent.Path == pathForwardAuth:
		d, err = byForwarded(r.Header)
	case (sent.Path == pathAuthRequest || sent.Path == pathAnswer) && len(r.Header["X-Original-Url"]) > 0:
		d, err = byOriginal(r.Header)
	case sent.Path == pathAuthRequest || sent.Path == pathAnswer:
		d, err = byForwarded(r.Header)
	case under(sent.EscapedPath(), pathExtAuthz):
		d = described{method: r.Method, host: r.Host, uri: strings.TrimPrefix(sent.RequestURI(), pathExtAuthz)}
		d.proto, err = only(r.Header, "X-Forwarded-Proto")
	default:
		err = errNoQuestion
	}
	if err != nil {
		return nil, err
	}
	u, err := d.check()
	if err != nil {
		return nil, err
	}
	q := new(http.Request)
	*q = *r
	q.Method, q.Host, q.URL, q.RequestURI = d.method, d.host, u, d.uri
	q.Body, q.ContentLength, q.TransferEncoding, q.Trailer, q.TLS = http.NoBody, 0, nil, nil, nil
	for _, name := range [...]string{
		"Content-Length", "Content-Type", // its body is not here: no form can be kept
		"X-Forwarded-Method", "X-Forwarded-Host", "X-Forwarded-Uri", "X-Original-Method", "X-Original-Url",
	} {
		delete(q.Header, name)
	}
	q.Header["X-Forwarded-Proto"] = []string{d.proto}
	s, _ := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	// Matchers and placeholders are about this request, too.
	q = caddyhttp.PrepareRequest(q, caddy.NewReplacer(), nil, s)
	v := visit{gate: f.Gate, sent: u, host: hostOf(q)}
	if below(u, f.app.settings.prefix) || v.asksForOrigins() {
		return nil, errors.New("this path is for the sign-in pages, so the proxy sends it on to Caddy and asks nothing")
	}
	return q, nil
}

// byForwarded is how Traefik, Caddy and HAProxy describe a request.
func byForwarded(h http.Header) (d described, err error) {
	to := [...]*string{&d.method, &d.proto, &d.host, &d.uri}
	for i, name := range [...]string{"X-Forwarded-Method", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Uri"} {
		if *to[i], err = only(h, name); err != nil {
			return d, err
		}
	}
	return d, nil
}

// byOriginal is how the ingress controller of nginx does.
func byOriginal(h http.Header) (d described, err error) {
	if len(h["X-Forwarded-Uri"]) > 0 {
		return d, errors.New("X-Forwarded-Uri and X-Original-URL are both there")
	}
	if d.method, err = only(h, "X-Original-Method"); err != nil {
		return d, err
	}
	address, err := only(h, "X-Original-Url")
	if err != nil {
		return d, err
	}
	proto, rest, _ := strings.Cut(address, "://")
	host, uri, ok := strings.Cut(rest, "/")
	if !ok {
		return d, errors.New("X-Original-URL is no whole address")
	}
	d.proto, d.host, d.uri = proto, host, "/"+uri
	return d, nil
}

// only returns the value of a header that must be there once.
func only(h http.Header, name string) (string, error) {
	switch values := h[name]; {
	case len(values) == 0 || values[0] == "":
		return "", fmt.Errorf("%s is missing", name)
	case len(values) > 1:
		return "", fmt.Errorf("%s is there more than once", name)
	default:
		return values[0], nil
	}
}

var (
	// A host with or without a port. What a URL may hold besides, such as somebody's name, could make another host of it.
	describedHost = regexp.MustCompile(`^([A-Za-z0-9_](\.?[A-Za-z0-9_-])*|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?$`)
	// Apps could read a method in small letters as the one in capitals.
	describedMethod = regexp.MustCompile(`^[A-Z][A-Z-]{0,31}$`)
)

// check returns the address that is asked about, as Caddy reads that of a request of its own.
func (d *described) check() (*url.URL, error) {
	switch d.proto {
	case "https", "http":
	case "wss": // so some say it of WebSockets
		d.proto = "https"
	case "ws":
		d.proto = "http"
	default:
		return nil, errors.New("the scheme is neither http nor https")
	}
	switch {
	case !describedMethod.MatchString(d.method):
		return nil, errors.New("the method is none that is known")
	case len(d.host) > 255+len(":65535") || !describedHost.MatchString(d.host):
		return nil, errors.New("the host is no name or address with or without a port")
	case !strings.HasPrefix(d.uri, "/"):
		return nil, errors.New("the URI is no path")
	}
	for i := range len(d.uri) {
		if d.uri[i] <= ' ' || d.uri[i] == 0x7f {
			return nil, errors.New("the URI holds a space or a control character")
		}
	}
	u, err := url.ParseRequestURI(d.uri)
	if err != nil || u.Host != "" || u.Scheme != "" {
		return nil, errors.New("the URI cannot be read") // the error would quote it
	}
	return u, nil
}
