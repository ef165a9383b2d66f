package caddymodule

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// tokenView is what admins are shown of an access token: never the token, nor its hash.
type tokenView struct {
	ID      string    `json:"id"`
	Label   string    `json:"label"`
	Hosts   []string  `json:"hosts"`
	Paths   []string  `json:"paths"`   // none: every path
	Methods []string  `json:"methods"` // of HTTP; none: every one
	Created time.Time `json:"created"`
	Used    time.Time `json:"used,omitzero"` // absent: never
	Expires time.Time `json:"expires"`
}

func viewToken(t *auth.AccessToken) tokenView {
	v := tokenView{
		ID: t.ID, Label: t.Label, Hosts: t.Hosts, Paths: append([]string{}, t.Paths...), Methods: append([]string{}, t.Methods...),
		Created: wholeSeconds(t.Created), Expires: wholeSeconds(t.Expires),
	}
	if !t.Used.IsZero() {
		v.Used = wholeSeconds(t.Used)
	}
	return v
}

func listTokens(ctx context.Context, c call, in nameInput) ([]tokenView, error) {
	tokens, err := c.realm.AccessTokens(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	out := make([]tokenView, len(tokens))
	for i := range tokens {
		out[i] = viewToken(&tokens[i])
	}
	return out, nil
}

func revokeTokens(ctx context.Context, c call, in revokeInput) (revokedView, error) {
	return c.revoke(ctx, in, "revoke all access tokens", c.realm.RevokeAccessTokens)
}

// revoke ends what has the ID, or all. what says so of all.
func (c call) revoke(ctx context.Context, in revokeInput, what string, fn func(ctx context.Context, name, id string) (int, error)) (revokedView, error) {
	id := ""
	if in.ID != nil {
		if id = *in.ID; id == "" { // somebody's empty variable must not end everything
			return revokedView{}, &inputError{"The id is empty. Leave it out to " + what + "."}
		}
	}
	n, err := fn(ctx, in.Name, id)
	if err != nil {
		return revokedView{}, err
	}
	a, err := c.realm.User(ctx, in.Name)
	return revokedView{a.User.Name, n}, err
}

func tokenCommand() *cobra.Command {
	cmd := long(&cobra.Command{Use: "token <command>", Short: "Lists and revokes access tokens"}, `
Lists and revokes the access tokens that a user made for scripts and apps.`, "token list alice")
	cmd.AddCommand(tokenListCommand(), tokenRevokeCommand())
	return asGroup(cmd)
}

func tokenListCommand() *cobra.Command {
	cmd := long(&cobra.Command{Use: "list NAME", Short: "Lists the access tokens of a user"}, `
Lists the access tokens of a user: what they are good for, when they were last
used, and when they expire. The tokens themselves are known to nobody.`, "token list alice")
	return asLeaf(cmd, []string{"NAME"}, func(c *client, args []string) error {
		var out []tokenView
		if err := c.call("token/list", nameInput{args[0]}, &out); err != nil {
			return err
		}
		return c.show(out, func(w io.Writer) {
			if len(out) == 0 {
				fmt.Fprintln(w, printable(args[0]), "has no access token.")
				return
			}
			rows := [][]string{{"ID", "NAME", "HOSTS", "PATHS", "METHODS", "MADE", "LAST USED", "EXPIRES"}}
			for _, t := range out {
				used := "never"
				if !t.Used.IsZero() {
					used = localTime(t.Used)
				}
				rows = append(rows, []string{
					t.ID, t.Label, strings.Join(t.Hosts, ","), orElse(strings.Join(t.Paths, ","), "any"), orElse(strings.Join(t.Methods, ","), "any"),
					localTime(t.Created), used, localTime(t.Expires),
				})
			}
			table(w, "", rows)
		})
	})
}

func tokenRevokeCommand() *cobra.Command {
	cmd := long(&cobra.Command{Use: "revoke NAME", Short: "Revokes access tokens of a user"}, `
Revokes all access tokens of a user, or the one with the given id, from the very
next request on. Sessions stay; "caddy mfa session revoke" ends both.`, `token revoke alice
  $ caddy mfa token revoke alice --id 3f1c0a5b7d9e2468ace013579bdf2468`)
	id := cmd.Flags().String("id", "", "`ID` of the only token to revoke, from \"token list\"")
	return asLeaf(cmd, []string{"NAME"}, func(c *client, args []string) error {
		out, err := c.revoke(cmd, "token/revoke", args[0], id)
		if err != nil {
			return err
		}
		return c.show(out, func(w io.Writer) {
			switch name := printable(out.Name); out.Revoked {
			case 0:
				fmt.Fprintln(w, name, "had no access token.")
			case 1:
				fmt.Fprintf(w, "1 access token of %s was revoked.\n", name)
			default:
				fmt.Fprintf(w, "%d access tokens of %s were revoked.\n", out.Revoked, name)
			}
		})
	})
}

// revoke asks for an operation on all that a user has, or with the flag --id on one.
func (c *client) revoke(cmd *cobra.Command, operation, name string, id *string) (out revokedView, err error) {
	in := revokeInput{Name: name}
	if cmd.Flags().Changed("id") {
		if *id == "" { // an empty variable of a script must not end everything
			return out, &usageError{"--id is empty"}
		}
		in.ID = id
	}
	err = c.call(operation, in, &out)
	return out, err
}
