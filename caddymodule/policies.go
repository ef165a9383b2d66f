package caddymodule

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// What applies to a user, and why.
type (
	policiesView struct {
		Name       string       `json:"name"`
		Policies   []policyView `json:"policies"`
		Methods    []string     `json:"methods"`     // what this configuration switches on, the password included
		MethodsOff []string     `json:"methods_off"` // what the user has set up, and it switches off
	}
	policyView struct {
		Name    string    `json:"name"`
		Because []string  `json:"because"` // as the option for has them; none: it is for everybody
		Methods []string  `json:"methods"` // one of these meets it
		Met     bool      `json:"met"`
		MetBy   []string  `json:"met_by"`
		From    time.Time `json:"from,omitzero"`          // absent: from the start
		Grace   int64     `json:"grace_seconds,omitzero"` // from Heard on
		Heard   time.Time `json:"heard,omitzero"`         // the sign-in at which the user first heard of it; absent: none yet, or there is no grace
		Due     time.Time `json:"due,omitzero"`           // absent: at once, or not known before the user has heard of it
		Overdue bool      `json:"overdue"`                // the next sign-in leads to setting it up
	}
)

func showPolicies(ctx context.Context, c call, in nameInput) (policiesView, error) {
	a, err := c.realm.User(ctx, in.Name)
	if err != nil {
		return policiesView{}, err
	}
	return viewPolicies(time.Now(), &a, c.app.names()), nil
}

func viewPolicies(now time.Time, a *auth.Account, on []string) policiesView {
	v := policiesView{Name: a.User.Name, Policies: []policyView{}, Methods: append([]string{auth.MethodPassword}, on...), MethodsOff: []string{}}
	for _, m := range a.User.Enrolled {
		if !slices.Contains(v.Methods, m) {
			v.MethodsOff = append(v.MethodsOff, m)
		}
	}
	for _, d := range a.Duties {
		p := policyView{
			Name: d.Name, Because: []string{}, Methods: []string{}, Met: d.Met, MetBy: append([]string{}, d.MetBy...),
			Grace: int64(d.Grace / time.Second), Overdue: d.Overdue(now),
		}
		for _, who := range d.Because {
			p.Because = append(p.Because, principalText(who))
		}
		for _, m := range demandable {
			if (len(d.Methods) == 0 || slices.Contains(d.Methods, m)) && slices.Contains(on, m) {
				p.Methods = append(p.Methods, m)
			}
		}
		for _, moment := range []struct {
			of time.Time
			to *time.Time
		}{{d.From, &p.From}, {d.Heard, &p.Heard}, {d.Due, &p.Due}} {
			if !moment.of.IsZero() && (moment.to != &p.Due || d.Grace == 0 || !d.Heard.IsZero()) {
				*moment.to = wholeSeconds(moment.of)
			}
		}
		v.Policies = append(v.Policies, p)
	}
	return v
}

// principalText is how the option for has it.
func principalText(p auth.Principal) string {
	if p.Group != "" {
		return groupPrefix + p.Group
	}
	return p.User
}

func userPolicyCommand() *cobra.Command {
	cmd := long(&cobra.Command{Use: "policy NAME", Short: "Shows which policies apply to a user, and why"}, `
Shows which policies (the option enforce) apply to a user and why, whether each
is met and by what, and when it is due. A grace period begins when the user
first hears of a policy, which is at a sign-in.`, "user policy alice")
	return asLeaf(cmd, []string{"NAME"}, func(c *client, args []string) error {
		var out policiesView
		if err := c.call("user/policy", nameInput{args[0]}, &out); err != nil {
			return err
		}
		return c.show(out, func(w io.Writer) { printPolicies(w, time.Now(), &out) })
	})
}

func printPolicies(w io.Writer, now time.Time, v *policiesView) {
	name := printable(v.Name)
	open := 0
	for i := range v.Policies {
		if !v.Policies[i].Met {
			open++
		}
	}
	switch {
	case len(v.Policies) == 0:
		fmt.Fprintf(w, "No policy applies to %s. Policies are made with the option enforce.\n", name)
	case open == 0:
		fmt.Fprintf(w, "%s to %s, and nothing is left to do.\n", apply(len(v.Policies)), name)
	default:
		fmt.Fprintf(w, "%s to %s; not met: %d.\n", apply(len(v.Policies)), name, open)
	}
	for i := range v.Policies {
		p := &v.Policies[i]
		fmt.Fprintf(w, "\n%s\n", printable(p.Name))
		rows := [][]string{
			{"Because:", because(v.Name, p.Because)},
			{"Asks for:", strings.Join(p.Methods, " or ")},
			{"State:", policyState(v.Name, now, p)},
		}
		if !p.From.IsZero() {
			rows = append(rows, []string{"From:", localTime(p.From)})
		}
		if p.Grace > 0 {
			heard := v.Name + " has not heard of it yet"
			if !p.Heard.IsZero() {
				heard = v.Name + " first heard of it " + localTime(p.Heard)
			}
			rows = append(rows, []string{"Grace:", span(p.Grace) + "; " + heard})
		}
		table(w, "  ", rows)
	}
	fmt.Fprintln(w, "\nBeside any policy, every session takes proofs of two kinds, such as the password and an authenticator app.")
	fmt.Fprintln(w, "Methods that are switched on:", printable(strings.Join(v.Methods, ", ")))
	if len(v.MethodsOff) > 0 {
		fmt.Fprintf(w, "Switched off, though %s has set them up: %s\n", name, printable(strings.Join(v.MethodsOff, ", ")))
	}
}

func apply(n int) string {
	if n == 1 {
		return "1 policy applies"
	}
	return fmt.Sprintf("%d policies apply", n)
}

func because(name string, principals []string) string {
	if len(principals) == 0 {
		return "it is for everybody"
	}
	var out []string
	for _, p := range principals {
		if group, ok := strings.CutPrefix(p, groupPrefix); ok {
			out = append(out, name+" is in the group "+group)
		} else {
			out = append(out, "it names "+p)
		}
	}
	return strings.Join(out, ", and ")
}

func policyState(name string, now time.Time, p *policyView) string {
	switch {
	case p.Met && p.Due.After(now):
		return "met, by " + strings.Join(p.MetBy, " and ") + ", before it is due"
	case p.Met:
		return "met, by " + strings.Join(p.MetBy, " and ")
	case p.Overdue && p.Due.IsZero():
		return "NOT MET: at the next sign-in " + name + " must set it up"
	case p.Overdue:
		return "NOT MET, overdue since " + localTime(p.Due) + ": at the next sign-in " + name + " must set it up"
	case !p.Due.IsZero():
		return "not met, due " + localTime(p.Due) + ": until then " + name + " is reminded at each sign-in"
	case p.From.After(now):
		return "not met, due " + span(p.Grace) + " after the next sign-in, and not before " + localTime(p.From)
	}
	return "not met, due " + span(p.Grace) + " after the next sign-in, at which " + name + " is told"
}

// span is a time of whole seconds, in the largest unit that leaves none over.
func span(seconds int64) string {
	for _, unit := range []struct {
		seconds int64
		name    string
	}{{24 * 3600, "day"}, {3600, "hour"}, {60, "minute"}} {
		switch n := seconds / unit.seconds; {
		case seconds%unit.seconds != 0:
		case n == 1:
			return "1 " + unit.name
		default:
			return fmt.Sprintf("%d %ss", n, unit.name)
		}
	}
	return fmt.Sprintf("%d seconds", seconds)
}
