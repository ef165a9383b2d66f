package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/caddyserver/caddy/v2"
	"github.com/spf13/cobra"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/loginui"
)

type (
	linkInput struct {
		URL   string   `json:"url"`
		For   string   `json:"for"`
		User  string   `json:"user,omitempty"` // in whose name; "" where there is one user alone
		Email string   `json:"email,omitempty"`
		Also  []string `json:"also,omitempty"`
		Label string   `json:"label,omitempty"`
	}
	linksInput struct {
		Name string `json:"name,omitempty"` // whose; "": everybody's
	}
	linkIDInput struct {
		ID string `json:"id"`
	}
	// linkView is what admins are shown of a guest link. Link is there once only: nobody can look it up later.
	linkView struct {
		ID      string    `json:"id"`
		User    string    `json:"user"`
		Label   string    `json:"label,omitempty"`
		Host    string    `json:"host"`
		Path    string    `json:"path"` // with the query
		Also    []string  `json:"also"`
		Email   string    `json:"email,omitempty"`
		Created time.Time `json:"created"`
		Used    time.Time `json:"used,omitzero"` // absent: never
		Expires time.Time `json:"expires"`
		Link    string    `json:"link,omitempty"`
	}
)

func viewLink(t *auth.GuestLink) linkView {
	v := linkView{
		ID: t.ID, User: t.Maker, Label: t.Label, Host: t.Hosts[0], Path: t.Guest.To(), Also: append([]string{}, t.Paths...), Email: t.Guest.Email,
		Created: wholeSeconds(t.Created), Expires: wholeSeconds(t.Expires),
	}
	if !t.Used.IsZero() {
		v.Used = wholeSeconds(t.Used)
	}
	return v
}

func makeLink(ctx context.Context, c call, in linkInput) (linkView, error) {
	u, err := guestURL(in.URL)
	if err != nil {
		return linkView{}, err
	}
	host := hostName(in.URL)
	if err := c.serves(host); err != nil {
		return linkView{}, err
	}
	life, bad := caddy.ParseDuration(in.For)
	if bad != nil {
		return linkView{}, &inputError{fmt.Sprintf("%q is no duration such as 24h or 7d.", in.For)}
	}
	if in.User == "" {
		users, err := c.realm.Users(ctx)
		if err != nil {
			return linkView{}, err
		}
		if len(users) != 1 {
			return linkView{}, &inputError{"In whose name? Guests see no more than that user may: name one with --user."}
		}
		in.User = users[0].Name
	}
	token, link, err := c.realm.MakeGuestLink(ctx, auth.NewGuestLink{
		Maker: in.User, Label: in.Label, Host: host, Also: in.Also, For: life,
		Guest: auth.Guest{Path: u.Path, Query: u.RawQuery, Frag: u.EscapedFragment(), Email: in.Email},
	})
	if errors.Is(err, auth.ErrUnknownUser) { // the input has the name elsewhere
		err = &inputError{fmt.Sprintf("There is no user %q.", in.User)}
	}
	if err != nil {
		return linkView{}, err
	}
	v := viewLink(&link)
	v.Link = u.Scheme + "://" + u.Host + c.app.settings.prefix + loginui.GuestPath + "#" + token
	return v, nil
}

// guestURL reads the address of a page, whose path has one reading. Path and query may be as people type them, in any script.
func guestURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil, u.Host == "", u.User != nil, u.Opaque != "":
		return nil, &inputError{fmt.Sprintf("%q is no address such as https://wiki.example.com/page.", s)}
	case u.Scheme != "https" && (u.Scheme != "http" || !localhost(strings.ToLower(u.Hostname()))):
		return nil, &inputError{"The address begins with https://. Browsers keep no cookie of a guest otherwise."}
	case strings.ContainsFunc(u.Host, func(c rune) bool { return c >= utf8.RuneSelf }):
		return nil, &inputError{"The name of the host is written as servers know it, in ASCII, such as https://xn--bcher-kva.example.com."}
	case !utf8.ValidString(u.Path) || !utf8.ValidString(s):
		return nil, &inputError{"The path of the address is not in UTF-8, so nobody can say what it opens."}
	case !auth.PlainlySent(u.Path, u.EscapedPath()) || u.Path != "" && (!ordinary(u.Path) || ambiguous(u.Path)):
		return nil, &inputError{"The path of the address can be read in more than one way, so nobody can say what it opens. Copy it from the browser, " +
			"or type it without percent signs."}
	}
	u.RawQuery = asSent(u.RawQuery)
	return u, nil
}

// asSent writes a query as browsers send it to http and https (the special-query percent-encode set of WHATWG URL, section 1.3). The rest of
// that set is in no query that net/url reads: control characters and #.
func asSent(query string) string {
	var b strings.Builder
	for i := range len(query) {
		if c := query[i]; c == ' ' || c == '"' || c == '<' || c == '>' || c == '\'' || c >= utf8.RuneSelf {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// serves refuses a host that no gate serves, as far as that is known: with no server running, nothing is.
func (c call) serves(host string) error {
	app := c.app
	if c.offline {
		return nil
	}
	if err := app.look(); err != nil {
		return err
	}
	p := app.settings.portal
	switch {
	case slices.Contains(app.asked, host) && app.addresses[host] == "" &&
		!slices.ContainsFunc(app.patterns, func(p string) bool { return p == "" || hasPlaceholder(p) || stands(p, host) }):
		return &inputError{host + " is behind another proxy, which asks mfa_forward_auth, and guest links work where mfa itself is: in the site of the page."}
	case p != nil && host == p.host:
		return &inputError{"That is the host of the sign-in pages, which is for nothing else."}
	case p != nil && p.lists(host), localhost(host), len(app.addresses) == 0, host == app.settings.host, app.addresses[host] != "":
		return nil
	}
	return &inputError{fmt.Sprintf("No site with mfa is called %s.", host)}
}

func listLinks(ctx context.Context, c call, in linksInput) ([]linkView, error) {
	links, err := c.realm.GuestLinks(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	out := make([]linkView, len(links))
	for i := range links {
		out[i] = viewLink(&links[i])
	}
	return out, nil
}

func revokeLink(ctx context.Context, c call, in linkIDInput) (linkView, error) {
	link, err := c.realm.RevokeGuestLink(ctx, in.ID)
	if err != nil {
		return linkView{}, err
	}
	if link.Guest == nil {
		return linkView{ID: in.ID}, nil // its record was gone
	}
	return viewLink(&link), nil
}

func linkCommand() *cobra.Command {
	cmd := long(&cobra.Command{Use: "link URL", Short: "Makes, lists and revokes guest links"}, `
Makes a link that opens one page without an account, for as long as --for says,
at most 30 days. The page is open under the query that it is given with; --also
names further paths, such as those of its style sheets. Guests read (GET, HEAD)
and see no more than the user in whose name the link is made may see at that
moment, and nothing where rules ask for proofs. The app sees a guest.`, `link https://wiki.example.com/page --for 24h --user alice --also '/assets/*'
  $ caddy mfa link https://wiki.example.com/page --for 7d --user alice --email bob@example.com
  $ caddy mfa link list
  $ caddy mfa link revoke 3f1c0a5b7d9e2468ace013579bdf2468`)
	in := linkInput{}
	cmd.Flags().StringVar(&in.For, "for", "", "`DURATION` for which the link works, such as 24h or 7d")
	cmd.Flags().StringVar(&in.User, "user", "", "`NAME` of the user in whose name it is made; may be left out if there is only one")
	cmd.Flags().StringVar(&in.Email, "email", "", "`ADDRESS` that gets a code, which opening the link takes")
	cmd.Flags().StringArrayVar(&in.Also, "also", nil, "Further `PATH`; a final /* stands for all below. Repeatable")
	cmd.Flags().StringVar(&in.Label, "label", "", "`TEXT` that lists and the app show for it")
	cmd.AddCommand(linkListCommand(), linkRevokeCommand())
	return asLeaf(cmd, []string{"URL"}, func(c *client, args []string) error {
		if in.For == "" {
			return &usageError{"--for is missing"}
		}
		in.URL = args[0]
		var out linkView
		if err := c.call("link/make", in, &out); err != nil {
			return err
		}
		return c.show(out, func(w io.Writer) {
			fmt.Fprintf(w, "Send this link. It opens %s as a guest, in the name of %s, until %s:\n\n%s\n\n", printable(out.Host+out.Path), printable(out.User), localTime(out.Expires), out.Link)
			if out.Email != "" {
				fmt.Fprintf(w, "It takes a code that is mailed to %s.\n", printable(out.Email))
			}
			fmt.Fprintf(w, "Take it back with: caddy mfa link revoke %s\n", out.ID)
		})
	})
}

func linkListCommand() *cobra.Command {
	cmd := long(&cobra.Command{Use: "list", Short: "Lists guest links"}, `
Lists the guest links that work: what they open, when they were last used, and
when they expire. The links themselves are known to nobody.`, "link list --user alice")
	user := cmd.Flags().String("user", "", "`NAME` of the only user whose links are listed")
	return asLeaf(cmd, nil, func(c *client, _ []string) error {
		var out []linkView
		if err := c.call("link/list", linksInput{*user}, &out); err != nil {
			return err
		}
		return c.show(out, func(w io.Writer) {
			if len(out) == 0 {
				fmt.Fprintln(w, "There is no guest link.")
				return
			}
			rows := [][]string{{"ID", "USER", "NAME", "PAGE", "ALSO", "EMAIL", "MADE", "LAST USED", "EXPIRES"}}
			for _, l := range out {
				rows = append(rows, []string{
					l.ID, l.User, orElse(l.Label, "-"), l.Host + l.Path, orElse(strings.Join(l.Also, ","), "-"), orElse(l.Email, "-"),
					localTime(l.Created), localTime(l.Used), localTime(l.Expires),
				})
			}
			table(w, "", rows)
		})
	})
}

func linkRevokeCommand() *cobra.Command {
	cmd := long(&cobra.Command{Use: "revoke ID", Short: "Revokes a guest link"}, `
Revokes a guest link, from the very next request on. What guests have open ends.`, "link revoke 3f1c0a5b7d9e2468ace013579bdf2468")
	return asLeaf(cmd, []string{"ID"}, func(c *client, args []string) error {
		var out linkView
		if err := c.call("link/revoke", linkIDInput{args[0]}, &out); err != nil {
			return err
		}
		return c.show(out, func(w io.Writer) { fmt.Fprintf(w, "The guest link %s was revoked.\n", printable(args[0])) })
	})
}
