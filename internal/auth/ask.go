package auth

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/caddy-mfa/caddy-mfa/storage"
)

// Ask is a challenge that travels in the page. Nothing is stored for it until it is answered: whoever only looks at a page leaves
// no trace.
type Ask struct {
	Public []byte // for the browser
	Sealed string // comes back with the answer
}

// What an Ask is good for.
const (
	askSignIn  = "sign_in"
	askVerify  = "verify"
	askUpgrade = "upgrade"
)

// ask is the content of Ask.Sealed. Nothing of it is secret; the seal shows that we made it.
type ask struct {
	For     string    `json:"for"`
	Host    string    `json:"host"`
	Browser string    `json:"browser"` // hash of the token in the cookie that must come with the answer (S38)
	Method  string    `json:"method"`
	Private []byte    `json:"private,omitempty"`
	Expires time.Time `json:"expires"`
}

// maxAsk bounds what is opened. It holds the IDs of all keys of a user.
const maxAsk = 16 << 10

// errSpent is a second answer to one challenge.
var errSpent = fmt.Errorf("%w: the challenge was answered already", ErrRejected)

func (r *Realm) sealAsk(v Visit, purpose, token, method string, ch Challenge) (*Ask, error) {
	b, err := json.Marshal(ask{purpose, v.Host, hashToken(token), method, ch.Private, ch.Expires})
	if err != nil {
		return nil, fmt.Errorf("encoding a challenge: %w", err)
	}
	sealed, err := r.keys.Load().asks[0].Encode(askName, b)
	if err != nil {
		return nil, fmt.Errorf("sealing a challenge: %w", err)
	}
	return &Ask{Public: ch.Public, Sealed: sealed}, nil
}

// openAsk returns the challenge, and the key under which it is noted as spent. One that is not ours, of another browser, host or
// purpose, is rejected; so is one that has expired, with a Hint.
func (r *Realm) openAsk(v Visit, purpose, token, method, sealed string) (ch Challenge, spent string, err error) {
	if sealed == "" || len(sealed) > maxAsk || token == "" {
		return ch, "", ErrRejected
	}
	var b []byte
	for _, c := range r.keys.Load().asks {
		if c.Decode(askName, sealed, &b) == nil {
			break
		}
		b = nil
	}
	var a ask
	if b == nil || json.Unmarshal(b, &a) != nil ||
		a.For != purpose || a.Host != v.Host || a.Browser != hashToken(token) || a.Method != method {
		return ch, "", NewHint(ErrRejected, "hint.page", "This page was open for too long, or in two places. Try again.")
	}
	if !r.now().Before(a.Expires) {
		return ch, "", NewHint(ErrRejected, "hint.late", "That took too long. Try again.")
	}
	sum := sha256.Sum256(b)
	return Challenge{Method: method, Private: a.Private, Expires: a.Expires}, keySpent(hex.EncodeToString(sum[:])), nil
}

// spend takes a challenge once. It is gone with the first answer, right or wrong.
func spend(tx storage.Tx, key string, until time.Time) error {
	used, err := exists(tx, key)
	if err != nil {
		return err
	}
	if used {
		return errSpent
	}
	return tx.Put(key, nil, until)
}

// Ask prepares the further method of the flow in progress for a page. It writes nothing. ErrStep: the flow does not take it.
func (r *Realm) Ask(ctx context.Context, v Visit, method string) (*Ask, error) {
	m := r.at(v.site(), method)
	if m == nil {
		return nil, ErrStep
	}
	var f *flow
	var u *User
	var creds []held
	err := r.store.View(ctx, func(tx storage.Tx) (err error) {
		if f, u, creds, err = r.getFlow(tx, v); err != nil {
			return err
		}
		p := r.next(r.now(), v.site(), f, u, creds)
		if p.Step != StepVerify || p.Method != method && !slices.Contains(p.Others, method) {
			return ErrStep
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var who User
	if u != nil {
		who = *u
	}
	have := fitting(m, creds)
	if f.untold != nil {
		who, have = r.named(f.untold, who), r.shown(f.untold, m, have)
	}
	ch, err := m.Challenge(r.now(), who, have)
	if err != nil {
		return nil, fmt.Errorf("preparing %s: %w", method, err)
	}
	return r.sealAsk(v, askVerify, f.token, method, ch)
}

// noSession is ErrNoFlow for the case that the session of a change is over.
func noSession(err error) error {
	if err == nil || errors.Is(err, ErrNoSession) {
		return ErrNoFlow
	}
	return err
}
