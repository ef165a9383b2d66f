package auth

import (
	"slices"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/mail"
	"github.com/caddy-mfa/caddy-mfa/storage"
)

// finishChange makes the change, and gives the session the proofs that were needed for it and with them a new token (S52).
func (r *Realm) finishChange(tx storage.Tx, now time.Time, v Visit, f *flow, u *User, creds []held) ([]Cookie, error) {
	s, _, err := r.liveSession(tx, v)
	if err != nil || s.Token != f.Session {
		return nil, noSession(err)
	}
	if err := r.possible(v, *f.Change, u, creds); err != nil {
		return nil, err
	}
	if f.Change.Op != ChangeProve {
		if err := countChange(tx, now, keyChangesMade(u), 1); err != nil {
			return nil, err
		}
	}
	again := slices.ContainsFunc(recent(now, f.Proofs), func(p Proof) bool { return !slices.Contains(s.Proofs, p) })
	switch f.Change.Op {
	case ChangeAdd, ChangeAddress, ChangeReplace, ChangeCodes: // FinishEnroll or ConfirmRecoveryCodes has stored it
	case ChangeViewCodes, ChangeProve: // nothing is left to do
	case ChangeRename:
		told, err := r.relabel(tx, now, v, f.Change, u)
		if err != nil {
			return nil, err
		}
		if err := r.audit(tx, Event{
			Name: EventRenamed, UserID: u.ID, User: u.Name, Method: told.Method, Label: told.Now, Before: told.Before, Session: s.ID, Addr: v.Addr.String(),
		}); err != nil {
			return nil, err
		}
	case ChangeRemove:
		i := credIndex(creds, f.Change.Credential)
		gone := creds[i].Credential
		if _, err := r.removeCreds(tx, u, creds, func(h held) bool { return h.ID == f.Change.Credential }); err != nil {
			return nil, err
		}
		if err := putUser(tx, u); err != nil {
			return nil, err
		}
		if f.Change.EndSessions {
			if err := r.endUsing(tx, s, u, f.Change.Credential); err != nil {
				return nil, err
			}
		}
		if err := r.notify(tx, v, u, notice{at: now, kind: mailNotice, write: methodRemoved(gone)}); err != nil {
			return nil, err
		}
		if err := r.audit(tx, Event{Name: EventRemoved, UserID: u.ID, User: u.Name, Method: gone.Method, Label: gone.Label, Session: s.ID, Addr: v.Addr.String()}); err != nil {
			return nil, err
		}
	default:
		if err := r.set(tx, now, v, f, s, u, creds); err != nil {
			return nil, err
		}
	}
	proofs := recent(now, f.Proofs)
	if again {
		if err := r.audit(tx, Event{Name: EventStepUp, UserID: u.ID, User: u.Name, Session: s.ID, Addr: v.Addr.String(), Methods: methodsOf(proofs)}); err != nil {
			return nil, err
		}
	} else if s.Epoch == f.Epoch {
		return nil, nil
	}
	return r.rotateSession(tx, s, proofs)
}

// amend changes what fn does and nothing else; not the secret. It reads the record by its key, for a Get promises a conflict with
// whoever writes it, which a Scan does not: a counter or a used step must not be put back.
func amend(tx storage.Tx, u *User, id string, fn func(*Credential)) error {
	var rec credRecord
	if err := getJSON(tx, keyCred(u.ID, id), &rec); err != nil {
		return err
	}
	fn(&rec.Credential)
	return putJSON(tx, keyCred(u.ID, id), rec, time.Time{})
}

// relabel changes nothing but the name, and tells of it, unless it is the same. It returns what it tells.
func (r *Realm) relabel(tx storage.Tx, now time.Time, v Visit, c *Change, u *User) (mail.Changed, error) {
	told := mail.Changed{What: mail.Renamed, Now: c.Label}
	err := amend(tx, u, c.Credential, func(cred *Credential) {
		told.Method, told.Before = cred.Method, cred.Label
		cred.Label = c.Label
	})
	if err != nil || told.Before == told.Now {
		return told, err
	}
	return told, r.tell(tx, v, u, now, mailSetting, told)
}
