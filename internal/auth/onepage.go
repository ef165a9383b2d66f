package auth

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddy-mfa/caddy-mfa/storage"
)

// Signing in on one page: name, password and code are judged together, and the answer never tells which of them was wrong. Whoever
// leaves the code out goes on to a second page, whether or not there is such an account and the password is right. What was found of
// the password travels in the cookie and is told by nothing. So nothing is stored before two kinds were proven, strangers leave no
// records, and right and wrong take the same work.

// untold is a sign-in whose password was judged, and the judgement not told. It travels in CookieFlow in place of a flow's token.
type untold struct {
	Token  []byte    `json:"token"` // what a flow's token is: challenges are bound to it, and a flow for a code by mail is stored under it
	Name   []byte    `json:"name"`  // as typed
	Seal   []byte    `json:"seal"`  // of vouch, for the right password; else random bytes, which nobody without the key tells from it
	At     time.Time `json:"at"`
	End    time.Time `json:"end"`
	Fresh  []byte    `json:"fresh"`            // freshSize bytes: see Renewing
	Mailed bool      `json:"mailed,omitempty"` // a code by mail was asked for
}

// untoldLife bounds a sign-in whose end asking for mails moves out.
const untoldLife = 3 * flowLife

// OnePage reports whether name, password and code are asked on one page.
func (r *Realm) OnePage() bool { return r.onePage }

// SignInAtOnce takes name, password, and the answer to a method that needs no challenge, on one page. They are judged together: every
// wrong answer is the same ErrRejected, takes the same work, and counts against the name's password and its method. Nothing is used
// up unless all are right. ErrStep where signing in takes two steps, or the method is none for it.
//
// A form that is sent twice is wrong the second time, for its code is used: that is ErrNoFlow, with a cookie to drop. So is whatever is
// wrong in a browser that has just signed in by the same cookie, which tells nothing of any name.
func (r *Realm) SignInAtOnce(ctx context.Context, v Visit, name, password, method, code, to string) (Outcome, error) {
	m := r.at(v.site(), method)
	if !r.onePage || m == nil || method != MethodTOTP && method != MethodRecovery {
		return Outcome{}, ErrStep
	}
	out, err := r.signIn(ctx, v, name, to, []answer{{r.method(MethodPassword), []byte(password)}, {m, []byte(code)}})
	if !errors.Is(err, ErrRejected) {
		return out, err
	}
	token, done := r.flowToken(v), false
	if token == "" {
		return out, err
	}
	if err := r.store.View(ctx, func(tx storage.Tx) (err error) {
		done, err = exists(tx, keySpent(hashToken(token)))
		return err
	}); err != nil {
		return out, err
	}
	if done {
		return Outcome{RecoveryLeft: -1, Cookies: []Cookie{{Name: CookieFlow}}}, ErrNoFlow
	}
	return out, err
}

// newUntold is what comes of a password on one page, before it is judged.
func (r *Realm) newUntold(name string) *untold {
	now := r.now()
	// A name that is too long is nobody's.
	return &untold{
		Token: []byte(newToken()), Name: []byte(name[:min(len(name), MaxEmail+1)]), Seal: []byte(newToken()), Fresh: make([]byte, freshSize),
		At: now, End: now.Add(flowLife),
	}
}

// postpone leads on to the second page. right says that a's password was.
func (r *Realm) postpone(v Visit, a attempt, got Verified, right bool) (Outcome, error) {
	p := a.untold
	if right {
		p.Seal = r.vouch(p, v.Host, a.user, got.Credential.ID)
	} else {
		r.failed()
	}
	out := r.neutral(v.site(), &flow{untold: p, To: a.to}, Progress{Outcome: Outcome{To: a.to, RecoveryLeft: -1}}).Outcome
	c, err := r.untoldCookie(v, p)
	out.Cookies = []Cookie{c}
	return out, err
}

// vouch says in a way that only we can that u's password, of that credential, was right. With a new password, or where all sessions
// were ended, it says so no more.
func (s *State) vouch(p *untold, host string, u *User, credential string) []byte {
	mac := hmac.New(sha256.New, s.bucketKey)
	fmt.Fprintf(mac, "password\x00%x\x00%s\x00%d\x00%s\x00%d\x00%s", p.Token, host, p.At.UnixNano(), u.ID, u.Epoch, credential)
	return mac.Sum(nil)
}

// vouched is the proof that p stands for, nil for a wrong password.
func (s *State) vouched(p *untold, host string, u *User, creds []held) []Proof {
	for _, c := range creds {
		if !u.Disabled && c.Method == MethodPassword && !c.Disabled && hmac.Equal(p.Seal, s.vouch(p, host, u, c.ID)) {
			return []Proof{{Method: MethodPassword, Kinds: Knowledge, Credential: c.ID, At: p.At}}
		}
	}
	return nil
}

func untoldName(host string) string { return CookieFlow + " " + host }

func (s *State) untoldCookie(v Visit, p *untold) (Cookie, error) {
	b, err := json.Marshal(p)
	if err != nil {
		return Cookie{}, fmt.Errorf("encoding a sign-in: %w", err)
	}
	name := untoldName(v.Host)
	value, err := s.keys.Load().flow[0].Encode(name, s.sealer.Load().seal(name, b))
	if err != nil {
		return Cookie{}, fmt.Errorf("sealing a sign-in: %w", err)
	}
	return Cookie{Name: CookieFlow, Value: value}, nil
}

// openUntold returns the sign-in that the visitor's cookie carries, nil if it carries none of this host.
func (s *State) openUntold(v Visit) *untold {
	if len(v.Flow) > 4096 {
		return nil
	}
	name := untoldName(v.Host)
	for _, c := range s.keys.Load().flow {
		var b []byte
		if c.Decode(name, v.Flow, &b) != nil {
			continue
		}
		p := new(untold)
		if b, err := s.sealer.Load().open(name, b); err == nil && json.Unmarshal(b, p) == nil {
			return p
		}
	}
	return nil
}

// flowToken is the token of the visitor's flow, or of what comes before it; "" without a cookie of ours.
func (s *State) flowToken(v Visit) string {
	if p := s.openUntold(v); p != nil {
		return string(p.Token)
	}
	return s.openCookie(CookieFlow, v.Flow)
}

// untoldFlow is getFlow for a sign-in that travels in its cookie. Without proofs the password was wrong; then user and credentials are
// those of whoever has the name, so that answers count against them and cost the same.
func (r *Realm) untoldFlow(tx storage.Tx, v Visit, p *untold) (*flow, *User, []held, error) {
	if !r.now().Before(p.End) {
		return nil, nil, nil, ErrNoFlow
	}
	if used, err := exists(tx, p.spent()); err != nil || used {
		return nil, nil, nil, errors.Join(err, ErrNoFlow)
	}
	f := &flow{Purpose: PurposeSignIn, Host: v.Host, To: v.To, End: p.End, token: string(p.Token), untold: p}
	mailed, err := r.readFlow(tx, f.token)
	if err == nil {
		f.secrets = mailed.secrets
		if f.To == "" { // by the link of the mail
			f.To = mailed.To
		}
	} else if !errors.Is(err, ErrNoFlow) {
		return nil, nil, nil, err
	}
	u, err := findUser(tx, string(p.Name))
	if err != nil || u == nil {
		return f, nil, nil, err
	}
	creds, err := r.getCreds(tx, u.ID)
	if f.Proofs = r.vouched(p, v.Host, u, creds); f.Proofs != nil {
		f.UserID, f.Epoch = u.ID, u.Epoch
	}
	return f, u, creds, err
}

// spent is where it is noted that a sign-in was finished.
func (p *untold) spent() string { return keySpent(hashToken(string(p.Token))) }

// finish ends what the password began: it is not used again, and its try is given back. It is noted for as long as any cookie of it
// may count: asking for a mail makes one that counts for longer.
func (r *Realm) finish(tx storage.Tx, p *untold, who subject) error {
	return errors.Join(spend(tx, p.spent(), p.At.Add(untoldLife)), tx.Delete(who.key(MethodPassword)))
}

// neutral is what a flow asks whose password is untold: the ways that the configuration has, and not those of the person.
func (r *Realm) neutral(site Site, f *flow, p Progress) Progress {
	ways := slices.DeleteFunc(r.preference(), func(name string) bool {
		return name == MethodPassword || name == MethodEmail && r.mailed() == nil || r.at(site, name) == nil
	})
	if i := slices.Index(ways, MethodTOTP); i > 0 { // whatever it is, a code was asked for
		ways = slices.Insert(slices.Delete(ways, i, i+1), 0, MethodTOTP)
	}
	p.User, p.Untold = User{Name: string(f.untold.Name)}, true
	if len(ways) == 0 {
		p.Step = StepAskAdmin
		return p
	}
	p.Step, p.Method, p.Others = StepVerify, ways[0], ways[1:]
	if slices.Contains(ways, MethodEmail) {
		p.Mail = &CodeMail{Sent: f.untold.Mailed}
	}
	return p
}

// answerable leaves out the credentials of a method that would not do for u beside the password.
func (r *Realm) answerable(v Visit, u *User, creds []held, method string) []held {
	if u == nil || slices.Contains(r.ways(r.now(), v.site(), u, []Proof{{Kinds: Knowledge}}, creds), method) {
		return creds
	}
	return slices.DeleteFunc(slices.Clone(creds), func(c held) bool { return c.Method == method })
}

// sendUntold asks for a code by mail. Whether one goes out is decided beside the answer, which is the same, and as fast, for
// everybody (S88).
func (r *Realm) sendUntold(ctx context.Context, v Visit, p *untold) (out Outcome, err error) {
	err = r.store.View(ctx, func(tx storage.Tx) error {
		f, u, creds, err := r.getFlow(tx, v)
		if err != nil {
			return err
		}
		now := r.next(r.now(), v.site(), f, u, creds)
		if out = now.Outcome; now.Mail == nil {
			return ErrStep
		}
		return nil
	})
	if err != nil {
		return out, err
	}
	if _, err := r.askAddresses.take(r.now(), v.Addr); err != nil {
		return out, err
	}
	next := *p
	next.Mailed, next.End = true, earlier(r.now().Add(flowLife), p.At.Add(untoldLife))
	c, err := r.untoldCookie(v, &next)
	if err != nil {
		return out, err
	}
	out.Method, out.Cookies = MethodEmail, []Cookie{c}
	return out, r.later(func(ctx context.Context) {
		err := r.store.Update(ctx, func(tx storage.Tx) error {
			f, u, creds, err := r.untoldFlow(tx, v, &next)
			if err != nil {
				return err
			}
			if f.Proofs == nil { // writes as much, where names that nobody has are counted
				nobody, err := r.subjectOf(tx, nil, string(p.Name), "")
				if err != nil {
					return err
				}
				return r.capMail(tx, r.now(), nobody.id, nobody.pool, "", mailCode)
			}
			creds = r.answerable(v, u, r.withAddress(u, creds), MethodEmail)
			if err := r.sendCode(tx, r.now(), v, f, u, creds); err != nil {
				return err
			}
			return r.putFlow(tx, f)
		})
		switch slow := (*Throttled)(nil); {
		case errors.Is(err, ErrStep), errors.Is(err, ErrNoFlow): // there is nobody to mail it to, or no need to any more
		case errors.As(err, &slow), errors.Is(err, ErrBusy):
			// Without the name: it is what somebody typed, which may be a password.
			r.log.Warn("a code was not mailed: there were too many mails", "client", v.Addr)
		case err != nil && ctx.Err() == nil:
			r.log.Error("mailing a code failed", "error", err)
		}
		r.wakeMail()
	})
}

// Decoying is a Method that names credentials to whoever may prove it: it makes up some that look like any others and that nobody has.
type Decoying interface {
	Method
	// Decoys are at least one, and the same for the same seed.
	Decoys(seed []byte) []Credential
}

// named is whom a challenge is for where the password is untold: pages must not show the IDs of users.
func (s *State) named(p *untold, u User) User {
	u.ID = hex.EncodeToString(s.seed("user", p)[:16])
	return u
}

// shown are the credentials that such a challenge names: where there is no account, or it has none that fits, such as nobody has.
func (s *State) shown(p *untold, m Method, creds []Credential) []Credential {
	if d, ok := m.(Decoying); ok && len(creds) == 0 {
		return d.Decoys(s.seed("key", p))
	}
	return creds
}

// seed is what there is of a name before anybody knows whether it is one. Folded names, which are keyed with the same, hold no NUL.
func (s *State) seed(what string, p *untold) []byte {
	mac := hmac.New(sha256.New, s.bucketKey)
	mac.Write([]byte(what + "\x00" + foldTyped(string(p.Name))))
	return mac.Sum(nil)
}

// foldTyped is the one spelling of what was typed as a name, also where nobody has it.
func foldTyped(typed string) string {
	folded, err := FoldName(typed)
	if err != nil {
		folded = strings.ToLower(typed)
	}
	return folded
}
