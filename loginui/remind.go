package loginui

import (
	"slices"
	"strings"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// remindPath is where somebody who signed in hears of what will be required of them.
const remindPath = "/remind"

// reminder is what that page shows.
type reminder struct {
	To     string
	Here   string    // this very page, where whoever sets something up comes back to: it leads on once all is met
	Duties []duty    // those that are not met, with time left
	Due    time.Time // of all of them; zero where each has its own
	Add    []string  // methods that would meet one of them
}

// getRemind names the policies that whoever has signed in does not meet yet, and by when they must, and leads on.
func getRemind(x *exchange) error {
	to := x.returnTarget(x.r.URL.Query().Get("to"))
	if x.in.Session == nil || x.in.User == nil {
		return x.redirect(x.LoginURL(to))
	}
	if to == "" {
		to = "/"
	}
	account, err := x.realm.Account(x.r.Context(), x.in.Visit, x.in.User.ID)
	if err != nil {
		return err
	}
	body := &reminder{To: x.href(to), Here: x.reminder(to)}
	addable := withPage("enroll_", x.realm.Addable(x.in.Visit)...)
	for _, d := range account.Duties {
		if d := x.duty(d, addable); d.Later {
			body.Duties = append(body.Duties, d)
		}
	}
	if len(body.Duties) == 0 {
		return x.redirect(body.To)
	}
	body.Due = body.Duties[0].Due
	for _, d := range body.Duties {
		if !d.Due.Equal(body.Due) {
			body.Due = time.Time{}
		}
		for _, m := range d.Add {
			if !slices.Contains(body.Add, m) {
				body.Add = append(body.Add, m)
			}
		}
	}
	sortMethods(body.Add)
	pg := x.newPage("remind", "remind")
	pg.Body = body
	return x.render(pg)
}

// reminderOf is a return target if it is the reminder, "" for every other.
func (p *Portal) reminderOf(to string) string {
	if to = p.returnTarget(to); !strings.HasPrefix(to, p.prefix+remindPath+"?") {
		return ""
	}
	return to
}

// reminder is the address of the reminder that leads on to a path.
func (p *Portal) reminder(to string) string {
	return string(appendQuery([]byte(p.prefix+remindPath+"?to="), to))
}

// reminded leads past the reminder, where there is one for this sign-in.
func (p *Portal) reminded(o auth.Outcome, to string) string {
	if o.Changed != "" || len(o.Policies) == 0 || p.reminderOf(to) != "" {
		return to
	}
	return p.reminder(to)
}
