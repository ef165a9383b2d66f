//go:build unix

package caddymodule

import (
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// owner returns who owns a file, and whether that is this process.
func owner(stat fs.FileInfo) (name string, own bool) {
	sys, ok := stat.Sys().(*syscall.Stat_t)
	if !ok {
		return "", true
	}
	id := strconv.FormatUint(uint64(sys.Uid), 10)
	if sys.Uid == uint32(os.Geteuid()) {
		return id, true
	}
	if u, err := user.LookupId(id); err == nil {
		return u.Username, false
	}
	return "user " + id, false
}
