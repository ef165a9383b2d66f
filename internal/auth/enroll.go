package auth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/caddy-mfa/caddy-mfa/storage"
)

// Progress says what the visitor's flow asks now. It writes nothing.
func (r *Realm) Progress(ctx context.Context, v Visit) (p Progress, err error) {
	err = r.store.View(ctx, func(tx storage.Tx) error {
		f, u, creds, err := r.getFlow(tx, v)
		if err != nil {
			return err
		}
		p = r.next(r.now(), v.site(), f, u, creds)
		return nil
	})
	return p, err
}

// enrolling reads the flow and checks that it may set up the method now.
func (r *Realm) enrolling(tx storage.Tx, v Visit, method string) (*flow, *User, []held, error) {
	f, u, creds, err := r.getFlow(tx, v)
	if err != nil {
		return nil, nil, nil, err
	}
	if !slices.Contains(r.next(r.now(), v.site(), f, u, creds).Enrollable, method) {
		return nil, nil, nil, ErrStep
	}
	return f, u, creds, nil
}

// enroller is the method to set up, nil where that cannot be done. An address can be confirmed also where mail is no method.
func (r *Realm) enroller(site Site, method string) Enroller {
	if method == MethodEmail {
		if r.mail == nil { // since a reload
			return nil
		}
		return r.mail.Codes
	}
	m, _ := r.at(site, method).(Enroller)
	return m
}

// BeginEnroll prepares the set-up of a method in the flow in progress, in place of any that was begun before.
func (r *Realm) BeginEnroll(ctx context.Context, v Visit, method string) (Outcome, error) {
	m := r.enroller(v.site(), method)
	if _, mailed := m.(Mailed); m == nil || mailed { // SendCode begins those
		return Outcome{}, ErrStep
	}
	release, err := r.slotsFor(m).take(ctx)
	if err != nil {
		return Outcome{}, err
	}
	defer release()
	var u *User
	var creds []held
	err = r.store.View(ctx, func(tx storage.Tx) error {
		_, u, creds, err = r.enrolling(tx, v, method)
		return err
	})
	if err != nil {
		return Outcome{}, err
	}
	ch, err := m.BeginEnroll(r.now(), *u, usable(creds, method))
	if err != nil {
		return Outcome{}, fmt.Errorf("preparing the set-up of %s: %w", method, err)
	}
	ch.Method = method
	var out Outcome
	err = r.store.Update(ctx, func(tx storage.Tx) error {
		f, u, creds, err := r.enrolling(tx, v, method)
		if err != nil {
			return err
		}
		if err := r.dropCode(tx, f); err != nil {
			return err
		}
		f.secrets.Challenge = &ch
		out = r.next(r.now(), v.site(), f, u, creds).Outcome
		return r.putFlow(tx, f)
	})
	return out, err
}

// FinishEnroll takes the answer that shows that the person holds the new credential. The credential counts as the second kind of
// this very flow; it is a proof for no rule (see Proof.Enrolled).
func (r *Realm) FinishEnroll(ctx context.Context, v Visit, method, label string, answer []byte) (Outcome, error) {
	m := r.enroller(v.site(), method)
	if m == nil {
		return Outcome{}, ErrStep
	}
	label, err := cleanLabel(label)
	if err != nil {
		return Outcome{}, err
	}
	if err := r.addressesFor(m).check(r.now(), v.Addr); err != nil {
		return Outcome{}, err
	}
	release, err := r.slotsFor(m).take(ctx)
	if err != nil {
		return Outcome{}, err
	}
	defer release()
	refund, err := r.addressesFor(m).take(r.now(), v.Addr)
	if err != nil {
		return Outcome{}, err
	}
	u, rev, ch, err := r.takeEnrolment(ctx, v, method)
	if err != nil {
		refund()
		return Outcome{}, err
	}
	cred, err := m.FinishEnroll(r.now(), *u, *ch, answer)
	if err != nil {
		if errors.Is(err, ErrRejected) {
			r.wrong(ctx, v, m, u, EventSetupFailed)
		} else {
			refund()
		}
		return Outcome{}, err
	}
	refund()
	cred.ID, cred.Method, cred.Created = newID(), method, r.now()
	var codes []string
	if set := r.codes(); set != nil {
		if codes, err = set.Generate(); err != nil {
			return Outcome{}, fmt.Errorf("making recovery codes: %w", err)
		}
	}
	var out Outcome
	err = r.store.Update(ctx, func(tx storage.Tx) error {
		f, u, creds, err := r.enrolling(tx, v, method)
		if err != nil {
			return err
		}
		held := f.secrets.Challenge
		if u.Rev != rev || ch.Reusable && (held == nil || !bytes.Equal(held.Private, ch.Private)) {
			return ErrStep // another request was quicker
		}
		if method == MethodEmail && held != nil && !bytes.Equal(held.Private, ch.Private) {
			return errNoCode // a newer one was sent meanwhile
		}
		event := Event{Name: EventEnrolled, UserID: u.ID, User: u.Name, Method: method, Addr: v.Addr.String()}
		if method == MethodEmail { // no trail holds an address
			event.Name, event.Method = EventAddressChanged, ""
			if f.Change.Same {
				event.Name = EventAddressConfirmed
			}
			creds, cred.ID, err = r.replaceAddress(tx, v, f, u, creds, cred)
		} else {
			creds, err = r.enroll(tx, v, f, u, creds, &cred, label)
			event.Label = cred.Label
		}
		if err != nil {
			return err
		}
		if err := r.dropCode(tx, f); err != nil {
			return err
		}
		if cred.ID != "" { // else it is no method
			f.Proofs = append(f.Proofs, Proof{Method: method, Kinds: Possession, Credential: cred.ID, At: r.now(), Enrolled: true})
		}
		f.secrets = flowSecrets{Codes: codes}
		if f.Change != nil {
			if creds, err = r.replaced(tx, v, f, u, creds, cred); err != nil {
				return err
			}
			f.Change.Done = true
		}
		if err := r.audit(tx, event); err != nil {
			return err
		}
		out, err = r.advance(tx, v, f, u, creds)
		return err
	})
	if err == nil {
		r.cache.invalidateUser(u.ID)
		r.ended(v, out)
		r.wakeMail()
		r.log.Info("method added", "user", u.Name, "method", method, "client", v.Addr)
	}
	return out, err
}

// enroll stores what was set up, under the name that the person gave it or a proposed one, and tells the person. Of
// one that replaces another replaced tells.
func (r *Realm) enroll(tx storage.Tx, v Visit, f *flow, u *User, creds []held, c *Credential, label string) ([]held, error) {
	if f.Change != nil && f.Change.Op == ChangeAdd { // others may have been added since it began
		if err := room(creds); err != nil {
			return nil, err
		}
	}
	if label == "" {
		label = unusedLabel(proposed(*c, v), creds)
	}
	c.Label = label
	creds, err := r.addCred(tx, u, creds, *c)
	if err != nil || f.Change != nil && f.Change.Op == ChangeReplace {
		return creds, err
	}
	return creds, r.notify(tx, v, u, notice{at: c.Created, kind: mailNotice, write: methodAdded(*c)})
}

// takeEnrolment returns the begun set-up. One that is not Reusable is spent by taking it.
func (r *Realm) takeEnrolment(ctx context.Context, v Visit, method string) (u *User, rev uint64, ch *Challenge, err error) {
	err = r.store.Update(ctx, func(tx storage.Tx) error {
		var f *flow
		if f, u, _, err = r.enrolling(tx, v, method); err != nil {
			return err
		}
		rev, ch = u.Rev, f.secrets.Challenge
		if ch == nil || ch.Method != method || !ch.Expires.IsZero() && !r.now().Before(ch.Expires) {
			if method == MethodEmail {
				return errNoCode
			}
			return ErrStep
		}
		if ch.Reusable {
			return nil
		}
		if err := r.tryOnce(tx, f); err != nil {
			return err
		}
		return r.putFlow(tx, f)
	})
	return u, rev, ch, err
}

// addCred stores a new credential and what the user's record says of it.
func (r *Realm) addCred(tx storage.Tx, u *User, creds []held, c Credential) ([]held, error) {
	if m, ok := r.method(c.Method).(Unique); ok {
		if err := claim(tx, u, &c, m); err != nil {
			return nil, err
		}
	}
	if err := r.putCred(tx, u.ID, c); err != nil {
		return nil, err
	}
	creds = append(creds, held{Credential: c})
	u.Rev++
	u.Enrolled = enrolled(creds)
	if u.HasSecond() {
		u.EnrollUntil = time.Time{} // the authority is used: removing the method later does not bring it back
	}
	// Set up again: what was counted against the old one is over.
	if err := tx.Delete(subject{id: u.ID, pool: strangers}.key(c.Method)); err != nil {
		return nil, err
	}
	return creds, putUser(tx, u)
}

// owner is the record that finds the credential of a Unique method.
type owner struct {
	User string `json:"user"`
	ID   string `json:"id"`
}

// claim makes c the one credential of its key (S45).
func claim(tx storage.Tx, u *User, c *Credential, m Unique) error {
	c.Key = m.Key(*c)
	if c.Key == "" {
		return fmt.Errorf("a new credential of %s without a key", c.Method)
	}
	if taken, err := exists(tx, keyWebAuthn(c.Key)); err != nil {
		return err
	} else if taken {
		return ErrDuplicate
	}
	return putJSON(tx, keyWebAuthn(c.Key), owner{u.ID, c.ID}, time.Time{})
}

// removeCreds deletes the credentials that gone picks. The caller stores the user.
func (r *Realm) removeCreds(tx storage.Tx, u *User, creds []held, gone func(held) bool) ([]held, error) {
	var rest []held
	for _, c := range creds {
		if !gone(c) {
			rest = append(rest, c)
			continue
		}
		if err := tx.Delete(keyCred(u.ID, c.ID)); err != nil {
			return nil, err
		}
		if c.Key != "" {
			if err := tx.Delete(keyWebAuthn(c.Key)); err != nil {
				return nil, err
			}
		}
	}
	u.Rev++
	u.Enrolled = enrolled(rest)
	return rest, nil
}

func cleanLabel(label string) (string, error) {
	label = norm.NFC.String(strings.TrimSpace(label))
	if utf8.RuneCountInString(label) > maxLabel || !utf8.ValidString(label) || strings.ContainsFunc(label, unprintable) {
		return "", NewInvalid("label", "invalid.label.long", "A name is one line of at most 64 characters.")
	}
	return label, nil
}

// enrollWindow is how long a password alone may set up a first second method, once an admin has granted it.
const enrollWindow = 72 * time.Hour
