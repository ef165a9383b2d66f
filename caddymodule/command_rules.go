package caddymodule

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

func rulesCommand() *cobra.Command {
	cmd := long(&cobra.Command{Use: "rules <command>", Short: "Says what rules make of a request"}, `
Says which rule of a configuration a request meets, and what it decides.`, "rules check https://dash.example.com/admin/")
	cmd.AddCommand(rulesCheckCommand())
	return asGroup(cmd)
}

// checkFlags are those of "rules check".
type checkFlags struct {
	asked    askedRequest
	headers  []string
	log      string
	examples int
}

func rulesCheckCommand() *cobra.Command {
	cmd := long(&cobra.Command{Use: "check URL", Short: "Says which rule a request meets, and what it decides"}, `
Says which gate and which rule a request meets, by file and line, what they ask
for, and what becomes of it: for a stranger, and with --user for that user, with
a session that has just proven all that the user has set up. Rules that only
report are listed with what they would decide. Nothing is sent or changed.

It asks the running Caddy. With --config it asks that configuration instead, as
before a reload; with no Caddy running, the Caddyfile here. Users are looked up
at the running Caddy, or in the store with none running.

Matchers see the request as it is given here: --method, --header, --client, and
the time is now. What else a visitor would send is absent. Where Caddy itself
speaks plain HTTP, an https URL came through a proxy that it trusts.

With --log it asks about each line of an access log in JSON (- for standard
input, .gz for a compressed file) and counts what is decided. The log names only
those whom mfa let through to what is not public, and not what they had proven:
they count as having just proven all that they have set up, all others as
strangers.`, `rules check https://dash.example.com/admin/
  $ caddy mfa rules check --user alice https://dash.example.com/admin/
  $ caddy mfa rules check --method POST --client 192.0.2.7 https://dash.example.com/hook
  $ caddy mfa rules check --config Caddyfile --log /var/log/caddy/access.log.gz`)
	var f checkFlags
	asLeaf(cmd, nil, nil)
	cmd.Flags().Lookup("config").Usage = "Configuration `FILE` to ask, instead of the running one"
	cmd.Flags().StringVar(&f.asked.User, "user", "", "`NAME` of a user to ask for, too")
	cmd.Flags().StringVar(&f.asked.Method, "method", "GET", "`METHOD` of the request")
	cmd.Flags().StringArrayVar(&f.headers, "header", nil, "`HEADER` of the request, as \"Name: value\"; can be given more than once")
	cmd.Flags().StringVar(&f.asked.Client, "client", noClient, "`ADDRESS` that the request comes from")
	cmd.Flags().StringVar(&f.log, "log", "", "Access log `FILE` to ask about")
	cmd.Flags().IntVar(&f.examples, "examples", 3, "How many requests to show for each decision, with --log, 0 to 10")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		err := checkText(cmd, args)
		if err == nil {
			err = f.run(newClient(cmd), cmd, args)
		}
		return finish(cmd, err)
	}
	return cmd
}

func (f *checkFlags) run(c *client, cmd *cobra.Command, args []string) error {
	given := cmd.Flags().Changed
	if given("log") {
		switch {
		case len(args) > 0:
			return &usageError{"A URL and --log exclude each other"}
		case given("user") || given("method") || given("header") || given("client"):
			return &usageError{"--user, --method, --header and --client are about a URL; with --log the log says"}
		case f.log == "-" && c.config == "-":
			return &usageError{"Standard input cannot hold both the log and the config"}
		case f.examples < 0 || f.examples > 10:
			return &usageError{"--examples is 0 to 10"}
		}
		return f.replay(c)
	}
	if err := checkArgs([]string{"URL"}, args); err != nil {
		return err
	}
	if given("examples") || given("user") && f.asked.User == "" {
		return &usageError{"--examples needs --log, and --user a name"}
	}
	f.asked.URL, f.asked.Headers = args[0], map[string]string{}
	for _, h := range f.headers {
		name, value, ok := strings.Cut(h, ":")
		if !ok || name == "" {
			return &usageError{fmt.Sprintf("--header %q is not \"Name: value\"", h)}
		}
		f.asked.Headers[name] = strings.TrimSpace(value)
	}
	if _, _, err := f.asked.request(); err != nil {
		return &usageError{strings.TrimSuffix(err.Error(), ".")}
	}
	a, err := c.ruleAsker()
	if err != nil {
		return err
	}
	body, err := json.Marshal(f.asked)
	if err != nil {
		return fmt.Errorf("encoding the input: %w", err)
	}
	out, err := a.ask([]json.RawMessage{body})
	if err != nil {
		return err
	}
	v := struct {
		Asked string `json:"asked"`
		checkView
	}{a.about, out[0]}
	if v.User != nil && v.User.Unknown {
		return &refusedError{fmt.Sprintf("There is no user %q.", v.User.Name)}
	}
	return c.show(v, func(w io.Writer) { printCheck(w, a.about, &out[0]) })
}

// decisionTexts says what a decision means to the one who sent the request.
var decisionTexts = map[string]string{
	auth.Allow.String():  "may pass",
	auth.Deny.String():   "is refused (403)",
	auth.SignIn.String(): "must sign in first",
	auth.StepUp.String(): "must prove more first, and has not set up what that takes",
	auth.Enroll.String(): "must first set up a method that is asked for",
	decisionPublic:       "may pass, signed in or not",
	decisionPortal:       "gets the sign-in pages",
	decisionReported:     "may pass, since mfa only reports here",
	decisionNoMFA:        "no mfa is on the way",
	decisionNoSite:       "no site serves this host",
	decisionError:        "gets an error",
	errAmbiguous.code:    "is refused (400): the address can be read in more than one way",
	errOdd.code:          "is refused (400): this is no path",
	errMethod.code:       "is refused (400): the method is not written in capitals",
	errInsecure.code:     "is refused (403): this is plain HTTP",
	errForeignHost.code:  "is refused (421): people sign in under another name of this site",
}

func printCheck(w io.Writer, about string, v *checkView) {
	fmt.Fprintf(w, "%s %s\n", printable(v.Method), printable(v.URL))
	var rows [][]string
	add := func(name, text string) {
		if text != "" {
			rows = append(rows, []string{name + ":", text})
		}
	}
	add("Asked", about)
	for i := range v.Gates {
		g := &v.Gates[i]
		gate, rule := g.Gate, g.Rule
		if g.ReportOnly {
			gate += " (only reports)"
		}
		if len(g.Asks) > 0 && rule == "" {
			rule = "none; what the gate itself says counts"
		}
		add("Gate", gate)
		add("Rule", rule)
		add("Asks for", strings.Join(g.Asks, "; and "))
		for _, r := range g.Reports {
			add("Only reports", r.Rule+", asks for "+strings.Join(r.Asks, "; and ")+": "+reported(v, r.Stranger, r.User))
		}
	}
	add("Answered by", v.AnsweredBy)
	add("Error", v.Error)
	add("A stranger", verdictText(&v.Stranger))
	if v.User != nil {
		text := verdictText(&v.User.verdict)
		if v.User.State != stateActive {
			text += " (" + orElse(stateTexts[v.User.State], v.User.State) + ")"
		}
		add(v.User.Name, text)
	}
	table(w, "", rows)
}

func reported(v *checkView, stranger, user string) string {
	text := "would decide " + stranger + " for a stranger"
	if v.User != nil {
		text += ", " + user + " for " + v.User.Name
	}
	return text
}

func verdictText(v *verdict) string {
	text := v.Decision
	if v.By != "" {
		text += " by " + v.By
	}
	text += ": " + orElse(decisionTexts[v.Decision], "?")
	if v.Until != "" {
		text += ", once what is asked for is proven; until then " + v.Until
	}
	return text
}
