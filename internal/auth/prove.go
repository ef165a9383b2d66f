package auth

import (
	"context"
	"errors"
	"slices"

	"github.com/caddy-mfa/caddy-mfa/storage"
)

// rereads is how often an answer is verified again because the records changed meanwhile.
const rereads = 3

// errBlocked is a right answer where nobody may sign in. Whoever knows the password may know why.
var errBlocked = NewHint(ErrRejected, "hint.blocked", "Sign-in to this account is blocked, because its owner said that somebody else was in it. Choose “Forgot password?”, or ask your administrator.")

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
	// untold is set for a password on one page that came without a code: whether it was right must not be told. to goes with it.
	untold *untold
	to     string
}

// answer is what was given to a method.
type answer struct {
	m    Method
	text []byte
}

// SignIn takes name and password, the first proof of a sign-in, and begins a flow. Unknown names cost the same time and give the
// same answer as wrong passwords (S88).
//
// Where all is asked on one page, it is SignInAtOnce without a code, and leads to the same second page whatever was wrong, with the
// same cookie. Only the right password of an account with nothing set up, which may set something up, goes on to that.
func (r *Realm) SignIn(ctx context.Context, v Visit, name, password, to string) (Outcome, error) {
	return r.signIn(ctx, v, name, to, []answer{{r.method(MethodPassword), []byte(password)}})
}

// signIn takes the password, and with it a code or none.
func (r *Realm) signIn(ctx context.Context, v Visit, name, to string, answers []answer) (Outcome, error) {
	browser := r.openCookie(CookieBrowser, v.Browser)
	var later *untold
	if r.onePage && len(answers) == 1 {
		later = r.newUntold(name)
	}
	return r.verify(ctx, v, answers, func(tx storage.Tx) (a attempt, err error) {
		a.untold, a.to = later, to
		if a.user, err = findUser(tx, name); err != nil {
			return a, err
		}
		if a.who, err = r.subjectOf(tx, a.user, name, browser); err != nil || a.user == nil {
			return a, err
		}
		if a.creds, err = r.getCreds(tx, a.user.ID); err != nil {
			return a, err
		}
		if len(answers) > 1 {
			a.creds = r.answerable(v, a.user, a.creds, answers[1].m.Name())
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
func (r *Realm) ProveAsked(ctx context.Context, v Visit, method string, text []byte, sealed string) (Outcome, error) {
	m := r.at(v.site(), method)
	if m == nil {
		return Outcome{}, ErrStep
	}
	var ch Challenge
	var spent string
	if _, asked := r.method(method).(Bound); asked {
		var err error
		if ch, spent, err = r.openAsk(v, askVerify, r.flowToken(v), method, sealed); err != nil {
			return Outcome{}, err
		}
	}
	browser := r.openCookie(CookieBrowser, v.Browser)
	out, err := r.verify(ctx, v, []answer{{m, text}}, func(tx storage.Tx) (a attempt, err error) {
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
		name := ""
		if a.flow.untold != nil {
			name, a.creds = string(a.flow.untold.Name), r.answerable(v, a.user, a.creds, method)
		}
		a.who, err = r.subjectOf(tx, a.user, name, browser)
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
// Of several answers all must be right.
func (r *Realm) verify(ctx context.Context, v Visit, answers []answer, read func(storage.Tx) (attempt, error)) (Outcome, error) {
	none, m := Outcome{RecoveryLeft: -1}, answers[0].m
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
			a, err = r.take(ctx, v, answers, read)
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
		hidden := a.flow != nil && a.flow.untold != nil
		if hidden {
			u = r.named(a.flow.untold, u)
		}
		got, begun, err := r.judge(u, a, answers)
		switch _, unique := m.(Unique); {
		case a.user == nil && unique && a.unknown && (err == nil || errors.Is(err, ErrRejected)):
			err = ErrUnknownKey
		case err == nil && (a.user == nil || u.Disabled || hidden && a.flow.Proofs == nil):
			err = ErrRejected
		case err == nil && !u.Blocked.IsZero() && a.flow.Purpose == PurposeSignIn:
			err = errBlocked
		}
		if a.untold != nil && (errors.Is(err, ErrRejected) || err == nil && !r.mayEnroll(r.now(), v.site(), a.user)) {
			right := err == nil || errors.Is(err, errBlocked)
			if a.untold.Fresh, err = fresh(a.creds, answers[0]); err != nil {
				refund()
				return none, err
			}
			return r.postpone(v, a, got[0], right)
		}
		for i := range answers {
			if err == nil {
				err = renew(answers[i], &got[i].Credential.Secret)
			}
		}
		if errors.Is(err, ErrRejected) {
			if hidden || len(answers) > 1 {
				return none, r.rejectedBoth(v, answers[len(answers)-1].m, a, begun || hidden && a.flow.Proofs != nil, err)
			}
			return none, r.rejected(ctx, v, m, a, err)
		}
		if err != nil {
			refund()
			return none, err
		}
		out, err := r.commit(ctx, v, answers, a, got, read)
		if errors.Is(err, errStale) {
			continue
		}
		if err == nil || !errors.Is(err, ErrRejected) {
			refund()
		} else if hidden {
			err = ErrRejected // whatever else it says, it would say that the password was right
		}
		if err == nil {
			if hidden {
				r.addresses.refund(a.flow.untold.At, v.Addr)
			}
			if _, confirmed := m.(Mailed); confirmed || a.flow.Change != nil || out.Step == StepDone {
				r.cache.invalidateUser(a.user.ID)
			}
			r.ended(v, out)
			r.wakeMail()
			r.log.Info("proved", "user", u.Name, "method", answers[len(answers)-1].m.Name(), "client", v.Addr, "signed_in", out.Step == StepDone)
		}
		return out, err
	}
	refund()
	return none, storage.ErrConflict
}

// judge verifies all answers, whatever became of those before, so that the time tells nothing. Without an error all are right. begun says
// that the first of several was.
func (r *Realm) judge(u User, a attempt, answers []answer) (got []Verified, begun bool, err error) {
	for i, given := range answers {
		v, wrong := given.m.Verify(r.now(), u, fitting(given.m, a.creds), a.ch, given.text)
		begun = begun || i == 0 && wrong == nil
		if wrong != nil && (err == nil || !errors.Is(wrong, ErrRejected)) {
			err = wrong
		}
		got = append(got, v)
	}
	return got, begun && len(answers) > 1, err
}

// take reads what the answer is verified against, counts the try and takes the challenge: it is spent by any answer.
func (r *Realm) take(ctx context.Context, v Visit, answers []answer, read func(storage.Tx) (attempt, error)) (a attempt, err error) {
	m := answers[0].m
	var off []string
	err = r.store.Update(ctx, func(tx storage.Tx) error {
		off = nil
		if a, err = read(tx); err != nil {
			return err
		}
		hidden := a.flow != nil && a.flow.untold != nil
		// A key costs no argon2id, and whoever knows the password must not be able to shut it out.
		if m.Name() != MethodWebAuthn && (a.flow == nil || len(a.flow.Proofs) == 0 && a.flow.Change == nil && !hidden) {
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
		if mailed && !hidden && (a.ch.Method == "" || !r.now().Before(a.ch.Expires)) {
			return errNoCode // nothing to guess, so nothing is counted
		}
		if m.Name() == MethodWebAuthn { // nobody guesses a signature: the limit for each address is enough
			return nil
		}
		for _, given := range answers {
			n, err := charge(tx, r.now(), a.who, given.m.Name())
			if err != nil {
				return err
			}
			if n == throttleOff && a.user != nil {
				off = append(off, given.m.Name())
				if err := r.shutOff(tx, v, a, given.m.Name()); err != nil {
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
	if err != nil {
		return a, err
	}
	for _, method := range off {
		r.wakeMail()
		r.log.Warn("method is off after too many wrong answers", "user", a.user.Name, "method", method, "known_browser", a.who.known, "client", v.Addr)
	}
	return a, nil
}

// shutOff notes, and tells the person, that a method takes no more answers.
func (r *Realm) shutOff(tx storage.Tx, v Visit, a attempt, method string) error {
	err := r.audit(tx, Event{Name: EventMethodShut, UserID: a.user.ID, User: a.user.Name, Method: method, Addr: v.Addr.String()})
	if err != nil || a.who.known {
		return err
	}
	return r.notify(tx, v, a.user, notice{at: r.now(), kind: mailNotice, write: throttled(method)})
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

// rejectedBoth notes a wrong answer of which nobody must learn whether the password that came with it, or before it, was right. knew says
// that it was. What is kept of that is written later, together with others, or else time would tell (S88).
func (r *Realm) rejectedBoth(v Visit, m Method, a attempt, knew bool, cause error) error {
	if knew {
		r.failed(Event{Name: EventWrongAnswer, Time: r.now(), UserID: a.user.ID, User: a.user.Name, Method: m.Name(), Addr: v.Addr.String()})
	} else {
		r.failed()
	}
	if errors.Is(cause, errBlocked) {
		return cause // all was right
	}
	return ErrRejected
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
