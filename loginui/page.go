package loginui

import (
	"bytes"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// withPage returns those of methods that there is a page for: what nobody can open must not be offered.
func withPage(prefix string, methods ...string) []string {
	all, _ := ours()
	return slices.DeleteFunc(methods, func(m string) bool { return all.trees[prefix+m] == nil })
}

// page is what a template shows.
type page struct {
	*exchange

	file   string // template, without .html
	status int
	policy string // Content-Security-Policy, "" for the common one

	Title  string            // of the document, and of most pages' heading
	Alert  string            // an error that belongs to no single field
	Notice string            // something good to know
	Done   bool              // which is that something was done
	Errors map[string]string // by field
	To     string            // return target, carried by the forms
	Who    string            // whose flow it is, once known
	Change bool              // the flow is part of a session, in which somebody changes how they sign in
	Others []string          // further methods that would do
	Mail   *auth.CodeMail    // where a code by mail goes, on the pages of a flow that takes one
	Left   int               // seconds until the flow's step is over
	More   bool              // it may be put off
	SetUp  bool              // further methods may be set up now, instead of proving one
	Token  string            // of a link, as it was sent, so that the form can be sent again
	Body   any               // what only this page shows

	asks  bool // Notice says what a proof is for, and nothing of what was done
	trial bool // it is a sample, on which what is missing is an error
	once  bool // what it shows is never shown again

	along       string   // query of the pages that follow
	fields      []string // those that the page shows, so that their errors have a place
	wrong       string   // text id for a wrong answer, the field it belongs to, and its status (0: 401)
	wrongField  string
	wrongStatus int
	empty       string // text id for a field left empty
}

// newPage starts a page whose texts begin with id.
func (x *exchange) newPage(file, id string) *page {
	return &page{exchange: x, file: file, status: http.StatusOK, Title: x.t(id + ".title"), wrong: id + ".wrong", Errors: map[string]string{}}
}

// flowPage starts a page of a flow.
func (x *exchange) flowPage(file, id string, now auth.Progress) *page {
	pg := x.newPage(file, id)
	pg.To = x.returnTarget(now.To)
	pg.Left, pg.More = max(1, int(now.End.Sub(x.now()).Seconds())), now.More
	pg.Who, pg.Change = now.User.Display(), now.Purpose == auth.PurposeChange
	return pg
}

// fault puts an error where the person will look for it.
func (pg *page) fault(field, text string) {
	if slices.Contains(pg.fields, field) {
		pg.Errors[field] = text
	} else {
		pg.Alert = text
	}
}

// renderError is a template that failed: a bug, after which nothing was written.
type renderError struct {
	file string
	err  error
}

func (e *renderError) Error() string { return fmt.Sprintf("rendering page %s: %v", e.file, e.err) }

func (e *renderError) Unwrap() error { return e.err }

// render writes a page whole, or nothing.
func (x *exchange) render(pg *page) error {
	all := x.pages
	if all == nil {
		var err error
		if all, err = ours(); err != nil {
			return &renderError{pg.file, err}
		}
	}
	var b bytes.Buffer
	if err := all.trees[pg.file].ExecuteTemplate(&b, "layout", pg); err != nil {
		return &renderError{pg.file, err}
	}
	h := x.w.Header()
	h.Set("Content-Security-Policy", pg.formPolicy())
	h.Set("Content-Language", pg.Lang())
	body := b.Bytes()
	h.Set("Vary", "Accept-Encoding")
	if takesGzip(x.r.Header["Accept-Encoding"]) {
		h.Set("Content-Encoding", "gzip")
		body = x.sheet().zip(body)
	}
	x.write(pg.status, "text/html; charset=utf-8", body)
	return nil
}

// formPolicy is the policy of a page. Browsers hold the redirects after a form to form-action, too: where they end on another host, the
// policy names its origin, and no more (CSP Level 3, section 6.4.1).
func (pg *page) formPolicy() string {
	p := pg.policy
	if p == "" {
		p = policy
	}
	if t, ok := pg.elsewhere(pg.To); ok {
		p = strings.Replace(p, "form-action 'self'", "form-action 'self' "+t.Origin, 1)
	}
	return strings.Replace(p, "style-src 'self'", "style-src 'self' "+pg.sheet().source, 1)
}

// write sends a whole body.
func (x *exchange) write(status int, media string, body []byte) {
	h := x.w.Header()
	h.Set("Content-Type", media)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	x.w.WriteHeader(status)
	if x.r.Method != http.MethodHead {
		_, _ = x.w.Write(body) // that the client may be gone is nobody's error
	}
}

// What follows is for the templates.

// Tab is what the window is called: what happened, which a screen reader says first then, and Title. Nothing is broken there: it is without
// the places at which a word of a heading may be, and without what sets values apart.
func (pg *page) Tab() string {
	tab := pg.Title
	if happened := pg.happened(); happened != "" {
		tab = happened + " · " + tab
	}
	return tabless.Replace(tab)
}

var tabless = strings.NewReplacer("\u00ad", "", "\u2066", "", "\u2067", "", "\u2068", "", "\u2069", "")

// happened is what went wrong on the page, at its first place, or else what it tells of what was done; "" for nothing.
func (pg *page) happened() string {
	for _, field := range pg.fields {
		if text := pg.Errors[field]; text != "" {
			return text
		}
	}
	switch {
	case pg.Alert != "":
		return pg.Alert
	case pg.asks && !pg.Done:
		return ""
	}
	return pg.Notice
}

// T is the text for id, with args in place of its values.
func (pg *page) T(id string, args ...any) (string, error) { return pg.t(id, args...), pg.known(id) }

// Count is the text for n things: in the plural form of n, or the one for none.
func (pg *page) Count(id string, n int) (string, error) { return pg.count(id, n), pg.known(id) }

// known is an error where a page is tried out that asks for a text that there is not. In use it shows nothing there.
func (pg *page) known(id string) error {
	if pg.trial && !pg.has(id) {
		return fmt.Errorf("there is no text %q", id)
	}
	return nil
}

// H is T where an arg may be markup: what Strong, Stamped and their like return.
func (pg *page) H(id string, args ...any) (template.HTML, error) {
	marks := make([]string, 0, 2*len(args))
	for i, arg := range args {
		if mark, ok := arg.(template.HTML); ok {
			stand := string(rune(0xE000 + i)) // of no script: nothing that is said holds it
			marks, args[i] = append(marks, stand, string(mark)), stand
		}
	}
	text := strings.NewReplacer(marks...).Replace(template.HTMLEscapeString(pg.t(id, args...)))
	return template.HTML(text), pg.known(id) //nolint:gosec // escaped, but for what is markup
}

// Strong is a value that matters.
func (pg *page) Strong(s string) template.HTML {
	return "<strong>" + template.HTML(template.HTMLEscapeString(s)) + "</strong>" //nolint:gosec // escaped
}

// Stamped is Stamp with what the script needs.
func (pg *page) Stamped(t time.Time) template.HTML {
	return template.HTML(`<time datetime="` + machine(t) + `">` + template.HTMLEscapeString(pg.Stamp(t)) + "</time>") //nolint:gosec // escaped
}

// URL is the address of a path of the portal.
func (pg *page) URL(path string) string { return pg.prefix + path }

// Asset is the address of a static file.
func (pg *page) Asset(name string) string {
	s, ok := pg.dressed(name)
	if !ok {
		s = asset(name)
	}
	return pg.prefix + staticPath + s.name
}

// Waits reports whether nothing of the page is painted before its scripts ran. They change what is seen: times, and fields that a link fills in,
// and would move the rest. Strangers wait for the page alone, whole, and have the scripts when they come to another.
func (pg *page) Waits() bool { return pg.file != "login" }

// Back is where a change is left to: the page on which it was begun.
func (pg *page) Back() string {
	if to := pg.reminderOf(pg.To); to != "" {
		return to
	}
	return pg.URL(securityPath)
}

// Along is the address of a page of the flow, with what has to go along with it.
func (pg *page) Along(path string) string { return pg.prefix + path + pg.along }

// Lost is the question that leads those on who cannot do what a page that verifies asks.
func (pg *page) Lost() string { return "lost." + strings.TrimPrefix(pg.file, "verify_") }

// Minutes are whole ones that Left holds.
func (pg *page) Minutes() int { return pg.Left / 60 }

// Path is where the page is, below the prefix.
func (pg *page) Path() string { return strings.TrimPrefix(pg.r.URL.Path, pg.prefix) }

// Product is the name that the admin gave.
func (pg *page) Product() string { return pg.realm.Name() }

// Host is where the visitor is.
func (pg *page) Host() string { return pg.in.Visit.Host }

// Onward is the address that the return target leads to.
func (pg *page) Onward() string { return pg.href(pg.To) }

// Goal is the host that a sign-in leads to.
func (pg *page) Goal() string {
	if t, ok := pg.elsewhere(pg.To); ok {
		return t.Host
	}
	return pg.Host()
}

// Mails reports whether mail is sent here: people can reset their password, and change their address.
func (pg *page) Mails() bool { return pg.realm.Mails() }

// Sends reports whether asking for method sends a code first. One that is out already still counts: then there is only a page to open.
func (pg *page) Sends(method string) bool {
	return method == auth.MethodEmail && (pg.Mail == nil || !pg.Mail.Sent)
}

// StartOver is the sign-in page with the target kept.
func (pg *page) StartOver() string { return pg.LoginURL(pg.To) }

// Forgot is the page for a forgotten password with the target kept.
func (pg *page) Forgot() string { return pg.forgotURL("?to=", pg.To) }

// Stamp is a moment for people, in UTC; the script turns it into local time.
func (x *exchange) Stamp(t time.Time) string { return x.said().Moment(t.UTC()) + " UTC" }

// Machine is a moment for <time datetime>.
func (pg *page) Machine(t time.Time) string { return machine(t) }

// machine is a moment for programs (RFC 3339).
func machine(t time.Time) string { return t.UTC().Format(time.RFC3339) }
