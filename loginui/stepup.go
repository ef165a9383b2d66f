package loginui

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// stepUpPath is where somebody who has signed in learns that a page asks for more, and begins to prove it.
const stepUpPath = "/step-up"

// StepUpURL is the address of the page that asks for what need wants beyond a session, and leads back to the path to, of this host. What
// it says decides nothing: the gate judges the request anew. lost says that the form which was on its way there could not be kept.
func (p *Portal) StepUpURL(need auth.Requirement, to string, lost bool) string {
	b := append([]byte(p.prefix), stepUpPath...)
	sep := byte('?')
	add := func(name, value string) {
		b = append(append(append(b, sep), name...), '=')
		b = appendQuery(b, value)
		sep = '&'
	}
	if len(need.Methods) > 0 {
		add("methods", strings.Join(need.Methods, " "))
	}
	if need.MaxAge > 0 {
		add("max_age", strconv.Itoa(int(need.MaxAge.Seconds())))
	}
	if to != "" && (len(to) <= maxTarget || p.home != "" && to[0] != '/') {
		add("to", to)
	}
	if lost {
		add("lost", "1")
	}
	return string(b)
}

// stepUp is what that page shows.
type stepUp struct {
	Methods, MaxAge string   // as they came, for the form
	Lead            string   // what is asked for
	Add             []string // methods to be set up first, where none that would do is
}

// needOf is what a query or a form asks for beyond a session. Unknown methods and ages are left out: nobody but the gate writes them, and
// a link that somebody changed asks for nothing worse than a proof.
func needOf(methods, age string) auth.Requirement {
	need := auth.Requirement{Mode: auth.ModeSignedIn}
	for m := range strings.FieldsSeq(methods) {
		if catalogue().English().Has("method."+m) && !slices.Contains(need.Methods, m) {
			need.Methods = append(need.Methods, m)
		}
	}
	if n, err := strconv.Atoi(age); err == nil && n > 0 && n <= int(auth.MaxLifetime.Seconds()) {
		need.MaxAge = time.Duration(n) * time.Second
	}
	return need
}

// stepUpPage is the page for what a query or a form asks for.
func (x *exchange) stepUpPage(methods, age, to string) (*page, auth.Change) {
	need := needOf(methods, age)
	c := auth.Change{Op: auth.ChangeProve, Methods: need.Methods, MaxAge: need.MaxAge}
	body := &stepUp{Methods: strings.Join(c.Methods, " ")}
	if c.MaxAge > 0 {
		body.MaxAge = strconv.Itoa(int(c.MaxAge.Seconds()))
	}
	switch {
	case len(c.Methods) > 0 && c.MaxAge > 0:
		body.Lead = x.t("stepup.both", x.either(c.Methods), x.age(c.MaxAge))
	case len(c.Methods) > 0:
		body.Lead = x.t("stepup.methods", x.either(c.Methods))
	case c.MaxAge > 0:
		body.Lead = x.t("stepup.age", x.age(c.MaxAge))
	default:
		body.Lead = x.t("stepup.any")
	}
	pg := x.newPage("step_up", "stepup")
	pg.To, pg.Body, pg.Change = x.returnTarget(to), body, true
	return pg, c
}

func getStepUp(x *exchange) error {
	query := x.r.URL.Query()
	if x.in.Session == nil || x.in.User == nil {
		return x.redirect(x.LoginURL(x.returnTarget(query.Get("to"))))
	}
	pg, c := x.stepUpPage(query.Get("methods"), query.Get("max_age"), query.Get("to"))
	if _, ok := x.elsewhere(pg.To); ok && c.Holds(x.now(), x.in.User, x.in.Session) { // proven on the way to another host
		return x.leave(pg.To, nil)
	}
	ways, err := x.realm.Provable(x.r.Context(), x.in.Visit, x.in.User.ID, auth.Requirement{Methods: c.Methods, MaxAge: c.MaxAge})
	if err != nil {
		return err
	}
	if query.Has("lost") {
		pg.Notice = x.t("stepup.lost")
	}
	if len(withPage("verify_", ways...)) > 0 {
		return x.render(pg)
	}
	body := pg.Body.(*stepUp)
	for _, m := range withPage("enroll_", x.realm.Addable(x.in.Visit)...) {
		if slices.Contains(c.Methods, m) {
			body.Add = append(body.Add, m)
		}
	}
	if len(body.Add) == 0 {
		m := x.plain("stepup.none")
		m.Text = x.t("stepup.none.text", x.either(c.Methods))
		return x.message(http.StatusForbidden, m)
	}
	pg.Notice = strings.TrimSpace(pg.Notice + " " + x.t("stepup.add"))
	return x.render(pg)
}

func postStepUp(x *exchange) error {
	if x.in.Session == nil || x.in.User == nil {
		return x.redirect(x.LoginURL(x.returnTarget(x.form["to"])))
	}
	pg, c := x.stepUpPage(x.form["methods"], x.form["max_age"], x.form["to"])
	out, err := x.realm.Change(x.r.Context(), x.in.Visit, c, pg.To)
	if err != nil {
		return err
	}
	return x.advance(out)
}

// age is a duration in words, in the largest unit that leaves none over.
func (x *exchange) age(d time.Duration) string {
	switch minutes := int(d / time.Minute); {
	case d%time.Minute != 0:
		return x.count("seconds", int(d/time.Second))
	case minutes%(24*60) == 0:
		return x.count("days", minutes/(24*60))
	case minutes%60 == 0:
		return x.count("hours", minutes/60)
	default:
		return x.count("minutes", minutes)
	}
}
