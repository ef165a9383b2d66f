package caddymodule

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

func init() {
	caddy.RegisterModule(new(Gate))
}

// Gate lets only people through who signed in with two factors, and serves the pages where they do that.
//
// The handlers behind it, such as `reverse_proxy`, get the headers `Remote-User`, `Remote-Name`, `Remote-Email` and
// `Remote-Groups` (comma-separated), unless the option `identity` says otherwise; what a client sends under these names, in any
// spelling, is removed. The placeholders
// `{http.auth.user.id}` (the sign-in name, also as `name`), `{http.auth.user.display_name}`, `{http.auth.user.email}` and
// `{http.auth.user.groups}` hold the same, and access logs show the first. For people without a name to show, `display_name` is the
// sign-in name, while `Remote-Name` is absent.
type Gate struct {
	// Who may pass: user names, and groups as `group:name`. Default: everybody who has signed in.
	Allow []string `json:"allow,omitempty"`

	// Methods of which the session must hold a proof of at least one: `password`, `webauthn`, `totp`, `email` or `recovery`.
	// Who has signed in without is asked for it. Setting up a method is no proof.
	Require []string `json:"require,omitempty"`

	// How old that proof may be, or, without methods, the newest proof of all. At least one minute. Default: as old as the session.
	MaxAge caddy.Duration `json:"max_age,omitempty"`

	// What becomes of requests with an access token: `allow` takes them also where `require` or `max_age` ask for proofs, which no token
	// can show; `deny` takes none. Default: they are taken where no proofs are asked for.
	Tokens string `json:"tokens,omitempty"`

	// Refuse nothing, and log who would have been asked to sign in or refused. What the gate would let through is told to the app,
	// everything else goes on as if there were no gate.
	ReportOnly bool `json:"report_only,omitempty"`

	// How the app learns who the person is. Default: as a gate further out has it, or else by the headers `Remote-*` alone.
	Identity *Identity `json:"identity,omitempty"`

	// What some requests need instead. The first rule that matches counts.
	Rules []*Rule `json:"rules,omitempty"`

	// Where the gate was written, such as `Caddyfile:8`, for logs and `caddy mfa rules check`. A Caddyfile fills it.
	Source string `json:"source,omitempty"`

	app   *App
	site  auth.Requirement
	index *ruleIndex

	queries bool // a rule looks at the query

	told *told // nil: Identity says nothing
	now  func() time.Time
	log  *zap.Logger

	faults   faultLog
	unopened seldom // error pages before the store opened

	// only is set on a site that answers to any host: the one host of the portal there, "" if the option url does not say it.
	only    atomic.Pointer[string]
	home    bool     // it is that of mfa_portal
	forward bool     // proxies ask it (ForwardAuth): error routes must not answer them
	asked   []string // the hosts that they may ask about
}

// CaddyModule returns the Caddy module information.
func (*Gate) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.mfa", New: func() caddy.Module { return new(Gate) }}
}

// Provision loads the rules, and the app `mfa` with its defaults if the configuration has none.
func (g *Gate) Provision(ctx caddy.Context) error {
	app, err := ctx.App("mfa")
	if err != nil {
		return err
	}
	g.app = app.(*App)
	g.now = time.Now
	g.faults.log = ctx.Logger()
	g.log = ctx.Logger()
	if g.site, err = narrowed(auth.Requirement{Mode: auth.ModeSignedIn}, g.Allow, g.Require, g.MaxAge, g.Tokens, g.app); err != nil {
		return err
	}
	if g.Identity != nil {
		told, part, err := g.Identity.told()
		if err != nil {
			return fmt.Errorf("identity: %s: %w", part, err)
		}
		g.told = told
		g.app.willAssert(g.told.alg)
	}
	for i, rule := range g.Rules {
		if rule == nil {
			return fmt.Errorf("rule %d is null", i+1)
		}
		g.queries = g.queries || rule.looksAtQuery()
		if by := shadow(g.Rules[:i], rule); by >= 0 {
			return fmt.Errorf("rule %d never counts: whatever it is for, rule %d matches first", i+1, by+1)
		}
	}
	for i, rule := range g.Rules {
		if err := rule.provision(ctx, g.app, g.site); err != nil {
			return fmt.Errorf("rule %d: %w", i+1, err)
		}
	}
	g.index = indexRules(g.Rules)
	return nil
}

// visit is one request at the gate.
type visit struct {
	gate    *Gate
	w       http.ResponseWriter
	r       *http.Request
	vars    map[string]any
	sent    *url.URL
	host    string
	secure  bool
	cookies cookies
	access  accessToken
	wait    time.Duration // until the next access token is looked up; zero: none
	outer   *passage      // of a gate further out, nil if there is none
	told    *told         // what the app learns; who it is about stands in the passage
	resend  string        // the ID of the kept form that the request's button sends, "" for none

	assertion string     // "" if there is none
	user      *auth.User // who is signed in, once that was looked up; else nil
}

// ServeHTTP takes a request through the steps that the package's documentation lists, in that order.
func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	v := visit{gate: g, w: w, r: r}
	v.arrive()
	if why := v.unclear(); why != nil {
		countAmbiguous.Inc()
		if !g.ReportOnly {
			return v.refuse(why)
		}
		v.report(g.Source, why.code, nil)
	}
	if below(v.sent, g.app.settings.prefix) {
		return v.portal()
	}
	if v.asksForOrigins() {
		return v.relatedOrigins()
	}
	if g.forward && !g.ReportOnly && v.foreign() { // what is public on our hosts says nothing of others
		countForeign.Inc()
		return v.refuse(errForeignHost)
	}
	if g.forward && v.access != "" { // the proxy would hand it on to the app
		return v.refuseToken(auth.StepUp)
	}
	found, err := g.find(r)
	if err != nil {
		if !g.ReportOnly {
			return err
		}
		g.log.Error("a matcher failed", zap.String("gate", g.Source), zap.Error(err))
		return v.pass(next, nil, nil, nil)
	}
	if found.need.Mode == auth.ModePublic && found.tried == nil {
		countPublic.Inc()
		return v.pass(next, nil, nil, nil)
	}
	return v.decide(next, found)
}

// arrive reads of a request what decides about it, and takes out what a client must not say and the app must not see.
func (v *visit) arrive() {
	v.vars, _ = v.r.Context().Value(caddyhttp.VarsCtxKey).(map[string]any)
	v.sent, v.host, v.secure = sentURL(v.r), hostOf(v.r), secure(v.r, v.vars)
	v.outer, _ = v.vars[passageVar].(*passage)
	v.clean()
	v.cookies = takeCookies(v.r.Header)
	if v.access = takeAccess(v.r.Header); v.access != "" && v.vars != nil {
		v.vars[accessVar] = v.access
	}
	if v.outer != nil {
		v.cookies = v.outer.cookies
		v.access, _ = v.vars[accessVar].(accessToken)
	}
}

// clean removes what the client may not say, and what a gate further out has said.
func (v *visit) clean() {
	outer := toldByDefault
	if v.outer != nil {
		if t, ok := v.vars[toldVar].(*told); ok {
			outer = t
		}
	}
	if v.told = v.gate.told; v.told == nil {
		v.told = outer
	}
	v.told.clean(v.r)
	if v.told == outer {
		return
	}
	if v.outer != nil {
		outer.clean(v.r)
	}
	if v.vars != nil {
		v.vars[toldVar] = v.told
	}
}

// unclear returns why nobody can say what a request asks for, or nil. Without rules nothing depends on the path's reading.
func (v *visit) unclear() *refusal {
	g, r := v.gate, v.r
	switch {
	case odd(r), v.sent.Opaque != "":
		return errOdd
	case len(g.Rules) == 0:
		return nil
	case ambiguous(r.URL.Path) || ambiguous(v.sent.Path):
		return errAmbiguous
	case lowerCase(r.Method):
		return errMethod
	case g.queries && r.URL.RawQuery != "":
		if _, err := url.ParseQuery(r.URL.RawQuery); err != nil { // Caddy's matcher matches none of those, and apps read them
			return errAmbiguous
		}
	}
	return nil
}

// decide goes on with a request that needs to know who is there.
func (v *visit) decide(next caddyhttp.Handler, found finding) error {
	g := v.gate
	public := found.need.Mode == auth.ModePublic
	if why := v.misplaced(); why != nil && !public {
		if !g.ReportOnly {
			return v.refuse(why)
		}
		v.report(g.Source, why.code, nil)
		return v.pass(next, nil, nil, nil)
	}
	session, user, err := v.session(public)
	if err != nil {
		if !g.ReportOnly && !public {
			return v.unavailable(err)
		}
		g.faults.report(g.now(), err)
		return v.pass(next, nil, nil, nil)
	}
	v.user = user
	now := g.now()
	for _, rule := range found.tried {
		if d := v.judge(now, rule.requirement, user, session); d != auth.Allow {
			v.report(rule.Source, d.String(), user)
		}
	}
	if public {
		countPublic.Inc()
		return v.pass(next, nil, nil, nil)
	}
	decision := v.judge(now, *found.need, user, session)
	if decision != auth.Allow && v.mayBeGuest() {
		if done, err := v.asGuest(next, now, found.need); done || err != nil {
			return err
		}
	}
	if decision != auth.Allow && g.ReportOnly {
		countReported.Inc()
		v.report(found.source, decision.String(), user)
		return v.pass(next, nil, nil, nil)
	}
	if v.access != "" && decision != auth.Allow {
		return v.refuseToken(decision)
	}
	switch decision {
	case auth.Allow:
		if err := v.assert(session, user); err != nil {
			if !g.ReportOnly {
				return v.unavailable(err)
			}
			g.faults.report(now, err)
			return v.pass(next, nil, nil, nil)
		}
		if v.again() {
			if err := v.restore(session); err != nil {
				return v.notRestored(err)
			}
		}
		countAllow.Inc()
		return v.pass(next, found.need, session, user)
	case auth.SignIn:
		countSignIn.Inc()
		return v.begin(nil, nil, "sign_in_required")
	case auth.StepUp:
		countStepUp.Inc()
		return v.begin(found.need.Missing(now, session), session, "step_up_required")
	case auth.Enroll:
		countEnroll.Inc()
		return v.begin(found.need.Missing(now, session), session, "step_up_required")
	default:
		countDeny.Inc()
		return v.refuse(errNotAllowed)
	}
}

// report logs what would have become of a request. user is nil where nobody has signed in.
func (v *visit) report(source, decision string, user *auth.User) {
	name := ""
	if user != nil {
		name = user.Name
	}
	v.gate.log.Info("would not have passed", zap.String("decision", decision), zap.String("rule", source), zap.String("user", name),
		zap.String("client", clientAddr(v.vars).String()), zap.String("method", v.r.Method), zap.String("host", v.host), zap.String("path", v.sent.Path))
}

// misplaced returns why nobody can sign in at this address, or nil.
func (v *visit) misplaced() *refusal {
	why := v.elsewhere()
	switch why {
	case errInsecure:
		countInsecure.Inc()
	case errForeignHost:
		countForeign.Inc()
	}
	return why
}

// elsewhere is misplaced where nothing is counted.
func (v *visit) elsewhere() *refusal {
	_ = v.gate.app.look() // a request may come before Start; with sites that are wrong, open fails
	switch {
	case !v.secure && !localhost(v.host):
		return errInsecure
	case v.foreign():
		return errForeignHost
	}
	return nil
}

// session returns nil and nil where nobody is signed in, or where an access token counts nowhere. An error is a fault. A request that needs
// nobody is no sign of life (peek). It is a use of a token, which nothing keeps alive.
func (v *visit) session(peek bool) (*auth.Session, *auth.User, error) {
	if v.access != "" {
		return v.bearer()
	}
	if v.cookies.session == "" {
		return nil, nil, nil
	}
	l, err := v.gate.app.open(v.r.Context())
	if err != nil {
		return nil, nil, err
	}
	look := l.realm.Session
	if peek {
		look = l.realm.PeekSession
	}
	session, user, err := look(v.r.Context(), v.host, v.cookies.session)
	if errors.Is(err, auth.ErrNoSession) {
		return nil, nil, nil
	}
	return session, user, err
}

var (
	_ caddy.Provisioner           = (*Gate)(nil)
	_ caddyhttp.MiddlewareHandler = (*Gate)(nil)
)
