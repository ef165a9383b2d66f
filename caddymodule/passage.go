package caddymodule

import (
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// passage is what the gate keeps of a request that it lets through, in one allocation. It lies in the request's variables, so
// that a second gate, further in or in the error routes, finds the cookies that the first removed.
type passage struct {
	response
	identity
	cookies cookies
}

// passageVar is the name of the variable. A client cannot set variables; an admin who sets this one gets a type that is not ours.
const passageVar = "mfa.passage"

// String keeps {http.vars.mfa.passage} from showing what is inside.
func (p *passage) String() string { return "" }

// pass hands the request to the app, which learns who the user is; nil means a public request. Where the session ended meanwhile,
// what the client got of the answer is all that it gets.
func (v *visit) pass(next caddyhttp.Handler, need *auth.Requirement, session *auth.Session, user *auth.User) error {
	p := &passage{cookies: v.cookies}
	p.ResponseWriter = v.w
	if user != nil {
		p.user = user
		p.setHeaders(v.r.Header, v.told)
		if v.assertion != "" {
			v.r.Header[v.told.header] = []string{v.assertion}
		}
		if session.Access != nil {
			keepMethod(v.r.Header, &session.Access.TokenLimits)
		}
	}
	if v.outer == nil {
		v.remember(p)
	} else if user != nil { // the outer one's placeholders come first
		v.outer.identity = p.identity
	}
	if user == nil {
		return next.ServeHTTP(&p.response, v.r)
	}
	p.ongoing = ongoing{method: v.r.Method, host: v.r.Host, sent: v.sent, client: clientIP(v.vars), secure: v.secure}
	r := p.bind(v.gate.app.live.Load().realm, need, session, v.r)
	err := p.run(next, r)
	if p.cut() {
		panic(http.ErrAbortHandler) // as Caddy's proxy does: neither an error page nor a proper end may follow
	}
	return err
}

// run returns, or panics as the app does, when the session's end does nothing to the connection any more.
func (p *passage) run(next caddyhttp.Handler, r *http.Request) error {
	defer p.leave()
	return next.ServeHTTP(&p.response, r)
}

// remember keeps p for gates further in and for those of error routes.
func (v *visit) remember(p *passage) {
	if v.vars == nil {
		return
	}
	v.vars[passageVar] = p
	if repl, ok := v.r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		repl.Map(p.placeholder)
	}
}
