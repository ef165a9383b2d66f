// Package layout holds no code: its test keeps the imports of this module pointing downward.
//
//	cmd → caddymodule → loginui → internal/auth → storage
//	internal/method → internal/auth
package layout
