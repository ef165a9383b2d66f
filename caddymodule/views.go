package caddymodule

import (
	"cmp"
	"maps"
	"slices"
	"sort"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
	"github.com/caddy-mfa/caddy-mfa/internal/method"
)

// The states of an account, as lists show them.
const (
	stateDisabled   = "disabled"
	stateBlocked    = "blocked"    // "This wasn't me" was pressed
	stateInvited    = "invited"    // no password yet
	stateIncomplete = "incomplete" // a password, but no second method
	stateActive     = "active"
)

// What admins are shown, in the admin API and by --json. Field by field it is picked from the records, so that nothing secret can
// come along: no token, no hash, no method's state.
type (
	userView struct {
		Name           string    `json:"name"`
		DisplayName    string    `json:"display_name,omitempty"`
		Email          string    `json:"email,omitempty"`
		EmailConfirmed bool      `json:"email_confirmed"`
		Groups         []string  `json:"groups"`
		State          string    `json:"state"`
		Methods        []string  `json:"methods"`
		Created        time.Time `json:"created"`
		EnrollUntil    time.Time `json:"enroll_until,omitzero"`     // until then a password alone may set up the first second method; absent once there is one
		Blocked        time.Time `json:"blocked,omitzero"`          // the moment about which "This wasn't me" was pressed; absent: nobody did
		MailedPassword bool      `json:"mailed_password,omitempty"` // it was set by mail, so mail is no second method until another one signed in
	}
	invitationView struct {
		userView
		Link        string    `json:"link,omitempty"` // works once; whoever has it takes the account over
		LinkExpires time.Time `json:"link_expires,omitzero"`
		MailedTo    string    `json:"mailed_to,omitempty"` // the address that a link of its own was mailed to
	}
	resetView struct {
		userView
		ResetAt  time.Time `json:"reset_at,omitzero"`   // when it is done; absent: it was done, or taken back
		MailedTo string    `json:"mailed_to,omitempty"` // the address that it was announced to
	}
	accountView struct {
		userView
		Credentials       []credentialView `json:"credentials"`
		RecoveryCodesLeft int              `json:"recovery_codes_left"`
		Sessions          int              `json:"sessions"`
		ResetAt           time.Time        `json:"reset_at,omitzero"`    // when the reset that was announced is done
		ResetTold         bool             `json:"reset_told,omitempty"` // a mail server took the announcement; without that it is not done
		Shut              []string         `json:"shut,omitempty"`       // methods that are off, after 100 wrong answers, for browsers the account does not know
	}
	credentialView struct {
		ID       string    `json:"id"`
		Method   string    `json:"method"`
		Label    string    `json:"label,omitempty"`
		Address  string    `json:"address,omitempty"` // of the method email
		RPID     string    `json:"rp_id,omitempty"`   // of a key: the host that it was made for, the only one that it works for
		Created  time.Time `json:"created"`
		Used     time.Time `json:"used,omitzero"` // absent: never, or a password, whose use is not noted
		Disabled bool      `json:"disabled"`      // suspended, since "This wasn't me" was pressed
	}
	sessionView struct {
		ID      string    `json:"id"`
		Host    string    `json:"host"`
		Hosts   []string  `json:"hosts,omitempty"` // to which the portal handed it over; they end with it
		Methods []string  `json:"methods"`
		Created time.Time `json:"created"`
		Seen    time.Time `json:"seen"`
		IdleEnd time.Time `json:"idle_end"`
		End     time.Time `json:"end"`
		Addr    string    `json:"addr"`
		Browser string    `json:"browser,omitempty"`
		OS      string    `json:"os,omitempty"`
	}
	deletedView struct {
		Name    string `json:"name"`
		Deleted bool   `json:"deleted"`
	}
	revokedView struct {
		Name    string `json:"name"`
		Revoked int    `json:"revoked"` // how many sessions were ended, or access tokens revoked
	}
)

func viewUser(u *auth.User) userView {
	v := userView{
		Name: u.Name, DisplayName: u.DisplayName, Email: u.Email, EmailConfirmed: u.EmailConfirmed,
		Groups: slices.Clone(u.Groups), Methods: slices.Clone(u.Enrolled), State: accountState(u),
		Created: wholeSeconds(u.Created), MailedPassword: u.MailedPassword,
	}
	if !u.Blocked.IsZero() {
		v.Blocked = wholeSeconds(u.Blocked)
	}
	if !u.HasSecond() {
		v.EnrollUntil = wholeSeconds(u.EnrollUntil)
	}
	if v.Groups == nil { // [] and not null: scripts iterate over it
		v.Groups = []string{}
	}
	if v.Methods == nil {
		v.Methods = []string{}
	}
	return v
}

func accountState(u *auth.User) string {
	switch {
	case u.Disabled:
		return stateDisabled
	case !u.Blocked.IsZero():
		return stateBlocked
	case !slices.Contains(u.Enrolled, auth.MethodPassword):
		return stateInvited
	case !u.HasSecond():
		return stateIncomplete
	}
	return stateActive
}

func viewAccount(a *auth.Account) accountView {
	v := accountView{
		userView: viewUser(&a.User), Credentials: []credentialView{},
		RecoveryCodesLeft: a.RecoveryLeft, Sessions: a.Sessions, Shut: a.Shut, ResetAt: wholeSeconds(a.ResetAt), ResetTold: a.ResetTold,
	}
	for _, c := range a.Credentials {
		view := credentialView{
			ID: c.ID, Method: c.Method, Label: c.Label, Disabled: c.Disabled,
			Created: wholeSeconds(c.Created), Used: wholeSeconds(c.Used),
		}
		switch c.Method { // a record that is damaged has nothing to show
		case auth.MethodWebAuthn:
			key, _ := method.Key(c)
			view.RPID = key.RPID
		case auth.MethodEmail:
			view.Address = method.NewEmail().Address(c)
		}
		v.Credentials = append(v.Credentials, view)
	}
	// slices.SortFunc would be compiled once more for this type, 25 KB of binary.
	sort.Slice(v.Credentials, func(i, j int) bool {
		a, b := &v.Credentials[i], &v.Credentials[j]
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.Method, b.Method)) < 0
	})
	return v
}

func viewSession(s *auth.Session) sessionView {
	v := sessionView{
		ID: s.ID, Host: s.Host, Addr: s.Addr, Browser: s.Browser, OS: s.OS, Methods: []string{},
		Created: wholeSeconds(s.Created), Seen: wholeSeconds(s.Seen), IdleEnd: wholeSeconds(s.IdleEnd), End: wholeSeconds(s.End),
	}
	if len(s.Handed) > 0 {
		v.Hosts = slices.Sorted(maps.Keys(s.Handed))
	}
	for _, p := range s.Proofs {
		if !slices.Contains(v.Methods, p.Method) {
			v.Methods = append(v.Methods, p.Method)
		}
	}
	return v
}
