package loginui

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// Message is one plain page: what happened, and what to do about it.
type Message struct {
	// ID is what the ids of its words begin with. Name is the user who is shown it, if one is known.
	ID, Name string

	Code  string // for programs, like "forbidden"; "" takes that of the status
	Title string // heading
	Text  string // what happened
	Todo  string // what the person can do, "" for nothing
	// Link and Label are an action, as address and words; both empty for none.
	Link, Label string
	ErrorID     string // under which an error stands in the log already, "" if it does not
	Secure      bool   // the visitor came by HTTPS
	Lang        string // value of auth.CookieLang as received, "" if absent
}

// codes names statuses for programs.
var codes = map[int]string{
	http.StatusBadRequest:          "bad_request",
	http.StatusUnauthorized:        "sign_in_required",
	http.StatusForbidden:           "forbidden",
	http.StatusNotFound:            "not_found",
	http.StatusTooManyRequests:     "too_many_requests",
	http.StatusServiceUnavailable:  "unavailable",
	http.StatusInternalServerError: "internal",
}

// Message answers with m as a page, or with JSON where a page would not be shown: {"error": code, "message": text, "id": where in the log}. It sets the
// headers of every page; what else the status asks for (Retry-After) is the caller's.
func (p *Portal) Message(w http.ResponseWriter, r *http.Request, status int, m Message) {
	x := &exchange{Portal: p, w: w, r: r, in: Request{Visit: auth.Visit{Host: hostname(r.Host)}, Lang: m.Lang, Secure: m.Secure}}
	if m.Title == "" {
		x.word(&m)
	}
	setHeaders(w.Header(), x.in.Visit.Host, m.Secure)
	x.identify(status, &m)
	if Navigation(r) {
		if err := x.message(status, m); err == nil {
			return
		}
	}
	if m.Code == "" {
		m.Code = codes[status]
	}
	if m.Code == "" {
		m.Code = "error"
	}
	x.json(status, struct {
		Error   string `json:"error"`
		Message string `json:"message,omitempty"`
		ID      string `json:"id,omitempty"`
	}{m.Code, m.Text, m.ErrorID})
}

// word fills in what a message says.
func (x *exchange) word(m *Message) {
	m.Title, m.Text, m.Todo = x.t(m.ID+".title"), x.t(m.ID+".text"), x.t(m.ID+".todo")
	if m.Name != "" && x.has(m.ID+".named") {
		m.Text = x.t(m.ID+".named", m.Name)
	}
	if m.Link != "" {
		m.Label = x.t(m.ID + ".label")
	}
}

// message renders m as a page. The portal's own errors are pages for everybody: an old browser's form says nothing that would
// tell it from a program. It is not inlined: each of the many calls would fill a page of its own, 4 KB of binary in all.
//
//go:noinline
func (x *exchange) message(status int, m Message) error {
	x.identify(status, &m)
	pg := &page{exchange: x, file: "message", status: status, Title: m.Title, To: x.in.Visit.To, Body: m}
	return x.render(pg)
}

// plain is the message whose texts begin with id, with a link to where a visitor can go on: to what the account is like for somebody who is
// signed in, else to the sign-in.
func (x *exchange) plain(id string) Message {
	m := x.bare(id)
	way := "plain.signin"
	if m.Link = x.prefix + loginPath; x.in.Session != nil {
		way, m.Link = "plain.security", x.prefix+securityPath
	}
	if m.Label = x.t(id + ".label"); m.Label == "" {
		m.Label = x.t(way)
	}
	return m
}

// bare is plain without a link, for what leads nowhere.
func (x *exchange) bare(id string) Message {
	return Message{ID: id, Title: x.t(id + ".title"), Text: x.t(id + ".text"), Todo: x.t(id + ".todo")}
}

func (x *exchange) json(status int, v any) {
	b, err := json.Marshal(v)
	if err != nil { // strings, times and booleans always encode
		panic(err)
	}
	x.write(status, "application/json", append(b, '\n'))
}

// Navigation reports whether r loads a page that a person will look at. Browsers say so in Sec-Fetch-Mode (W3C Fetch Metadata);
// without that header it is a GET or HEAD that accepts HTML. An upgrade is never a navigation.
func Navigation(r *http.Request) bool {
	if r.Method == http.MethodConnect || len(r.Header["Upgrade"]) > 0 && headerToken(r.Header["Connection"], "upgrade") {
		return false
	}
	if mode := r.Header["Sec-Fetch-Mode"]; len(mode) > 0 {
		return len(mode) == 1 && mode[0] == "navigate"
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	for _, accept := range r.Header["Accept"] {
		if strings.Contains(strings.ToLower(accept), "text/html") {
			return true
		}
	}
	return false
}

// headerToken reports whether one of the comma-separated values is token, in any case.
func headerToken(values []string, token string) bool {
	for _, v := range values {
		for part := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(part), token) {
				return true
			}
		}
	}
	return false
}

// hostname is host without port, in lower case.
func hostname(host string) string {
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		host = host[:i]
	}
	return strings.ToLower(strings.Trim(host, "[]"))
}
