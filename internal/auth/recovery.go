package auth

import (
	"context"
	"fmt"
	"slices"

	"github.com/caddy-mfa/caddy-mfa/storage"
)

// MakeRecoveryCodes puts a pending set into the flow. A set that is pending already stays: somebody may be writing it down.
func (r *Realm) MakeRecoveryCodes(ctx context.Context, v Visit) (out Outcome, err error) {
	set := r.codes()
	if set == nil {
		return Outcome{}, ErrStep
	}
	codes, err := set.Generate()
	if err != nil {
		return Outcome{}, fmt.Errorf("making recovery codes: %w", err)
	}
	err = r.store.Update(ctx, func(tx storage.Tx) error {
		f, u, creds, err := r.getFlow(tx, v)
		if err != nil {
			return err
		}
		p := r.next(r.now(), v.site(), f, u, creds)
		if p.Step != StepRecovery {
			return ErrStep
		}
		out = p.Outcome
		if len(f.secrets.Codes) > 0 {
			return nil
		}
		f.secrets.Codes = codes
		return r.putFlow(tx, f)
	})
	return out, err
}

// ConfirmRecoveryCodes makes the pending set live; a set that was there before dies (S34).
func (r *Realm) ConfirmRecoveryCodes(ctx context.Context, v Visit) (out Outcome, err error) {
	set := r.codes()
	if set == nil {
		return Outcome{}, ErrStep
	}
	if err := r.addresses.check(r.now(), v.Addr); err != nil {
		return Outcome{}, err
	}
	release, err := r.slotsFor(set).take(ctx)
	if err != nil {
		return Outcome{}, err
	}
	defer release()
	pending := func(tx storage.Tx) (*flow, *User, []held, error) {
		f, u, creds, err := r.getFlow(tx, v)
		if err != nil {
			return nil, nil, nil, err
		}
		if r.next(r.now(), v.site(), f, u, creds).Step != StepRecovery || len(f.secrets.Codes) == 0 {
			return nil, nil, nil, ErrStep
		}
		return f, u, creds, nil
	}
	var codes []string
	err = r.store.View(ctx, func(tx storage.Tx) error {
		f, _, _, err := pending(tx)
		if err == nil {
			codes = f.secrets.Codes
		}
		return err
	})
	if err != nil {
		return Outcome{}, err
	}
	cred, err := set.Seal(codes)
	if err != nil {
		return Outcome{}, fmt.Errorf("hashing recovery codes: %w", err)
	}
	cred.ID, cred.Method, cred.Created = newID(), MethodRecovery, r.now()
	var user string
	err = r.store.Update(ctx, func(tx storage.Tx) error {
		f, u, creds, err := pending(tx)
		if err != nil {
			return err
		}
		if !slices.Equal(f.secrets.Codes, codes) {
			return ErrStep
		}
		user, cred.Created = u.ID, r.now() // of the moment that a notice names
		had := slices.Contains(u.Enrolled, MethodRecovery)
		if creds, err = r.removeCreds(tx, u, creds, func(c held) bool { return c.Method == MethodRecovery }); err != nil {
			return err
		}
		if creds, err = r.addCred(tx, u, creds, cred); err != nil {
			return err
		}
		f.secrets.Codes = nil
		if f.Change != nil {
			f.Change.Done = true
		}
		if had || f.Change != nil { // else they are part of setting the account up
			if err := r.notify(tx, v, u, notice{at: cred.Created, kind: mailNotice, write: codesChanged}); err != nil {
				return err
			}
		}
		if err := r.audit(tx, Event{Name: EventRecoveryNew, UserID: u.ID, User: u.Name, Addr: v.Addr.String()}); err != nil {
			return err
		}
		out, err = r.advance(tx, v, f, u, creds)
		return err
	})
	if err == nil {
		r.cache.invalidateUser(user)
		r.ended(v, out)
		r.wakeMail()
	}
	return out, err
}
