package caddymodule

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/loginui"
)

func init() {
	caddy.RegisterModule(new(PortalSite))
}

// Portal is the one host on which people sign in for several others. Each of these keeps a cookie of its own, which no other host sees.
type Portal struct {
	// The address of the sign-in pages, such as `https://auth.example.com`. Its site has the handler `mfa_portal`, and no `mfa`.
	URL string `json:"url"`

	// The hosts that send people there: names, and `*.example.com` for every name with exactly one label more. Each `mfa` handler
	// stands on one of them. On the way to a host that no name stands for, people confirm first that they go there.
	Hosts []string `json:"hosts"`
}

// home is a Portal with its placeholders replaced.
type home struct {
	base  string // without a slash at the end
	host  string
	hosts []string
}

// origin is "" where there is no portal.
func (h *home) origin() string {
	if h == nil {
		return ""
	}
	return h.base
}

// realm is what decisions need of it, nil where there is none.
func (h *home) realm() *auth.Portal {
	if h == nil {
		return nil
	}
	return &auth.Portal{Host: h.host, Lists: h.lists, Names: h.names}
}

// lists reports whether people on host sign in at the portal.
func (h *home) lists(host string) bool {
	return host != h.host && slices.ContainsFunc(h.hosts, func(pattern string) bool { return stands(pattern, host) })
}

// names reports whether lists does by the host's own name, and not by a wildcard, below which a name may lead to somebody else.
func (h *home) names(host string) bool {
	return host != h.host && !strings.HasPrefix(host, "*") && slices.Contains(h.hosts, host)
}

// stands reports whether a pattern stands for a host, or for all that another pattern stands for: a star is exactly one label, as in Caddy.
func stands(pattern, host string) bool {
	if rest, wild := strings.CutPrefix(pattern, "*."); wild {
		label, below, _ := strings.Cut(host, ".")
		return below == rest && (label == "*" || isLabel(label))
	}
	return pattern == host
}

// prepare returns nil where there is no portal.
func (p *Portal) prepare(repl *caddy.Replacer) (*home, error) {
	if p == nil {
		return nil, nil
	}
	base, err := repl.ReplaceOrErr(p.URL, true, true)
	if err != nil {
		return nil, err
	}
	h := &home{base: strings.TrimSuffix(base, "/")}
	for _, pattern := range p.Hosts {
		if pattern, err = repl.ReplaceOrErr(pattern, true, true); err != nil {
			return nil, err
		}
		h.hosts = append(h.hosts, strings.ToLower(pattern))
	}
	if err := checkPortal(h.base, h.hosts); err != nil {
		return nil, err
	}
	h.host = hostName(h.base)
	return h, nil
}

// hostName is the host of an address that checkURL has passed.
func hostName(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Hostname())
}

// checkPortal leaves out what holds placeholders.
func checkPortal(base string, hosts []string) error {
	host := ""
	if !hasPlaceholder(base) {
		if err := checkURL(base); err != nil {
			return err
		}
		host = hostName(base)
	}
	if len(hosts) == 0 {
		return errors.New("portal needs the hosts that people sign in for, such as: portal https://auth.example.com *.example.com")
	}
	for i, pattern := range hosts {
		switch {
		case hasPlaceholder(pattern):
		case !isPattern(pattern):
			return fmt.Errorf("%q is not a host such as app.example.com or *.example.com: names stand here without https://, port and path, "+
				"in ASCII, and a star stands for the whole first label", pattern)
		case strings.EqualFold(pattern, host):
			return fmt.Errorf("%s is the portal itself; only the other hosts are listed", pattern)
		case slices.ContainsFunc(hosts[:i], func(h string) bool { return strings.EqualFold(h, pattern) }):
			return fmt.Errorf("%s is listed twice", pattern)
		}
	}
	return nil
}

// isPattern reports whether s is a host's name or address, or a name with a star for its first label.
func isPattern(s string) bool {
	if _, err := netip.ParseAddr(s); err == nil {
		return true
	}
	s = strings.TrimPrefix(s, "*.")
	for label := range strings.SplitSeq(s, ".") {
		if !isLabel(strings.ToLower(label)) {
			return false
		}
	}
	return len(s) <= 253
}

// isLabel reports whether s is one label of a name, in lower case. Nothing that clients put into a host may mean something in an address or
// in a policy.
func isLabel(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return 0 < len(s) && len(s) < 64
}

// PortalSite serves the sign-in pages for all the hosts of the option `portal`, on the site of its `url`, which is for nothing else: `/`
// leads to the Security page, and what is not below the option `path` is answered with 404.
type PortalSite struct{ gate Gate }

// CaddyModule returns the Caddy module information.
func (*PortalSite) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.mfa_portal", New: func() caddy.Module { return new(PortalSite) }}
}

// Provision refuses a configuration without the option portal.
func (p *PortalSite) Provision(ctx caddy.Context) error {
	if err := p.gate.Provision(ctx); err != nil {
		return err
	}
	p.gate.home = true
	if p.gate.app.settings.portal == nil {
		return errNoPortal
	}
	return nil
}

var errNoPortal = errors.New("mfa_portal needs the option portal, which names its address and the hosts that people sign in for, " +
	"such as: portal https://auth.example.com *.example.com")

// ServeHTTP answers every request.
func (p *PortalSite) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	v := visit{gate: &p.gate, w: w, r: r}
	v.arrive()
	switch {
	case below(v.sent, p.gate.app.settings.prefix):
		return v.portal()
	case v.sent.Path == "/" && v.misplaced() == nil:
		return v.lead(p.gate.app.settings.prefix+"/security", nil)
	}
	if why := v.misplaced(); why != nil {
		return v.refuse(why)
	}
	return v.refuse(errNotFound)
}

// visitor is what the pages, and what comes before and after them, know of a request.
func (v *visit) visitor() auth.Visit {
	origin := v.origin()
	if v.away() && !v.served() {
		origin = v.originAt("")
	}
	return auth.Visit{
		Host: v.host, Origin: origin, Addr: clientAddr(v.vars), UserAgent: v.r.UserAgent(),
		Session: v.cookies.session, Flow: v.cookies.flow, Browser: v.cookies.browser,
		Guest: v.cookies.guest, GuestCode: v.cookies.guestCode,
	}
}

// served reports whether the port of the request's address is one under which apps are reached here: that on which it came, or that of the
// portal, where something before Caddy has others. People are led to it with a code, and a client can write what it likes.
func (v *visit) served() bool {
	port := v.port()
	if port == "" || port == portOf(v.gate.app.settings.portal.base) {
		return true
	}
	addr, _ := v.r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return addr != nil && port == addr.String()[strings.LastIndexByte(addr.String(), ':')+1:]
}

// portOf is the port in an address that checkURL has passed, "" for the usual one.
func portOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Port()
}

// away reports whether the sign-in pages are on another host.
func (v *visit) away() bool { return v.gate.app.settings.portal != nil && !v.gate.home }

// foreign reports whether nobody signs in under the host of the request: a gated host that the portal does not list gets no code, and the
// portal has one name. Proxies may ask about the hosts that are named to the gate, and no other.
func (v *visit) foreign() bool {
	if v.gate.forward {
		return !slices.Contains(v.gate.asked, v.host)
	}
	if p := v.gate.app.settings.portal; p != nil {
		return v.gate.home != (v.host == p.host) || !v.gate.home && !p.lists(v.host)
	}
	only := v.gate.only.Load()
	return !localhost(v.host) && only != nil && *only != "" && *only != v.host
}

// begin sends a person to where they sign in, or, in a session, prove what need asks for beyond that, and tells a program where it is. A form
// that was on its way is kept meanwhile.
func (v *visit) begin(need *auth.Requirement, session *auth.Session, code string) error {
	l, err := v.gate.app.open(v.r.Context())
	if err != nil {
		return v.unavailable(err)
	}
	page, to, lost := loginui.Navigation(v.r), "", false
	if page {
		to = v.sent.RequestURI()
	}
	if page && session != nil && v.r.Method == http.MethodPost {
		id, err := v.keepForm(l, session)
		if err != nil {
			return v.unavailable(err)
		}
		if lost = id == ""; !lost {
			to = l.portal.ResendURL(id)
		}
	}
	var who auth.Visit
	if v.away() { // else the address says all
		who = v.visitor()
	}
	where, cookies, err := l.portal.SignInURL(who, need, to, lost)
	if err != nil {
		return v.unavailable(err)
	}
	if page {
		return v.lead(where, cookies)
	}
	return v.challenge(code, where)
}

var (
	_ caddy.Provisioner           = (*PortalSite)(nil)
	_ caddyhttp.MiddlewareHandler = (*PortalSite)(nil)
)
