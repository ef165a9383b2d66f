package auth

import "time"

const (
	// maxGuestNotes bounds what guests of one link take of its maker's activity, which shows MaxActivity events: whoever has the link must not
	// push off what else happened. The log for admins has more of them (maxGuestOpens).
	maxGuestNotes = 10
	guestNoteTime = 7 * 24 * time.Hour
)

// note counts what a guest does with the link, and reports whether its maker is shown it. A time begins with the first that is.
func (g *Guest) note(now time.Time) (shown bool) {
	if !now.Before(g.Notes.Until) {
		g.Notes = counter{Until: now.Add(guestNoteTime)}
	}
	if g.Notes.Count >= maxGuestNotes {
		return false
	}
	g.Notes.Count++
	return true
}

// guestEvent is what a guest did with a link of u.
func guestEvent(name string, v Visit, u *User, t *AccessToken) Event {
	return Event{Name: name, UserID: u.ID, User: u.Name, Actor: "guest", Label: t.Label, Host: v.Host, Addr: v.Addr.String()}
}
