package mail

// Invitation opens an account that an admin made.
type Invitation struct {
	Product string // what the portal is called
	Name    string // the account's
	Link    string
	Hours   int // for which the link works
}

// Message renders it.
func (i Invitation) Message() Message {
	return render("invite", i.Product,
		paragraph(say("invite.lead", clean(i.Product, maxValue))),
		link(i.Link, say("invite.open")),
		facts("fact.account", value(i.Name)),
		paragraph(say("invite.valid", count("hours", i.Hours))),
		paragraph(say("invite.warn")),
	)
}

// Reset lets somebody who forgot the password choose a new one.
type Reset struct {
	Product string // what the portal is called
	Link    string
	Hours   int    // for which the link works; 0 says nothing about it
	Browser string // that asked: "Firefox on Linux", "" to leave it out
	Addr    string // of the client, "" to leave it out
}

// Message renders it.
func (r Reset) Message() Message {
	blocks := []block{
		paragraph(say("reset.lead", clean(r.Product, maxValue))),
		link(r.Link, say("reset.open")),
		paragraph(say("reset.once")),
	}
	if r.Hours > 0 {
		blocks[2] = paragraph(say("reset.valid", count("hours", r.Hours)))
	}
	return render("reset", r.Product, append(blocks,
		facts("fact.browser", value(r.Browser), "fact.ip", ipValue(r.Addr)),
		paragraph(say("reset.warn")),
	)...)
}

// testMail is what Sender.Try sends.
type testMail struct {
	Product string // "" for the server's name
	Server  string
}

func (t testMail) Message() Message {
	if t.Product == "" {
		t.Product = t.Server
	}
	return render("test", t.Product, paragraph(say("test.lead", t.Server)))
}
