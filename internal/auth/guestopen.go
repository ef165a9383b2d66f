package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/mail"
	"github.com/caddy-mfa/caddy-mfa/storage"
)

// guestCode is a code that is out for one browser that wants to open one link.
type guestCode struct {
	Sealed []byte `json:"secret"` // Challenge as JSON
	Tries  int    `json:"tries"`  // that are left
}

// keyGuestCode binds a code to the link and, by a cookie, to the browser that asked for it (S26).
func keyGuestCode(link, browser string) string { return "guest-code/" + hashToken(link+"\x00"+browser) }

// guestBrowser is what names the visitor's browser to codes, "" if it has asked for none.
func (r *Realm) guestBrowser(v Visit) string { return r.openCookie(CookieGuestCode, v.GuestCode) }

// ErrGuestShut means that too many wrong codes were sent for a link, one after the other: it opens in no further browser.
var ErrGuestShut = errors.New("auth: too many wrong codes for a guest link")

// ErrNoCookie means that the browser sent no cookie of ours at all, so it will not send the one that a code is bound to.
var ErrNoCookie = errors.New("auth: the browser keeps no cookies")

// MaskedEmail leaves of the guest's address what its owner needs to know which one it is.
func (g *Guest) MaskedEmail() string { return masked(g.Email) }

// SendGuestCode mails a code to the address that a link names, in place of one that is out for this browser. The cookies must be set.
// ErrToken, ErrNoCookie, ErrGuestShut; *Throttled where there were too many for the link or the mailbox.
func (r *Realm) SendGuestCode(ctx context.Context, v Visit, token string) (cookies []Cookie, err error) {
	t, err := r.GuestLink(ctx, v, token)
	if err != nil {
		return nil, err
	}
	browser := r.guestBrowser(v)
	switch {
	case t.Guest.Email == "":
		return nil, ErrStep
	case r.mail == nil: // since a reload
		return nil, ErrToken
	case browser == "" && !r.HasPreFlow(v):
		return nil, ErrNoCookie
	case browser == "":
		browser = newToken()
	}
	if err := r.askAddresses.check(r.now(), v.Addr); err != nil {
		return nil, err
	}
	if _, err := r.askAddresses.take(r.now(), v.Addr); err != nil {
		return nil, err
	}
	now, key := r.now(), keyGuestCode(t.ID, browser)
	ch, err := r.mail.Codes.BeginEnroll(now, User{ID: t.GuestUser().ID, Email: t.Guest.Email}, nil)
	if err != nil {
		return nil, fmt.Errorf("making a code: %w", err)
	}
	code, _, err := r.mail.Codes.Letter(ch)
	if err != nil {
		return nil, fmt.Errorf("reading a code: %w", err)
	}
	plain, err := json.Marshal(ch)
	if err != nil {
		return nil, fmt.Errorf("encoding a code: %w", err)
	}
	value, err := r.sealCookie(CookieGuestCode, browser)
	if err != nil {
		return nil, err
	}
	letter := mail.GuestCode{
		Product: r.name, Code: code, Minutes: int(ch.Expires.Sub(now) / time.Minute),
		Browser: machine(v.Lang, v), Addr: addrOf(v), Host: v.Host, Lang: v.Lang,
	}.Message()
	letter.To = t.Guest.Email
	err = r.store.Update(ctx, func(tx storage.Tx) error {
		cur, _, err := r.openable(tx, now, token)
		if err != nil {
			return err
		}
		if cur.Guest.Wrong >= throttleOff {
			return ErrGuestShut
		}
		if err := r.capMail(tx, now, "guest-"+t.ID, "", letter.To, mailGuest); err != nil {
			return err
		}
		if err := r.enqueue(tx, nil, letter, ch.Expires); err != nil {
			return err
		}
		return putJSON(tx, key, guestCode{r.sealer.Load().seal(key, plain), ch.Tries}, ch.Expires)
	})
	if err != nil {
		return nil, err
	}
	r.wakeMail()
	return []Cookie{{Name: CookieGuestCode, Value: value, MaxAge: ch.Expires.Sub(now)}}, nil
}

// openable reads the link of a token, and its maker. ErrToken: there is none that counts.
func (r *Realm) openable(tx storage.Tx, now time.Time, token string) (cur *AccessToken, u *User, err error) {
	cur = new(AccessToken)
	err = getJSON(tx, keyGuestLinks+hashToken(token), cur)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, nil, ErrToken
	}
	if err != nil {
		return nil, nil, err
	}
	if u, err = getUser(tx, cur.UserID); err != nil {
		return nil, nil, err
	}
	if u == nil || u.Disabled || cur.Guest == nil || !cur.live(now, u) {
		return nil, nil, ErrToken
	}
	return cur, u, nil
}

// GuestCodeSent reports whether a code for the link is out for the visitor's browser.
func (r *Realm) GuestCodeSent(ctx context.Context, v Visit, link string) (sent bool, err error) {
	browser := r.guestBrowser(v)
	if browser == "" {
		return false, nil
	}
	err = r.store.View(ctx, func(tx storage.Tx) error {
		sent, err = exists(tx, keyGuestCode(link, browser))
		return err
	})
	return sent, err
}

// OpenGuestLink opens a link in the visitor's browser: it returns where to go, and the cookie to set. code is what was mailed, where the
// link names an address. ErrToken: the link does not count here. ErrRejected: the code is wrong, or there is none. ErrGuestShut: of the codes
// that anybody sent for the link the last 100 were wrong (S10).
//
// The code is used up in the transaction that finds it right (S24), and each wrong one is counted in it.
func (r *Realm) OpenGuestLink(ctx context.Context, v Visit, token, code string) (to string, cookies []Cookie, err error) {
	t, err := r.GuestLink(ctx, v, token)
	if err != nil {
		return "", nil, err
	}
	browser := r.guestBrowser(v)
	if t.Guest.Email != "" && browser == "" && !r.HasPreFlow(v) {
		return "", nil, ErrNoCookie
	}
	var wrong error
	now := r.now()
	err = r.store.Update(ctx, func(tx storage.Tx) error {
		wrong = nil
		cur, u, err := r.openable(tx, now, token)
		if err != nil {
			return err
		}
		before := cur.Guest.Wrong
		if cur.Guest.Email != "" {
			if before >= throttleOff {
				wrong = ErrGuestShut
				return nil
			}
			if wrong, err = r.takeGuestCode(tx, now, keyGuestCode(cur.ID, browser), code); err != nil || errors.Is(wrong, errNoCode) {
				return err
			}
			cur.Guest.Wrong++
		}
		if wrong == nil {
			cur.Guest.Wrong = 0
		}
		note := wrong == nil && cur.Guest.Opens < maxGuestOpens // whoever has the link must not fill the store with notes of it
		shown := false
		if note {
			cur.Guest.Opens++
			shown = cur.Guest.note(now)
		}
		if note || cur.Guest.Wrong != before {
			if err := putJSON(tx, keyGuestLinks+hashToken(token), cur, cur.Expires); err != nil {
				return err
			}
		}
		if !note {
			return nil
		}
		opened := guestEvent(EventLinkOpened, v, u, cur)
		opened.unseen = !shown
		return r.audit(tx, opened)
	})
	if err == nil {
		err = wrong
	}
	if err != nil {
		return "", nil, err
	}
	value, err := r.newGuestCookie(token)
	return t.Guest.To(), []Cookie{{Name: CookieGuest, Value: value, MaxAge: t.Expires.Sub(now)}}, err
}

// takeGuestCode returns in wrong why a code does not do, once that is counted.
func (r *Realm) takeGuestCode(tx storage.Tx, now time.Time, key, code string) (wrong, err error) {
	var c guestCode
	err = getJSON(tx, key, &c)
	if errors.Is(err, storage.ErrNotFound) || err == nil && r.mail == nil {
		return errNoCode, nil
	}
	if err != nil {
		return nil, err
	}
	plain, err := r.sealer.Load().open(key, c.Sealed)
	if errors.Is(err, ErrSecret) { // its secret was given up since
		return errNoCode, tx.Delete(key)
	}
	if err != nil {
		return nil, err
	}
	var ch Challenge
	if err := json.Unmarshal(plain, &ch); err != nil {
		return nil, fmt.Errorf("decoding a code: %w", err)
	}
	_, wrong = r.mail.Codes.FinishEnroll(now, User{}, ch, []byte(code))
	if wrong != nil && !errors.Is(wrong, ErrRejected) {
		return nil, wrong
	}
	if c.Tries--; wrong == nil || c.Tries <= 0 {
		return wrong, tx.Delete(key)
	}
	return wrong, putJSON(tx, key, c, ch.Expires)
}
