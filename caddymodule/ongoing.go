package caddymodule

import (
	"context"
	"net"
	"net/http"
	"net/url"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// A stream outlives a reload, and the rules that let it through may not. So what is kept of its request goes through the routes of the new
// configuration, up to the gates, as one does that nobody sent (walk).

// ongoing is what is kept of a request that goes on.
type ongoing struct {
	method, host string
	sent         *url.URL
	header       http.Header // nil where it was not known from the beginning that the request goes on
	client       string // the address as Caddy has it, "" for none
	secure       bool
}

// request returns it as a server would read it.
func (o *ongoing) request() *http.Request {
	u, header := *o.sent, o.header.Clone()
	u.Scheme, u.Host = "", ""
	if header == nil {
		header = http.Header{}
	}
	client := noClient
	if addr := parseAddr(o.client); addr.IsValid() {
		client = addr.String()
	}
	return &http.Request{
		Method: o.method, URL: &u, RequestURI: u.RequestURI(), Host: o.host, RemoteAddr: net.JoinHostPort(client, "1"), Header: header, Body: http.NoBody,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
}

// asks is Config.Asks: what the gates on the way ask for together. nil: no site is for the request, or no gate, and then nobody knows better
// than the configuration that let it through.
func (a *App) asks(request any) (need *auth.Requirement) {
	o, ok := request.(*ongoing)
	if !ok || o.sent == nil {
		return nil
	}
	app, err := a.ctx.AppIfConfigured("http")
	if err != nil {
		return nil
	}
	defer func() { // matchers are others' code, and nobody else would catch it
		if p := recover(); p != nil {
			a.log.Error("a matcher panicked about a request that goes on, which is ended", zap.Any("panic", p))
			need = new(auth.Requirement)
		}
	}()
	r := o.request()
	for _, server := range serversFor(app.(*caddyhttp.App), o.host, o.secure) {
		way := walk{server: server, gate: func(g *Gate, r *http.Request) (bool, error) {
			asked, err := g.asks(r)
			if asked != nil {
				both := *asked
				for last := &both; ; last = last.And {
					if last.And == nil {
						last.And = need
						break
					}
					next := *last.And
					last.And = &next
				}
				need = &both
			}
			return err == nil, err
		}}
		if err := way.send(context.Background(), r, o.secure); err != nil {
			return new(auth.Requirement) // as such a request would not pass
		}
		if way.matched {
			break
		}
	}
	return need
}

// asks is what the gate needs of a request that goes on, nil for nothing.
func (g *Gate) asks(r *http.Request) (*auth.Requirement, error) {
	if g.ReportOnly {
		return nil, nil
	}
	vars, _ := r.Context().Value(caddyhttp.VarsCtxKey).(map[string]any)
	v := &visit{gate: g, r: r, vars: vars, sent: sentURL(r), host: hostOf(r), secure: secure(r, vars)}
	v.clean()
	unclear, misplaced := v.unclear(), v.elsewhere()
	found, err := g.find(r)
	switch {
	case err != nil:
		return nil, err
	case unclear == nil && found.need.Mode == auth.ModePublic:
		return nil, nil
	case unclear == nil && misplaced == nil:
		return found.need, nil
	}
	return new(auth.Requirement), nil
}
