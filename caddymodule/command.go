package caddymodule

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "mfa",
		Usage: "<command>",
		Short: "Manages the people who sign in, and their sessions",
		Long: `Manages the people who may sign in, what they have set up, and their sessions.
Says what rules make of a request. Tests whether mail can be sent. Writes the
templates of the pages, to change them.

The commands ask the running Caddy through its admin API. With no Caddy running
they open the store themselves; then run them as the user that Caddy runs as.

Exit codes: 0 done, 1 refused (nothing was changed), 2 wrong usage.`,
		CobraFunc: func(cmd *cobra.Command) {
			cmd.Example = "  $ caddy mfa user add alice --email alice@example.com --group ops\n  $ caddy mfa session list alice"
			cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
				return finish(cmd, &usageError{err.Error()})
			})
			asGroup(cmd)
			cmd.AddCommand(userCommand(), sessionCommand(), tokenCommand(), linkCommand(), rulesCommand(), mailCommand(), templatesCommand())
		},
	})
}

// exitUsage is the exit code of a command that was given wrongly. It takes Caddy's way of carrying an exit code out of a command.
const exitUsage = 2

// usageError is a command that was given wrongly; text names the mistake.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

// finish prints err in one line and turns it into the exit code: 2 for a *usageError, 1 for any other.
func finish(cmd *cobra.Command, err error) error {
	if err == nil {
		return nil
	}
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	if _, ok := errors.AsType[*usageError](err); !ok {
		cmd.PrintErrln("Error:", printable(err.Error()))
		return err
	}
	cmd.PrintErrf("Error: %s (see %s --help)\n", printable(err.Error()), cmd.CommandPath())
	// Caddy exports no error type for exit codes, but it wraps a code in one.
	return caddycmd.WrapCommandFuncForCobra(func(caddycmd.Flags) (int, error) { return exitUsage, nil })(cmd, nil)
}

// asGroup makes cmd a command that only has subcommands. Left to itself, cobra would print help and exit 0 for a mistyped one.
func asGroup(cmd *cobra.Command) *cobra.Command {
	cmd.SuggestionsMinimumDistance = 2
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return finish(cmd, &usageError{"Which command?"})
		}
		text := fmt.Sprintf("There is no command %q", args[0])
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			text += fmt.Sprintf("; did you mean %q?", near[0])
		}
		return finish(cmd, &usageError{text})
	}
	return cmd
}

// asLeaf makes cmd a command that does something. run gets as many arguments as names says, and the client that carries the
// flags which all commands share.
func asLeaf(cmd *cobra.Command, names []string, run func(c *client, args []string) error) *cobra.Command {
	sharedFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		err := checkArgs(names, args)
		if err == nil {
			err = checkText(cmd, args)
		}
		if err == nil {
			err = run(newClient(cmd), args)
		}
		return finish(cmd, err)
	}
	return cmd
}

// sharedFlags are Caddy's own, with Caddy's shorthands, and --json.
func sharedFlags(cmd *cobra.Command) {
	cmd.Flags().StringP("address", "", "", "`ADDRESS` of the running Caddy's admin API")
	cmd.Flags().StringP("config", "c", "", "Configuration `FILE`, to find the admin API or the store")
	cmd.Flags().StringP("adapter", "a", "", "`NAME` of config adapter to apply")
	cmd.Flags().BoolP("json", "", false, "Print JSON, for scripts")
}

func checkArgs(names, args []string) error {
	if len(args) < len(names) {
		return &usageError{names[len(args)] + " is missing"}
	}
	if len(args) > len(names) {
		return &usageError{fmt.Sprintf("%q is too much", args[len(names)])}
	}
	return nil
}

// checkText refuses what JSON would silently change on its way to the server.
func checkText(cmd *cobra.Command, args []string) error {
	valid := true
	for _, a := range args {
		valid = valid && utf8.ValidString(a)
	}
	cmd.Flags().Visit(func(f *pflag.Flag) { valid = valid && utf8.ValidString(f.Value.String()) })
	if !valid {
		return &refusedError{"What was typed is not valid UTF-8."}
	}
	return nil
}

func newClient(cmd *cobra.Command) *client {
	flag := func(name string) string { return caddycmd.Flags{FlagSet: cmd.Flags()}.String(name) }
	return &client{
		ctx: cmd.Context(), in: cmd.InOrStdin(), out: cmd.OutOrStdout(), errs: cmd.ErrOrStderr(),
		address: flag("address"), config: flag("config"), adapter: flag("adapter"), json: flag("json") == "true",
	}
}

// long puts a command's help together: what it does, and an example that can be typed as it is.
func long(cmd *cobra.Command, text, example string) *cobra.Command {
	cmd.Long = strings.TrimSpace(text)
	cmd.Example = "  $ caddy mfa " + example
	return cmd
}

// quiet keeps Caddy's own log lines (which config is used, what was opened) out of a command's output. What matters comes back as
// an error; the rest is never printed, since nobody flushes the buffer.
func quiet() { caddy.BufferedLog() }
