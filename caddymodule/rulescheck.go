package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// What becomes of a request beside the decisions of auth.Decide and the codes of a refusal.
const (
	decisionPublic   = "public"
	decisionPortal   = "portal"      // the sign-in pages
	decisionReported = "report_only" // the gate reports, and lets through
	decisionNoMFA    = "no_mfa"      // no gate is on the way
	decisionNoSite   = "no_site"     // no site serves the host
	decisionError    = "error"       // a matcher failed, as it would for a visitor
)

// maxAsked is how many requests one call asks about at most.
const maxAsked = 500

// What rules make of requests.
type (
	checkInput struct {
		Requests []askedRequest `json:"requests"`
	}
	checkView struct {
		Method     string      `json:"method"`
		URL        string      `json:"url"`
		Stranger   verdict     `json:"stranger"`
		User       *userCheck  `json:"user,omitempty"`        // absent: none was asked for
		Gates      []gateCheck `json:"gates"`                 // on the way, the outermost first
		Error      string      `json:"error,omitempty"`       // of a matcher
		AnsweredBy string      `json:"answered_by,omitempty"` // the handler that answers who gets through, where it is known
	}
	// verdict is what becomes of one visitor.
	verdict struct {
		Decision string `json:"decision"`
		By       string `json:"by,omitempty"`    // the rule or gate whose decision it is, as Caddyfile:12
		Until    string `json:"until,omitempty"` // what a session gets that has not proven lately what is asked for; absent: the same
	}
	userCheck struct {
		Name    string `json:"name"`
		Unknown bool   `json:"unknown,omitempty"` // there is no such user; the verdict is a stranger's
		State   string `json:"state,omitempty"`   // as user/list has it
		verdict
	}
	gateCheck struct {
		Gate       string        `json:"gate"`
		ReportOnly bool          `json:"report_only,omitempty"`
		Rule       string        `json:"rule,omitempty"` // absent: the gate's own words count, or none are asked
		Asks       []string      `json:"asks"`           // each must be met
		Stranger   string        `json:"stranger"`
		User       string        `json:"user,omitempty"`
		Reports    []reportCheck `json:"reports"` // rules that match and only report
	}
	reportCheck struct {
		Rule     string   `json:"rule"`
		Asks     []string `json:"asks"`
		Stranger string   `json:"stranger"`
		User     string   `json:"user,omitempty"`
	}
)

// checkRules is the operation rules/check: it asks the running configuration.
func checkRules(ctx context.Context, c call, in checkInput) ([]checkView, error) {
	loaded, err := c.app.ctx.AppIfConfigured("http")
	if err != nil {
		return nil, &inputError{"The running config has no sites."}
	}
	k := ruleCheck{web: loaded.(*caddyhttp.App), app: c.app, person: func(name string) (userView, error) {
		realm, err := c.app.Realm(ctx)
		if err != nil {
			return userView{}, err
		}
		a, err := realm.User(ctx, name)
		return viewUser(&a.User), err
	}}
	return k.run(ctx, in)
}

// ruleCheck asks a configuration about requests.
type ruleCheck struct {
	web      *caddyhttp.App
	app      *App
	person   func(name string) (userView, error) // its error wraps auth.ErrUnknownUser if there is none
	now      time.Time
	visitors map[string]*visitor
}

// visitor is a user with the sessions that could be there.
type visitor struct {
	state string
	user  *auth.User    // nil: there is none
	fresh *auth.Session // has just proven all that the user has set up; nil: the user cannot sign in
	stale *auth.Session // has proven two kinds, long ago and by no method that a rule can ask for
}

// run answers in the order of the requests.
func (k *ruleCheck) run(ctx context.Context, in checkInput) ([]checkView, error) {
	if len(in.Requests) > maxAsked {
		return nil, &inputError{fmt.Sprintf("These are too many requests: %d at most.", maxAsked)}
	}
	k.now, k.visitors = time.Now(), map[string]*visitor{}
	out := make([]checkView, len(in.Requests))
	for i := range in.Requests {
		if err := k.one(ctx, &in.Requests[i], &out[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (k *ruleCheck) one(ctx context.Context, asked *askedRequest, out *checkView) error {
	r, https, err := asked.request()
	if err != nil {
		return err
	}
	who, err := k.visitor(asked.User)
	if err != nil {
		return err
	}
	for _, server := range serversFor(k.web, r.Host, https) {
		*out = checkView{Method: r.Method, URL: asked.URL, Gates: []gateCheck{}}
		way := walk{server: server}
		stranger, user := journey{}, journey{}
		way.gate = func(g *Gate, r *http.Request) (bool, error) {
			c := judged{gateCheck: gateCheck{Gate: orElse(g.Source, "mfa"), ReportOnly: g.ReportOnly, Asks: []string{}, Reports: []reportCheck{}}}
			if err := k.gate(&c, g, r, who); err != nil {
				return false, err
			}
			out.Gates = append(out.Gates, c.gateCheck)
			stranger.pass(&c, c.Stranger, "")
			user.pass(&c, c.User, c.until)
			return !stranger.over || who != nil && !user.over, nil
		}
		if err := way.send(ctx, r, https); err != nil {
			failed := verdict{Decision: decisionError}
			out.Error, stranger.verdict, user.verdict = err.Error(), failed, failed
		}
		out.AnsweredBy, out.Stranger = way.end, stranger.end(way.matched)
		if asked.User != "" {
			out.User = &userCheck{Name: asked.User, Unknown: who.user == nil, State: who.state, verdict: user.end(way.matched)}
			if out.User.Unknown {
				out.User.verdict = out.Stranger
			}
		}
		if way.matched {
			return nil
		}
	}
	if out.URL == "" { // there is no server at all
		*out = checkView{Method: r.Method, URL: asked.URL, Gates: []gateCheck{}, Stranger: verdict{Decision: decisionNoSite}}
	}
	return nil
}

// journey is how far one visitor gets.
type journey struct {
	verdict
	over bool
}

// pass notes what a gate decides about a visitor who got as far as that.
func (j *journey) pass(c *judged, decision, until string) {
	if j.over {
		return
	}
	j.over = c.answers
	switch passes := decision == auth.Allow.String(); {
	case passes || decision == decisionPublic:
		if j.Until != "" && until == "" || !passes && j.Decision == auth.Allow.String() {
			return // a gate further out asked for more
		}
	case c.ReportOnly && !c.answers:
		decision, until = decisionReported, ""
	default:
		j.over = true
	}
	j.verdict = verdict{decision, orElse(c.Rule, c.Gate), until}
}

func (j *journey) end(matched bool) verdict {
	switch {
	case j.Decision != "":
	case matched:
		j.Decision = decisionNoMFA
	default:
		j.Decision = decisionNoSite
	}
	return j.verdict
}

// judged is what a gate makes of a request.
type judged struct {
	gateCheck
	until   string
	answers bool // the gate itself, whoever asks
}

// gate takes the request through the steps of Gate.ServeHTTP, for a stranger and for who.
func (k *ruleCheck) gate(c *judged, g *Gate, r *http.Request, who *visitor) error {
	vars, _ := r.Context().Value(caddyhttp.VarsCtxKey).(map[string]any)
	v := &visit{gate: g, r: r, vars: vars, sent: sentURL(r), host: hostOf(r), secure: secure(r, vars)}
	v.clean()
	takeCookies(r.Header)
	misplaced, unclear := v.elsewhere(), v.unclear()
	alike := "" // what becomes of everybody
	switch {
	case unclear != nil && !g.ReportOnly:
		alike = unclear.code
	case below(v.sent, g.app.settings.prefix):
		c.answers, alike = true, decisionPortal
		if misplaced != nil {
			alike = misplaced.code
		}
	case v.asksForOrigins():
		c.answers, alike = true, decisionPublic
	}
	if alike == "" {
		found, err := g.find(r)
		if err != nil {
			return err
		}
		if c.Asks = asksFor(found.need); found.need != &g.site {
			c.Rule = g.ruleName(&found)
		}
		public := found.need.Mode == auth.ModePublic
		if misplaced != nil && !public {
			alike = misplaced.code
		} else {
			for _, rule := range found.tried {
				c.Reports = append(c.Reports, k.report(g, rule, who))
			}
			c.Stranger, c.User, c.until = k.decide(found.need, who)
			if public {
				alike = decisionPublic
			}
		}
	}
	if alike != "" {
		if c.Stranger = alike; who != nil {
			c.User = alike
		}
	}
	return nil
}

// report is what a rule would decide that matches and only reports.
func (k *ruleCheck) report(g *Gate, rule *Rule, who *visitor) (c reportCheck) {
	c.Rule, c.Asks = g.ruleName(&finding{need: &rule.requirement, source: rule.Source}), asksFor(&rule.requirement)
	c.Stranger, c.User, _ = k.decide(&rule.requirement, who)
	return c
}

// decide says what a requirement makes of a stranger and of who, and of who's session before it has proven what is asked for, if that is
// something else.
func (k *ruleCheck) decide(need *auth.Requirement, who *visitor) (stranger, user, until string) {
	stranger = auth.Decide(k.now, *need, nil, nil).String()
	if who == nil {
		return stranger, "", ""
	}
	user = auth.Decide(k.now, *need, who.user, who.fresh).String()
	if until = auth.Decide(k.now, *need, who.user, who.stale).String(); until == user {
		until = ""
	}
	return stranger, user, until
}

// ruleName is where the rule that found names was written, or its number.
func (g *Gate) ruleName(found *finding) string {
	if found.source != "" {
		return found.source
	}
	i := slices.IndexFunc(g.Rules, func(rule *Rule) bool { return &rule.requirement == found.need })
	if i < 0 {
		return "several"
	}
	return fmt.Sprintf("rule %d", i+1)
}

// visitor returns nil for "".
func (k *ruleCheck) visitor(name string) (*visitor, error) {
	if name == "" {
		return nil, nil
	}
	if who := k.visitors[name]; who != nil {
		return who, nil
	}
	who := new(visitor)
	u, err := k.person(name)
	switch {
	case errors.Is(err, auth.ErrUnknownUser):
	case err != nil:
		return nil, err
	default:
		who.user = &auth.User{ID: u.Name, Name: u.Name, Groups: u.Groups, Enrolled: u.Methods, Disabled: u.State == stateDisabled}
		who.state = u.State
		if u.State != stateBlocked {
			who.fresh, who.stale = k.sessions(who.user)
		}
	}
	k.visitors[name] = who
	return who, nil
}

// sessions are those that a user could have. Of a key it counts only that it was there: not every one verifies its user.
func (k *ruleCheck) sessions(u *auth.User) (fresh, stale *auth.Session) {
	later := k.now.Add(time.Hour)
	fresh = &auth.Session{UserID: u.ID, IdleEnd: later, End: later}
	on := k.app.names()
	for _, m := range u.Enrolled {
		kind := auth.Possession
		if m == auth.MethodPassword {
			kind = auth.Knowledge
		} else if !slices.Contains(on, m) {
			continue
		}
		fresh.Proofs = append(fresh.Proofs, auth.Proof{Method: m, Kinds: kind, At: k.now})
	}
	stale = &auth.Session{UserID: u.ID, IdleEnd: later, End: later, Proofs: []auth.Proof{{Kinds: auth.Kinds(fresh.Proofs)}}}
	return fresh, stale
}

const aSession = "a session"

// asksFor says in words what each part of a requirement asks for.
func asksFor(need *auth.Requirement) []string {
	out := []string{}
	for ; need != nil; need = need.And {
		if need.Mode == auth.ModePublic {
			out = append(out, "nothing")
			continue
		}
		text := aSession
		if len(need.Allow) > 0 {
			var who []string
			for _, p := range need.Allow {
				who = append(who, principalText(p))
			}
			text += " of " + strings.Join(who, " or ")
		}
		if len(need.Methods) > 0 {
			text += ", with " + strings.Join(need.Methods, " or ")
		}
		if need.MaxAge > 0 {
			text += ", proven within the last " + span(int64(need.MaxAge/time.Second))
		}
		if !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	if i := slices.Index(out, aSession); i >= 0 && len(out) > 1 { // the others ask for one, too
		out = slices.Delete(out, i, i+1)
	}
	return out
}
