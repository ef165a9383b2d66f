package mail

import "time"

// Event is what every notice tells about what happened, and how to undo it.
type Event struct {
	Product string    // what the portal is called
	Name    string    // the account's
	At      time.Time // shown in its own zone
	Browser string    // "Firefox on Linux", "" if unknown
	Addr    string    // of the client, "" if unknown
	Link    string    // This wasn't me
	ByAdmin bool      // an admin did it, whose browser and address are unknown
	Lang    string    // it is written in (BCP 47), "" for English
}

// notice renders e as a mail of the kind. extra are facts about it besides where it came from.
func (e Event) notice(kind, yours string, note string, extra ...string) Message {
	s := in(e.Lang)
	own := func(part string) string {
		if text := s.say(kind + part); text != "" {
			return text
		}
		return s.say("notice" + part)
	}
	rows := append([]string{"fact.account", value(e.Name)}, extra...)
	rows = append(rows, "fact.when", s.when(e.At))
	switch {
	case kind == "late": // nobody did it
	case e.ByAdmin:
		rows = append(rows, "fact.by", s.say("fact.admin"))
	default:
		rows = append(rows, "fact.browser", s.orElse(value(e.Browser), "fact.unknown"), "fact.ip", s.orElse(ipValue(e.Addr), "fact.unknown"))
	}
	blocks := []block{paragraph(s.say(kind+".lead", clean(e.Product, maxValue)))}
	if note != "" {
		blocks = append(blocks, paragraph(note))
	}
	return s.render(kind, e.Product, append(blocks,
		s.facts(rows...),
		paragraph(s.say(yours)),
		paragraph(own(".not")),
		s.link(e.Link, own(".open")),
		paragraph(own(".then")),
	)...)
}

// orElse is a value, or the text for id if there is nothing.
func (s voice) orElse(value, id string) string {
	if value == "" {
		return s.say(id)
	}
	return value
}

// methodName is what people know a method by.
func (s voice) methodName(method string) string {
	if name := s.say("method." + method); name != "" {
		return name
	}
	return value(method)
}

// label is what a credential is called. An app that its owner has not named is called by its method, in English.
func (s voice) label(label string) string {
	if app := "method.totp"; label == catalogue().English().Text(app) {
		return s.say(app)
	}
	return value(label)
}

// NewSignIn tells of a sign-in from a browser that was not seen before.
type NewSignIn struct{ Event }

// Message renders it.
func (n NewSignIn) Message() Message { return n.notice("signin", "notice.yours", "") }

// MethodAdded tells of a new credential.
type MethodAdded struct {
	Event
	Method string // as auth names it: "totp"
	Label  string // what its owner calls it, "" for nothing
}

// Message renders it.
func (n MethodAdded) Message() Message {
	s := in(n.Lang)
	return n.notice("added", "notice.yours", "", "fact.method", s.methodName(n.Method), "fact.label", s.label(n.Label))
}

// MethodRemoved tells that a credential is gone.
type MethodRemoved struct {
	Event
	Method string // as auth names it: "totp"
	Label  string // what its owner called it, "" for nothing
}

// Message renders it.
func (n MethodRemoved) Message() Message {
	s := in(n.Lang)
	return n.notice("removed", "notice.yours", "", "fact.method", s.methodName(n.Method), "fact.label", s.label(n.Label))
}

// fewCodes is how many recovery codes are so few that somebody should make new ones. The pages say so at the same number.
const fewCodes = 3

// CodeUsed tells that somebody signed in by a recovery code.
type CodeUsed struct {
	Event
	Left int // codes that still work
}

// Message renders it.
func (n CodeUsed) Message() Message {
	left := "used.left"
	if n.Left <= fewCodes {
		left = "used.few"
	}
	return n.notice("used", "notice.yours", in(n.Lang).count(left, n.Left))
}

// CodesChanged tells of a new set of recovery codes.
type CodesChanged struct{ Event }

// Message renders it.
func (n CodesChanged) Message() Message { return n.notice("codes", "notice.yours", "") }

// CodesViewed tells that somebody saw the unused recovery codes again.
type CodesViewed struct{ Event }

// Message renders it.
func (n CodesViewed) Message() Message { return n.notice("viewed", "notice.yours", "") }

// PasswordChanged tells of a new password.
type PasswordChanged struct{ Event }

// Message renders it.
func (n PasswordChanged) Message() Message { return n.notice("password", "notice.yours", "") }

// MethodsReset tells that an admin removed every second method.
type MethodsReset struct{ Event }

// Message renders it.
func (n MethodsReset) Message() Message { return n.notice("reset-mfa", "reset-mfa.yours", "") }

// ResetAnnounced tells that an admin is going to remove every second method. Its Link stops that.
type ResetAnnounced struct {
	Event
	Due time.Time // shown in its own zone
}

// Message renders it.
func (n ResetAnnounced) Message() Message {
	s := in(n.Lang)
	return n.notice("announced", "announced.yours", "", "fact.due", s.when(n.Due))
}

// ResetStopped tells that a reset that was announced is not going to be.
type ResetStopped struct{ Event }

// Message renders it.
func (n ResetStopped) Message() Message {
	if n.ByAdmin {
		return n.notice("cancelled", "cancelled.yours", "")
	}
	return n.notice("stopped", "notice.yours", "")
}

// ResetTooLate tells that a reset that was announced is not going to be, because nothing did it in time.
type ResetTooLate struct{ Event }

// Message renders it.
func (n ResetTooLate) Message() Message { return n.notice("late", "cancelled.yours", "") }

// AddressChanged goes to the old address. It does not name the new one: whoever reads the old mailbox by now may not be its owner.
type AddressChanged struct{ Event }

// Message renders it.
func (n AddressChanged) Message() Message { return n.notice("address", "notice.yours", "") }

// What a Changed is about.
const (
	Replaced    = "replaced" // a credential, by another one of Method
	Renamed     = "renamed"  // a credential of Method
	DisplayName = "display"
	Preferred   = "prefer" // Before and Now are methods
	TurnedOff   = "off"    // every second method but mail is gone

	TokenAdded   = "token" // an access token Label
	TokenRevoked = "token-revoked"
)

// Changed tells of a change that has no message of its own.
type Changed struct {
	Event
	What        string // one of the above
	Method      string // as auth names it: "totp"; "" where none is meant
	Before, Now string // "" for nothing; where both are, there is nothing to say of them
	Label       string // what it is called, "" where nothing is
}

// Message renders it.
func (n Changed) Message() Message {
	s := in(n.Lang)
	before, now := s.label(n.Before), s.label(n.Now)
	if n.What == Preferred {
		before, now = s.methodName(n.Before), s.methodName(n.Now)
	}
	if before+now != "" {
		before, now = s.orElse(before, "fact.none"), s.orElse(now, "fact.none")
	}
	return n.notice(n.What, "notice.yours", "", "fact.method", s.methodName(n.Method), "fact.label", s.label(n.Label),
		"fact.before", before, "fact.now", now)
}

// SessionsEnded tells of sessions that were ended from another one.
type SessionsEnded struct {
	Event
	Count int // at least 1
}

// Message renders it.
func (n SessionsEnded) Message() Message {
	s := in(n.Lang)
	return n.notice("ended", "notice.yours", s.count("ended.count", n.Count))
}

// Throttled tells of so many wrong answers that a method is closed to browsers that the person did not use before.
type Throttled struct {
	Event
	Method string // as auth names it: "totp"
}

// Message renders it.
func (n Throttled) Message() Message {
	s := in(n.Lang)
	return n.notice("throttled", "throttled.yours", "", "fact.method", s.methodName(n.Method))
}
