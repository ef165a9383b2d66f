//go:build !unix

package caddymodule

import "io/fs"

// owner leaves it to the system's own permissions where files have no numeric owner.
func owner(fs.FileInfo) (name string, own bool) { return "", true }
