package auth

import (
	"context"
	"errors"

	"github.com/caddy-mfa/caddy-mfa/storage"
)

// sweep removes what a bumped epoch has made void: the sessions, access tokens and guest links of a user that are older than epoch, and all records
// below the further prefixes. It takes batches, because a user may have more of them than one transaction holds.
func (s *State) sweep(ctx context.Context, user string, epoch uint64, prefixes ...string) error {
	lists := map[string]string{keyUserSessions(user): keySession(""), keyUserAccessTokens(user): keyAccessTokens, keyUserGuestLinks(user): keyGuestLinks}
	for _, prefix := range append(prefixes, keyUserSessions(user), keyUserAccessTokens(user), keyUserGuestLinks(user)) {
		for after, more := "", true; more; {
			err := s.store.Update(ctx, func(tx storage.Tx) error {
				var batch []storage.Entry
				for e, err := range tx.Scan(prefix, after) {
					if err != nil {
						return err
					}
					if batch = append(batch, e); len(batch) == sweepBatch {
						break
					}
				}
				for _, e := range batch {
					if err := sweepOne(tx, e, lists[prefix], epoch); err != nil {
						return err
					}
				}
				if more = len(batch) == sweepBatch; more {
					after = batch[len(batch)-1].Key
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// sweepOne removes an entry. One of a list names a record below records, with which it stays or goes.
func sweepOne(tx storage.Tx, e storage.Entry, records string, epoch uint64) error {
	if records == "" {
		return tx.Delete(e.Key)
	}
	var cur struct {
		Epoch uint64 `json:"epoch"`
	}
	err := getJSON(tx, records+string(e.Value), &cur)
	switch {
	case errors.Is(err, storage.ErrNotFound):
	case err != nil:
		return err
	case cur.Epoch >= epoch:
		return nil // begun since
	default:
		if err := tx.Delete(records + string(e.Value)); err != nil {
			return err
		}
	}
	return tx.Delete(e.Key)
}

// sweepVoid removes the sessions that a change has made void. They have ended: it is no fault if they lie there until their time is over.
func (r *Realm) sweepVoid(ctx context.Context, out Outcome) {
	if out.void == nil {
		return
	}
	if err := r.sweep(context.WithoutCancel(ctx), out.void.user, out.void.epoch); err != nil {
		r.log.Warn("removing ended sessions failed", "error", err)
	}
}
