package caddymodule

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

func mailCommand() *cobra.Command {
	cmd := long(&cobra.Command{Use: "mail <command>", Short: "Tests whether mail can be sent"}, `
Tests whether mail can be sent.`, "mail test alice@example.com")
	cmd.AddCommand(mailTestCommand())
	return asGroup(cmd)
}

func mailTestCommand() *cobra.Command {
	cmd := long(&cobra.Command{Use: "test ADDRESS", Short: "Sends a test mail, and says what the server answers"}, `
Sends a test mail to ADDRESS as the option smtp says, at once and past the
queue. It tells whether the mail server took it, or what the server answered and
what to do about it. With no Caddy running, the mail goes out from here.`, "mail test alice@example.com")
	return asLeaf(cmd, []string{"ADDRESS"}, func(c *client, args []string) error {
		var out mailTestView
		if err := c.call("mail/test", mailTestInput{args[0]}, &out); err != nil {
			return err
		}
		return c.show(out, func(w io.Writer) {
			if out.Server == "" {
				fmt.Fprintln(w, "The mail was written to Caddy's log, as the option smtp says.")
				return
			}
			fmt.Fprintf(w, "The server %s took the mail to %s. If it does not arrive, look among the spam, and in the server's log.\n",
				printable(out.Server), printable(out.Address))
		})
	})
}
