package caddymodule

import "errors"

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

func checkForward(w way) error {
	switch {
	case len(w.hosts) > 0:
		return errForwardHost
	case w.some:
		return errForwardSome
	}
	return nil
}
