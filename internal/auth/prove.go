package auth

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/caddy-mfa/caddy-mfa/storage"
)

// rereads is how often an answer is verified again because the records changed meanwhile.
const rereads = 3

// errBlocked is a right answer where nobody may sign in. Whoever knows the password may know why.
var errBlocked = &Hint{Err: ErrRejected, Text: "Sign-in to this account is blocked, because its owner said that somebody else was in it. " +
	"Choose “Forgot password?”, or ask your administrator."}

// errStale means that the records are not those that the answer was verified against.
var errStale = errors.New("auth: records changed")

// attempt is what an answer is verified against.
type attempt struct {
	flow  *flow // nil before the first proof
	user  *User // nil for an unknown name
	creds []held
	ch    Challenge
	spent string // key under which a challenge that came with the page is noted as spent; "" without one
	// unknown says that the answer came from a key that is not registered, by the handle of a user of ours.
	unknown bool
	who     subject
}

// SignIn takes name and password, the first proof of a sign-in, and begins a flow. Unknown names cost the same time and give the
// same answer as wrong passwords (S88).
func (r *Realm) SignIn(ctx context.Context, v Visit, name, password, to string) (Outcome, error) {
	m := r.method(MethodPassword)
	browser := r.openCookie(CookieBrowser, v.Browser)
	return r.verify(ctx, v, m, []byte(password), func(tx storage.Tx) (a attempt, err error) {
		if a.user, err = findUser(tx, name); err != nil {
			return a, err
		}
		if a.who, err = r.subjectOf(tx, a.user, name, browser); err != nil || a.user == nil {
			return a, err
		}
		if a.creds, err = r.getCreds(tx, a.user.ID); err != nil {
			return a, err
		}
		a.flow = r.newFlow(v, PurposeSignIn, to)
		a.flow.UserID, a.flow.Epoch = a.user.ID, a.user.Epoch
		return a, nil
	})
}

// Prove takes the answer to a further method of the flow in progress, one that asks for nothing but an answer.
func (r *Realm) Prove(ctx context.Context, v Visit, method string, answer []byte) (Outcome, error) {
	return r.ProveAsked(ctx, v, method, answer, "")
}

// ProveAsked is Prove for a method with a challenge: sealed is that of the Ask that was answered.
func (r *Realm) ProveAsked(ctx context.Context, v Visit, method string, answer []byte, sealed string) (Outcome, error) {
	m := r.at(v.site(), method)
	if m == nil {
		return Outcome{}, ErrStep
	}
	var ch Challenge
	var spent string
	if _, asked := r.method(method).(Bound); asked {
		var err error
		if ch, spent, err = r.openAsk(v, askVerify, r.openCookie(CookieFlow, v.Flow), method, sealed); err != nil {
			return Outcome{}, err
		}
	}
	browser := r.openCookie(CookieBrowser, v.Browser)
	out, err := r.verify(ctx, v, m, answer, func(tx storage.Tx) (a attempt, err error) {
		if a.flow, a.user, a.creds, err = r.getFlow(tx, v); err != nil {
			return a, err
		}
		a.ch, a.spent = ch, spent
		p := r.next(r.now(), v.site(), a.flow, a.user, a.creds)
		if p.Step != StepVerify || p.Method != method && !slices.Contains(p.Others, method) {
			return a, ErrStep
		}
		if ch := a.flow.secrets.Challenge; ch != nil && ch.Method == method && spent == "" {
			a.ch = *ch
		}
		a.creds = r.withAddress(a.user, a.creds)
		a.who, err = r.subjectOf(tx, a.user, "", browser)
		return a, err
	})
	if err != nil {
		return out, err
	}
	return r.resume(ctx, v, out)
}

// verify carries the commit rule. The slot comes first, then the try is counted and the challenge taken, then the answer is
// verified outside any transaction, then one transaction checks that nothing it relied on has changed, stores the credential as it
// must now be, and gives the flow its proof. If something changed, everything is read and verified again, without counting again.
func (r *Realm) verify(ctx context.Context, v Visit, m Method, answer []byte, read func(storage.Tx) (attempt, error)) (Outcome, error) {
	none := Outcome{RecoveryLeft: -1}
	addresses := r.addressesFor(m)
	if err := addresses.check(r.now(), v.Addr); err != nil {
		return none, err
	}
	release, err := r.slotsFor(m).take(ctx)
	if err != nil {
		return none, err
	}
	defer release()
	refund, err := addresses.take(r.now(), v.Addr)
	if err != nil {
		return none, err
	}
	var a attempt
	for i := range rereads {
		if i == 0 {
			a, err = r.take(ctx, v, m, read)
		} else {
			a, err = r.reread(ctx, a.ch, read)
		}
		if err != nil {
			refund() // nothing was verified, so nothing was guessed, and it cost next to nothing
			return none, err
		}
		var u User
		if a.user != nil {
			u = *a.user
		}
		got, err := m.Verify(r.now(), u, fitting(m, a.creds), a.ch, answer)
		switch _, unique := m.(Unique); {
		case a.user == nil && unique && a.unknown && (err == nil || errors.Is(err, ErrRejected)):
			err = ErrUnknownKey
		case err == nil && (a.user == nil || u.Disabled):
			err = ErrRejected
		case err == nil && !u.Blocked.IsZero() && a.flow.Purpose == PurposeSignIn:
			err = errBlocked
		}
		if errors.Is(err, ErrRejected) {
			return none, r.rejected(ctx, v, m, a, err)
		}
		if err != nil {
			refund()
			return none, err
		}
		out, err := r.commit(ctx, v, m, a, got, read)
		if errors.Is(err, errStale) {
			continue
		}
		if err == nil || !errors.Is(err, ErrRejected) {
			refund()
		}
		if err == nil {
			if _, confirmed := m.(Mailed); confirmed || a.flow.Change != nil || out.Step == StepDone {
				r.cache.invalidateUser(a.user.ID)
			}
			r.ended(v, out)
			r.wakeMail()
			r.log.Info("proved", "user", u.Name, "method", m.Name(), "client", v.Addr, "signed_in", out.Step == StepDone)
		}
		return out, err
	}
	refund()
	return none, storage.ErrConflict
}

// take reads what the answer is verified against, counts the try and takes the challenge: it is spent by any answer.
func (r *Realm) take(ctx context.Context, v Visit, m Method, read func(storage.Tx) (attempt, error)) (a attempt, err error) {
	shut := false
	err = r.store.Update(ctx, func(tx storage.Tx) error {
		shut = false
		if a, err = read(tx); err != nil {
			return err
		}
		// A key costs no argon2id, and whoever knows the password must not be able to shut it out.
		if m.Name() != MethodWebAuthn && (a.flow == nil || len(a.flow.Proofs) == 0 && a.flow.Change == nil) {
			if err := checkUnfinished(tx, r.now(), a.who); err != nil {
				return err
			}
		}
		if a.spent != "" {
			if err := spend(tx, a.spent, a.ch.Expires); err != nil {
				return err
			}
		}
		_, mailed := m.(Mailed)
		if mailed && (a.ch.Method == "" || !r.now().Before(a.ch.Expires)) {
			return errNoCode // nothing to guess, so nothing is counted
		}
		if m.Name() == MethodWebAuthn { // nobody guesses a signature: the limit for each address is enough
			return nil
		}
		n, err := charge(tx, r.now(), a.who, m.Name())
		if err != nil {
			return err
		}
		if shut = n == throttleOff && a.user != nil; shut {
			if err := r.audit(tx, Event{Name: EventMethodShut, UserID: a.user.ID, User: a.user.Name, Method: m.Name(), Addr: v.Addr.String()}); err != nil {
				return err
			}
			if !a.who.known {
				if err := r.notify(tx, v, a.user, notice{at: r.now(), kind: mailNotice, write: throttled(m.Name())}); err != nil {
					return err
				}
			}
		}
		if a.ch.Method == "" {
			return nil
		}
		if err := r.tryOnce(tx, a.flow); err != nil {
			return err
		}
		return r.putFlow(tx, a.flow)
	})
	if err == nil && shut {
		r.wakeMail()
		r.log.Warn("method is off after too many wrong answers", "user", a.user.Name, "method", m.Name(), "known_browser", a.who.known, "client", v.Addr)
	}
	return a, err
}

// tryOnce takes an answer off the flow's challenge, which is gone with the last.
func (r *Realm) tryOnce(tx storage.Tx, f *flow) error {
	ch := *f.secrets.Challenge
	f.secrets.Challenge = nil
	if ch.Tries--; ch.Tries > 0 {
		f.secrets.Challenge = &ch
		return nil
	}
	if ch.Method == MethodEmail {
		return r.dropLink(tx, ch)
	}
	return nil
}

// reread reads again for an answer that was counted, and whose challenge was taken, already.
func (r *Realm) reread(ctx context.Context, ch Challenge, read func(storage.Tx) (attempt, error)) (a attempt, err error) {
	err = r.store.View(ctx, func(tx storage.Tx) error {
		a, err = read(tx)
		return err
	})
	a.ch = ch
	return a, err
}

// rejected notes a wrong answer.
func (r *Realm) rejected(ctx context.Context, v Visit, m Method, a attempt, cause error) error {
	if errors.Is(cause, ErrCounter) {
		r.wrong(ctx, v, m, a.user, EventCounter)
		return cause
	}
	if a.flow == nil || len(a.flow.Proofs) == 0 && a.flow.Change == nil {
		r.failed()
		return cause
	}
	r.wrong(ctx, v, m, a.user, EventWrongAnswer)
	return cause
}

// wrong notes the wrong answer of somebody whose name is proven.
func (r *Realm) wrong(ctx context.Context, v Visit, m Method, u *User, event string) {
	r.log.Warn("wrong answer", "event", event, "user", u.Name, "method", m.Name(), "client", v.Addr)
	err := r.store.Update(ctx, func(tx storage.Tx) error {
		return r.audit(tx, Event{Name: event, UserID: u.ID, User: u.Name, Method: m.Name(), Addr: v.Addr.String()})
	})
	if err != nil {
		r.log.Error("writing the audit trail failed", "error", err)
	}
}

// commit is the one transaction in which a right answer counts.
func (r *Realm) commit(ctx context.Context, v Visit, m Method, a attempt, got Verified, read func(storage.Tx) (attempt, error)) (out Outcome, err error) {
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
		if err := tx.Delete(b.who.key(m.Name())); err != nil {
			return err
		}
		f := b.flow
		if f.Proofs == nil && f.Change == nil { // the first proof: a flow of this browser that was left is over
			if !got.Kinds.MultiFactor() {
				if err := errors.Join(checkUnfinished(tx, now, b.who), countUnfinished(tx, now, b.who)); err != nil {
					return err
				}
			}
			if err := r.endFlow(tx, v); err != nil {
				return err
			}
		}
		f.Proofs = append(f.Proofs, Proof{Method: m.Name(), Kinds: got.Kinds, Credential: got.Credential.ID, At: now, UserVerified: got.UserVerified})
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
		if set, ok := m.(CodeSet); ok {
			left := set.Left(got.Credential)
			f.Left = &left
			if err := r.notify(tx, v, b.user, notice{at: now, kind: mailNotice, write: codeUsed(left)}); err != nil {
				return err
			}
			if err := r.audit(tx, Event{Name: EventRecoveryUsed, UserID: b.user.ID, User: b.user.Name, Addr: v.Addr.String(), Count: left}); err != nil {
				return err
			}
		}
		out, err = r.advance(tx, v, f, b.user, b.creds)
		return err
	})
	return out, err
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
