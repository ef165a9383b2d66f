package loginui

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// recentEvents is how many events stand on the Security page itself.
const recentEvents = 5

// sessionRow is a session as its owner sees it.
type sessionRow struct {
	ID                          string // for its form
	Addr                        string // of the client
	Created, Seen, IdleEnd, End time.Time
	From                        string // browser and system
	With                        string // methods, in words
	Here                        bool   // it is the one that asks
	At                          string // the hosts that it was handed over to, "" for none
}

// sessions are those of whoever is signed in: this one first, then the newest.
func (x *exchange) sessions(ctx context.Context) ([]sessionRow, error) {
	all, err := x.realm.Sessions(ctx, x.in.User.Name)
	if err != nil {
		return nil, err
	}
	var rows []sessionRow
	for _, s := range all {
		row := sessionRow{s.ID, s.Addr, s.Created, s.Seen, s.IdleEnd, s.End, x.machine(&s), x.methods(methodsOf(&s)), s.ID == x.in.Session.ID, x.list(slices.Sorted(maps.Keys(s.Handed)))}
		if row.From == "" {
			row.From = x.t("security.unknown")
		}
		if row.Here {
			rows = append([]sessionRow{row}, rows...)
			continue
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// methods are methods in words.
func (x *exchange) methods(names []string) string { return x.list(x.named(names)) }

// named are the words for methods.
func (x *exchange) named(methods []string) []string {
	words := make([]string, len(methods))
	for i, m := range methods {
		words[i] = x.t("method." + m)
	}
	return words
}

// machine is the browser and system of a session, as far as they were recognised.
func (x *exchange) machine(s *auth.Session) string {
	if s.Browser != "" && s.OS != "" {
		return x.t("browser.on", s.Browser, s.OS)
	}
	return s.Browser + s.OS
}

// eventRow is an event in words.
type eventRow struct {
	What           string
	Stamp, Machine string   // when, for people and for <time datetime>
	About          []string // methods, address, who did it
	Warn           bool     // worth a second look
}

// suspect are the events that people should look at twice.
var suspect = map[string]bool{
	auth.EventWrongAnswer: true, auth.EventMethodShut: true, auth.EventCounter: true, auth.EventNotMe: true,
	auth.EventLinkFull: true,
}

// activity is what happened to the account of whoever is signed in, the newest first, most events at most.
func (x *exchange) activity(ctx context.Context, most int) ([]eventRow, error) {
	events, err := x.realm.Activity(ctx, x.in.User.ID)
	if err != nil {
		return nil, err
	}
	var rows []eventRow
	for _, e := range events[:min(most, len(events))] {
		row := eventRow{What: x.event(&e), Stamp: x.Stamp(e.Time), Machine: machine(e.Time), Warn: suspect[e.Name]}
		with := x.methods(e.Methods)
		if e.Method != "" {
			with = x.t("method." + e.Method)
		}
		if with == x.label(e.Label) { // it says so already
			with = ""
		}
		addr := e.Addr
		if addr == "invalid IP" { // there was none, as on a Unix socket
			addr = ""
		}
		actor := ""
		if e.Actor != "" {
			actor = x.t("event.by." + e.Actor)
		}
		for _, about := range []string{with, addr, actor} {
			if about != "" {
				row.About = append(row.About, about)
			}
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// event says what happened. What people called a method is text of theirs, so only pages that escape may show it.
func (x *exchange) event(e *auth.Event) string {
	named := "event." + e.Name + ".named"
	switch {
	case e.Name == auth.EventRenamed && e.Label != "" && e.Before != "":
		return x.t(named, x.label(e.Before), e.Label)
	case e.Name != auth.EventRenamed && e.Label != "" && x.has(named):
		return x.t(named, x.label(e.Label))
	case e.Name == auth.EventWrongAnswer && e.Method == auth.MethodPassword: // of whoever was in by a key, or is signed in
		return x.t("event.wrong_answer.password")
	}
	if what := x.t("event." + e.Name); what != "" {
		return what
	}
	return strings.ReplaceAll(e.Name, "_", " ") // of a later version that ran before
}

// getActivity shows all that is kept of what happened to somebody's account.
func getActivity(x *exchange) error {
	if x.in.Session == nil || x.in.User == nil {
		return auth.ErrNoSession
	}
	rows, err := x.activity(x.r.Context(), auth.MaxActivity)
	if err != nil {
		return err
	}
	pg := x.newPage("activity", "activity")
	pg.Body = rows
	return x.render(pg)
}
