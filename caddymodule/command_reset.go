package caddymodule

import (
	"fmt"
	"io"

	"github.com/caddyserver/caddy/v2"
	"github.com/spf13/cobra"
)

func userResetCommand() *cobra.Command {
	cmd := long(&cobra.Command{Use: "reset-mfa NAME", Short: "Removes every second method of a user"}, `
Removes every second method of a user who has lost them, and the recovery codes,
and ends all sessions. For 72 hours the user can then set up a new second method
with nothing but the password. Where "This wasn't me" was pressed the password
goes as well, for an intruder may know it: send an invitation then.

If you cannot be sure who asks, announce it: with --delay nothing is removed
until that time has gone by, and a mail to the user's confirmed address holds a
link that stops it. The running Caddy does it then, or the next one that runs.
A second announcement replaces the first; --cancel takes it back.`, `user reset-mfa alice
  $ caddy mfa user reset-mfa alice --delay 24h`)
	var in resetInput
	var delay string
	cmd.Flags().StringVar(&delay, "delay", "", "Announce it by mail, and do it after `TIME`: 1h to 30d")
	cmd.Flags().BoolVar(&in.Cancel, "cancel", false, "Take back what was announced")
	return asLeaf(cmd, []string{"NAME"}, func(c *client, args []string) error {
		in.Name = args[0]
		if cmd.Flags().Changed("delay") {
			if _, err := caddy.ParseDuration(delay); err != nil {
				return &usageError{fmt.Sprintf("--delay %q is no duration such as 24h or 2d", delay)}
			}
			in.Delay = &delay
		}
		if in.Delay != nil && in.Cancel {
			return &usageError{"--delay and --cancel do not go together"}
		}
		var out resetView
		if err := c.call("user/reset-mfa", in, &out); err != nil {
			return err
		}
		return c.show(out, func(w io.Writer) {
			switch {
			case in.Cancel:
				fmt.Fprintln(w, printable(out.Name), "keeps everything: the reset is taken back.")
			case in.Delay != nil:
				fmt.Fprintln(w, printable(announcedText(out, c.offline)))
			default:
				fmt.Fprintln(w, printable(resetText(out.userView)))
			}
		})
	})
}

func announcedText(v resetView, offline bool) string {
	mailed := "A mail with a link that stops it goes to "
	if offline {
		mailed = "As soon as Caddy runs, a mail with a link that stops it goes to "
	}
	return fmt.Sprintf("%s is reset at %s, by the Caddy that runs then. %s%s. If no mail server has taken it when half of the time is over, nothing is reset.",
		v.Name, localTime(v.ResetAt), mailed, v.MailedTo)
}

func resetText(u userView) string {
	if u.State == stateInvited || u.State == stateBlocked {
		return u.Name + " has no second method, and no password either. Make a link: caddy mfa user invite " + u.Name
	}
	if u.MailedPassword {
		return u.Name + " has no second method any more, and every session has ended. The password was set by mail, which alone sets nothing up. Make a link: caddy mfa user invite " + u.Name
	}
	return fmt.Sprintf("%s has no second method any more, and every session has ended. Until %s the password is enough to set up a new one.",
		u.Name, localTime(u.EnrollUntil))
}
