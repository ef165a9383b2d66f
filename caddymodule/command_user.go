package caddymodule

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

func userCommand() *cobra.Command {
	cmd := long(&cobra.Command{Use: "user <command>", Short: "Manages people"}, `
Manages the people who may sign in. A NAME is taken in any spelling that means
the same account.`, "user list")
	cmd.AddCommand(userAddCommand(), userListCommand(), userShowCommand(), userPolicyCommand(), userInviteCommand(), userGroupCommand(),
		changeCommand("disable", "Keeps a user from signing in, and ends all sessions", `
Keeps a user from signing in, and ends all sessions, from the very next request
on. What the user has set up stays for "enable".`, func(u userView) string {
			return u.Name + " is disabled: every session has ended, and nobody can sign in with this name."
		}),
		changeCommand("enable", "Lets a disabled or blocked user sign in again", `
Lets a user sign in again who was disabled, or blocked by "This wasn't me" in a
mail, with everything that was set up before. What that mail suspended stays so.`, func(u userView) string {
			return u.Name + " can sign in again."
		}),
		userResetCommand(), userDeleteCommand())
	return asGroup(cmd)
}

func userAddCommand() *cobra.Command {
	cmd := long(&cobra.Command{Use: "add NAME", Short: "Adds a user, and prints an invitation link"}, `
Adds a user and prints a link to send to that person. The link works once: with
it the person chooses a password and sets up a second method. Where Caddy sends
mail (the option smtp), one goes to the address, too. With --password-stdin the
password is read from standard input instead, and no link is made.`, `user add alice --email alice@example.com --group ops --group dev
  $ caddy mfa user add bob --password-stdin < password.txt`)
	var in addInput
	var withPassword bool
	cmd.Flags().StringVar(&in.Email, "email", "", "Email `ADDRESS`")
	cmd.Flags().StringVar(&in.DisplayName, "display-name", "", "`NAME` to show, such as \"Alice Example\"")
	cmd.Flags().StringArrayVar(&in.Groups, "group", nil, "`GROUP` to put the user in; can be given more than once")
	cmd.Flags().BoolVar(&withPassword, "password-stdin", false, "Read the password from standard input (its first line)")
	return asLeaf(cmd, []string{"NAME"}, func(c *client, args []string) error {
		in.Name = args[0]
		if cmd.Flags().Changed("email") && in.Email == "" {
			return &usageError{"--email is empty"}
		}
		if withPassword {
			if c.config == "-" {
				return &usageError{"Standard input cannot hold both the password and the config"}
			}
			password, err := readLine(c.in)
			if err != nil {
				return fmt.Errorf("reading the password: %w", err)
			}
			if password == "" {
				return &refusedError{"There is no password on standard input."}
			}
			if !utf8.ValidString(password) {
				return &refusedError{"The password is not valid UTF-8."}
			}
			in.Password = password
		}
		var out invitationView
		if err := c.call("user/add", in, &out); err != nil {
			return err
		}
		return c.show(out, func(w io.Writer) {
			fmt.Fprintln(w, printable(out.Name), "was added.")
			if out.Link == "" {
				fmt.Fprintf(w, "Until %s the password is enough to sign in once and set up a second method.\n", localTime(out.EnrollUntil))
				return
			}
			c.printInvitation(w, out)
		})
	})
}

func userInviteCommand() *cobra.Command {
	cmd := long(&cobra.Command{Use: "invite NAME", Short: "Prints a new invitation link"}, `
Makes a new invitation link; an older one stops working. With it the person
chooses a password. Whoever has set up a second method must still prove it.
Where Caddy sends mail (the option smtp), one goes to the address, too.`, "user invite alice")
	return asLeaf(cmd, []string{"NAME"}, func(c *client, args []string) error {
		var out invitationView
		if err := c.call("user/invite", nameInput{args[0]}, &out); err != nil {
			return err
		}
		return c.show(out, func(w io.Writer) { c.printInvitation(w, out) })
	})
}

func (c *client) printInvitation(w io.Writer, v invitationView) {
	next := "chooses a password, sets up a second method and saves recovery codes"
	if v.State == stateActive {
		next = "chooses a new password, and proves the second method that is set up"
	}
	name, before := printable(v.Name), ""
	if strings.HasPrefix(v.Link, "/") { // neither the option url nor a running Caddy tells
		before = ", with the address of your site before it"
	}
	fmt.Fprintf(w, "Send this link to %s%s. It works once, until %s:\n\n  %s\n\nWith it %s %s.\n",
		name, before, localTime(v.LinkExpires), printable(v.Link), name, next)
	switch {
	case v.MailedTo == "":
	case c.offline:
		fmt.Fprintf(w, "A link is also mailed to %s, as soon as Caddy runs.\n", printable(v.MailedTo))
	default:
		fmt.Fprintf(w, "The link was also mailed to %s.\n", printable(v.MailedTo))
	}
}

func userListCommand() *cobra.Command {
	cmd := long(&cobra.Command{Use: "list", Short: "Lists all users"}, `Lists all users, by name.`, "user list --json")
	return asLeaf(cmd, nil, func(c *client, _ []string) error {
		var out []userView
		if err := c.call("user/list", nobody{}, &out); err != nil {
			return err
		}
		return c.show(out, func(w io.Writer) {
			if len(out) == 0 {
				fmt.Fprintln(w, "No users yet. Add one: caddy mfa user add NAME")
				return
			}
			rows := [][]string{{"NAME", "STATE", "GROUPS", "METHODS", "EMAIL", "DISPLAY NAME"}}
			for _, u := range out {
				rows = append(rows, []string{
					u.Name, u.State, orElse(strings.Join(u.Groups, ","), "-"), orElse(strings.Join(u.Methods, ","), "-"),
					orElse(u.Email, "-"), orElse(u.DisplayName, "-"),
				})
			}
			table(w, "", rows)
		})
	})
}

func userShowCommand() *cobra.Command {
	cmd := long(&cobra.Command{Use: "show NAME", Short: "Shows a user, and what is set up"}, `
Shows a user: state, groups, every method that is set up and when it was last
used, how many recovery codes are left, how many sessions there are.`, "user show alice")
	return asLeaf(cmd, []string{"NAME"}, func(c *client, args []string) error {
		var out accountView
		if err := c.call("user/show", nameInput{args[0]}, &out); err != nil {
			return err
		}
		return c.show(out, func(w io.Writer) { printAccount(w, &out) })
	})
}

// stateTexts says what a state means.
var stateTexts = map[string]string{
	stateDisabled:   "disabled, cannot sign in",
	stateBlocked:    "blocked, cannot sign in",
	stateInvited:    "invited, has not chosen a password yet",
	stateIncomplete: "incomplete, has not set up a second method",
	stateActive:     "active",
}

func printAccount(w io.Writer, v *accountView) {
	email := orElse(v.Email, "none")
	switch {
	case v.EmailConfirmed:
		email += " (confirmed)"
	case v.Email != "":
		email += " (not confirmed)"
	}
	window := "closed"
	if v.EnrollUntil.After(time.Now()) {
		window = "open until " + localTime(v.EnrollUntil) + ": the password alone may set up the first second method"
	}
	rows := [][]string{
		{"Name:", v.Name},
		{"Display name:", orElse(v.DisplayName, "none")},
		{"Email:", email},
		{"Groups:", orElse(strings.Join(v.Groups, ", "), "none")},
		{"State:", orElse(stateTexts[v.State], v.State)},
		{"Added:", localTime(v.Created)},
		{"Enrolment window:", window},
		{"Recovery codes left:", strconv.Itoa(v.RecoveryCodesLeft)},
		{"Sessions:", strconv.Itoa(v.Sessions)},
	}
	if !v.Blocked.IsZero() {
		rows = append(rows, []string{"Blocked:", "\"This wasn't me\" was pressed about " + localTime(v.Blocked) +
			". Ends with a reset by mail and a method from before, or: caddy mfa user enable " + v.Name})
	}
	if !v.ResetAt.IsZero() {
		told := "announced"
		if !v.ResetTold {
			told = "the mail that announces it still waits"
		}
		rows = append(rows, []string{"Reset:", told + ", due at " + localTime(v.ResetAt) + ". Taken back by: caddy mfa user reset-mfa " + v.Name + " --cancel"})
	}
	if v.MailedPassword {
		rows = append(rows, []string{"Password:", "was set by mail, so codes by mail are no second method until another one signed in"})
	}
	if len(v.Shut) > 0 {
		rows = append(rows, []string{"Off for new browsers:", strings.Join(v.Shut, ", ") + " (too many wrong answers; a sign-in from a known browser opens it)"})
	}
	table(w, "", rows)
	if len(v.Credentials) == 0 {
		fmt.Fprintln(w, "Methods:              none")
		return
	}
	fmt.Fprintln(w, "Methods:")
	rows = [][]string{{"METHOD", "NAME", "ADDED", "LAST USED"}}
	for _, c := range v.Credentials {
		method, used := c.Method, localTime(c.Used)
		if method == auth.MethodPassword {
			used = "-" // its use is not noted
		}
		if c.RPID != "" {
			method += " for " + c.RPID
		}
		if c.Disabled {
			method += " (suspended)"
		}
		rows = append(rows, []string{method, orElse(orElse(c.Label, c.Address), "-"), localTime(c.Created), used})
	}
	table(w, "  ", rows)
}

// changeCommand is a command that changes a user named by its only argument, and then says so in one sentence.
func changeCommand(verb, short, text string, said func(userView) string) *cobra.Command {
	cmd := long(&cobra.Command{Use: verb + " NAME", Short: short}, text, "user "+verb+" alice")
	return asLeaf(cmd, []string{"NAME"}, func(c *client, args []string) error {
		var out userView
		if err := c.call("user/"+verb, nameInput{args[0]}, &out); err != nil {
			return err
		}
		return c.show(out, func(w io.Writer) { fmt.Fprintln(w, printable(said(out))) })
	})
}

func userDeleteCommand() *cobra.Command {
	cmd := long(&cobra.Command{Use: "delete NAME", Short: "Deletes a user, for good"}, `
Deletes a user with everything that was set up, and ends all sessions, at once
and without asking. To keep somebody out for a while, use "disable".`, "user delete alice")
	return asLeaf(cmd, []string{"NAME"}, func(c *client, args []string) error {
		var out deletedView
		if err := c.call("user/delete", nameInput{args[0]}, &out); err != nil {
			return err
		}
		return c.show(out, func(w io.Writer) { fmt.Fprintln(w, printable(out.Name), "is deleted: every session has ended.") })
	})
}
