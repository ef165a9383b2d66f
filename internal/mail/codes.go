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
}

// Message renders it.
func (c SignInCode) Message() Message {
	lead := "code.lead"
	if c.Change {
		lead = "code.change"
	}
	blocks := []block{
		paragraph(say(lead, clean(c.Product, maxValue))),
		{Code: clean(c.Code, maxValue)},
		paragraph(say("code.where", clean(c.Host, 253))),
	}
	valid := "confirm.valid"
	if c.Link != "" {
		valid = "code.valid"
		blocks = append(blocks, paragraph(say("code.link")), link(c.Link, say("code.open")))
	}
	return render("code", c.Product, append(blocks,
		paragraph(say(valid, count("minutes", c.Minutes))),
		facts("fact.account", value(c.Name), "fact.browser", value(c.Browser), "fact.ip", ipValue(c.Addr)),
		paragraph(say("code.warn")),
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
}

// Message renders it.
func (c ConfirmAddress) Message() Message {
	return render("confirm", c.Product,
		paragraph(say("confirm.lead", clean(c.Product, maxValue))),
		block{Code: clean(c.Code, maxValue)},
		paragraph(say("confirm.where", clean(c.Host, 253))),
		paragraph(say("confirm.valid", count("minutes", c.Minutes))),
		facts("fact.account", value(c.Name), "fact.browser", value(c.Browser), "fact.ip", ipValue(c.Addr)),
		paragraph(say("confirm.warn")),
	)
}
