package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

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
		if p.Step != StepRecovery || f.Change.Views() {
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

// ConfirmRecoveryCodes makes the pending set live; a set that was there before dies (S34). Of a flow in which somebody sees their codes
// again it is the end.
func (r *Realm) ConfirmRecoveryCodes(ctx context.Context, v Visit) (out Outcome, err error) {
	set := r.codes()
	if set == nil {
		return Outcome{}, ErrStep
	}
	if out, err := r.endView(ctx, v); !errors.Is(err, errNoView) {
		return out, err
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

// errNoView means that a flow is about something else than seeing codes again.
var errNoView = errors.New("auth: not about seeing codes")

// Views reports whether c is for somebody who wants to see their codes again. No change is not.
func (c *Change) Views() bool { return c != nil && c.Op == ChangeViewCodes }

// viewable are the unused codes of the set with the given ID, none where they cannot be seen: by the configuration, because they are
// stored as hashes, or because the set is gone or suspended.
func (r *Realm) viewable(id string, creds []held) []string {
	set, ok := r.codes().(Viewable)
	if !ok || !set.KeepsCodes() {
		return nil
	}
	have := usable(creds, MethodRecovery)
	if i := slices.IndexFunc(have, func(c Credential) bool { return c.ID == id }); i >= 0 {
		return set.Codes(have[i])
	}
	return nil
}

// mayViewCodes returns why somebody cannot see their codes again, or nil.
func (r *Realm) mayViewCodes(creds []held) error {
	have := usable(creds, MethodRecovery)
	if set, ok := r.codes().(Viewable); !ok || !set.KeepsCodes() {
		return NewInvalid("", "invalid.codes.hidden", "Recovery codes are not shown again here. If you have lost yours, make new ones.")
	} else if len(have) == 0 {
		return NewInvalid("", "invalid.codes.none", "You have no recovery codes.")
	} else if set.Left(have[0]) == 0 {
		return NewInvalid("", "invalid.codes.used", "All of your recovery codes are used. Make new ones.")
	}
	if len(r.viewable(have[0].ID, creds)) == 0 {
		return NewInvalid("", "invalid.codes.old", "Your codes were made before codes could be shown again. Make new ones to be able to see them.")
	}
	return nil
}

// tellViewed notes that somebody is about to see their codes again, and tells the owner, in the transaction that opens the page. A
// notice that is answered with "This wasn't me" then suspends the set.
func (r *Realm) tellViewed(tx storage.Tx, now time.Time, v Visit, f *flow, u *User) error {
	f.Change.Told = true
	if err := amend(tx, u, f.Change.Credential, func(c *Credential) { c.Shown = now }); err != nil {
		return err
	}
	if err := r.notify(tx, v, u, notice{at: now, kind: mailNotice, write: codesViewed}); err != nil {
		return err
	}
	return r.audit(tx, Event{Name: EventRecoverySeen, UserID: u.ID, User: u.Name, Addr: v.Addr.String()})
}

// endView ends the flow of somebody who has seen their codes, also when the proofs have grown old meanwhile. errNoView where the flow
// is about something else.
func (r *Realm) endView(ctx context.Context, v Visit) (out Outcome, err error) {
	var user string
	err = r.store.Update(ctx, func(tx storage.Tx) error {
		f, u, creds, err := r.getFlow(tx, v)
		if err != nil {
			return err
		}
		if !f.Change.Views() {
			return errNoView
		}
		if !f.Change.Told {
			return ErrStep
		}
		user, f.Change.Done = u.ID, true
		out, err = r.advance(tx, v, f, u, creds)
		return err
	})
	if err == nil {
		r.cache.invalidateUser(user)
		r.ended(v, out)
	}
	return out, err
}
