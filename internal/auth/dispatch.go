package auth

import (
	"errors"
	"slices"
	"time"

	"github.com/caddy-mfa/caddy-mfa/storage"
)

// next is the dispatcher: it alone says what a flow asks, from the stored flow, the user and the credentials. Steps never route to
// one another.
func (r *Realm) next(now time.Time, site Site, f *flow, u *User, creds []held) (p Progress) {
	p = Progress{Purpose: f.Purpose, Change: f.Change, End: f.End, More: f.extendable(), Outcome: Outcome{To: f.To, RecoveryLeft: -1}}
	if f.Left != nil {
		p.RecoveryLeft = *f.Left
	}
	if u != nil {
		p.User = *u
	}
	if f.untold != nil {
		p.End = f.untold.End
		return r.neutral(site, f, p)
	}
	creds = r.withAddress(u, creds)
	enroll := func(methods []string) {
		p.Step, p.Enrollable = StepEnroll, methods
		if ch := f.secrets.Challenge; ch != nil && slices.Contains(methods, ch.Method) {
			p.Method, p.Challenge = ch.Method, &Challenge{Method: ch.Method, Public: ch.Public, Expires: ch.Expires}
		}
	}
	proofs := f.Proofs
	if f.Change != nil {
		proofs = recent(now, proofs)
	}
	switch {
	case f.Change != nil && f.Change.Done: // but for the codes below
	case f.Change != nil && f.Change.Op == ChangeProve:
		return r.nextProof(now, site, f, u, creds, p)
	case len(proofs) == 0 && f.Change == nil && f.Purpose != PurposeSignIn:
		p.Step = StepPassword
		return p
	case len(proofs) == 0 && f.Change == nil:
		p.Step = StepStart
		return p
	case !Kinds(proofs).MultiFactor():
		ways := r.ways(now, site, u, proofs, creds)
		if slices.Contains(ways, MethodEmail) {
			p.Mail = r.codeMail(now, f, creds)
		}
		p.Elsewhere = r.elsewhere(site, creds)
		var free []string // what may be set up instead
		var asked []Duty  // who wants it
		if f.Change == nil && r.mayEnroll(now, site, u) {
			if free, asked = r.demanded(now, site, u, creds); len(free) == 0 {
				free = r.enrollable(site)
			}
		}
		begun := f.secrets.Challenge != nil && slices.Contains(free, f.secrets.Challenge.Method)
		switch {
		case len(ways) > 0 && !begun:
			p.Step, p.Method, p.Others, p.Enrollable = StepVerify, ways[0], ways[1:], free
			p.Duties, p.Policies = asked, namesOf(asked)
		case len(free) > 0:
			p.Duties, p.Policies = asked, namesOf(asked)
			enroll(free)
		default:
			p.Step = StepAskAdmin
			p.MailOnly = r.mailBarred(u) && r.codeMail(now, f, creds) != nil
			if f.Change == nil {
				p.Policies = inForce(now, r.duties(now, u, creds))
			}
		}
		return p
	case f.Change != nil && f.Change.Op == ChangeAddress:
		p.Step, p.Method, p.Enrollable = StepEnroll, MethodEmail, []string{MethodEmail}
		p.Mail = r.codeMail(now, f, creds)
		return p
	case f.Change != nil && f.Change.Op == ChangePassword && (!proved(proofs, MethodPassword) || f.secrets.Hash == nil): // S6; see awaitsHash
		p.Step, p.Method = StepVerify, MethodPassword
		return p
	case f.Change != nil && f.Change.Op == ChangeCodes:
		p.Step, p.RecoveryList = StepRecovery, f.secrets.Codes
		return p
	case f.Change.Views():
		p.Step, p.RecoveryList = StepRecovery, r.viewable(f.Change.Credential, creds)
		return p
	case f.Change != nil && (f.Change.Op == ChangeAdd || f.Change.Op == ChangeReplace):
		enroll([]string{f.Change.Method})
		return p
	}
	p.Step = StepDone
	if f.Change == nil {
		need, asked := r.demanded(now, site, u, creds)
		p.Duties, p.Policies = asked, namesOf(asked)
		switch {
		case len(need) > 0:
			enroll(need)
			return p
		case len(asked) > 0:
			p.Step = StepAskAdmin
			return p
		}
		duties := r.duties(now, u, creds)
		if owed, policy := r.owed(now, site, duties, proofs, creds); len(owed) > 0 {
			p.Step, p.Method, p.Others = StepVerify, owed[0], owed[1:]
			return p
		} else if policy != "" {
			p.Step, p.Policies, p.Elsewhere = StepAskAdmin, []string{policy}, r.elsewhere(site, creds)
			return p
		}
		for _, d := range announced(now, duties) {
			p.Policies = append(p.Policies, d.Name)
			if p.Due.IsZero() || d.Due.Before(p.Due) {
				p.Due = d.Due
			}
		}
	}
	switch {
	case r.codes() != nil && u.HasSecond() && !slices.Contains(u.Enrolled, MethodRecovery):
		p.Step, p.RecoveryList = StepRecovery, f.secrets.Codes
	default:
		p.Upgrade = f.Change == nil && r.upgradable(site, f.Proofs, creds)
	}
	return p
}

// elsewhere names the sites that keys are for, where none is for this one.
func (r *Realm) elsewhere(site Site, creds []held) (sites []string) {
	m, ok := r.at(site, MethodWebAuthn).(Fitting)
	if !ok || len(fitting(m, creds)) > 0 {
		return nil
	}
	for _, c := range usable(creds, MethodWebAuthn) {
		if where := m.Where(c); where != "" && !slices.Contains(sites, where) {
			sites = append(sites, where)
		}
	}
	return sites
}

// ways are the methods that would add a kind to the proofs, in order of preference.
func (r *Realm) ways(now time.Time, site Site, u *User, proofs []Proof, creds []held) []string {
	var out []string
	have := Kinds(proofs)
	for _, name := range r.preference() {
		if have&shows(name) != 0 || name == MethodEmail && (r.mailed() == nil || r.mailBarred(u)) {
			continue
		}
		if m := r.at(site, name); m != nil && len(fitting(m, creds)) > 0 {
			out = append(out, name)
		}
	}
	return preferred(u, wanted(now, r.duties(now, u, creds), out))
}

// preferred puts first what the person wants to be asked first.
func preferred(u *User, methods []string) []string {
	if i := slices.Index(methods, u.Preferred); i > 0 {
		methods = slices.Insert(slices.Delete(methods, i, i+1), 0, u.Preferred)
	}
	return methods
}

// order are the second methods that u has set up and that work somewhere, as they are asked.
func (r *Realm) order(u *User, creds []held) (methods []string) {
	for _, name := range r.preference() {
		if second(name) && len(usable(creds, name)) > 0 && (name != MethodEmail || r.mailed() != nil && !r.mailBarred(u)) {
			methods = append(methods, name)
		}
	}
	return preferred(u, wanted(r.now(), r.duties(r.now(), u, creds), methods))
}

// mailBarred reports whether mail is no second method, because the password came by mail too.
func (r *Realm) mailBarred(u *User) bool {
	return u.MailedPassword && (r.mail == nil || !r.mail.ResetMailOnly)
}

// preference are the names of the methods in the order in which they are asked. A key comes before the password, because it may
// be all that is needed.
func (r *Realm) preference() []string {
	var out []string
	for _, m := range r.methods {
		out = append(out, m.Name())
	}
	if i := slices.Index(out, MethodPassword); i >= 0 {
		out = slices.Delete(out, i, i+1)
		out = slices.Insert(out, slices.Index(out, MethodWebAuthn)+1, MethodPassword)
	}
	return out
}

// shows is the kind that every proof by a method has.
func shows(method string) Kind {
	if method == MethodPassword {
		return Knowledge
	}
	return Possession
}

// mayEnroll says whether a password alone is authority enough to set up a second method: only where none is enrolled, counting
// disabled ones and those of methods switched off, and only for the time that an admin granted. A password that came by mail is none:
// what an admin granted is for the person, not for whoever reads the mailbox.
func (r *Realm) mayEnroll(now time.Time, site Site, u *User) bool {
	return !u.HasSecond() && !r.mailBarred(u) && now.Before(u.EnrollUntil) && len(r.enrollable(site)) > 0
}

func (r *Realm) enrollable(site Site) []string {
	var out []string
	for _, m := range r.methods {
		if _, mailed := m.(Mailed); mailed {
			continue // an address is not set up but given, and confirmed
		}
		if _, ok := r.at(site, m.Name()).(Enroller); ok {
			out = append(out, m.Name())
		}
	}
	return out
}

// advance stores what a step changed and says what comes next. When nothing is left to ask it opens the session and deletes the
// flow. It runs inside the transaction of that step: what was consumed and what it opened are one write (S89).
func (r *Realm) advance(tx storage.Tx, v Visit, f *flow, u *User, creds []held) (Outcome, error) {
	now := r.now()
	p := r.next(now, v.site(), f, u, creds)
	out := p.Outcome
	if out.Step != StepDone {
		if p.Mail != nil && out.Method == MethodEmail && !p.Mail.Sent {
			// The page has a button for whoever gets none: the step before was taken all the same.
			err := r.sendCode(tx, now, v, f, u, r.withAddress(u, creds))
			if slow := (*Throttled)(nil); err != nil && !errors.As(err, &slow) && !errors.Is(err, ErrBusy) {
				return Outcome{}, err
			}
		}
		if f.Change.Views() && out.Step == StepRecovery && !f.Change.Told {
			if err := r.tellViewed(tx, now, v, f, u); err != nil {
				return Outcome{}, err
			}
		}
		if err := r.rotate(tx, f); err != nil {
			return Outcome{}, err
		}
		c, err := r.flowCookie(f)
		out.Cookies = []Cookie{c}
		return out, err
	}
	err := tx.Delete(keyFlow(f.token))
	if err != nil {
		return Outcome{}, err
	}
	if f.Change != nil {
		if out.Changed = f.Change.Op; f.Change.Same {
			out.Changed = ChangeConfirm
		}
		out.Cookies, err = r.finishChange(tx, now, v, f, u, creds)
		out.Issued = f.issued
		if u.Epoch != f.Epoch {
			out.void = &void{u.ID, u.Epoch}
		}
	} else {
		out.Cookies, err = r.openSession(tx, now, v, f, u)
	}
	out.Cookies = append(out.Cookies, Cookie{Name: CookieFlow})
	return out, err
}

// openSession writes the session that a finished flow has earned, ends the one that the browser had before, and makes the browser
// known.
func (r *Realm) openSession(tx storage.Tx, now time.Time, v Visit, f *flow, u *User) ([]Cookie, error) {
	if old := r.openCookie(CookieSession, v.Session); old != "" {
		s, err := deleteSession(tx, hashToken(old))
		if err != nil {
			return nil, err
		}
		if s != nil {
			if err := r.auditReplaced(tx, v, u, s); err != nil {
				return nil, err
			}
		}
	}
	if err := r.makeRoom(tx, v, u); err != nil {
		return nil, err
	}
	browserName, system := Describe(v.UserAgent)
	token := newToken()
	s := Session{
		ID: newID(), Token: hashToken(token), UserID: u.ID, Epoch: u.Epoch, Host: f.Host, Proofs: f.Proofs,
		Created: now, Seen: now, End: now.Add(r.lifetime), IdleEnd: earlier(now.Add(r.idle), now.Add(r.lifetime)),
		Addr: v.Addr.String(), Browser: browserName, OS: system,
	}
	if err := putJSON(tx, keySession(s.Token), s, s.End); err != nil {
		return nil, err
	}
	if err := tx.Put(keyUserSessions(u.ID)+s.ID, []byte(s.Token), s.End); err != nil {
		return nil, err
	}
	browser := r.openCookie(CookieBrowser, v.Browser)
	who, err := r.subjectOf(tx, u, "", browser)
	if err != nil {
		return nil, err
	}
	if err := r.settled(tx, now, v, u, who.known, f.Proofs); err != nil {
		return nil, err
	}
	if !who.known && (f.Purpose == PurposeSignIn || f.Purpose == PurposeReset) {
		if err := r.notify(tx, v, u, notice{at: now, kind: mailSignIn, write: newSignIn}); err != nil {
			return nil, err
		}
	}
	if err := tx.Delete(who.unfinished()); err != nil {
		return nil, err
	}
	if browser == "" {
		browser = newToken()
	} else if who.known {
		if err := reopen(tx, u.ID); err != nil {
			return nil, err
		}
	}
	if err := tx.Put(keyBrowser(u.ID, browser), nil, now.Add(browserLife)); err != nil {
		return nil, err
	}
	if err := r.audit(tx, Event{Name: EventSignIn, UserID: u.ID, User: u.Name, Session: s.ID, Addr: s.Addr, Methods: methodsOf(f.Proofs)}); err != nil {
		return nil, err
	}
	sessionCookie, err := r.sealCookie(CookieSession, token)
	if err != nil {
		return nil, err
	}
	browserCookie, err := r.sealCookie(CookieBrowser, browser)
	if err != nil {
		return nil, err
	}
	return []Cookie{
		{Name: CookieSession, Value: sessionCookie, MaxAge: r.lifetime},
		{Name: CookieBrowser, Value: browserCookie, MaxAge: browserLife},
	}, nil
}

// settled notes what a finished sign-in says about the account: it is its owner's again, which language it reads, and mail may be a second method
// where somebody knew the password and had something else than mail. Whoever came by passkey alone says nothing about the password.
func (r *Realm) settled(tx storage.Tx, now time.Time, v Visit, u *User, known bool, proofs []Proof) error {
	other := slices.ContainsFunc(proofs, func(p Proof) bool { return p.Method == MethodPassword }) &&
		slices.ContainsFunc(proofs, func(p Proof) bool {
			return !p.Enrolled && p.Method != MethodPassword && p.Method != MethodEmail
		})
	heard := false
	if len(r.policies) > 0 {
		creds, err := r.getCreds(tx, u.ID)
		if err != nil {
			return err
		}
		heard = u.notice(now, r.duties(now, u, creds))
	}
	// A browser that was not seen before may be an intruder's, whose language must not be that of the mails which warn of it.
	speaks := v.Lang != "" && v.Lang != u.Lang && (known || u.Lang == "")
	if speaks {
		u.Lang = v.Lang
	}
	if !heard && !speaks && u.Blocked.IsZero() && !(u.MailedPassword && other) {
		return nil
	}
	u.Blocked, u.MailedPassword = time.Time{}, u.MailedPassword && !other
	return putUser(tx, u)
}

// ended drops from the cache the session that a new one, or a new token, replaced. Call it after the commit.
func (r *Realm) ended(v Visit, out Outcome) {
	replaced := slices.ContainsFunc(out.Cookies, func(c Cookie) bool { return c.Name == CookieSession })
	if old := r.openCookie(CookieSession, v.Session); old != "" && replaced {
		r.cache.invalidateSession(hashToken(old))
	}
}

func methodsOf(proofs []Proof) []string {
	var out []string
	for _, p := range proofs {
		if !slices.Contains(out, p.Method) {
			out = append(out, p.Method)
		}
	}
	return out
}
