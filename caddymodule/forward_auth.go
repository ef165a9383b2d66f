package caddymodule

import (
	"errors"
	"io"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

func init() {
	caddy.RegisterModule(new(ForwardAuth))
	httpcaddyfile.RegisterDirective("mfa_forward_auth", parseForwardAuth)
	httpcaddyfile.RegisterDirectiveOrder("mfa_forward_auth", httpcaddyfile.Before, "basic_auth")
}

// ForwardAuth is the gate for apps behind another proxy, such as nginx, HAProxy, Traefik, Envoy or another Caddy. The proxy asks it about
// each request, and sends it what is for the sign-in pages. It takes what the handler `mfa` takes, and stands in a site of its own that answers to
// any name.
//
// Proxies are believed if Caddy's `trusted_proxies` name them; everybody else gets 403. They ask at one of these paths:
//
//   - `/forward-auth`: the request is described by `X-Forwarded-Method`, `-Proto`, `-Host` and `-Uri`.
//   - `/auth-request`: the same, or `X-Original-Method` and `X-Original-URL`; for nginx, which takes no other answer than 200, 401 and 403.
//     At `/auth-request/answer` it then gets what to show.
//   - `/ext-authz`, followed by the path: method and host are the question's own, and `X-Forwarded-Proto` is there; for Envoy.
//
// The answer 200 means yes. It holds all identity headers, empty ones too, and `Cookie` as the app may see it.
type ForwardAuth struct {
	*Gate

	// The hosts that it answers for, such as `app.example.com`: names, in ASCII and without port, and no wildcards. It answers 421 for all
	// others. With the option `portal` each must be one of those that it lists by their names. Default: these, and without `portal` the host of `url`.
	Hosts []string `json:"hosts,omitempty"`

	names              []string // of the headers that a yes has
	strangers, unclear seldom
}

// The paths at which proxies ask.
const (
	pathForwardAuth = "/forward-auth"
	pathAuthRequest = "/auth-request"
	pathAnswer      = pathAuthRequest + "/answer"
	pathExtAuthz    = "/ext-authz"
)

// CaddyModule returns the Caddy module information.
func (*ForwardAuth) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.mfa_forward_auth", New: func() caddy.Module { return &ForwardAuth{Gate: new(Gate)} }}
}

// Provision loads the rules, as that of Gate does.
func (f *ForwardAuth) Provision(ctx caddy.Context) error {
	f.forward = true
	if err := f.Gate.Provision(ctx); err != nil {
		return err
	}
	var err error
	if f.asked, err = askedHosts(f.Hosts, &f.app.settings); err != nil {
		return err
	}
	told := f.told
	if told == nil {
		told = toldByDefault
	}
	f.names = told.answered()
	return nil
}

// parseForwardAuth reads the directive. Its block is that of mfa, and holds besides:
//
//	hosts <host>...
func parseForwardAuth(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	f := new(ForwardAuth)
	var err error
	if f.Gate, err = readGate(h, &f.Hosts); err != nil {
		return nil, err
	}
	return h.NewRoute(nil, f), nil
}

// ServeHTTP answers what a proxy asks, and what it sends on for the sign-in pages. A question never ends in an error: error routes
// could make a yes of it.
func (f *ForwardAuth) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	if trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool); !trusted {
		id := f.note(&f.strangers, r, "refused to answer somebody who is not in trusted_proxies")
		sayPlainly(w, http.StatusForbidden, "mfa_forward_auth answers no one but the proxies that Caddy's trusted_proxies name.", id)
		return nil
	}
	sent := sentURL(r)
	if below(sent, f.app.settings.prefix) || sent.Path == wellKnownOrigins {
		return f.Gate.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error {
			w.WriteHeader(http.StatusNotFound) // no app is here
			return nil
		}))
	}
	a := &proxyAnswer{w: w, names: f.names, terse: sent.Path == pathAuthRequest, shown: sent.Path == pathAnswer}
	question, err := f.describe(r, sent)
	switch {
	case errors.Is(err, errNoQuestion):
		id := ""
		if l := f.app.live.Load(); l != nil {
			id = l.portal.LogError(r, http.StatusNotFound, errNotFound.code, "")
		}
		sayPlainly(a, http.StatusNotFound, "Nothing is here. A proxy asks mfa_forward_auth at "+pathForwardAuth+", "+pathAuthRequest+" or "+pathExtAuthz+".", id)
	case err != nil:
		id := f.note(&f.unclear, r, "a proxy's question is not clear: "+err.Error())
		sayPlainly(a, http.StatusBadRequest, "The proxy's question is not clear: "+err.Error()+".", id)
	default:
		f.answer(a, question)
	}
	return nil
}

// answer is the gate's own word. An error stands for an answer that it leaves to error routes.
func (f *ForwardAuth) answer(a *proxyAnswer, question *http.Request) {
	err := f.Gate.ServeHTTP(a, question, caddyhttp.HandlerFunc(a.allow))
	if err == nil || a.wrote {
		return
	}
	status := http.StatusInternalServerError
	if e := (caddyhttp.HandlerError{}); errors.As(err, &e) && e.StatusCode >= http.StatusBadRequest {
		status = e.StatusCode
	}
	sayPlainly(a, status, "Sign-in is not available right now. Try again in a few seconds.", f.faults.report(f.now(), err))
}

// note logs at most once a minute, and returns the id under which it stands in the log.
func (f *ForwardAuth) note(s *seldom, r *http.Request, what string) (id string) {
	return s.tell(f.now(), 60, func(id string, more int64) {
		f.log.Warn(what, zap.String("error_id", id), zap.String("remote", r.RemoteAddr), zap.Int64("since_last_report", more))
	})
}

// sayPlainly answers with a text, and with the id under which it stands in the log, "" if it does not.
func sayPlainly(w http.ResponseWriter, status int, text, id string) {
	if id != "" {
		text += "\nError ID: " + id
	}
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text+"\n") // plain text, which no browser sniffs, and nothing of the question in it
}

var (
	_ caddy.Provisioner           = (*ForwardAuth)(nil)
	_ caddyhttp.MiddlewareHandler = (*ForwardAuth)(nil)
)
