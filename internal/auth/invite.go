package auth

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/mail"
	"github.com/caddy-mfa/caddy-mfa/storage"
)

// invitations are the purposes of the tickets that make an account, or give one a new password.
var invitations = []Purpose{PurposeSetup, PurposeInvite, purposeInviteMail}

// invite makes an invitation, and mails it where that is possible. The mail holds a link of its own: only whoever uses that one
// has shown that the mailbox is theirs. The caller stores the user, and wakes the mail.
func (r *Realm) invite(tx storage.Tx, u *User) (Invited, error) {
	in := Invited{Token: newTravelToken(), Expires: r.now().Add(inviteLife)}
	if err := r.issue(tx, u, PurposeInvite, in.Token, "", in.Expires); err != nil {
		return in, err
	}
	if err := r.revoke(tx, u, purposeInviteMail); err != nil {
		return in, err
	}
	// Not to a mailbox that somebody else may read, or have given: the admin knows whom to hand the link.
	if u.MailedPassword || !u.Blocked.IsZero() || u.EmailOwn {
		return in, nil
	}
	if r.mail == nil || r.mail.Base("") == "" || mail.CheckAddress(u.Email) != nil {
		return in, nil //nolint:nilerr // what nobody can be written to is no fault: the link is printed
	}
	token := newTravelToken()
	letter := mail.Invitation{Product: r.name, Name: u.Name, Link: r.mail.Base("") + "/invite#" + token, Hours: int(inviteLife / time.Hour), Lang: u.Lang}.Message()
	letter.To = u.Email
	err := r.enqueue(tx, u, letter, in.Expires)
	if errors.Is(err, ErrBusy) {
		r.log.Warn("an invitation was not mailed: too many mails wait", "user", u.Name)
		return in, nil // the other link does all the same
	}
	if err != nil {
		return in, err
	}
	in.MailedTo = u.Email
	return in, r.issue(tx, u, purposeInviteMail, token, u.Email, in.Expires)
}

// OpenInvitation begins the flow in which an invitation, or the first set-up, is accepted. The token stays valid until then.
//
// A wrong token is not counted against the address: nobody guesses 256 bits, and answers that cost so little must not fill the
// counters that people who sign in share (CVE-2026-77561).
func (r *Realm) OpenInvitation(ctx context.Context, v Visit, token, to string) (out Outcome, err error) {
	if len(token) != len(newTravelToken()) {
		r.failed()
		return out, ErrToken
	}
	key := keyToken(token)
	err = r.store.View(ctx, func(tx storage.Tx) error {
		_, _, err := r.redeemable(tx, key, invitations...)
		return err
	})
	if errors.Is(err, ErrToken) {
		r.failed()
	}
	if err != nil {
		return out, err // before any write: a wrong token stores nothing
	}
	err = r.store.Update(ctx, func(tx storage.Tx) error {
		t, u, err := r.redeemable(tx, key, invitations...)
		if err != nil {
			return err
		}
		if err := r.endFlow(tx, v); err != nil {
			return err
		}
		purpose := t.Purpose
		if purpose == purposeInviteMail {
			purpose = PurposeInvite
		}
		f := r.newFlow(v, purpose, to)
		f.Ticket = key
		if u != nil {
			f.UserID, f.Epoch = u.ID, u.Epoch
		}
		out, err = r.advance(tx, v, f, u, nil)
		return err
	})
	return out, err
}

// AcceptInvitation sets the password, and at the first set-up makes the user, who is an admin. The password counts as the first
// proof; methods that the user has already are asked for next. name must be the invited one or "" except at the first set-up.
func (r *Realm) AcceptInvitation(ctx context.Context, v Visit, name, password string) (out Outcome, err error) {
	var f *flow
	var u *User
	var t *ticket
	open := func(tx storage.Tx) (creds []held, err error) {
		if f, u, creds, err = r.getFlow(tx, v); err != nil {
			return nil, err
		}
		if r.next(r.now(), v.site(), f, u, creds).Step != StepPassword {
			return nil, ErrStep
		}
		t, _, err = r.redeemable(tx, f.Ticket, invitations...)
		return creds, err
	}
	err = r.store.View(ctx, func(tx storage.Tx) error { _, err := open(tx); return err })
	if err != nil {
		return out, err
	}
	if err := r.addresses.check(r.now(), v.Addr); err != nil {
		return out, err
	}
	context := []string{r.name, name}
	if u != nil {
		if folded, err := FoldName(name); name != "" && (err != nil || folded != u.Name) {
			return out, NewInvalid("name", "invalid.invite", "This invitation is for {{.Name}}.", u.Name)
		}
		context = append(context, u.Name, u.DisplayName, u.Email)
	} else if name, err = FoldName(name); err != nil {
		return out, err
	}
	cred, err := r.hashPassword(ctx, password, context...)
	if err != nil {
		return out, err
	}
	handle := newHandle()
	err = r.store.Update(ctx, func(tx storage.Tx) error {
		creds, err := open(tx)
		if err != nil {
			return err
		}
		event, had := EventInviteUsed, u != nil && slices.Contains(u.Enrolled, MethodPassword)
		if u == nil {
			event = EventUserAdded
			u = &User{Name: name, Groups: []string{AdminGroup}}
			if err := r.createUser(tx, u, handle); err != nil {
				return err
			}
		}
		if creds, err = r.setPassword(tx, u, creds, cred); err != nil {
			return err
		}
		if err := tx.Delete(f.Ticket); err != nil {
			return err
		}
		f.Ticket, f.UserID, f.Epoch = "", u.ID, u.Epoch
		f.Proofs = []Proof{{Method: MethodPassword, Kinds: Knowledge, Credential: cred.ID, At: r.now(), Enrolled: true}}
		marked := u.MailedPassword
		u.Blocked, u.MailedPassword, u.BrowsersSince = time.Time{}, false, r.now() // an admin sent it
		if t.Purpose == purposeInviteMail {
			u.MailedPassword = marked
			if creds, err = r.byMailedInvitation(tx, f, u, creds); err != nil {
				return err
			}
		}
		if err := putUser(tx, u); err != nil {
			return err
		}
		if had {
			if err := r.notify(tx, v, u, notice{at: cred.Created, kind: mailNotice, write: passwordChanged}); err != nil {
				return err
			}
		}
		if err := r.audit(tx, Event{Name: event, UserID: u.ID, User: u.Name, Addr: v.Addr.String()}); err != nil {
			return err
		}
		out, err = r.advance(tx, v, f, u, creds)
		return err
	})
	if err == nil {
		r.cache.invalidateUser(u.ID)
		r.ended(v, out)
		r.wakeMail()
		// The browsers of whoever used the account before are strangers from here on. What is left of sessions is void all the same.
		if err := r.sweep(ctx, u.ID, u.Epoch, keyBrowsers(u.ID)); err != nil {
			r.log.Warn("removing ended sessions and known browsers failed", "error", err)
		}
		r.log.Info("password set by invitation", "user", u.Name, "client", v.Addr)
	}
	return out, err
}

// byMailedInvitation counts that the person reads the address. For a new account that is the second method: the invitation is all the
// authority there is. In one that has a second method it is proven as ever, and mail alone does not do.
func (r *Realm) byMailedInvitation(tx storage.Tx, f *flow, u *User, creds []held) ([]held, error) {
	fresh := !u.HasSecond() && !u.MailedPassword
	u.MailedPassword = !fresh
	if u.EmailConfirmed {
		return creds, nil
	}
	creds, cred, err := r.confirmAddress(tx, u, creds, u.Email)
	if err != nil {
		if _, taken := errors.AsType[*Invalid](err); taken { // by somebody else, since: this account goes without
			return creds, nil
		}
		return creds, err
	}
	if fresh && cred != "" {
		f.Proofs = append(f.Proofs, Proof{Method: MethodEmail, Kinds: Possession, Credential: cred, At: r.now(), Enrolled: true})
	}
	return creds, nil
}
