package loginui

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// How many lines of the log error pages get, one by one: enough to find the one whose id a person reads out, too few to fill a disk. Faults,
// which are ours, have lines of their own, so that nobody who asks for pages that do not exist keeps them out.
const (
	faultsLogged = 10
	faultsEvery  = 10 * time.Second
	pagesLogged  = 60
	pagesEvery   = time.Minute

	maxLogged = 200 // bytes of what a visitor has sent
)

// errorLog writes a line for each thing that goes wrong. Beyond limit of them in every, one line stands for all that follow, which get its
// id: the id on a page stands in the log at any time.
type errorLog struct {
	level      slog.Level
	each, more string // what the lines say
	limit      int
	every      time.Duration

	sync.Mutex
	since time.Time
	count int
	rest  string // id of the line for what is beyond the limit
}

// write returns the id under which it stands in the log by then.
func (l *errorLog) write(ctx context.Context, to *slog.Logger, now time.Time, attrs ...slog.Attr) (id string) {
	l.Lock()
	defer l.Unlock()
	if d := now.Sub(l.since); d < 0 || d >= l.every {
		if dropped := l.count - l.limit; dropped > 0 {
			to.LogAttrs(ctx, l.level, l.more, slog.String("error_id", l.rest), slog.Time("since", l.since), slog.Int("count", dropped))
		}
		l.since, l.count = now, 0
	}
	l.count++
	switch {
	case l.count <= l.limit:
		id = NewErrorID()
		to.LogAttrs(ctx, l.level, l.each, append([]slog.Attr{slog.String("error_id", id)}, attrs...)...)
		return id
	case l.count == l.limit+1:
		l.rest = NewErrorID()
		to.LogAttrs(ctx, l.level, l.more, slog.String("error_id", l.rest), slog.Time("until", l.since.Add(l.every)))
	}
	return l.rest
}

// NewErrorID returns a short id for something that went wrong: eight letters and digits that nobody mistakes for one another.
func NewErrorID() string {
	id := strings.ToLower(rand.Text())
	return id[:4] + "-" + id[4:8]
}

// LogError writes a line about an error page that is shown for r, and returns the id that stands in it and in the log entry of r. user is ""
// where nobody is known.
func (p *Portal) LogError(r *http.Request, status int, reason, user string) (id string) {
	attrs := append(requested(r), slog.Int("status", status), slog.String("reason", reason))
	if user != "" {
		attrs = append(attrs, slog.String("user", user))
	}
	id = p.refused.write(r.Context(), p.logger, p.now(), attrs...)
	if p.noteID != nil {
		p.noteID(r, id)
	}
	return id
}

// requested says what was asked for, without the query, and with no more of it than a line should have. The path is as it was sent: it holds
// nothing then that moves a cursor (S79).
func requested(r *http.Request) []slog.Attr {
	path := r.URL.RawPath
	if path == "" || strings.ContainsFunc(path, func(c rune) bool { return c <= ' ' || c > '~' }) {
		path = r.URL.EscapedPath()
	}
	return []slog.Attr{
		slog.String("method", plain(r.Method)), slog.String("host", plain(hostname(r.Host))), slog.String("path", cut(path)),
	}
}

// plain is cut of what may hold more than printable ASCII: it is percent-encoded then, as a path is.
func plain(s string) string {
	if s = cut(s); strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return url.PathEscape(s)
	}
	return s
}

// cut leaves of s what a line of the log has room for.
func cut(s string) string {
	if len(s) <= maxLogged {
		return s
	}
	end := maxLogged
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "..."
}

// identify gives a message about an error the id under which it stands in the log.
func (x *exchange) identify(status int, m *Message) {
	switch {
	case status < http.StatusBadRequest, x.r.Context().Err() != nil: // who has left reads none
	case m.ErrorID != "":
		if x.noteID != nil {
			x.noteID(x.r, m.ErrorID)
		}
	default:
		user, reason := m.Name, m.Code
		if x.in.User != nil {
			user = x.in.User.Name
		}
		if reason == "" {
			reason = m.ID
		}
		m.ErrorID = x.LogError(x.r, status, reason, user)
	}
}
