// Package mail writes the mails that people get about their account, and hands them to an SMTP server. It keeps nothing: the queue,
// the tries and the pauses between them are its caller's.
//
// A mail begins as one of the structs in codes.go, links.go and notices.go, whose method Message renders it from the words in
// words/. The caller adds who gets it, the ID that stays the same over all tries, and the date:
//
//	m := mail.SignInCode{Product: "Example Corp", Code: code, Link: link, Minutes: 10}.Message()
//	m.To, m.ID, m.Date = user.Email, id, now
//	err := sender.Send(ctx, m)
//
// # Where to look
//
//	config.go     where and as whom mail is sent
//	message.go    a mail; mime.go its bytes; address.go who can be written to
//	deliver.go    the conversation with the server; login.go a way to sign in; failure.go what can go wrong in it
//	try.go        the test mail, and what to do when it fails
//	letter.go     how all mails look; value.go how values of users stand in them
//
// # What holds
//
// The password goes over verified TLS or not at all, and stands in no error. Names, labels and browsers come from people who may be
// somebody's enemy: they stand in rows of their own, on one line, cut, as text, and never as links.
package mail
