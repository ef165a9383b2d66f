package loginui

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// GuestPath is where a guest link leads, on the host of the page that it opens. Its token stands in the fragment: whatever fetches the
// address sends none (S28).
const GuestPath = "/guest"

// guestPage is what the page behind a guest link shows.
type guestPage struct {
	At      string // what the link opens; "": its token has not come yet
	Expires time.Time
	Mail    string // where the code goes, masked; "" for none
	Sent    bool   // a code is out for this browser
	In      string // where whoever has opened it in this browser goes on, "" for nobody
}

// guestOn leads to what is open in this browser. Addresses in pages are encoded once more, where the gate compares the query byte for byte.
const guestOn = GuestPath + "?on=1"

// getGuest asks for the token. To whoever is in already it offers to go on, or to leave.
func getGuest(x *exchange) error {
	x.preFlow()
	pg, body := x.newPage("guest", "guest"), guestPage{}
	link, err := x.guestIn()
	query := x.r.URL.Query()
	switch {
	case err != nil:
		return err
	case link != nil && query.Has("on"):
		return x.redirect(link.Guest.To())
	case link != nil:
		body = x.guestBody(link, true)
	case query.Get("left") == "here":
		return x.message(http.StatusOK, x.bare("guestfull"))
	case query.Has("left"):
		return x.message(http.StatusOK, x.bare("guestleft"))
	}
	pg.fields, pg.Body = []string{"token"}, body
	return x.render(pg)
}

// guestIn is the link that is open in the visitor's browser, nil if none is.
func (x *exchange) guestIn() (*auth.AccessToken, error) {
	s, _, err := x.realm.PeekGuest(x.r.Context(), x.in.Visit.Guest)
	if errors.Is(err, auth.ErrNoSession) || err == nil && !slices.Contains(s.Access.Hosts, x.in.Visit.Host) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return s.Access, nil
}

func (x *exchange) guestBody(link *auth.AccessToken, in bool) guestPage {
	body := guestPage{Expires: link.Expires, At: x.in.Visit.Host + link.Guest.Path}
	if in {
		body.In = x.prefix + guestOn
	}
	return body
}

// postGuest shows what the link opens, and by its buttons mails a code or opens it. The token alone changes nothing, so that the script may
// send it by itself.
func postGuest(x *exchange) error {
	ctx, token := x.r.Context(), x.form.trimmed("token")
	if x.form["do"] == "leave" {
		return x.ifPressed(x.leaveGuest)
	}
	if token == "" {
		pg := x.newPage("guest", "guest")
		pg.fields, pg.Body = []string{"token"}, guestPage{}
		return x.refuse(pg, &auth.Invalid{Field: "token", Text: x.t("token.empty")})
	}
	link, err := x.realm.GuestLink(ctx, x.in.Visit, token)
	if err != nil {
		return x.guestOver(err)
	}
	var wrong error
	switch x.form["do"] {
	case "send":
		wrong = x.ifPressed(func() error {
			cookies, err := x.realm.SendGuestCode(ctx, x.in.Visit, token)
			x.setCookies(cookies)
			for _, c := range cookies {
				x.in.Visit.GuestCode = c.Value
			}
			return err
		})
	case "open":
		wrong = x.ifPressed(func() error {
			to, cookies, err := x.realm.OpenGuestLink(ctx, x.in.Visit, token, x.form.code())
			if err != nil {
				return err
			}
			x.setCookies(cookies)
			return x.redirect(to)
		})
		if wrong == nil {
			return nil
		}
	}
	if errors.Is(wrong, auth.ErrToken) || errors.Is(wrong, auth.ErrNoCookie) || errors.Is(wrong, auth.ErrGuestShut) {
		return x.guestOver(wrong)
	}
	pg := x.newPage("guest", "guest")
	pg.Token, pg.wrong, pg.wrongField, pg.wrongStatus = token, "email.wrong", "code", http.StatusUnprocessableEntity
	open, err := x.guestIn()
	if err != nil {
		return err
	}
	body := x.guestBody(link, open != nil && open.ID == link.ID)
	if link.Guest.Email != "" && body.In == "" {
		body.Mail = link.Guest.MaskedEmail()
		if body.Sent, err = x.realm.GuestCodeSent(ctx, x.in.Visit, link.ID); err != nil {
			return err
		}
	}
	if body.Sent {
		pg.fields = []string{"code"}
	}
	pg.Body = body
	if wrong != nil {
		return x.refuseMail(pg, wrong, "email.wait")
	}
	return x.render(pg)
}

// leaveGuest signs a guest out of the link that they opened.
func (x *exchange) leaveGuest() error {
	slow, left := (*auth.Throttled)(nil), "?left=1"
	cookies, err := x.realm.LeaveGuestLink(x.r.Context(), x.in.Visit)
	switch {
	case errors.As(err, &slow):
		x.retryAfter(slow.RetryAfter)
		m := x.bare("guestwait")
		m.Text = x.t("guestwait.wait", x.wait(slow.RetryAfter))
		return x.message(http.StatusTooManyRequests, m)
	case errors.Is(err, auth.ErrGuestsLeft):
		left = "?left=here"
	case err != nil:
		return err
	}
	x.setCookies(cookies)
	return x.redirect(x.prefix + GuestPath + left)
}

// errForged is a press that did not come from a page that somebody looks at.
var errForged = &badRequestError{http.StatusForbidden, "forged"}

// ifPressed runs press for those who load a page. Apps on the portal's own origin share its cookies: what changes how somebody signs in
// is refused to their scripts, in so far as a browser tells them from pages (W3C Fetch Metadata).
func (x *exchange) ifPressed(press func() error) error {
	mode, dest := x.r.Header.Get("Sec-Fetch-Mode"), x.r.Header.Get("Sec-Fetch-Dest")
	if mode != "" && mode != "navigate" || dest != "" && dest != "document" {
		return errForged
	}
	return press()
}

// guestOver answers a link that does not open.
func (x *exchange) guestOver(err error) error {
	switch {
	case errors.Is(err, auth.ErrToken):
		return x.message(http.StatusUnprocessableEntity, x.bare("badguest"))
	case errors.Is(err, auth.ErrGuestShut):
		return x.message(http.StatusTooManyRequests, x.bare("guestshut"))
	case errors.Is(err, auth.ErrNoCookie):
		return x.message(http.StatusBadRequest, x.plain("cookies"))
	}
	return err
}

// linkRow is a guest link as its maker sees it.
type linkRow struct {
	ID, Label              string
	For                    []string // what it opens, and the address that gets a code
	Created, Used, Expires time.Time
}

// guestLinks are those that whoever is signed in has made.
func (x *exchange) guestLinks() (rows []linkRow, err error) {
	all, err := x.realm.GuestLinks(x.r.Context(), x.in.User.Name)
	for _, l := range all {
		at := l.Hosts[0] + l.Guest.To()
		row := linkRow{l.ID, l.Label, append([]string{at}, l.Paths...), l.Created, l.Used, l.Expires}
		if row.Label == "" {
			row.Label = at
		}
		if l.Guest.Email != "" {
			row.For = append(row.For, l.Guest.Email)
		}
		rows = append(rows, row)
	}
	return rows, err
}

func postSecurityLinksRevoke(x *exchange) error {
	return x.change(auth.Change{Op: auth.ChangeRevokeLink, TokenID: x.form["id"]})
}
