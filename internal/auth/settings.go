package auth

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/mail"
	"github.com/caddy-mfa/caddy-mfa/storage"
)

// checkPassword returns why a password cannot be u's, or nil. It costs no argon2id, so what cannot be is refused where it was typed.
func (r *Realm) checkPassword(password string, u *User) error {
	return r.passwords().Check(password, r.name, u.Name, u.DisplayName, u.Email)
}

// awaitsHash reports whether nothing but the hash of the new password is left. Until then the password waits in the flow, sealed: a run
// of argon2id is for whoever has proven two kinds.
func (f *flow) awaitsHash(now time.Time) bool {
	if f.Change == nil || f.Change.Op != ChangePassword || f.secrets.Password == "" {
		return false
	}
	proofs := recent(now, f.Proofs)
	return Kinds(proofs).MultiFactor() && proved(proofs, MethodPassword)
}

// makePassword hashes the new password and makes the change, where all else is proven; else it returns out. So it does where no slot
// is free: the flow then asks for the present password once more, and goes on.
func (r *Realm) makePassword(ctx context.Context, v Visit, out Outcome) (Outcome, error) {
	var f *flow
	var u *User
	err := r.store.View(ctx, func(tx storage.Tx) (err error) {
		f, u, _, err = r.getFlow(tx, v)
		return err
	})
	if err != nil || !f.awaitsHash(r.now()) {
		return out, err
	}
	cred, err := r.hashPassword(ctx, f.secrets.Password, r.name, u.Name, u.DisplayName, u.Email)
	if errors.Is(err, ErrBusy) {
		return out, nil
	}
	if err != nil {
		return out, err
	}
	var made Outcome
	err = r.store.Update(ctx, func(tx storage.Tx) error {
		f, u, creds, err := r.getFlow(tx, v)
		if err != nil {
			return err
		}
		f.secrets.Password, f.secrets.Hash = "", cred.Secret
		made, err = r.advance(tx, v, f, u, creds)
		return err
	})
	if err != nil {
		return out, err
	}
	r.cache.invalidateUser(u.ID)
	r.ended(v, made)
	r.wakeMail()
	r.sweepVoid(ctx, made)
	return made, nil
}

// proved reports whether one of the proofs is by a method.
func proved(proofs []Proof, method string) bool {
	return slices.ContainsFunc(proofs, func(p Proof) bool { return p.Method == method })
}

// settable returns why a setting cannot be changed, or nil.
func (r *Realm) settable(c Change, u *User, creds []held) error {
	switch c.Op {
	case ChangePassword, ChangeEndSession, ChangeEndOthers: // the first was checked when it was typed
		return nil
	case ChangeAddToken, ChangeRevokeToken, ChangeRevokeLink: // mayChangeToken says more
		return nil
	case ChangeName:
		_, err := cleanDisplayName(c.Label)
		return err
	case ChangePrefer:
		if c.Method == "" || second(c.Method) && len(usable(creds, c.Method)) > 0 {
			return nil
		}
		return NewInvalid("method", "invalid.method.unset", "You have not set this up.")
	case ChangeCodes:
		if r.codes() == nil {
			return ErrStep
		}
		if len(r.order(u, creds)) == 0 { // what is suspended or switched off signs nobody in: nobody lives on codes alone
			return NewInvalid("", "invalid.codes.alone", "Recovery codes stand in for a second method. Set one up first.")
		}
		return nil
	case ChangeViewCodes:
		if c.Done {
			return nil
		}
		return r.mayViewCodes(creds)
	case ChangeOff:
		return r.mayTurnOff(u, creds)
	default:
		return ErrStep
	}
}

// mayTurnOff returns why somebody must keep a second method, or nil: codes by mail have to take its place.
func (r *Realm) mayTurnOff(u *User, creds []held) error {
	rest := slices.DeleteFunc(slices.Clone(creds), turnedOff)
	names := r.broken(r.now(), u, creds, rest)
	for _, d := range r.duties(r.now(), u, creds) {
		if d.Overdue(r.now()) { // not met as it is: less will not do
			names = append(names, d.Name)
		}
	}
	if len(names) > 0 {
		return NewInvalid("", "invalid.off.required", "Your administrator demands two-factor authentication: {{.Policies}}.", names)
	}
	m := r.mailed()
	if m != nil && u.Email != "" && r.mailBarred(u) { // before the address: who confirms it could not turn it off all the same
		return NewInvalid("", "invalid.off.barred", "Your password was set by mail, so codes by mail cannot be your second method yet. Change your password first.")
	}
	if m == nil || len(fitting(m, r.withAddress(u, rest))) == 0 {
		if m != nil && u.Email != "" && !u.EmailConfirmed {
			return NewInvalid("", "invalid.off.unconfirmed", "Without a second method nobody can sign in to your account, and codes are mailed to you only once your address is confirmed. Confirm it first.")
		}
		return NewInvalid("", "invalid.off.unmailed", "Without a second method nobody can sign in to your account, and codes cannot be mailed to you.")
	}
	if len(rest) == len(creds) {
		return NewInvalid("", "invalid.off.already", "Two-factor authentication is off already.")
	}
	return nil
}

// strong reports whether a second method other than mail is set up and works: two-factor authentication is on.
func (r *Realm) strong(creds []held) bool {
	return slices.ContainsFunc(creds, func(c held) bool {
		return second(c.Method) && c.Method != MethodEmail && !c.Disabled && r.method(c.Method) != nil
	})
}

// turnedOff picks what goes when two-factor authentication is turned off: recovery codes too, which stay dead when it is turned on.
func turnedOff(c held) bool { return c.Method != MethodPassword && c.Method != MethodEmail }

// set makes a change of a setting, and tells of it.
func (r *Realm) set(tx storage.Tx, now time.Time, v Visit, f *flow, s *Session, u *User, creds []held) error {
	event := Event{UserID: u.ID, User: u.Name, Session: s.ID, Addr: v.Addr.String()}
	told, kind := mail.Changed{}, mailSetting
	var err error
	switch c := f.Change; c.Op {
	case ChangePassword:
		event.Name = EventPasswordChanged
		err = r.changePassword(tx, now, v, f, s, u, creds)
	case ChangeName:
		event.Name = EventNameChanged
		told = mail.Changed{What: mail.DisplayName, Before: u.DisplayName, Now: c.Label}
		if u.DisplayName, err = cleanDisplayName(c.Label); err == nil {
			err = putUser(tx, u)
		}
	case ChangePrefer:
		event.Name, event.Method = EventPreferred, c.Method
		told = mail.Changed{What: mail.Preferred, Before: u.Preferred, Now: c.Method}
		u.Preferred = c.Method
		err = putUser(tx, u)
	case ChangeOff:
		event.Name = EventOff
		err = r.turnOff(tx, now, v, u, creds)
	case ChangeEndSession:
		event.Name, event.Count = EventSessionEnded, 1
		err = r.endOne(tx, u, c.Session)
	case ChangeEndOthers:
		event.Name = EventSessionEnded
		event.Count, err = r.endOthers(tx, s, u)
	case ChangeAddToken:
		event.Name, event.Label, kind = EventTokenAdded, c.Label, mailNotice
		told = mail.Changed{What: mail.TokenAdded, Label: c.Label}
		err = r.addToken(tx, now, f, u)
	case ChangeRevokeToken:
		var t AccessToken
		t, err = revokeToken(tx, tokensOf(u.ID), c.TokenID)
		event.Name, event.Label = EventTokenRevoked, t.Label
		told = mail.Changed{What: mail.TokenRevoked, Label: t.Label}
	case ChangeRevokeLink:
		var t AccessToken
		t, err = revokeToken(tx, guestLinksOf(u.ID), c.TokenID)
		event.Name, event.Label = EventLinkRevoked, t.Label
	default:
		err = ErrStep
	}
	switch {
	case err != nil:
	case told.Before != told.Now || told.Label != "":
		err = r.tell(tx, v, u, now, kind, told)
	case event.Count > 0:
		err = r.notify(tx, v, u, notice{at: now, kind: mailSetting, write: sessionsEnded(event.Count)})
	}
	if err != nil {
		return err
	}
	return r.audit(tx, event)
}

// changePassword replaces the password. Every other session ends; this one goes on.
func (r *Realm) changePassword(tx storage.Tx, now time.Time, v Visit, f *flow, s *Session, u *User, creds []held) error {
	c := Credential{ID: newID(), Method: MethodPassword, Secret: f.secrets.Hash, Created: now}
	if len(c.Secret) == 0 {
		return ErrStep
	}
	if _, err := r.setPassword(tx, u, creds, c); err != nil {
		return err
	}
	u.MailedPassword = false
	s.Epoch, s.Handed = u.Epoch, nil // those are over, as the other sessions are
	for i, p := range f.Proofs {     // the one that was proven is gone, and what it proved is not
		if p.Method == MethodPassword {
			f.Proofs[i].Credential = c.ID
		}
	}
	s.Proofs = slices.DeleteFunc(s.Proofs, func(p Proof) bool { return p.Method == MethodPassword })
	if err := putUser(tx, u); err != nil {
		return err
	}
	return r.notify(tx, v, u, notice{at: now, kind: mailNotice, write: passwordChanged})
}

// turnOff removes every second method but mail. One notice tells of all.
func (r *Realm) turnOff(tx storage.Tx, now time.Time, v Visit, u *User, creds []held) error {
	if err := r.tell(tx, v, u, now, mailNotice, mail.Changed{What: mail.TurnedOff}); err != nil {
		return err
	}
	if _, err := r.removeCreds(tx, u, creds, turnedOff); err != nil {
		return err
	}
	u.Preferred = ""
	return putUser(tx, u)
}

// replaced removes what a ChangeReplace is about, now that the new one is there, and tells of both.
func (r *Realm) replaced(tx storage.Tx, v Visit, f *flow, u *User, creds []held, by Credential) ([]held, error) {
	if f.Change.Op != ChangeReplace {
		return creds, nil
	}
	i := credIndex(creds, f.Change.Credential)
	if i < 0 {
		return nil, ErrNoCredential
	}
	gone := creds[i].Credential
	f.Proofs = slices.DeleteFunc(f.Proofs, func(p Proof) bool { return p.Credential == gone.ID })
	creds, err := r.removeCreds(tx, u, creds, func(c held) bool { return c.ID == gone.ID })
	if err != nil {
		return nil, err
	}
	told := mail.Changed{What: mail.Replaced, Method: by.Method, Before: gone.Label, Now: by.Label}
	if err := r.tell(tx, v, u, by.Created, mailNotice, told); err != nil {
		return nil, err
	}
	if err := r.audit(tx, Event{Name: EventRemoved, UserID: u.ID, User: u.Name, Method: gone.Method, Label: gone.Label, Addr: v.Addr.String()}); err != nil {
		return nil, err
	}
	return creds, putUser(tx, u)
}
