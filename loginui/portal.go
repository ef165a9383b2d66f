package loginui

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// DefaultPrefix is the path below which the portal lives, on every gated host.
const DefaultPrefix = "/.mfa"

// Options are what a Portal may be told. The zero value is ready to use.
type Options struct {
	Prefix string           // absolute path without trailing slash; "" means DefaultPrefix
	Home   string           // origin of the one host that has the pages for several; "" means that each host has its own
	Dress  *Dress           // the admin's brand; nil means ours
	Pages  *Pages           // templates; nil means ours
	Logger *slog.Logger     // for error pages; nil means slog.Default
	Now    func() time.Time // nil means time.Now
	// NoteID puts the id of an error that a page shows into the log entry of the request, if that gets one. nil means that none does.
	NoteID func(r *http.Request, id string)
}

// Portal answers everything below its prefix. It is safe for concurrent use.
type Portal struct {
	realm  *auth.Realm
	prefix string
	home   string
	dress  *Dress
	pages  *Pages
	logger *slog.Logger
	now    func() time.Time
	noteID func(*http.Request, string)
	csrf   *http.CrossOriginProtection
	login  string // what LoginURL puts before the target

	faults, refused errorLog
}

// Request is what the gate knows of a request for the portal.
type Request struct {
	Visit auth.Visit
	// Session and User are nil unless the visitor is signed in with a session that counts now on this host: the portal sends
	// such a visitor back to the app, so a session that the gate would refuse must not appear here.
	Session *auth.Session
	User    *auth.User
	Lang    string // value of auth.CookieLang as received, "" if absent
	Secure  bool   // the visitor came by HTTPS
	Away    bool   // the pages are on another host, Options.Home
}

// New returns a portal onto r. The error says what is wrong with the options.
func New(r *auth.Realm, o Options) (*Portal, error) {
	p := &Portal{
		realm: r, prefix: o.Prefix, home: o.Home, dress: o.Dress, pages: o.Pages, logger: o.Logger, now: o.Now, noteID: o.NoteID, csrf: http.NewCrossOriginProtection(),
		faults: errorLog{
			level: slog.LevelError, each: "portal: request failed", more: "portal: more requests failed than are logged one by one",
			limit: faultsLogged, every: faultsEvery,
		},
		refused: errorLog{
			level: slog.LevelInfo, each: "error page", more: "more error pages than are logged one by one",
			limit: pagesLogged, every: pagesEvery,
		},
	}
	if p.prefix == "" {
		p.prefix = DefaultPrefix
	}
	if !cleanPrefix(p.prefix) {
		return nil, fmt.Errorf("path of the portal %q: want an absolute path of letters, digits and . _ ~ - / without a trailing slash", o.Prefix)
	}
	if p.logger == nil {
		p.logger = slog.Default()
	}
	if p.now == nil {
		p.now = time.Now
	}
	p.login = p.prefix + "/login?to="
	return p, nil
}

// cleanPrefix reports whether prefix needs no escaping anywhere and has one reading.
func cleanPrefix(prefix string) bool {
	for i := range len(prefix) {
		if c := prefix[i]; c != '/' && !unreserved(c) {
			return false
		}
	}
	segments := strings.Split(prefix, "/")
	if segments[0] != "" || len(segments) < 2 {
		return false
	}
	for _, s := range segments[1:] {
		if s == "" || s == "." || s == ".." {
			return false
		}
	}
	return true
}

// Passive reports whether a request for path is no sign that somebody is there: a script asks for it, or a page loads it.
func (p *Portal) Passive(path string) bool {
	path = strings.TrimPrefix(path, p.prefix)
	return path == sessionPath || path == scriptPath || strings.HasPrefix(path, staticPath)
}

// ServeHTTP answers a request whose path, as the client sent it, is the prefix or below it. It answers wrong input and faults
// by itself, with a page, and logs both. A non-nil error means that a page could not be rendered and nothing was written.
func (p *Portal) ServeHTTP(w http.ResponseWriter, r *http.Request, in Request) error {
	x := &exchange{Portal: p, w: w, r: r, in: in}
	setHeaders(w.Header(), in.Visit.Host, in.Secure)
	path := strings.TrimPrefix(r.URL.Path, p.prefix)
	if name, ok := strings.CutPrefix(path, staticPath); ok {
		return x.static(name)
	}
	rt, ok := routes[path]
	if in.Away {
		rt, ok = x.away(path)
	}
	if !ok {
		return x.message(http.StatusNotFound, x.plain("notfound"))
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		x.in.Visit.To = x.returnTarget(r.URL.Query().Get("to"))
		return x.settle(rt.get(x))
	case http.MethodPost:
		if rt.post == nil {
			return x.wrongMethod("GET, HEAD")
		}
		if !x.ours() {
			return x.message(http.StatusForbidden, x.plain("forged"))
		}
		var err error
		if x.form, err = readForm(w, r); err != nil {
			return x.settle(err)
		}
		x.in.Visit.To, x.in.Visit.Lang = x.returnTarget(x.form["to"]), x.said().Tag
		if rt.anyhow {
			return x.settle(rt.post(x))
		}
		return x.settle(x.ifNavigated(rt.post))
	}
	if rt.post == nil {
		return x.wrongMethod("GET, HEAD")
	}
	return x.wrongMethod("GET, HEAD, POST")
}

// ours reports whether a POST comes from a page of this host: by Sec-Fetch-Site or Origin and, where a browser sends neither,
// by a cookie of ours, which SameSite=Lax keeps from requests that begin elsewhere (ASVS 5.0.0, V3.5.1).
func (x *exchange) ours() bool {
	if x.csrf.Check(x.r) != nil {
		return false
	}
	h := x.r.Header
	return h.Get("Sec-Fetch-Site") != "" || h.Get("Origin") != "" || x.in.Session != nil || x.realm.HasPreFlow(x.in.Visit)
}

func (x *exchange) wrongMethod(allow string) error {
	x.w.Header().Set("Allow", allow)
	return x.message(http.StatusMethodNotAllowed, x.plain("verb"))
}
