package mail

// SignInCode is the second step of a sign-in that began with the password.
type SignInCode struct {
	Product string // what the portal is called
	Name    string // the account's
	Code    string // digits
	Link    string // the same as the code, for the browser that began; "" for none
	Minutes int    // for which both work
	Browser string // that began: "Firefox on Linux", "" if unknown
	Addr    string // of the client, "" if unknown
	Host    string // where the code is typed, from the configuration
	Change  bool   // somebody who is signed in changes something
	Lang    string // it is written in (BCP 47), "" for English
}

// Message renders it.
func (c SignInCode) Message() Message {
	s := in(c.Lang)
	lead := "code.lead"
	if c.Change {
		lead = "code.change"
	}
	blocks := []block{
		paragraph(s.say(lead, clean(c.Product, maxValue))),
		{Code: clean(c.Code, maxValue)},
		paragraph(s.say("code.where", clean(c.Host, 253))),
	}
	valid := "confirm.valid"
	if c.Link != "" {
		valid = "code.valid"
		blocks = append(blocks, paragraph(s.say("code.link")), s.link(c.Link, s.say("code.open")))
	}
	return s.render("code", c.Product, append(blocks,
		paragraph(s.say(valid, s.count("minutes", c.Minutes))),
		s.facts("fact.account", value(c.Name), "fact.browser", value(c.Browser), "fact.ip", ipValue(c.Addr)),
		paragraph(s.say("code.warn")),
	)...)
}

// ConfirmAddress goes to an address that somebody says is theirs. It may be a stranger's.
type ConfirmAddress struct {
	Product string // what the portal is called
	Name    string // the account's
	Code    string // digits
	Minutes int    // for which it works
	Browser string // that asked: "Firefox on Linux", "" if unknown
	Addr    string // of the client, "" if unknown
	Host    string // where the code is typed, from the configuration
	Lang    string // it is written in (BCP 47), "" for English
}

// Message renders it.
func (c ConfirmAddress) Message() Message {
	s := in(c.Lang)
	return s.render("confirm", c.Product,
		paragraph(s.say("confirm.lead", clean(c.Product, maxValue))),
		block{Code: clean(c.Code, maxValue)},
		paragraph(s.say("confirm.where", clean(c.Host, 253))),
		paragraph(s.say("confirm.valid", s.count("minutes", c.Minutes))),
		s.facts("fact.account", value(c.Name), "fact.browser", value(c.Browser), "fact.ip", ipValue(c.Addr)),
		paragraph(s.say("confirm.warn")),
	)
}

// GuestCode goes to the address of somebody who is to open a guest link, and has no account.
type GuestCode struct {
	Product string // what the portal is called
	Code    string // digits
	Minutes int    // for which it works
	Browser string // that asked: "Firefox on Linux", "" if unknown
	Addr    string // of the client, "" if unknown
	Host    string // where the code is typed, from the record of the link
	Lang    string // it is written in (BCP 47), "" for English
}

// Message renders it.
func (c GuestCode) Message() Message {
	s := in(c.Lang)
	return s.render("guest", c.Product,
		paragraph(s.say("guest.lead", clean(c.Host, 253))),
		block{Code: clean(c.Code, maxValue)},
		paragraph(s.say("confirm.where", clean(c.Host, 253))),
		paragraph(s.say("confirm.valid", s.count("minutes", c.Minutes))),
		s.facts("fact.browser", value(c.Browser), "fact.ip", ipValue(c.Addr)),
		paragraph(s.say("guest.warn")),
	)
}
