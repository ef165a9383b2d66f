package auth

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/mail"
	"github.com/caddy-mfa/caddy-mfa/storage"
)

const (
	resetLife = time.Hour
	// resetRuns bounds the resets that wait to be looked up, which is done one at a time: runs for one account would get in each
	// other's way, and so many pile up that the next visitor is turned away. That would tell an account from none (S88).
	resetRuns = 1024
)

// Forgot asks for a mail with which a password can be reset. It answers the same, and as fast, for everybody: who it is for is
// looked up later (S88). *Throttled if the visitor's address asks too often, ErrBusy if too many ask at once.
func (r *Realm) Forgot(_ context.Context, v Visit, typed string) error {
	if r.mail == nil {
		return ErrStep
	}
	if _, err := r.askAddresses.take(r.now(), v.Addr); err != nil {
		return err
	}
	if len(typed) > MaxEmail {
		return nil // nobody's
	}
	return r.later(func(ctx context.Context) {
		if err := r.sendReset(ctx, v, strings.TrimSpace(typed)); err != nil && ctx.Err() == nil {
			r.log.Error("asking for a reset failed", "error", err)
		}
	})
}

// later runs fn beside the caller, after those before it, as long as the State is open. ErrBusy if too many wait already.
func (s *State) later(fn func(context.Context)) error {
	select {
	case s.resets <- struct{}{}:
	default:
		return ErrBusy
	}
	go func() {
		defer func() { <-s.resets }()
		s.resetting.Lock()
		defer s.resetting.Unlock()
		fn(s.life)
	}()
	return nil
}

// sendReset mails the reset, if there is somebody to mail it to: a user whose address was confirmed.
func (r *Realm) sendReset(ctx context.Context, v Visit, typed string) error {
	var to *User
	err := r.store.View(ctx, func(tx storage.Tx) (err error) {
		to, err = r.resettable(tx, typed)
		return err
	})
	if err != nil || to == nil {
		return err // before any write: a name that nobody has stores nothing
	}
	token := newTravelToken()
	letter := mail.Reset{
		Product: r.name, Link: r.mail.Base("") + "/reset#" + token, Hours: int(resetLife / time.Hour), Browser: machine(to.reads(v), v), Addr: addrOf(v), Lang: to.reads(v),
	}.Message()
	slow := (*Throttled)(nil)
	err = r.store.Update(ctx, func(tx storage.Tx) error {
		u, err := r.resettable(tx, typed)
		if err != nil || u == nil {
			return err
		}
		now := r.now()
		who, err := r.subjectOf(tx, u, "", r.openCookie(CookieBrowser, v.Browser))
		if err != nil {
			return err
		}
		if err := r.capMail(tx, now, u.ID, who.mails(), u.Email, mailReset); err != nil {
			return err
		}
		if err := r.issue(tx, u, PurposeReset, token, u.Email, now.Add(resetLife)); err != nil {
			return err
		}
		if err := putUser(tx, u); err != nil {
			return err
		}
		letter.To = u.Email
		if err := r.enqueue(tx, u, letter, now.Add(resetLife)); err != nil {
			return err
		}
		return r.audit(tx, Event{Name: EventResetAsked, UserID: u.ID, User: u.Name, Addr: v.Addr.String()})
	})
	switch {
	case errors.As(err, &slow):
		r.log.Warn("a reset was not mailed: there were too many", "user", to.Name, "client", v.Addr)
		return nil
	case errors.Is(err, ErrBusy):
		r.log.Warn("a reset was not mailed: too many mails wait", "user", to.Name, "client", v.Addr)
		return nil
	case err != nil:
		return err
	}
	r.wakeMail()
	return nil
}

// resettable returns nil if nobody can reset a password by what was typed.
func (r *Realm) resettable(tx storage.Tx, typed string) (*User, error) {
	u, err := findUser(tx, typed)
	if err != nil || u == nil || u.Disabled || !u.EmailConfirmed {
		return nil, err
	}
	return u, nil
}

// ResetPassword sets a new password by the token of a reset mail, which is used up. Everything that the old one opened is over. The
// flow goes on with the second method, which a reset does not replace (S85). ErrToken; an *Invalid where the password is refused.
func (r *Realm) ResetPassword(ctx context.Context, v Visit, token, password string) (out Outcome, err error) {
	if len(token) != len(newTravelToken()) {
		return out, ErrToken
	}
	if err := r.addresses.check(r.now(), v.Addr); err != nil {
		return out, err
	}
	key := keyToken(token)
	var u *User
	err = r.store.View(ctx, func(tx storage.Tx) error {
		_, u, err = r.redeemable(tx, key, PurposeReset)
		return err
	})
	if err != nil {
		return out, err
	}
	cred, err := r.hashPassword(ctx, password, r.name, u.Name, u.DisplayName, u.Email)
	if err != nil {
		return out, err
	}
	err = r.store.Update(ctx, func(tx storage.Tx) error {
		if _, u, err = r.redeemable(tx, key, PurposeReset); err != nil {
			return err
		}
		creds, err := r.getCreds(tx, u.ID)
		if err != nil {
			return err
		}
		if creds, err = r.setPassword(tx, u, creds, cred); err != nil { // deletes the token, with all others
			return err
		}
		// The mailbox was enough to get here: it is neither the second method as well, nor authority to set one up.
		u.MailedPassword, u.EnrollUntil, u.BrowsersSince = true, time.Time{}, r.now()
		if err := putUser(tx, u); err != nil {
			return err
		}
		if err := r.endFlow(tx, v); err != nil {
			return err
		}
		f := r.newFlow(v, PurposeReset, "")
		f.UserID, f.Epoch = u.ID, u.Epoch
		f.Proofs = []Proof{{Method: MethodPassword, Kinds: Knowledge, Credential: cred.ID, At: r.now(), Enrolled: true}}
		if err := r.audit(tx, Event{Name: EventPasswordReset, UserID: u.ID, User: u.Name, Addr: v.Addr.String()}); err != nil {
			return err
		}
		if err := r.notify(tx, v, u, notice{at: cred.Created, kind: mailNotice, write: passwordChanged}); err != nil {
			return err
		}
		out, err = r.advance(tx, v, f, u, creds)
		return err
	})
	if err != nil {
		return out, err
	}
	r.cache.invalidateUser(u.ID)
	r.ended(v, out)
	r.wakeMail()
	r.log.Info("password reset by mail", "user", u.Name, "client", v.Addr)
	if err := r.sweep(ctx, u.ID, u.Epoch, keyBrowsers(u.ID)); err != nil {
		r.log.Warn("removing ended sessions and known browsers failed", "error", err)
	}
	return out, nil
}
