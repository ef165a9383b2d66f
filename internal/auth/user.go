package auth

import (
	"bytes"
	"slices"
	"sync/atomic"
	"time"
)

// User is a person with an account.
type User struct {
	ID             string    `json:"id"`
	Name           string    `json:"name"` // what the person signs in with, as FoldName returns it
	DisplayName    string    `json:"display_name,omitempty"`
	Email          string    `json:"email,omitempty"`
	EmailConfirmed bool      `json:"email_confirmed,omitempty"`
	EmailSince     time.Time `json:"email_since,omitzero"` // when it was confirmed
	EmailOwn       bool      `json:"email_own,omitempty"`  // the person gave it, not an admin
	Groups         []string  `json:"groups,omitempty"`     // sorted, [a-z0-9._-]+
	Handle         []byte    `json:"handle"`               // WebAuthn user handle, 64 random bytes
	Disabled       bool      `json:"disabled,omitempty"`
	Created        time.Time `json:"created"`

	// Rev is bumped whenever a credential is added, removed or disabled; Epoch by whatever ends all sessions: disable,
	// end-all, password change, reset. A flow or a session that saw another value is void.
	Rev   uint64 `json:"rev"`
	Epoch uint64 `json:"epoch"`

	// EnrollUntil bounds the time in which a password alone may enrol a first second method.
	EnrollUntil time.Time `json:"enroll_until,omitzero"`
	// MailedPassword says that the password was set by a mail: until another method than mail has completed a sign-in, mail is no
	// second method, or else the mailbox alone would do.
	MailedPassword bool `json:"mailed_password,omitempty"`
	// Blocked is the moment about which somebody pressed "This wasn't me"; zero: nobody did. Nobody signs in until the password was
	// reset and another method proven, or an admin helped.
	Blocked time.Time `json:"blocked,omitzero"`
	// BrowsersSince is when all browsers became strangers: those that were known before are none of the account's.
	BrowsersSince time.Time `json:"browsers_since,omitzero"`
	// Undone are the times whose events were undone so: links about them do nothing any more.
	Undone []Span `json:"undone,omitempty"`
	// Lang is the language that the person last signed in in, for mails (BCP 47); "" where that is not known.
	Lang string `json:"lang,omitempty"`
	// Preferred is the second method that is asked first; "" for the first that works.
	Preferred string `json:"preferred,omitempty"`
	// Noticed says when the person first heard of a policy, by its name.
	Noticed map[string]time.Time `json:"noticed,omitempty"`
	// Enrolled names the methods of the user's credentials, disabled ones too; sorted. It changes only together with Rev.
	Enrolled []string `json:"enrolled,omitempty"`
	// Tokens holds the key of the live travelling token of each purpose: a newer one kills the older.
	Tokens map[Purpose]string `json:"tokens,omitempty"`
}

// Span is a time, both ends included.
type Span struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// Display is the name to show: the display name, or else the sign-in name.
func (u *User) Display() string {
	if u.DisplayName != "" {
		return u.DisplayName
	}
	return u.Name
}

// reads is the language of mails to the person: that of the last sign-in, or else of the request that is the reason for a mail.
func (u *User) reads(v Visit) string {
	if u.Lang != "" {
		return u.Lang
	}
	return v.Lang
}

// HasSecond reports whether a method other than the password and recovery codes was ever enrolled and not removed.
func (u *User) HasSecond() bool {
	return slices.ContainsFunc(u.Enrolled, func(m string) bool { return m != MethodPassword && m != MethodRecovery })
}

// Credential is one enrolled instance of a method: this phone's app, that security key.
type Credential struct {
	ID       string    `json:"id"`
	Method   string    `json:"method"`
	Label    string    `json:"label,omitempty"` // what the person calls it
	Key      string    `json:"key,omitempty"`   // of a Unique method: what there is once in the whole store
	Data     []byte    `json:"data,omitempty"`  // the method's own state, readable: a counter, the last step
	Secret   []byte    `json:"-"`               // the method's own secret; sealed at rest (AES-256-GCM, the record's key as additional data)
	Created  time.Time `json:"created"`
	Used     time.Time `json:"used,omitzero"`
	Shown    time.Time `json:"shown,omitzero"` // when the codes of a set were last shown again
	Disabled bool      `json:"disabled,omitempty"`
}

// Proof is a method passed at a moment.
type Proof struct {
	Method     string    `json:"method"`
	Kinds      Kind      `json:"kinds"`
	Credential string    `json:"credential,omitempty"`
	At         time.Time `json:"at"`
	// Enrolled marks a credential that was set up at that moment. It makes the second kind of a first session, but satisfies no
	// rule that asks for a method or for freshness: enrolling is not a proof.
	Enrolled bool `json:"enrolled,omitempty"`
	// UserVerified says that the authenticator verified its user. Whether that counted stands in Kinds.
	UserVerified bool `json:"user_verified,omitempty"`
}

// Session is a finished sign-in with its proofs. It lives on the server; the cookie only names it.
type Session struct {
	ID     string  `json:"id"`               // random and stable: what lists, streams and audit use
	Token  string  `json:"token"`            // hex SHA-256 of the token in the cookie; rotates at step-up; the token itself is never stored
	UserID string  `json:"user"`             //
	Epoch  uint64  `json:"epoch"`            // must equal the user's, else the session is dead
	Host   string  `json:"host"`             // the only host it counts on, without port: a cookie jar knows none
	Parent string  `json:"parent,omitempty"` // with a central portal: the portal's session; it must live too
	Proofs []Proof `json:"proofs"`           // assurance is computed from these, never stored
	// Handed are the IDs of the sessions that have this one as their parent, by host: one a host. They end with it.
	Handed map[string]string `json:"handed,omitempty"`
	// Confirmed are the hosts that a portal lists by a wildcard alone and the person has said that they go on to, the latest last.
	Confirmed []string `json:"confirmed,omitempty"`

	Created time.Time `json:"created"`
	Seen    time.Time `json:"seen"`
	IdleEnd time.Time `json:"idle_end"`
	End     time.Time `json:"end"` // never moves out

	Addr    string `json:"addr"`    // client address at sign-in
	Browser string `json:"browser"` // as parsed from User-Agent at sign-in, for people to recognise
	OS      string `json:"os"`

	// Access is set in what stands for an access token on its way through the cache: it has no proofs, so it is a session nowhere.
	Access *AccessToken `json:"-"`

	opening  string                    // of a guest link: which of those who opened it this is
	asserted *atomic.Pointer[asserted] // the assertion about it that was made last; nil: none is kept
}

// Kinds combines what the proofs show.
func Kinds(proofs []Proof) Kind {
	var k Kind
	for _, p := range proofs {
		k |= p.Kinds
	}
	return k
}

// MultiFactor reports whether k holds at least two kinds.
func (k Kind) MultiFactor() bool { return k&(k-1) != 0 }

// same reports whether nothing that is stored differs.
func (c Credential) same(o Credential) bool {
	return c.ID == o.ID && c.Method == o.Method && c.Label == o.Label && c.Key == o.Key && c.Disabled == o.Disabled &&
		c.Created.Equal(o.Created) && c.Used.Equal(o.Used) && c.Shown.Equal(o.Shown) &&
		bytes.Equal(c.Data, o.Data) && bytes.Equal(c.Secret, o.Secret)
}
