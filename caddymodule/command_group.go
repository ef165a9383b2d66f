package caddymodule

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

func userGroupCommand() *cobra.Command {
	cmd := long(&cobra.Command{Use: "group NAME +GROUP -GROUP ...", Short: "Puts a user into groups and takes out of others"}, `
Puts a user into the groups written with a plus, and takes the user out of those
written with a minus, all at once. Options have two dashes here: -c is a group.`, "user group alice +ops -dev")
	asLeaf(cmd, nil, nil)
	cmd.DisableFlagParsing = true // it would take -dev for options
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 1 && args[0] == "-h" {
			args[0] = "--help"
		}
		args, err := parseSigned(cmd, args)
		if err != nil {
			return finish(cmd, &usageError{err.Error()})
		}
		if help, _ := cmd.Flags().GetBool("help"); help {
			return cmd.Help()
		}
		in, err := parseGroups(args)
		if err == nil {
			err = checkText(cmd, args)
		}
		if err == nil {
			err = changeUserGroups(newClient(cmd), in)
		}
		return finish(cmd, err)
	}
	return cmd
}

// parseSigned parses the flags among args, leaving those with a single dash alone. It returns the other arguments.
func parseSigned(cmd *cobra.Command, args []string) ([]string, error) {
	const mark = "\x00" // cannot be in an argument
	marked := make([]string, len(args))
	for i, a := range args {
		if len(a) > 1 && a[0] == '-' && a[1] != '-' {
			a = mark + a
		}
		marked[i] = a
	}
	cmd.DisableFlagParsing = false
	if err := cmd.ParseFlags(marked); err != nil {
		return nil, errors.New(strings.ReplaceAll(err.Error(), mark, ""))
	}
	out := slices.Clone(cmd.Flags().Args())
	for i := range out {
		out[i] = strings.TrimPrefix(out[i], mark)
	}
	return out, nil
}

func parseGroups(args []string) (in groupInput, err error) {
	if len(args) == 0 || args[0] == "" || args[0][0] == '+' || args[0][0] == '-' {
		return in, &usageError{"NAME is missing: it comes first"}
	}
	in.Name = args[0]
	for _, a := range args[1:] {
		add, isAdd := strings.CutPrefix(a, "+")
		remove, isRemove := strings.CutPrefix(a, "-")
		switch {
		case isAdd && add != "":
			in.Add = append(in.Add, add)
		case isRemove && remove != "":
			in.Remove = append(in.Remove, remove)
		default:
			return in, &usageError{fmt.Sprintf("%q is neither +GROUP nor -GROUP", a)}
		}
	}
	if len(in.Add)+len(in.Remove) == 0 {
		return in, &usageError{"Which groups? Write +GROUP or -GROUP"}
	}
	for _, g := range in.Add {
		if slices.Contains(in.Remove, g) {
			return in, &usageError{fmt.Sprintf("both +%s and -%s are given", g, g)}
		}
	}
	return in, nil
}

func changeUserGroups(c *client, in groupInput) error {
	var out userView
	if err := c.call("user/group", in, &out); err != nil {
		return err
	}
	return c.show(out, func(w io.Writer) {
		if len(out.Groups) == 0 {
			fmt.Fprintln(w, printable(out.Name), "is in no group.")
			return
		}
		fmt.Fprintln(w, printable(out.Name), "is in", printable(strings.Join(out.Groups, ", "))+".")
	})
}
