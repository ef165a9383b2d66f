package auth

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/caddy-mfa/caddy-mfa/storage"
)

// flow is a sign-in, invitation or set-up in progress: half signed in, never a session. Its token rotates at every proof.
type flow struct {
	Purpose Purpose   `json:"purpose"`
	UserID  string    `json:"user,omitempty"`
	Epoch   uint64    `json:"epoch,omitempty"` // the user's, as seen; another one voids the flow
	Host    string    `json:"host"`
	To      string    `json:"to,omitempty"`
	Ticket  string    `json:"ticket,omitempty"` // key of the travelling token that an invitation or set-up uses up
	Proofs  []Proof   `json:"proofs,omitempty"`
	Left    *int      `json:"left,omitempty"`    // recovery codes left, after one was used in this flow
	Session string    `json:"session,omitempty"` // with a Change: hash of the token of the session that it was begun in
	Change  *Change   `json:"change,omitempty"`
	End     time.Time `json:"end"`
	More    int       `json:"more,omitempty"` // how often its step was given more time
	Sealed  []byte    `json:"secret,omitempty"`

	secrets flowSecrets
	token   string
	untold  *untold // what it is made from, if it is not stored
	issued  *IssuedToken
}

// flowSecrets is the part of a flow that is sealed at rest.
type flowSecrets struct {
	Challenge *Challenge `json:"challenge,omitempty"`
	MailedTo  string     `json:"mailed_to,omitempty"` // where the last code went, that of Challenge if there is one
	Codes     []string   `json:"codes,omitempty"`     // recovery codes that were shown and not yet confirmed
	Password  string     `json:"password,omitempty"`  // the new one that a change is about, until everything is proven
	Hash      []byte     `json:"hash,omitempty"`      // and then its hash
}

// newFlow begins a flow with a token of its own.
func (r *Realm) newFlow(v Visit, purpose Purpose, to string) *flow {
	return &flow{Purpose: purpose, Host: v.Host, To: to, token: newToken()}
}

// getFlow returns the flow that the visitor's cookie names, with its user (nil before there is one) and the user's credentials.
// It returns ErrNoFlow if there is none, or if the user changed in a way that voids it.
func (r *Realm) getFlow(tx storage.Tx, v Visit) (*flow, *User, []held, error) {
	if p := r.openUntold(v); p != nil {
		return r.untoldFlow(tx, v, p)
	}
	token := r.openCookie(CookieFlow, v.Flow)
	if token == "" {
		return nil, nil, nil, ErrNoFlow
	}
	f, err := r.readFlow(tx, token)
	if err != nil {
		return nil, nil, nil, err
	}
	if f.Host != v.Host {
		return nil, nil, nil, ErrNoFlow
	}
	if f.UserID == "" {
		return f, nil, nil, nil
	}
	u, err := getUser(tx, f.UserID)
	if err != nil {
		return nil, nil, nil, err
	}
	if u == nil || u.Disabled || u.Epoch != f.Epoch {
		return nil, nil, nil, ErrNoFlow
	}
	if f.Change != nil { // it is part of a session, and over with it
		if s, _, err := r.liveSession(tx, v); err != nil || s.Token != f.Session {
			return nil, nil, nil, noSession(err)
		}
		f.Change.compare(u)
	}
	creds, err := r.getCreds(tx, u.ID)
	if err != nil {
		return nil, nil, nil, err
	}
	if f.Change.Views() && len(r.viewable(f.Change.Credential, creds)) == 0 {
		return nil, nil, nil, ErrNoFlow // what it is to show is gone
	}
	// A credential that is gone or disabled proves nothing any more.
	for _, p := range f.Proofs {
		if i := credIndex(creds, p.Credential); i < 0 || creds[i].Disabled {
			return nil, nil, nil, ErrNoFlow
		}
	}
	return f, u, creds, nil
}

// readFlow returns the flow with a token, whether or not it still counts; ErrNoFlow if there is none.
func (r *Realm) readFlow(tx storage.Tx, token string) (*flow, error) {
	f, key := &flow{token: token}, keyFlow(token)
	err := getJSON(tx, key, f)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, ErrNoFlow
	}
	if err != nil {
		return nil, err
	}
	plain, err := r.sealer.Load().open(key, f.Sealed)
	if err != nil {
		return nil, ErrNoFlow // the secret was given up since: flows are not sealed anew
	}
	if plain != nil {
		if err := json.Unmarshal(plain, &f.secrets); err != nil {
			return nil, fmt.Errorf("decoding record %q: %w", key, err)
		}
	}
	return f, nil
}

// putFlow stores a flow until its end.
func (r *Realm) putFlow(tx storage.Tx, f *flow) error {
	key := keyFlow(f.token)
	f.Sealed = nil
	if f.secrets.Challenge != nil || f.secrets.MailedTo != "" || f.secrets.Codes != nil || f.secrets.Password != "" || f.secrets.Hash != nil {
		b, err := json.Marshal(f.secrets) //nolint:gosec // it is sealed at once
		if err != nil {
			return fmt.Errorf("encoding record %q: %w", key, err)
		}
		f.Sealed = r.sealer.Load().seal(key, b)
	}
	return putJSON(tx, key, f, f.End)
}

// rotate gives a flow a new token and another ten minutes; the old token dies (S52).
func (r *Realm) rotate(tx storage.Tx, f *flow) error {
	if err := tx.Delete(keyFlow(f.token)); err != nil {
		return err
	}
	f.token = newToken()
	f.End, f.More = r.now().Add(flowLife), 0
	return r.putFlow(tx, f)
}

// flowCookie carries a flow's token.
func (r *Realm) flowCookie(f *flow) (Cookie, error) {
	v, err := r.sealCookie(CookieFlow, f.token)
	return Cookie{Name: CookieFlow, Value: v}, err
}

// PreFlow returns the nonce cookie that binds a browser before its flow begins. It reports false if the visitor has a cookie of
// ours already. Nothing is stored.
func (r *Realm) PreFlow(v Visit) (Cookie, bool) {
	if r.HasPreFlow(v) {
		return Cookie{}, false
	}
	value, err := r.sealCookie(CookieFlow, newToken())
	return Cookie{Name: CookieFlow, Value: value}, err == nil
}

// HasPreFlow reports whether the visitor's browser sent a flow cookie that we made: nonce or flow.
func (r *Realm) HasPreFlow(v Visit) bool { return r.flowToken(v) != "" }
