package auth

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/mail"
	"github.com/caddy-mfa/caddy-mfa/storage"
)

// freshFor is how recently two kinds must have been proven before anything about signing in is changed (S58).
const freshFor = 10 * time.Minute

// maxCredentials bounds what one person can store.
const maxCredentials = 100

// ChangeOp is what a Change does.
type ChangeOp string

// The changes.
const (
	ChangeAdd    ChangeOp = "add"    // set up a further credential of Method
	ChangeRename ChangeOp = "rename" // give Credential the name Label
	ChangeRemove ChangeOp = "remove" // remove Credential, and with EndSessions every other session that it helped to open

	ChangeReplace ChangeOp = "replace" // set up a further credential of Method, with which Credential is gone

	ChangeAddress ChangeOp = "address" // make Address the person's, once a code that is mailed there came back
	ChangeConfirm ChangeOp = "confirm" // ChangeAddress, but only while Address is the person's and not confirmed; also what Outcome.Changed says of one that is Same

	// Of settings.go:

	ChangePassword   ChangeOp = "password"    // make Password the password, and end every other session
	ChangeName       ChangeOp = "name"        // make Label the display name; "" for none
	ChangePrefer     ChangeOp = "prefer"      // ask for Method first; "" for the best
	ChangeCodes      ChangeOp = "codes"       // make new recovery codes; the old ones work until the new ones are saved
	ChangeViewCodes  ChangeOp = "view_codes"  // see the unused recovery codes again
	ChangeOff        ChangeOp = "off"         // remove every second method, and sign in by codes by mail
	ChangeEndSession ChangeOp = "end_session" // end the session with the ID Session
	ChangeEndOthers  ChangeOp = "end_others"  // end every session but this one

	ChangeAddToken    ChangeOp = "add_token"    // make an access token Label with the limits Access
	ChangeRevokeToken ChangeOp = "revoke_token" // revoke the access token with the ID TokenID
	ChangeRevokeLink  ChangeOp = "revoke_link"  // revoke the guest link with the ID TokenID

	ChangeProve ChangeOp = "prove" // nothing but prove what a rule asks for, of stepup.go
)

// Change is something about signing in that a person who is signed in changes. It needs two kinds proven within the last ten
// minutes; where they are missing the flow asks for them first, and then goes on with the very change that was begun.
type Change struct {
	Op          ChangeOp `json:"op"`
	Method      string   `json:"method,omitempty"`
	Credential  string   `json:"credential,omitempty"`
	Label       string   `json:"label,omitempty"`
	EndSessions bool     `json:"end_sessions,omitempty"`
	Address     string   `json:"address,omitempty"`
	Same        bool     `json:"same,omitempty"` // Address is the person's already; see compare
	Session     string   `json:"session,omitempty"`
	Password    string   `json:"-"`              // what is stored is its hash, sealed
	Name        string   `json:"name,omitempty"` // what Credential is called when the change begins, for pages; set by Realm.Change
	Done        bool     `json:"done,omitempty"` // the credential of ChangeAdd is there
	Told        bool     `json:"told,omitempty"` // with ChangeViewCodes: the codes are on the page, and their owner was told
	// With ChangeProve: what a rule asks for beyond a session.
	Methods []string      `json:"methods,omitempty"`
	MaxAge  time.Duration `json:"max_age,omitempty"`

	Access  *NewAccessToken `json:"access,omitempty"`
	TokenID string          `json:"token_id,omitempty"`
}

// ErrNoCredential means that the person has no such credential that could be changed.
var ErrNoCredential = errors.New("auth: no such credential")

// compare decides Same by what the user's address is now: others may have changed it since the change began. What is Done stays as it was.
func (c *Change) compare(u *User) {
	if !c.Done {
		c.Same = c.Op == ChangeAddress && sameAddress(c.Address, u.Email)
	}
}

// recent are the proofs that count for a change.
func recent(now time.Time, proofs []Proof) []Proof {
	var out []Proof
	for _, p := range proofs {
		if !p.Enrolled && now.Sub(p.At) <= freshFor {
			out = append(out, p)
		}
	}
	return out
}

// liveSession reads the session of the visitor's cookie, and its user. ErrNoSession if it does not count, or was handed over: what people
// change, they change where they signed in.
func (r *Realm) liveSession(tx storage.Tx, v Visit) (*Session, *User, error) {
	token := r.openCookie(CookieSession, v.Session)
	if token == "" {
		return nil, nil, ErrNoSession
	}
	s := new(Session)
	err := getJSON(tx, keySession(hashToken(token)), s)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, nil, ErrNoSession
	}
	if err != nil {
		return nil, nil, err
	}
	u, err := getUser(tx, s.UserID)
	if err != nil {
		return nil, nil, err
	}
	now := r.now()
	if cached := r.cache.get(s.Token); cached != nil {
		s.Seen, s.IdleEnd = cached.session.Load().Seen, cached.session.Load().IdleEnd // later than was noted
	}
	if s.Host != v.Host || s.Parent != "" || !r.belongs(s) || !live(now, u, s) || now.Sub(s.Created) >= r.lifetime || now.Sub(s.Seen) >= r.idle {
		return nil, nil, ErrNoSession
	}
	return s, u, nil
}

// Change begins a change in the visitor's session, and makes it at once where nothing is left to prove. to is where the visitor
// goes in the end. A ChangeConfirm of what is confirmed is done, and one of what is the address no more does nothing. An *Invalid says what cannot be; ErrNoCredential also where the credential is somebody else's.
func (r *Realm) Change(ctx context.Context, v Visit, c Change, to string) (out Outcome, err error) {
	if c.Op != ChangeName {
		c.Label, err = cleanLabel(c.Label)
	} else {
		c.Label, err = cleanDisplayName(c.Label)
	}
	if err != nil {
		return out, err
	}
	if c.Op == ChangeRename && c.Label == "" {
		return out, NewInvalid("label", "invalid.label.empty", "Type a name.")
	}
	c.Done, c.Told, c.Address = false, false, strings.TrimSpace(c.Address)
	if c.Access != nil {
		if c.Access, err = c.Access.clean(); err != nil {
			return out, err
		}
	}
	confirms := c.Op == ChangeConfirm
	if confirms {
		c.Op = ChangeAddress
	}
	var user string
	err = r.store.Update(ctx, func(tx storage.Tx) error {
		s, u, err := r.liveSession(tx, v)
		if err != nil {
			return err
		}
		user = u.ID
		if c.compare(u); confirms && (!c.Same || u.EmailConfirmed) {
			out = Outcome{Step: StepDone, To: to, RecoveryLeft: -1}
			if c.Same {
				out.Changed = ChangeConfirm
			}
			return nil
		}
		if c.Same { // it keeps its spelling, and the code goes where that says
			c.Address = u.Email
		}
		creds, err := r.getCreds(tx, u.ID)
		if err != nil {
			return err
		}
		if err := r.beginnable(tx, v, c, s, u, creds); err != nil {
			return err
		}
		if _, err := r.mayChangeToken(tx, &c, u); err != nil {
			return err
		}
		if c.Op == ChangeViewCodes { // of this very set, not of one that is made meanwhile
			c.Credential = usable(creds, MethodRecovery)[0].ID
		}
		c.Name = ""
		if i := credIndex(creds, c.Credential); i >= 0 {
			c.Name = creds[i].Label
		}
		if err := r.endFlow(tx, v); err != nil { // of this browser: it was left
			return err
		}
		f := r.newFlow(v, PurposeChange, to)
		f.secrets.Password = c.Password
		f.UserID, f.Epoch, f.Session, f.Change, f.Proofs = u.ID, u.Epoch, s.Token, &c, recent(r.now(), s.Proofs)
		if c.Op == ChangeProve {
			f.Proofs = slices.Clone(s.Proofs)
		}
		// What a removed credential proved counts no more.
		f.Proofs = slices.DeleteFunc(f.Proofs, func(p Proof) bool {
			i := credIndex(creds, p.Credential)
			return i < 0 || creds[i].Disabled
		})
		out, err = r.advance(tx, v, f, u, creds)
		return err
	})
	if err != nil {
		return out, err
	}
	r.cache.invalidateUser(user)
	r.ended(v, out)
	r.wakeMail()
	return r.resume(ctx, v, out)
}

// beginnable returns why a change cannot be begun, or nil, and counts it then.
func (r *Realm) beginnable(tx storage.Tx, v Visit, c Change, s *Session, u *User, creds []held) error {
	if err := r.possible(v, c, u, creds); err != nil {
		return err
	}
	switch c.Op {
	case ChangePassword:
		if err := r.checkPassword(c.Password, u); err != nil {
			return err
		}
	case ChangeEndSession:
		if c.Session == s.ID { // which would be given a new token in the end
			return NewInvalid("", "invalid.session.own", "This is the session that you are in. Sign out to end it.")
		}
	default: // possible has said all
	}
	if c.Op != ChangeProve { // which changes nothing
		if err := countChange(tx, r.now(), keyChangesMade(u), 0); err != nil {
			return err
		}
	}
	return countChange(tx, r.now(), keyChangesBegun(u, s, c.Op), 1)
}

// resume does what has to be done outside a transaction once everything that a change needs is proven: it prepares the set-up or the
// recovery codes, hashes the new password and makes that change, or removes the sessions that a change has ended.
func (r *Realm) resume(ctx context.Context, v Visit, out Outcome) (Outcome, error) {
	r.sweepVoid(ctx, out)
	password := out.Step == StepVerify && out.Method == MethodPassword
	if !password && out.Step != StepRecovery && (out.Step != StepEnroll || out.Method != "") {
		return out, nil
	}
	i := slices.IndexFunc(out.Cookies, func(c Cookie) bool { return c.Name == CookieFlow })
	if i < 0 {
		return out, nil
	}
	v.Flow = out.Cookies[i].Value
	if password {
		return r.makePassword(ctx, v, out)
	}
	p, err := r.Progress(ctx, v)
	if err != nil || p.Change == nil {
		return out, err
	}
	var begun Outcome
	switch p.Change.Op {
	case ChangeAdd, ChangeReplace:
		begun, err = r.BeginEnroll(ctx, v, p.Change.Method)
	case ChangeCodes:
		begun, err = r.MakeRecoveryCodes(ctx, v)
	default:
		return out, nil
	}
	begun.Cookies = out.Cookies
	return begun, err
}

// Addable are the methods that a ChangeAdd can set up at the visitor's site, in order of preference.
func (r *Realm) Addable(v Visit) []string { return r.enrollable(v.site()) }

// possible returns why a change cannot be made, or nil.
func (r *Realm) possible(v Visit, c Change, u *User, creds []held) error {
	switch c.Op {
	case ChangeProve: // nextProof says what can be proven
		return nil
	case ChangeAdd:
		if !slices.Contains(r.enrollable(v.site()), c.Method) {
			return NewInvalid("method", "invalid.method.unable", "This method cannot be set up here.")
		}
		if c.Done {
			return nil
		}
		return room(creds)
	case ChangeAddress:
		if r.mail == nil {
			return ErrStep
		}
		if _, err := FoldEmail(c.Address); err != nil {
			return err
		}
		if mail.CheckAddress(c.Address) != nil {
			return NewInvalid("email", "invalid.email", "This is not an email address.")
		}
		if !c.Done && u.EmailConfirmed && sameAddress(u.Email, c.Address) {
			return NewInvalid("email", "invalid.email.same", "This is your address already.")
		}
		return nil
	case ChangeRename, ChangeRemove, ChangeReplace:
		if c.Done {
			return nil
		}
	default:
		return r.settable(c, u, creds)
	}
	i := credIndex(creds, c.Credential)
	if i < 0 || !second(creds[i].Method) || creds[i].Method == MethodEmail { // an address is changed instead
		return ErrNoCredential
	}
	switch {
	case c.Op == ChangeRename:
		return nil
	case c.Op == ChangeReplace && creds[i].Method != c.Method:
		return ErrNoCredential
	case c.Op == ChangeReplace:
		if !slices.Contains(r.enrollable(v.site()), c.Method) {
			return NewInvalid("method", "invalid.method.unable", "This method cannot be set up here.")
		}
		return nil
	}
	// Without another one there would be no second kind to sign in with. One that is disabled, of a method that is switched off, or
	// for another site is none.
	rest := slices.DeleteFunc(slices.Clone(creds), func(h held) bool { return h.ID == c.Credential })
	if names := r.broken(r.now(), u, creds, rest); len(names) > 0 {
		return NewInvalid("", "invalid.remove.required", "Your administrator requires it: {{.Policies}}. Set up another one first.", names)
	}
	for _, m := range r.methods {
		if m := r.at(v.site(), m.Name()); m != nil && second(m.Name()) && len(fitting(m, rest)) > 0 {
			switch {
			case !r.strong(creds) || r.strong(rest):
				return nil
			case r.mayTurnOff(u, creds) != nil:
				return NewInvalid("", "invalid.remove.off", "Without this one two-factor authentication would be off. Set up another one first.")
			}
			// Mail is left: more goes by that than one method.
			return NewInvalid("", "invalid.remove.turnoff", "Without this one two-factor authentication would be off. Turn it off instead, or set up another one first.")
		}
	}
	if creds[i].Disabled || r.at(v.site(), creds[i].Method) == nil {
		return NewInvalid("", "invalid.remove.beside", "Beside it you have no second method that works here. Set up another one first.")
	}
	return NewInvalid("", "invalid.remove.only", "This is your only second method that works here. Set up another one first.")
}

// kept are the sentences of Account.Kept.
func (r *Realm) kept(v Visit, u *User, creds []held) map[string]*Invalid {
	why := map[string]*Invalid{}
	for i := range creds {
		id, invalid := creds[i].ID, (*Invalid)(nil)
		if errors.As(r.possible(v, Change{Op: ChangeRemove, Credential: id}, u, creds), &invalid) {
			why[id] = invalid
		}
	}
	return why
}

// room returns why there is none for a further credential, or nil.
func room(creds []held) error {
	if len(creds) < maxCredentials {
		return nil
	}
	return NewInvalid("", "invalid.ways.many", "You have {{.Count}} ways to sign in. Remove one first.", len(creds))
}

// second reports whether a method is one that people set up beside the password. Recovery codes are for when it is lost.
func second(method string) bool { return method != MethodPassword && method != MethodRecovery }
