package caddymodule

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// Caddy answers 200 where no site or no handler is for a request, and a proxy takes that for a yes. So what proxies ask must always get to
// ForwardAuth: in a site for any name and any path.

var (
	errForwardHost = errors.New("mfa_forward_auth stands in a site with a name, and Caddy would answer yes to what a proxy asks under another one: " +
		"let the site answer to any name, such as http://:9091, and say with bind where it listens")
	errForwardSome = errors.New("only some requests lead to mfa_forward_auth, and Caddy would answer yes to what a proxy asks with others: " +
		"write it at the site's own level")
	errForwardErrors  = errors.New("mfa_forward_auth does not belong into handle_errors")
	errForwardAddress = errors.New("mfa_forward_auth needs the address that links to the sign-in pages begin with: set the option url to that of an app, " +
		"such as https://dash.example.com")
)

var (
	errForwardNoHosts = errors.New("mfa_forward_auth needs the hosts that it answers for, since a proxy can ask about any: " +
		"name them in its block, such as: hosts dash.example.com; or set the option url to the address of the app, if it is the only one")
	errForwardNoNames = errors.New("mfa_forward_auth answers for hosts that the option portal lists by their names, and it lists none: " +
		"a name below a wildcard may lead to somebody else")
)

// checkAsked leaves out what holds placeholders.
func checkAsked(hosts []string) error {
	for i, host := range hosts {
		switch {
		case hasPlaceholder(host):
		case !isPattern(host) || strings.HasPrefix(host, "*"):
			return fmt.Errorf("%q is not a host such as app.example.com: names stand here without https://, port and path, in ASCII, and each by itself", host)
		case slices.ContainsFunc(hosts[:i], func(h string) bool { return strings.EqualFold(h, host) }):
			return fmt.Errorf("%s is listed twice", host)
		}
	}
	return nil
}

// askedHosts are the hosts that proxies may ask about. A wildcard of the portal says nothing of them: what a proxy serves under any name
// would get a session of people who open it.
func askedHosts(hosts []string, s *settings) (asked []string, err error) {
	if len(hosts) == 0 && s.portal != nil {
		for _, host := range s.portal.hosts {
			if s.portal.names(host) {
				asked = append(asked, host)
			}
		}
		if asked == nil {
			return nil, errForwardNoNames
		}
		return asked, nil
	}
	if len(hosts) == 0 {
		if s.host == "" {
			return nil, errForwardNoHosts
		}
		return []string{s.host}, nil
	}
	repl := caddy.NewReplacer()
	for _, host := range hosts {
		if host, err = repl.ReplaceOrErr(host, true, true); err != nil {
			return nil, err
		}
		asked = append(asked, strings.ToLower(host))
	}
	if err := checkAsked(asked); err != nil {
		return nil, err
	}
	for _, host := range asked {
		if s.portal != nil && !s.portal.names(host) {
			return nil, fmt.Errorf("mfa_forward_auth answers for %s, and the option portal does not list that host by its name, so nobody could sign in there: "+
				"add it to portal %s", host, s.portal.base)
		}
	}
	return asked, nil
}

func checkForward(w way) error {
	switch {
	case len(w.hosts) > 0:
		return errForwardHost
	case w.some:
		return errForwardSome
	}
	return nil
}
