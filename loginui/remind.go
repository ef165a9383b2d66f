package loginui

import (
	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// remindPath is where somebody who signed in hears of what will be required of them.
const remindPath = "/remind"

// reminder is what that page shows.
type reminder struct {
	To     string
	Duties []duty   // those that are not met, with time left
	Add    []string // methods that would meet one of them
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
	account, err := x.realm.Account(x.r.Context(), x.in.User.ID)
	if err != nil {
		return err
	}
	body := &reminder{To: x.href(to)}
	addable := withPage("enroll_", x.realm.Addable(x.in.Visit)...)
	sortMethods(addable)
	for _, d := range account.Duties {
		if d := x.duty(d); d.Later {
			body.Duties = append(body.Duties, d)
		}
	}
	for _, m := range addable {
		if meets(body.Duties, m) {
			body.Add = append(body.Add, m)
		}
	}
	if len(body.Duties) == 0 {
		return x.redirect(body.To)
	}
	pg := x.newPage("remind", "remind")
	pg.Body = body
	return x.render(pg)
}

// meets reports whether a method would meet one of the policies.
func meets(duties []duty, method string) bool {
	for _, d := range duties {
		if d.Counts(method) {
			return true
		}
	}
	return false
}

// reminded leads past the reminder, where there is one for this sign-in.
func (p *Portal) reminded(o auth.Outcome, to string) string {
	if o.Changed != "" || len(o.Policies) == 0 {
		return to
	}
	return string(appendQuery([]byte(p.prefix+remindPath+"?to="), to))
}
