package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"golang.org/x/net/idna"

	"github.com/caddy-mfa/caddy-mfa/storage"
)

// mailKind is what is counted as one kind of mail.
type mailKind string

// The kinds.
const (
	mailCode    mailKind = "code"    // for a sign-in, or another proof
	mailConfirm mailKind = "confirm" // of an address that somebody typed, who knows whose
	mailReset   mailKind = "reset"
	mailGuest   mailKind = "guest"   // a code for whoever opens a guest link; counted for each link
	mailSignIn  mailKind = "sign-in" // the notice of a sign-in
	mailSetting mailKind = "setting" // of a change that opens no way in: names, what is asked first, sessions that ended
	mailNotice  mailKind = "notice"  // of anything else
)

// mailCap is how many mails are sent in a window, which begins with the first of them.
type mailCap struct {
	name   string // in the key
	window time.Duration
	limit  int
}

var (
	accountCaps = map[mailKind][]mailCap{
		mailCode:    {{"quarter", 15 * time.Minute, 5}, {"day", 24 * time.Hour, 20}},
		mailConfirm: {{"hour", time.Hour, 5}, {"day", 24 * time.Hour, 10}},
		mailReset:   {{"hour", time.Hour, 3}, {"day", 24 * time.Hour, 10}},
		mailGuest:   {{"hour", time.Hour, 5}, {"day", 24 * time.Hour, 10}},
		mailSignIn:  {{"hour", time.Hour, 10}},
		mailSetting: {{"hour", time.Hour, 10}}, // apart from the next, which they must not use up
		// Whoever causes that many has been told of all the while: each has a link that undoes what came after it. Without a bound
		// one person could fill the queue for everybody.
		mailNotice: {{"hour", time.Hour, 30}},
	}
	// mailboxCaps are for the mails to one address, whichever accounts they are about.
	mailboxCaps = []mailCap{{"hour", time.Hour, 10}, {"day", 24 * time.Hour, 30}}
	// mailboxCounts are what is counted together for an address. Those that confirm one are counted apart: people who type somebody
	// else's must not use up that person's codes. The notice of a sign-in is not among them: whoever fills the mailbox beforehand must
	// not be able to sign in unnoticed.
	mailboxCounts = map[mailKind]string{mailCode: "mail/", mailReset: "mail/", mailConfirm: "mail-confirm/", mailGuest: "mail-guest/"}
)

// capMail counts a mail about the account with the ID user ("" for none) to an address, in the transaction that queues it, or returns
// *Throttled (S15). pool is that of a browser that the account knows, "" for any other: what strangers ask for must not use up what
// its owner may, so a known browser has counts of its own and is not held to the mailbox's. For an address that was not confirmed pool
// is "" always: the account's owner has no more right to it than a stranger. Nothing resets a count but its time, and whatever clears
// all counters of an account; a new code does not (S14). After an error nothing was counted.
func (r *Realm) capMail(tx storage.Tx, now time.Time, user, pool, address string, what mailKind) error {
	type window struct {
		key string
		counter
	}
	var counted []window
	var wait time.Duration
	look := func(prefix string, caps []mailCap) error {
		for _, c := range caps {
			w := window{key: prefix + c.name}
			if err := getJSON(tx, w.key, &w.counter); err != nil && !errors.Is(err, storage.ErrNotFound) {
				return err
			}
			if !now.Before(w.Until) {
				w.counter = counter{Until: now.Add(c.window)}
			}
			if w.Count >= c.limit {
				wait = max(wait, w.Until.Sub(now))
			}
			w.Count++
			counted = append(counted, w)
		}
		return nil
	}
	if user != "" {
		key := keyThrottle(user) + "mail-" + string(what) + "/"
		if pool != "" {
			key += pool + "/"
		}
		if err := look(key, accountCaps[what]); err != nil {
			return err
		}
	}
	if count := mailboxCounts[what]; count != "" && pool == "" {
		if err := look(keyThrottle(r.mailbox(address))+count, mailboxCaps); err != nil {
			return err
		}
	}
	if wait > 0 {
		return &Throttled{RetryAfter: wait}
	}
	for _, w := range counted {
		if err := putJSON(tx, w.key, w.counter, w.Until); err != nil {
			return err
		}
	}
	return nil
}

// mailbox names the counters of an address, in whichever spelling, without telling it.
func (s *State) mailbox(address string) string {
	folded, err := FoldEmail(address)
	if err != nil {
		folded = strings.ToLower(strings.TrimSpace(address))
	}
	if at := strings.LastIndexByte(folded, '@'); at >= 0 {
		if host, err := idna.Lookup.ToASCII(folded[at+1:]); err == nil {
			folded = folded[:at+1] + host
		}
	}
	mac := hmac.New(sha256.New, s.bucketKey)
	mac.Write([]byte("mailbox\x00" + folded)) // names, which are keyed with the same, hold no NUL
	return "mailbox-" + hex.EncodeToString(mac.Sum(nil))
}
