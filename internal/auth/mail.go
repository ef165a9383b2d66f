package auth

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/caddy-mfa/caddy-mfa/internal/mail"
	"github.com/caddy-mfa/caddy-mfa/storage"
)

// Mail is how a Realm writes to people.
type Mail struct {
	// Base is the portal's address for people on host, such as "https://dash.example.com/.mfa". It comes from the configuration
	// alone (S29): for a host that is not a configured site's, and for "", it is that of the portal.
	Base func(host string) string
	// Codes makes and takes the codes that confirm an address, also where mail is no method.
	Codes Mailed
	// ResetMailOnly lets people whose only second method is mail sign in after they reset the password by mail. The mailbox alone
	// then opens such accounts.
	ResetMailOnly bool
}

// Mails reports whether people get mail: only then can they reset a password and change their address.
func (r *Realm) Mails() bool { return r.mail != nil }

// mailed is the method of codes by mail, nil where it is switched off.
func (r *Realm) mailed() Mailed {
	if r.mail == nil {
		return nil
	}
	m, _ := r.method(MethodEmail).(Mailed)
	return m
}

// pendingAddress is the ID of a credential that there is not yet: the first right code makes it.
const pendingAddress = "address"

// withAddress adds the credential that the user's address will be once a code that was sent there came back: an address that an
// admin set, of somebody who has no other second method, or one that was confirmed while mail was no method.
func (r *Realm) withAddress(u *User, creds []held) []held {
	m := r.mailed()
	if m == nil || u == nil || u.Email == "" || !u.EmailConfirmed && u.HasSecond() {
		return creds
	}
	for _, c := range creds {
		if c.Method == MethodEmail {
			return creds
		}
	}
	c := m.New(u.Email)
	c.ID, c.Method = pendingAddress, MethodEmail
	return append(slices.Clip(creds), held{Credential: c, raw: u.Email})
}

// codeMail is where the flow's codes by mail go, nil if they go nowhere.
func (r *Realm) codeMail(now time.Time, f *flow, creds []held) *CodeMail {
	if r.mail == nil { // since a reload
		return nil
	}
	out := new(CodeMail)
	var to string
	if f.Change != nil && f.Change.Op == ChangeAddress && Kinds(recent(now, f.Proofs)).MultiFactor() {
		to = f.Change.Address
		out.To = to
	} else {
		m := r.mailed()
		if m == nil {
			return nil
		}
		have := fitting(m, creds)
		if len(have) == 0 {
			return nil
		}
		to = m.Address(have[0])
		out.To = masked(to)
	}
	ch := f.secrets.Challenge
	out.Before = f.secrets.MailedTo == to
	out.Sent = ch != nil && ch.Method == MethodEmail && now.Before(ch.Expires) && f.secrets.MailedTo == to
	return out
}

// masked leaves of an address what its owner needs to know which one it is.
func masked(address string) string {
	local, host, ok := strings.Cut(address, "@")
	if !ok {
		return ""
	}
	_, n := utf8.DecodeRuneInString(local)
	return local[:n] + "•••@" + host
}

// sendCode puts a code for the flow into the queue, in place of one that is out. The caller stores the flow. *Throttled where there
// were too many.
func (r *Realm) sendCode(tx storage.Tx, now time.Time, v Visit, f *flow, u *User, creds []held) error {
	if r.mail == nil { // since a reload
		return ErrStep
	}
	confirm := f.Change != nil && f.Change.Op == ChangeAddress && Kinds(recent(now, f.Proofs)).MultiFactor()
	m, what := r.mailed(), mailCode
	if confirm {
		m, what = r.mail.Codes, mailConfirm
	}
	if m == nil {
		return ErrStep
	}
	var to string
	var ch Challenge
	var err error
	if confirm {
		asked := *u
		asked.Email, to = f.Change.Address, f.Change.Address
		ch, err = m.BeginEnroll(now, asked, nil)
	} else {
		have := fitting(m, creds)
		if len(have) == 0 {
			return ErrStep
		}
		to = m.Address(have[0])
		ch, err = m.Challenge(now, *u, have)
	}
	if err != nil {
		return fmt.Errorf("making a code: %w", err)
	}
	who, err := r.subjectOf(tx, u, "", r.openCookie(CookieBrowser, v.Browser))
	if err != nil {
		return err
	}
	pool := who.mails()
	if confirm { // whose address it is, nobody knows: that somebody is at home here is no reason to write there more often
		pool = ""
	}
	if err := r.capMail(tx, now, u.ID, pool, to, what); err != nil {
		return err
	}
	if err := r.dropCode(tx, f); err != nil { // S26: a new code kills the old
		return err
	}
	code, token, err := m.Letter(ch)
	if err != nil {
		return fmt.Errorf("reading a code: %w", err)
	}
	ch.Method = MethodEmail
	base := r.mail.Base(v.Host)
	lang := u.reads(v)
	browser, addr := machine(lang, v), addrOf(v)
	minutes := int(ch.Expires.Sub(now) / time.Minute)
	var letter mail.Message
	var link *ticket
	switch {
	case confirm:
		letter = mail.ConfirmAddress{Product: r.name, Name: u.Name, Code: code, Minutes: minutes, Browser: browser, Addr: addr, Host: hostOf(base), Lang: lang}.Message()
	case f.Change != nil: // a link would sign in; here somebody is
		letter = mail.SignInCode{Product: r.name, Name: u.Name, Code: code, Minutes: minutes, Browser: browser, Addr: addr, Host: hostOf(base), Change: true, Lang: lang}.Message()
	default:
		key := keyToken(token)
		link = &ticket{Purpose: purposeLink, UserID: u.ID, Epoch: u.Epoch, Expires: ch.Expires, Sealed: r.sealer.Load().seal(key, []byte(code))}
		letter = mail.SignInCode{
			Product: r.name, Name: u.Name, Code: code, Link: base + "/link#" + token, Minutes: minutes,
			Browser: browser, Addr: addr, Host: hostOf(base), Lang: lang,
		}.Message()
	}
	letter.To = to
	if err := r.enqueue(tx, u, letter, ch.Expires); err != nil { // the flow waits for no code then: none comes
		return err
	}
	if link != nil {
		if err := putJSON(tx, keyToken(token), link, ch.Expires); err != nil {
			return err
		}
	}
	f.secrets.Challenge, f.secrets.MailedTo = &ch, to
	if f.End.Before(ch.Expires) { // a code that was sent late has its time too; the caps bound how long that goes on
		f.End = ch.Expires
	}
	return nil
}

// endFlow forgets the flow that the visitor's cookie names, if there is one, and the link that was mailed for it.
func (r *Realm) endFlow(tx storage.Tx, v Visit) error {
	token := r.openCookie(CookieFlow, v.Flow)
	if token == "" {
		return nil
	}
	f, err := r.readFlow(tx, token)
	if errors.Is(err, ErrNoFlow) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := r.dropCode(tx, f); err != nil {
		return err
	}
	return tx.Delete(keyFlow(token))
}

// dropCode forgets the code that is out, if one is, and the link that stands for it.
func (r *Realm) dropCode(tx storage.Tx, f *flow) error {
	ch := f.secrets.Challenge
	if ch == nil || ch.Method != MethodEmail {
		return nil
	}
	f.secrets.Challenge = nil
	return r.dropLink(tx, *ch)
}

func (r *Realm) dropLink(tx storage.Tx, ch Challenge) error {
	if r.mail == nil {
		return nil
	}
	_, token, err := r.mail.Codes.Letter(ch)
	if err != nil {
		return fmt.Errorf("reading a code: %w", err)
	}
	return tx.Delete(keyToken(token))
}

// errNoCode is an answer where no code is out.
var errNoCode = NewHint(ErrRejected, "hint.code.spent", "This code no longer works. Send a new one.")

// machine is the browser of a visit, in the words of a language.
func machine(lang string, v Visit) string {
	switch browser, system := Describe(v.UserAgent); {
	case browser != "" && system != "":
		return mail.Machine(lang, browser, system)
	default:
		return browser + system
	}
}

// addrOf is the client's address, "" if there is none, as over a Unix socket.
func addrOf(v Visit) string {
	if !v.Addr.IsValid() {
		return ""
	}
	return v.Addr.String()
}

// hostOf is the host of an address of the portal, with its port.
func hostOf(base string) string {
	_, rest, _ := strings.Cut(base, "://")
	host, _, _ := strings.Cut(rest, "/")
	return host
}
