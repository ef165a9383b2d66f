// Package loginui is the portal: the pages on which people sign in, set up their methods and see their account.
//
// It shows and asks; it decides nothing. Every decision is a call of auth.Realm, and what comes of it is one of three things:
// an Outcome, which next turns into the address of the page to go to (steps never route to one another); an error that the
// person can do something about, shown on the page that was sent (refuse); or any other error (settle).
//
// A request passes ServeHTTP (headers, route, method, cross-origin check, form) and reaches one handler. Routes are one table,
// in routes.go. A method of proving is one file and one page: verify_totp.go with pages/verify_totp.html, for example, and two
// rows of the table; the pages that offer methods offer those that have a row.
//
// Pages are html/template files that work without script; their words stand in words/, a file a language. mfa.js adds conveniences, and carries
// the #fragment of a deep link, which no server sees, from page to page. webauthn.js is what security keys and passkeys need: it
// reads what to ask the browser off a form (data-key and data-options), fills the answer in, and sends the form. session.js is no
// page's of ours: apps include it (session.go).
//
// Colours, sizes and times stand in assets/tokens.css alone. palette.go derives a brand's from two of them, so that all that meets on a page can
// be told apart. pages.go lets an admin's templates stand in for ours, and tryout.go tries them out first.
package loginui
