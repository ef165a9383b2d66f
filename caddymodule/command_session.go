package caddymodule

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

func sessionCommand() *cobra.Command {
	cmd := long(&cobra.Command{Use: "session <command>", Short: "Lists and ends sessions"}, `
Lists and ends the sessions of a user.`, "session list alice")
	cmd.AddCommand(sessionListCommand(), sessionRevokeCommand())
	return asGroup(cmd)
}

func sessionListCommand() *cobra.Command {
	cmd := long(&cobra.Command{Use: "list NAME", Short: "Lists the sessions of a user"}, `
Lists where a user is signed in: since when, from where, with which methods.`, "session list alice")
	return asLeaf(cmd, []string{"NAME"}, func(c *client, args []string) error {
		var out []sessionView
		if err := c.call("session/list", nameInput{args[0]}, &out); err != nil {
			return err
		}
		return c.show(out, func(w io.Writer) {
			if len(out) == 0 {
				fmt.Fprintln(w, printable(args[0]), "is not signed in anywhere.")
				return
			}
			rows := [][]string{{"ID", "HOST", "SIGNED IN", "LAST SEEN", "ENDS", "METHODS", "ADDRESS", "BROWSER"}}
			for _, s := range out {
				browser := orElse(strings.Join(nonEmpty(s.Browser, s.OS), ", "), "-")
				rows = append(rows, []string{
					s.ID, strings.Join(append([]string{s.Host}, s.Hosts...), ","), localTime(s.Created), localTime(s.Seen), localTime(s.End), strings.Join(s.Methods, ","), s.Addr, browser,
				})
			}
			table(w, "", rows)
		})
	})
}

func nonEmpty(words ...string) []string {
	var out []string
	for _, w := range words {
		if w != "" {
			out = append(out, w)
		}
	}
	return out
}

func sessionRevokeCommand() *cobra.Command {
	cmd := long(&cobra.Command{Use: "revoke NAME", Short: "Ends sessions of a user"}, `
Ends all sessions of a user and revokes all access tokens, or ends the session
with the given id, from the very next request on. The user can sign in again;
"caddy mfa user disable" prevents that.`, `session revoke alice
  $ caddy mfa session revoke alice --id 3f1c0a5b7d9e2468ace013579bdf2468`)
	id := cmd.Flags().String("id", "", "`ID` of the only session to end, from \"session list\"")
	return asLeaf(cmd, []string{"NAME"}, func(c *client, args []string) error {
		out, err := c.revoke(cmd, "session/revoke", args[0], id)
		if err != nil {
			return err
		}
		return c.show(out, func(w io.Writer) {
			switch name := printable(out.Name); out.Revoked {
			case 0:
				fmt.Fprintln(w, name, "had no session.")
			case 1:
				fmt.Fprintf(w, "1 session of %s has ended.\n", name)
			default:
				fmt.Fprintf(w, "%d sessions of %s have ended.\n", out.Revoked, name)
			}
		})
	})
}
