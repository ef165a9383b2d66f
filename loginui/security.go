package loginui

import (
	"errors"
	"slices"
	"sort"
	"strconv"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/internal/method"
)

// overview is what the Security page shows.
type overview struct {
	User     person
	On       bool // two-factor authentication: more is needed than a password and a mailbox
	Duties   []duty
	ResetAt  time.Time // when a reset that was announced is due; zero for none
	First    string    // what is asked first at sign-in, in words
	Keys     bool      // one of the keys may be asked for
	Firsts   []choice  // what may be; with one alone there is nothing to choose
	Ways     []enrolled
	Add      []string // methods that can be set up
	Off      refusal  // turning two-factor authentication off
	Codes    codesLine
	Password time.Time // when it was set
	Address  address
	Sessions []sessionRow
	Others   int // sessions beside this one
	Tokens   []tokenRow
	Links    []linkRow
	Token    tokenForm // for a new one
	NoToken  string    // why there can be none, "" for nothing
	Activity []eventRow
	Signals  string // what the browser should know about its passkeys
	Fresh    bool   // an app was replaced: new recovery codes are offered
	Open     string // the form that was refused: its operation, and the ID that it is about
	Typed    string // in it
}

// person is what the page shows of whoever is signed in.
type person struct {
	Name, DisplayName, Email string
	EmailConfirmed           bool
	Groups                   string // a list, "" for none
}

// refusal is whether something can be done, and why not.
type refusal struct {
	Offered bool   // the configuration knows it
	Why     string // a sentence, "" for nothing
}

// duty is a policy that applies to the person.
type duty struct {
	Name    string // as the admin calls it
	Asks    string // in words
	Met     bool
	Overdue bool
	Later   bool      // there is time until Due
	Due     time.Time // when it must be met, or had to be
	Add     []string  // methods that count and can be set up here
}

// choice is a method that may be asked first.
type choice struct {
	Method, Title string
	Chosen        bool
}

// codesLine is what is said of the recovery codes.
type codesLine struct {
	State string // how many are left, or why none works; "" where none were made
	Warn  bool   // few are left, or none
	Works bool   // one of them would sign somebody in
	Dead  bool   // none would, used or not
	Made  time.Time
	New   refusal
	View  bool // they can be seen again
}

// address is where the person's mails go.
type address struct {
	Codes bool      // codes to sign in with are sent there
	Used  time.Time // when one of them last was
}

func (x *exchange) refusalOf(err error) refusal {
	invalid := (*auth.Invalid)(nil)
	if errors.As(err, &invalid) {
		return refusal{true, x.invalid(invalid)}
	}
	return refusal{err == nil, ""}
}

func getSecurity(x *exchange) error {
	pg, body, err := x.securityPage()
	if err != nil {
		return err
	}
	query := x.r.URL.Query()
	if query.Has("lost") {
		pg.Notice = x.t("security.lost")
	} else if done := query.Get("done"); done != "" {
		pg.Notice, pg.Done = x.t("security.done."+done), true
		body.Fresh = done == string(auth.ChangeReplace) && body.Codes.New == refusal{Offered: true}
	}
	return x.render(pg)
}

// securityPage shows the account of whoever is signed in; ErrNoSession if nobody is.
func (x *exchange) securityPage() (*page, *overview, error) {
	if x.in.Session == nil || x.in.User == nil {
		return nil, nil, auth.ErrNoSession
	}
	ctx := x.r.Context()
	account, err := x.realm.Account(ctx, x.in.Visit, x.in.User.ID)
	if err != nil {
		return nil, nil, err
	}
	site, err := x.siteID()
	if err != nil {
		return nil, nil, err
	}
	pg := x.newPage("security", "security")
	u := &account.User
	body := &overview{User: person{u.Name, u.DisplayName, u.Email, u.EmailConfirmed, x.list(u.Groups)}, On: account.TwoFactor, ResetAt: account.ResetAt, Off: x.refusalOf(account.May[auth.ChangeOff])}
	pg.Body = body
	x.ways(body, &account, site)
	for _, d := range account.Duties {
		body.Duties = append(body.Duties, x.duty(d, body.Add))
	}
	if body.Sessions, err = x.sessions(ctx); err != nil {
		return nil, nil, err
	}
	body.Others = len(body.Sessions) - 1
	if body.Tokens, err = x.tokens(ctx); err != nil {
		return nil, nil, err
	}
	if body.Links, err = x.guestLinks(); err != nil {
		return nil, nil, err
	}
	body.Token = tokenForm{Days: strconv.Itoa(auth.DefaultDays), Hosts: x.in.Visit.Host}
	body.NoToken = x.refusalOf(auth.RoomForToken(len(body.Tokens))).Why
	if body.Activity, err = x.activity(ctx, recentEvents); err != nil {
		return nil, nil, err
	}
	if site != "" {
		body.Signals = accepted(u, account.Credentials, site)
	}
	return pg, body, nil
}

// ways fills in what the person signs in with.
func (x *exchange) ways(body *overview, account *auth.Account, site string) {
	body.Codes.New, body.Codes.View = x.refusalOf(account.May[auth.ChangeCodes]), account.May[auth.ChangeViewCodes] == nil
	creds := account.Credentials
	sort.SliceStable(creds, func(i, j int) bool { return creds[i].Created.Before(creds[j].Created) })
	for _, c := range creds {
		switch c.Method {
		case auth.MethodPassword:
			body.Password = c.Created
		case auth.MethodRecovery:
			left := account.RecoveryLeft
			body.Codes.State, body.Codes.Made = x.count("security.left", left, method.RecoveryCodes), c.Created
			if why := x.dead(account, &c); why != "" {
				left, body.Codes.State, body.Codes.Dead = 0, why, true
			}
			body.Codes.Works, body.Codes.Warn = left > 0, left <= fewCodes
		case auth.MethodEmail: // it is changed with the address
			body.Address.Codes, body.Address.Used = slices.Contains(account.First, c.Method), c.Used
		default:
			e := x.enrolled(c, site)
			e.Dead, e.Kept = x.dead(account, &c), x.invalid(account.Kept[c.ID])
			body.Ways = append(body.Ways, e)
		}
	}
	for i, m := range account.First {
		body.Firsts = append(body.Firsts, choice{m, x.t("method." + m), m == account.User.Preferred})
		body.Keys = body.Keys || m == auth.MethodWebAuthn
		if i == 0 {
			body.First = x.t("method." + m)
		}
	}
	body.Add = withPage("enroll_", x.realm.Addable(x.in.Visit)...) // an address has its own form
	sortMethods(body.Add)
}

// dead is why a credential signs nobody in, in words for a tag; "" if it does.
func (x *exchange) dead(account *auth.Account, c *auth.Credential) string {
	switch {
	case c.Disabled:
		return x.t("security.suspended")
	case slices.Contains(account.SwitchedOff, c.Method):
		return x.t("security.switchedoff")
	}
	return ""
}

// duty describes a policy to somebody who can set up the methods addable.
func (x *exchange) duty(d auth.Duty, addable []string) duty {
	now := x.now()
	asks := x.t("security.duty.any")
	if len(d.Methods) > 0 {
		asks = x.either(d.Methods)
	}
	var add []string
	for _, m := range addable {
		if d.Counts(m) {
			add = append(add, m)
		}
	}
	return duty{d.Name, asks, d.Met, d.Overdue(now), !d.Met && now.Before(d.Due), d.Due, add}
}

// either names methods of which one is enough.
func (x *exchange) either(methods []string) string {
	return x.said().Either(x.named(methods))
}
