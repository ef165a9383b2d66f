package loginui

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/internal/method"
)

// overview is what the Security page shows.
type overview struct {
	User    *auth.User
	Address address
	Session *auth.Session
	With    string // the methods of the session, in words
	From    string // browser and system
	Methods []enrolled
	Add     []string // methods that can be set up
	Signals string   // what the browser should know about its passkeys
	Label   string   // the name that was refused, for the credential that is Open
}

// address is where the person's mails go.
type address struct {
	Codes bool      // codes to sign in with are sent there
	Used  time.Time // when one of them last was
	Open  bool      // the form was refused
	Typed string    // in it
}

// enrolled is one way to sign in.
type enrolled struct {
	auth.Credential
	Title string   // what the person calls it, or else the method
	About []string // what else there is to say
	Left  string   // of recovery codes
	Own   bool     // the person set it up, and may rename it
	Only  bool     // there is no other to sign in with, so it stays
	Open  bool     // its form was refused
}

func getSecurity(x *exchange) error {
	pg, _, err := x.securityPage()
	if err != nil {
		return err
	}
	query := x.r.URL.Query()
	switch op := auth.ChangeOp(query.Get("done")); {
	case op == auth.ChangeAdd, op == auth.ChangeRename, op == auth.ChangeRemove, op == auth.ChangeAddress:
		pg.Notice = x.t("security.done." + string(op))
	case query.Has("lost"):
		pg.Notice = x.t("security.lost")
	}
	return x.render(pg)
}

// securityPage shows the account of whoever is signed in; ErrNoSession if nobody is.
func (x *exchange) securityPage() (*page, *overview, error) {
	if x.in.Session == nil || x.in.User == nil {
		return nil, nil, auth.ErrNoSession
	}
	account, err := x.realm.Account(x.r.Context(), x.in.User.ID)
	if err != nil {
		return nil, nil, err
	}
	site, err := x.siteID()
	if err != nil {
		return nil, nil, err
	}
	pg := x.newPage("security", "security")
	body := &overview{User: &account.User, Session: x.in.Session, From: x.machine(x.in.Session)}
	pg.Body = body
	var with []string
	for _, m := range methodsOf(x.in.Session) {
		with = append(with, x.t("method."+m))
	}
	body.With = strings.Join(with, ", ")
	slices.SortStableFunc(account.Credentials, oldestFirst)
	seconds := 0
	for _, c := range account.Credentials {
		byMail := c.Method == auth.MethodEmail && !c.Disabled
		if byMail {
			body.Address.Codes, body.Address.Used = x.realm.SignsInByMail(), c.Used
		}
		if second := c.Method != auth.MethodPassword && c.Method != auth.MethodRecovery; second && !c.Disabled && (!byMail || body.Address.Codes) {
			seconds++
		}
		if byMail {
			continue
		}
		e := x.enrolled(c, site)
		if c.Method == auth.MethodRecovery {
			e.Left = x.count("security.left", account.RecoveryLeft)
		}
		body.Methods = append(body.Methods, e)
	}
	for i, e := range body.Methods {
		body.Methods[i].Only = e.Own && !e.Disabled && seconds == 1
	}
	body.Add = withPage("enroll_", x.realm.Addable(x.in.Visit)...) // an address has its own form
	sortMethods(body.Add)
	if site != "" {
		body.Signals = accepted(&account.User, account.Credentials, site)
	}
	return pg, body, nil
}

// enrolled describes a credential on the site with the given RP ID.
func (x *exchange) enrolled(c auth.Credential, site string) enrolled {
	e := enrolled{Credential: c, Title: x.t("method." + c.Method), Own: c.Method != auth.MethodPassword && c.Method != auth.MethodRecovery}
	if c.Method == auth.MethodEmail {
		e.About, e.Own = []string{method.NewEmail().Address(c)}, false // it is changed, and by that replaced
		return e
	}
	if c.Method != auth.MethodWebAuthn {
		if e.Own && c.Label != "" && c.Label != e.Title {
			e.Title, e.About = c.Label, []string{e.Title}
		}
		return e
	}
	if c.Label != "" {
		e.Title = c.Label
	}
	key, err := method.Key(c)
	if err != nil {
		return e // the rest of the page is true
	}
	if key.Model != "" && key.Model != c.Label {
		e.About = append(e.About, key.Model)
	}
	kind := "security.key"
	switch {
	case key.Passkey && key.Synced:
		kind = "security.passkey.synced"
	case key.Passkey:
		kind = "security.passkey"
	}
	if about := x.t(kind); about != e.Title {
		e.About = append(e.About, about)
	}
	if key.RPID != site {
		e.About = append(e.About, x.t("security.elsewhere", key.RPID))
	}
	return e
}

// oldestFirst orders credentials as a person set them up; password and recovery codes, which are set up once, come last.
func oldestFirst(a, b auth.Credential) int {
	last := func(c auth.Credential) int {
		return slices.Index([]string{auth.MethodPassword, auth.MethodRecovery}, c.Method)
	}
	return cmp.Or(cmp.Compare(last(a), last(b)), a.Created.Compare(b.Created))
}

// machine is the browser and system of a session, as far as they were recognised.
func (x *exchange) machine(s *auth.Session) string {
	if s.Browser != "" && s.OS != "" {
		return x.t("browser.on", s.Browser, s.OS)
	}
	return s.Browser + s.OS
}
