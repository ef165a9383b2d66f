package mail

// Invitation opens an account that an admin made.
type Invitation struct {
	Product string // what the portal is called
	Name    string // the account's
	Link    string
	Hours   int    // for which the link works
	Lang    string // it is written in (BCP 47), "" for English
}

// Message renders it.
func (i Invitation) Message() Message {
	s := in(i.Lang)
	return s.render("invite", i.Product,
		paragraph(s.say("invite.lead", clean(i.Product, maxValue))),
		s.link(i.Link, s.say("invite.open")),
		s.facts("fact.account", value(i.Name)),
		paragraph(s.say("invite.valid", s.count("hours", i.Hours))),
		paragraph(s.say("invite.warn")),
	)
}

// Reset lets somebody who forgot the password choose a new one.
type Reset struct {
	Product string // what the portal is called
	Link    string
	Hours   int    // for which the link works; 0 says nothing about it
	Browser string // that asked: "Firefox on Linux", "" to leave it out
	Addr    string // of the client, "" to leave it out
	Lang    string // it is written in (BCP 47), "" for English
}

// Message renders it.
func (r Reset) Message() Message {
	s := in(r.Lang)
	blocks := []block{
		paragraph(s.say("reset.lead", clean(r.Product, maxValue))),
		s.link(r.Link, s.say("reset.open")),
		paragraph(s.say("reset.once")),
	}
	if r.Hours > 0 {
		blocks[2] = paragraph(s.say("reset.valid", s.count("hours", r.Hours)))
	}
	return s.render("reset", r.Product, append(blocks,
		s.facts("fact.browser", value(r.Browser), "fact.ip", ipValue(r.Addr)),
		paragraph(s.say("reset.warn")),
	)...)
}

// testMail is what Sender.Try sends.
type testMail struct {
	Product string // "" for the server's name
	Server  string
	Lang    string // it is written in (BCP 47), "" for English
}

func (t testMail) Message() Message {
	s := in(t.Lang)
	if t.Product == "" {
		t.Product = t.Server
	}
	return s.render("test", t.Product, paragraph(s.say("test.lead", t.Server)))
}
