package method

import (
	_ "embed"
	"strings"
)

// commonPasswords are the commonest passwords of MinPassword characters or more: lower case, one a line, sorted bytewise. They are
// the list of @zxcvbn-ts/language-common (MIT licence, see common.txt.license), which gen/common.go fetches, pinned by version and
// hash. Being text within the binary, they take no heap and no time at start.
//
//go:generate go run gen/common.go
//go:embed common.txt
var commonPasswords string

// common reports whether s, in lower case, is among the commonest passwords.
func common(s string) bool {
	lo, hi := 0, len(commonPasswords) // both at the start of a line
	for lo < hi {
		mid := lo + (hi-lo)/2
		start := lo + strings.LastIndexByte(commonPasswords[lo:mid], '\n') + 1
		line, _, _ := strings.Cut(commonPasswords[start:hi], "\n")
		switch {
		case line == s:
			return true
		case s < line:
			hi = start
		default:
			lo = start + len(line) + 1
		}
	}
	return false
}
