package auth

import (
	"context"

	"github.com/caddy-mfa/caddy-mfa/storage"
)

// moreTimes is how often a step of a flow may be given another ten minutes, for people who need longer to read and type (WCAG 2.2, success
// criterion 2.2.1: at least ten times).
const moreTimes = 10

// MoreTime gives the step that the visitor is at another ten minutes from now. Nothing else changes: proofs age as before, and so do codes
// and challenges. ErrStep where there is no more time to be had, ErrNoFlow where there is no flow.
func (r *Realm) MoreTime(ctx context.Context, v Visit) error {
	return r.store.Update(ctx, func(tx storage.Tx) error {
		f, _, _, err := r.getFlow(tx, v)
		if err != nil {
			return err
		}
		if !f.extendable() {
			return ErrStep
		}
		f.More++
		f.End = r.now().Add(flowLife)
		return r.putFlow(tx, f)
	})
}

// extendable reports whether MoreTime would do. What is not stored ends when it said it would.
func (f *flow) extendable() bool { return f.untold == nil && f.More < moreTimes }
