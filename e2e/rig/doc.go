// Package rig starts the real binary and visits it over HTTP as a person would, without a browser: it reads pages, finds forms by
// the words on their buttons and fields by their labels, keeps cookies, and computes codes from the QR image that the page shows.
// The journeys in e2e and the measurements in bench share it.
//
// [Server] is a running Caddy with the module, in an empty home of its own. [App] is the protected application behind it.
// [Visitor] is a browser profile without scripts. [Person] is somebody with a name, a password and an authenticator app.
package rig
