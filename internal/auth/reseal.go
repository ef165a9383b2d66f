package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/caddy-mfa/caddy-mfa/storage"
)

// reseal seals everything with the first secret, so that an older one can be given up. The schema record comes last: what a crash
// interrupts is done again at the next start. Flows are left alone, as they live for minutes.
func (s *State) reseal(ctx context.Context, to *sealer) error {
	for _, prefix := range []string{"cred/", "key/", keyAssertionKeys, keyQueueTexts, keySchema} {
		for after, more := "", true; more; {
			err := s.store.Update(ctx, func(tx storage.Tx) error {
				var keys []string
				for e, err := range tx.Scan(prefix, after) {
					if err != nil {
						return err
					}
					if keys = append(keys, e.Key); len(keys) == 100 {
						break
					}
				}
				for _, key := range keys {
					err := resealRecord(tx, key, to)
					if errors.Is(err, ErrSecret) && prefix == keyQueueTexts {
						continue // a mail that nobody can read any more holds up nothing: the queue drops it
					}
					if err != nil {
						return err
					}
				}
				if more = len(keys) == 100; more {
					after = keys[len(keys)-1]
				}
				return nil
			})
			if err != nil {
				return fmt.Errorf("sealing with the new secret: %w", err)
			}
		}
	}
	s.log.Info("everything is sealed with the first secret now")
	return nil
}

// resealRecord changes the field "secret" of a record and nothing else.
func resealRecord(tx storage.Tx, key string, to *sealer) error {
	e, err := tx.Get(key) // so that it conflicts with whoever changes the record
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(e.Value, &fields); err != nil {
		return fmt.Errorf("decoding record %q: %w", key, err)
	}
	var sealed []byte
	if fields["secret"] == nil {
		return nil
	}
	if err := json.Unmarshal(fields["secret"], &sealed); err != nil {
		return fmt.Errorf("decoding record %q: %w", key, err)
	}
	plain, err := to.open(key, sealed)
	if err != nil {
		return err
	}
	if fields["secret"], err = json.Marshal(to.seal(key, plain)); err != nil {
		return fmt.Errorf("encoding record %q: %w", key, err)
	}
	return putJSON(tx, key, fields, e.Expires)
}

// first reports whether the first secret opens the record.
func (s *sealer) first(key string, sealed []byte) bool {
	_, err := (&sealer{s.aeads[:1]}).open(key, sealed)
	return err == nil
}

// preferring returns a sealer with the same secrets, of which the one that opens the record seals.
func (s *sealer) preferring(key string, sealed []byte) *sealer {
	for i := range s.aeads {
		if one := s.aeads[i : i+1]; (&sealer{one}).first(key, sealed) {
			return &sealer{slices.Concat(one, s.aeads[:i], s.aeads[i+1:])}
		}
	}
	return s
}

// adopt makes next the sealer of a store whose schema record is rec.
func (s *State) adopt(ctx context.Context, next *sealer, rec schema) (err error) {
	if s.bucketKey, err = next.open(keySchema, rec.Sealed); err != nil {
		return err
	}
	s.sealer.Store(next)
	if next.first(keySchema, rec.Sealed) {
		return nil
	}
	return s.reseal(ctx, next)
}
