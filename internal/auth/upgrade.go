package auth

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/caddy-mfa/caddy-mfa/storage"
)

// Upgrader is an Enroller that can set up a credential without asking the person, right after a sign-in: WebAuthn's conditional
// create.
type Upgrader interface {
	Enroller
	// Wants reports whether somebody with these credentials should get one.
	Wants(existing []Credential) bool
	BeginUpgrade(now time.Time, u User, existing []Credential) (Challenge, error)
}

func (r *Realm) upgrader(site Site) Upgrader {
	m, _ := r.at(site, MethodWebAuthn).(Upgrader)
	return m
}

// upgradable reports whether somebody who signed in with these proofs should get a passkey: they came with a password and a second
// method, and have no passkey here, but room for one.
func (r *Realm) upgradable(site Site, proofs []Proof, creds []held) bool {
	m := r.upgrader(site)
	if m == nil || room(creds) != nil || !m.Wants(usable(creds, MethodWebAuthn)) {
		return false
	}
	var k Kind
	for _, p := range proofs {
		if !p.Enrolled && p.Method != MethodRecovery { // whoever lost their phone has other worries
			k |= p.Kinds
		}
	}
	return k.MultiFactor()
}

// upgrading returns the visitor's session if it is fresh enough to be given a passkey, and ErrStep if not.
func (r *Realm) upgrading(tx storage.Tx, v Visit) (*Session, *User, []held, error) {
	s, u, err := r.liveSession(tx, v)
	if err != nil {
		return nil, nil, nil, err
	}
	creds, err := r.getCreds(tx, u.ID)
	if err != nil {
		return nil, nil, nil, err
	}
	if !r.upgradable(v.site(), recent(r.now(), s.Proofs), creds) {
		return nil, nil, nil, ErrStep
	}
	return s, u, creds, nil
}

// UpgradeAsk prepares a passkey for somebody who has just signed in with a password and a second method. It writes nothing.
// ErrStep where there is nothing to offer.
func (r *Realm) UpgradeAsk(ctx context.Context, v Visit) (*Ask, error) {
	var u *User
	var creds []held
	err := r.store.View(ctx, func(tx storage.Tx) (err error) {
		_, u, creds, err = r.upgrading(tx, v)
		return err
	})
	if err != nil {
		return nil, err
	}
	ch, err := r.upgrader(v.site()).BeginUpgrade(r.now(), *u, usable(creds, MethodWebAuthn))
	if err != nil {
		return nil, fmt.Errorf("preparing a passkey: %w", err)
	}
	return r.sealAsk(v, askUpgrade, r.openCookie(CookieSession, v.Session), MethodWebAuthn, ch)
}

// Upgrade stores the passkey that the browser made.
func (r *Realm) Upgrade(ctx context.Context, v Visit, answer []byte, sealed string) error {
	m := r.upgrader(v.site())
	if m == nil {
		return ErrStep
	}
	ch, spent, err := r.openAsk(v, askUpgrade, r.openCookie(CookieSession, v.Session), MethodWebAuthn, sealed)
	if err != nil {
		return err
	}
	release, err := r.slotsFor(m).take(ctx)
	if err != nil {
		return err
	}
	defer release()
	var u *User
	err = r.store.Update(ctx, func(tx storage.Tx) (err error) {
		if _, u, _, err = r.upgrading(tx, v); err != nil {
			return err
		}
		return spend(tx, spent, ch.Expires)
	})
	if err != nil {
		return err
	}
	cred, err := m.FinishEnroll(r.now(), *u, ch, answer)
	if err != nil {
		return err
	}
	cred.ID, cred.Method, cred.Created = newID(), MethodWebAuthn, r.now()
	err = r.store.Update(ctx, func(tx storage.Tx) error {
		s, now, creds, err := r.upgrading(tx, v)
		if err != nil {
			return err
		}
		if now.Rev != u.Rev || now.Epoch != u.Epoch {
			return ErrStep
		}
		u = now
		cred.Label = unusedLabel(proposed(cred, v), creds)
		if _, err := r.addCred(tx, u, creds, cred); err != nil {
			return err
		}
		if err := r.notify(tx, v, u, notice{at: cred.Created, kind: mailNotice, write: methodAdded(cred)}); err != nil {
			return err
		}
		return r.audit(tx, Event{Name: EventEnrolled, UserID: u.ID, User: u.Name, Actor: "browser", Method: MethodWebAuthn, Label: cred.Label, Session: s.ID, Addr: v.Addr.String()})
	})
	if err == nil {
		r.cache.invalidateUser(u.ID)
		r.wakeMail()
		r.log.Info("method added", "user", u.Name, "method", MethodWebAuthn, "client", v.Addr, "automatic", true)
	}
	return err
}

// proposed is the name of a credential that the person gave none: what the method says, or else the machine that it is in.
func proposed(c Credential, v Visit) string {
	if c.Label != "" {
		return c.Label
	}
	return machine(v.Lang, v)
}

// unusedLabel adds a number to a proposed name that the person has given already.
func unusedLabel(label string, creds []held) string {
	taken := func(l string) bool { return slices.ContainsFunc(creds, func(c held) bool { return c.Label == l }) }
	if label == "" || !taken(label) {
		return label
	}
	for n := 2; ; n++ {
		if l := fmt.Sprintf("%s (%d)", label, n); !taken(l) {
			return l
		}
	}
}
