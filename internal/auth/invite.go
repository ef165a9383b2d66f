package auth

import (
	"context"
	"errors"

	"github.com/caddy-mfa/caddy-mfa/storage"
)

// OpenInvitation begins the flow in which an invitation, or the first set-up, is accepted. The token stays valid until then.
//
// A wrong token is not counted against the address: nobody guesses 256 bits, and answers that cost so little must not fill the
// counters that people who sign in share (CVE-2026-77561).
func (r *Realm) OpenInvitation(ctx context.Context, v Visit, token, to string) (out Outcome, err error) {
	if len(token) != len(newTravelToken()) {
		r.failed()
		return out, ErrToken
	}
	key := keyToken(token)
	err = r.store.View(ctx, func(tx storage.Tx) error {
		_, _, err := r.redeemable(tx, key)
		return err
	})
	if errors.Is(err, ErrToken) {
		r.failed()
	}
	if err != nil {
		return out, err // before any write: a wrong token stores nothing
	}
	err = r.store.Update(ctx, func(tx storage.Tx) error {
		t, u, err := r.redeemable(tx, key)
		if err != nil {
			return err
		}
		if old := r.openCookie(CookieFlow, v.Flow); old != "" {
			if err := tx.Delete(keyFlow(old)); err != nil {
				return err
			}
		}
		f := r.newFlow(v, t.Purpose, to)
		f.Ticket = key
		if u != nil {
			f.UserID, f.Epoch = u.ID, u.Epoch
		}
		out, err = r.advance(tx, v, f, u, nil)
		return err
	})
	return out, err
}

// AcceptInvitation sets the password, and at the first set-up makes the user, who is an admin. The password counts as the first
// proof; methods that the user has already are asked for next. name must be the invited one or "" except at the first set-up.
func (r *Realm) AcceptInvitation(ctx context.Context, v Visit, name, password string) (out Outcome, err error) {
	var f *flow
	var u *User
	open := func(tx storage.Tx) (creds []held, err error) {
		if f, u, creds, err = r.getFlow(tx, v); err != nil {
			return nil, err
		}
		if r.next(r.now(), v.site(), f, u, creds).Step != StepPassword {
			return nil, ErrStep
		}
		_, _, err = r.redeemable(tx, f.Ticket)
		return creds, err
	}
	err = r.store.View(ctx, func(tx storage.Tx) error { _, err := open(tx); return err })
	if err != nil {
		return out, err
	}
	if err := r.addresses.check(r.now(), v.Addr); err != nil {
		return out, err
	}
	context := []string{r.name, name}
	if u != nil {
		if folded, err := FoldName(name); name != "" && (err != nil || folded != u.Name) {
			return out, &Invalid{"name", "This invitation is for " + u.Name + "."}
		}
		context = append(context, u.Name, u.DisplayName, u.Email)
	} else if name, err = FoldName(name); err != nil {
		return out, err
	}
	cred, err := r.hashPassword(ctx, password, context...)
	if err != nil {
		return out, err
	}
	handle := newHandle()
	err = r.store.Update(ctx, func(tx storage.Tx) error {
		creds, err := open(tx)
		if err != nil {
			return err
		}
		event := EventInviteUsed
		if u == nil {
			event = EventUserAdded
			u = &User{Name: name, Groups: []string{AdminGroup}}
			if err := r.createUser(tx, u, handle); err != nil {
				return err
			}
		}
		if creds, err = r.setPassword(tx, u, creds, cred); err != nil {
			return err
		}
		if err := tx.Delete(f.Ticket); err != nil {
			return err
		}
		f.Ticket, f.UserID, f.Epoch = "", u.ID, u.Epoch
		f.Proofs = []Proof{{Method: MethodPassword, Kinds: Knowledge, Credential: cred.ID, At: r.now(), Enrolled: true}}
		if err := r.audit(tx, Event{Name: event, UserID: u.ID, User: u.Name, Addr: v.Addr.String()}); err != nil {
			return err
		}
		out, err = r.advance(tx, v, f, u, creds)
		return err
	})
	if err == nil {
		r.cache.invalidateUser(u.ID)
		r.ended(v, out)
		// The browsers of whoever used the account before are strangers from here on. What is left of sessions is void all the same.
		if err := r.sweep(ctx, u.ID, u.Epoch, keyBrowsers(u.ID)); err != nil {
			r.log.Warn("removing ended sessions and known browsers failed", "error", err)
		}
		r.log.Info("password set by invitation", "user", u.Name, "client", v.Addr)
	}
	return out, err
}
