// Package method holds the ways to prove who you are, one file a method: password, authenticator app (totp), recovery codes.
//
// A method is pure, as auth.Method demands: no store, no HTTP, no clock. It takes the credentials of a user and an answer, and
// returns what was proven together with the credential as it must now be stored: the step that a code burned, the recovery codes
// that are left, the password hashed again. Whoever calls it stores that in the same transaction as whatever the proof opens, and
// thereby makes a code work once. Throttling and the slots for expensive work are the caller's as well.
//
// A wrong answer is auth.ErrRejected and nothing else, whether there was no credential, the code was malformed, wrong or used. A
// record that cannot be read is another error, and never lets anyone in.
package method
