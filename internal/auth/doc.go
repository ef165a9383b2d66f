// Package auth decides: who somebody is, what they have proven, and what that is enough for.
//
// A sign-in is a flow: a record named by a cookie, that collects proofs. Its steps never route to one another. Each stores what
// it changed and returns to one dispatcher (Realm.next), which reads the flow, the user and the credentials and says what is
// asked now:
//
//	name and password → further method → set up a second method → save the recovery codes → session
//
// A flow is never a session: the gate knows only sessions, and a session exists only from the moment in which the last step was
// committed, with proofs of two kinds. An invitation and the first set-up are flows too; they begin with a token instead of a
// password.
//
// # Where to look
//
//	method.go     what a way to prove something must do; the ways themselves are in internal/method
//	portal.go     what the pages get: Visit in, Outcome and Progress out
//	prove.go      the commit rule, through which every answer goes; commit.go its last part
//	onepage.go    name, password and code on one page, of which nobody learns what was wrong
//	renew.go      a password whose hash is made otherwise today
//	dispatch.go   what a flow asks next, and how it becomes a session
//	flow.go       the record of a flow, and its cookie; moretime.go what puts its end off
//	enroll.go     setting up a method; recovery.go: the codes for when it is lost
//	ask.go        a challenge that travels in the page; passkey.go: signing in with one, without a name
//	modify.go     what people who are signed in change, and the proofs that it takes; upgrade.go: a passkey for the next time
//	settings.go   passwords, names and what else is changed so; changecap.go how much of it
//	stepup.go     what a rule asks beyond a session; form.go the form that was on its way
//	invite.go     accepting a ticket (ticket.go): an invitation, the first set-up; reset.go: a forgotten password
//	mail.go       codes and links by mail, email.go the addresses that they confirm; mailcap.go how many are sent
//	notice.go     what people are told by mail, and how they undo it
//	queue.go      mails that wait; delivery.go how they are sent, outbox.go what is kept of that in memory
//	session.go    the path of every request: cookie → cache → session; cache.go is the cache, front.go its lock-free front
//	sessions.go   lists and ends sessions; sweep.go removes what a bumped epoch has made void
//	access*.go    access tokens, which scripts send: what they are (token), what they open (decide), where they are kept (store)
//	guest.go      guest links: what they are and open; guestopen.go how somebody who is nobody's user opens one,
//	              guestleave.go how they leave, guestaudit.go what the maker sees of it
//	handover.go   one portal for many hosts: how a session of the one becomes a session of each
//	stream.go     what goes on for longer than a request usually does, and ends with its session: streamlook.go finds out when,
//	              underway.go which requests last
//	decide.go     what a rule makes of a session; pure. policy.go: what is demanded of people before they get one
//	assertion.go  what apps are told and can verify; assertkeys.go the keys that sign it
//	throttle.go   wrong answers by account, address.go by client address, slots.go work at once
//	sessions.go   what a person's sessions are, how they end, and how many there may be
//	admin.go      what the commands do; account.go what they and the Security page see; change.go what several of them share
//	state.go      what outlives a reload; keys.go signing keys; records.go the keys of the store
//	seal.go       encryption at rest; reseal.go a change of the secret
//	audit.go      what is kept of what happened
//
// # The commit rule
//
// Slow work (argon2id, signatures) happens before a transaction, never inside. First one transaction counts the try and takes the
// challenge. Then the answer is verified. Then one transaction reads everything again: the user's rev and epoch and the
// credential must be what the answer was verified against, else all is read and verified again, at most three times. The same
// transaction stores the credential as it must now be (a burned code, a step, a counter), gives the flow its proof and a new
// token, or writes the session and deletes the flow. So a code counts once, on every node, under any race and any crash.
package auth
