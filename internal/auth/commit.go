package auth

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/caddy-mfa/caddy-mfa/storage"
)

// commit is the one transaction in which a right answer counts.
func (r *Realm) commit(ctx context.Context, v Visit, answers []answer, a attempt, got []Verified, read func(storage.Tx) (attempt, error)) (out Outcome, err error) {
	err = r.store.Update(ctx, func(tx storage.Tx) error {
		now := r.now()
		b, err := read(tx)
		if err != nil {
			return err
		}
		if b.user == nil || b.user.ID != a.user.ID || b.user.Rev != a.user.Rev || b.user.Epoch != a.user.Epoch {
			return errStale
		}
		if cur := b.flow.secrets.Challenge; a.ch.Method == MethodEmail && cur != nil && !bytes.Equal(cur.Private, a.ch.Private) {
			return errNoCode // a newer one was sent meanwhile
		}
		for i, given := range answers {
			if err := r.keep(tx, v, given.m, &a, &b, &got[i]); err != nil {
				return err
			}
		}
		f := b.flow
		if f.Proofs == nil && f.Change == nil { // the first proof: a flow of this browser that was left is over
			if !kinds(got).MultiFactor() {
				if err := errors.Join(checkUnfinished(tx, now, b.who), countUnfinished(tx, now, b.who)); err != nil {
					return err
				}
			}
			if err := r.endFlow(tx, v); err != nil {
				return err
			}
			if token := r.flowToken(v); len(answers) > 1 && token != "" { // for the second of two posts of one form
				if err := tx.Put(keySpent(hashToken(token)), nil, now.Add(untoldLife)); err != nil {
					return err
				}
			}
		}
		for i, g := range got {
			f.Proofs = append(f.Proofs, Proof{Method: answers[i].m.Name(), Kinds: g.Kinds, Credential: g.Credential.ID, At: now, UserVerified: g.UserVerified})
		}
		if f.untold != nil { // from now on a flow like any other
			if err := errors.Join(r.finish(tx, f.untold, b.who), r.renewUntold(tx, f, b.user, b.creds)); err != nil {
				return err
			}
			f.untold = nil
		}
		if err := r.establish(tx, now, f, b.user, b.creds); err != nil {
			return err
		}
		if err := r.dropCode(tx, f); err != nil {
			return err
		}
		f.secrets.Challenge = nil
		if a.ch.Method == MethodEmail {
			if err := r.dropLink(tx, a.ch); err != nil {
				return err
			}
		}
		for i, given := range answers {
			if set, ok := given.m.(CodeSet); ok {
				if err := r.usedCode(tx, v, f, b.user, set.Left(got[i].Credential)); err != nil {
					return err
				}
			}
		}
		out, err = r.advance(tx, v, f, b.user, b.creds)
		return err
	})
	return out, err
}

// keep stores the credential of a right answer as it must now be, b being a as it is read again, and clears what was counted.
func (r *Realm) keep(tx storage.Tx, v Visit, m Method, a, b *attempt, got *Verified) error {
	// A Scan promises no conflict, a Get does: of two that use one code, one must be turned back.
	pending := got.Credential.ID == pendingAddress
	if used, err := exists(tx, keyCred(b.user.ID, got.Credential.ID)); err != nil || !used && !pending {
		return errors.Join(err, errStale)
	}
	i := slices.IndexFunc(b.creds, func(c held) bool { return c.ID == got.Credential.ID })
	j := slices.IndexFunc(a.creds, func(c held) bool { return c.ID == got.Credential.ID })
	if i < 0 || j < 0 || b.creds[i].raw != a.creds[j].raw {
		return errStale
	}
	switch {
	case pending:
		var err error
		if b.creds, got.Credential.ID, err = r.confirmAddress(tx, b.user, b.creds, b.creds[i].raw); err != nil {
			return err
		}
		if err := r.audit(tx, Event{Name: EventAddressConfirmed, UserID: b.user.ID, User: b.user.Name, Addr: v.Addr.String()}); err != nil {
			return err
		}
	case !got.Credential.same(b.creds[i].Credential):
		if err := r.putCred(tx, b.user.ID, got.Credential); err != nil {
			return err
		}
		b.creds[i].Credential = got.Credential
	}
	return tx.Delete(b.who.key(m.Name()))
}

// usedCode tells that a recovery code was used, and how many are left.
func (r *Realm) usedCode(tx storage.Tx, v Visit, f *flow, u *User, left int) error {
	f.Left = &left
	if err := r.notify(tx, v, u, notice{at: r.now(), kind: mailNotice, write: codeUsed(left)}); err != nil {
		return err
	}
	return r.audit(tx, Event{Name: EventRecoveryUsed, UserID: u.ID, User: u.Name, Addr: v.Addr.String(), Count: left})
}

// kinds combines what answers showed.
func kinds(got []Verified) (k Kind) {
	for _, g := range got {
		k |= g.Kinds
	}
	return k
}

// establish makes user verification count for the keys that showed it in this flow beside the password: whoever verifies to a key
// and knows the password is the person that the key was set up for (WebAuthn Level 3, section 7.2, step 22).
func (r *Realm) establish(tx storage.Tx, now time.Time, f *flow, u *User, creds []held) error {
	m, ok := r.method(MethodWebAuthn).(Establishing)
	proofs := recent(now, f.Proofs)
	if !ok || Kinds(proofs)&Knowledge == 0 {
		return nil
	}
	for _, p := range proofs {
		i := slices.IndexFunc(creds, func(c held) bool { return c.ID == p.Credential })
		if p.Method != MethodWebAuthn || !p.UserVerified || p.Kinds&Inherence != 0 || i < 0 {
			continue
		}
		// By its key, for a Get promises a conflict: another sign-in may have moved the counter.
		var rec credRecord
		if err := getJSON(tx, keyCred(u.ID, p.Credential), &rec); err != nil {
			return err
		}
		rec.Secret = creds[i].Secret
		c, err := m.Establish(rec.Credential)
		if err != nil {
			return err
		}
		if err := r.putCred(tx, u.ID, c); err != nil {
			return err
		}
		creds[i].Credential = c
	}
	return nil
}
