package loginui

import (
	"errors"
	"net/http"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// With one portal for several hosts, the pages are on its host, Options.Home. This file is the way there from a gated host and back. On
// the gated host itself there is only what that host alone can do: end its session, tell of it, and take one over.

const (
	logoutPath   = "/logout"
	handoverPath = "/handover"
	continuePath = "/continue"
	loginPath    = "/login"
)

// away is what a gated host answers below the prefix. Everything that it does not do itself leads to the portal.
func (x *exchange) away(path string) (route, bool) {
	own, known := routes[path]
	lead := func(x *exchange) error { return x.redirect(x.home + x.prefix + path) }
	switch path {
	case sessionPath, scriptPath, signedInPath, resendPath, languagePath, GuestPath: // for pages and forms of this very host
		return own, true
	case handoverPath:
		return route{get: getHandover}, true
	case logoutPath:
		return route{getLogoutAway(lead), postLogoutAway, anyhow}, true
	case loginPath:
		return route{getLoginAway, lead, anyhow}, true
	case stepUpPath:
		return route{getStepUpAway, lead, anyhow}, true
	}
	return route{lead, lead, anyhow}, known
}

// getLogoutAway leads a guest to where they leave, which is on this host, and everybody else on.
func getLogoutAway(lead handler) handler {
	return func(x *exchange) error {
		link, err := x.guestIn()
		if err != nil {
			return err
		}
		if x.in.Session == nil && link != nil {
			return x.redirect(x.prefix + GuestPath)
		}
		return lead(x)
	}
}

// SignInURL is the address of the page where the visitor of a gated host signs in, or, where need is not nil, proves what it asks for beyond
// that. It leads back to the path to of that host; "" leads nowhere. The cookies must be set along with it.
func (p *Portal) SignInURL(v auth.Visit, need *auth.Requirement, to string, lost bool) (url string, cookies []auth.Cookie, err error) {
	if p.home != "" && to != "" {
		if to, cookies, err = p.realm.SealTarget(v, p.localTarget(to)); err != nil {
			return "", nil, err
		}
	}
	if need != nil {
		return p.home + p.StepUpURL(*need, to, lost), cookies, nil
	}
	return p.home + p.LoginURL(to), cookies, nil
}

// elsewhere opens a return target that is on another host.
func (p *Portal) elsewhere(to string) (auth.Target, bool) {
	if p.home == "" || to == "" || to[0] == '/' {
		return auth.Target{}, false
	}
	return p.realm.OpenTarget(to)
}

// href is the address that leads to a return target: for one on another host, a page that goes on there.
func (p *Portal) href(to string) string {
	if _, ok := p.elsewhere(to); ok {
		return p.LoginURL(to)
	}
	return to
}

// leave goes to a return target. On another host a session must be there first: a code goes along, for the session that cookies have just
// begun, or else the visitor's.
func (x *exchange) leave(to string, cookies []auth.Cookie) error { return x.depart(to, cookies, false) }

// depart is leave; confirmed says that the visitor just confirmed where it goes.
func (x *exchange) depart(to string, cookies []auth.Cookie, confirmed bool) error {
	if _, ok := x.elsewhere(to); !ok {
		return x.redirect(to)
	}
	v := x.in.Visit
	for _, c := range cookies {
		if c.Name == auth.CookieSession {
			v.Session = c.Value
		}
	}
	return x.ifNavigated(func(x *exchange) error { // a script, or a frame of another page, gets none made
		code, t, err := x.realm.HandOver(x.r.Context(), v, to, confirmed)
		switch {
		case errors.Is(err, auth.ErrToken):
			return x.redirect(x.prefix + securityPath)
		case errors.Is(err, auth.ErrUnconfirmed) && x.r.Method == http.MethodPost: // the session that it asks for may have begun just now
			return x.redirect(x.href(to))
		case errors.Is(err, auth.ErrUnconfirmed):
			return x.ask(to, t)
		case errors.Is(err, auth.ErrNoSession): // it has ended since
			return x.redirect(x.prefix + loginPath + "?again=1")
		case err != nil:
			return err
		case code == "":
			return x.redirect(t.Origin + t.Path)
		}
		return x.redirect(t.Origin + x.prefix + handoverPath + "?code=" + code)
	})
}

// ask shows where a return target leads to: a host that the portal lists by a wildcard alone may be somebody else's.
func (x *exchange) ask(to string, t auth.Target) error {
	pg := x.newPage("continue", "continue")
	pg.Title, pg.To, pg.Body = x.t("continue.title", t.Host), to, t.Origin
	return x.render(pg)
}

// getContinue is for whoever loads the address again that the form of ask goes to.
func getContinue(x *exchange) error { return x.redirect(x.LoginURL(x.in.Visit.To)) }

// postContinue leads on somebody who has confirmed where. No other page can do that for them, of a host below the same domain neither: where
// a browser does not say which page sent the form, nothing is confirmed.
func postContinue(x *exchange) error {
	h, to := x.r.Header, x.in.Visit.To
	if h.Get("Sec-Fetch-Site") == "" && h.Get("Origin") == "" {
		return x.message(http.StatusForbidden, x.plain("forged"))
	}
	if x.in.Session == nil || to == "" {
		return x.redirect(x.LoginURL(to))
	}
	return x.depart(to, nil, true)
}

// getHandover takes a session over from the portal. A code that is of no use begins anew, which costs a few redirects and no second
// sign-in: the next one is bound to a cookie that this browser has by then. One that keeps no cookies would go round in circles.
func getHandover(x *exchange) error {
	if x.r.Method != http.MethodGet {
		return x.wrongMethod("GET")
	}
	return x.ifLoaded(func(x *exchange) error {
		query := x.r.URL.Query()
		if query.Has("check") {
			if x.in.Visit.Flow == "" {
				return x.message(http.StatusBadRequest, x.plain("cookies"))
			}
			return x.redirect(x.localTarget(query.Get("to")))
		}
		path, cookies, err := x.realm.TakeOver(x.r.Context(), x.in.Visit, query.Get("code"))
		if err != nil && !errors.Is(err, auth.ErrToken) {
			return err
		}
		x.setCookies(cookies)
		if path = x.localTarget(path); len(cookies) == 0 && x.in.Visit.Flow == "" {
			x.preFlow()
			path = string(appendQuery([]byte(x.prefix+handoverPath+"?check=cookies&to="), path))
		}
		return x.redirect(path)
	})
}

// localTarget is a return target on this host, "/" where it is none.
func (p *Portal) localTarget(to string) string {
	if to = p.returnTarget(to); to == "" || to[0] != '/' {
		return "/"
	}
	return to
}

// getLoginAway begins a sign-in, for links to the sign-in page of this host.
func getLoginAway(x *exchange) error {
	to := x.localTarget(x.r.URL.Query().Get("to"))
	if x.in.Session != nil {
		return x.redirect(to)
	}
	return x.begin(nil, to)
}

// getStepUpAway begins a step-up, for links to that page of this host.
func getStepUpAway(x *exchange) error {
	query := x.r.URL.Query()
	need := needOf(query.Get("methods"), query.Get("max_age"))
	return x.begin(&need, x.localTarget(query.Get("to")))
}

// begin leads to the portal, which leads back to a path of this host.
func (x *exchange) begin(need *auth.Requirement, to string) error {
	return x.ifLoaded(func(x *exchange) error {
		url, cookies, err := x.SignInURL(x.in.Visit, need, to, false)
		if err != nil {
			return err
		}
		x.setCookies(cookies)
		return x.redirect(url)
	})
}

// postLogoutAway signs out everywhere. Where this host's session has ended before, the one of the portal may be there still: its own page asks.
func postLogoutAway(x *exchange) error {
	out, err := x.realm.SignOut(x.r.Context(), x.in.Visit)
	if err != nil {
		return err
	}
	x.setCookies(out.Cookies)
	if out.NoneEnded {
		return x.redirect(x.home + x.prefix + logoutPath)
	}
	return x.redirect(x.home + x.prefix + loginPath + "?signed_out=1")
}

// ifLoaded is h for pages that are loaded, in a frame too: what is shown there is the app's, and ours never. Scripts are refused.
func (x *exchange) ifLoaded(h handler) error {
	if mode := x.r.Header.Get("Sec-Fetch-Mode"); mode != "" && mode != "navigate" {
		return x.message(http.StatusForbidden, x.plain("forged"))
	}
	return h(x)
}
